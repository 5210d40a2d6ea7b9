//! `solve`, `inv` and `matrix_power`.

use super::{check_square, solved, transposed};
use crate::array::kernels;
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::ops::{broadcast_to, eye, matmul};
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// X with A·X = B; NaN if A is singular.
///
/// `T[..,n,n], T[..,n,m] -> T[..,n,m]`, or `T[..,n,n], T[n] -> T[..,n]`, for floats and complex.
///
/// # Panics
/// If `a` is no square matrix, `b` has another number of rows, or the dims before do not broadcast.
///
/// ```
/// use axisgrad::{Tensor, ops::linalg::solve};
/// let (a, b) = (Tensor::from([[2.0, 0.0], [1.0, 4.0]]), Tensor::from([2.0, 9.0]));
/// assert_eq!(solve(&a, &b).to_vec::<f64>(), [1.0, 2.0]);
/// ```
#[track_caller]
pub fn solve(a: &Tensor, b: &Tensor) -> Tensor {
    solved("solve", a, b, |a, b| bind(Solve, &[a, b]))
}

/// The inverse; NaN if there is none. To multiply by an inverse, [`solve`] is faster and more accurate.
///
/// `T[..,n,n] -> T[..,n,n]`, for floats and complex.
///
/// # Panics
/// If the operand is no square matrix of floats or complex numbers.
#[track_caller]
pub fn inv(x: &Tensor) -> Tensor {
    check_square("inv", x);
    bind(Inverse, &[x])
}

/// The product of `n` times the same matrix; of the inverse, if `n` is negative, and the identity for 0.
///
/// `T[..,n,n] -> T[..,n,n]`, for floats and complex.
///
/// # Panics
/// If the operand is no square matrix of floats or complex numbers.
#[track_caller]
pub fn matrix_power(x: &Tensor, n: i32) -> Tensor {
    check_square("matrix_power", x);
    let mut square = if n < 0 { inv(x) } else { x.clone() };
    let mut left = n.unsigned_abs();
    let mut product: Option<Tensor> = None;
    while left > 0 {
        if left % 2 == 1 {
            product = Some(product.map_or_else(|| square.clone(), |product| matmul(&product, &square)));
        }
        left /= 2;
        if left > 0 {
            square = matmul(&square, &square);
        }
    }
    product.unwrap_or_else(|| broadcast_to(&eye(x.dtype(), x.dim(-1)), x.dims()))
}

/// See [`solve`]; for stacks of matrices of the same dims in front.
struct Solve;

impl Op for Solve {
    fn name(&self) -> &'static str {
        "solve"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[1].dtype, inputs[1].dims.clone()))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::solve(&inputs[0], &inputs[1])
    }

    fn vjp(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], output: &Tensor) -> Option<Tensor> {
        let right = bind(Solve, &[&transposed(&inputs[0]), ct]);
        Some(if wrt == 1 { right } else { -matmul(&right, &transposed(output)) })
    }
}

/// See [`inv`].
struct Inverse;

impl Op for Inverse {
    fn name(&self) -> &'static str {
        "inv"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[0].dtype, inputs[0].dims.clone()))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::inverse(&inputs[0])
    }

    fn vjp(&self, _: usize, ct: &Tensor, _: &[Tensor], output: &Tensor) -> Option<Tensor> {
        let side = transposed(output);
        Some(-matmul(&matmul(&side, ct), &side))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{close, well_conditioned};
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::ops::complex;
    use crate::ops::waves::waves;

    #[test]
    fn values() {
        let (a, b) = (well_conditioned(&[2, 4, 4], 0.3), waves(&[4, 3], 0.9));
        close(&matmul(&a, &solve(&a, &b)), &broadcast_to(&b, &[2, 4, 3]));
        let identity = broadcast_to(&eye(DType::F64, 4), &[2, 4, 4]);
        close(&matmul(&a, &inv(&a)), &identity);
        close(&matrix_power(&a, 5), &matmul(&a, &matmul(&matmul(&a, &a), &matmul(&a, &a))));
        close(&matmul(&matrix_power(&a, -2), &matmul(&a, &a)), &identity);
        close(&matrix_power(&a, 0), &identity);
        assert!(solve(&a.zeros_like(), &b).to_vec::<f64>().iter().all(|x| x.is_nan()));
    }

    #[test]
    fn derivatives() {
        let (a, b) = (well_conditioned(&[3, 3], 0.3), waves(&[3, 2], 0.9));
        check_grads(|a: &Tensor, b: &Tensor| solve(a, b).sin(), (&a, &b), 2);
        check_grads(|a: &Tensor| inv(a).sin(), &a, 2);
        check_grads(|a: &Tensor| matrix_power(a, 3).sin(), &a, 2);
        let (z, v) = (complex(&a, waves(&[3, 3], 1.1)), waves(&[3], 0.2));
        check_grads(|a: &Tensor, b: &Tensor| solve(a, b), (&z, &v), 2);
        check_grads(inv, &z, 2);
    }

    #[test]
    fn lanes() {
        let (a, b) = (well_conditioned(&[5, 3, 3], 0.3), waves(&[5, 3], 0.9));
        check_lanes(solve, (&a, &b));
        check_lanes(inv, &a);
    }

    #[test]
    #[should_panic(expected = "inv: elements must be floats or complex, and these are i32; cast them first")]
    fn integers_have_no_inverse() {
        inv(&Tensor::from([[1, 2], [3, 4]]));
    }
}
