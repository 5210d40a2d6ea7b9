//! `det` and `slogdet`: the determinant.

use std::panic::Location;

use smallvec::smallvec;

use super::{check_square, inv, transposed};
use crate::array::kernels::{self, DotDims};
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::{DType, Scalar, dispatch};
use crate::op::Op;
use crate::ops::dot::contraction;
use crate::ops::{complex, expand_dims, imag, index, move_dim, real, swap_dims};
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// The determinant. Its derivatives are right for singular matrices too.
///
/// `T[..,n,n] -> T[..]`, for floats and complex. The second derivative takes O(n⁵) operations.
///
/// # Panics
/// If the operand is no square matrix of floats or complex numbers.
///
/// ```
/// use axisgrad::{Tensor, grad, ops::linalg::det};
/// let a = Tensor::from([[1.0, 2.0], [2.0, 4.0]]);
/// assert_eq!(det(&a).item::<f64>(), 0.0);
/// let slope = grad(det).at(&a).to_vec::<f64>();
/// slope.iter().zip([4.0, -2.0, -2.0, 1.0]).for_each(|(a, b)| assert!((a - b).abs() < 1e-12));
/// ```
#[track_caller]
pub fn det(x: &Tensor) -> Tensor {
    check_square("det", x);
    bind(Det, &[x])
}

/// The sign of the determinant and the logarithm of its size, which neither overflow nor vanish: 0 and -∞ for a
/// singular matrix. The sign of a complex determinant is its direction, a number of size 1; that of a real one has no
/// derivative.
///
/// `T[..,n,n] -> T[..], R[..]`, for floats and complex, where R is the type of a number's size.
///
/// # Panics
/// If the operand is no square matrix of floats or complex numbers.
#[track_caller]
pub fn slogdet(x: &Tensor) -> (Tensor, Tensor) {
    check_square("slogdet", x);
    let both = bind(SignAndLog, &[x]);
    let sign = index(&both, -1, 0);
    let sign = if x.dtype().is_complex() { sign } else { sign.stop_gradient() };
    (sign, real(&index(&both, -1, 1)))
}

/// See [`det`].
struct Det;

impl Op for Det {
    fn name(&self) -> &'static str {
        "det"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[0].dtype, stack_dims(inputs[0]).into()))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::determinant(&inputs[0])
    }

    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        Some(each_matrix(ct) * bind(Cofactors, &[&inputs[0]]))
    }
}

/// The sign, then the logarithm of the size: `T[..,n,n] -> T[..,2]`.
struct SignAndLog;

impl Op for SignAndLog {
    fn name(&self) -> &'static str {
        "slogdet"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[0].dtype, [stack_dims(inputs[0]), &[2]].concat().into()))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::sign_and_log(&inputs[0])
    }

    /// With t = tr(A⁻¹·dA), the logarithm moves by Re t, and the sign by i·Im(t) times itself.
    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], output: &Tensor) -> Option<Tensor> {
        let along = index(ct, -1, 1);
        let along = if ct.dtype().is_complex() {
            complex(real(&along), imag(&(index(ct, -1, 0) * index(output, -1, 0))))
        } else {
            along
        };
        Some(each_matrix(&along) * transposed(&inv(&inputs[0])))
    }
}

/// The signed determinants of what is left without row i and column j: `T[..,n,n] -> T[..,n,n]`.
struct Cofactors;

impl Op for Cofactors {
    fn name(&self) -> &'static str {
        "cofactors"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[0].dtype, inputs[0].dims.clone()))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::cofactors(&inputs[0])
    }

    /// Each one is a determinant, whose cotangent goes back to where its matrix was taken from.
    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let x = &inputs[0];
        if x.dim(-1) < 2 {
            return None;
        }
        let rest = rest(x.dtype(), x.dim(-1));
        let signed = ct * signs(x.dtype(), x.dim(-1));
        Some(put_back(&(each_matrix(&signed) * bind(Cofactors, &[&minors(x, &rest)])), &rest))
    }
}

/// What stands before the matrices.
fn stack_dims(x: &TensorType) -> &[usize] {
    &x.dims[..x.dims.len() - 2]
}

/// One number for each matrix, to multiply it with: `T[..] -> T[..,1,1]`.
#[track_caller]
fn each_matrix(x: &Tensor) -> Tensor {
    expand_dims(&expand_dims(x, -1), -1)
}

/// The identity without row i, for every i: `T[n,n-1,n]`.
fn rest(dtype: DType, n: usize) -> Tensor {
    let row = |i: usize, a: usize| if a < i { a } else { a + 1 };
    constant(dtype, &[n, n - 1, n], |at| {
        let (i, a, k) = (at / n / (n - 1), at / n % (n - 1), at % n);
        if row(i, a) == k { 1.0 } else { 0.0 }
    })
}

/// +1 and -1 like the squares of a chessboard: `T[n,n]`.
fn signs(dtype: DType, n: usize) -> Tensor {
    constant(dtype, &[n, n], |at| if (at / n + at % n).is_multiple_of(2) { 1.0 } else { -1.0 })
}

fn constant(dtype: DType, dims: &[usize], element: impl Fn(usize) -> f64) -> Tensor {
    dispatch!(dtype in [stored], T => {
        let elements = (0..dims.iter().product()).map(|at| T::from_f64(element(at))).collect();
        Array::from_vec::<T>(elements, dims).into()
    })
}

/// The matrices without row i and column j: `T[..,k,l] -> T[..,i,j,a,b]`.
#[track_caller]
fn minors(x: &Tensor, rest: &Tensor) -> Tensor {
    let (k, l) = (x.ndim() - 2, x.ndim() - 1);
    let site = Location::caller();
    let columns = contraction(x, rest, DotDims { batch: smallvec![], contract: smallvec![(l, 2)] }, site);
    let both = contraction(&columns, rest, DotDims { batch: smallvec![], contract: smallvec![(k, 2)] }, site);
    // The dims are now [.., j, b, i, a].
    swap_dims(&move_dim(&both, -2, -4), -1, -2)
}

/// The transpose of [`minors`]: `T[..,i,j,a,b] -> T[..,k,l]`.
#[track_caller]
fn put_back(minors: &Tensor, rest: &Tensor) -> Tensor {
    let i = minors.ndim() - 4;
    let site = Location::caller();
    let rows = contraction(
        minors,
        rest,
        DotDims { batch: smallvec![], contract: smallvec![(i, 0), (i + 2, 1)] },
        site,
    );
    // The dims are now [.., j, b, k].
    contraction(&rows, rest, DotDims { batch: smallvec![], contract: smallvec![(i, 0), (i + 1, 1)] }, site)
}

#[cfg(test)]
mod tests {
    use super::super::{close, well_conditioned};
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::ops::waves::waves;

    #[test]
    fn values() {
        let x = Tensor::from([[2.0, 1.0, 0.0], [0.0, -3.0, 4.0], [1.0, 0.0, 1.0]]);
        close(&det(&x), &Tensor::from(-2.0));
        let (sign, log) = slogdet(&x);
        close(&sign, &Tensor::from(-1.0));
        close(&log, &Tensor::from(2.0f64.ln()));
        let expected = [[-3.0, 4.0, 3.0], [-1.0, 2.0, 1.0], [4.0, -8.0, -6.0]];
        close(&bind(Cofactors, &[&x]), &Tensor::from(expected));
    }

    #[test]
    fn derivatives() {
        let x = well_conditioned(&[3, 3], 0.3);
        check_grads(det, &x, 3);
        check_grads(|x: &Tensor| slogdet(x).1, &x, 2);
        let z = complex(&x, waves(&[3, 3], 1.1));
        check_grads(det, &z, 2);
        check_grads(|z: &Tensor| slogdet(z).0, &z, 2);
        check_grads(|z: &Tensor| slogdet(z).1, &z, 2);
        let (sign, log) = slogdet(&z);
        assert!((sign * log.exp() - det(&z)).abs().item::<f64>() < 1e-12);
        check_grads(det, &well_conditioned(&[2, 4, 4], 0.1), 2);
        check_grads(det, &Tensor::from([[3.0]]), 2);
    }

    #[test]
    fn derivatives_where_the_matrix_is_singular() {
        check_grads(det, &Tensor::from([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 1.0, 5.0]]), 3);
        check_grads(det, &Tensor::from([[0.0; 3]; 3]), 3);
    }

    #[test]
    fn lanes() {
        let x = well_conditioned(&[5, 3, 3], 0.3);
        check_lanes(det, &x);
        check_lanes(|x: &Tensor| slogdet(x).1, &x);
    }
}
