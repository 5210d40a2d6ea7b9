//! `vjp`: a function's value, and its transpose at that point.

use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;

use super::backward::{Gradients, pull_back};
use super::{checks, gradient_of, trace_leaf};
use crate::error::violation;
use crate::function::{Arg, Arguments, Function, Select};
use crate::tape::{Node, Tape};
use crate::tensor::Tensor;
use crate::tree::{Path, Tree};

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
        let site = Location::caller();
        checks::positions(&S::positions(), site);
        checks::names(&self.reduce_axes, site);
        let mut args = args.to_args();
        let tape = Tape::new(&self.reduce_axes);
        let traced = S::get(&args).map_leaves(|leaf| trace_leaf(&tape, leaf, site));
        S::put(&mut args, traced.clone());
        let output = self.f.call(&args);
        tape.close();
        let value = output.map_leaves(|leaf| leaf.below(&tape).clone());
        let seen = checks::axes_seen(&tape, &args);
        (value, Pullback { nodes: tape.take_nodes(), tape, traced, output, seen, site })
    }
}

/// The transpose of a function at a point: see [`vjp`]. It can be called any number of times.
pub struct Pullback<G, V> {
    tape: Rc<Tape>,
    nodes: Vec<Node>,
    traced: G,
    output: V,
    /// Names of the axes that values in the function vary over.
    seen: Vec<String>,
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
        let mut seen = self.seen.clone();
        ct.visit(&Path::ROOT, &mut |_, leaf| checks::note_axes(&mut seen, leaf.axes()));
        checks::reduced_axes_exist(&self.tape, seen, Location::caller());
        let seeds = self.seeds(ct, Location::caller());
        let mut gradients: Gradients = pull_back(&self.tape, self.nodes.clone(), seeds, self.site);
        self.traced.map_leaves(|leaf| gradient_of(&self.tape, leaf, &mut gradients))
    }

    fn seeds(&self, ct: &V, site: Site) -> Vec<(usize, Tensor)> {
        let mut cts = ct.leaves().into_iter();
        let mut seeds = Vec::new();
        self.output.visit(&Path::ROOT, &mut |path, leaf| {
            let ct = cts.next().unwrap_or_else(|| {
                violation("vjp", &format!("the cotangent has no leaf for `{path}`"), &[leaf], site)
            });
            if let Some((node, below)) = leaf.on(&self.tape) {
                if ct.dtype() != below.dtype() || ct.dims() != below.dims() {
                    let rule = format!(
                        "a cotangent must have the value's dtype and dims, and at `{path}` it has not"
                    );
                    violation("vjp", &rule, &[below, &ct], site);
                }
                seeds.push((node, ct));
            }
        });
        seeds
    }
}
