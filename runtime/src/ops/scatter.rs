//! `scatter_mul`, `scatter_min`, `scatter_max`, and what they are made of: `segment_prod`, `segment_min` and
//! `segment_max`, which combine the rows of one number.

use std::panic::Location;

use super::reshape::reshaped;
use super::row_ids::{OutOfRange, check_ids, resolved};
use super::scatter_add::added;
use super::take::{taken, with_lanes};
use super::{cast, concat, iota, mul, where_};
use crate::array::kernels::{Fold, RowDims, fold_rows};
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::{DType, promote};
use crate::error::violation;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

type Site = &'static Location<'static>;

/// Numbers count along the first dim.
const ROWS: RowDims = RowDims { batch: 0, dim: 0 };

/// `x` with its rows `ids` multiplied by `rows`; a row may be multiplied more than once.
///
/// `T[n,3], i32[4], T[4,3] -> T[n,3]`.
///
/// # Panics
/// If `ids` are not integers or one is out of range (see [`scatter_mul_or`]), or the dims of `rows` are not those of
/// `ids` and a row.
///
/// ```
/// use axisgrad::{Tensor, ops::scatter_mul};
/// let x = Tensor::from([10.0, 20.0, 30.0]);
/// let y = scatter_mul(&x, &Tensor::from([2, 0, 2]), &Tensor::from([2.0, 3.0, 5.0]));
/// assert_eq!(y.to_vec::<f64>(), [30.0, 20.0, 300.0]);
/// ```
#[track_caller]
pub fn scatter_mul(x: &Tensor, ids: &Tensor, rows: &Tensor) -> Tensor {
    scatter_mul_or(x, ids, rows, OutOfRange::Refuse)
}

/// [`scatter_mul`], with a choice of what a number out of range does: with `Fill` and `Zero` its row is left out.
///
/// `T[n,3], i32[4], T[4,3] -> T[n,3]`.
///
/// # Panics
/// As [`scatter_mul`], but for numbers out of range that are not to be refused.
#[track_caller]
pub fn scatter_mul_or(x: &Tensor, ids: &Tensor, rows: &Tensor, out_of_range: OutOfRange) -> Tensor {
    let [x, rows] = checked("scatter_mul", x, ids, rows, out_of_range, Location::caller());
    mul(&x, combined(&rows, ids, x.dims()[0], Fold::Prod, out_of_range))
}

/// `x` with each of its rows `ids` replaced by the smaller of itself and `rows`, element by element. Equal ones share
/// the derivative.
///
/// `T[n,3], i32[4], T[4,3] -> T[n,3]`, for any T but complex ones.
///
/// # Panics
/// If `ids` are not integers or one is out of range, or the dims of `rows` are not those of `ids` and a row.
#[track_caller]
pub fn scatter_min(x: &Tensor, ids: &Tensor, rows: &Tensor) -> Tensor {
    let [x, rows] = checked("scatter_min", x, ids, rows, OutOfRange::Refuse, Location::caller());
    with_own(&x, ids, &rows, Fold::Min)
}

/// As [`scatter_min`], with the larger.
///
/// `T[n,3], i32[4], T[4,3] -> T[n,3]`, for any T but complex ones.
///
/// # Panics
/// As [`scatter_min`].
#[track_caller]
pub fn scatter_max(x: &Tensor, ids: &Tensor, rows: &Tensor) -> Tensor {
    let [x, rows] = checked("scatter_max", x, ids, rows, OutOfRange::Refuse, Location::caller());
    with_own(&x, ids, &rows, Fold::Max)
}

/// The products of the rows that have the same number, for the numbers below `n`; 1 where there is none:
/// `T[k,3], i32[k] -> T[n,3]`.
///
/// # Panics
/// If `ids` are not integers or one is out of range, or `rows` do not begin with the dims of `ids`.
#[track_caller]
pub fn segment_prod(rows: &Tensor, ids: &Tensor, n: usize) -> Tensor {
    segments("segment_prod", rows, ids, n, Fold::Prod, Location::caller())
}

/// The smallest elements of the rows that have the same number, for the numbers below `n`; where there is none,
/// infinity, or the largest integer: `T[k,3], i32[k] -> T[n,3]`. Equal ones share the derivative.
///
/// # Panics
/// If the elements are complex, `ids` are not integers or one is out of range, or `rows` do not begin with the dims
/// of `ids`.
#[track_caller]
pub fn segment_min(rows: &Tensor, ids: &Tensor, n: usize) -> Tensor {
    segments("segment_min", rows, ids, n, Fold::Min, Location::caller())
}

/// As [`segment_min`], the largest: `T[k,3], i32[k] -> T[n,3]`.
///
/// # Panics
/// As [`segment_min`].
#[track_caller]
pub fn segment_max(rows: &Tensor, ids: &Tensor, n: usize) -> Tensor {
    segments("segment_max", rows, ids, n, Fold::Max, Location::caller())
}

#[track_caller]
fn segments(op: &str, rows: &Tensor, ids: &Tensor, n: usize, fold: Fold, site: Site) -> Tensor {
    if !rows.dims().starts_with(ids.dims()) {
        violation(op, "the rows must begin with the dims of the ids", &[rows, ids], site);
    }
    check_ids(op, rows, ids, ROWS, n, OutOfRange::Refuse);
    combined(rows, ids, n, fold, OutOfRange::Refuse)
}

#[track_caller]
fn combined(rows: &Tensor, ids: &Tensor, n: usize, fold: Fold, out_of_range: OutOfRange) -> Tensor {
    bind(FoldRows { n, fold, out_of_range }, &[rows, ids])
}

/// The rows of `x` combined with those that have their number, as one of them.
#[track_caller]
fn with_own(x: &Tensor, ids: &Tensor, rows: &Tensor, fold: Fold) -> Tensor {
    let (n, count) = (x.dims()[0], ids.len());
    let rows = reshaped(rows, [&[count], &x.dims()[1..]].concat().into());
    let ids = reshaped(&cast(ids, DType::I64), [count].into_iter().collect());
    let rows = concat(&[x, &rows], 0);
    combined(&rows, &concat(&[&iota(DType::I64, n), &ids], 0), n, fold, OutOfRange::Refuse)
}

/// `x` and `rows` in one dtype, if they fit each other and the numbers.
#[track_caller]
pub(super) fn checked(
    op: &str,
    x: &Tensor,
    ids: &Tensor,
    rows: &Tensor,
    out_of_range: OutOfRange,
    site: Site,
) -> [Tensor; 2] {
    let Some(&n) = x.dims().first() else { violation(op, "a scalar has no rows", &[x], site) };
    let wanted = [ids.dims(), &x.dims()[1..]].concat();
    if rows.dims() != wanted {
        let rule = format!("the rows must have dims {wanted:?}: those of the ids, and of a row");
        violation(op, &rule, &[x, ids, rows], site);
    }
    check_ids(op, x, ids, ROWS, n, out_of_range);
    let dtype = promote(x.dtype(), rows.dtype());
    [cast(x, dtype), cast(rows, dtype)]
}

/// The combinations of rows by number.
struct FoldRows {
    n: usize,
    fold: Fold,
    out_of_range: OutOfRange,
}

impl FoldRows {
    /// What belongs to each row: `T[n,..], i32[k] -> T[k,..]`.
    #[track_caller]
    fn back(&self, x: &Tensor, ids: &Tensor) -> Tensor {
        let out_of_range = match self.out_of_range {
            OutOfRange::Fill => OutOfRange::Zero,
            other => other,
        };
        taken(x, ids, ROWS, out_of_range, Location::caller())
    }

    #[track_caller]
    fn sums(&self, rows: &Tensor, ids: &Tensor) -> Tensor {
        added(rows, ids, ROWS, self.n, self.out_of_range, Location::caller())
    }

    /// For each element, the product of the others of its number. It is exact where some are 0 too; its own
    /// derivative is not.
    fn others(&self, rows: &Tensor, ids: &Tensor) -> Tensor {
        let zero = rows.eq(0);
        let filled = where_(&zero, 1, rows);
        let zeros = cast(&zero, DType::I32);
        let other_zeros = self.back(&self.sums(&zeros, ids), ids) - zeros;
        let product = self.back(&combined(&filled, ids, self.n, Fold::Prod, self.out_of_range), ids);
        where_(other_zeros.eq(0), product / filled, 0)
    }

    /// The cotangent divided among the elements that are the extreme.
    fn shares(&self, ct: &Tensor, rows: &Tensor, ids: &Tensor, output: &Tensor) -> Tensor {
        let here = cast(&rows.eq(self.back(output, ids)), ct.dtype());
        // Where there is no row nothing is divided, and the derivative of that is not to be 0/0.
        let count = self.sums(&here, ids).maximum(1);
        self.back(&(ct / count), ids) * here
    }
}

impl Op for FoldRows {
    fn name(&self) -> &'static str {
        match self.fold {
            Fold::Prod => "segment_prod",
            Fold::Min => "segment_min",
            Fold::Max => "segment_max",
        }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let dtype = inputs[0].dtype;
        if dtype == DType::Float0 || dtype.is_complex() && self.fold != Fold::Prod {
            return Err(format!("elements of type {dtype} have no order"));
        }
        let row = &inputs[0].dims[inputs[1].ndim()..];
        Ok((dtype, [&[self.n], row].concat().into()))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let ids = resolved(&inputs[1], self.n, self.out_of_range);
        fold_rows(&inputs[0], &ids, with_lanes(ROWS, axes.len()), self.n, self.fold)
    }

    fn vjp(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], output: &Tensor) -> Option<Tensor> {
        let [rows, ids] = inputs else { unreachable!("rows and numbers") };
        (wrt == 0).then(|| match self.fold {
            Fold::Prod => self.back(ct, ids) * self.others(rows, ids),
            _ => self.shares(ct, rows, ids, output),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::grad;

    #[test]
    fn rows_combine() {
        let (x, ids) = (Tensor::from([[1, 5], [2, 6], [3, 7]]), Tensor::from([2, 0, -1]));
        let rows = Tensor::from([[4, 9], [2, 0], [5, 1]]);
        assert_eq!(scatter_mul(&x, &ids, &rows).to_vec::<i32>(), [2, 0, 2, 6, 60, 63]);
        assert_eq!(scatter_max(&x, &ids, &rows).to_vec::<i32>(), [2, 5, 2, 6, 5, 9]);
        assert_eq!(scatter_min(&x, &ids, &rows).to_vec::<i32>(), [1, 0, 2, 6, 3, 1]);
        assert_eq!(segment_max(&rows, &ids, 3).to_vec::<i32>(), [2, 0, i32::MIN, i32::MIN, 5, 9]);
        assert_eq!(segment_min(&waves(&[1], 0.5), &Tensor::from([1]), 2).to_vec::<f64>()[0], f64::INFINITY);
        let outside = scatter_mul_or(&x, &Tensor::from([7, 0, 0]), &rows, OutOfRange::Fill);
        assert_eq!(outside.to_vec::<i32>(), [10, 0, 2, 6, 3, 7]);
    }

    #[test]
    fn zeros_among_factors() {
        let (ids, rows) = (Tensor::from([0, 0, 0, 1]), Tensor::from([2.0, 0.0, 3.0, 5.0]));
        let slope = grad(|rows: &Tensor| segment_prod(rows, &ids, 2).sum(())).at(&rows);
        assert_eq!(slope.to_vec::<f64>(), [0.0, 6.0, 0.0, 1.0]);
    }

    #[test]
    fn ties_share() {
        let (ids, rows) = (Tensor::from([0, 0, 0, 1]), Tensor::from([2.0, 1.0, 2.0, 5.0]));
        let slope = grad(|rows: &Tensor| segment_max(rows, &ids, 3).slice(0, ..2).sum(())).at(&rows);
        assert_eq!(slope.to_vec::<f64>(), [0.5, 0.0, 0.5, 1.0]);
        let (ids, rows, x) =
            (Tensor::from([0u8, 0, 0]), Tensor::from([1.0, 1.0, 1.0]), Tensor::from([1.0, 5.0]));
        for f in [scatter_max, scatter_min] {
            let slope = grad(|x: &Tensor| f(x, &ids, &rows).sum(())).at(&x);
            assert_eq!(slope.to_vec::<f64>(), [0.25, 1.0]);
        }
    }

    #[test]
    fn derivatives_and_lanes() {
        let ids = Tensor::from([2, 0, -1]);
        for f in [scatter_mul, scatter_min, scatter_max] {
            let f = |x: &Tensor, rows: &Tensor| f(x, &ids, rows).sin();
            check_grads(f, (&waves(&[3, 2], 0.1), &waves(&[3, 2], 0.7)), 2);
            check_lanes(f, (&waves(&[4, 3, 2], 0.1), &waves(&[4, 3, 2], 0.7)));
        }
    }

    #[test]
    #[should_panic(expected = "scatter_max: index 3 at [1] is out of range for dim 0 of size 3")]
    fn numbers_are_in_range() {
        scatter_max(&waves(&[3], 0.0), &Tensor::from([0, 3]), &waves(&[2], 0.0));
    }
}
