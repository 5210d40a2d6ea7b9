//! `axis_index`: which position this is.

use crate::array::{Array, Dims};
use crate::tensor::Tensor;
use crate::types::{Axis, AxisSet};

/// The position along an axis that `x` varies over, counted over all workers.
///
/// `-> i32[]{a}`
///
/// # Panics
/// If `x` does not vary over it.
#[track_caller]
pub fn axis_index(x: &Tensor, name: &str) -> Tensor {
    index_along(x.axis(name))
}

/// The position along `axis`: `i32[]{axis}`.
pub fn index_along(axis: &Axis) -> Tensor {
    let indices: Vec<i32> = axis.lanes().map(|i| i as i32).collect();
    let dims = Dims::from_slice(&[indices.len()]);
    let axes = AxisSet::new().with(axis).expect("the only axis");
    Tensor::ground(Array::from_vec(indices, dims), axes)
}
