//! `lu`: a matrix as a permutation, a lower and an upper triangle.

use super::triangular_solve::triangle_solved;
use super::{Elements, check_square, transposed};
use crate::array::kernels::{self, Triangle};
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::ops::{eye, matmul, tril, triu};
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// P, L and U with A = P·L·U: a permutation, a lower triangle with ones on the diagonal, and an upper triangle. Rows
/// are swapped so that each pivot is the largest there is. P has no derivative.
///
/// `T[..,n,n] -> T[..,n,n], T[..,n,n], T[..,n,n]`, for floats and complex.
///
/// # Panics
/// If the operand is no square matrix of floats or complex numbers.
///
/// ```
/// use axisgrad::{Tensor, ops::linalg::lu};
/// let (p, l, u) = lu(&Tensor::from([[1.0, 2.0], [2.0, 2.0]]));
/// assert_eq!(p.to_vec::<f64>(), [0.0, 1.0, 1.0, 0.0]);
/// assert_eq!(l.to_vec::<f64>(), [1.0, 0.0, 0.5, 1.0]);
/// assert_eq!(u.to_vec::<f64>(), [2.0, 2.0, 0.0, 1.0]);
/// ```
#[track_caller]
pub fn lu(x: &Tensor) -> (Tensor, Tensor, Tensor) {
    check_square("lu", x, Elements::Inexact);
    let packed = bind(Packed, &[x]);
    let (lower, upper) = parts(&packed);
    (bind(Permutation, &[x]).stop_gradient(), lower, upper)
}

/// The two triangles of a packed matrix; the ones on the diagonal of the first are not stored.
#[track_caller]
fn parts(packed: &Tensor) -> (Tensor, Tensor) {
    (tril(packed, -1) + eye(packed.dtype(), packed.dim(-1)), triu(packed, 0))
}

/// L below the diagonal and U on and above it, in one matrix.
struct Packed;

impl Op for Packed {
    fn name(&self) -> &'static str {
        "lu"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[0].dtype, inputs[0].dims.clone()))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::lu(&inputs[0])
    }

    /// Ā = P·L⁻ᵀ·(tril(Lᵀ·L̄, -1) + triu(Ū·Uᵀ))·U⁻ᵀ: S. F. Walter and L. Lehmann, "Algorithmic differentiation of
    /// linear algebra functions with application in optimum experimental design", 2010.
    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], output: &Tensor) -> Option<Tensor> {
        let (lower, upper) = parts(output);
        let below = tril(&matmul(&transposed(&lower), &tril(ct, -1)), -1);
        let above = triu(&matmul(&triu(ct, 0), &transposed(&upper)), 0);
        let left = triangle_solved(&lower, &(below + above), Triangle { lower: true, transposed: true });
        let both = triangle_solved(&upper, &transposed(&left), Triangle { lower: false, transposed: false });
        Some(matmul(&bind(Permutation, &[&inputs[0]]), &transposed(&both)))
    }
}

/// The permutation of the rows, as a matrix.
struct Permutation;

impl Op for Permutation {
    fn name(&self) -> &'static str {
        "lu"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[0].dtype, inputs[0].dims.clone()))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::lu_permutation(&inputs[0])
    }

    fn vjp(&self, _: usize, _: &Tensor, _: &[Tensor], _: &Tensor) -> Option<Tensor> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::{close, well_conditioned};
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::ops::complex;
    use crate::ops::flip;
    use crate::ops::waves::waves;

    #[test]
    fn values() {
        let x = flip(&well_conditioned(&[2, 4, 4], 0.3), -2);
        let (p, l, u) = lu(&x);
        close(&matmul(&p, &matmul(&l, &u)), &x);
        close(&triu(&l, 1), &x.zeros_like());
        close(&tril(&u, -1), &x.zeros_like());
    }

    #[test]
    fn derivatives_and_lanes() {
        let x = flip(&well_conditioned(&[3, 3], 0.3), -2);
        check_grads(|x: &Tensor| lu(x).1.sin() + lu(x).2.cos(), &x, 2);
        check_grads(|x: &Tensor| lu(x).2, &complex(&x, waves(&[3, 3], 1.1)), 2);
        check_lanes(|x: &Tensor| lu(x).2, &well_conditioned(&[5, 3, 3], 0.3));
    }

    #[test]
    #[should_panic(expected = "lu: a square matrix is needed, and this has dims 2 and 3")]
    fn matrices_are_square() {
        lu(&waves(&[2, 3], 0.0));
    }
}
