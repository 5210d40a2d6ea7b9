//! Activations: each a single pass over memory, forward and backward.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use super::{elementwise, exp, sigmoid_pull, square, tanh_pull, where_positive};
use crate::array::logistic::Logistic;
use crate::array::math::GELU;
use crate::array::number::Inexact;
use crate::array::special::Special;
use crate::dtype::{Real, Scalar};
use crate::ops::where_;
use crate::tensor::Tensor;

const SQRT_2_OVER_PI: f64 = GELU[0];
const CUBIC: f64 = GELU[1];

elementwise! {
    /// The hyperbolic tangent.
    pub tanh: Tanh [inexact -> same] (x) = x.hyperbolic_tangent(); |ct, y| [tanh_pull(ct, y)]

    /// The logistic function 1/(1 + *e⁻ˣ*).
    pub sigmoid: Sigmoid [inexact -> same] (x) = x.logistic(); |ct, y| [sigmoid_pull(ct, y)]

    /// *x* where it is positive, else 0. The derivative at 0 is 0.
    pub relu: Relu [float -> same] (x) = if x < 0.0 { 0.0 } else { x }; |ct, y| [where_positive(ct, x)]

    /// *x* clipped to 0 and 6. The derivative at either bound is 0.
    pub relu6: Relu6 [float -> same] (x) = x.clamp(0.0, 6.0); |ct, y| [
        where_(x.gt(0.0).logical_and(x.lt(6.0)), ct, 0.0)
    ]

    /// *x* where it is not negative, else `alpha` *x*. The derivative at 0 is 1.
    pub leaky_relu: LeakyRelu { alpha: f64 } [float -> same] (x) =
        if x < 0.0 { x * alpha as T } else { x };
        |ct, y| [where_(x.ge(0.0), ct, ct * alpha)]

    /// *x* where it is positive, else *eˣ* - 1.
    pub elu: Elu [float -> same] (x) = if x > 0.0 { x } else { x.exp_minus_one() }; |ct, y| [
        where_(x.gt(0.0), ct, ct * exp(&where_(x.gt(0.0), 0.0, x)))
    ]

    /// *x* sigmoid(*x*), also called swish.
    pub silu: Silu [inexact -> same] (x) = x * x.logistic(); |ct, y| [silu_pull(ct, x)]

    /// log(1 + *eˣ*), without overflow.
    pub softplus: Softplus [inexact -> same] (x) = x.log_one_plus_exp(); |ct, y| [ct * sigmoid(x)]

    /// log(sigmoid(*x*)), without underflow.
    pub log_sigmoid: LogSigmoid [inexact -> same] (x) = -(-x).log_one_plus_exp(); |ct, y| [ct * sigmoid(&-x)]

    /// GELU, *x* Φ(*x*), in its tanh form: ½*x*(1 + tanh(√(2/π)(*x* + 0.044715*x³*))). In `f32` it is right to
    /// about 3 units in the last place far below zero too, down to some 10⁻³⁵; the formula as it stands loses 150 there.
    pub gelu: Gelu [float -> same] (x) = x * x.gelu_gates().0; |ct, y| [gelu_pull(ct, x)]

    /// GELU as it is defined, *x* Φ(*x*), with the distribution function Φ of the normal distribution.
    pub gelu_exact: GeluExact [float -> same] (x) = x * x.normal_cdf(); |ct, y| [gelu_exact_pull(ct, x)]

    /// *ct* silu′(*x*).
    part silu_pull: SiluPull [inexact -> same] (ct, x) = {
        let s = x.logistic();
        ct * s * (T::ONE + x * (T::ONE - s))
    }; |bar, y| [silu_pull(bar, x), bar * ct * silu_curvature(x)]

    /// *ct* gelu′(*x*).
    part gelu_pull: GeluPull [float -> same] (ct, x) = {
        let (s, rest) = x.gelu_gates();
        ct * s * (1.0 + x * rest * gelu_slope(x))
    }; |bar, y| [gelu_pull(bar, x), bar * ct * gelu_curvature(x)]

    /// *ct* gelu_exact′(*x*).
    part gelu_exact_pull: GeluExactPull [float -> same] (ct, x) = ct * (x.normal_cdf() + x * x.normal_pdf());
        |bar, y| [gelu_exact_pull(bar, x), bar * ct * gelu_exact_curvature(x)]
}

/// The derivative of twice what the tanh form of GELU takes the tanh of: ½(1 + tanh *u*) is sigmoid(2*u*).
#[inline(always)]
fn gelu_slope<T: Real>(x: T) -> T {
    T::from_f64(2.0 * SQRT_2_OVER_PI) * (T::ONE + T::from_f64(3.0 * CUBIC) * x * x)
}

/// silu″ = s(1 - s)(2 + *x*(1 - 2s)).
fn silu_curvature(x: &Tensor) -> Tensor {
    let s = sigmoid(x);
    &s * (1.0 - &s) * (x * (1.0 - &s * 2.0) + 2.0)
}

/// gelu″ = (1 - t²)(u′ + ½*x*(u″ - 2t u′²)), with t = tanh u.
fn gelu_curvature(x: &Tensor) -> Tensor {
    let quadratic = square(x) * CUBIC;
    let t = tanh(&(x * (&quadratic + 1.0) * SQRT_2_OVER_PI));
    let slope = (quadratic * 3.0 + 1.0) * SQRT_2_OVER_PI;
    let bend = x * (6.0 * CUBIC * SQRT_2_OVER_PI) - &t * 2.0 * square(&slope);
    (1.0 - square(&t)) * (slope + x * 0.5 * bend)
}

/// gelu_exact″ = φ(*x*)(2 - *x²*), with the density φ of the normal distribution.
fn gelu_exact_curvature(x: &Tensor) -> Tensor {
    let density = exp(&(square(x) * -0.5)) * (0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
    density * (2.0 - square(x))
}
