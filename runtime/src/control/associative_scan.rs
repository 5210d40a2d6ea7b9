//! `associative_scan`: all prefixes of an associative operation, in logarithmically many steps.

use std::panic::Location;

use super::Site;
use super::scan::row_count;
use crate::error::violation;
use crate::function::{Arguments, Function};
use crate::ops::{concat, flip, slice, slice_step};
use crate::tensor::Tensor;
use crate::tree::Tree;
use crate::vmap::vmap;

/// `x0`, `f(x0, x1)`, `f(f(x0, x1), x2)`, …, for rows along the first dim of every leaf and an associative `f` of two
/// rows. All pairs of one level are combined at once, and there are about 2·log₂ n levels (Blelloch, "Prefix sums and
/// their applications", 1990).
///
/// ```
/// use axisgrad::{Tensor, control::associative_scan};
/// let x = Tensor::from([1.0, 2.0, 3.0, 4.0]);
/// let products = associative_scan(|a: &Tensor, b: &Tensor| a * b).at(&x);
/// assert_eq!(products.to_vec::<f64>(), [1.0, 2.0, 6.0, 24.0]);
/// ```
pub fn associative_scan<F>(f: F) -> AssociativeScan<F> {
    AssociativeScan { f, reverse: false }
}

/// See [`associative_scan`].
#[derive(Clone, Debug)]
#[must_use = "a transform does nothing until it is called with `at`"]
pub struct AssociativeScan<F> {
    f: F,
    reverse: bool,
}

impl<F> AssociativeScan<F> {
    /// From the last row to the first: `xₙ`, `f(xₙ, xₙ₋₁)`, …; the results stay in the order of the rows.
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// Combines the rows of `&xs`.
    ///
    /// # Panics
    /// If the leaves differ in their first dim, or there are none.
    #[track_caller]
    pub fn at<X: Arguments>(&self, args: X) -> <Self as Function<X::Args>>::Output
    where
        Self: Function<X::Args>,
    {
        Function::call(self, &args.to_args())
    }
}

impl<F, X> Function<(X,)> for AssociativeScan<F>
where
    F: Function<(X, X), Output = X>,
    X: Tree,
{
    type Output = X;

    #[track_caller]
    fn call(&self, (xs,): &(X,)) -> X {
        let site = Location::caller();
        let turned = |xs: &X| if self.reverse { xs.map_leaves(|x| flip(x, 0)) } else { xs.clone() };
        turned(&prefixes(&|a: &X, b: &X| self.f.call(&(a.clone(), b.clone())), turned(xs), site))
    }
}

/// Pairs are combined, the prefixes of the pairs are those at odd places, and one more row gives those at even ones.
fn prefixes<X: Tree>(f: &dyn Fn(&X, &X) -> X, xs: X, site: Site) -> X {
    let Some(rows) = row_count("associative_scan", &xs, site) else {
        violation("associative_scan", "there is nothing to scan over", &[], site)
    };
    if rows < 2 {
        return xs;
    }
    let every_second = |from: usize, to: usize| xs.map_leaves(|x| slice_step(x, 0, from..to, 2));
    let both = vmap(|a: &X, b: &X| f(a, b));
    let odd = prefixes(f, both.at((&every_second(0, rows - 1), &every_second(1, rows))), site);
    let first = xs.map_leaves(|x| slice(x, 0, ..1));
    if rows == 2 {
        return first.zip_leaves(&odd, |_, first, odd| concat(&[first, odd], 0));
    }
    let before = odd.map_leaves(|x| slice(x, 0, ..(rows - 1) / 2));
    let even = both.at((&before, &every_second(2, rows)));
    let even = first.zip_leaves(&even, |_, first, rest| concat(&[first, rest], 0));
    even.zip_leaves(&odd, |_, even, odd| interleaved(even, odd))
}

/// Rows in turn; there may be one more of the even ones.
fn interleaved(even: &Tensor, odd: &Tensor) -> Tensor {
    let (pairs, rest) = (odd.dims()[0], &odd.dims()[1..]);
    let joined = crate::ops::stack(&[&slice(even, 0, ..pairs), odd], 1);
    let joined = crate::ops::reshape(&joined, [&[2 * pairs], rest].concat());
    concat(&[&joined, &slice(even, 0, pairs..)], 0)
}
