//! `flip`, `roll`, `tile` and `repeat`: the elements of a dim in reverse, moved round, and repeated.

use super::broadcast_to;
use super::concat::concat;
use super::reshape::reshaped;
use super::slice::slice;
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// The elements of a dim in reverse order: `T[n] -> T[n]`.
///
/// # Panics
/// If there is no such dim.
#[track_caller]
pub fn flip(x: &Tensor, dim: isize) -> Tensor {
    bind(Flip { dim: x.dim_index("flip", dim) }, &[x])
}

/// The elements of a dim moved by `shift` towards higher positions, round the end: `[1, 2, 3]` by 1 is
/// `[3, 1, 2]`.
///
/// # Panics
/// If there is no such dim.
#[track_caller]
pub fn roll(x: &Tensor, shift: isize, dim: isize) -> Tensor {
    let dim = x.dim_index("roll", dim) as isize;
    let size = x.dim(dim);
    if size == 0 {
        return x.clone();
    }
    let kept = size - shift.rem_euclid(size as isize) as usize;
    concat(&[&slice(x, dim, kept..), &slice(x, dim, ..kept)], dim)
}

/// The whole tensor repeated along each dim: `T[2,3] -> T[4,3]` for `[2, 1]`. As in NumPy, missing repetitions are 1
/// and missing dims have size 1, both in front.
#[track_caller]
pub fn tile(x: &Tensor, times: &[usize]) -> Tensor {
    let ndim = times.len().max(x.ndim());
    let front = |list: &[usize]| [&vec![1; ndim - list.len()], list].concat();
    let (times, sizes) = (front(times), front(x.dims()));
    let pairs = |of: &dyn Fn(usize) -> usize| (0..2 * ndim).map(of).collect::<Dims>();
    let apart = pairs(&|i| if i % 2 == 0 { 1 } else { sizes[i / 2] });
    let repeated = pairs(&|i| if i % 2 == 0 { times[i / 2] } else { sizes[i / 2] });
    let dims = times.iter().zip(&sizes).map(|(times, size)| times * size).collect();
    reshaped(&broadcast_to(&reshaped(x, apart), &repeated), dims)
}

/// Every element along a dim repeated so many times: `[1, 2]` by 2 is `[1, 1, 2, 2]`.
///
/// `T[2,3] -> T[4,3]` for dim 0 and 2 times.
///
/// # Panics
/// If there is no such dim.
#[track_caller]
pub fn repeat(x: &Tensor, times: usize, dim: isize) -> Tensor {
    let dim = x.dim_index("repeat", dim);
    let with = |at: usize, size: usize| {
        let mut dims = Dims::from_slice(x.dims());
        dims.insert(at, size);
        dims
    };
    let mut dims = Dims::from_slice(x.dims());
    dims[dim] *= times;
    reshaped(&broadcast_to(&reshaped(x, with(dim + 1, 1)), &with(dim + 1, times)), dims)
}

impl Tensor {
    /// See [`flip`].
    #[track_caller]
    pub fn flip(&self, dim: isize) -> Tensor {
        flip(self, dim)
    }

    /// See [`repeat`].
    #[track_caller]
    pub fn repeat(&self, times: usize, dim: isize) -> Tensor {
        repeat(self, times, dim)
    }

    /// See [`roll`].
    #[track_caller]
    pub fn roll(&self, shift: isize, dim: isize) -> Tensor {
        roll(self, shift, dim)
    }

    /// See [`tile`].
    #[track_caller]
    pub fn tile(&self, times: &[usize]) -> Tensor {
        tile(self, times)
    }
}

/// See [`flip`].
struct Flip {
    dim: usize,
}

impl Op for Flip {
    fn name(&self) -> &'static str {
        "flip"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[0].dtype, inputs[0].dims.clone()))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        inputs[0].flip(axes.len() + self.dim)
    }

    fn vjp(&self, _: usize, ct: &Tensor, _: &[Tensor], _: &Tensor) -> Option<Tensor> {
        Some(flip(ct, self.dim as isize))
    }
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};

    #[test]
    fn elements_move() {
        let x = Tensor::from([[1, 2, 3], [4, 5, 6]]);
        assert_eq!(x.flip(-1).to_vec::<i32>(), [3, 2, 1, 6, 5, 4]);
        assert_eq!(x.roll(1, 1).to_vec::<i32>(), [3, 1, 2, 6, 4, 5]);
        assert_eq!(x.roll(-1, 0).to_vec::<i32>(), [4, 5, 6, 1, 2, 3]);
        assert_eq!(x.roll(3, 1).to_vec::<i32>(), x.to_vec::<i32>());
        assert_eq!(x.tile(&[2, 1]).to_vec::<i32>(), [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6]);
        assert_eq!(x.tile(&[2, 1, 1]).dims(), [2, 2, 3]);
        assert_eq!(x.tile(&[2]).dims(), [2, 6]);
        assert_eq!(x.repeat(2, 0).to_vec::<i32>(), [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6]);
        assert_eq!(x.slice(1, ..1).tile(&[1, 3]).to_vec::<i32>(), [1, 1, 1, 4, 4, 4]);
        assert_eq!(Tensor::from([0i32; 0]).flip(0).roll(1, 0).dims(), [0]);
    }

    #[test]
    fn derivatives_and_lanes() {
        let x = Tensor::from([[0.3, -1.2, 2.0], [0.7, 0.1, -0.4]]);
        let f = |x: &Tensor| x.flip(1).roll(1, 0).tile(&[2, 2]).sin();
        check_grads(f, (&x,), 2);
        check_lanes(f, &waves(&[5, 2, 3], 0.1));
    }
}
