//! `searchsorted`: where values belong in a sorted row.

use std::cmp::Ordering;
use std::panic::Location;

use super::cast;
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::{DType, Scalar, dispatch, promote};
use crate::error::violation;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// Where in `sorted`, an ascending row, each value would have to be inserted to keep it so: before equal elements, or
/// after them if `right`. NaN comes last. It has no derivative.
///
/// `T[n], T[..] -> i32[..]`, for any T but complex ones.
///
/// # Panics
/// If `sorted` has not one dim, or the elements are complex.
///
/// ```
/// use axisgrad::{Tensor, ops::searchsorted};
/// let sorted = Tensor::from([1.0, 3.0, 3.0, 7.0]);
/// let values = Tensor::from([3.0, 0.0, 9.0]);
/// assert_eq!(searchsorted(&sorted, &values, false).to_vec::<i32>(), [1, 0, 4]);
/// assert_eq!(searchsorted(&sorted, &values, true).to_vec::<i32>(), [3, 0, 4]);
/// ```
#[track_caller]
pub fn searchsorted(sorted: &Tensor, values: &Tensor, right: bool) -> Tensor {
    if sorted.ndim() != 1 {
        violation("searchsorted", "a sorted row has one dim", &[sorted, values], Location::caller());
    }
    if sorted.dtype().is_complex() || values.dtype().is_complex() {
        violation("searchsorted", "complex numbers have no order", &[sorted, values], Location::caller());
    }
    let dtype = promote(sorted.dtype(), values.dtype());
    bind(SearchSorted { right }, &[&cast(sorted, dtype), &cast(values, dtype)])
}

/// See [`searchsorted`].
struct SearchSorted {
    right: bool,
}

impl Op for SearchSorted {
    fn name(&self) -> &'static str {
        "searchsorted"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((DType::I32, inputs[1].dims.clone()))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let [sorted, values] = [inputs[0].contiguous(), inputs[1].contiguous()];
        let (n, each) = (sorted.dims()[axes.len()], values.dims()[axes.len()..].iter().product::<usize>());
        let places: Vec<i32> = dispatch!(sorted.dtype() in [ordered], T => {
            let (rows, values) = (sorted.as_slice::<T>(), values.as_slice::<T>());
            let place = |(i, &value): (usize, &T)| place(&rows[i / each * n..][..n], value, self.right);
            values.iter().enumerate().map(place).collect()
        });
        Array::from_vec_in(values.pool(), places, values.dims())
    }

    fn vjp(&self, _: usize, _: &Tensor, _: &[Tensor], _: &Tensor) -> Option<Tensor> {
        None
    }
}

fn place<T: Scalar + PartialOrd>(row: &[T], value: T, right: bool) -> i32 {
    let is_nan = |x: T| x.partial_cmp(&x).is_none();
    let order = |a: T, b: T| a.partial_cmp(&b).unwrap_or_else(|| is_nan(a).cmp(&is_nan(b)));
    row.partition_point(|&x| order(x, value) == Ordering::Less || right && order(x, value) == Ordering::Equal)
        as i32
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::check_lanes;

    #[test]
    fn values() {
        let sorted = Tensor::from([f64::NEG_INFINITY, 0.0, 2.0, f64::NAN]);
        let values = Tensor::from([[0.0, f64::NAN], [-1.0, f64::INFINITY]]);
        assert_eq!(searchsorted(&sorted, &values, false).to_vec::<i32>(), [1, 3, 1, 3]);
        assert_eq!(searchsorted(&sorted, &values, true).to_vec::<i32>(), [2, 4, 1, 3]);
        assert_eq!(searchsorted(&Tensor::from([1, 5]), &Tensor::from(4i64), false).item::<i32>(), 1);
        assert_eq!(searchsorted(&waves(&[0], 0.0), &Tensor::from([4.0]), false).to_vec::<i32>(), [0]);
    }

    #[test]
    fn lanes() {
        let sorted = waves(&[3, 5], 0.2).sort(1);
        check_lanes(|s: &Tensor, v: &Tensor| searchsorted(s, v, true), (&sorted, &waves(&[3, 2, 2], 0.7)));
    }

    #[test]
    #[should_panic(expected = "searchsorted: a sorted row has one dim")]
    fn one_row() {
        searchsorted(&waves(&[2, 2], 0.0), &waves(&[2], 0.0), false);
    }
}
