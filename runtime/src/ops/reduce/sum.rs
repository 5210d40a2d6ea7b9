//! `sum`: the transpose of a broadcast.

use smallvec::SmallVec;

use super::along::{Along, IntoDims, behind_lanes, kept_sizes, spread};
use crate::array::{Array, Dims, kernels};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::ops::cast;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// The sum over dims, `()` for all; of bools, how many are true (`i32`).
///
/// `T[..] -> T[..]` without the dims (see [`keep`](super::keep)). Integers wrap; of nothing it is 0. The order of
/// the additions depends on the reduced dims alone.
///
/// ```
/// use axisgrad::Tensor;
/// let x = Tensor::from([[1.0, 2.0], [3.0, 4.0]]);
/// assert_eq!(x.sum(0).to_vec::<f64>(), [4.0, 6.0]);
/// assert_eq!(x.sum(()).item::<f64>(), 10.0);
/// ```
///
/// # Panics
/// If a dim does not exist or is named twice.
#[track_caller]
pub fn sum(x: &Tensor, dims: impl IntoDims) -> Tensor {
    let along = Along::of("sum", x, &dims);
    let x = if x.dtype() == DType::Bool { &cast(x, DType::I32) } else { x };
    along.finish(x, sum_dims(x, &along.dims))
}

impl Tensor {
    /// See [`ops::sum`](crate::ops::sum()).
    #[track_caller]
    pub fn sum(&self, dims: impl IntoDims) -> Tensor {
        sum(self, dims)
    }
}

/// The sum over dims given from the front, in ascending order.
#[track_caller]
pub(crate) fn sum_dims(x: &Tensor, dims: &[usize]) -> Tensor {
    if dims.is_empty() { x.clone() } else { bind(Sum { dims: dims.into() }, &[x]) }
}

struct Sum {
    dims: SmallVec<[usize; 4]>,
}

impl Op for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        if inputs[0].dtype == DType::Float0 {
            return Err("float0 holds no values".to_owned());
        }
        Ok((inputs[0].dtype, kept_sizes(&inputs[0].dims, &self.dims)))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        kernels::sum(&inputs[0], &behind_lanes(&self.dims, axes.len()))
    }

    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        Some(spread(ct, &inputs[0], &self.dims))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::ops::{keep, zeros};

    #[test]
    fn values() {
        let x = Tensor::from([[[1i32, 2], [3, 4]], [[5, 6], [7, 8]]]);
        assert_eq!(x.sum([0, 2]).to_vec::<i32>(), [14, 22]);
        assert_eq!(x.sum([0isize; 0]).dims(), [2, 2, 2]);
        assert_eq!(Tensor::from([true, true, false]).sum(()).item::<i32>(), 2);
        assert_eq!(zeros(DType::F32, [0, 3]).sum(0).to_vec::<f32>(), [0.0; 3]);
    }

    #[test]
    fn derivatives_to_second_order() {
        let x = Tensor::from([[0.5f64, -1.25, 3.0], [0.1, 0.2, 0.3]]);
        check_grads(|x: &Tensor| x.square().sum(0).square().sum(()), &x, 2);
        check_grads(|x: &Tensor| x * x.sum(keep(-1)), &x, 2);
    }

    #[test]
    fn lanes_do_not_matter() {
        let x: Vec<f32> = (0..5 * 37 * 3).map(|i| (i as f32 * 0.7).sin()).collect();
        let x = Tensor::from(Array::from_vec(x, [5, 37, 3]));
        check_lanes(|x: &Tensor| x.sum(0), &x);
        check_lanes(|x: &Tensor| x.sum(1), &x);
        check_lanes(|x: &Tensor| x.sum(()), &x);
    }
}
