//! Decompositions of matrices, by nalgebra.
//!
//! Operands are stacks of matrices, `T[..,m,n]` with the same dims in front, and each matrix is worked on alone.
//! What has no answer, such as the inverse of a singular matrix, is NaN: others in the stack have theirs.

use nalgebra::linalg::{Cholesky, LU, SVD, SymmetricEigen};
use nalgebra::{ComplexField, DMatrix, DVector, Dyn, RealField, SimdRealField};
use num_traits::Zero;

use super::missing;
use crate::array::Array;
use crate::array::number::Number;
use crate::dtype::{Scalar, dispatch};

/// The lower triangle L with L·L* = A, read from the lower triangle of A; NaN in the triangle where there is none:
/// `T[..,n,n] -> T[..,n,n]`.
pub fn cholesky(a: &Array) -> Array {
    dispatch!(a.dtype() in [inexact], T => {
        each::<T, T, 1>([a], last(a, 2), |[a]| {
            let none = DMatrix::from_element(a.nrows(), a.ncols(), missing::<T>());
            let lower = Cholesky::new(a).map(|c| c.l()).filter(has_positive_diagonal);
            Some(lower.unwrap_or_else(|| none.lower_triangle()))
        })
    })
}

/// A complex number has a square root even where a pivot is negative.
fn has_positive_diagonal<T: ComplexField>(lower: &DMatrix<T>) -> bool {
    lower.diagonal().iter().all(|x| x.clone().imaginary().is_zero() && x.clone().real().is_sign_positive())
}

/// Which half of a matrix counts, and whether it is transposed first.
#[derive(Clone, Copy)]
pub struct Triangle {
    /// The lower half rather than the upper.
    pub lower: bool,
    /// Whether the triangle found there is transposed.
    pub transposed: bool,
}

/// X with A·X = B, where A is a triangle: `T[..,n,n], T[..,n,m] -> T[..,n,m]`.
pub fn triangular_solve(a: &Array, b: &Array, triangle: Triangle) -> Array {
    dispatch!(a.dtype() in [inexact], T => {
        each::<T, T, 2>([a, b], last(b, 2), |[a, b]| match (triangle.lower, triangle.transposed) {
            (true, false) => a.solve_lower_triangular(&b),
            (true, true) => a.tr_solve_lower_triangular(&b),
            (false, false) => a.solve_upper_triangular(&b),
            (false, true) => a.tr_solve_upper_triangular(&b),
        })
    })
}

/// X with A·X = B: `T[..,n,n], T[..,n,m] -> T[..,n,m]`.
pub fn solve(a: &Array, b: &Array) -> Array {
    dispatch!(a.dtype() in [inexact], T => each::<T, T, 2>([a, b], last(b, 2), |[a, b]| a.lu().solve(&b)))
}

/// The inverse: `T[..,n,n] -> T[..,n,n]`.
pub fn inverse(a: &Array) -> Array {
    dispatch!(a.dtype() in [inexact], T => each::<T, T, 1>([a], last(a, 2), |[a]| a.lu().try_inverse()))
}

/// The determinant: `T[..,n,n] -> T[..]`.
pub fn determinant(a: &Array) -> Array {
    dispatch!(a.dtype() in [inexact], T => {
        each::<T, T, 1>([a], &[], |[a]| Some(DMatrix::from_element(1, 1, a.lu().determinant())))
    })
}

/// The sign of the determinant (of a complex one, its direction), and the logarithm of its size:
/// `T[..,n,n] -> T[..,2]`.
pub fn sign_and_log(a: &Array) -> Array {
    dispatch!(a.dtype() in [inexact], T => each::<T, T, 1>([a], &[2], |[a]| Some(sign_and_log_of(a.lu()))))
}

fn sign_and_log_of<T: ComplexField + Copy>(lu: LU<T, Dyn, Dyn>) -> DMatrix<T> {
    let swaps = lu.p().determinant::<T>();
    let diagonal = lu.u().diagonal();
    let sign =
        diagonal.iter().fold(swaps, |sign, &x| if x.is_zero() { x } else { sign * x.unscale(x.modulus()) });
    let log = diagonal.iter().fold(T::RealField::zero(), |sum, x| sum + x.modulus().ln());
    DMatrix::from_row_slice(1, 2, &[sign, T::from_real(log)])
}

/// The signed determinants of what is left without row i and column j: `T[..,n,n] -> T[..,n,n]`.
pub fn cofactors(a: &Array) -> Array {
    dispatch!(a.dtype() in [inexact], T => each::<T, T, 1>([a], last(a, 2), |[a]| cofactors_of(a)))
}

/// From the singular values, because a product of all but one of them needs no division, and so a singular matrix
/// is nothing special: adj(U·S·V*) = det(U)·det(V*)·V·adj(S)·U*.
fn cofactors_of<T: ComplexField + Copy>(a: DMatrix<T>) -> Option<DMatrix<T>> {
    let rounds = rounds(&a)?;
    let near = T::RealField::simd_default_epsilon() * nalgebra::convert(5.0);
    let svd = SVD::try_new(a, true, true, near, rounds)?;
    let (u, v_t) = (svd.u?, svd.v_t?);
    let others = |i: usize| {
        let values = svd.singular_values.iter().enumerate().filter(|(j, _)| *j != i);
        values.fold(T::one(), |product, (_, value)| product * T::from_real(value.clone()))
    };
    let inner = DMatrix::from_diagonal(&DVector::from_fn(u.nrows(), |i, _| others(i)));
    let turn = u.determinant() * v_t.determinant();
    Some((v_t.adjoint() * inner * u.adjoint()).transpose() * turn)
}

/// The eigenvalues of symmetric (of complex ones, self-adjoint) matrices, ascending: `T[..,n,n] -> R[..,n]`.
pub fn eigenvalues(a: &Array) -> Array {
    dispatch!(a.dtype() in [inexact], T => {
        each::<T, <T as Number>::Size, 1>([a], last(a, 1), |[a]| {
            let (eigen, order) = eigen(a)?;
            let values: Vec<_> = order.iter().map(|&i| eigen.eigenvalues[i]).collect();
            Some(DMatrix::from_row_slice(1, values.len(), &values))
        })
    })
}

/// The eigenvectors of such matrices, in the columns, in the order of their eigenvalues: `T[..,n,n] -> T[..,n,n]`.
pub fn eigenvectors(a: &Array) -> Array {
    dispatch!(a.dtype() in [inexact], T => {
        each::<T, T, 1>([a], last(a, 2), |[a]| {
            let (eigen, order) = eigen(a)?;
            Some(eigen.eigenvectors.select_columns(&order))
        })
    })
}

/// The decomposition, and the order of ascending eigenvalues.
fn eigen<T: ComplexField>(a: DMatrix<T>) -> Option<(SymmetricEigen<T, Dyn>, Vec<usize>)> {
    let (rounds, rows, lift) = (rounds(&a)?, a.nrows(), a.camax());
    let found = |a| SymmetricEigen::try_new(a, T::RealField::simd_default_epsilon(), rounds);
    let mut eigen = found(a.clone())?;
    // Of a matrix of low rank so little may be left on the way that its square is zero, by which it is divided. With the
    // identity there is more.
    if !eigen.eigenvalues.iter().all(|value| value.is_finite()) {
        eigen = found(a + DMatrix::from_diagonal_element(rows, rows, T::from_real(lift.clone())))?;
        eigen.eigenvalues.add_scalar_mut(-lift);
    }
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    let values = &eigen.eigenvalues;
    order.sort_by(|&i, &j| values[i].partial_cmp(&values[j]).unwrap_or(std::cmp::Ordering::Equal));
    Some((eigen, order))
}

/// L below the diagonal and U on and above it, with rows swapped so that each pivot is the largest:
/// `T[..,n,n] -> T[..,n,n]`.
pub fn lu(a: &Array) -> Array {
    dispatch!(a.dtype() in [inexact], T => {
        each::<T, T, 1>([a], last(a, 2), |[a]| {
            let lu = a.lu();
            Some(lu.l().lower_triangle() + lu.u() - DMatrix::identity(lu.l().nrows(), lu.l().ncols()))
        })
    })
}

/// P with A = P·L·U, for the triangles of [`lu`]: `T[..,m,n] -> T[..,m,m]`.
pub fn lu_permutation(a: &Array) -> Array {
    let &[m, _] = last(a, 2) else { unreachable!("two dims") };
    dispatch!(a.dtype() in [inexact], T => {
        each::<T, T, 1>([a], &[m, m], |[a]| {
            let mut p = DMatrix::identity(a.nrows(), a.nrows());
            a.lu().p().inv_permute_rows(&mut p);
            Some(p)
        })
    })
}

/// Q of A = Q·R, with the signs that make the diagonal of R positive: `T[..,m,n] -> T[..,m,n]` for m ≥ n.
pub fn orthonormal(a: &Array) -> Array {
    dispatch!(a.dtype() in [inexact], T => {
        each::<T, T, 1>([a], last(a, 2), |[a]| {
            let qr = a.qr();
            let (mut q, r) = (qr.q(), qr.r());
            for (mut column, x) in q.column_iter_mut().zip(r.diagonal().iter()) {
                if x.real() < 0.0 {
                    column.neg_mut();
                }
            }
            Some(q)
        })
    })
}

/// U above V, with the singular values in descending order: `T[..,m,n] -> T[..,m+n,k]`, k = min(m, n).
pub fn singular_vectors(a: &Array) -> Array {
    let &[m, n] = last(a, 2) else { unreachable!("two dims") };
    dispatch!(a.dtype() in [inexact], T => {
        each::<T, T, 1>([a], &[m + n, m.min(n)], |[a]| {
            let svd = decomposed(a)?;
            let (u, v) = (svd.u?, svd.v_t?.adjoint());
            Some(DMatrix::from_fn(m + n, u.ncols(), |i, j| if i < m { u[(i, j)] } else { v[(i - m, j)] }))
        })
    })
}

/// The pseudoinverse; singular values below 10·max(m, n)·ε times the largest count as zero:
/// `T[..,m,n] -> T[..,n,m]`.
pub fn pseudoinverse(a: &Array) -> Array {
    let &[m, n] = last(a, 2) else { unreachable!("two dims") };
    dispatch!(a.dtype() in [inexact], T => {
        each::<T, T, 1>([a], &[n, m], |[a]| {
            let svd = decomposed(a)?;
            type Size = <T as Number>::Size;
            let least = svd.singular_values.max() * Size::EPSILON * (10 * m.max(n)) as Size;
            svd.pseudo_inverse(least).ok()
        })
    })
}

/// Singular values in descending order, and their vectors.
fn decomposed<T: ComplexField>(a: DMatrix<T>) -> Option<SVD<T, Dyn, Dyn>> {
    let rounds = rounds(&a)?;
    SVD::try_new(a, true, true, T::RealField::simd_default_epsilon(), rounds)
}

/// The exponential: `T[..,n,n] -> T[..,n,n]`.
pub fn exponential(a: &Array) -> Array {
    dispatch!(a.dtype() in [float], T => {
        each::<T, T, 1>([a], last(a, 2), |[a]| rounds(&a).map(|_| a.exp()))
    })
}

/// How many rounds an iteration may take, so that each ends; none at all over what is not finite.
fn rounds<T: ComplexField>(a: &DMatrix<T>) -> Option<usize> {
    a.iter().all(|x| x.is_finite()).then_some(1000 + 100 * a.nrows())
}

fn last(a: &Array, n: usize) -> &[usize] {
    &a.dims()[a.ndim() - n..]
}

/// `f` of every matrix of the stacks, whose results have the dims `result`; where there is none, NaN.
fn each<T: Scalar, R: Scalar, const N: usize>(
    stacks: [&Array; N],
    result: &[usize],
    f: impl Fn([DMatrix<T>; N]) -> Option<DMatrix<R>>,
) -> Array {
    let front = &stacks[0].dims()[..stacks[0].ndim() - 2];
    let ordered = stacks.map(|stack| stack.contiguous());
    let size = result.iter().product();
    let mut elements = Vec::with_capacity(front.iter().product::<usize>() * size);
    // An empty result needs no work, and decompositions refuse empty matrices.
    let count = if size == 0 { 0 } else { front.iter().product() };
    for i in 0..count {
        match f(ordered.each_ref().map(|stack| matrix(stack, i))) {
            Some(found) => elements.extend_from_slice(found.transpose().as_slice()),
            None => elements.extend(std::iter::repeat_n(missing::<R>(), size)),
        }
    }
    Array::from_vec_in(stacks[0].pool(), elements, [front, result].concat())
}

/// Matrix `i` of a stack.
fn matrix<T: Scalar>(stack: &Array, i: usize) -> DMatrix<T> {
    let &[rows, columns] = last(stack, 2) else { unreachable!("two dims") };
    DMatrix::from_row_slice(rows, columns, &stack.as_slice()[i * rows * columns..][..rows * columns])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;

    #[test]
    fn what_has_no_answer_is_nan_alone() {
        let stack = Array::from([[[1.0f64, 2.0], [2.0, 4.0]], [[2.0, 0.0], [0.0, 4.0]]]);
        let inverses = inverse(&stack).to_vec::<f64>();
        assert!(inverses[..4].iter().all(|x| x.is_nan()));
        assert_eq!(inverses[4..], [0.5, 0.0, 0.0, 0.25]);
        assert_eq!(sign_and_log(&stack).to_vec::<f64>()[..2], [0.0, f64::NEG_INFINITY]);
        let nan = Array::from([[f64::NAN, 0.0], [0.0, 1.0]]);
        let lower = cholesky(&nan).to_vec::<f64>();
        assert!(lower[0].is_nan() && lower[1] == 0.0 && lower[2].is_nan());
        for a in [eigenvalues(&nan), eigenvectors(&nan), cofactors(&nan)] {
            assert!(a.to_vec::<f64>().iter().all(|x| x.is_nan()));
        }
    }

    #[test]
    fn eigenvalues_of_matrices_of_rank_one() {
        for n in [2, 8, 30, 77] {
            let ones = Array::ones(DType::F32, [n, n]);
            let (values, vectors) = (eigenvalues(&ones).to_vec::<f32>(), eigenvectors(&ones).to_vec::<f32>());
            let (last, zeros) = values.split_last().expect("values");
            assert!((last / n as f32 - 1.0).abs() < 1e-5, "{n}: {last}");
            assert!(zeros.iter().all(|value| value.abs() < 1e-4), "{n}: {zeros:?}");
            let along = (n as f32).sqrt().recip();
            assert!(vectors.iter().skip(n - 1).step_by(n).all(|x| (x.abs() - along).abs() < 1e-5), "{n}");
            assert!(vectors.iter().all(|x| x.is_finite()), "{n}");
        }
    }

    #[test]
    fn empty_matrices() {
        let none = Array::zeros(DType::F64, [3, 0, 0]);
        assert_eq!(determinant(&none).to_vec::<f64>(), [1.0; 3]);
        assert_eq!(eigenvalues(&none).dims(), [3, 0]);
        assert_eq!(inverse(&Array::zeros(DType::F64, [0, 2, 2])).dims(), [0, 2, 2]);
    }
}
