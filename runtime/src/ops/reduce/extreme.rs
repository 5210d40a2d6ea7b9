//! `max` and `min`: the extreme over dims.

use smallvec::SmallVec;

use super::along::{Along, IntoDims, behind_lanes, kept_sizes, spread};
use super::sum_dims;
use crate::array::{Array, Dims, kernels};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// The largest element over dims, `()` for all; NaN if one is.
///
/// `T[..] -> T[..]` without the dims (see [`keep`](super::keep)), for any T but complex ones. The cotangent goes
/// to the largest, shared equally among several.
///
/// # Panics
/// If the elements are complex, there are none to choose from, or a dim does not exist or is named twice.
#[track_caller]
pub fn max(x: &Tensor, dims: impl IntoDims) -> Tensor {
    extreme("max", x, &dims, kernels::max)
}

/// The smallest element over dims, `()` for all; NaN if one is.
///
/// `T[..] -> T[..]` without the dims (see [`keep`](super::keep)), for any T but complex ones. The cotangent goes
/// to the smallest, shared equally among several.
///
/// # Panics
/// If the elements are complex, there are none to choose from, or a dim does not exist or is named twice.
#[track_caller]
pub fn min(x: &Tensor, dims: impl IntoDims) -> Tensor {
    extreme("min", x, &dims, kernels::min)
}

impl Tensor {
    /// See [`ops::max`](crate::ops::max()).
    #[track_caller]
    pub fn max(&self, dims: impl IntoDims) -> Tensor {
        max(self, dims)
    }

    /// See [`ops::min`](crate::ops::min()).
    #[track_caller]
    pub fn min(&self, dims: impl IntoDims) -> Tensor {
        min(self, dims)
    }
}

type Kernel = fn(&Array, &[usize]) -> Array;

#[track_caller]
fn extreme(name: &'static str, x: &Tensor, dims: &impl IntoDims, kernel: Kernel) -> Tensor {
    let along = Along::of(name, x, dims);
    along.finish(x, bind(Extreme { name, kernel, dims: along.dims.clone() }, &[x]))
}

struct Extreme {
    name: &'static str,
    kernel: Kernel,
    dims: SmallVec<[usize; 4]>,
}

impl Op for Extreme {
    fn name(&self) -> &'static str {
        self.name
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let x = inputs[0];
        if x.dtype.is_complex() || x.dtype == DType::Float0 {
            return Err(format!("elements of type {} have no order", x.dtype));
        }
        match self.dims.iter().find(|&&dim| x.dims[dim] == 0) {
            Some(dim) => Err(format!("dim {dim} has size 0: there is no element to choose")),
            None => Ok((x.dtype, kept_sizes(&x.dims, &self.dims))),
        }
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let dims = behind_lanes(&self.dims, axes.len());
        if inputs[0].is_empty() {
            // No lanes, or a dim of size 0 that stays: no result is asked for.
            return Array::zeros_in(inputs[0].pool(), inputs[0].dtype(), kept_sizes(inputs[0].dims(), &dims));
        }
        (self.kernel)(&inputs[0], &dims)
    }

    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], output: &Tensor) -> Option<Tensor> {
        let x = &inputs[0];
        let chosen = x.eq(spread(output, x, &self.dims)).cast(x.dtype());
        let share = ct / sum_dims(&chosen, &self.dims);
        Some(chosen * spread(&share, x, &self.dims))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::grad;
    use crate::ops::zeros;

    #[test]
    fn values() {
        let x = Tensor::from([[3i32, -1, 4], [1, -5, 9]]);
        assert_eq!((x.max(0).to_vec::<i32>(), x.min(1).to_vec::<i32>()), (vec![3, -1, 9], vec![-1, -5]));
        assert_eq!(x.max(()).item::<i32>(), 9);
        assert!(Tensor::from([1.0f32, f32::NAN]).min(()).item::<f32>().is_nan());
        assert_eq!(zeros(DType::F32, [0, 3]).max(1).dims(), [0]);
    }

    #[test]
    fn ties_share_the_cotangent() {
        let x = Tensor::from([1.0f64, 3.0, 3.0, 2.0, 3.0]);
        let gradient = grad(|x: &Tensor| x.max(()) * 6.0).at(&x);
        assert_eq!(gradient.to_vec::<f64>(), [0.0, 2.0, 2.0, 0.0, 2.0]);
    }

    #[test]
    fn derivatives_to_second_order() {
        let x = Tensor::from([[0.5f64, -1.25, 3.0], [0.1, 0.2, 0.3]]);
        check_grads(|x: &Tensor| x.max(0).square() + x.min(0), &x, 2);
        check_grads(|x: &Tensor| x.square().max([0, 1]), &x, 2);
        check_lanes(|x: &Tensor| x.max(0), &x);
    }

    #[test]
    #[should_panic(expected = "max: dim 1 has size 0: there is no element to choose")]
    fn nothing_has_no_maximum() {
        zeros(DType::F32, [3, 0]).max(1);
    }
}
