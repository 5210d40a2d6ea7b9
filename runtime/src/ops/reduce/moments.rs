//! Functions of sums: mean, variance, standard deviation, norm.

use super::along::{Along, IntoDims};
use super::{keep, sum_dims};
use crate::dtype::{DType, promote_weak};
use crate::ops::cast;
use crate::tensor::Tensor;

/// The mean over dims, `()` for all; of nothing, NaN.
///
/// `T[..] -> T[..]` without the dims (see [`keep`](super::keep)); integers and bools become `f32`.
///
/// # Panics
/// If a dim does not exist or is named twice.
#[track_caller]
pub fn mean(x: &Tensor, dims: impl IntoDims) -> Tensor {
    let along = Along::of("mean", x, &dims);
    let x = cast(x, promote_weak(x.dtype(), DType::F32));
    along.finish(&x, sum_dims(&x, &along.dims) / along.count(&x) as f64)
}

/// The variance over dims, `()` for all: the mean squared distance from the mean.
///
/// `T[..] -> R[..]` without the dims (see [`keep`](super::keep)); integers and bools become `f32`, and of complex
/// numbers the distance is the modulus. [`var_ddof`] divides by fewer than there are.
///
/// # Panics
/// If a dim does not exist or is named twice.
#[track_caller]
pub fn var(x: &Tensor, dims: impl IntoDims) -> Tensor {
    var_ddof(x, dims, 0)
}

/// As [`var`], divided by the number of elements less `ddof`: 1 for the unbiased estimate from a sample.
///
/// `T[..] -> R[..]` without the dims (see [`keep`](super::keep)).
///
/// # Panics
/// If a dim does not exist or is named twice.
#[track_caller]
pub fn var_ddof(x: &Tensor, dims: impl IntoDims, ddof: usize) -> Tensor {
    let along = Along::of("var", x, &dims);
    let signed: Vec<isize> = along.dims.iter().map(|&dim| dim as isize).collect();
    let distance = x - mean(x, keep(&signed));
    let count = along.count(x) as f64 - ddof as f64;
    along.finish(x, sum_dims(&size_squared(&distance), &along.dims) / count)
}

/// The standard deviation over dims, `()` for all: the root of [`var`]. Its derivative is NaN where all are equal.
///
/// `T[..] -> R[..]` without the dims (see [`keep`](super::keep)).
///
/// # Panics
/// If a dim does not exist or is named twice.
#[track_caller]
pub fn std(x: &Tensor, dims: impl IntoDims) -> Tensor {
    var(x, dims).sqrt()
}

/// As [`std`](std()), from [`var_ddof`].
///
/// `T[..] -> R[..]` without the dims (see [`keep`](super::keep)).
///
/// # Panics
/// If a dim does not exist or is named twice.
#[track_caller]
pub fn std_ddof(x: &Tensor, dims: impl IntoDims, ddof: usize) -> Tensor {
    var_ddof(x, dims, ddof).sqrt()
}

/// The Euclidean norm over dims, `()` for all: the root of the sum of squares. Its derivative at 0 is NaN.
///
/// `T[..] -> R[..]` without the dims (see [`keep`](super::keep)); integers become `f32`, and of complex numbers the
/// squared moduli count.
///
/// # Panics
/// If a dim does not exist or is named twice.
#[track_caller]
pub fn norm(x: &Tensor, dims: impl IntoDims) -> Tensor {
    let along = Along::of("norm", x, &dims);
    let x = &cast(x, promote_weak(x.dtype(), DType::F32));
    along.finish(x, sum_dims(&size_squared(x), &along.dims).sqrt())
}

#[track_caller]
fn size_squared(x: &Tensor) -> Tensor {
    if x.dtype().is_complex() { (x * x.conj()).real() } else { x.square() }
}

impl Tensor {
    /// See [`ops::mean`](crate::ops::mean()).
    #[track_caller]
    pub fn mean(&self, dims: impl IntoDims) -> Tensor {
        mean(self, dims)
    }

    /// See [`ops::var`](crate::ops::var()).
    #[track_caller]
    pub fn var(&self, dims: impl IntoDims) -> Tensor {
        var(self, dims)
    }

    /// See [`ops::std`](crate::ops::std()).
    #[track_caller]
    pub fn std(&self, dims: impl IntoDims) -> Tensor {
        std(self, dims)
    }

    /// See [`ops::norm`](crate::ops::norm()).
    #[track_caller]
    pub fn norm(&self, dims: impl IntoDims) -> Tensor {
        norm(self, dims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::dtype::Complex;
    use crate::ops::zeros;

    #[test]
    fn values() {
        let x = Tensor::from([[1.0f64, 2.0], [3.0, 6.0]]);
        assert_eq!(x.mean(0).to_vec::<f64>(), [2.0, 4.0]);
        assert_eq!((x.mean(()).item::<f64>(), x.var(()).item::<f64>()), (3.0, 3.5));
        assert_eq!(
            (var_ddof(&x, 0, 1).to_vec::<f64>(), x.std(0).to_vec::<f64>()),
            (vec![2.0, 8.0], vec![1.0, 2.0])
        );
        assert_eq!(x.var(keep(1)).dims(), [2, 1]);
        assert_eq!(Tensor::from([3i32, 4]).mean(()).item::<f32>(), 3.5);
        let z = Tensor::from([Complex::new(3.0f64, 0.0), Complex::new(0.0, 4.0)]);
        assert_eq!(z.norm(()).item::<f64>(), 5.0);
        assert!(zeros(DType::F32, [0]).mean(()).item::<f32>().is_nan());
    }

    #[test]
    fn derivatives_to_second_order() {
        let x = Tensor::from([[0.5f64, -1.25, 3.0], [0.1, 0.2, 0.3]]);
        check_grads(|x: &Tensor| x.mean(0).square(), &x, 2);
        check_grads(|x: &Tensor| x.std(1) * x.norm(0).sum(()), &x, 2);
        check_grads(|x: &Tensor| std_ddof(x, (), 1), &x, 2);
        check_lanes(|x: &Tensor| x.std(()), &x);
    }

    #[test]
    fn norms_of_integers_do_not_overflow() {
        assert_eq!(Tensor::from([30_000, 40_000]).norm(()).item::<f32>(), 50_000.0);
        assert_eq!(Tensor::from([true, false]).norm(()).item::<f32>(), 1.0);
    }
}
