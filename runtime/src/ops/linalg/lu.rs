//! `lu`: a matrix as a permutation, a lower and an upper triangle.

use std::panic::Location;

use super::triangular_solve::triangle_solved;
use super::{check_matrix, transposed};
use crate::array::kernels::{self, Triangle};
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::ops::{concat, eye, matmul, slice, tril, triu};
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// P, L and U with A = P·L·U: a permutation, a lower triangle with ones on the diagonal, and an upper triangle. Rows
/// are swapped so that each pivot is the largest there is. P has no derivative.
///
/// `T[m,n] -> T[m,m], T[m,k], T[k,n]` with k = min(m, n) and any dims before, for floats and complex. The derivative needs
/// the first k columns to be linearly independent.
///
/// # Panics
/// If the operand is no matrix of floats or complex numbers.
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
    check_matrix("lu", x, Location::caller());
    let p = bind(Permutation, &[x]).stop_gradient();
    let k = x.dim(-2).min(x.dim(-1));
    if x.dim(-2) > k {
        let (lower, upper) = tall(&matmul(&transposed(&p), x), k);
        return (p, lower, upper);
    }
    // The columns after the first k do not decide which rows are swapped.
    let (lower, first) = parts(&bind(Packed, &[&slice(x, -1, ..k)]));
    if x.dim(-1) == k {
        return (p, lower, first);
    }
    let others = matmul(&transposed(&p), &slice(x, -1, k..));
    let others = triangle_solved(&lower, &others, Triangle { lower: true, transposed: false });
    (p, lower, concat(&[&first, &others], -1))
}

/// L and U of a matrix with more rows than columns, which are in order: those of the first `k` rows, and below
/// what is left of the others times U⁻¹.
#[track_caller]
fn tall(rows: &Tensor, k: usize) -> (Tensor, Tensor) {
    let (lower, upper) = parts(&bind(Packed, &[&slice(rows, -2, ..k)]));
    let below = transposed(&slice(rows, -2, k..));
    let below = transposed(&triangle_solved(&upper, &below, Triangle { lower: false, transposed: true }));
    (concat(&[&lower, &below], -2), upper)
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
        let [front @ .., m, _] = &inputs[0].dims[..] else { unreachable!("a matrix") };
        Ok((inputs[0].dtype, [front, &[*m, *m]].concat().into()))
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
        for x in [x.clone(), slice(&x, -1, ..2), slice(&x, -2, ..3), slice(&x, -1, ..1)] {
            let (p, l, u) = lu(&x);
            close(&matmul(&p, &matmul(&l, &u)), &x);
            close(&triu(&l, 1), &l.zeros_like());
            close(&tril(&u, -1), &u.zeros_like());
            assert!(l.abs().max(()).item::<f64>() <= 1.0, "the pivots are the largest");
        }
    }

    #[test]
    fn derivatives_and_lanes() {
        let x = flip(&well_conditioned(&[3, 3], 0.3), -2);
        check_grads(|x: &Tensor| lu(x).1.sin() + lu(x).2.cos(), &x, 2);
        check_grads(|x: &Tensor| lu(x).2, &complex(&x, waves(&[3, 3], 1.1)), 2);
        for x in [slice(&x, -1, ..2), slice(&x, -2, ..2)] {
            check_grads(|x: &Tensor| lu(x).1.sin(), &x, 2);
            check_grads(|x: &Tensor| lu(x).2.sin(), &complex(&x, waves(x.dims(), 1.1)), 2);
        }
        check_lanes(|x: &Tensor| lu(x).2, &well_conditioned(&[5, 3, 3], 0.3));
    }

    #[test]
    #[should_panic(expected = "lu: a matrix of floats or complex numbers is needed")]
    fn a_vector_is_no_matrix() {
        lu(&waves(&[3], 0.0));
    }
}
