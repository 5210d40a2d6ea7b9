//! `diag` and `trace`.

use std::panic::Location;

use super::{broadcast_to, expand_dims, eye, where_, zeros};
use crate::dtype::DType;
use crate::error::violation;
use crate::tensor::Tensor;

/// The diagonal of a matrix, or the matrix with a vector on its diagonal and zeros elsewhere.
///
/// `T[m,n] -> T[min(m,n)]`, `T[n] -> T[n,n]`
///
/// # Panics
/// If the operand has neither one dim nor two.
#[track_caller]
pub fn diag(x: &Tensor) -> Tensor {
    match *x.dims() {
        [n] => where_(eye(DType::Bool, n), broadcast_to(&expand_dims(x, 1), &[n, n]), zeros(x.dtype(), [])),
        [m, n] => {
            let size = m.min(n);
            let own = x.slice(0, ..size).slice(1, ..size);
            let own = where_(eye(DType::Bool, size), own, zeros(x.dtype(), []));
            if x.dtype() == DType::Bool { own.any(1) } else { own.sum(1) }
        }
        _ => violation("diag", "a vector has one dim and a matrix two", &[x], Location::caller()),
    }
}

/// The sum of the diagonal of a matrix.
///
/// `T[m,n] -> T[]`
///
/// # Panics
/// If the operand has not two dims.
#[track_caller]
pub fn trace(x: &Tensor) -> Tensor {
    if x.ndim() != 2 {
        violation("trace", "a matrix has two dims", &[x], Location::caller());
    }
    diag(x).sum(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{check_grads, check_lanes};

    #[test]
    fn values() {
        let x = Tensor::from([[1.0f32, f32::INFINITY, 3.0], [4.0, 5.0, 6.0]]);
        assert_eq!((diag(&x).to_vec::<f32>(), trace(&x).item::<f32>()), (vec![1.0, 5.0], 6.0));
        let bools = diag(&Tensor::from([true, false]));
        assert_eq!((bools.dtype(), diag(&bools).to_vec::<bool>()), (DType::Bool, vec![true, false]));
        assert_eq!(diag(&Tensor::from([2i32, 3])).to_vec::<i32>(), [2, 0, 0, 3]);
    }

    #[test]
    fn derivatives_to_second_order() {
        let x = Tensor::from([[0.5f64, -1.25, 3.0], [0.1, 0.2, 0.3]]);
        check_grads(|x: &Tensor| diag(&diag(&x.square())) * trace(x), &x, 2);
        check_lanes(|x: &Tensor| diag(x), &x);
    }
}
