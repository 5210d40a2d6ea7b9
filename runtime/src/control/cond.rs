//! `cond`: one of two functions.

use std::panic::Location;

use super::{check_alike, check_condition, select};
use crate::function::{Arguments, Function};
use crate::tensor::Tensor;
use crate::tree::Tree;

/// `then` of the arguments if `condition` holds, else `otherwise` of them.
///
/// Where the condition varies over an axis, both are called and each position takes its own result; then an infinite
/// derivative of the one that is not taken is still NaN, as with [`where_`](crate::ops::where_). Where it does not, only
/// the one that is taken says what the result varies over, and so how often it counts in a total gradient: one that
/// uses no data of the batch counts once, unless [`pvary`](crate::ops::pvary()) makes it vary.
///
/// ```
/// use axisgrad::{Tensor, control::cond, vmap};
/// let root = |x: &Tensor| cond(&x.ge(0.0), Tensor::sqrt, |x: &Tensor| -(-x).sqrt(), x);
/// assert_eq!(root(&Tensor::from(-4.0)).item::<f64>(), -2.0);
/// assert_eq!(vmap(root).at(&Tensor::from([4.0, -9.0])).to_vec::<f64>(), [2.0, -3.0]);
/// ```
///
/// # Panics
/// If the condition is not `bool[]`, or where it varies and the two results differ in structure, dims or dtypes.
#[track_caller]
pub fn cond<X, T>(
    condition: &Tensor,
    then: impl Function<X::Args, Output = T>,
    otherwise: impl Function<X::Args, Output = T>,
    args: X,
) -> T
where
    X: Arguments,
    T: Tree,
{
    let site = Location::caller();
    check_condition("cond", condition, site);
    let args = args.to_args();
    if condition.axes().is_empty() {
        return if condition.item() { then.call(&args) } else { otherwise.call(&args) };
    }
    let (yes, no) = (then.call(&args), otherwise.call(&args));
    check_alike("cond", "the two results", &yes, &no, site);
    select(condition, &yes, &no)
}
