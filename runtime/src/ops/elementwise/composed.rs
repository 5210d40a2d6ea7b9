//! Activations made of other functions.

use std::panic::Location;

use super::{clip, expm1, sigmoid, softplus, tanh};
use crate::error::violation;
use crate::ops::{Operand, slice, where_};
use crate::tensor::Tensor;

/// The scale and the slope with which activations keep mean 0 and variance 1 (Klambauer and others, "Self-normalizing
/// neural networks", 2017).
const SELU: (f64, f64) = (1.050_700_987_355_480_5, 1.673_263_242_354_377_2);

/// A scaled [`elu`](super::elu()), for networks that normalise themselves.
///
/// `T[..] -> T[..]`, where T is a float type (integers become `f32`).
///
/// # Panics
/// If the elements are of another type.
#[track_caller]
pub fn selu(x: &Tensor) -> Tensor {
    let (scale, slope) = SELU;
    below_zero(x, slope, 1.0) * scale
}

/// *x* where it is positive, else `alpha` (*e*^(*x*/`alpha`) - 1).
///
/// `T[..] -> T[..]`, where T is a float type (integers become `f32`).
///
/// # Panics
/// If the elements are of another type.
#[track_caller]
pub fn celu(x: &Tensor, alpha: f64) -> Tensor {
    below_zero(x, alpha, alpha)
}

/// *x* where it is positive, else `slope` (*e*^(*x*/`width`) - 1); the exponential of what is not used is kept finite.
#[track_caller]
fn below_zero(x: &Tensor, slope: f64, width: f64) -> Tensor {
    let positive = x.gt(0.0);
    let below = where_(&positive, 0.0, x);
    where_(&positive, x, expm1(&(below / width)) * slope)
}

/// *x* clipped to -1 and 1. At either bound, the derivative is 1.
///
/// `T[..] -> T[..]`, where T is a float type.
///
/// # Panics
/// If the elements are of another type.
#[track_caller]
pub fn hard_tanh(x: &Tensor) -> Tensor {
    where_(x.gt(1.0), 1.0, where_(x.lt(-1.0), -1.0, x))
}

/// *x*/(1 + |*x*|).
///
/// `T[..] -> T[..]`, where T is a float type (integers become `f32`).
///
/// # Panics
/// If the elements are of another type.
#[track_caller]
pub fn softsign(x: &Tensor) -> Tensor {
    x / (x.abs() + 1.0)
}

/// *x* tanh(softplus(*x*)) (Misra, "Mish", 2019).
///
/// `T[..] -> T[..]`, where T is a float type (integers become `f32`).
///
/// # Panics
/// If the elements are of another type.
#[track_caller]
pub fn mish(x: &Tensor) -> Tensor {
    x * tanh(&softplus(x))
}

/// The first half along `dim` times the sigmoid of the second (Dauphin and others, "Language modeling with gated
/// convolutional networks", 2016).
///
/// `T[..,2·n] -> T[..,n]` for dim -1, where T is a float type.
///
/// # Panics
/// If the dim does not exist or is odd.
#[track_caller]
pub fn glu(x: &Tensor, dim: isize) -> Tensor {
    let n = x.dim(dim);
    if n % 2 == 1 {
        violation("glu", &format!("{n} elements along dim {dim} have no halves"), &[x], Location::caller());
    }
    slice(x, dim, ..n / 2) * sigmoid(&slice(x, dim, n / 2..))
}

/// [`clip`], by PyTorch's name.
///
/// `T[..], T[..], T[..] -> T[..]`
///
/// # Panics
/// As [`clip`].
#[track_caller]
pub fn clamp(x: &Tensor, low: impl Operand, high: impl Operand) -> Tensor {
    clip(x, low, high)
}

impl Tensor {
    /// See [`ops::selu`](crate::ops::selu()).
    #[track_caller]
    pub fn selu(&self) -> Tensor {
        selu(self)
    }

    /// See [`ops::hard_tanh`](crate::ops::hard_tanh()).
    #[track_caller]
    pub fn hard_tanh(&self) -> Tensor {
        hard_tanh(self)
    }

    /// See [`ops::softsign`](crate::ops::softsign()).
    #[track_caller]
    pub fn softsign(&self) -> Tensor {
        softsign(self)
    }

    /// See [`ops::mish`](crate::ops::mish()).
    #[track_caller]
    pub fn mish(&self) -> Tensor {
        mish(self)
    }

    /// See [`ops::celu`](crate::ops::celu()).
    #[track_caller]
    pub fn celu(&self, alpha: f64) -> Tensor {
        celu(self, alpha)
    }

    /// See [`ops::glu`](crate::ops::glu()).
    #[track_caller]
    pub fn glu(&self, dim: isize) -> Tensor {
        glu(self, dim)
    }

    /// See [`ops::clamp`](crate::ops::clamp()).
    #[track_caller]
    pub fn clamp(&self, low: impl Operand, high: impl Operand) -> Tensor {
        clamp(self, low, high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{check_grads, check_lanes};

    #[test]
    fn values() {
        let x = Tensor::from([-1.0f64, 0.0, 2.0, -1000.0]);
        assert_eq!(celu(&x, 2.0).to_vec::<f64>()[1..], [0.0, 2.0, -2.0]);
        assert_eq!(selu(&x).to_vec::<f64>()[2..], [2.0 * SELU.0, -SELU.0 * SELU.1]);
        assert_eq!(hard_tanh(&x).to_vec::<f64>(), [-1.0, 0.0, 1.0, -1.0]);
        assert_eq!(softsign(&x).to_vec::<f64>()[..3], [-0.5, 0.0, 2.0 / 3.0]);
        assert!((mish(&x).to_vec::<f64>()[2] - 2.0 * (1.0 + 2f64.exp()).ln().tanh()).abs() < 1e-15);
        assert_eq!(glu(&Tensor::from([3.0, 0.0]), 0).to_vec::<f64>(), [1.5]);
        assert_eq!(x.clamp(-1.0, 1.5).to_vec::<f64>(), [-1.0, 0.0, 1.5, -1.0]);
    }

    #[test]
    fn derivatives_and_lanes() {
        let x = Tensor::from([[-1.2f64, 0.4], [2.0, -0.3]]);
        for f in [selu, hard_tanh, softsign, mish, |x: &Tensor| celu(x, 0.7), |x: &Tensor| glu(x, -1)] {
            check_grads(f, &x, 2);
            check_lanes(f, &x);
        }
    }

    #[test]
    #[should_panic(expected = "glu: 3 elements along dim 0 have no halves")]
    fn halves_are_equal() {
        glu(&Tensor::from([1.0, 2.0, 3.0]), 0);
    }
}
