//! `grad`, `value_and_grad`, `vjp`: reverse-mode derivatives with named axes.
//!
//! The parameters are those of `jax.grad`; what `reduce_axes` means is decided in one place, where backward
//! passes a `pvary` (see `backward.rs`).

pub(crate) mod accum;
pub(crate) mod backward;
pub(crate) mod checks;
mod nested;
mod norms;
mod vjp;

use std::marker::PhantomData;
use std::panic::Location;

use crate::array::Array;
use crate::function::{Arg, Arguments, Function, Select};
use crate::tape::Tape;
use crate::tensor::Tensor;
use crate::tree::Tree;

pub use norms::{ClippedGrad, GradNorms, clipped_grad, global_norm, grad_norms};
pub(crate) use vjp::trace;
pub use vjp::{Pullback, vjp};

/// The gradient of a function with a scalar result, as a function of the same arguments.
///
/// Arguments that do not vary over an axis, and meet values that do, get one gradient per position:
/// `f32[..]{batch}`. For the axes named in [`reduce_axes`](Grad::reduce_axes) they get the total, `f32[..]`.
///
/// ```
/// use axisgrad::{Tensor, grad};
/// let slope = grad(Tensor::tanh).at(&Tensor::from(0.2));
/// assert_eq!(slope.item::<f64>(), 1.0 - 0.2f64.tanh().powi(2));
/// ```
pub fn grad<F>(f: F) -> Grad<F> {
    Grad { inner: Differentiated::new(f) }
}

/// Like [`grad`], but returns the value too: `(value, gradient)`. The value is not reduced.
///
/// ```
/// use axisgrad::{Tensor, value_and_grad};
/// let (value, slope) = value_and_grad(|x: &Tensor| x * x).at(&Tensor::from(3.0));
/// assert_eq!((value.item::<f64>(), slope.item::<f64>()), (9.0, 6.0));
/// ```
pub fn value_and_grad<F>(f: F) -> ValueAndGrad<F> {
    ValueAndGrad { inner: Differentiated::new(f) }
}

/// A function to differentiate and how.
#[derive(Clone, Debug)]
struct Differentiated<F, S, X> {
    f: F,
    holomorphic: bool,
    allow_int: bool,
    reduce_axes: Vec<String>,
    marker: PhantomData<(S, X)>,
}

/// The function returns a scalar.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

/// The function returns a scalar and a tree that is passed through.
#[derive(Clone, Copy, Debug)]
pub struct WithAux;

/// See [`grad`].
#[derive(Clone, Debug)]
#[must_use = "a transform does nothing until it is called with `at`"]
pub struct Grad<F, S = Arg<0>, X = Plain> {
    inner: Differentiated<F, S, X>,
}

/// See [`value_and_grad`].
#[derive(Clone, Debug)]
#[must_use = "a transform does nothing until it is called with `at`"]
pub struct ValueAndGrad<F, S = Arg<0>, X = Plain> {
    inner: Differentiated<F, S, X>,
}

impl<F, S, X> Differentiated<F, S, X> {
    fn with<S2, X2>(self) -> Differentiated<F, S2, X2> {
        let Self { f, holomorphic, allow_int, reduce_axes, .. } = self;
        Differentiated { f, holomorphic, allow_int, reduce_axes, marker: PhantomData }
    }
}

impl<F> Differentiated<F, Arg<0>, Plain> {
    fn new(f: F) -> Self {
        Self { f, holomorphic: false, allow_int: false, reduce_axes: Vec::new(), marker: PhantomData }
    }
}

/// What `f` returned, off the tape, and the gradients of the chosen arguments.
struct Outcome<V, G> {
    value: Tensor,
    aux: V,
    gradients: G,
}

impl<F, S, X> Differentiated<F, S, X> {
    /// Runs `f` on a tape and back; `split` takes what it returned apart.
    #[track_caller]
    fn run<Args, V>(
        &self,
        args: &Args,
        split: impl FnOnce(F::Output) -> (Tensor, V),
    ) -> Outcome<V, S::Selected>
    where
        Args: Tree,
        F: Function<Args>,
        S: Select<Args>,
        V: Tree,
    {
        let site = Location::caller();
        let (tape, traced, traced_args) = self.trace(args, site);
        let (output, aux) = {
            let _span = tracing::debug_span!(target: "axisgrad", "forward").entered();
            split(self.f.call(&traced_args))
        };
        checks::output(&output, self.holomorphic, site);
        tape.close();
        if !self.reduce_axes.is_empty() {
            checks::Seen::of(&tape, args).check(&self.reduce_axes, site);
        }
        let _span = tracing::debug_span!(target: "axisgrad", "backward").entered();
        let mut gradients = backward::gradient(&tape, &output, site);
        Outcome {
            value: output.below(&tape).clone(),
            aux: aux.map_leaves(|leaf| leaf.below(&tape).clone()),
            gradients: traced.map_leaves(|leaf| gradient_of(&tape, leaf, &mut gradients)),
        }
    }

    /// Puts the chosen arguments on a new tape.
    fn trace<Args>(
        &self,
        args: &Args,
        site: &'static Location<'static>,
    ) -> (std::rc::Rc<Tape>, S::Selected, Args)
    where
        Args: Tree,
        S: Select<Args>,
    {
        checks::positions(&S::positions(), site);
        checks::names(&self.reduce_axes, site);
        let mut traced_args = nested::as_counted(args, self.reduce_axes.iter().map(String::as_str), site);
        let chosen = S::get(&traced_args);
        checks::inputs("grad", &chosen, self.holomorphic, self.allow_int, site);
        let tape = Tape::new(&self.reduce_axes);
        let traced = chosen.map_leaves(|leaf| trace_leaf(&tape, leaf, site));
        S::put(&mut traced_args, traced.clone());
        (tape, traced, traced_args)
    }
}

/// Integers are not traced: nothing flows back to them.
fn trace_leaf(tape: &std::rc::Rc<Tape>, leaf: &Tensor, site: &'static Location<'static>) -> Tensor {
    if leaf.dtype().is_inexact() { tape.leaf(leaf, site) } else { leaf.clone() }
}

/// The gradient of a traced argument: zeros if it was not used, `float0` if it is not a number to move.
fn gradient_of(tape: &Tape, leaf: &Tensor, gradients: &mut backward::Gradients) -> Tensor {
    let lanes = leaf.axes().lane_dims();
    match leaf.on(tape) {
        Some((node, below)) => gradients.take(node).unwrap_or_else(|| below.zeros_like()),
        None => {
            let dims: Vec<usize> = lanes.iter().chain(leaf.dims()).copied().collect();
            Tensor::ground(Array::float0(&dims), leaf.axes().clone())
        }
    }
}

/// The parameters, the same for both builders.
macro_rules! parameters {
    ($builder:ident) => {
        impl<F, S, X> $builder<F, S, X> {
            /// Differentiates with respect to argument `N` instead of the first; the result has its structure.
            pub fn argnum<const N: usize>(self) -> $builder<F, Arg<N>, X> {
                $builder { inner: self.inner.with() }
            }

            /// Differentiates with respect to several arguments, `argnums::<(A0, A2)>()`; the result is a tuple
            /// of gradients in that order.
            pub fn argnums<S2>(self) -> $builder<F, S2, X> {
                $builder { inner: self.inner.with() }
            }

            /// The function returns `(scalar, aux)`: `aux`, any tree, is passed through, and no gradient of this
            /// transform flows into it.
            pub fn has_aux(self) -> $builder<F, S, WithAux> {
                $builder { inner: self.inner.with() }
            }

            /// Complex arguments and a complex result: the derivative *f′(z)*, not conjugated.
            pub fn holomorphic(mut self) -> Self {
                self.inner.holomorphic = true;
                self
            }

            /// Arguments may have integer and bool leaves; their gradient is a `float0` tensor of the same dims.
            pub fn allow_int(mut self) -> Self {
                self.inner.allow_int = true;
                self
            }

            /// Sums the gradients over these axes, instead of giving one per position: wherever a value that
            /// does not vary over one of them was broadcast along it, backward does a `psum`.
            ///
            /// Inside another function under `grad` whose own gradients are not reduced over one of them, its
            /// arguments count as one value for each position, and a gradient by one of them is not summed.
            ///
            /// # Panics
            /// When called with arguments: if a name is given twice; or if it is no axis of the mesh, nothing in the
            /// function varies over it, and something does over an axis that is not named.
            pub fn reduce_axes<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
                self.inner.reduce_axes = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
                self
            }

            /// Calls the transform with `&a` or `(&a, &b, …)`.
            ///
            /// # Panics
            /// If the result is not a scalar of a float type, or a chosen argument has leaves that are not
            /// floats: see `holomorphic` and `allow_int`.
            #[track_caller]
            pub fn at<X2: Arguments>(&self, args: X2) -> <Self as Function<X2::Args>>::Output
            where
                Self: Function<X2::Args>,
            {
                Function::call(self, &args.to_args())
            }
        }
    };
}
parameters!(Grad);
parameters!(ValueAndGrad);

impl<Args, F, S> Function<Args> for Grad<F, S, Plain>
where
    Args: Tree,
    F: Function<Args, Output = Tensor>,
    S: Select<Args>,
{
    type Output = S::Selected;
    #[track_caller]
    fn call(&self, args: &Args) -> S::Selected {
        self.inner.run(args, |value| (value, ())).gradients
    }
}

impl<Args, F, S, V> Function<Args> for Grad<F, S, WithAux>
where
    Args: Tree,
    F: Function<Args, Output = (Tensor, V)>,
    S: Select<Args>,
    V: Tree,
{
    type Output = (S::Selected, V);
    #[track_caller]
    fn call(&self, args: &Args) -> (S::Selected, V) {
        let outcome = self.inner.run(args, |pair| pair);
        (outcome.gradients, outcome.aux)
    }
}

impl<Args, F, S> Function<Args> for ValueAndGrad<F, S, Plain>
where
    Args: Tree,
    F: Function<Args, Output = Tensor>,
    S: Select<Args>,
{
    type Output = (Tensor, S::Selected);
    #[track_caller]
    fn call(&self, args: &Args) -> (Tensor, S::Selected) {
        let outcome = self.inner.run(args, |value| (value, ()));
        (outcome.value, outcome.gradients)
    }
}

impl<Args, F, S, V> Function<Args> for ValueAndGrad<F, S, WithAux>
where
    Args: Tree,
    F: Function<Args, Output = (Tensor, V)>,
    S: Select<Args>,
    V: Tree,
{
    type Output = ((Tensor, V), S::Selected);
    #[track_caller]
    fn call(&self, args: &Args) -> ((Tensor, V), S::Selected) {
        let outcome = self.inner.run(args, |pair| pair);
        ((outcome.value, outcome.aux), outcome.gradients)
    }
}
