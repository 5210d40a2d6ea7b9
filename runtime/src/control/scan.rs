//! `scan` and `map`: a function of one row after another.

use std::panic::Location;
use std::rc::Rc;

use super::{Site, check_alike};
use crate::call::call;
use crate::checkpoint::{Checkpoint, checkpoint};
use crate::error::violation;
use crate::function::{Arguments, Function};
use crate::op::Rule;
use crate::ops::{expand_dims, index, slice, stack};
use crate::tape::Tape;
use crate::tensor::Tensor;
use crate::tree::{Path, Tree, refill};

/// A loop with a memory: `f(&carry, &row)` returns `(carry, result)`, for one row of `xs` after another, and
/// `scan(f).at((&init, &xs))` the last carry and all results, stacked along a new first dim.
///
/// The rows are along the first dim of every leaf of `xs`.
///
/// ```
/// use axisgrad::{Tensor, control::scan};
/// let add = |sum: &Tensor, x: &Tensor| (sum + x, sum * 10.0);
/// let (sum, rows) = scan(add).at((&Tensor::from(1.0), &Tensor::from([2.0, 3.0])));
/// assert_eq!(sum.item::<f64>(), 6.0);
/// assert_eq!(rows.to_vec::<f64>(), [10.0, 30.0]);
/// ```
pub fn scan<F>(f: F) -> Scan<F> {
    Scan { f, reverse: false, length: None }
}

/// See [`scan`].
#[derive(Clone, Debug)]
#[must_use = "a transform does nothing until it is called with `at`"]
pub struct Scan<F> {
    f: F,
    reverse: bool,
    length: Option<usize>,
}

impl<F> Scan<F> {
    /// From the last row to the first; the results stay in the order of the rows.
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// How many steps there are, where `xs` has no leaf that says it.
    pub fn length(mut self, steps: usize) -> Self {
        self.length = Some(steps);
        self
    }

    /// Runs every step again in backward, instead of keeping its values: see [`checkpoint`](checkpoint()). What a
    /// gradient is to reach must then be in the carry or the rows.
    pub fn checkpoint(self) -> Scan<Checkpoint<F>> {
        Scan { f: checkpoint(self.f), reverse: self.reverse, length: self.length }
    }

    /// Runs the loop, from `(&init, &xs)`.
    ///
    /// # Panics
    /// If the leaves of `xs` differ in their first dim, there is none to say how many steps there are, or the carry
    /// changes in structure, dims or dtypes.
    #[track_caller]
    pub fn at<X: Arguments>(&self, args: X) -> <Self as Function<X::Args>>::Output
    where
        Self: Function<X::Args>,
    {
        Function::call(self, &args.to_args())
    }
}

impl<F, C, X, Y> Function<(C, X)> for Scan<F>
where
    F: Function<(C, X), Output = (C, Y)>,
    C: Tree,
    X: Tree,
    Y: Tree,
{
    type Output = (C, Y);

    #[track_caller]
    fn call(&self, (init, xs): &(C, X)) -> (C, Y) {
        let site = Location::caller();
        let steps = self.steps(xs, site);
        let mut carry = init.clone();
        let mut results = Vec::with_capacity(steps);
        let mut rows = rows_of(xs, steps, site);
        if self.reverse {
            rows.reverse();
        }
        for row in rows {
            let (next, result) = self.f.call(&(carry.clone(), row));
            check_alike("scan", "the carry that a step takes and returns", &carry, &next, site);
            carry = next;
            results.push(result);
        }
        if self.reverse {
            results.reverse();
        }
        let results = stacked("scan", results, site).unwrap_or_else(|| {
            let row = xs.map_leaves(no_row);
            self.f.call(&(init.clone(), row)).1.map_leaves(no_rows)
        });
        (carry, results)
    }
}

impl<F> Scan<F> {
    fn steps(&self, xs: &impl Tree, site: Site) -> usize {
        match (row_count("scan", xs, site), self.length) {
            (Some(rows), Some(length)) if rows != length => {
                let rule = format!("length is {length}, and there are {rows} rows");
                violation("scan", &rule, &[], site)
            }
            (Some(steps), _) | (None, Some(steps)) => steps,
            (None, None) => {
                let rule =
                    "there is nothing to scan over\n   help: say how many steps there are, with length()";
                violation("scan", rule, &[], site)
            }
        }
    }
}

/// The function of one row after another, and the results stacked: as [`vmap`](crate::vmap()), in a loop, which needs
/// no more memory than one row does.
///
/// ```
/// use axisgrad::{Tensor, control::map};
/// let squares = map(|x: &Tensor| x * x, &Tensor::from([1.0, 2.0, 3.0]));
/// assert_eq!(squares.to_vec::<f64>(), [1.0, 4.0, 9.0]);
/// ```
///
/// # Panics
/// If the leaves of `xs` differ in their first dim, there are none, or the results differ in structure or dims.
#[track_caller]
pub fn map<X: Tree, Y: Tree>(mut f: impl FnMut(&X) -> Y, xs: &X) -> Y {
    let site = Location::caller();
    let Some(rows) = row_count("map", xs, site) else {
        violation("map", "there is nothing to map over", &[], site)
    };
    let results = rows_of(xs, rows, site).iter().map(&mut f).collect();
    stacked("map", results, site).unwrap_or_else(|| f(&xs.map_leaves(no_row)).map_leaves(no_rows))
}

/// The size of the first dim of all leaves; `None` if there are none.
pub(super) fn row_count(name: &str, xs: &impl Tree, site: Site) -> Option<usize> {
    let mut first: Option<(usize, String, Tensor)> = None;
    xs.visit(&Path::ROOT, &mut |path, leaf| {
        let Some(&rows) = leaf.dims().first() else {
            violation(name, &format!("the leaf at `{path}` has no dim to take rows from"), &[leaf], site)
        };
        match &first {
            Some((other, at, before)) if *other != rows => {
                let rule = format!("there are {other} rows at `{at}` and {rows} at `{path}`");
                violation(name, &rule, &[before, leaf], site);
            }
            Some(_) => {}
            None => first = Some((rows, path.to_string(), leaf.clone())),
        }
    });
    first.map(|(rows, ..)| rows)
}

/// One tree for each row.
fn rows_of<X: Tree>(xs: &X, count: usize, site: Site) -> Vec<X> {
    let columns: Vec<Vec<Tensor>> = xs.leaves().iter().map(|leaf| unstacked(leaf, site)).collect();
    (0..count).map(|i| refill(xs, columns.iter().map(|rows| rows[i].clone()))).collect()
}

/// The rows of a tensor, all at once: one by one, each would have a cotangent of the whole tensor's size.
fn unstacked(x: &Tensor, site: Site) -> Vec<Tensor> {
    if x.tape().is_none() {
        return (0..x.dims()[0]).map(|i| index(x, 0, i as isize)).collect();
    }
    call("unstack", std::slice::from_ref(x), site, |x| (unstacked(&x[0], site), Rc::new(Rows)))
}

struct Rows;

impl Rule for Rows {
    fn pull_back(&self, _: &Tape, cts: Vec<Tensor>) -> Vec<Option<Tensor>> {
        vec![Some(stack(&cts.iter().collect::<Vec<_>>(), 0))]
    }
}

/// A row of zeros, to learn from it what a function of no row at all would return.
fn no_row(leaf: &Tensor) -> Tensor {
    crate::ops::zeros(leaf.dtype(), &leaf.dims()[1..])
}

/// No rows of that type.
fn no_rows(leaf: &Tensor) -> Tensor {
    slice(&expand_dims(leaf, 0), 0, ..0)
}

/// The results as one tree; `None` if there are none.
fn stacked<Y: Tree>(name: &str, results: Vec<Y>, site: Site) -> Option<Y> {
    let first = results.first()?;
    results[1..].iter().for_each(|other| check_alike(name, "the results of all steps", first, other, site));
    let mut columns: Vec<_> = results.iter().map(|result| result.leaves().into_iter()).collect();
    Some(first.map_leaves(|_| {
        let rows: Vec<Tensor> = columns.iter_mut().filter_map(Iterator::next).collect();
        stack(&rows.iter().collect::<Vec<_>>(), 0)
    }))
}
