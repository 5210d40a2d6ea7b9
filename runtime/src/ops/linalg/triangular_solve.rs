//! `triangular_solve`: linear equations with a triangle.

use super::{solved, transposed};
use crate::array::kernels::{self, Triangle};
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::ops::{matmul, tril, triu};
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// X with A·X = B, where A is the lower (or upper) triangle of `a`; with `trans`, with Aᵀ·X = B. NaN if there is a
/// zero on the diagonal. The other half of `a` is not read.
///
/// `T[..,n,n], T[..,n,m] -> T[..,n,m]`, or `T[..,n,n], T[n] -> T[..,n]`, for floats and complex.
///
/// # Panics
/// If `a` is no square matrix, `b` has another number of rows, or the dims before do not broadcast.
///
/// ```
/// use axisgrad::{Tensor, ops::linalg::triangular_solve};
/// let (a, b) = (Tensor::from([[2.0, 7.0], [1.0, 4.0]]), Tensor::from([2.0, 9.0]));
/// assert_eq!(triangular_solve(&a, &b, true, false).to_vec::<f64>(), [1.0, 2.0]);
/// ```
#[track_caller]
pub fn triangular_solve(a: &Tensor, b: &Tensor, lower: bool, trans: bool) -> Tensor {
    let triangle = Triangle { lower, transposed: trans };
    solved("triangular_solve", a, b, |a, b| triangle_solved(a, b, triangle))
}

/// See [`triangular_solve`]; for stacks of matrices of the same dims in front.
#[track_caller]
pub(super) fn triangle_solved(a: &Tensor, b: &Tensor, triangle: Triangle) -> Tensor {
    bind(TriangularSolve(triangle), &[a, b])
}

struct TriangularSolve(Triangle);

impl Op for TriangularSolve {
    fn name(&self) -> &'static str {
        "triangular_solve"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[1].dtype, inputs[1].dims.clone()))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::triangular_solve(&inputs[0], &inputs[1], self.0)
    }

    fn vjp(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], output: &Tensor) -> Option<Tensor> {
        let Triangle { lower, transposed: trans } = self.0;
        let right = triangle_solved(&inputs[0], ct, Triangle { lower, transposed: !trans });
        if wrt == 1 {
            return Some(right);
        }
        let (left, right) = if trans { (output, &right) } else { (&right, output) };
        let whole = -matmul(left, &transposed(right));
        Some(if lower { tril(&whole, 0) } else { triu(&whole, 0) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{close, well_conditioned};
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::ops::waves::waves;

    #[test]
    fn values() {
        let (a, b) = (well_conditioned(&[3, 3], 0.3), waves(&[2, 3, 4], 0.9));
        close(&matmul(&tril(&a, 0), &triangular_solve(&a, &b, true, false)), &b);
        close(&matmul(&tril(&a, 0).t(), &triangular_solve(&a, &b, true, true)), &b);
        close(&matmul(&triu(&a, 0), &triangular_solve(&a, &b, false, false)), &b);
        close(&matmul(&triu(&a, 0).t(), &triangular_solve(&a, &b, false, true)), &b);
        let v = waves(&[3], 0.1);
        close(&tril(&a, 0).dot(&triangular_solve(&a, &v, true, false)), &v);
    }

    #[test]
    fn derivatives_and_lanes() {
        let (a, b) = (well_conditioned(&[3, 3], 0.3), waves(&[3, 2], 0.9));
        for (lower, trans) in [(true, false), (true, true), (false, false), (false, true)] {
            let f = move |a: &Tensor, b: &Tensor| triangular_solve(a, b, lower, trans).sin();
            check_grads(f, (&a, &b), 2);
            check_lanes(f, (&well_conditioned(&[5, 3, 3], 0.3), &waves(&[5, 3, 2], 0.9)));
        }
    }

    #[test]
    #[should_panic(expected = "triangular_solve: a right-hand side has 3 rows")]
    fn rows_agree() {
        triangular_solve(&waves(&[3, 3], 0.0), &waves(&[2], 0.0), true, false);
    }
}
