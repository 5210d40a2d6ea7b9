//! How reductions are told their dims.

use std::panic::Location;

use smallvec::SmallVec;

use crate::array::Dims;
use crate::error::violation;
use crate::ops::broadcast::broadcast_in_dims;
use crate::tensor::Tensor;

/// Which dims: `()` for all of them, one number, or several; negative ones count from the end.
pub trait IntoDims {
    /// The dims as they were given; `None` for all.
    fn listed(&self) -> Option<&[isize]>;

    /// Whether a reduced dim stays, with size 1.
    fn keep(&self) -> bool {
        false
    }
}

impl IntoDims for () {
    fn listed(&self) -> Option<&[isize]> {
        None
    }
}

impl IntoDims for isize {
    fn listed(&self) -> Option<&[isize]> {
        Some(std::slice::from_ref(self))
    }
}

impl<const N: usize> IntoDims for [isize; N] {
    fn listed(&self) -> Option<&[isize]> {
        Some(self)
    }
}

impl IntoDims for &[isize] {
    fn listed(&self) -> Option<&[isize]> {
        Some(self)
    }
}

impl IntoDims for &Vec<isize> {
    fn listed(&self) -> Option<&[isize]> {
        Some(self)
    }
}

/// See [`keep`].
#[derive(Clone, Copy, Debug)]
pub struct Keep<D>(D);

/// The dims to reduce, which then stay with size 1: the result broadcasts against the operand.
///
/// ```
/// use axisgrad::{Tensor, ops::keep};
/// let x = Tensor::from([[1.0, 3.0], [2.0, 6.0]]);
/// assert_eq!((&x / x.sum(keep(-1))).to_vec::<f64>(), [0.25, 0.75, 0.25, 0.75]);
/// ```
pub fn keep<D: IntoDims>(dims: D) -> Keep<D> {
    Keep(dims)
}

impl<D: IntoDims> IntoDims for Keep<D> {
    fn listed(&self) -> Option<&[isize]> {
        self.0.listed()
    }

    fn keep(&self) -> bool {
        true
    }
}

/// The dims that a reduction is over, as indices from the front in ascending order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Along {
    pub dims: SmallVec<[usize; 4]>,
    keep: bool,
}

impl Along {
    /// The dims of `x` that `dims` names.
    #[track_caller]
    pub fn of(op: &str, x: &Tensor, dims: &impl IntoDims) -> Self {
        let Some(listed) = dims.listed() else {
            return Self { dims: (0..x.ndim()).collect(), keep: dims.keep() };
        };
        let mut found = SmallVec::with_capacity(listed.len());
        for &dim in listed {
            found.push(x.dim_index(op, dim));
        }
        found.sort_unstable();
        if let Some(twice) = found.windows(2).find(|pair| pair[0] == pair[1]) {
            violation(op, &format!("dim {} is named twice", twice[0]), &[x], Location::caller());
        }
        Self { dims: found, keep: dims.keep() }
    }

    /// How many elements of `x` make one of the result.
    pub fn count(&self, x: &Tensor) -> usize {
        self.dims.iter().map(|&dim| x.dims()[dim]).product()
    }

    /// The result of reducing `x`, with the reduced dims at size 1 if they are to stay.
    #[track_caller]
    pub fn finish(&self, x: &Tensor, reduced: Tensor) -> Tensor {
        if !self.keep {
            return reduced;
        }
        let size = |dim| if self.dims.contains(&dim) { 1 } else { x.dims()[dim] };
        let dims: Dims = (0..x.ndim()).map(size).collect();
        broadcast_in_dims(&reduced, &dims, &kept(x.ndim(), &self.dims))
    }
}

/// The dims that are left when `dims` of `ndim` are reduced.
fn kept(ndim: usize, dims: &[usize]) -> Dims {
    (0..ndim).filter(|dim| !dims.contains(dim)).collect()
}

/// The sizes that are left.
pub(super) fn kept_sizes(sizes: &[usize], dims: &[usize]) -> Dims {
    kept(sizes.len(), dims).into_iter().map(|dim| sizes[dim]).collect()
}

/// Repeats a reduction's result, or its cotangent, along the dims that were reduced, to the dims of `x`.
pub(super) fn spread(reduced: &Tensor, x: &Tensor, dims: &[usize]) -> Tensor {
    broadcast_in_dims(reduced, x.dims(), &kept(x.ndim(), dims))
}

/// The dims as they stand behind the lane dims in storage.
pub(super) fn behind_lanes(dims: &[usize], lanes: usize) -> SmallVec<[usize; 4]> {
    dims.iter().map(|dim| lanes + dim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dims_count_from_either_end() {
        let x = Tensor::from([[[1.0f32; 4]; 3]; 2]);
        assert_eq!(Along::of("sum", &x, &()).dims[..], [0, 1, 2]);
        assert_eq!(Along::of("sum", &x, &[-1, 0]).dims[..], [0, 2]);
        assert_eq!(Along::of("sum", &x, &[-1, 0]).count(&x), 8);
        assert_eq!(x.sum(keep(-2)).dims(), [2, 1, 4]);
        assert_eq!(x.sum(keep(())).dims(), [1, 1, 1]);
    }

    #[test]
    #[should_panic(expected = "mean: dim 1 is named twice\n   operand: f32[2,3]")]
    fn a_dim_is_named_once() {
        Tensor::from([[1.0f32; 3]; 2]).mean([1, -1]);
    }
}
