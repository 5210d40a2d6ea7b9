//! `grad_norms` and `clipped_grad`: how long each example's gradient is, without the gradients.

use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;

use super::backward::{self, Squares};
use super::{checks, gradient_of, trace_leaf};
use crate::error::violation;
use crate::function::{Arg, Arguments, Function, Select};
use crate::ops::{norm, stack};
use crate::tape::Tape;
use crate::tensor::Tensor;
use crate::tree::Tree;

type Site = &'static Location<'static>;

/// The norms of the gradients that [`grad`](crate::grad()) gives: for each leaf *‖∂f/∂leaf‖*, one number per position of
/// the axes.
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
    /// As [`grad`](crate::grad()).
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
    let site = Location::caller();
    let Traced { tape, chosen, output } = trace::<S, _>(args, run, site);
    norms_of(&tape, &chosen, &mut backward::gradient_squares(&tape, &output, site))
}

/// A function's chosen arguments and result on a tape that reduces no axis.
struct Traced<C> {
    tape: Rc<Tape>,
    chosen: C,
    output: Tensor,
}

fn trace<S, Args>(args: &Args, run: impl FnOnce(&Args) -> Tensor, site: Site) -> Traced<S::Selected>
where
    Args: Tree,
    S: Select<Args>,
{
    let chosen = S::get(args);
    checks::positions(&S::positions(), site);
    checks::inputs("grad_norms", &chosen, false, false, site);
    let tape = Tape::new::<&str>(&[]);
    let chosen = chosen.map_leaves(|leaf| trace_leaf(&tape, leaf, site));
    let mut args = args.clone();
    S::put(&mut args, chosen.clone());
    let output = run(&args);
    checks::output(&output, false, site);
    tape.close();
    Traced { tape, chosen, output }
}

fn norms_of<C: Tree>(tape: &Rc<Tape>, chosen: &C, squares: &mut Squares) -> C {
    chosen.map_leaves(|leaf| {
        let (node, below) = leaf.on(tape).expect("a leaf of the tape");
        squares.remove(&node).unwrap_or_else(|| below.zeros_like().abs().sum(())).sqrt()
    })
}

/// The Euclidean norm of all leaves together, which may be norms themselves: `-> f32[]`, and `f32[]{batch}` of leaves
/// that vary.
///
/// ```
/// use axisgrad::{Tensor, global_norm};
/// let gradient = (Tensor::from([3.0]), Tensor::from([0.0, 4.0]));
/// assert_eq!(global_norm(&gradient).item::<f64>(), 5.0);
/// ```
///
/// # Panics
/// If the tree has no leaf.
#[track_caller]
pub fn global_norm(tree: &impl Tree) -> Tensor {
    let norms: Vec<Tensor> = tree.leaves().iter().map(|leaf| norm(leaf, ())).collect();
    assert!(!norms.is_empty(), "global_norm: the tree has no leaf");
    norm(&stack(&norms.iter().collect::<Vec<_>>(), 0), ())
}

/// The sum over examples of their gradients, each scaled down to the length `max_norm` if it is longer: the gradient of
/// differentially private training, before noise (Abadi et al., "Deep learning with differential privacy", 2016).
///
/// One backward pass: what it brings to each weight is kept until the norms are known, and then summed, an example
/// counting by its factor (Bu et al., "Differentially private optimization on large foundation models at the cost of
/// standard training", 2023). So it costs about a total gradient and the norms. An example's gradient is that of its
/// own loss: the function must not exchange values among examples. A `max_norm` that is not positive is refused.
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

    /// The axes of the examples: the clipped gradients are summed over them. See [`Grad::reduce_axes`](super::Grad::reduce_axes).
    pub fn reduce_axes<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.reduce_axes = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
        self
    }

    /// Calls the transform with `&a` or `(&a, &b, …)`.
    ///
    /// # Panics
    /// As [`grad`](crate::grad()).
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
        let site = Location::caller();
        checks::names(&self.reduce_axes, site);
        if self.max_norm.is_nan() || self.max_norm <= 0.0 {
            let rule = format!("gradients are clipped to a positive norm, and it is {}", self.max_norm);
            violation("clipped_grad", &rule, &[], site);
        }
        let Traced { tape, chosen, output } = trace::<S, _>(args, |args| self.f.call(args), site);
        checks::Seen::of(&tape, args).check(&self.reduce_axes, site);
        // Neither 0/0 nor a factor above 1.
        let factor = |squares: &mut Squares| {
            self.max_norm / global_norm(&norms_of(&tape, &chosen, squares)).maximum(self.max_norm)
        };
        let mut gradients = backward::scaled_gradient(&tape, &output, &self.reduce_axes, site, factor);
        chosen.map_leaves(|leaf| gradient_of(&tape, leaf, &mut gradients))
    }
}

#[cfg(test)]
mod tests;
