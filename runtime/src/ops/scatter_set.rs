//! `scatter_set`: rows put in the place of others by number.

use std::panic::Location;

use super::row_ids::{OutOfRange, resolved};
use super::scatter::checked;
use super::take::taken;
use super::{reshape::reshaped, where_};
use crate::array::kernels::RowDims;
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// `x` with `rows` in the place of its rows `ids`; of several for one place, the last.
///
/// `T[n,3], i32[4], T[4,3] -> T[n,3]`.
///
/// # Panics
/// If `ids` are not integers or one is out of range, or the dims of `rows` are not those of `ids` and a row.
///
/// ```
/// use axisgrad::{Tensor, ops::scatter_set};
/// let x = Tensor::from([10.0, 20.0, 30.0]);
/// let y = scatter_set(&x, &Tensor::from([2, 0, 2]), &Tensor::from([1.0, 2.0, 3.0]));
/// assert_eq!(y.to_vec::<f64>(), [2.0, 20.0, 3.0]);
/// ```
#[track_caller]
pub fn scatter_set(x: &Tensor, ids: &Tensor, rows: &Tensor) -> Tensor {
    scatter_set_or(x, ids, rows, OutOfRange::Refuse)
}

/// [`scatter_set`], with a choice of what a number out of range does: with `Fill` and `Zero` its row is left out.
///
/// `T[n,3], i32[4], T[4,3] -> T[n,3]`.
///
/// # Panics
/// As [`scatter_set`], but for numbers out of range that are not to be refused.
#[track_caller]
pub fn scatter_set_or(x: &Tensor, ids: &Tensor, rows: &Tensor, out_of_range: OutOfRange) -> Tensor {
    let site = Location::caller();
    let [x, rows] = checked("scatter_set", x, ids, rows, out_of_range, site);
    let (n, row) = (x.dims()[0], &x.dims()[1..]);
    let last = bind(LastWriter { n, out_of_range }, &[ids]);
    let rows = reshaped(&rows, [&[ids.len()], row].concat().into());
    let written = taken(&rows, &last, RowDims { batch: 0, dim: 0 }, OutOfRange::Zero, site);
    let mask = reshaped(&last.ge(0), std::iter::once(n).chain(row.iter().map(|_| 1)).collect());
    where_(&mask, &written, &x)
}

/// For each number below `n`, where among `ids` it occurs last; far out of range if nowhere: `i32[..] -> i64[n]`.
struct LastWriter {
    n: usize,
    out_of_range: OutOfRange,
}

/// A place that no row has, from either end.
const NOWHERE: i64 = i64::MIN;

impl Op for LastWriter {
    fn name(&self) -> &'static str {
        "scatter_set"
    }

    fn infer(&self, _: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((DType::I64, Dims::from_slice(&[self.n])))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let ids = resolved(&inputs[0], self.n, self.out_of_range).contiguous();
        let lanes = axes.lane_dims();
        let (count, picks) =
            (lanes.iter().product::<usize>(), ids.dims()[axes.len()..].iter().product::<usize>());
        let mut last = vec![NOWHERE; count * self.n];
        for lane in 0..count {
            for (k, &id) in ids.as_slice::<i64>()[lane * picks..][..picks].iter().enumerate() {
                if id >= 0 {
                    last[lane * self.n + id as usize] = k as i64;
                }
            }
        }
        Array::from_vec_in(ids.pool(), last, [&lanes[..], &[self.n]].concat())
    }

    fn vjp(&self, _: usize, _: &Tensor, _: &[Tensor], _: &Tensor) -> Option<Tensor> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};

    #[test]
    fn the_last_row_stays() {
        let x = Tensor::from([[1, 1], [2, 2], [3, 3]]);
        let y = scatter_set(&x, &Tensor::from([-1, 0, 2]), &Tensor::from([[7, 7], [8, 8], [9, 9]]));
        assert_eq!(y.to_vec::<i32>(), [8, 8, 2, 2, 9, 9]);
    }

    #[test]
    #[should_panic(expected = "scatter_set: index -4 at [0] is out of range for dim 0 of size 3")]
    fn numbers_are_in_range() {
        scatter_set(&waves(&[3], 0.0), &Tensor::from([-4]), &waves(&[1], 0.0));
    }

    #[test]
    fn derivatives_and_lanes() {
        let ids = Tensor::from([2, 0, -1]);
        let f = |x: &Tensor, rows: &Tensor| scatter_set(x, &ids, rows).sin();
        check_grads(f, (&waves(&[4, 2], 0.1), &waves(&[3, 2], 0.7)), 2);
        let each = Tensor::from([[2, 0], [1, 1], [0, -1]]);
        check_lanes(scatter_set, (&waves(&[3, 3, 2], 0.1), &each, &waves(&[3, 2, 2], 0.7)));
    }
}
