//! Values for tests, and how near they are.

use crate::array::Array;
use crate::tensor::Tensor;

/// Smooth numbers between -1 and 1, no two alike: `f64[..]`.
pub(crate) fn waves(dims: &[usize], phase: f64) -> Tensor {
    let len = dims.iter().product::<usize>();
    Array::from_vec((0..len).map(|i| (phase + 1.7 * i as f64).sin()).collect::<Vec<f64>>(), dims).into()
}

/// Fails unless both are of one type and agree to 12 digits.
pub(crate) fn close(a: &Tensor, b: &Tensor) {
    assert_eq!(a.ty(), b.ty());
    let pairs = a.to_vec::<f64>().into_iter().zip(b.to_vec::<f64>());
    pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-12 * b.abs().max(1.0), "{a} and {b}"));
}
