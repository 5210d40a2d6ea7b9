//! `svd`, `pinv` and `lstsq`: singular values, and what rests on them.

use std::panic::Location;

use super::{adjoint, check_matrix, eigh::svdvals, solved_by, transposed};
use crate::array::kernels;
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::ops::{conj, expand_dims, eye, matmul, slice, where_};
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// U, the singular values in descending order, and V*, with A = U·diag(s)·V*, where V* is the transpose of V (of a
/// complex one, the conjugate of that). Singular vectors of equal values have no derivative with respect to each other,
/// and it counts as zero; nor have those of the value 0. The sign (of complex ones, the phase) that a pair of vectors
/// shares is open: derivatives are those of functions that do not depend on it.
///
/// `T[m,n] -> T[m,k], R[k], T[k,n]` with k = min(m, n) and any dims before, for floats and complex.
///
/// # Panics
/// If the operand is no matrix of floats or complex numbers.
///
/// ```
/// use axisgrad::{Tensor, ops::linalg::svd};
/// let (u, s, vt) = svd(&Tensor::from([[0.0, 2.0], [3.0, 0.0]]));
/// s.to_vec::<f64>().iter().zip([3.0, 2.0]).for_each(|(a, b)| assert!((a - b).abs() < 1e-12));
/// assert_eq!((u.dims(), vt.dims()), (&[2, 2][..], &[2, 2][..]));
/// ```
#[track_caller]
pub fn svd(x: &Tensor) -> (Tensor, Tensor, Tensor) {
    check_matrix("svd", x, Location::caller());
    let (u, v) = split(&bind(SingularVectors, &[x]), x.dim(-2));
    (u, svdvals(x), adjoint(&v))
}

/// The pseudoinverse (Moore and Penrose): for every right-hand side the shortest of the best solutions. Singular
/// values below 10·max(m, n)·ε times the largest count as zero, as in JAX.
///
/// `T[..,m,n] -> T[..,n,m]`, for floats and complex. The derivative is that among matrices of the same rank.
///
/// # Panics
/// If the operand is no matrix of floats or complex numbers.
#[track_caller]
pub fn pinv(x: &Tensor) -> Tensor {
    check_matrix("pinv", x, Location::caller());
    bind(Pseudoinverse, &[x])
}

/// The shortest X for which A·X is nearest to B: its least-squares solution, through [`pinv`].
///
/// `T[..,m,n], T[..,m,p] -> T[..,n,p]`, or `T[..,m,n], T[m] -> T[..,n]`, for floats and complex.
///
/// # Panics
/// If `a` is no matrix of floats or complex numbers, `b` has another number of rows, or the dims before do not broadcast.
///
/// ```
/// use axisgrad::{Tensor, ops::linalg::lstsq};
/// let a = Tensor::from([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]);
/// let line = lstsq(&a, &Tensor::from([1.0, 3.0, 5.0])).to_vec::<f64>();
/// assert!((line[0] - 1.0).abs() < 1e-12 && (line[1] - 2.0).abs() < 1e-12);
/// ```
#[track_caller]
pub fn lstsq(a: &Tensor, b: &Tensor) -> Tensor {
    check_matrix("lstsq", a, Location::caller());
    solved_by("lstsq", a, b, |a, b| matmul(&bind(Pseudoinverse, &[a]), b))
}

/// The first `m` rows, and the others.
#[track_caller]
fn split(both: &Tensor, m: usize) -> (Tensor, Tensor) {
    (slice(both, -2, ..m), slice(both, -2, m..))
}

/// U above V, in the columns of one matrix: `T[..,m,n] -> T[..,m+n,k]`.
struct SingularVectors;

impl Op for SingularVectors {
    fn name(&self) -> &'static str {
        "svd"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let [front @ .., m, n] = &inputs[0].dims[..] else { unreachable!("a matrix") };
        Ok((inputs[0].dtype, [front, &[m + n, *m.min(n)]].concat().into()))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::singular_vectors(&inputs[0])
    }

    /// Ā = (U·(F∘(U*Ū - Ū*U))·S + (I - U·U*)·Ū·S⁻¹)·V* + U·(S·(F∘(V*V̄ - V̄*V))·V* + S⁻¹·V̄*·(I - V·V*)), with
    /// F = 1/(sj² - si²) off the diagonal: J. Townsend, "Differentiating the singular value decomposition", 2016. On the
    /// diagonal U*Ū - Ū*U is imaginary, and counts by 1/(2s): Z. Wan and S. Zhang, "Automatic differentiation for complex
    /// valued SVD", 2019. Both have gradients that are conjugates of ours.
    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], output: &Tensor) -> Option<Tensor> {
        let m = inputs[0].dim(-2);
        let ((u, v), (ct_u, ct_v)) = (split(output, m), split(&conj(ct), m));
        let s = svdvals(&inputs[0]);
        let (row, gaps) = (expand_dims(&s, -2), gaps(&s));
        let half = eye(s.dtype(), s.dim(-1)) * inverse(&(&row * 2.0));
        let turned = turn(&u, &ct_u);
        let left = matmul(&u, &(&turned * &gaps * &row + &turned * half)) + beyond(&u, &ct_u) * inverse(&row);
        let right = matmul(&v, &(turn(&v, &ct_v) * &gaps * &row)) + beyond(&v, &ct_v) * inverse(&row);
        Some(conj(&(matmul(&left, &adjoint(&v)) + matmul(&u, &adjoint(&right)))))
    }
}

/// F: 1/(sj² - si²), and 0 where they are equal.
fn gaps(s: &Tensor) -> Tensor {
    let squares = s.square();
    inverse(&(expand_dims(&squares, -2) - expand_dims(&squares, -1)))
}

/// 1/x, and 0 for 0; the inner choice keeps a division by zero out of the derivative.
fn inverse(x: &Tensor) -> Tensor {
    let zero = x.eq(0);
    where_(&zero, 0, 1.0 / where_(&zero, 1, x))
}

/// U*Ū - Ū*U.
fn turn(u: &Tensor, ct: &Tensor) -> Tensor {
    let inner = matmul(&adjoint(u), ct);
    &inner - adjoint(&inner)
}

/// (I - U·U*)·Ū.
fn beyond(u: &Tensor, ct: &Tensor) -> Tensor {
    ct - matmul(u, &matmul(&adjoint(u), ct))
}

/// See [`pinv`].
struct Pseudoinverse;

impl Op for Pseudoinverse {
    fn name(&self) -> &'static str {
        "pinv"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let [front @ .., m, n] = &inputs[0].dims[..] else { unreachable!("a matrix") };
        Ok((inputs[0].dtype, [front, &[*n, *m]].concat().into()))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::pseudoinverse(&inputs[0])
    }

    /// Ā = -Pᵀ·P̄·Pᵀ + conj((I - A·P)·P̄ᵀ·P·P* + P*·P·P̄ᵀ·(I - P·A)): G. H. Golub and V. Pereyra, "The differentiation of
    /// pseudo-inverses and nonlinear least squares problems whose variables separate", 1973.
    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], output: &Tensor) -> Option<Tensor> {
        let (a, p) = (&inputs[0], output);
        let (pt, back) = (transposed(p), transposed(ct));
        let rest = |product: Tensor| eye(a.dtype(), product.dim(-1)) - product;
        let first = matmul(&matmul(&pt, ct), &pt);
        let second = matmul(&matmul(&rest(matmul(a, p)), &back), &matmul(p, &adjoint(p)));
        let third = matmul(&matmul(&adjoint(p), p), &matmul(&back, &rest(matmul(p, a))));
        Some(conj(&(second + third)) - first)
    }
}

#[cfg(test)]
mod tests {
    use super::super::close;
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::ops::waves::waves;
    use crate::ops::{complex, diag};

    /// Waves themselves have rank 2.
    fn full_rank(dims: &[usize]) -> Tensor {
        (waves(dims, 0.3) * 1.5).exp()
    }

    #[test]
    fn singular_vectors() {
        for dims in [[4, 3], [3, 3], [2, 4]] {
            let x = full_rank(&dims);
            let (u, s, vt) = svd(&x);
            close(&matmul(&matmul(&u, &diag(&s)), &vt), &x);
            let k = dims[0].min(dims[1]);
            close(&matmul(&u.t(), &u), &eye(DType::F64, k));
            close(&matmul(&vt, &vt.t()), &eye(DType::F64, k));
        }
    }

    #[test]
    fn pseudoinverses() {
        for x in [full_rank(&[4, 3]), full_rank(&[2, 4]), waves(&[4, 4], 0.3)] {
            let p = pinv(&x);
            close(&matmul(&matmul(&x, &p), &x), &x);
            close(&matmul(&matmul(&p, &x), &p), &p);
            close(&matmul(&x, &p).t(), &matmul(&x, &p));
        }
    }

    #[test]
    fn derivatives_and_lanes() {
        for dims in [[4, 3], [3, 3], [2, 4]] {
            let x = full_rank(&dims);
            // The sign of a pair of vectors is open, so a function of them must not depend on it.
            check_grads(|x: &Tensor| svd(x).0.square().sin(), &x, 2);
            check_grads(|x: &Tensor| svd(x).2.square().sin(), &x, 2);
            check_grads(|x: &Tensor| pinv(x).sin(), &x, 2);
            check_grads(|a: &Tensor, b: &Tensor| lstsq(a, b), (&x, &waves(&[dims[0]], 0.4)), 2);
        }
        check_lanes(|x: &Tensor| svd(x).0, &full_rank(&[5, 4, 3]));
        check_lanes(pinv, &full_rank(&[5, 4, 3]));
        check_lanes(lstsq, (&full_rank(&[5, 4, 3]), &waves(&[5, 4, 2], 0.4)));
    }

    #[test]
    fn of_complex_matrices() {
        for dims in [[4, 3], [3, 3], [2, 4]] {
            let z = complex(full_rank(&dims), waves(&dims, 1.1));
            let (u, s, vh) = svd(&z);
            let off = matmul(&(&u * expand_dims(&s, -2)), &vh) - &z;
            close(&off.abs().sum(()), &Tensor::from(0.0));
            // The phase of a pair of vectors is open, and that of U·V* is not.
            check_grads(|z: &Tensor| matmul(&svd(z).0, &svd(z).2).sin(), &z, 2);
            check_grads(|z: &Tensor| svd(z).0.abs().square() + svd(z).1.sin(), &z, 2);
            check_grads(|z: &Tensor| svd(z).2.abs().square(), &z, 2);
            let p = pinv(&z);
            close(&(matmul(&matmul(&z, &p), &z) - &z).abs().sum(()), &Tensor::from(0.0));
            check_grads(|z: &Tensor| pinv(z).sin(), &z, 2);
            check_grads(|a: &Tensor, b: &Tensor| lstsq(a, b), (&z, &waves(&[dims[0]], 0.4)), 2);
        }
    }

    #[test]
    #[should_panic(expected = "lstsq: a right-hand side has 3 rows")]
    fn rows_agree() {
        lstsq(&full_rank(&[3, 2]), &waves(&[2], 0.1));
    }
}
