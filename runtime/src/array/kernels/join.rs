//! Arrays put side by side.

use crate::array::{Array, Dims};
use crate::dtype::{Scalar, dispatch};

/// The arrays one after the other along `dim`: `T[..,n,..], T[..,m,..] -> T[..,n+m,..]`.
///
/// # Panics
/// If there are none, they differ in type or in other dims, or the dim does not exist.
pub fn concat(arrays: &[&Array], dim: usize) -> Array {
    let first = arrays[0];
    dispatch!(first.dtype() in [stored], T => concat_of::<T>(arrays, dim))
}

fn concat_of<T: Scalar>(arrays: &[&Array], dim: usize) -> Array {
    let mut dims = Dims::from_slice(arrays[0].dims());
    dims[dim] = arrays.iter().map(|a| a.dims()[dim]).sum();
    let inner: usize = dims[dim + 1..].iter().product();
    let whole = dims[dim] * inner;
    let mut buffer = arrays[0].pool().alloc::<T>(dims.iter().product());
    let mut start = 0;
    for a in arrays {
        assert!(same_but(a, arrays[0], dim), "concat along {dim}: {:?} and {:?}", a.dims(), arrays[0].dims());
        let (part, len) = (a.contiguous(), a.dims()[dim] * inner);
        let outer = part.as_slice::<T>().chunks_exact(len.max(1));
        for (out, part) in buffer.as_mut_slice::<T>().chunks_exact_mut(whole.max(1)).zip(outer) {
            out[start..start + len].copy_from_slice(part);
        }
        start += len;
    }
    Array::from_written::<T>(dims, buffer)
}

fn same_but(a: &Array, b: &Array, dim: usize) -> bool {
    a.ndim() == b.ndim() && (0..a.ndim()).all(|i| i == dim || a.dims()[i] == b.dims()[i])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;

    #[test]
    fn parts_lie_in_order() {
        let a = Array::from([[1i32, 2], [3, 4]]);
        assert_eq!(concat(&[&a, &a.flip(0)], 0).to_vec::<i32>(), [1, 2, 3, 4, 3, 4, 1, 2]);
        let b = a.slice(1, 0, 1, 1);
        assert_eq!(
            concat(&[&b, &a, &Array::zeros(DType::I32, [2, 0])], 1).to_vec::<i32>(),
            [1, 1, 2, 3, 3, 4]
        );
        assert_eq!(concat(&[&b], 1).dims(), [2, 1]);
    }

    #[test]
    #[should_panic(expected = "concat along 0: [3, 3] and [2, 2]")]
    fn other_dims_must_agree() {
        concat(&[&Array::zeros(DType::F32, [2, 2]), &Array::zeros(DType::F32, [3, 3])], 0);
    }
}
