//! Functions of one number: arithmetic, powers, exponentials, trigonometry.

use std::f64::consts::{LN_2, LN_10};

use super::{elementwise, maximum};
use crate::array::inverse::Inverse;
use crate::array::number::{Inexact, Number};
use crate::dtype::Scalar;
use crate::ops::where_;
use crate::tensor::Tensor;

elementwise! {
    /// The negative; integers wrap.
    pub neg: Negate [numeric -> same] (x) = x.negative(); |ct, y| [-ct]

    /// The distance from zero; of a complex number, its real modulus.
    ///
    /// The derivative at 0 is 1 for real numbers, 0 for complex ones.
    pub abs: Abs [numeric -> real] (x) = x.size(); |ct, y| [abs_vjp(ct, x, y)]

    /// -1, 0 or 1; of NaN, NaN; of a complex number, *x*/|*x*|. The derivative is 0 for real numbers.
    pub sign: Sign [numeric -> same] (x) = x.signum_or_zero(); |ct, y| [sign_vjp(ct, x, y)]

    /// *x²*.
    pub square: Square [numeric -> same] (x) = x.times(x); |ct, y| [ct * (x * 2)]

    /// *xⁿ* for a static integer *n*; its derivative is exact at 0 too. A negative power of an integer is 0,
    /// unless the integer is 1 or -1.
    pub powi: Powi { n: i32 } [numeric -> same] (x) = x.power(n); |ct, y| [match n {
        0 => ct.zeros_like(),
        _ => ct * (powi(x, n - 1) * n),
    }]

    /// 1/*x*.
    pub reciprocal: Reciprocal [inexact -> same] (x) = x.inverse(); |ct, y| [-(ct * square(y))]

    /// The square root; its derivative at 0 is infinite.
    pub sqrt: Sqrt [inexact -> same] (x) = x.sqrt(); |ct, y| [ct * 0.5 / y]

    /// 1/√*x*.
    pub rsqrt: Rsqrt [inexact -> same] (x) = x.sqrt().inverse(); |ct, y| [ct * -0.5 * y / x]

    /// The real cube root.
    pub cbrt: Cbrt [float -> same] (x) = x.cbrt(); |ct, y| [ct * (powi(y, -2) / 3.0)]

    /// *eˣ*.
    pub exp: Exp [inexact -> same] (x) = x.exponential(); |ct, y| [ct * y]

    /// *2ˣ*.
    pub exp2: Exp2 [inexact -> same] (x) = x.exp2(); |ct, y| [ct * y * LN_2]

    /// *eˣ* - 1, exact near 0.
    pub expm1: Expm1 [inexact -> same] (x) = x.exp_minus_one(); |ct, y| [ct * (y + 1.0)]

    /// The natural logarithm.
    pub log: Log [inexact -> same] (x) = x.logarithm(); |ct, y| [ct / x]

    /// The logarithm to base 2.
    pub log2: Log2 [inexact -> same] (x) = x.log2(); |ct, y| [ct / (x * LN_2)]

    /// The logarithm to base 10.
    pub log10: Log10 [inexact -> same] (x) = x.log10(); |ct, y| [ct / (x * LN_10)]

    /// log(1 + *x*), exact near 0.
    pub log1p: Log1p [inexact -> same] (x) = x.log_one_plus(); |ct, y| [ct / (x + 1.0)]

    /// The sine.
    pub sin: Sin [inexact -> same] (x) = x.sin(); |ct, y| [ct * cos(x)]

    /// The cosine.
    pub cos: Cos [inexact -> same] (x) = x.cos(); |ct, y| [-(ct * sin(x))]

    /// The tangent.
    pub tan: Tan [inexact -> same] (x) = x.tangent(); |ct, y| [ct * (square(y) + 1.0)]

    /// The inverse sine.
    pub asin: Asin [inexact -> same] (x) = x.inverse_sine(); |ct, y| [ct * asin_slope(x)]

    /// The inverse cosine.
    pub acos: Acos [inexact -> same] (x) = x.inverse_cosine(); |ct, y| [-(ct * asin_slope(x))]

    /// The inverse tangent.
    pub atan: Atan [inexact -> same] (x) = x.inverse_tangent(); |ct, y| [ct / (square(x) + 1.0)]

    /// The hyperbolic sine.
    pub sinh: Sinh [inexact -> same] (x) = x.sinh(); |ct, y| [ct * cosh(x)]

    /// The hyperbolic cosine.
    pub cosh: Cosh [inexact -> same] (x) = x.cosh(); |ct, y| [ct * sinh(x)]

    /// The inverse hyperbolic sine.
    pub asinh: Asinh [inexact -> same] (x) = x.inverse_hyperbolic_sine(); |ct, y| [ct * rsqrt(&(square(x) - -1.0))]

    /// The inverse hyperbolic cosine.
    pub acosh: Acosh [inexact -> same] (x) = x.inverse_hyperbolic_cosine(); |ct, y| [ct * acosh_slope(x)]

    /// The inverse hyperbolic tangent.
    pub atanh: Atanh [inexact -> same] (x) = x.inverse_hyperbolic_tangent(); |ct, y| [ct / ((1.0 - x) * (x - -1.0))]

    /// The largest integer that is not larger. The derivative is 0.
    pub floor: Floor [float -> same] (x) = x.floor(); |ct, y| []

    /// The smallest integer that is not smaller. The derivative is 0.
    pub ceil: Ceil [float -> same] (x) = x.ceil(); |ct, y| []

    /// The next integer towards 0. The derivative is 0.
    pub trunc: Trunc [float -> same] (x) = x.trunc(); |ct, y| []

    /// The nearest integer, the even one of two. The derivative is 0.
    pub round: Round [float -> same] (x) = x.round_ties_even(); |ct, y| []
}

/// Real numbers keep their sign, and complex ones turn it: (ct - Re(ct·y) ȳ)/|x|, and 0 at 0.
fn sign_vjp(ct: &Tensor, x: &Tensor, y: &Tensor) -> Tensor {
    if !x.dtype().is_complex() {
        return ct.zeros_like();
    }
    let (size, zero) = (x.abs(), x.eq(0.0));
    let across = ct - (ct * y).real() * y.conj();
    where_(&zero, 0.0, across / where_(&zero, 1.0, size))
}

/// 1/√(1 - x²); of complex numbers the product of two roots, which is on the same side of a cut as the function is.
/// (To add a real 1 would take the sign from an imaginary part that is -0; to subtract one does not.)
fn asin_slope(x: &Tensor) -> Tensor {
    let (below, above) = (-(x - 1.0), x - -1.0);
    if x.dtype().is_complex() { rsqrt(&below) * rsqrt(&above) } else { rsqrt(&(below * above)) }
}

/// 1/√(x² - 1); the root of the product has another sign than the product of the roots for some complex numbers.
fn acosh_slope(x: &Tensor) -> Tensor {
    let (below, above) = (x - 1.0, x - -1.0);
    if x.dtype().is_complex() { rsqrt(&below) * rsqrt(&above) } else { rsqrt(&(below * above)) }
}

/// Along the sign of a real number; along the direction of a complex one.
fn abs_vjp(ct: &Tensor, x: &Tensor, y: &Tensor) -> Tensor {
    if x.dtype().is_complex() {
        let nonzero = where_(y.eq(0.0), 1.0, y);
        ct * (x.conj() / nonzero)
    } else {
        where_(x.ge(0.0), ct, -ct)
    }
}

/// sin(π*x*)/(π*x*), and 1 at 0.
///
/// `T[..] -> T[..]`, where T is a float type (integers become `f32`).
///
/// # Panics
/// If the elements are of another type.
#[track_caller]
pub fn sinc(x: &Tensor) -> Tensor {
    let angle = x * std::f64::consts::PI;
    let near = angle.abs().lt(0.5);
    // What is not used is kept where its derivatives are finite.
    let safe = where_(&near, 1.0, &angle);
    where_(&near, taylor(&square(&where_(&near, &angle, 0.0))), sin(&safe) / &safe)
}

/// sin(t)/t near 0 by its Taylor series in *t²*; the derivatives of the quotient lose their digits there.
fn taylor(square: &Tensor) -> Tensor {
    // 1/(2k + 1)!
    let coefficients = (1..8).rev().map(|k| (2..2 * k + 2).fold(1.0, |product, i| product / f64::from(i)));
    let sum = coefficients.fold(square.zeros_like(), |sum, c| (c - sum) * square);
    1.0 - sum
}

impl Tensor {
    /// See [`ops::sinc`](crate::ops::sinc).
    #[track_caller]
    pub fn sinc(&self) -> Tensor {
        sinc(self)
    }

    /// See [`ops::clip`](crate::ops::clip).
    #[track_caller]
    pub fn clip(&self, low: impl super::super::Operand, high: impl super::super::Operand) -> Tensor {
        clip(self, low, high)
    }
}

/// `x` where it lies between `low` and `high`, else the nearer of them.
///
/// `T[..], T[..], T[..] -> T[..]`, where T is any type but a complex one; operands are promoted and broadcast. At
/// a bound, half of the derivative is `x`'s.
///
/// # Panics
/// If the elements are complex, or the dims do not broadcast.
#[track_caller]
pub fn clip(x: &Tensor, low: impl super::super::Operand, high: impl super::super::Operand) -> Tensor {
    maximum(x, low).minimum(high)
}
