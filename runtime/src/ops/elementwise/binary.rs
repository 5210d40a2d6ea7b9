//! Functions of two numbers.

// One formula serves every type, `bool` among them.
#![allow(clippy::bool_comparison)]

use super::{elementwise, exp, larger_share, log, pow_base_slope, square, trunc};
use crate::array::logistic::Logistic;
use crate::array::number::{Inexact, Number, Ordered};
use crate::dtype::Scalar;
use crate::ops::where_;
use crate::tensor::Tensor;

elementwise! {
    /// The sum; integers wrap, and `bool` is *or*.
    pub add: Add [any -> same] (a, b) = a.plus(b); |ct, y| [ct.clone(), ct.clone()]

    /// The difference; integers wrap.
    pub sub: Sub [numeric -> same] (a, b) = a.minus(b); |ct, y| [ct.clone(), -ct]

    /// The product; integers wrap, and `bool` is *and*.
    pub mul: Mul [any -> same] (a, b) = a.times(b); |ct, y| [ct * b, ct * a]

    /// The quotient; of integers, a float.
    pub div: Div [inexact -> same] (a, b) = a.over(b); |ct, y| [ct / b, -(ct * y / b)]

    /// The remainder, with the sign of the divisor; of an integer by 0, 0.
    pub rem: Rem [real -> same] (a, b) = a.modulo(b); |ct, y| [ct.clone(), rem_pull(ct, a, b, y)]

    /// *aᵇ*. For a static integer *b*, [`powi`](super::powi) has derivatives everywhere.
    ///
    /// A negative power of an integer is 0, unless the integer is 1 or -1. The derivative by *a* at 0⁰ and by *b* of a
    /// negative *a* are NaN.
    pub pow: Pow [numeric -> same] (a, b) = a.to_the(b); |ct, y| [
        ct * pow_base_slope(a, b),
        ct * y * log(&where_(a.eq(0.0), 1.0, a))
    ]

    /// The larger; NaN if one is. Of two equal ones, each has half of the derivative.
    pub maximum: Maximum [ordered -> same] (a, b) =
        if a > b { a } else if b >= a { b } else { a.plus(b) };
        |ct, y| [larger_share(ct, a, b), larger_share(ct, b, a)]

    /// The smaller; NaN if one is. Of two equal ones, each has half of the derivative.
    pub minimum: Minimum [ordered -> same] (a, b) =
        if a < b { a } else if b <= a { b } else { a.plus(b) };
        |ct, y| [larger_share(ct, b, a), larger_share(ct, a, b)]

    /// The angle of the point (*b*, *a*), from -π to π. Its derivative at the origin is NaN.
    pub atan2: Atan2 [float -> same] (a, b) = a.atan2(b); |ct, y| [
        ct * b / (square(a) + square(b)),
        -(ct * a / (square(a) + square(b)))
    ]

    /// √(*a²* + *b²*). At the origin, each derivative is ½, as in JAX.
    pub hypot: Hypot [float -> same] (a, b) = a.hypot(b); |ct, y| [ct * cosine(a, y), ct * cosine(b, y)]

    /// log(*eᵃ* + *eᵇ*), without overflow.
    pub logaddexp: LogAddExp [inexact -> same] (a, b) = a.log_add_exp(b);
        |ct, y| [ct * share(a, y), ct * share(b, y)]

    /// *a* log *b*, and 0 where *a* is 0.
    pub xlogy: Xlogy [float -> same] (a, b) = if a == 0.0 && !b.is_nan() { 0.0 } else { a * b.logarithm() };
        |ct, y| [ct * log(b), ct * a / b]
}

/// *a*/*y*, and ½ for 0/0.
fn cosine(a: &Tensor, y: &Tensor) -> Tensor {
    let origin = y.eq(0.0);
    where_(&origin, 0.5, a / where_(&origin, 1.0, y))
}

/// *e^(a - y)*: how much of the sum *eʸ* is *eᵃ*. Infinity counts as 0 here, as in JAX, so that where both are infinite
/// it is all of it.
fn share(a: &Tensor, y: &Tensor) -> Tensor {
    let finite = |x: &Tensor| where_(x.eq(f64::INFINITY), 0.0, x);
    exp(&(finite(a) - finite(y)))
}

/// *y* = *a* - trunc(*a*/*b*) *b*, and once more *b* where that has another sign than *b*.
fn rem_pull(ct: &Tensor, a: &Tensor, b: &Tensor, y: &Tensor) -> Tensor {
    let moved = y.ne(0.0).logical_and(a.lt(0.0).ne(b.lt(0.0)));
    where_(moved, ct, 0.0) - ct * trunc(&(a / b))
}
