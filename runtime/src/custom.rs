//! `custom_vjp` and `custom_jvp`: functions with a derivative of the user's own.

use std::panic::Location;
use std::rc::Rc;

use crate::call::call;
use crate::error::violation;
use crate::function::{Arg, ArgList, Arguments, Function};
use crate::grad::trace;
use crate::op::Rule;
use crate::ops::pvary::pvary_over;
use crate::tape::Tape;
use crate::tensor::Tensor;
use crate::tree::{Tree, difference, refill};
use crate::types::AxisSet;

type Site = &'static Location<'static>;

/// A function with a backward rule of its own: `custom_vjp(f).defvjp(forward, backward)`.
///
/// `forward` takes the arguments of `f` and returns what `f` returns and anything to keep for later (a tree);
/// `backward` takes what was kept and a cotangent of the result, and returns the cotangents of all arguments, as a
/// tuple. They are written for one position, in ops: so derivatives of higher order, tangents and named axes need
/// nothing more. Values that a gradient is to reach must be arguments; the three functions own what else they use.
///
/// ```
/// use axisgrad::{Tensor, custom_vjp, grad};
/// // log(1 + eˣ), whose derivative eˣ/(1 + eˣ) would overflow
/// let log1pexp = custom_vjp(|x: &Tensor| x.exp().log1p()).defvjp(
///     |x: &Tensor| (x.exp().log1p(), x.clone()),
///     |x: &Tensor, ct: &Tensor| (ct * (1.0 - 1.0 / (1.0 + x.exp())),),
/// );
/// assert_eq!(grad(log1pexp).at(&Tensor::from(1000.0)).item::<f64>(), 1.0);
/// ```
pub fn custom_vjp<F>(f: F) -> CustomVjp<F, (), ()> {
    CustomVjp { f: Rc::new(f), forward: Rc::new(()), backward: Rc::new(()) }
}

/// See [`custom_vjp`].
#[derive(Debug)]
pub struct CustomVjp<F, Fwd, Bwd> {
    f: Rc<F>,
    forward: Rc<Fwd>,
    backward: Rc<Bwd>,
}

impl<F, Fwd, Bwd> Clone for CustomVjp<F, Fwd, Bwd> {
    fn clone(&self) -> Self {
        let Self { f, forward, backward } = self;
        Self { f: f.clone(), forward: forward.clone(), backward: backward.clone() }
    }
}

impl<F> CustomVjp<F, (), ()> {
    /// Sets the rule: see [`custom_vjp`].
    pub fn defvjp<Fwd, Bwd>(self, forward: Fwd, backward: Bwd) -> CustomVjp<F, Fwd, Bwd> {
        CustomVjp { f: self.f, forward: Rc::new(forward), backward: Rc::new(backward) }
    }
}

impl<F, Fwd, Bwd> CustomVjp<F, Fwd, Bwd> {
    /// Calls the function with `&a` or `(&a, &b, …)`.
    ///
    /// # Panics
    /// When it is differentiated: if `backward` returns cotangents that differ from the arguments in structure, dims
    /// or dtypes, or the function uses a value to differentiate by that is not an argument.
    #[track_caller]
    pub fn at<X: Arguments>(&self, args: X) -> <Self as Function<X::Args>>::Output
    where
        Self: Function<X::Args>,
    {
        Function::call(self, &args.to_args())
    }
}

impl<Args, F, Fwd, Bwd, V, R> Function<Args> for CustomVjp<F, Fwd, Bwd>
where
    Args: ArgList + 'static,
    F: Function<Args, Output = V>,
    Fwd: Function<Args, Output = (V, R)>,
    Bwd: Function<(R, V), Output = Args> + 'static,
    V: Tree + 'static,
    R: Tree + 'static,
{
    type Output = V;

    #[track_caller]
    fn call(&self, args: &Args) -> V {
        let site = Location::caller();
        recorded("custom_vjp", args, site, |args| {
            let (value, residuals) = self.forward.call(&args);
            let zeros = value.map_leaves(Tensor::zeros_like);
            let args = args.map_leaves(Tensor::zeros_like);
            (value, Rc::new(VjpRule { backward: self.backward.clone(), residuals, value: zeros, args, site }))
        })
        .unwrap_or_else(|| self.f.call(args))
    }
}

/// What `run` gives for the arguments below the topmost tape that one of them is on, as one entry of that tape, with
/// its rule; `None` if they are on no tape.
#[track_caller]
fn recorded<Args: Tree, V: Tree>(
    name: &str,
    args: &Args,
    site: Site,
    run: impl FnOnce(Args) -> (V, Rc<dyn Rule>),
) -> Option<V> {
    let operands = args.leaves();
    operands.iter().find(|x| x.tape().is_some())?;
    let mut value = None;
    let results = call(name, &operands, site, |values| {
        let (below, rule) = run(refill(args, values.iter().cloned()));
        (value.insert(below).leaves(), rule)
    });
    value.map(|value| refill(&value, results))
}

/// See [`custom_vjp`].
struct VjpRule<Args, V, R, Bwd> {
    backward: Rc<Bwd>,
    residuals: R,
    /// Zeros of the types of the result and of the arguments.
    value: V,
    args: Args,
    site: Site,
}

impl<Args, V, R, Bwd> Rule for VjpRule<Args, V, R, Bwd>
where
    Args: Tree,
    V: Tree,
    R: Tree,
    Bwd: Function<(R, V), Output = Args>,
{
    fn pull_back(&self, _: &Tape, cts: Vec<Tensor>) -> Vec<Option<Tensor>> {
        let back = self.backward.call(&(self.residuals.clone(), refill(&self.value, cts)));
        check_alike("custom_vjp", "a cotangent", &self.args, &back, self.site);
        back.leaves().into_iter().map(|ct| Some(ct).filter(|ct| ct.dtype().is_inexact())).collect()
    }
}

/// A function with a forward derivative of its own: `custom_jvp(f).defjvp(rule)`.
///
/// `rule` takes the arguments and their tangents, each as a tuple, and returns what `f` returns and its tangent, which
/// must be linear in the tangents. Gradients are the transpose of that. The value stays that of `f` under a derivative,
/// and so its own derivative that of the rule. It is written for one position, in ops; values that a gradient is to reach
/// must be arguments.
///
/// ```
/// use axisgrad::{Tensor, custom_jvp, grad};
/// // |x|, with slope 0 at 0
/// let distance = custom_jvp(Tensor::abs)
///     .defjvp(|(x,): &(Tensor,), (dx,): &(Tensor,)| (x.abs(), x.sign() * dx));
/// assert_eq!(grad(distance).at(&Tensor::from(0.0)).item::<f64>(), 0.0);
/// ```
pub fn custom_jvp<F>(f: F) -> CustomJvp<F, ()> {
    CustomJvp { f: Rc::new(f), rule: Rc::new(()) }
}

/// See [`custom_jvp`].
#[derive(Debug)]
pub struct CustomJvp<F, J> {
    f: Rc<F>,
    rule: Rc<J>,
}

impl<F, J> Clone for CustomJvp<F, J> {
    fn clone(&self) -> Self {
        Self { f: self.f.clone(), rule: self.rule.clone() }
    }
}

impl<F> CustomJvp<F, ()> {
    /// Sets the rule: see [`custom_jvp`].
    pub fn defjvp<J>(self, rule: J) -> CustomJvp<F, J> {
        CustomJvp { f: self.f, rule: Rc::new(rule) }
    }
}

impl<F, J> CustomJvp<F, J> {
    /// Calls the function with `&a` or `(&a, &b, …)`.
    ///
    /// # Panics
    /// When it is differentiated: if the rule's tangent differs from the result in structure, dims or dtypes, or the
    /// function uses a value to differentiate by that is not an argument.
    #[track_caller]
    pub fn at<X: Arguments>(&self, args: X) -> <Self as Function<X::Args>>::Output
    where
        Self: Function<X::Args>,
    {
        Function::call(self, &args.to_args())
    }
}

impl<Args, F, J, V> Function<Args> for CustomJvp<F, J>
where
    Args: ArgList + 'static,
    F: Function<Args, Output = V>,
    J: Function<(Args, Args), Output = (V, V)> + 'static,
    V: Tree + 'static,
{
    type Output = V;

    #[track_caller]
    fn call(&self, args: &Args) -> V {
        let site = Location::caller();
        recorded("custom_jvp", args, site, |args| {
            let value = Function::call(self, &args);
            let zeros = value.map_leaves(Tensor::zeros_like);
            (value, Rc::new(JvpRule { rule: self.rule.clone(), args, value: zeros, site }))
        })
        .unwrap_or_else(|| self.f.call(args))
    }
}

/// See [`custom_jvp`].
struct JvpRule<Args, V, J> {
    rule: Rc<J>,
    args: Args,
    /// Zeros of the result's type.
    value: V,
    site: Site,
}

impl<Args, V, J> Rule for JvpRule<Args, V, J>
where
    Args: Tree,
    V: Tree,
    J: Function<(Args, Args), Output = (V, V)>,
{
    /// The transpose of the tangent, at any tangents. Where cotangents vary, each position has its own.
    fn pull_back(&self, _: &Tape, cts: Vec<Tensor>) -> Vec<Option<Tensor>> {
        let axes = cts.iter().fold(AxisSet::new(), |axes, ct| axes.union(ct.axes()).unwrap_or(axes));
        let tangents = (self.args.map_leaves(|x| pvary_over(&x.zeros_like(), &axes, self.site)),);
        let (_, transpose) = trace::<Arg<0>, _, _>(&tangents, Tape::strict(), |(tangents,): &(Args,)| {
            let tangent = self.rule.call(&(self.args.clone(), tangents.clone())).1;
            check_alike("custom_jvp", "a tangent", &self.value, &tangent, self.site);
            tangent
        });
        let back = transpose.call_once(&refill(&self.value, cts));
        back.leaves().into_iter().map(|ct| Some(ct).filter(|ct| ct.dtype().is_inexact())).collect()
    }
}

/// Panics unless what a rule returned has the structure, dims and dtypes of what it belongs to; integers count for
/// nothing.
fn check_alike<T: Tree>(name: &str, what: &str, of: &T, given: &T, site: Site) {
    if let Some(difference) = difference(of, given) {
        violation(name, &difference, &[], site);
    }
    of.zip_leaves(given, |path, of, given| {
        if of.dtype().is_inexact() && (of.dtype() != given.dtype() || of.dims() != given.dims()) {
            let rule = format!(
                "{what} must have the dtype and dims of what it belongs to, and the rule's at `{path}` has not"
            );
            violation(name, &rule, &[of, given], site);
        }
        of.clone()
    });
}

#[cfg(test)]
mod tests;
