//! What kernels compute with numbers, where Rust's types have no common name for it.

use num_complex::Complex;

use super::math;
use crate::dtype::Scalar;

/// A number: integers wrap, as in two's complement.
pub trait Number: Scalar {
    /// What its size is measured in: the type of a complex number's parts.
    type Size: Scalar;

    /// The difference.
    fn minus(self, other: Self) -> Self;

    /// The number on the other side of zero.
    fn negative(self) -> Self;

    /// The distance from zero; of the smallest integer, itself.
    fn size(self) -> Self::Size;

    /// A static power, by repeated squaring; a negative one is the reciprocal's (of an integer, 0 unless it is 1
    /// or -1).
    fn power(self, n: i32) -> Self {
        let (mut square, mut product) = (self, Self::ONE);
        let mut rest = n.unsigned_abs();
        while rest > 0 {
            if rest & 1 == 1 {
                product = product.times(square);
            }
            square = square.times(square);
            rest >>= 1;
        }
        if n < 0 { product.inverse() } else { product }
    }

    /// One over it.
    fn inverse(self) -> Self;

    /// The quotient; of integers, that towards 0 (and 0 of a division by 0).
    fn over(self, other: Self) -> Self;

    /// -1, 0 or 1; of a complex number, that of its direction with the modulus 1; of NaN, NaN.
    fn signum_or_zero(self) -> Self;

    /// *x^y*; of integers, a negative power is as [`power`](Self::power) has it.
    fn to_the(self, exponent: Self) -> Self;
}

/// A real number.
pub trait Ordered: Number + PartialOrd {
    /// The remainder of a division, with the sign of the divisor; of an integer by 0, 0.
    fn modulo(self, divisor: Self) -> Self;
}

/// A float or complex number.
pub trait Inexact: Number {
    /// *e^x* - 1, exact near 0.
    fn exp_minus_one(self) -> Self;

    /// log(1 + *x*), exact near 0.
    fn log_one_plus(self) -> Self;

    /// *e^x*.
    fn exponential(self) -> Self;

    /// The natural logarithm.
    fn logarithm(self) -> Self;

    /// The tangent.
    fn tangent(self) -> Self;

    /// The hyperbolic tangent.
    fn hyperbolic_tangent(self) -> Self;
}

macro_rules! floats {
    ($($t:ident in $math:ident),*) => {$(
        impl Number for $t {
            type Size = $t;
            #[inline]
            fn minus(self, other: Self) -> Self {
                self - other
            }
            #[inline]
            fn negative(self) -> Self {
                -self
            }
            #[inline]
            fn size(self) -> $t {
                self.abs()
            }
            #[inline]
            fn inverse(self) -> Self {
                1.0 / self
            }
            #[inline]
            fn over(self, other: Self) -> Self {
                self / other
            }
            #[inline]
            fn signum_or_zero(self) -> Self {
                if self > 0.0 { 1.0 } else if self < 0.0 { -1.0 } else { self }
            }
            #[inline]
            fn to_the(self, exponent: Self) -> Self {
                self.powf(exponent)
            }
        }

        impl Ordered for $t {
            #[inline]
            fn modulo(self, divisor: Self) -> Self {
                let rest = self % divisor;
                if rest != 0.0 && (rest < 0.0) != (divisor < 0.0) { rest + divisor } else { rest }
            }
        }

        impl Inexact for $t {
            #[inline(always)]
            fn exp_minus_one(self) -> Self {
                math::$math::expm1(self)
            }
            #[inline(always)]
            fn log_one_plus(self) -> Self {
                math::$math::log1p(self)
            }
            #[inline(always)]
            fn exponential(self) -> Self {
                math::$math::exp(self)
            }
            #[inline(always)]
            fn logarithm(self) -> Self {
                math::$math::log(self)
            }
            #[inline(always)]
            fn tangent(self) -> Self {
                self.tan()
            }
            #[inline(always)]
            fn hyperbolic_tangent(self) -> Self {
                math::$math::tanh(self)
            }
        }

        impl Number for Complex<$t> {
            type Size = $t;
            #[inline]
            fn minus(self, other: Self) -> Self {
                self - other
            }
            #[inline]
            fn negative(self) -> Self {
                -self
            }
            #[inline]
            fn size(self) -> $t {
                self.norm()
            }
            #[inline]
            fn inverse(self) -> Self {
                Self::ONE.over(self)
            }
            /// By R. L. Smith's method (Communications of the ACM 5(8), 1962), which squares nothing; a quotient by 0 is
            /// infinite in each part that is not 0 / 0, as in annex G of the C standard.
            #[inline]
            fn over(self, by: Self) -> Self {
                if by.re == 0.0 && by.im == 0.0 {
                    let infinite = <$t>::INFINITY.copysign(by.re);
                    return Complex::new(infinite * self.re, infinite * self.im);
                }
                if by.re.abs() >= by.im.abs() {
                    let ratio = by.im / by.re;
                    let size = by.re + by.im * ratio;
                    Complex::new((self.re + self.im * ratio) / size, (self.im - self.re * ratio) / size)
                } else {
                    let ratio = by.re / by.im;
                    let size = by.re * ratio + by.im;
                    Complex::new((self.re * ratio + self.im) / size, (self.im * ratio - self.re) / size)
                }
            }
            #[inline]
            fn signum_or_zero(self) -> Self {
                let size = self.norm();
                if size == 0.0 { self } else { Complex::new(self.re / size, self.im / size) }
            }
            #[inline]
            fn to_the(self, exponent: Self) -> Self {
                self.powc(exponent)
            }
        }

        impl Inexact for Complex<$t> {
            #[inline]
            fn exp_minus_one(self) -> Self {
                let half = (0.5 * self.im).sin();
                let re = self.re.exp_m1() * self.im.cos() - 2.0 * half * half;
                Complex::new(re, self.re.exp() * self.im.sin())
            }
            #[inline]
            fn log_one_plus(self) -> Self {
                if self.re.abs().max(self.im.abs()) > 1e3 {
                    // The squares overflow long before the logarithm does.
                    return (self + 1.0).ln();
                }
                let size = 0.5 * (self.re * (self.re + 2.0) + self.im * self.im).ln_1p();
                Complex::new(size, self.im.atan2(1.0 + self.re))
            }
            #[inline]
            fn exponential(self) -> Self {
                self.exp()
            }
            #[inline]
            fn logarithm(self) -> Self {
                self.ln()
            }
            #[inline]
            fn tangent(self) -> Self {
                let turned = Complex::new(-self.im, self.re).hyperbolic_tangent();
                Complex::new(turned.im, -turned.re)
            }
            /// Far out, where the hyperbolic functions that it is a quotient of overflow, it is ±1 to rounding.
            #[inline]
            fn hyperbolic_tangent(self) -> Self {
                if self.re.abs() <= 20.0 || self.is_nan() {
                    return self.tanh();
                }
                let rest = 4.0 * self.im.sin() * self.im.cos() * (-2.0 * self.re.abs()).exp();
                Complex::new((1.0 as $t).copysign(self.re), rest)
            }
        }
    )*};
}
floats!(f32 in single, f64 in double);

macro_rules! integers {
    ($($t:ident: $abs:expr, $signum:expr);*) => {$(
        impl Number for $t {
            type Size = $t;
            #[inline]
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            #[inline]
            fn negative(self) -> Self {
                self.wrapping_neg()
            }
            #[inline]
            fn size(self) -> $t {
                ($abs)(self)
            }
            #[inline]
            fn inverse(self) -> Self {
                if self == 0 { 0 } else { 1 / self }
            }
            #[inline]
            fn over(self, other: Self) -> Self {
                if other == 0 { 0 } else { self.wrapping_div(other) }
            }
            #[inline]
            fn signum_or_zero(self) -> Self {
                ($signum)(self)
            }
            #[inline]
            #[allow(unused_comparisons)]
            fn to_the(self, exponent: Self) -> Self {
                let (mut square, mut product, mut rest) = (self, 1, exponent.size() as u64);
                while rest > 0 {
                    if rest & 1 == 1 {
                        product = square.wrapping_mul(product);
                    }
                    square = square.wrapping_mul(square);
                    rest >>= 1;
                }
                if exponent < 0 { product.inverse() } else { product }
            }
        }

        impl Ordered for $t {
            #[inline]
            fn modulo(self, divisor: Self) -> Self {
                if divisor == 0 {
                    return 0;
                }
                let rest = self.wrapping_rem(divisor);
                #[allow(unused_comparisons)]
                let other_sign = rest != 0 && (rest < 0) != (divisor < 0);
                if other_sign { rest.wrapping_add(divisor) } else { rest }
            }
        }
    )*};
}
integers!(
    i32: i32::wrapping_abs, i32::signum;
    i64: i64::wrapping_abs, i64::signum;
    u8: |x| x, |x: u8| x.min(1);
    u64: |x| x, |x: u64| x.min(1)
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_multiply() {
        assert_eq!((2.0f64.power(10), 2.0f64.power(-2), 0.0f64.power(0)), (1024.0, 0.25, 1.0));
        assert_eq!((3i32.power(3), 2i32.power(-1), (-1i64).power(-3), 16u8.power(2)), (27, 0, -1, 0));
        assert_eq!(Complex::new(0.0f32, 1.0).power(2), Complex::new(-1.0, 0.0));
    }

    #[test]
    fn remainders_have_the_sign_of_the_divisor() {
        for (a, b, rest) in
            [(7, 3, 1), (-7, 3, 2), (7, -3, -2), (-7, -3, -1), (6, -3, 0), (5, 0, 0), (i32::MIN, -1, 0)]
        {
            assert_eq!(a.modulo(b), rest);
            if b != 0 {
                assert_eq!(f64::from(a).modulo(f64::from(b)), f64::from(rest));
            }
        }
        assert!(1.0f32.modulo(0.0).is_nan());
    }

    #[test]
    fn functions_near_zero_keep_their_digits() {
        let z = Complex::new(3e-9f64, -2e-9);
        assert!((z.exp_minus_one() - z - z * z / 2.0).norm() < 1e-24);
        assert!((z.log_one_plus() - z + z * z / 2.0).norm() < 1e-24);
        let z = Complex::new(0.3f64, -1.2);
        assert!((z.exp_minus_one() - (z.exp() - 1.0)).norm() < 1e-15);
        assert!((z.log_one_plus() - (z + 1.0).ln()).norm() < 1e-15);
    }

    #[test]
    fn functions_far_out_do_not_overflow() {
        let z = |re: f64, im: f64| Complex::new(re, im);
        assert_eq!(z(-800.0, 1.0).hyperbolic_tangent(), z(-1.0, 0.0));
        assert!((z(20.1, 1.0).hyperbolic_tangent() - z(20.1, 1.0).tanh()).norm() < 1e-16);
        assert_eq!(z(1.0, 800.0).tangent(), z(0.0, 1.0));
        assert!((z(0.3, -1.2).tangent() - z(0.3, -1.2).tan()).norm() < 1e-15);
        assert!((z(1e200, 1e200).log_one_plus() - z(1e200, 1e200).ln()).norm() < 1e-12);
    }

    #[test]
    fn complex_quotients_do_not_overflow() {
        let z = |re: f64, im: f64| Complex::new(re, im);
        let huge = z(1e300, 1e300).over(z(2e300, 2e300));
        assert!((huge - z(0.5, 0.0)).norm() < 1e-15);
        let tiny = z(3e-300, -1e-300).over(z(1e-300, 1e-300));
        assert!((tiny - z(1.0, -2.0)).norm() < 1e-15);
        assert!((z(1.0, 2.0).over(z(-3.0, 0.5)) - z(1.0, 2.0) / z(-3.0, 0.5)).norm() < 1e-15);
        let pole = z(1.0, 0.0).inverse() + z(0.0, 0.0).inverse();
        assert!(pole.re.is_infinite() && pole.im.is_nan());
    }

    #[test]
    fn signs() {
        assert_eq!(
            (0.0f32.signum_or_zero(), (-2.5f64).signum_or_zero(), 7u8.signum_or_zero()),
            (0.0, -1.0, 1)
        );
        assert!(f32::NAN.signum_or_zero().is_nan());
        assert_eq!((i32::MIN.size(), Complex::new(3.0f64, -4.0).size()), (i32::MIN, 5.0));
    }
}
