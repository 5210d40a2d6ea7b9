//! `take`: rows of a tensor by number, as of an embedding table.

use std::panic::Location;
use std::rc::Rc;

use super::permute::move_dim;
use super::row_ids::{OutOfRange, check_ids, resolved};
use super::row_sum::RowSum;
use super::scatter_add::added;
use crate::array::kernels::{RowDims, missing, take_rows};
use crate::array::{Array, Dims};
use crate::bind::bind_at;
use crate::dtype::{DType, Scalar, dispatch};
use crate::error::violation;
use crate::op::{FusedSum, Op};
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

type Site = &'static Location<'static>;

/// What `x` has at the positions `ids` along a dim, in whose place come the dims of `ids`. Negative numbers count
/// from the end, once.
///
/// `T[n,3], i32[4] -> T[4,3]` for dim 0. A cotangent is added up row by row; summed over examples, without a table
/// for each.
///
/// # Panics
/// If `ids` are not integers, there is no such dim, or a number is out of range: see [`take_or`] for other ways.
///
/// ```
/// use axisgrad::{Tensor, ops::take};
/// let table = Tensor::from([[1.0, 2.0], [3.0, 4.0]]);
/// assert_eq!(take(&table, &Tensor::from([1, 0, 1]), 0).to_vec::<f64>(), [3.0, 4.0, 1.0, 2.0, 3.0, 4.0]);
/// ```
#[track_caller]
pub fn take(x: &Tensor, ids: &Tensor, dim: isize) -> Tensor {
    take_or(x, ids, dim, OutOfRange::Refuse)
}

/// [`take`], with a choice of what a number out of range does.
///
/// # Panics
/// If `ids` are not integers, there is no such dim, or a number is out of range and to be refused.
#[track_caller]
pub fn take_or(x: &Tensor, ids: &Tensor, dim: isize, out_of_range: OutOfRange) -> Tensor {
    let at = RowDims { batch: 0, dim: x.dim_index("take", dim) };
    check_ids("take", x, ids, at, x.dims()[at.dim], out_of_range);
    taken(x, ids, at, out_of_range, Location::caller())
}

/// For each position of `ids`, what `x` has there but for one dim, along which the number says where:
/// `T[m,n], i32[m,k] -> T[m,k]` for dim 1. Negative numbers count from the end, once.
///
/// # Panics
/// If `ids` are not integers, there is no such dim, another dim differs, or a number is out of range.
///
/// ```
/// use axisgrad::{Tensor, ops::take_along_dim};
/// let x = Tensor::from([[1.0, 2.0], [3.0, 4.0]]);
/// assert_eq!(take_along_dim(&x, &Tensor::from([[1], [0]]), 1).to_vec::<f64>(), [2.0, 3.0]);
/// ```
#[track_caller]
pub fn take_along_dim(x: &Tensor, ids: &Tensor, dim: isize) -> Tensor {
    take_along_dim_or(x, ids, dim, OutOfRange::Refuse)
}

/// [`take_along_dim`], with a choice of what a number out of range does.
///
/// `T[m,n], i32[m,k] -> T[m,k]` for dim 1.
///
/// # Panics
/// As [`take_along_dim`], but for numbers out of range that are not to be refused.
#[track_caller]
pub fn take_along_dim_or(x: &Tensor, ids: &Tensor, dim: isize, out_of_range: OutOfRange) -> Tensor {
    let dim = x.dim_index("take_along_dim", dim);
    let agree = x.ndim() == ids.ndim() && (0..x.ndim()).all(|i| i == dim || x.dims()[i] == ids.dims()[i]);
    if !agree {
        let rule = format!("dims other than {dim} must agree");
        violation("take_along_dim", &rule, &[x, ids], Location::caller());
    }
    let [x, ids] = [x, ids].map(|x| move_dim(x, dim as isize, -1));
    let at = RowDims { batch: x.ndim() - 1, dim: x.ndim() - 1 };
    check_ids("take_along_dim", &x, &ids, at, x.dims()[at.dim], out_of_range);
    move_dim(&taken(&x, &ids, at, out_of_range, Location::caller()), -1, dim as isize)
}

impl Tensor {
    /// See [`take`].
    #[track_caller]
    pub fn take(&self, ids: &Tensor, dim: isize) -> Tensor {
        take(self, ids, dim)
    }

    /// See [`take_along_dim`].
    #[track_caller]
    pub fn take_along_dim(&self, ids: &Tensor, dim: isize) -> Tensor {
        take_along_dim(self, ids, dim)
    }
}

/// Rows with numbers that have been checked.
pub(super) fn taken(x: &Tensor, ids: &Tensor, at: RowDims, out_of_range: OutOfRange, site: Site) -> Tensor {
    bind_at(Rc::new(Take { at, out_of_range, site }), &[x, ids], site)
}

/// See [`take`]. The first `at.batch` dims of the two operands run together.
struct Take {
    at: RowDims,
    out_of_range: OutOfRange,
    site: Site,
}

impl Op for Take {
    fn name(&self) -> &'static str {
        "take"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let (x, ids) = (&inputs[0].dims, &inputs[1].dims);
        let dims = [&x[..self.at.dim], &ids[self.at.batch..], &x[self.at.dim + 1..]].concat();
        Ok((inputs[0].dtype, dims.into()))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let at = with_lanes(self.at, axes.len());
        let ids = resolved(&inputs[1], inputs[0].dims()[at.dim], self.out_of_range);
        dispatch!(inputs[0].dtype(), T => {
            let nothing = if self.out_of_range == OutOfRange::Zero { T::ZERO } else { missing::<T>() };
            take_rows(&inputs[0], &ids, at, nothing)
        })
    }

    fn vjp(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let n = inputs[0].dims()[self.at.dim];
        (wrt == 0).then(|| added(ct, &inputs[1], self.at, n, self.out_of_range, self.site))
    }

    fn vjp_psum(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], axes: &AxisSet) -> Option<FusedSum> {
        let n = inputs[0].dims()[self.at.dim];
        let op = RowSum::new(self.at, n, self.out_of_range, axes.clone(), self.site);
        (wrt == 0).then(|| FusedSum { op: Rc::new(op), inputs: vec![ct.clone(), inputs[1].clone()] })
    }
}

/// The same rows of operands with `lanes` lane dims in front.
pub(super) fn with_lanes(at: RowDims, lanes: usize) -> RowDims {
    RowDims { batch: at.batch + lanes, dim: at.dim + lanes }
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::grad;

    fn counting() -> Tensor {
        Tensor::from([[0, 1, 2], [10, 11, 12], [20, 21, 22]])
    }

    #[test]
    fn rows_by_number() {
        let ids = Tensor::from([[2, -3], [1, 1]]);
        let rows = counting().take(&ids, 0);
        assert_eq!(rows.dims(), [2, 2, 3]);
        assert_eq!(rows.to_vec::<i32>(), [20, 21, 22, 0, 1, 2, 10, 11, 12, 10, 11, 12]);
        assert_eq!(counting().take(&Tensor::from(1i64), 1).to_vec::<i32>(), [1, 11, 21]);
        assert_eq!(counting().take(&Tensor::from([2u8, 0]), -1).to_vec::<i32>(), [2, 0, 12, 10, 22, 20]);
    }

    #[test]
    fn one_number_for_each_position() {
        let ids = Tensor::from([[2, -1, 0], [1, 0, 0]]);
        assert_eq!(counting().take_along_dim(&ids, 0).to_vec::<i32>(), [20, 21, 2, 10, 1, 2]);
        let ids = Tensor::from([[2], [-1], [0]]);
        assert_eq!(counting().take_along_dim(&ids, 1).to_vec::<i32>(), [2, 12, 20]);
    }

    #[test]
    fn numbers_out_of_range() {
        let (x, ids) = (waves(&[3], 0.5), Tensor::from([5, -7, 1]));
        let v = x.to_vec::<f64>();
        assert_eq!(take_or(&x, &ids, 0, OutOfRange::Clip).to_vec::<f64>(), [v[2], v[0], v[1]]);
        assert_eq!(take_or(&x, &ids, 0, OutOfRange::Zero).to_vec::<f64>(), [0.0, 0.0, v[1]]);
        assert!(take_or(&x, &ids, 0, OutOfRange::Fill).to_vec::<f64>()[..2].iter().all(|x| x.is_nan()));
        let slope =
            |mode| grad(move |x: &Tensor| take_or(x, &Tensor::from([5, -7, 1]), 0, mode).sum(())).at(&x);
        assert_eq!(slope(OutOfRange::Clip).to_vec::<f64>(), [1.0, 1.0, 1.0]);
        assert_eq!(slope(OutOfRange::Fill).to_vec::<f64>(), [0.0, 1.0, 0.0]);
    }

    #[test]
    #[should_panic(expected = "take: index 3 at [0, 1] is out of range for dim 1 of size 3")]
    fn a_number_too_large_is_refused() {
        counting().take(&Tensor::from([[1, 3]]), 1);
    }

    #[test]
    #[should_panic(expected = "take: index 18446744073709551615 at [0] is out of range")]
    fn the_largest_number_is_not_the_last_row() {
        counting().take(&Tensor::from([u64::MAX]), 0);
    }

    #[test]
    #[should_panic(expected = "take: ids must be integers, and these are f64")]
    fn numbers_are_integers() {
        counting().take(&Tensor::from([1.0]), 0);
    }

    #[test]
    #[should_panic(expected = "take_along_dim: dims other than 1 must agree")]
    fn other_dims_agree() {
        counting().take_along_dim(&Tensor::from([[1]]), 1);
    }

    #[test]
    fn derivatives_and_lanes() {
        let ids = Tensor::from([[3, 1, 1], [-1, 0, 2]]);
        check_grads(|x: &Tensor| x.take(&ids, 1).sin(), (&waves(&[2, 4, 2], 0.3),), 2);
        check_grads(|x: &Tensor| x.take_along_dim(&ids, 1).sin(), (&waves(&[2, 4], 0.3),), 2);
        let each = Tensor::from([[3, 1, 1], [-1, 0, 2], [0, 0, 0]]);
        check_lanes(|x: &Tensor, ids: &Tensor| x.take(ids, 0), (&waves(&[3, 4, 2], 0.3), &each));
        let table = waves(&[4, 2], 0.3);
        check_lanes(|ids: &Tensor| table.take(ids, 0), (&each,));
    }
}
