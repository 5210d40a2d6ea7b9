//! `vjp`: a function's value, and its transpose at that point.

use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;

use super::backward::{Gradients, pull_back};
use super::{checks, gradient_of, nested, trace_leaf};
use crate::error::violation;
use crate::function::{Arg, Arguments, Function, Select};
use crate::tape::{Node, Tape, axes_of};
use crate::tensor::Tensor;
use crate::tree::{Path, Tree};
use crate::types::{Axis, AxisSet};

type Site = &'static Location<'static>;

/// A function's value and its transpose: `vjp(f).at(&x)` is `(value, pullback)`, and `pullback.call(&ct)` takes a
/// cotangent of the value to one of the argument. The function may return any tree, of any dtypes.
///
/// ```
/// use axisgrad::{Tensor, vjp};
/// let (value, pullback) = vjp(|x: &Tensor| x * x).at(&Tensor::from([1.0, 2.0]));
/// assert_eq!(value.to_vec::<f64>(), [1.0, 4.0]);
/// assert_eq!(pullback.call(&Tensor::from([1.0, 10.0])).to_vec::<f64>(), [2.0, 40.0]);
/// ```
pub fn vjp<F>(f: F) -> Vjp<F> {
    Vjp { f, reduce_axes: Vec::new(), marker: PhantomData }
}

/// See [`vjp`].
#[derive(Clone, Debug)]
#[must_use = "a transform does nothing until it is called with `at`"]
pub struct Vjp<F, S = Arg<0>> {
    f: F,
    reduce_axes: Vec<String>,
    marker: PhantomData<S>,
}

impl<F, S> Vjp<F, S> {
    /// Pulls back to several arguments, `argnums::<(A0, A2)>()`, or to another one, `argnums::<A1>()`.
    pub fn argnums<S2>(self) -> Vjp<F, S2> {
        Vjp { f: self.f, reduce_axes: self.reduce_axes, marker: PhantomData }
    }

    /// The axes over which cotangents are summed: see [`Grad::reduce_axes`](super::Grad::reduce_axes).
    pub fn reduce_axes<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.reduce_axes = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
        self
    }

    /// Runs the function with `&a` or `(&a, &b, …)`.
    #[track_caller]
    pub fn at<X: Arguments>(&self, args: X) -> (F::Output, Pullback<S::Selected, F::Output>)
    where
        F: Function<X::Args, Output: Tree>,
        S: Select<X::Args>,
    {
        checks::names(&self.reduce_axes, Location::caller());
        let names = self.reduce_axes.iter().map(String::as_str);
        let args = nested::as_counted(&args.to_args(), names, Location::caller());
        trace::<S, _, _>(&args, Tape::new(&self.reduce_axes), |args| self.f.call(args))
    }
}

/// Runs a function on `tape`, with the chosen arguments on it: its value, and its transpose.
#[track_caller]
pub(crate) fn trace<S, Args, V>(
    args: &Args,
    tape: Rc<Tape>,
    run: impl FnOnce(&Args) -> V,
) -> (V, Pullback<S::Selected, V>)
where
    Args: Tree,
    S: Select<Args>,
    V: Tree,
{
    let site = Location::caller();
    checks::positions(&S::positions(), site);
    let mut args = args.clone();
    let traced = S::get(&args).map_leaves(|leaf| trace_leaf(&tape, leaf, site));
    S::put(&mut args, traced.clone());
    let output = run(&args);
    tape.close();
    let value = output.map_leaves(|leaf| leaf.below(&tape).clone());
    let seen = checks::Seen::of(&tape, &args);
    (value, Pullback { nodes: tape.take_nodes(), tape, traced, output, seen, site })
}

/// The transpose of a function at a point: see [`vjp`]. It can be called any number of times.
pub struct Pullback<G, V> {
    tape: Rc<Tape>,
    nodes: Vec<Node>,
    traced: G,
    output: V,
    seen: checks::Seen,
    site: Site,
}

impl<G: Tree, V: Tree> Pullback<G, V> {
    /// Takes a cotangent of the function's value (the same structure, dims and dtypes; leaves that are not
    /// floats count for nothing) to the cotangent of the chosen arguments.
    ///
    /// # Panics
    /// If `ct` is not of the value's structure, dims and dtypes, or nothing varies over a name in `reduce_axes`.
    #[track_caller]
    pub fn call(&self, ct: &V) -> G {
        self.call_from(ct, Location::caller())
    }

    /// [`Pullback::call`], for a caller at `site`.
    pub(crate) fn call_from(&self, ct: &V, site: Site) -> G {
        self.pull(self.nodes.clone(), ct, site)
    }

    /// [`Pullback::call`] for the last time: what the function has saved is dropped on the way.
    #[track_caller]
    pub(crate) fn call_once(mut self, ct: &V) -> G {
        let nodes = std::mem::take(&mut self.nodes);
        self.pull(nodes, ct, Location::caller())
    }

    fn pull(&self, nodes: Vec<Node>, ct: &V, site: Site) -> G {
        let mut seen = self.seen.clone();
        seen.note_leaves(&self.tape, ct);
        seen.check(self.tape.reduce_axes(), site);
        let seeds = self.seeds(ct, site);
        let mut gradients: Gradients = pull_back(&self.tape, nodes, seeds, self.site);
        self.traced.map_leaves(|leaf| gradient_of(&self.tape, leaf, &mut gradients))
    }

    /// All axes that values in the function vary over.
    pub(crate) fn axes(&self) -> AxisSet {
        axes_of(&self.nodes)
    }

    /// The axes that a cotangent is summed over, where the value does not vary and it does.
    pub(crate) fn reduces(&self, axis: &Axis) -> bool {
        self.tape.reduces(axis)
    }

    /// The function's value, on the tape.
    pub(crate) fn output(&self) -> &V {
        &self.output
    }

    fn seeds(&self, ct: &V, site: Site) -> Vec<(usize, Tensor)> {
        let cts = ct.leaves();
        let mut left = cts.iter();
        let mut seeds = Vec::new();
        self.output.visit(&Path::ROOT, &mut |path, leaf| {
            let ct = left.next().unwrap_or_else(|| {
                violation("vjp", &format!("the cotangent has no leaf for `{path}`"), &[leaf], site)
            });
            if !leaf.dtype().is_inexact() {
                return;
            }
            if ct.dtype() != leaf.dtype() || ct.dims() != leaf.dims() {
                let rule =
                    format!("a cotangent must have the value's dtype and dims, and at `{path}` it has not");
                violation("vjp", &rule, &[leaf, ct], site);
            }
            if let Some((node, _)) = leaf.on(&self.tape) {
                seeds.push((node, ct.clone()));
            }
        });
        if let Some(extra) = left.next() {
            let rule = "the cotangent has more leaves than the value";
            violation("vjp", rule, &[extra], site);
        }
        seeds
    }
}
