//! `cholesky`: the square root of a positive-definite matrix that is a lower triangle.

use super::triangular_solve::triangle_solved;
use super::{adjoint, symmetric, transposed};
use crate::array::kernels::{self, Triangle};
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::ops::{conj, matmul, tril};
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// The lower triangle L with L·L* = (A + A*)/2, where L* is its transpose (of complex matrices, the conjugate of that);
/// NaN where that is not positive definite.
///
/// `T[..,n,n] -> T[..,n,n]`, for floats and complex.
///
/// # Panics
/// If the operand is no square matrix of floats or complex numbers.
///
/// ```
/// use axisgrad::{Tensor, ops::linalg::cholesky};
/// let a = Tensor::from([[4.0, 2.0], [2.0, 5.0]]);
/// assert_eq!(cholesky(&a).to_vec::<f64>(), [2.0, 0.0, 1.0, 2.0]);
/// ```
#[track_caller]
pub fn cholesky(x: &Tensor) -> Tensor {
    bind(Cholesky, &[&symmetric("cholesky", x)])
}

/// See [`cholesky`]; its operand is its own adjoint.
struct Cholesky;

impl Op for Cholesky {
    fn name(&self) -> &'static str {
        "cholesky"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[0].dtype, inputs[0].dims.clone()))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::cholesky(&inputs[0])
    }

    /// Ā = L⁻ᵀ·Φ(Lᵀ·L̄)·conj(L)⁻¹ made its own adjoint, where Φ is the lower triangle with half the diagonal: I. Murray,
    /// "Differentiation of the Cholesky decomposition", 2016.
    fn vjp(&self, _: usize, ct: &Tensor, _: &[Tensor], output: &Tensor) -> Option<Tensor> {
        let product = matmul(&transposed(output), ct);
        let lower = (tril(&product, 0) + tril(&product, -1)) * 0.5;
        let back = Triangle { lower: true, transposed: true };
        let left = triangle_solved(output, &lower, back);
        let both = transposed(&triangle_solved(&conj(output), &transposed(&left), back));
        Some((&both + adjoint(&both)) * 0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::super::close;
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::ops::waves::waves;
    use crate::ops::{complex, eye, triu};

    fn positive(dims: &[usize]) -> Tensor {
        let x = waves(dims, 0.3);
        matmul(&x, &transposed(&x)) + eye(DType::F64, dims[dims.len() - 1])
    }

    #[test]
    fn values() {
        let a = positive(&[2, 4, 4]);
        let l = cholesky(&a);
        close(&matmul(&l, &transposed(&l)), &a);
        close(&tril(&l, 0), &l);
        let bad = Tensor::from([[1.0, 2.0], [2.0, 1.0]]);
        assert!(tril(&cholesky(&bad), 0).to_vec::<f64>()[2].is_nan());
    }

    #[test]
    fn derivatives_and_lanes() {
        check_grads(|x: &Tensor| cholesky(x).sin(), &positive(&[3, 3]), 2);
        check_lanes(cholesky, &positive(&[5, 3, 3]));
    }

    #[test]
    fn of_complex_matrices() {
        let z = complex(positive(&[3, 3]), waves(&[3, 3], 0.9));
        let l = cholesky(&z);
        close(&matmul(&l, &adjoint(&l)).real(), &z.real());
        close(&triu(&l, 1).abs(), &z.real().zeros_like());
        check_grads(|z: &Tensor| cholesky(z).sin(), &z, 2);
        let bad = complex(Tensor::from([[1.0, 2.0], [2.0, 1.0]]), Tensor::from([[0.0, 0.5], [-0.5, 0.0]]));
        assert!(cholesky(&bad).real().to_vec::<f64>()[0].is_nan());
    }

    #[test]
    #[should_panic(expected = "cholesky: a square matrix is needed, and this has dims 2 and 3")]
    fn matrices_are_square() {
        cholesky(&waves(&[2, 3], 0.0));
    }
}
