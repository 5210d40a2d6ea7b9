//! `one_hot`: numbers as rows with a single one.

use std::panic::Location;

use crate::array::kernels::{cast, map2};
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::{DType, Scalar, dispatch};
use crate::error::violation;
use crate::op::Op;
use crate::ops::cast as cast_to;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// For each number a row of `n` zeros with a one at its place; only zeros, if it is out of range:
/// `i32[..] -> T[..,n]`.
///
/// # Panics
/// If `ids` are not integers.
///
/// ```
/// use axisgrad::{DType, Tensor, ops::one_hot};
/// assert_eq!(one_hot(&Tensor::from([1, 7]), 3, DType::F64).to_vec::<f64>(), [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
/// ```
#[track_caller]
pub fn one_hot(ids: &Tensor, n: usize, dtype: DType) -> Tensor {
    if !ids.dtype().is_integer() {
        let rule = format!("ids must be integers, and these are {}", ids.dtype());
        violation("one_hot", &rule, &[ids], Location::caller());
    }
    cast_to(&bind(OneHot { n, dtype: dtype.compute() }, &[ids]), dtype)
}

/// See [`one_hot`].
struct OneHot {
    n: usize,
    dtype: DType,
}

impl Op for OneHot {
    fn name(&self) -> &'static str {
        "one_hot"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((self.dtype, inputs[0].dims.iter().copied().chain([self.n]).collect()))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        let ids = cast(&inputs[0], DType::I64).expand_dims(inputs[0].ndim());
        let places = Array::from_vec((0..self.n as i64).collect(), [self.n]);
        dispatch!(self.dtype, T => map2(&ids, &places, |id: i64, place: i64| if id == place { T::ONE } else { T::ZERO }))
    }

    fn vjp(&self, _: usize, _: &Tensor, _: &[Tensor], _: &Tensor) -> Option<Tensor> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check_lanes;

    #[test]
    fn one_is_where_the_number_says() {
        let rows = one_hot(&Tensor::from([[0, 2], [-1, 1]]), 3, DType::I32);
        assert_eq!(rows.dims(), [2, 2, 3]);
        assert_eq!(rows.to_vec::<i32>(), [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]);
        assert_eq!(one_hot(&Tensor::from(1i64), 2, DType::Bool).to_vec::<bool>(), [false, true]);
    }

    #[test]
    fn lanes() {
        check_lanes(|ids: &Tensor| one_hot(ids, 4, DType::F32), (&Tensor::from([[0, 2], [3, 1], [4, 0]]),));
    }
}
