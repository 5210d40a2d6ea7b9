//! `pvary`: an invariant value as a varying one.

use std::panic::Location;

use crate::bind::vary;
use crate::tensor::Tensor;
use crate::types::{Axis, AxisSet};

/// The same value, taken to vary over `axis` too: `pvary(&w, x.axis("batch"))`.
///
/// `T[..]{..} -> T[..]{a,..}`; communicates nothing. Every op does this by itself where its operands disagree on
/// axes. Its transpose is [`psum`](super::psum()) for the axes that are reduced: see
/// [`Grad::reduce_axes`](crate::grad::Grad::reduce_axes).
///
/// # Panics
/// If the operand varies over another axis of the same name.
#[track_caller]
pub fn pvary(x: &Tensor, axis: &Axis) -> Tensor {
    let site = Location::caller();
    let axes = x.axes().with(axis).unwrap_or_else(|_| {
        let rule = format!("the operand varies over another `{}` of a different size", axis.name());
        crate::error::violation("pvary", &rule, &[x], site)
    });
    vary(x, &axes, site)
}

/// The same value, taken to vary over all of `axes`.
pub(crate) fn pvary_over(x: &Tensor, axes: &AxisSet, site: &'static Location<'static>) -> Tensor {
    let axes = x.axes().union(axes).expect("axes of one computation");
    vary(x, &axes, site)
}
