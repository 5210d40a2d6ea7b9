//! Random tensors: pure functions of a key, the same for any placement.
//!
//! ```
//! use axisgrad::DType;
//! use axisgrad::random::{Key, uniform};
//! let [weights, noise] = Key::new(0).split(2)[..] else { unreachable!() };
//! assert_eq!(uniform(weights, DType::F32, &[2, 3]).dims(), [2, 3]);
//! # let _ = noise;
//! ```

pub mod threefry;

use std::ops::Range;

pub use threefry::Key;
use threefry::Layout;

use crate::array::{Array, Dims};
use crate::dtype::{DType, Scalar};
use crate::tensor::Tensor;
use crate::types::{Axis, AxisSet};

const LAYOUT: Layout = Layout::Partitionable;

/// Uniform from 0 (included) to 1 (not included): `-> f32[dims]` or `f64[dims]`.
///
/// # Panics
/// If `dtype` is not `f32` or `f64`.
#[track_caller]
pub fn uniform(key: Key, dtype: DType, dims: &[usize]) -> Tensor {
    match dtype {
        DType::F32 => draw::<f32>(dims, |n, r| threefry::uniform(key, LAYOUT, [0.0, 1.0], n, r)),
        DType::F64 => draw::<f64>(dims, |n, r| threefry::uniform(key, LAYOUT, [0.0, 1.0], n, r)),
        other => panic!("uniform: only f32 and f64 can be drawn, not {other}"),
    }
}

/// Standard normal: `-> f32[dims]` or `f64[dims]`.
///
/// # Panics
/// If `dtype` is not `f32` or `f64`.
#[track_caller]
pub fn normal(key: Key, dtype: DType, dims: &[usize]) -> Tensor {
    match dtype {
        DType::F32 => draw::<f32>(dims, |n, r| threefry::normal(key, LAYOUT, n, r)),
        DType::F64 => draw::<f64>(dims, |n, r| threefry::normal(key, LAYOUT, n, r)),
        other => panic!("normal: only f32 and f64 can be drawn, not {other}"),
    }
}

/// `true` with probability `p`: `-> bool[dims]`.
pub fn bernoulli(key: Key, p: f64, dims: &[usize]) -> Tensor {
    draw::<bool>(dims, |n, r| threefry::bernoulli(key, LAYOUT, p, n, r))
}

/// The numbers below `n` in random order.
pub fn permutation(key: Key, n: usize) -> Vec<usize> {
    threefry::permutation(key, LAYOUT, n)
}

fn draw<T: Scalar>(dims: &[usize], numbers: impl Fn(usize, Range<usize>) -> Vec<T>) -> Tensor {
    let total = dims.iter().product();
    Array::from_vec(numbers(total, 0..total), dims).into()
}

/// One draw for each position of an axis: row *i* of what [`uniform`] and the like draw with the axis as a first
/// dim. Each worker draws its own positions only, and the numbers do not depend on which these are.
///
/// `-> T[dims]{axis}`
///
/// ```ignore
/// let noise = along(w.axis("batch", 256), &[64], |total, range| threefry::normal::<f32>(key, Layout::default(), total, range));
/// ```
pub fn along<T: Scalar>(
    axis: &Axis,
    dims: &[usize],
    numbers: impl Fn(usize, Range<usize>) -> Vec<T>,
) -> Tensor {
    let row: usize = dims.iter().product();
    let lanes = axis.lanes();
    let data = numbers(axis.size() * row, lanes.start * row..lanes.end * row);
    let dims: Dims = std::iter::once(lanes.len()).chain(dims.iter().copied()).collect();
    Tensor::ground(Array::from_vec(data, dims), AxisSet::new().with(axis).expect("the only axis"))
}
