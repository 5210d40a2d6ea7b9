//! `broadcast_to`, and the op below it and below every reduction's transpose: a tensor repeated along new dims.

use smallvec::SmallVec;

use super::reduce::sum_dims;
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// `x` repeated to `dims` by NumPy's rule: dims align at the end, and a dim of 1 stretches.
///
/// `f32[n], f32[1,n], f32[m,1] -> f32[m,n]`; nothing is copied. A cotangent is summed over what was repeated.
///
/// ```
/// use axisgrad::{Tensor, ops::broadcast_to};
/// let x = Tensor::from([1.0, 2.0]);
/// assert_eq!(broadcast_to(&x, &[2, 2]).to_vec::<f64>(), [1.0, 2.0, 1.0, 2.0]);
/// ```
///
/// # Panics
/// If a dim is neither equal nor 1, or there are fewer `dims` than `x` has.
#[track_caller]
pub fn broadcast_to(x: &Tensor, dims: &[usize]) -> Tensor {
    if x.dims() == dims {
        return x.clone();
    }
    let new = dims.len().saturating_sub(x.ndim());
    broadcast_in_dims(x, dims, &(new..new + x.ndim()).collect::<Dims>())
}

impl Tensor {
    /// See [`broadcast_to`].
    #[track_caller]
    pub fn broadcast_to(&self, dims: &[usize]) -> Tensor {
        broadcast_to(self, dims)
    }
}

/// `x` repeated to `dims`, dim `i` of it becoming dim `at[i]`; `at` ascends, and a dim of 1 stretches.
#[track_caller]
pub(crate) fn broadcast_in_dims(x: &Tensor, dims: &[usize], at: &[usize]) -> Tensor {
    if x.dims() == dims {
        return x.clone();
    }
    bind(BroadcastInDims { dims: Dims::from_slice(dims), at: at.into() }, &[x])
}

struct BroadcastInDims {
    dims: Dims,
    at: SmallVec<[usize; 6]>,
}

impl BroadcastInDims {
    fn fits(&self, from: &[usize]) -> bool {
        from.len() <= self.dims.len()
            && from.iter().zip(&self.at).all(|(&size, &at)| size == 1 || size == self.dims[at])
    }
}

impl Op for BroadcastInDims {
    fn name(&self) -> &'static str {
        "broadcast_to"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let from = &inputs[0].dims;
        if !self.fits(from) {
            return Err(format!("dims {from:?} do not stretch to {:?}", &self.dims[..]));
        }
        Ok((inputs[0].dtype, self.dims.clone()))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let lanes = axes.len();
        let new = (0..self.dims.len()).filter(|dim| !self.at.contains(dim));
        let aligned = new.fold(inputs[0].clone(), |x, dim| x.expand_dims(lanes + dim));
        let dims: Dims = inputs[0].dims()[..lanes].iter().chain(&self.dims).copied().collect();
        aligned.broadcast_to(&dims)
    }

    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let from = inputs[0].dims();
        let kept = |dim| self.at.iter().position(|&at| at == dim).is_some_and(|i| from[i] == self.dims[dim]);
        let repeated: SmallVec<[usize; 4]> = (0..self.dims.len()).filter(|&dim| !kept(dim)).collect();
        let unstretched: Dims = (0..from.len()).filter(|&i| from[i] == self.dims[self.at[i]]).collect();
        Some(broadcast_in_dims(&sum_dims(ct, &repeated), from, &unstretched))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{check_grads, check_lanes};

    #[test]
    fn values_repeat() {
        let x = Tensor::from([[1i32], [2]]);
        assert_eq!(broadcast_to(&x, &[2, 2, 3]).to_vec::<i32>(), [1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2]);
        assert_eq!(broadcast_in_dims(&Tensor::from([1i32, 2]), &[2, 2], &[0]).to_vec::<i32>(), [1, 1, 2, 2]);
        assert_eq!(broadcast_to(&Tensor::from(1.0f32), &[0, 3]).dims(), [0, 3]);
    }

    #[test]
    fn derivatives_to_second_order() {
        for x in [Tensor::from([[0.5f64], [-1.0]]), Tensor::from([[2.0f64, 3.0]]), Tensor::from([[0.1f64]])] {
            check_grads(|x: &Tensor| broadcast_to(&x.square(), &[3, 2, 2]).square().sum(()), &x, 2);
            check_lanes(|x: &Tensor| broadcast_to(x, &[3, 2, 2]), &x);
        }
    }

    #[test]
    #[should_panic(expected = "broadcast_to: dims [3] do not stretch to [2, 2]")]
    fn dims_must_stretch() {
        broadcast_to(&Tensor::from([1.0f32, 2.0, 3.0]), &[2, 2]);
    }

    #[test]
    #[should_panic(expected = "do not stretch")]
    fn dims_do_not_disappear() {
        broadcast_to(&Tensor::from([[1.0f32]]), &[1]);
    }
}
