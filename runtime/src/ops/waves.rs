//! Values for tests.

use crate::array::Array;
use crate::tensor::Tensor;

/// Smooth numbers between -1 and 1, no two alike: `f64[..]`.
pub(crate) fn waves(dims: &[usize], phase: f64) -> Tensor {
    let len = dims.iter().product::<usize>();
    Array::from_vec((0..len).map(|i| (phase + 1.7 * i as f64).sin()).collect::<Vec<f64>>(), dims).into()
}
