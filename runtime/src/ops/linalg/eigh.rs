//! `eigvalsh` and `eigh`: eigenvalues and eigenvectors of symmetric and self-adjoint matrices; and `svdvals`.

use std::panic::Location;

use super::{adjoint, check_matrix, symmetric, transposed};
use crate::array::kernels;
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::ops::{concat, conj, expand_dims, flip, matmul, slice, where_};
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// The eigenvalues of (A + A*)/2, ascending, where A* is the transpose (of a complex matrix, the conjugate of that).
///
/// `T[..,n,n] -> R[..,n]`, for floats and complex, where R is the type of a number's size.
///
/// # Panics
/// If the operand is no square matrix of floats or complex numbers.
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

/// The eigenvalues of (A + A*)/2, ascending, and in the columns of a matrix the eigenvectors, of length 1; see
/// [`eigvalsh`].
///
/// `T[..,n,n] -> R[..,n], T[..,n,n]`, for floats and complex. Eigenvectors of equal eigenvalues have no derivative with
/// respect to each other, and it counts as zero. The sign (of a complex eigenvector, the phase) is open: derivatives are
/// those of functions that do not depend on it.
///
/// # Panics
/// If the operand is no square matrix of floats or complex numbers.
#[track_caller]
pub fn eigh(x: &Tensor) -> (Tensor, Tensor) {
    let x = symmetric("eigh", x);
    (bind(Eigenvalues, &[&x]), bind(Eigenvectors, &[&x]))
}

/// The singular values, descending.
///
/// `T[m,n] -> R[min(m,n)]`, with any dims before, for floats and complex. It has no derivative where a value is zero.
///
/// # Panics
/// If the operand is no matrix of floats or complex numbers.
#[track_caller]
pub fn svdvals(x: &Tensor) -> Tensor {
    check_matrix("svdvals", x, Location::caller());
    let (m, n) = (x.dim(-2), x.dim(-1));
    let square = |size: usize| {
        let dims: Dims = x.dims()[..x.ndim() - 2].iter().copied().chain([size, size]).collect();
        crate::ops::zeros(x.dtype(), dims)
    };
    // The eigenvalues of [[0, A], [A*, 0]] are the singular values, their negatives, and zeros.
    let upper = concat(&[&square(m), x], -1);
    let lower = concat(&[&adjoint(x), &square(n)], -1);
    let values = bind(Eigenvalues, &[&concat(&[&upper, &lower], -2)]);
    flip(&slice(&values, -1, m.max(n)..), -1)
}

/// See [`eigvalsh`]; its operand is its own adjoint.
struct Eigenvalues;

impl Op for Eigenvalues {
    fn name(&self) -> &'static str {
        "eigvalsh"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let dims = &inputs[0].dims;
        Ok((inputs[0].dtype.real(), Dims::from_slice(&dims[..dims.len() - 1])))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::eigenvalues(&inputs[0])
    }

    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let vectors = bind(Eigenvectors, &[&inputs[0]]);
        Some(matmul(&(conj(&vectors) * expand_dims(ct, -2)), &transposed(&vectors)))
    }
}

/// See [`eigh`]; its operand is its own adjoint.
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

    /// Ā = conj(V)·(F∘(Vᵀ·V̄))·Vᵀ made its own adjoint, with F = 1/(λj - λi) off the diagonal: M. Giles, "Collected matrix
    /// derivative results for forward and reverse mode algorithmic differentiation", 2008.
    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], output: &Tensor) -> Option<Tensor> {
        let values = bind(Eigenvalues, &[&inputs[0]]);
        let gaps = expand_dims(&values, -2) - expand_dims(&values, -1);
        let equal = gaps.eq(0);
        // The inner choice keeps a division by zero out of the derivative of this rule.
        let inverse = where_(&equal, 0, 1.0 / where_(&equal, 1, &gaps));
        let inner = inverse * matmul(&transposed(output), ct);
        let whole = matmul(&matmul(&conj(output), &inner), &transposed(output));
        Some((&whole + adjoint(&whole)) * 0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{close, well_conditioned};
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::grad;
    use crate::ops::waves::waves;
    use crate::ops::{complex, diag, eye};

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
    fn of_complex_matrices() {
        let z = complex(well_conditioned(&[3, 3], 0.3), waves(&[3, 3], 1.1));
        let (values, vectors) = eigh(&z);
        assert!(values.dtype() == DType::F64 && values.to_vec::<f64>().is_sorted());
        let whole = matmul(&(&vectors * expand_dims(&values, -2)), &adjoint(&vectors));
        close(&(whole - symmetric("", &z)).abs(), &values.zeros_like().expand_dims(0).broadcast_to(&[3, 3]));
        check_grads(|z: &Tensor| eigvalsh(z).sin(), &z, 2);
        // The phase of an eigenvector is open.
        check_grads(|z: &Tensor| eigh(z).1.abs().square().sin(), &z, 2);
        check_grads(|z: &Tensor| svdvals(&slice(z, 0, ..2)).sin(), &z, 2);
    }

    #[test]
    fn equal_eigenvalues_have_a_sum_with_a_derivative() {
        let slope = grad(|x: &Tensor| eigvalsh(x).sum(())).at(&eye(DType::F64, 3));
        close(&slope, &eye(DType::F64, 3));
    }
}
