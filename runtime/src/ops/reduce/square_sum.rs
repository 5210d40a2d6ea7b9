//! The sum of squares, without the squares.

use super::along::behind_lanes;
use crate::array::{Array, Dims, kernels};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// `(x * x).sum(())` for real floats: `T[..] -> T[]`.
#[track_caller]
pub(crate) fn square_sum(x: &Tensor) -> Tensor {
    bind(SquareSum, &[x])
}

struct SquareSum;

impl Op for SquareSum {
    fn name(&self) -> &'static str {
        "square_sum"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[0].dtype, Dims::new()))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let dims: Vec<usize> = (0..inputs[0].ndim() - axes.len()).collect();
        kernels::square_sum(&inputs[0], &behind_lanes(&dims, axes.len()))
    }

    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        Some(&inputs[0] * (ct * 2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{check_grads, check_lanes};

    #[test]
    fn values_and_derivatives() {
        let x = Tensor::from([[0.5f64, -1.25, 3.0], [0.1, 0.2, 0.3]]);
        assert_eq!(square_sum(&x).item::<f64>(), (&x * &x).sum(()).item::<f64>());
        check_grads(|x: &Tensor| square_sum(x).sin(), &x, 2);
        check_lanes(square_sum, &x);
    }
}
