//! `grad_norms` and `clipped_grad`: how long each example's gradient is, without the gradients.

use std::marker::PhantomData;
use std::panic::Location;

use super::{Grad, backward, checks, grad, trace_leaf};
use crate::function::{Arg, Arguments, Function, Select};
use crate::tape::Tape;
use crate::tensor::Tensor;
use crate::tree::{Path, Tree};

/// The norms of the gradients that [`grad`] gives: for each leaf *‖∂f/∂leaf‖*, one number per position of the axes.
///
/// `f32[..] -> f32[]{batch}`. For a weight that one product uses, or a table that one `take` does, the gradient of an
/// example is never there, and the norms cost the memory of a total gradient (Goodfellow, "Efficient per-example
/// gradient computations", 2015; for several rows an example, Gram matrices). For other uses it is computed and
/// squared, leaf by leaf. The length of the whole gradient is [`global_norm`] of the result.
///
/// ```
/// use axisgrad::{Tensor, grad_norms, ops::gather};
/// let x = Tensor::from([[3.0, 4.0], [0.0, 2.0]]).unstack("batch", 0);
/// let norms = grad_norms(|w: &Tensor, x: &Tensor| x.dot(w)).at((&Tensor::from([1.0, 1.0]), &x));
/// assert_eq!(gather(&norms, "batch").to_vec::<f64>(), [5.0, 2.0]);
/// ```
pub fn grad_norms<F>(f: F) -> GradNorms<F> {
    GradNorms { f, marker: PhantomData }
}

/// See [`grad_norms`].
#[derive(Clone, Debug)]
#[must_use = "a transform does nothing until it is called with `at`"]
pub struct GradNorms<F, S = Arg<0>> {
    f: F,
    marker: PhantomData<S>,
}

impl<F, S> GradNorms<F, S> {
    /// By several arguments, `argnums::<(A0, A2)>()`, or by another one, `argnums::<A1>()`.
    pub fn argnums<S2>(self) -> GradNorms<F, S2> {
        GradNorms { f: self.f, marker: PhantomData }
    }

    /// Calls the transform with `&a` or `(&a, &b, …)`.
    ///
    /// # Panics
    /// As [`grad`].
    #[track_caller]
    pub fn at<X: Arguments>(&self, args: X) -> <Self as Function<X::Args>>::Output
    where
        Self: Function<X::Args>,
    {
        Function::call(self, &args.to_args())
    }
}

impl<Args, F, S> Function<Args> for GradNorms<F, S>
where
    Args: Tree,
    F: Function<Args, Output = Tensor>,
    S: Select<Args>,
{
    type Output = S::Selected;

    #[track_caller]
    fn call(&self, args: &Args) -> S::Selected {
        norms::<S, _>(args, |args| self.f.call(args))
    }
}

#[track_caller]
fn norms<S, Args>(args: &Args, run: impl FnOnce(&Args) -> Tensor) -> S::Selected
where
    Args: Tree,
    S: Select<Args>,
{
    let (site, chosen) = (Location::caller(), S::get(args));
    checks::positions(&S::positions(), site);
    checks::inputs("grad_norms", &chosen, false, false, site);
    let tape = Tape::new::<&str>(&[]);
    let traced = chosen.map_leaves(|leaf| trace_leaf(&tape, leaf, site));
    let mut args = args.clone();
    S::put(&mut args, traced.clone());
    let output = run(&args);
    checks::output(&output, false, site);
    tape.close();
    let mut squares = backward::gradient_squares(&tape, &output, site);
    traced.map_leaves(|leaf| {
        let (node, below) = leaf.on(&tape).expect("a leaf of the tape");
        squares.remove(&node).unwrap_or_else(|| below.zeros_like().abs().sum(())).sqrt()
    })
}

/// The norm of all leaves together, from the norms of the leaves: `f32[]{batch}` from a tree of these.
///
/// # Panics
/// If there are no leaves.
pub fn global_norm(norms: &impl Tree) -> Tensor {
    let mut sum: Option<Tensor> = None;
    norms.visit(&Path::ROOT, &mut |_, norm| {
        let square = norm * norm;
        sum = Some(sum.take().map_or_else(|| square.clone(), |sum| sum + &square));
    });
    sum.expect("at least one leaf").sqrt()
}

/// The sum over examples of their gradients, each scaled down to the length `max_norm` if it is longer: the gradient of
/// differentially private training, before noise (Abadi et al., "Deep learning with differential privacy", 2016).
///
/// Two backward passes: one for the norms, one for the total, where an example counts by its factor (Lee and Kifer,
/// "Scaling up differentially private deep learning with fast per-example gradient clipping", 2021). An example's
/// gradient is that of its own loss: the function must not exchange values among examples.
///
/// ```
/// use axisgrad::{Tensor, clipped_grad};
/// let x = Tensor::from([[3.0, 4.0], [0.0, 0.5]]).unstack("batch", 0);
/// let loss = |w: &Tensor, x: &Tensor| x.dot(w);
/// let sum = clipped_grad(loss, 1.0).reduce_axes(["batch"]).at((&Tensor::from([1.0, 1.0]), &x));
/// assert_eq!(sum.to_vec::<f64>(), [0.6000000000000001, 1.3]);
/// ```
pub fn clipped_grad<F>(f: F, max_norm: f64) -> ClippedGrad<F> {
    ClippedGrad { f, max_norm, reduce_axes: Vec::new(), marker: PhantomData }
}

/// See [`clipped_grad`].
#[derive(Clone, Debug)]
#[must_use = "a transform does nothing until it is called with `at`"]
pub struct ClippedGrad<F, S = Arg<0>> {
    f: F,
    max_norm: f64,
    reduce_axes: Vec<String>,
    marker: PhantomData<S>,
}

impl<F, S> ClippedGrad<F, S> {
    /// By several arguments, `argnums::<(A0, A2)>()`, or by another one, `argnums::<A1>()`.
    pub fn argnums<S2>(self) -> ClippedGrad<F, S2> {
        let Self { f, max_norm, reduce_axes, .. } = self;
        ClippedGrad { f, max_norm, reduce_axes, marker: PhantomData }
    }

    /// The axes of the examples: the clipped gradients are summed over them. See [`Grad::reduce_axes`].
    pub fn reduce_axes<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.reduce_axes = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
        self
    }

    /// Calls the transform with `&a` or `(&a, &b, …)`.
    ///
    /// # Panics
    /// As [`grad`].
    #[track_caller]
    pub fn at<X: Arguments>(&self, args: X) -> <Self as Function<X::Args>>::Output
    where
        Self: Function<X::Args>,
    {
        Function::call(self, &args.to_args())
    }
}

impl<Args, F, S> Function<Args> for ClippedGrad<F, S>
where
    Args: Tree,
    F: Function<Args, Output = Tensor>,
    S: Select<Args>,
{
    type Output = S::Selected;

    #[track_caller]
    fn call(&self, args: &Args) -> S::Selected {
        let length = global_norm(&norms::<S, _>(args, |args| self.f.call(args)));
        // Neither 0/0 nor a factor above 1.
        let factor = self.max_norm / length.maximum(self.max_norm);
        let weighted = Weighted { f: &self.f, factor };
        let total: Grad<_, S> = grad(weighted).argnums();
        total.reduce_axes(&self.reduce_axes).call(args)
    }
}

/// A function whose result counts by a factor.
struct Weighted<'f, F> {
    f: &'f F,
    factor: Tensor,
}

impl<Args, F> Function<Args> for Weighted<'_, F>
where
    F: Function<Args, Output = Tensor>,
{
    type Output = Tensor;

    #[track_caller]
    fn call(&self, args: &Args) -> Tensor {
        self.f.call(args) * &self.factor
    }
}

#[cfg(test)]
mod tests;
