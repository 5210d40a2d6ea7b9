//! `fori_loop` and `while_loop`.

use std::panic::Location;

use super::{check_alike, check_condition, holds_somewhere, select};
use crate::tensor::Tensor;
use crate::tree::Tree;

/// `body` of every number from `lower` up to and without `upper`, and of what it returned the time before.
///
/// ```
/// use axisgrad::{Tensor, control::fori_loop, grad};
/// let cube = |x: &Tensor| fori_loop(0, 3, |_, y| y * x, &Tensor::from(1.0));
/// assert_eq!(grad(cube).at(&Tensor::from(2.0)).item::<f64>(), 12.0);
/// ```
///
/// # Panics
/// If what `body` returns differs from what it took in structure, dims or dtypes.
#[track_caller]
pub fn fori_loop<C: Tree>(lower: i64, upper: i64, mut body: impl FnMut(i64, &C) -> C, init: &C) -> C {
    let site = Location::caller();
    (lower..upper).fold(init.clone(), |state, i| {
        let next = body(i, &state);
        check_alike("fori_loop", "what the body takes and returns", &state, &next, site);
        next
    })
}

/// `body` of what it returned the time before, as long as `condition` of it holds.
///
/// Where the condition varies over an axis, the loop goes on until it holds at no position; a position where it has
/// ceased to hold keeps its values. After no step at all the result varies over what `init` does, whatever `body` uses.
///
/// ```
/// use axisgrad::{Tensor, control::while_loop, grad};
/// // 2x until it is over 10: 5, 10, 20
/// let double = |x: &Tensor| while_loop(|y| y.le(10.0), |y| y * 2.0, x);
/// let x = Tensor::from(5.0);
/// assert_eq!(double(&x).item::<f64>(), 20.0);
/// assert_eq!(grad(double).at(&x).item::<f64>(), 4.0);
/// ```
///
/// # Panics
/// If the condition is not `bool[]`, or what `body` returns differs from what it took in structure, dims or dtypes.
#[track_caller]
pub fn while_loop<C: Tree>(
    mut condition: impl FnMut(&C) -> Tensor,
    mut body: impl FnMut(&C) -> C,
    init: &C,
) -> C {
    let site = Location::caller();
    let mut state = init.clone();
    loop {
        let on = condition(&state);
        check_condition("while_loop", &on, site);
        if !holds_somewhere(&on) {
            return state;
        }
        let next = body(&state);
        check_alike("while_loop", "what the body takes and returns", &state, &next, site);
        state = if on.axes().is_empty() { next } else { select(&on, &next, &state) };
    }
}
