//! `qr`: a matrix as one with orthonormal columns and an upper triangle.

use std::panic::Location;

use super::triangular_solve::triangle_solved;
use super::{adjoint, check_matrix, transposed};
use crate::array::kernels::{self, Triangle};
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::ops::{conj, matmul, slice, tril, triu};
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// Q and R with A = Q·R: orthonormal columns, and an upper triangle without negative numbers on the diagonal (which
/// makes them unique). The derivative needs the first columns to be linearly independent.
///
/// `T[m,n] -> T[m,k], T[k,n]` with k = min(m, n) and any dims before, for floats and complex.
///
/// # Panics
/// If the operand is no matrix of floats or complex numbers.
///
/// ```
/// use axisgrad::{Tensor, ops::linalg::qr};
/// let (q, r) = qr(&Tensor::from([[3.0, 1.0], [4.0, 2.0]]));
/// let first: Vec<f64> = q.to_vec();
/// assert!((first[0] - 0.6).abs() < 1e-12 && (first[2] - 0.8).abs() < 1e-12);
/// assert!((r.to_vec::<f64>()[0] - 5.0).abs() < 1e-12);
/// ```
#[track_caller]
pub fn qr(x: &Tensor) -> (Tensor, Tensor) {
    check_matrix("qr", x, Location::caller());
    let k = x.dim(-2).min(x.dim(-1));
    // The columns after the first k decide nothing.
    let q = bind(Orthonormal, &[&slice(x, -1, ..k)]);
    let r = triu(&matmul(&adjoint(&q), x), 0);
    (q, r)
}

/// Q of a matrix with no more columns than rows.
struct Orthonormal;

impl Op for Orthonormal {
    fn name(&self) -> &'static str {
        "qr"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[0].dtype, inputs[0].dims.clone()))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::orthonormal(&inputs[0])
    }

    /// Ā = (Q̄ + conj(Q)·C)·R⁻ᵀ, where with N = Qᵀ·Q̄ the lower triangle of C is that of -N*, the upper one that of -N, and
    /// the diagonal their mean: M. Seeger and others, "Auto-differentiating linear algebra", 2017; for complex matrices
    /// with the diagonal of R real.
    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], output: &Tensor) -> Option<Tensor> {
        let r = triu(&matmul(&adjoint(output), &inputs[0]), 0);
        let inner = matmul(&transposed(output), ct);
        let back = adjoint(&inner);
        let both = (tril(&back, 0) + tril(&back, -1) + triu(&inner, 0) + triu(&inner, 1)) * -0.5;
        let whole = ct + matmul(&conj(output), &both);
        // X·R⁻ᵀ is the transpose of R⁻¹·Xᵀ.
        let solved = triangle_solved(&r, &transposed(&whole), Triangle { lower: false, transposed: false });
        Some(transposed(&solved))
    }
}

#[cfg(test)]
mod tests {
    use super::super::close;
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::ops::waves::waves;
    use crate::ops::{broadcast_to, complex, eye};

    /// Waves themselves have rank 2.
    fn full_rank(dims: &[usize]) -> Tensor {
        (waves(dims, 0.3) * 1.5).exp()
    }

    #[test]
    fn values() {
        for dims in [[2, 4, 3], [2, 3, 3], [2, 2, 4]] {
            let x = full_rank(&dims);
            let (q, r) = qr(&x);
            close(&matmul(&q, &r), &x);
            let k = dims[1].min(dims[2]);
            close(&matmul(&transposed(&q), &q), &broadcast_to(&eye(DType::F64, k), &[2, k, k]));
            close(&tril(&r, -1), &r.zeros_like());
        }
    }

    #[test]
    fn derivatives_and_lanes() {
        for dims in [[4, 3], [3, 3], [2, 4]] {
            check_grads(|x: &Tensor| qr(x).0.sin(), &full_rank(&dims), 2);
            check_grads(|x: &Tensor| qr(x).1.sin(), &full_rank(&dims), 2);
        }
        check_lanes(|x: &Tensor| qr(x).0, &full_rank(&[5, 4, 3]));
    }

    #[test]
    fn of_complex_matrices() {
        for dims in [[4, 3], [3, 3], [2, 4]] {
            let z = complex(full_rank(&dims), waves(&dims, 1.1));
            let (q, r) = qr(&z);
            let off = matmul(&q, &r) - &z;
            close(&off.abs().sum(()), &Tensor::from(0.0));
            let square = matmul(&adjoint(&q), &q) - eye(DType::F64, dims[0].min(dims[1]));
            close(&square.abs().sum(()), &Tensor::from(0.0));
            check_grads(|z: &Tensor| qr(z).0.sin(), &z, 2);
            check_grads(|z: &Tensor| qr(z).1.sin(), &z, 2);
        }
    }

    #[test]
    #[should_panic(expected = "qr: a matrix of floats or complex numbers is needed")]
    fn matrices_have_floats() {
        qr(&Tensor::from([[1, 2]]));
    }
}
