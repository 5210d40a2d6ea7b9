//! `index_put` and `masked_fill`: elements replaced by their places, or by a condition.

use std::panic::Location;

use super::operand::Operand;
use super::reshape::reshaped;
use super::row_ids::{OutOfRange, check_ids};
use super::scatter_add::scatter_add;
use super::scatter_set::scatter_set;
use super::{broadcast_to, cast, where_};
use crate::array::Dims;
use crate::array::kernels::RowDims;
use crate::dtype::DType;
use crate::error::violation;
use crate::ops::elementwise::common_dims;
use crate::tensor::Tensor;

/// `x` with `values` at the places that `ids` name together, one number for each of the first dims; with `accumulate`,
/// added to what is there. Negative numbers count from the end, once.
///
/// `T[m,n,3], (i32[4], i32[4]), T[4,3] -> T[m,n,3]`; `ids` broadcast against each other.
///
/// # Panics
/// If there are no `ids` or more than dims, they are not integers or one is out of range, or `values` have other dims
/// than the numbers together and what is at a place.
///
/// ```
/// use axisgrad::{Tensor, ops::index_put};
/// let (x, rows, columns) = (Tensor::from([[1, 2], [3, 4]]), Tensor::from([0, 1]), Tensor::from([1, 1]));
/// let y = index_put(&x, &[&rows, &columns], &Tensor::from([10, 20]), false);
/// assert_eq!(y.to_vec::<i32>(), [1, 10, 3, 20]);
/// ```
#[track_caller]
pub fn index_put(x: &Tensor, ids: &[&Tensor], values: &Tensor, accumulate: bool) -> Tensor {
    if ids.is_empty() || ids.len() > x.ndim() {
        let rule =
            format!("{} dims need from one to as many tensors of numbers, not {}", x.ndim(), ids.len());
        violation("index_put", &rule, &[x, values], Location::caller());
    }
    let place = places(x, ids);
    let (front, rest) = x.dims().split_at(ids.len());
    let flat = reshaped(x, [&[front.iter().product()], rest].concat().into());
    let put = if accumulate { scatter_add } else { scatter_set };
    reshaped(&put(&flat, &place, values), Dims::from_slice(x.dims()))
}

/// Where the numbers point to in the first dims made one.
#[track_caller]
fn places(x: &Tensor, ids: &[&Tensor]) -> Tensor {
    let dims = common_dims("index_put", ids);
    let mut place: Option<Tensor> = None;
    for (dim, id) in ids.iter().enumerate() {
        let n = x.dims()[dim];
        check_ids("index_put", x, id, RowDims { batch: 0, dim }, n, OutOfRange::Refuse);
        let id = broadcast_to(&cast(id, DType::I64), &dims);
        let id = where_(id.lt(0), &id + n as i64, &id);
        place = Some(place.map_or_else(|| id.clone(), |before| before * n as i64 + &id));
    }
    place.expect("at least one")
}

/// `x` where `mask` is false, and `value` where it is true.
///
/// `T[..], bool[..] -> T[..]`; `mask` and `value` broadcast to the dims of `x`.
///
/// # Panics
/// If the dims do not broadcast to those of `x`.
///
/// ```
/// use axisgrad::Tensor;
/// let x = Tensor::from([1.0, -2.0, 3.0]);
/// assert_eq!(x.masked_fill(&x.lt(0.0), f64::NEG_INFINITY).to_vec::<f64>(), [1.0, f64::NEG_INFINITY, 3.0]);
/// ```
#[track_caller]
pub fn masked_fill(x: &Tensor, mask: &Tensor, value: impl Operand) -> Tensor {
    let filled = where_(mask, value, x);
    if filled.dims() != x.dims() {
        let rule = "mask and value must broadcast to the dims of what is filled";
        violation("masked_fill", rule, &[x, mask], Location::caller());
    }
    filled
}

impl Tensor {
    /// See [`masked_fill`].
    #[track_caller]
    pub fn masked_fill(&self, mask: &Tensor, value: impl Operand) -> Tensor {
        masked_fill(self, mask, value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};

    #[test]
    fn places_by_number() {
        let x = Tensor::from([[1, 2, 3], [4, 5, 6]]);
        let (rows, columns) = (Tensor::from([0, -1, 0]), Tensor::from([2, 0, -1]));
        let values = Tensor::from([10, 20, 30]);
        assert_eq!(index_put(&x, &[&rows, &columns], &values, false).to_vec::<i32>(), [1, 2, 30, 20, 5, 6]);
        assert_eq!(index_put(&x, &[&rows, &columns], &values, true).to_vec::<i32>(), [1, 2, 43, 24, 5, 6]);
        let rows = Tensor::from([[0], [1]]);
        let block = Tensor::from([[7, 8], [9, 0]]);
        let y = index_put(&x, &[&rows, &Tensor::from([0, 2])], &block, false);
        assert_eq!(y.to_vec::<i32>(), [7, 2, 8, 9, 5, 0]);
    }

    #[test]
    fn derivatives_and_lanes() {
        let (rows, columns) = (Tensor::from([0, 1]), Tensor::from([2, 0]));
        for accumulate in [false, true] {
            let f = |x: &Tensor, v: &Tensor| index_put(x, &[&rows, &columns], v, accumulate).sin();
            check_grads(f, (&waves(&[2, 3, 2], 0.1), &waves(&[2, 2], 0.7)), 2);
            check_lanes(f, (&waves(&[4, 2, 3, 2], 0.1), &waves(&[4, 2, 2], 0.7)));
        }
        let mask = Tensor::from([true, false]);
        let f = |x: &Tensor, v: &Tensor| x.sin().masked_fill(&mask, v);
        check_grads(f, (&waves(&[3, 2], 0.1), &waves(&[], 0.7)), 2);
    }

    #[test]
    #[should_panic(expected = "index_put: index 3 at [0] is out of range for dim 1 of size 3")]
    fn numbers_are_in_range() {
        index_put(&waves(&[2, 3], 0.1), &[&Tensor::from([0]), &Tensor::from([3])], &waves(&[1], 0.0), false);
    }

    #[test]
    #[should_panic(expected = "index_put: 1 dims need from one to as many tensors of numbers, not 0")]
    fn there_are_numbers() {
        index_put(&waves(&[2], 0.1), &[], &waves(&[1], 0.0), false);
    }

    #[test]
    #[should_panic(expected = "masked_fill: mask and value must broadcast to the dims of what is filled")]
    fn a_mask_does_not_make_more() {
        Tensor::from([1.0, 2.0]).masked_fill(&Tensor::from([[true, false], [true, true]]), 0.0);
    }
}
