//! Products of vectors, matrices and stacks of matrices, by the rules of NumPy.

use std::panic::Location;

use smallvec::smallvec;

use super::broadcast_to;
use super::dot::contraction;
use super::mul;
use super::permute::move_dim;
use super::reshape::flatten;
use crate::array::Dims;
use crate::array::kernels::{DotDims, Pairs};
use crate::error::violation;
use crate::tensor::Tensor;

/// The product of vectors and matrices: the last dim of `x` against the last but one of `y` (its only one, if it
/// is a vector). With a scalar, the scaled tensor.
///
/// `T[k], T[k] -> T[]`, `T[m,k], T[k] -> T[m]`, `T[k], T[k,n] -> T[n]`, `T[m,k], T[k,n] -> T[m,n]`.
///
/// # Panics
/// If these dims differ.
///
/// ```
/// use axisgrad::{Tensor, ops::dot};
/// let (w, x) = (Tensor::from([[1.0, 2.0], [3.0, 4.0]]), Tensor::from([10.0, 1.0]));
/// assert_eq!(dot(&w, &x).to_vec::<f64>(), [12.0, 34.0]);
/// assert_eq!(dot(&x, &w).to_vec::<f64>(), [13.0, 24.0]);
/// ```
#[track_caller]
pub fn dot(x: &Tensor, y: &Tensor) -> Tensor {
    if x.ndim() == 0 || y.ndim() == 0 {
        return mul(x, y);
    }
    let contract = smallvec![inner("dot", x, y)];
    contraction(x, y, DotDims { batch: smallvec![], contract }, Location::caller())
}

/// The matrix product: of the last two dims, while all dims before them are batch dims and broadcast. A vector
/// counts as a row on the left and as a column on the right.
///
/// `T[b,m,k], T[b,k,n] -> T[b,m,n]`, `T[b,m,k], T[k,n] -> T[b,m,n]`.
///
/// # Panics
/// If an operand is a scalar, the inner dims differ, or the batch dims do not broadcast.
#[track_caller]
pub fn matmul(x: &Tensor, y: &Tensor) -> Tensor {
    let site = Location::caller();
    if x.ndim() == 0 || y.ndim() == 0 {
        violation("matmul", "a scalar is no matrix; use `*`", &[x, y], site);
    }
    let pair = inner("matmul", x, y);
    let (bx, by) = (x.ndim().saturating_sub(2), y.ndim().saturating_sub(2));
    if by == 0 {
        return contraction(x, y, DotDims { batch: smallvec![], contract: smallvec![pair] }, site);
    }
    if bx == 0 {
        let product = contraction(x, y, DotDims { batch: smallvec![], contract: smallvec![pair] }, site);
        return if x.ndim() == 1 { product } else { move_dim(&product, 0, -2) };
    }
    let batch =
        batch_dims(x, y, bx, by).unwrap_or_else(|| violation("matmul", "batch dims differ", &[x, y], site));
    let [x, y] = [(x, bx), (y, by)].map(|(x, b)| stretched(x, b, &batch));
    let n = batch.len();
    let dims = DotDims { batch: (0..n).map(|i| (i, i)).collect(), contract: smallvec![(n + 1, n)] };
    contraction(&x, &y, dims, site)
}

/// Every product of an element of `x` with one of `y`, both taken as vectors: `T[m], T[n] -> T[m,n]`.
#[track_caller]
pub fn outer(x: &Tensor, y: &Tensor) -> Tensor {
    contraction(&flatten(x), &flatten(y), DotDims::default(), Location::caller())
}

/// The sum of products over the last `n` dims of `x` with the first `n` of `y`: `T[a,b,c], T[b,c,d] -> T[a,d]` for
/// 2. For other pairs of dims use [`dot_general`](super::dot_general).
///
/// # Panics
/// If an operand has fewer dims, or a pair differs in size.
#[track_caller]
pub fn tensordot(x: &Tensor, y: &Tensor, n: usize) -> Tensor {
    let site = Location::caller();
    if n > x.ndim() || n > y.ndim() {
        violation("tensordot", &format!("an operand has fewer than {n} dims"), &[x, y], site);
    }
    let first = x.ndim() - n;
    let contract: Pairs = (0..n).map(|i| (first + i, i)).collect();
    if let Some((a, b)) = contract.iter().find(|(a, b)| x.dims()[*a] != y.dims()[*b]) {
        let rule = format!("dims {a} and {b} differ: {} and {}", x.dims()[*a], y.dims()[*b]);
        violation("tensordot", &rule, &[x, y], site);
    }
    contraction(x, y, DotDims { batch: smallvec![], contract }, site)
}

impl Tensor {
    /// See [`dot`].
    #[track_caller]
    pub fn dot(&self, y: &Tensor) -> Tensor {
        dot(self, y)
    }

    /// See [`matmul`].
    #[track_caller]
    pub fn matmul(&self, y: &Tensor) -> Tensor {
        matmul(self, y)
    }
}

/// The dims that a matrix product sums over.
#[track_caller]
fn inner(op: &str, x: &Tensor, y: &Tensor) -> (usize, usize) {
    let pair = (x.ndim() - 1, y.ndim().saturating_sub(2));
    let (a, b) = (x.dims()[pair.0], y.dims()[pair.1]);
    if a != b {
        violation(op, &format!("inner dims differ: {a} and {b}"), &[x, y], Location::caller());
    }
    pair
}

/// The common batch dims; `None` if they do not broadcast.
pub(super) fn batch_dims(x: &Tensor, y: &Tensor, bx: usize, by: usize) -> Option<Dims> {
    let n = bx.max(by);
    let size = |t: &Tensor, b: usize, i: usize| (i + b).checked_sub(n).map_or(1, |i| t.dims()[i]);
    (0..n)
        .map(|i| match (size(x, bx, i), size(y, by, i)) {
            (a, b) if a == b || b == 1 => Some(a),
            (1, b) => Some(b),
            _ => None,
        })
        .collect()
}

/// `x`, whose first `b` dims are batch dims, with `batch` in their place.
#[track_caller]
pub(super) fn stretched(x: &Tensor, b: usize, batch: &[usize]) -> Tensor {
    let dims: Dims = batch.iter().chain(&x.dims()[b..]).copied().collect();
    if x.dims() == &dims[..] { x.clone() } else { broadcast_to(x, &dims) }
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};

    fn naive(x: &[f64], y: &[f64], m: usize, k: usize, n: usize) -> Vec<f64> {
        (0..m * n).map(|at| (0..k).map(|i| x[at / n * k + i] * y[i * n + at % n]).sum()).collect()
    }

    #[track_caller]
    fn close(a: &Tensor, b: &[f64]) {
        assert_eq!(a.len(), b.len());
        a.to_vec::<f64>().iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() < 1e-12, "{a} and {b}"));
    }

    #[test]
    fn vectors_and_matrices() {
        let (x, w) = (waves(&[4], 0.3), waves(&[4, 3], 0.9));
        close(&x.dot(&w), &naive(&x.to_vec(), &w.to_vec(), 1, 4, 3));
        close(&w.t().dot(&x), &naive(&x.to_vec(), &w.to_vec(), 1, 4, 3));
        close(&x.dot(&x), &naive(&x.to_vec(), &x.to_vec(), 1, 4, 1));
        let m = waves(&[5, 4], 0.1);
        close(&m.dot(&w), &naive(&m.to_vec(), &w.to_vec(), 5, 4, 3));
        assert_eq!(m.dot(&Tensor::from(2.0)).dims(), [5, 4]);
        assert_eq!(waves(&[2, 3, 4], 0.0).dot(&waves(&[5, 4, 6], 0.0)).dims(), [2, 3, 5, 6]);
    }

    #[test]
    fn stacks_of_matrices() {
        let (x, y) = (waves(&[2, 3, 4], 0.3), waves(&[2, 4, 5], 0.9));
        let each = |i: isize| naive(&x.index(0, i).to_vec(), &y.index(0, i).to_vec(), 3, 4, 5);
        close(&x.matmul(&y), &[each(0), each(1)].concat());
        for (a, b, result) in [
            (&[4][..], &[4, 5][..], &[5][..]),
            (&[4], &[2, 4, 5], &[2, 5]),
            (&[3, 4], &[2, 4, 5], &[2, 3, 5]),
            (&[2, 3, 4], &[4], &[2, 3]),
            (&[7, 1, 3, 4], &[2, 4, 5], &[7, 2, 3, 5]),
        ] {
            assert_eq!(waves(a, 0.0).matmul(&waves(b, 0.0)).dims(), result);
        }
        close(
            &waves(&[3, 4], 0.3).matmul(&y).index(0, 1),
            &naive(&x.to_vec(), &y.index(0, 1).to_vec(), 3, 4, 5),
        );
    }

    #[test]
    fn outer_and_tensor_products() {
        let (x, y) = (waves(&[3], 0.3), waves(&[2], 0.9));
        close(&outer(&x, &y), &naive(&x.to_vec(), &y.to_vec(), 3, 1, 2));
        let (a, b) = (waves(&[3, 2, 2], 0.1), waves(&[2, 2, 5], 0.2));
        close(&tensordot(&a, &b, 2), &naive(&a.to_vec(), &b.to_vec(), 3, 4, 5));
    }

    #[test]
    #[should_panic(expected = "dot: inner dims differ: 784 and 512")]
    fn inner_dims_agree() {
        waves(&[784], 0.0).dot(&waves(&[512, 256], 0.0));
    }

    #[test]
    #[should_panic(expected = "matmul: batch dims differ")]
    fn batch_dims_agree() {
        waves(&[3, 2, 2], 0.0).matmul(&waves(&[2, 2, 2], 0.0));
    }

    #[test]
    fn derivatives_and_lanes() {
        let (w, x, m) = (waves(&[2, 3], 0.3), waves(&[3], 0.9), waves(&[3, 2], 0.4));
        check_grads(|w: &Tensor, x: &Tensor| w.dot(x).sin(), (&w, &x), 2);
        check_grads(|w: &Tensor, m: &Tensor| w.dot(m).sin(), (&w, &m), 2);
        let (ws, xs) = (waves(&[40, 2, 3], 0.3), waves(&[40, 3], 0.9));
        check_lanes(dot, (&ws, &xs));
        check_lanes(dot, (&ws, &waves(&[40, 3, 2], 0.4)));
        check_lanes(|x: &Tensor| w.dot(x), &xs);
        check_lanes(|w: &Tensor| w.dot(&m), &ws);
        let (a, b) = (waves(&[2, 1, 2, 3], 0.3), waves(&[2, 3, 2], 0.9));
        check_grads(|a: &Tensor, b: &Tensor| a.matmul(b).sin(), (&a, &b), 2);
        check_lanes(matmul, (&waves(&[5, 2, 1, 2, 3], 0.3), &waves(&[5, 2, 3, 2], 0.9)));
    }
}
