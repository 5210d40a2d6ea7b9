//! `scatter_add`: rows added to a tensor by number; the transpose of [`take`](super::take()).

use std::panic::Location;
use std::rc::Rc;

use super::add;
use super::row_ids::{OutOfRange, check_ids, resolved};
use super::scatter::checked;
use super::take::{taken, with_lanes};
use crate::array::kernels::{RowDims, add_rows};
use crate::array::{Array, Dims};
use crate::bind::bind_at;
use crate::dtype::DType;
use crate::error::violation;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

type Site = &'static Location<'static>;

/// `x` with `rows` added to its rows `ids`, in their order; a row may be added to more than once.
///
/// `T[n,3], i32[4], T[4,3] -> T[n,3]`.
///
/// # Panics
/// If `ids` are not integers or one is out of range, or the dims of `rows` are not those of `ids` and a row.
///
/// ```
/// use axisgrad::{Tensor, ops::scatter_add};
/// let x = Tensor::from([10.0, 20.0, 30.0]);
/// let sum = scatter_add(&x, &Tensor::from([2, 0, 2]), &Tensor::from([1.0, 2.0, 3.0]));
/// assert_eq!(sum.to_vec::<f64>(), [12.0, 20.0, 34.0]);
/// ```
#[track_caller]
pub fn scatter_add(x: &Tensor, ids: &Tensor, rows: &Tensor) -> Tensor {
    scatter_add_or(x, ids, rows, OutOfRange::Refuse)
}

/// [`scatter_add`], with a choice of what a number out of range does: with `Fill` and `Zero` its row is left out.
///
/// `T[n,3], i32[4], T[4,3] -> T[n,3]`.
///
/// # Panics
/// As [`scatter_add`], but for numbers out of range that are not to be refused.
#[track_caller]
pub fn scatter_add_or(x: &Tensor, ids: &Tensor, rows: &Tensor, out_of_range: OutOfRange) -> Tensor {
    let site = Location::caller();
    let [x, rows] = checked("scatter_add", x, ids, rows, out_of_range, site);
    add(&x, added(&rows, ids, RowDims { batch: 0, dim: 0 }, x.dims()[0], out_of_range, site))
}

/// The sums of the rows that have the same number, for the numbers below `n`: `T[k,3], i32[k] -> T[n,3]`.
///
/// # Panics
/// If `ids` are not integers or one is out of range, or `rows` do not begin with the dims of `ids`.
#[track_caller]
pub fn segment_sum(rows: &Tensor, ids: &Tensor, n: usize) -> Tensor {
    segment_sum_or(rows, ids, n, OutOfRange::Refuse)
}

/// [`segment_sum`], with a choice of what a number out of range does: with `Fill` and `Zero` its row is left out.
///
/// `T[k,3], i32[k] -> T[n,3]`.
///
/// # Panics
/// As [`segment_sum`], but for numbers out of range that are not to be refused.
#[track_caller]
pub fn segment_sum_or(rows: &Tensor, ids: &Tensor, n: usize, out_of_range: OutOfRange) -> Tensor {
    let site = Location::caller();
    if !rows.dims().starts_with(ids.dims()) {
        violation("segment_sum", "the rows must begin with the dims of the ids", &[rows, ids], site);
    }
    let at = RowDims { batch: 0, dim: 0 };
    check_ids("segment_sum", rows, ids, at, n, out_of_range);
    added(rows, ids, at, n, out_of_range, site)
}

/// Sums of rows by numbers that have been checked.
pub(super) fn added(
    rows: &Tensor,
    ids: &Tensor,
    at: RowDims,
    n: usize,
    out_of_range: OutOfRange,
    site: Site,
) -> Tensor {
    bind_at(Rc::new(AddRows { at, n, out_of_range, site }), &[rows, ids], site)
}

/// The sums of rows by number: `T[b,o,p,i], i32[b,p] -> T[b,o,n,i]`.
pub(super) struct AddRows {
    pub at: RowDims,
    pub n: usize,
    pub out_of_range: OutOfRange,
    pub site: Site,
}

impl Op for AddRows {
    fn name(&self) -> &'static str {
        "scatter_add"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        if inputs[0].dtype.is_bool() || inputs[0].dtype == DType::Float0 {
            return Err(format!("there is no sum of {} rows; cast them first", inputs[0].dtype));
        }
        let picks = inputs[1].ndim() - self.at.batch;
        let rows = &inputs[0].dims;
        Ok((inputs[0].dtype, [&rows[..self.at.dim], &[self.n], &rows[self.at.dim + picks..]].concat().into()))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let ids = resolved(&inputs[1], self.n, self.out_of_range);
        add_rows(&inputs[0], &ids, with_lanes(self.at, axes.len()), self.n)
    }

    fn vjp(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let out_of_range = match self.out_of_range {
            OutOfRange::Fill => OutOfRange::Zero,
            other => other,
        };
        (wrt == 0).then(|| taken(ct, &inputs[1], self.at, out_of_range, self.site))
    }
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};

    #[test]
    fn rows_add_up() {
        let ids = Tensor::from([2, 0, -1]);
        let rows = Tensor::from([[1, 2], [3, 4], [5, 6]]);
        assert_eq!(segment_sum(&rows, &ids, 3).to_vec::<i32>(), [3, 4, 0, 0, 6, 8]);
        let x = Tensor::from([[10, 10], [20, 20], [30, 30]]);
        assert_eq!(scatter_add(&x, &ids, &rows).to_vec::<i32>(), [13, 14, 20, 20, 36, 38]);
    }

    #[test]
    #[should_panic(expected = "segment_sum: index 3 at [1] is out of range for dim 0 of size 3")]
    fn numbers_are_in_range() {
        segment_sum(&Tensor::from([1, 2]), &Tensor::from([0, 3]), 3);
    }

    #[test]
    #[should_panic(expected = "scatter_add: the rows must have dims [2, 3]")]
    fn rows_fit() {
        scatter_add(&waves(&[5, 3], 0.0), &Tensor::from([0, 3]), &waves(&[2, 2], 0.0));
    }

    #[test]
    fn derivatives_and_lanes() {
        let ids = Tensor::from([2, 0, -1]);
        let f = |x: &Tensor, rows: &Tensor| scatter_add(x, &ids, rows).sin();
        check_grads(f, (&waves(&[3, 2], 0.1), &waves(&[3, 2], 0.7)), 2);
        check_lanes(f, (&waves(&[4, 3, 2], 0.1), &waves(&[4, 3, 2], 0.7)));
        let each = Tensor::from([[2, 0], [1, 1], [0, -1]]);
        check_lanes(
            |rows: &Tensor, ids: &Tensor| segment_sum(rows, ids, 3),
            (&waves(&[3, 2, 2], 0.2), &each),
        );
    }
}
