//! `jvp`, `linearize`, `linear_transpose`, `hvp`: forward-mode derivatives.
//!
//! No op has a rule for them. A pullback is linear in its cotangent, so its own transpose, at any point, pushes
//! tangents forward: the transpose of the transpose (Radul, Paszke, Frostig, Johnson and Maclaurin, "You only
//! linearize once", 2022, section 3, read from the other side). Both transposes are strict: they sum over every axis.

use std::marker::PhantomData;
use std::panic::Location;

use crate::error::violation;
use crate::function::{Arg, Arguments, Function, Select};
use crate::grad::{Grad, Pullback, checks, grad, trace};
use crate::ops::pvary::pvary_over;
use crate::tape::Tape;
use crate::tensor::Tensor;
use crate::tree::{Tree, difference};
use crate::types::AxisSet;

type Site = &'static Location<'static>;

/// A function's value and how it moves when an argument moves: `jvp(f).at(&x, &v)` is `(f(x), ∂f(x)·v)`, the
/// Jacobian times a tangent. It takes a few times as long as the function, however many elements there are.
///
/// The tangent has the structure, dims and dtypes of the argument (leaves that are not floats do not count). Where
/// it varies over an axis, so does the argument: along an axis of examples, each moves its own copy. Inside a function
/// whose gradients are per-example, pass all that it differentiates by as arguments: a captured value counts as one
/// value, and not as one for each example.
///
/// ```
/// use axisgrad::{Tensor, jvp};
/// let x = Tensor::from([1.0, 2.0]);
/// let (value, tangent) = jvp(|x: &Tensor| x * x).at(&x, &Tensor::from([1.0, 10.0]));
/// assert_eq!(value.to_vec::<f64>(), [1.0, 4.0]);
/// assert_eq!(tangent.to_vec::<f64>(), [2.0, 40.0]);
/// ```
pub fn jvp<F>(f: F) -> Jvp<F> {
    Jvp { f, marker: PhantomData }
}

/// See [`jvp`].
#[derive(Clone, Debug)]
#[must_use = "a transform does nothing until it is called with `at`"]
pub struct Jvp<F, S = Arg<0>> {
    f: F,
    marker: PhantomData<S>,
}

impl<F, S> Jvp<F, S> {
    /// Moves several arguments, `argnums::<(A0, A2)>()`, or another one, `argnums::<A1>()`; the tangents are a tuple
    /// of trees, or one tree.
    pub fn argnums<S2>(self) -> Jvp<F, S2> {
        Jvp { f: self.f, marker: PhantomData }
    }

    /// Calls the function with `&a` or `(&a, &b, …)`, and moves its argument along `tangents`.
    ///
    /// # Panics
    /// If the tangents are not of the argument's structure, dims and dtypes.
    #[track_caller]
    pub fn at<X: Arguments>(&self, args: X, tangents: &S::Selected) -> (F::Output, F::Output)
    where
        F: Function<X::Args, Output: Tree>,
        S: Select<X::Args>,
    {
        push::<S, _, _>("jvp", args.to_args(), tangents, |args| self.f.call(args))
    }
}

/// The value of a function, and the tangent that goes with those of its chosen arguments.
#[track_caller]
fn push<S, Args, V>(
    transform: &str,
    mut args: Args,
    tangents: &S::Selected,
    run: impl Fn(&Args) -> V,
) -> (V, V)
where
    Args: Tree,
    S: Select<Args>,
    V: Tree,
{
    let site = Location::caller();
    let moving = S::get(&args);
    check(transform, &moving, tangents, site);
    let varied = moving.zip_leaves(tangents, |_, x, tangent| vary_like(x, tangent, site));
    S::put(&mut args, varied);
    let (value, pushforward) = linearized::<S, _, _>(&args, run);
    let moved = pushforward.call(tangents);
    (value, moved)
}

/// `x`, varying at least over the axes of its tangent.
fn vary_like(x: &Tensor, tangent: &Tensor, site: Site) -> Tensor {
    if x.axes().union(tangent.axes()).is_err() {
        violation("jvp", "a tangent varies over another axis of the same name", &[x, tangent], site);
    }
    pvary_over(x, tangent.axes(), site)
}

/// A function's value and its derivative there as a linear function of tangents: `linearize(f).at(&x)` is
/// `(f(x), pushforward)`. The function runs once; [`Pushforward::call`] costs about as much as a gradient does.
///
/// ```
/// use axisgrad::{Tensor, linearize};
/// let (_, pushforward) = linearize(|x: &Tensor| x * x).at(&Tensor::from(3.0));
/// assert_eq!(pushforward.call(&Tensor::from(1.0)).item::<f64>(), 6.0);
/// assert_eq!(pushforward.call(&Tensor::from(-2.0)).item::<f64>(), -12.0);
/// ```
pub fn linearize<F>(f: F) -> Linearize<F> {
    Linearize { f, marker: PhantomData }
}

/// See [`linearize`].
#[derive(Clone, Debug)]
#[must_use = "a transform does nothing until it is called with `at`"]
pub struct Linearize<F, S = Arg<0>> {
    f: F,
    marker: PhantomData<S>,
}

impl<F, S> Linearize<F, S> {
    /// By several arguments, `argnums::<(A0, A2)>()`, or by another one, `argnums::<A1>()`.
    pub fn argnums<S2>(self) -> Linearize<F, S2> {
        Linearize { f: self.f, marker: PhantomData }
    }

    /// Runs the function with `&a` or `(&a, &b, …)`.
    #[track_caller]
    pub fn at<X: Arguments>(&self, args: X) -> (F::Output, Pushforward<S::Selected, F::Output>)
    where
        F: Function<X::Args, Output: Tree>,
        S: Select<X::Args>,
    {
        linearized::<S, _, _>(&args.to_args(), |args| self.f.call(args))
    }
}

/// The value of a function, and the transpose of its transpose.
///
/// Inside a function whose gradients are per-example, an argument stands for one value per position along axes over
/// which it does not vary in fact. A strict transpose would take it for one value: so it is varied over those of them
/// that turn up in the function, which then runs again.
#[track_caller]
pub(crate) fn linearized<S, Args, V>(
    args: &Args,
    run: impl Fn(&Args) -> V,
) -> (V, Pushforward<S::Selected, V>)
where
    Args: Tree,
    S: Select<Args>,
    V: Tree,
{
    let site = Location::caller();
    let (mut value, mut pullback) = trace::<S, _, _>(args, Tape::strict(), &run);
    let axes = pullback.axes();
    if args.leaves().iter().any(|x| !positions_of(x, &axes).is_empty()) {
        let args = args.map_leaves(|x| pvary_over(x, &positions_of(x, &axes), site));
        (value, pullback) = trace::<S, _, _>(&args, Tape::strict(), &run);
    }
    let zeros = (value.map_leaves(Tensor::zeros_like),);
    let (_, transpose) = trace::<Arg<0>, _, _>(&zeros, Tape::strict(), |(ct,): &(V,)| pullback.call_once(ct));
    (value, Pushforward { transpose })
}

/// Of `axes`, those over which `x` does not vary, and counts as one value per position on a tape that it is on.
fn positions_of(x: &Tensor, axes: &AxisSet) -> AxisSet {
    let (mut value, mut found) = (x, AxisSet::new());
    while let Some(tape) = value.tape() {
        let (node, below) = value.on(tape).expect("on its own tape");
        let settled = tape.settled(node);
        let each = axes.minus(x.axes()).filter(|axis| !tape.reduces(axis) && !settled.contains(axis.name()));
        found = found.union(&each).unwrap_or(found);
        value = below;
    }
    found
}

/// The derivative of a function at a point, a linear function of tangents: see [`linearize`]. It can be called any
/// number of times.
pub struct Pushforward<G, V> {
    transpose: Pullback<V, G>,
}

impl<G: Tree, V: Tree> Pushforward<G, V> {
    /// Takes tangents of the chosen arguments (the same structure, dims and dtypes; leaves that are not floats count
    /// for nothing) to the tangent of the function's value.
    ///
    /// # Panics
    /// If they are not of the arguments' structure, dims and dtypes, or vary over an axis that the argument does not
    /// vary over.
    #[track_caller]
    pub fn call(&self, tangents: &G) -> V {
        let site = Location::caller();
        let at = self.transpose.output();
        check("linearize", at, tangents, site);
        at.zip_leaves(tangents, |_, x, tangent| self.check_axes(x, tangent, site));
        self.transpose.call(tangents)
    }

    /// An axis that is younger than the function's run maps this call, and may be there.
    fn check_axes(&self, x: &Tensor, tangent: &Tensor, site: Site) -> Tensor {
        let extra = tangent.axes().minus(x.axes()).filter(|axis| self.transpose.reduces(axis));
        if let Some(axis) = extra.iter().next() {
            let rule = format!(
                "the tangent varies over `{0}`, and the argument does not\n   help: take the argument to vary over \
                 it first, with pvary, or use jvp",
                axis.name()
            );
            violation("linearize", &rule, &[x, tangent], site);
        }
        x.clone()
    }
}

fn check<G: Tree>(transform: &str, at: &G, tangents: &G, site: Site) {
    if let Some(difference) = difference(at, tangents) {
        violation(transform, &difference, &[], site);
    }
    at.zip_leaves(tangents, |path, x, tangent| {
        let moves = x.dtype().is_inexact();
        if moves && (x.dtype() != tangent.dtype() || x.dims() != tangent.dims()) {
            let rule =
                format!("a tangent must have the argument's dtype and dims, and at `{path}` it has not");
            violation(transform, &rule, &[x, tangent], site);
        }
        x.clone()
    });
}

/// The transpose of a *linear* function, by the type of its argument: `linear_transpose(f).at(&x)` is the function
/// that takes a cotangent of the result to one of the argument. Only the type of `x` counts.
///
/// ```
/// use axisgrad::{Tensor, linear_transpose};
/// let a = Tensor::from([[1.0, 2.0], [3.0, 4.0]]);
/// let transpose = linear_transpose(|x: &Tensor| a.dot(x)).at(&Tensor::from([0.0, 0.0]));
/// assert_eq!(transpose.call(&Tensor::from([1.0, 10.0])).to_vec::<f64>(), [31.0, 42.0]);
/// ```
pub fn linear_transpose<F>(f: F) -> LinearTranspose<F> {
    LinearTranspose { f, reduce_axes: Vec::new(), marker: PhantomData }
}

/// See [`linear_transpose`].
#[derive(Clone, Debug)]
#[must_use = "a transform does nothing until it is called with `at`"]
pub struct LinearTranspose<F, S = Arg<0>> {
    f: F,
    reduce_axes: Vec<String>,
    marker: PhantomData<S>,
}

impl<F, S> LinearTranspose<F, S> {
    /// Of a function that is linear in several arguments together, or in another one than the first.
    pub fn argnums<S2>(self) -> LinearTranspose<F, S2> {
        LinearTranspose { f: self.f, reduce_axes: self.reduce_axes, marker: PhantomData }
    }

    /// The axes over which cotangents are summed: see [`Grad::reduce_axes`](crate::grad::Grad::reduce_axes).
    pub fn reduce_axes<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.reduce_axes = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
        self
    }

    /// The transpose at `&a` or `(&a, &b, …)`, of which the chosen arguments give only their types.
    ///
    /// # Panics
    /// If the function of zeros is not zero: then it is not linear.
    #[track_caller]
    pub fn at<X: Arguments>(&self, args: X) -> Pullback<S::Selected, F::Output>
    where
        F: Function<X::Args, Output: Tree>,
        S: Select<X::Args>,
    {
        let site = Location::caller();
        checks::names(&self.reduce_axes, site);
        let mut args = args.to_args();
        let zeros = S::get(&args).map_leaves(Tensor::zeros_like);
        S::put(&mut args, zeros);
        let tape = Tape::new(&self.reduce_axes);
        let (value, pullback) = trace::<S, _, _>(&args, tape, |args| self.f.call(args));
        value.leaves().iter().for_each(|leaf| check_zero(leaf, site));
        pullback
    }
}

fn check_zero(leaf: &Tensor, site: Site) {
    if leaf.dtype().is_inexact() && leaf.ne(leaf.zeros_like()).array().to_vec::<bool>().contains(&true) {
        violation("linear_transpose", "the function of zeros is not zero: it is not linear", &[leaf], site);
    }
}

/// The gradient's derivative along a direction: `hvp(f).at(&x, &v)` is the Hessian of a scalar function times `v`,
/// at the price of a few gradients; the Hessian itself is never there.
///
/// ```
/// use axisgrad::{Tensor, hvp};
/// let cubes = |x: &Tensor| (x * x * x).sum(());
/// let product = hvp(cubes).at(&Tensor::from([1.0, 2.0]), &Tensor::from([1.0, 10.0]));
/// assert_eq!(product.to_vec::<f64>(), [6.0, 120.0]);
/// ```
pub fn hvp<F>(f: F) -> Hvp<F> {
    Hvp { gradient: grad(f) }
}

/// See [`hvp`].
#[derive(Clone, Debug)]
#[must_use = "a transform does nothing until it is called with `at`"]
pub struct Hvp<F, S = Arg<0>> {
    gradient: Grad<F, S>,
}

impl<F, S> Hvp<F, S> {
    /// By several arguments, `argnums::<(A0, A2)>()`, or by another one, `argnums::<A1>()`.
    pub fn argnums<S2>(self) -> Hvp<F, S2> {
        Hvp { gradient: self.gradient.argnums() }
    }

    /// Sums over these axes, as the gradient does: see [`Grad::reduce_axes`].
    pub fn reduce_axes<N: AsRef<str>>(self, names: impl IntoIterator<Item = N>) -> Self {
        Hvp { gradient: self.gradient.reduce_axes(names) }
    }

    /// The Hessian at `&a` or `(&a, &b, …)`, times `direction`.
    ///
    /// # Panics
    /// As [`grad`] and [`jvp`].
    #[track_caller]
    pub fn at<X: Arguments>(&self, args: X, direction: &S::Selected) -> S::Selected
    where
        F: Function<X::Args, Output = Tensor>,
        S: Select<X::Args>,
    {
        push::<S, _, _>("hvp", args.to_args(), direction, |args| self.gradient.call(args)).1
    }
}

#[cfg(test)]
mod tests;
