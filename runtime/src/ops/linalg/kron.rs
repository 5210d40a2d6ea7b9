//! `kron`: the Kronecker product.

use std::panic::Location;

use crate::array::Dims;
use crate::error::violation;
use crate::ops::{mul, reshape::reshaped};
use crate::tensor::Tensor;

/// Every element of `a` times the whole of `b`: the Kronecker product.
///
/// `T[m,n], T[p,q] -> T[m·p,n·q]`, and likewise for any number of dims.
///
/// # Panics
/// If the operands have different numbers of dims.
///
/// ```
/// use axisgrad::{Tensor, ops::linalg::kron};
/// let product = kron(&Tensor::from([1, 10]), &Tensor::from([1, 2, 3]));
/// assert_eq!(product.to_vec::<i32>(), [1, 2, 3, 10, 20, 30]);
/// ```
#[track_caller]
pub fn kron(a: &Tensor, b: &Tensor) -> Tensor {
    if a.ndim() != b.ndim() {
        let rule = format!("operands have equally many dims, and these have {} and {}", a.ndim(), b.ndim());
        violation("kron", &rule, &[a, b], Location::caller());
    }
    let apart = |x: &Tensor, at: usize| -> Dims {
        (0..2 * x.ndim()).map(|i| if i % 2 == at { x.dims()[i / 2] } else { 1 }).collect()
    };
    let product = mul(reshaped(a, apart(a, 0)), reshaped(b, apart(b, 1)));
    reshaped(&product, a.dims().iter().zip(b.dims()).map(|(m, p)| m * p).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::ops::matmul;
    use crate::ops::waves::waves;

    #[test]
    fn products_of_products() {
        let [a, b, c, d] = [0.1, 0.5, 0.9, 1.3].map(|phase| waves(&[2, 2], phase));
        super::super::close(&matmul(&kron(&a, &b), &kron(&c, &d)), &kron(&matmul(&a, &c), &matmul(&b, &d)));
        assert_eq!(kron(&waves(&[2, 3], 0.1), &waves(&[4, 5], 0.2)).dims(), [8, 15]);
    }

    #[test]
    fn derivatives_and_lanes() {
        check_grads(
            |a: &Tensor, b: &Tensor| kron(a, b).sin(),
            (&waves(&[2, 3], 0.1), &waves(&[2, 2], 0.7)),
            2,
        );
        check_lanes(kron, (&waves(&[4, 2, 3], 0.1), &waves(&[4, 2, 2], 0.7)));
    }

    #[test]
    #[should_panic(expected = "kron: operands have equally many dims, and these have 1 and 2")]
    fn dims_agree_in_number() {
        kron(&waves(&[2], 0.1), &waves(&[2, 2], 0.7));
    }
}
