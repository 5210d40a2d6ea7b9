//! Linear algebra: functions of the matrices in the last two dims; dims before them are a stack.
//!
//! What has no answer, such as the inverse of a singular matrix, is NaN, and the other matrices of the stack (and
//! other positions of an axis) have theirs.

pub mod cholesky;
pub mod det;
pub mod eigh;
pub mod expm;
pub mod kron;
pub mod lu;
pub mod qr;
pub mod solve;
pub mod svd;
pub mod triangular_solve;

use std::panic::Location;

pub use cholesky::cholesky;
pub use det::{det, slogdet};
pub use eigh::{eigh, eigvalsh, svdvals};
pub use expm::expm;
pub use kron::kron;
pub use lu::lu;
pub use qr::qr;
pub use solve::{inv, matrix_power, solve};
pub use svd::{lstsq, pinv, svd};
pub use triangular_solve::triangular_solve;

use super::matmul::{batch_dims, stretched};
use super::{cast, conj, expand_dims, squeeze, swap_dims};
use crate::dtype::{DType, promote};
use crate::error::violation;
use crate::tensor::Tensor;

/// The matrices transposed.
#[track_caller]
fn transposed(x: &Tensor) -> Tensor {
    swap_dims(x, -1, -2)
}

/// The matrices transposed and conjugated.
#[track_caller]
fn adjoint(x: &Tensor) -> Tensor {
    conj(&transposed(x))
}

/// Refuses what is no stack of square matrices of floats or complex numbers.
#[track_caller]
fn check_square(op: &str, x: &Tensor) {
    let rule = match *x.dims() {
        [.., m, n] if m != n => format!("a square matrix is needed, and this has dims {m} and {n}"),
        [] | [_] => "a matrix has two dims".to_owned(),
        _ if x.dtype().is_inexact() => return,
        _ => format!("elements must be floats or complex, and these are {}; cast them first", x.dtype()),
    };
    violation(op, &rule, &[x], Location::caller());
}

/// Refuses what is no stack of matrices of floats or complex numbers.
fn check_matrix(op: &str, x: &Tensor, site: &'static Location<'static>) {
    if x.ndim() < 2 || !x.dtype().is_inexact() {
        violation(op, "a matrix of floats or complex numbers is needed", &[x], site);
    }
}

/// The mean of each matrix and its adjoint.
#[track_caller]
fn symmetric(op: &str, x: &Tensor) -> Tensor {
    check_square(op, x);
    (x + adjoint(x)) * 0.5
}

/// Solves A·X = B by `solve`, which takes stacks of matrices with equal dims in front and of one dtype: a vector
/// `b` counts as a column.
#[track_caller]
fn solved(op: &str, a: &Tensor, b: &Tensor, solve: impl FnOnce(&Tensor, &Tensor) -> Tensor) -> Tensor {
    check_square(op, a);
    solved_by(op, a, b, solve)
}

/// As [`solved`], for matrices of any dims.
#[track_caller]
fn solved_by(op: &str, a: &Tensor, b: &Tensor, solve: impl FnOnce(&Tensor, &Tensor) -> Tensor) -> Tensor {
    let site = Location::caller();
    let vector = b.ndim() == 1;
    let column = if vector { expand_dims(b, 1) } else { b.clone() };
    if b.ndim() == 0 || column.dim(-2) != a.dim(-2) {
        violation(op, &format!("a right-hand side has {} rows", a.dim(-2)), &[a, b], site);
    }
    if b.dtype() == DType::Float0 || b.dtype().is_bool() {
        violation(op, &format!("a right-hand side of {} is none; cast it first", b.dtype()), &[a, b], site);
    }
    let dtype = promote(a.dtype(), b.dtype());
    let (before_a, before_b) = (a.ndim() - 2, column.ndim() - 2);
    let Some(batch) = batch_dims(a, &column, before_a, before_b) else {
        violation(op, "the dims before the matrices do not broadcast", &[a, b], site);
    };
    let (a, column) = (stretched(a, before_a, &batch), stretched(&column, before_b, &batch));
    let x = solve(&cast(&a, dtype), &cast(&column, dtype));
    if vector { squeeze(&x, -1) } else { x }
}

/// Matrices for tests, far from singular: `f64[..,n,n]`.
#[cfg(test)]
fn well_conditioned(dims: &[usize], phase: f64) -> Tensor {
    super::waves::waves(dims, phase) + super::eye(DType::F64, dims[dims.len() - 1]) * 3.0
}

#[cfg(test)]
#[track_caller]
fn close(a: &Tensor, b: &Tensor) {
    assert_eq!(a.dims(), b.dims());
    let pairs = a.to_vec::<f64>().into_iter().zip(b.to_vec::<f64>());
    pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-10, "{a} and {b}"));
}
