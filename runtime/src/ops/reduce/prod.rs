//! `prod`: the product over dims.

use super::along::{Along, IntoDims};
use crate::dtype::DType;
use crate::ops::{cast, concat};
use crate::tensor::Tensor;

/// The product over dims, `()` for all; of bools, 1 or 0 (`i32`).
///
/// `T[..] -> T[..]` without the dims (see [`keep`](super::keep)). Integers wrap; of nothing it is 1. The derivative
/// is exact where elements are 0 too.
///
/// ```
/// use axisgrad::{Tensor, grad};
/// let gradient = grad(|x: &Tensor| x.prod(())).at(&Tensor::from([2.0, 0.0, 3.0]));
/// assert_eq!(gradient.to_vec::<f64>(), [0.0, 6.0, 0.0]);
/// ```
///
/// # Panics
/// If a dim does not exist or is named twice.
#[track_caller]
pub fn prod(x: &Tensor, dims: impl IntoDims) -> Tensor {
    let along = Along::of("prod", x, &dims);
    let x = if x.dtype() == DType::Bool { &cast(x, DType::I32) } else { x };
    along.finish(x, last_prod(&reduced_last(x, &along)))
}

impl Tensor {
    /// See [`ops::prod`](crate::ops::prod()).
    #[track_caller]
    pub fn prod(&self, dims: impl IntoDims) -> Tensor {
        prod(self, dims)
    }
}

/// All reduced dims as one, the last.
#[track_caller]
fn reduced_last(x: &Tensor, along: &Along) -> Tensor {
    let kept = (0..x.ndim()).filter(|dim| !along.dims.contains(dim));
    let order: Vec<usize> = kept.clone().chain(along.dims.iter().copied()).collect();
    let sizes: Vec<usize> = kept.map(|dim| x.dims()[dim]).chain([along.count(x)]).collect();
    x.permute(order).reshape(sizes)
}

/// The product over the last dim, by halves: products have exact derivatives where quotients have not.
#[track_caller]
fn last_prod(x: &Tensor) -> Tensor {
    let mut x = x.clone();
    if x.dim(-1) == 0 {
        return x.sum(-1).ones_like();
    }
    while x.dim(-1) > 1 {
        let (n, half) = (x.dim(-1), x.dim(-1) / 2);
        let product = x.slice(-1, ..half) * x.slice(-1, half..2 * half);
        x = if n % 2 == 0 { product } else { concat(&[&product, &x.slice(-1, n - 1..)], -1) };
    }
    x.squeeze(-1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::grad;
    use crate::ops::{keep, zeros};

    #[test]
    fn values() {
        let x = Tensor::from([[1i32, 2, 3], [4, 5, 6]]);
        assert_eq!((x.prod(0).to_vec::<i32>(), x.prod(1).to_vec::<i32>()), (vec![4, 10, 18], vec![6, 120]));
        assert_eq!((x.prod(()).item::<i32>(), x.prod(keep(0)).dims()), (720, &[1, 3][..]));
        assert_eq!(Tensor::from([true, false]).prod(()).item::<i32>(), 0);
        assert_eq!(zeros(DType::F32, [0, 2]).prod(0).to_vec::<f32>(), [1.0, 1.0]);
    }

    #[test]
    fn zeros_have_exact_derivatives() {
        let x = Tensor::from([[2.0f64, 0.0, 3.0], [0.0, 0.0, 5.0]]);
        let gradient = grad(|x: &Tensor| x.prod(1).sum(())).at(&x);
        assert_eq!(gradient.to_vec::<f64>(), [0.0, 6.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn derivatives_to_second_order() {
        let x = Tensor::from([[0.5f64, -1.25, 0.0, 2.0], [0.1, 0.2, 0.3, 0.5]]);
        check_grads(|x: &Tensor| x.prod(1) * x.prod(()), &x, 2);
        check_grads(|x: &Tensor| x.slice(1, ..3).prod([1, 0]), &x, 2);
        check_lanes(|x: &Tensor| x.prod(()), &x);
    }
}
