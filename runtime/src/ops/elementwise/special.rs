//! Functions that have no closed form.

use std::f64::consts::FRAC_2_SQRT_PI;

use super::{elementwise, exp, square};
use crate::array::special::Special;
use crate::tensor::Tensor;

elementwise! {
    /// The error function, 2/√π ∫₀ˣ *e^(-t²)* d*t*.
    pub erf: Erf [float -> same] (x) = Special::erf(x); |ct, y| [
        ct * (exp(&-square(x)) * FRAC_2_SQRT_PI)
    ]

    /// 1 - erf(*x*), without cancellation.
    pub erfc: Erfc [float -> same] (x) = Special::erfc(x); |ct, y| [
        ct * (exp(&-square(x)) * -FRAC_2_SQRT_PI)
    ]

    /// The inverse of the error function: infinite at ±1, NaN beyond.
    pub erf_inv: ErfInv [float -> same] (x) = Special::erf_inv(x); |ct, y| [
        ct * (exp(&square(y)) / FRAC_2_SQRT_PI)
    ]

    /// log|Γ(*x*)|.
    pub lgamma: Lgamma [float -> same] (x) = Special::lgamma(x); |ct, y| [ct * digamma(x)]

    /// The digamma function, the derivative of log Γ.
    pub digamma: Digamma [float -> same] (x) = Special::polygamma(x, 0); |ct, y| [ct * polygamma(x, 1)]

    /// The polygamma function of a static order: the derivative of that order of [`digamma`].
    pub polygamma: Polygamma { order: u32 } [float -> same] (x) = Special::polygamma(x, order); |ct, y| [
        ct * polygamma(x, order + 1)
    ]
}
