//! `jacrev`, `jacfwd`, `hessian`: all derivatives of a tensor by a tensor.
//!
//! The transpose (backwards) or the derivative (forwards) of a function is a linear one; it is mapped over the rows
//! of a unit matrix, all at once.

use std::marker::PhantomData;
use std::panic::Location;

use crate::error::violation;
use crate::function::{Arg, Arguments, Function, Select};
use crate::grad::{checks, trace};
use crate::jvp::linearized;
use crate::ops::{eye, reshape};
use crate::tape::Tape;
use crate::tensor::Tensor;
use crate::tree::{Graft, Tree};
use crate::vmap::vmap;

type Site = &'static Location<'static>;

/// The Jacobian, backwards: for each leaf of the result a tree like the argument, whose leaves have the dims of the
/// result's leaf and then those of the argument's. Backwards is cheaper where the result is smaller.
///
/// `(f64[n] -> f64[m]) -> f64[m,n]`. As gradients are, it is one per position of a named axis, or the sum over those
/// in [`reduce_axes`](Jacrev::reduce_axes).
///
/// ```
/// use axisgrad::{Tensor, jacrev};
/// let x = Tensor::from([1.0, 2.0]);
/// let jacobian = jacrev(|x: &Tensor| x * x.sum(())).at(&x);
/// assert_eq!(jacobian.to_vec::<f64>(), [4.0, 1.0, 2.0, 5.0]);
/// ```
pub fn jacrev<F>(f: F) -> Jacrev<F> {
    Jacrev { f, reduce_axes: Vec::new(), holomorphic: false, marker: PhantomData }
}

/// See [`jacrev`].
#[derive(Clone, Debug)]
#[must_use = "a transform does nothing until it is called with `at`"]
pub struct Jacrev<F, S = Arg<0>> {
    f: F,
    reduce_axes: Vec<String>,
    holomorphic: bool,
    marker: PhantomData<S>,
}

/// The Jacobian, forwards: as [`jacrev`], and cheaper where the argument is smaller.
///
/// `(f64[n] -> f64[m]) -> f64[m,n]`. Along a named axis it says how the result at each position moves when the
/// argument moves: everywhere, if it does not vary.
///
/// ```
/// use axisgrad::{Tensor, jacfwd};
/// let x = Tensor::from([1.0, 2.0]);
/// let jacobian = jacfwd(|x: &Tensor| x * x.sum(())).at(&x);
/// assert_eq!(jacobian.to_vec::<f64>(), [4.0, 1.0, 2.0, 5.0]);
/// ```
pub fn jacfwd<F>(f: F) -> Jacfwd<F> {
    Jacfwd { f, holomorphic: false, marker: PhantomData }
}

/// See [`jacfwd`].
#[derive(Clone, Debug)]
#[must_use = "a transform does nothing until it is called with `at`"]
pub struct Jacfwd<F, S = Arg<0>> {
    f: F,
    holomorphic: bool,
    marker: PhantomData<S>,
}

/// The second derivatives of a function: the forward Jacobian of the backward one.
///
/// `(f64[n] -> f64[]) -> f64[n,n]` and `(f64[n] -> f64[m]) -> f64[m,n,n]`; for a tree, a tree of trees. Products of it
/// with directions need no Hessian: see [`hvp`](crate::hvp()).
///
/// ```
/// use axisgrad::{Tensor, hessian};
/// let hessian = hessian(|x: &Tensor| (x * x * x).sum(())).at(&Tensor::from([1.0, 2.0]));
/// assert_eq!(hessian.to_vec::<f64>(), [6.0, 0.0, 0.0, 12.0]);
/// ```
pub fn hessian<F>(f: F) -> Hessian<F> {
    Hessian { gradient: jacrev(f), holomorphic: false }
}

/// See [`hessian`].
#[derive(Clone, Debug)]
#[must_use = "a transform does nothing until it is called with `at`"]
pub struct Hessian<F, S = Arg<0>> {
    gradient: Jacrev<F, S>,
    holomorphic: bool,
}

impl<F, S> Jacrev<F, S> {
    /// By several arguments, `argnums::<(A0, A2)>()`, or by another one, `argnums::<A1>()`.
    pub fn argnums<S2>(self) -> Jacrev<F, S2> {
        let Self { f, reduce_axes, holomorphic, .. } = self;
        Jacrev { f, reduce_axes, holomorphic, marker: PhantomData }
    }

    /// Sums over these axes: see [`Grad::reduce_axes`](crate::grad::Grad::reduce_axes).
    pub fn reduce_axes<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.reduce_axes = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
        self
    }
}

impl<F, S> Jacfwd<F, S> {
    /// By several arguments, `argnums::<(A0, A2)>()`, or by another one, `argnums::<A1>()`.
    pub fn argnums<S2>(self) -> Jacfwd<F, S2> {
        Jacfwd { f: self.f, holomorphic: self.holomorphic, marker: PhantomData }
    }
}

impl<F, S> Hessian<F, S> {
    /// By several arguments, `argnums::<(A0, A2)>()`, or by another one, `argnums::<A1>()`.
    pub fn argnums<S2>(self) -> Hessian<F, S2> {
        Hessian { gradient: self.gradient.argnums(), holomorphic: self.holomorphic }
    }

    /// Sums over these axes: see [`Grad::reduce_axes`](crate::grad::Grad::reduce_axes).
    pub fn reduce_axes<N: AsRef<str>>(self, names: impl IntoIterator<Item = N>) -> Self {
        Hessian { gradient: self.gradient.reduce_axes(names), holomorphic: self.holomorphic }
    }
}

macro_rules! calls {
    ($builder:ident: $holomorphic:item) => {
        impl<F, S> $builder<F, S> {
            /// Complex arguments and a complex result: the derivatives *∂f/∂z*, not conjugated.
            $holomorphic

            /// Calls the transform with `&a` or `(&a, &b, …)`.
            ///
            /// # Panics
            /// If arguments or results are not floats, or complex without `holomorphic`.
            #[track_caller]
            pub fn at<X: Arguments>(&self, args: X) -> <Self as Function<X::Args>>::Output
            where
                Self: Function<X::Args>,
            {
                Function::call(self, &args.to_args())
            }
        }
    };
}
calls!(Jacrev: pub fn holomorphic(mut self) -> Self {
    self.holomorphic = true;
    self
});
calls!(Jacfwd: pub fn holomorphic(mut self) -> Self {
    self.holomorphic = true;
    self
});
calls!(Hessian: pub fn holomorphic(self) -> Self {
    Self { gradient: self.gradient.holomorphic(), holomorphic: true }
});

impl<Args, F, S> Function<Args> for Jacrev<F, S>
where
    Args: Tree,
    F: Function<Args, Output: Graft>,
    S: Select<Args>,
{
    type Output = <F::Output as Graft>::Of<S::Selected>;

    #[track_caller]
    fn call(&self, args: &Args) -> Self::Output {
        let site = Location::caller();
        checks::names(&self.reduce_axes, site);
        checks::inputs("jacrev", &S::get(args), self.holomorphic, false, site);
        let tape = Tape::new(&self.reduce_axes);
        let (value, pullback) = trace::<S, _, _>(args, tape, |args| self.f.call(args));
        value.leaves().iter().for_each(|leaf| check_real("jacrev", "result", leaf, self.holomorphic, site));
        let mut at = 0..;
        value.graft(&mut |leaf| {
            let at = at.next().expect("a number for each leaf");
            let rows = vmap(|row: &Tensor| pullback.call_from(&alone(&value, at, row), site)).at(&unit(leaf));
            rows.map_leaves(|rows| reshape(rows, [leaf.dims(), &rows.dims()[1..]].concat()))
        })
    }
}

impl<Args, F, S> Function<Args> for Jacfwd<F, S>
where
    Args: Tree,
    F: Function<Args, Output: Graft>,
    S: Select<Args>,
{
    type Output = <F::Output as Graft>::Of<S::Selected>;

    #[track_caller]
    fn call(&self, args: &Args) -> Self::Output {
        forward::<S, _, _>("jacfwd", args, |args| self.f.call(args), self.holomorphic)
    }
}

impl<Args, F, S> Function<Args> for Hessian<F, S>
where
    Args: Tree,
    F: Function<Args, Output: Graft<Of<S::Selected>: Graft>>,
    S: Select<Args>,
{
    type Output = <<F::Output as Graft>::Of<S::Selected> as Graft>::Of<S::Selected>;

    #[track_caller]
    fn call(&self, args: &Args) -> Self::Output {
        forward::<S, _, _>("hessian", args, |args| self.gradient.call(args), self.holomorphic)
    }
}

/// One column of the Jacobian for each element of the arguments.
#[track_caller]
fn forward<S, Args, V>(
    transform: &str,
    args: &Args,
    run: impl Fn(&Args) -> V,
    holomorphic: bool,
) -> V::Of<S::Selected>
where
    Args: Tree,
    S: Select<Args>,
    V: Graft,
{
    let (site, at) = (Location::caller(), S::get(args));
    checks::inputs(transform, &at, holomorphic, false, site);
    at.leaves().iter().for_each(|leaf| check_real(transform, "argument", leaf, holomorphic, site));
    let (value, pushforward) = linearized::<S, _, _>(args, run);
    let columns = |(i, leaf): (usize, &Tensor)| {
        let one = |row: &Tensor| pushforward.call(&alone(&at, i, row));
        vmap(one).out_axes(-1).at(&unit(leaf)).leaves()
    };
    let columns: Vec<Vec<Tensor>> = at.leaves().iter().enumerate().map(columns).collect();
    let mut row = 0..;
    value.graft(&mut |leaf| {
        let (row, mut columns) = (row.next().expect("a number for each leaf"), columns.iter());
        at.map_leaves(|x| {
            let column = &columns.next().expect("as many leaves")[row];
            reshape(column, [leaf.dims(), x.dims()].concat())
        })
    })
}

/// The directions along the elements of a leaf: `T[len,..]`, one in each row.
fn unit(leaf: &Tensor) -> Tensor {
    reshape(&eye(leaf.dtype(), leaf.len()), [&[leaf.len()], leaf.dims()].concat())
}

/// A tree like `like` with `row` as its leaf number `at`, and zeros elsewhere.
fn alone<T: Tree>(like: &T, at: usize, row: &Tensor) -> T {
    let mut leaf = 0..;
    like.map_leaves(|x| if leaf.next() == Some(at) { row.clone() } else { x.zeros_like() })
}

fn check_real(transform: &str, what: &str, leaf: &Tensor, holomorphic: bool, site: Site) {
    let dtype = leaf.dtype();
    let rule = if !dtype.is_inexact() {
        format!("the {what} must be float, and it is {dtype}\n   help: convert it with cast()")
    } else if dtype.is_complex() && !holomorphic {
        format!(
            "the {what} must be real, and it is {dtype}\n   help: .holomorphic(); or take real() and imag() apart"
        )
    } else {
        return;
    };
    violation(transform, &rule, &[leaf], site);
}

#[cfg(test)]
mod tests;
