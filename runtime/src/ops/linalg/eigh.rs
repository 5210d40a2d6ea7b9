//! `eigvalsh` and `eigh`: eigenvalues and eigenvectors of symmetric matrices; and `svdvals`.

use std::panic::Location;

use super::{check_matrix, symmetric, transposed};
use crate::array::kernels;
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::ops::{concat, expand_dims, flip, matmul, slice, where_};
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// The eigenvalues of (A + Aᵀ)/2, ascending.
///
/// `T[..,n,n] -> T[..,n]`, for floats.
///
/// # Panics
/// If the operand is no square matrix of floats.
///
/// ```
/// use axisgrad::{Tensor, ops::linalg::eigvalsh};
/// let values = eigvalsh(&Tensor::from([[2.0, 1.0], [1.0, 2.0]])).to_vec::<f64>();
/// assert!((values[0] - 1.0).abs() < 1e-12 && (values[1] - 3.0).abs() < 1e-12);
/// ```
#[track_caller]
pub fn eigvalsh(x: &Tensor) -> Tensor {
    bind(Eigenvalues, &[&symmetric("eigvalsh", x)])
}

/// The eigenvalues of (A + Aᵀ)/2, ascending, and in the columns of a matrix the eigenvectors, of length 1.
///
/// `T[..,n,n] -> T[..,n], T[..,n,n]`, for floats. Eigenvectors of equal eigenvalues have no derivative with respect
/// to each other, and it counts as zero.
///
/// # Panics
/// If the operand is no square matrix of floats.
#[track_caller]
pub fn eigh(x: &Tensor) -> (Tensor, Tensor) {
    let x = symmetric("eigh", x);
    (bind(Eigenvalues, &[&x]), bind(Eigenvectors, &[&x]))
}

/// The singular values, descending.
///
/// `T[m,n] -> T[min(m,n)]`, with any dims before, for floats. It has no derivative where a value is zero.
///
/// # Panics
/// If the operand is no matrix of floats.
#[track_caller]
pub fn svdvals(x: &Tensor) -> Tensor {
    check_matrix("svdvals", x, Location::caller());
    let (m, n) = (x.dim(-2), x.dim(-1));
    let square = |size: usize| {
        let dims: Dims = x.dims()[..x.ndim() - 2].iter().copied().chain([size, size]).collect();
        crate::ops::zeros(x.dtype(), dims)
    };
    // The eigenvalues of [[0, A], [Aᵀ, 0]] are the singular values, their negatives, and zeros.
    let upper = concat(&[&square(m), x], -1);
    let lower = concat(&[&transposed(x), &square(n)], -1);
    let values = bind(Eigenvalues, &[&concat(&[&upper, &lower], -2)]);
    flip(&slice(&values, -1, m.max(n)..), -1)
}

/// See [`eigvalsh`]; its operand is symmetric.
struct Eigenvalues;

impl Op for Eigenvalues {
    fn name(&self) -> &'static str {
        "eigvalsh"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let dims = &inputs[0].dims;
        Ok((inputs[0].dtype, Dims::from_slice(&dims[..dims.len() - 1])))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::eigenvalues(&inputs[0])
    }

    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let vectors = bind(Eigenvectors, &[&inputs[0]]);
        Some(matmul(&(&vectors * expand_dims(ct, -2)), &transposed(&vectors)))
    }
}

/// See [`eigh`]; its operand is symmetric.
struct Eigenvectors;

impl Op for Eigenvectors {
    fn name(&self) -> &'static str {
        "eigh"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[0].dtype, inputs[0].dims.clone()))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::eigenvectors(&inputs[0])
    }

    /// Ā = V·(F∘(Vᵀ·V̄))·Vᵀ made symmetric, with F = 1/(λj - λi) off the diagonal: M. Giles, "Collected matrix
    /// derivative results for forward and reverse mode algorithmic differentiation", 2008.
    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], output: &Tensor) -> Option<Tensor> {
        let values = bind(Eigenvalues, &[&inputs[0]]);
        let gaps = expand_dims(&values, -2) - expand_dims(&values, -1);
        let equal = gaps.eq(0);
        // The inner choice keeps a division by zero out of the derivative of this rule.
        let inverse = where_(&equal, 0, 1.0 / where_(&equal, 1, &gaps));
        let inner = inverse * matmul(&transposed(output), ct);
        let whole = matmul(&matmul(output, &inner), &transposed(output));
        Some((&whole + transposed(&whole)) * 0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{close, well_conditioned};
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::grad;
    use crate::ops::waves::waves;
    use crate::ops::{diag, eye};

    #[test]
    fn values() {
        let x = well_conditioned(&[4, 4], 0.3);
        let (values, vectors) = eigh(&x);
        close(&matmul(&matmul(&vectors, &diag(&values)), &vectors.t()), &symmetric("", &x));
        close(&matmul(&vectors.t(), &vectors), &eye(DType::F64, 4));
        let order = values.to_vec::<f64>();
        assert!(order.is_sorted());
        close(&eigvalsh(&x), &values);
    }

    #[test]
    fn singular_values() {
        // Waves themselves have rank 2.
        let x = waves(&[3, 5], 0.3).exp();
        let squares = flip(&eigvalsh(&matmul(&x, &x.t())), 0);
        close(&svdvals(&x).square(), &squares);
        close(&svdvals(&x.t()).square(), &squares);
        check_grads(|x: &Tensor| svdvals(x).sin(), &x, 2);
        check_lanes(svdvals, &waves(&[4, 3, 2], 0.3));
    }

    #[test]
    fn derivatives_and_lanes() {
        let x = well_conditioned(&[3, 3], 0.3);
        check_grads(|x: &Tensor| eigvalsh(x).sin(), &x, 2);
        // The sign of an eigenvector is open, so a function of it must not depend on the sign.
        check_grads(|x: &Tensor| eigh(x).1.square().sin(), &x, 2);
        check_lanes(eigvalsh, &well_conditioned(&[5, 3, 3], 0.3));
        check_lanes(|x: &Tensor| eigh(x).1, &well_conditioned(&[5, 3, 3], 0.3));
    }

    #[test]
    fn equal_eigenvalues_have_a_sum_with_a_derivative() {
        let slope = grad(|x: &Tensor| eigvalsh(x).sum(())).at(&eye(DType::F64, 3));
        close(&slope, &eye(DType::F64, 3));
    }
}
