//! Rows picked and rows added by index.

use crate::array::{Array, Dims};
use crate::dtype::{DType, Scalar, dispatch};

/// The parts of `a` at the indices `ids` of `dim`: `T[..,n,..], i32[k] -> T[..,k,..]`.
///
/// # Panics
/// If `ids` is not an `i32` or `i64` array of one dim, an index is out of range, or the dim does not exist.
pub fn gather_rows(a: &Array, ids: &Array, dim: usize) -> Array {
    let ids = indices(ids, a.dims()[dim]);
    dispatch!(a.dtype() in [stored], T => gather_of::<T>(&a.contiguous(), &ids, dim))
}

fn gather_of<T: Scalar>(a: &Array, ids: &[usize], dim: usize) -> Array {
    let mut dims = Dims::from_slice(a.dims());
    dims[dim] = ids.len();
    let inner: usize = dims[dim + 1..].iter().product();
    let mut buffer = a.pool().alloc::<T>(dims.iter().product());
    let parts = a.as_slice::<T>().chunks_exact((a.dims()[dim] * inner).max(1));
    for (out, part) in buffer.as_mut_slice::<T>().chunks_exact_mut((ids.len() * inner).max(1)).zip(parts) {
        for (out, &id) in out.chunks_exact_mut(inner.max(1)).zip(ids) {
            out.copy_from_slice(&part[id * inner..][..inner]);
        }
    }
    Array::from_written::<T>(dims, buffer)
}

/// Zeros of dims `dims`, to which the parts of `updates` along `dim` are added at the indices `ids`, one after the
/// other: `i32[k], T[..,k,..] -> T[..,n,..]`.
///
/// # Panics
/// If `ids` is not an `i32` or `i64` array of one dim, an index is out of range, the dims do not fit, or the
/// elements are `bool`.
pub fn scatter_add_rows(dims: &[usize], ids: &Array, updates: &Array, dim: usize) -> Array {
    let mut expected = Dims::from_slice(dims);
    expected[dim] = ids.len();
    assert_eq!(updates.dims(), &expected[..], "scatter_add_rows: the dims of the updates");
    let ids = indices(ids, dims[dim]);
    dispatch!(updates.dtype() in [numeric], T => scatter_of::<T>(dims, &ids, &updates.contiguous(), dim))
}

fn scatter_of<T: Scalar>(dims: &[usize], ids: &[usize], updates: &Array, dim: usize) -> Array {
    let inner: usize = dims[dim + 1..].iter().product();
    let mut buffer = updates.pool().zeroed::<T>(dims.iter().product());
    let parts = updates.as_slice::<T>().chunks_exact((ids.len() * inner).max(1));
    for (out, part) in buffer.as_mut_slice::<T>().chunks_exact_mut((dims[dim] * inner).max(1)).zip(parts) {
        for (part, &id) in part.chunks_exact(inner.max(1)).zip(ids) {
            out[id * inner..][..inner].iter_mut().zip(part).for_each(|(out, &x)| *out = out.plus(x));
        }
    }
    Array::from_written::<T>(dims, buffer)
}

fn indices(ids: &Array, size: usize) -> Vec<usize> {
    assert!(ids.ndim() == 1, "indices have one dim, not {:?}", ids.dims());
    let ids = match ids.dtype() {
        DType::I32 => ids.to_vec::<i32>().into_iter().map(i64::from).collect(),
        _ => ids.to_vec::<i64>(),
    };
    let index = |id| usize::try_from(id).ok().filter(|&id| id < size);
    ids.into_iter().map(|id| index(id).unwrap_or_else(|| panic!("index {id} of a dim of {size}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_picked_along_any_dim() {
        let a = Array::from([[1i32, 2, 3], [4, 5, 6]]);
        let ids = Array::from([2i64, 0, 2]);
        assert_eq!(gather_rows(&a, &ids, 1).to_vec::<i32>(), [3, 1, 3, 6, 4, 6]);
        let turned = gather_rows(&a.permute(&[1, 0]), &ids, 0);
        assert_eq!((turned.dims(), turned.to_vec::<i32>()), (&[3, 2][..], vec![3, 6, 1, 4, 3, 6]));
        assert_eq!(gather_rows(&a, &Array::zeros(DType::I32, [0]), 0).dims(), [0, 3]);
        assert_eq!(gather_rows(&Array::zeros(DType::F32, [2, 0]), &Array::from([1i32]), 0).dims(), [1, 0]);
    }

    #[test]
    fn rows_are_added_in_order() {
        let updates = Array::from([[1e8f32, 1.0], [1.0, 2.0], [-1e8, 3.0]]);
        let sums = scatter_add_rows(&[3, 2], &Array::from([1i32, 1, 1]), &updates, 0);
        assert_eq!(sums.to_vec::<f32>(), [0.0, 0.0, 0.0, 6.0, 0.0, 0.0]);
        let columns = scatter_add_rows(&[3, 4], &Array::from([3i32, 0]), &updates, 1);
        assert_eq!(columns.to_vec::<f32>()[..4], [1.0, 0.0, 0.0, 1e8]);
    }

    #[test]
    #[should_panic(expected = "index -1 of a dim of 3")]
    fn indices_are_checked() {
        gather_rows(&Array::from([1i32, 2, 3]), &Array::from([0i32, -1]), 0);
    }
}
