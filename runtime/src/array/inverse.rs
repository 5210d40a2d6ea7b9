//! Functions of complex numbers that have branch cuts, and those that must not overflow.
//!
//! On a cut the sign of zero says on which side a number lies, as in annex G of the C standard; formulas are those of
//! W. Kahan, "Branch cuts for complex elementary functions, or much ado about nothing's sign bit", 1987.

use num_complex::Complex;

/// The inverse functions, of real and of complex numbers.
pub trait Inverse: Copy {
    /// The angle in ]-π/2, π/2[ that has this sine.
    fn inverse_sine(self) -> Self;

    /// The angle in [0, π] that has this cosine.
    fn inverse_cosine(self) -> Self;

    /// The angle that has this tangent.
    fn inverse_tangent(self) -> Self;

    /// What has this hyperbolic sine.
    fn inverse_hyperbolic_sine(self) -> Self;

    /// What has this hyperbolic cosine.
    fn inverse_hyperbolic_cosine(self) -> Self;

    /// What has this hyperbolic tangent.
    fn inverse_hyperbolic_tangent(self) -> Self;
}

macro_rules! inverses {
    ($($t:ident $asinh:ident $acosh:ident;)*) => {$(
        impl Inverse for $t {
            #[inline]
            fn inverse_sine(self) -> Self {
                self.asin()
            }
            #[inline]
            fn inverse_cosine(self) -> Self {
                self.acos()
            }
            #[inline]
            fn inverse_tangent(self) -> Self {
                self.atan()
            }
            #[inline]
            fn inverse_hyperbolic_sine(self) -> Self {
                // The standard library's overflows in its square.
                libm::$asinh(self)
            }
            #[inline]
            fn inverse_hyperbolic_cosine(self) -> Self {
                libm::$acosh(self)
            }
            #[inline]
            fn inverse_hyperbolic_tangent(self) -> Self {
                // The library's cancels near -1.
                self.abs().atanh().copysign(self)
            }
        }

        impl Inverse for Complex<$t> {
            fn inverse_sine(self) -> Self {
                let (below, above) = (Self::new(1.0 - self.re, -self.im).sqrt(), (self + 1.0).sqrt());
                Self::new(self.re.atan2((below * above).re), (below.conj() * above).im.inverse_hyperbolic_sine())
            }
            fn inverse_cosine(self) -> Self {
                let (below, above) = (Self::new(1.0 - self.re, -self.im).sqrt(), (self + 1.0).sqrt());
                Self::new(2.0 * below.re.atan2(above.re), (above.conj() * below).im.inverse_hyperbolic_sine())
            }
            fn inverse_tangent(self) -> Self {
                let turned = Self::new(-self.im, self.re).inverse_hyperbolic_tangent();
                Self::new(turned.im, -turned.re)
            }
            fn inverse_hyperbolic_sine(self) -> Self {
                let turned = Self::new(-self.im, self.re).inverse_sine();
                Self::new(turned.im, -turned.re)
            }
            fn inverse_hyperbolic_cosine(self) -> Self {
                let (below, above) = ((self - 1.0).sqrt(), (self + 1.0).sqrt());
                Self::new((below.conj() * above).re.inverse_hyperbolic_sine(), 2.0 * below.im.atan2(above.re))
            }
            fn inverse_hyperbolic_tangent(self) -> Self {
                let (x, y) = (self.re, self.im);
                let away = (1.0 - x.abs()) * (1.0 - x.abs()) + y * y;
                let size = (4.0 * x.abs() / away).ln_1p() * (0.25 as $t).copysign(x);
                Self::new(size, 0.5 * (2.0 * y).atan2((1.0 - x) * (1.0 + x) - y * y))
            }
        }
    )*};
}
inverses! {
    f32 asinhf acoshf;
    f64 asinh acosh;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_hyperbolic_tangent_is_odd() {
        for x in [0.0f64, 1e-300, 0.3, 0.999_999_999, 1.0, f64::NAN] {
            let (above, below) = (x.inverse_hyperbolic_tangent(), (-x).inverse_hyperbolic_tangent());
            assert!(
                above.to_bits() == (-below).to_bits() || x.is_nan() && below.is_nan(),
                "{x}: {above}, {below}"
            );
        }
        assert!((0.999_999_999f64.inverse_hyperbolic_tangent() - 10.708_206_522_644_144).abs() < 1e-12);
    }

    #[test]
    fn the_largest_numbers_have_inverses() {
        let large = 1.7e308f64;
        let expected = large.ln() + std::f64::consts::LN_2;
        assert!((large.inverse_hyperbolic_cosine() / expected - 1.0).abs() < 1e-15);
        assert!(((-large).inverse_hyperbolic_sine() / -expected - 1.0).abs() < 1e-15);
        let expected = 3e38f32.ln() + std::f32::consts::LN_2;
        assert!((3e38f32.inverse_hyperbolic_cosine() / expected - 1.0).abs() < 1e-6);
        assert!((3e38f32.inverse_hyperbolic_sine() / expected - 1.0).abs() < 1e-6);
    }

    type F = fn(Complex<f64>) -> Complex<f64>;

    const PAIRS: [(F, F); 6] = [
        (Inverse::inverse_sine, Complex::sin),
        (Inverse::inverse_cosine, Complex::cos),
        (Inverse::inverse_tangent, Complex::tan),
        (Inverse::inverse_hyperbolic_sine, Complex::sinh),
        (Inverse::inverse_hyperbolic_cosine, Complex::cosh),
        (Inverse::inverse_hyperbolic_tangent, Complex::tanh),
    ];

    #[test]
    fn they_are_inverse() {
        for (re, im) in [(0.3, -1.2), (-2.0, 0.7), (1.5, 1e-9), (-0.4, -0.2), (1e-8, 3e-9), (40.0, -3.0)] {
            let z = Complex::new(re, im);
            for (i, (inverse, function)) in PAIRS.iter().enumerate() {
                // Near ±1 a hyperbolic tangent tells little of where it came from, and so far out the tangents do.
                let slack = if z.norm() > 10.0 { 1e-11 } else { 1e-14 };
                assert!((function(inverse(z)) - z).norm() < slack * z.norm().max(1.0), "number {i} at {z}");
            }
        }
    }

    #[test]
    fn the_sign_of_zero_tells_the_side_of_a_cut() {
        let (pi, size) = (std::f64::consts::PI, 2f64.acosh());
        let tanh = 0.5f64.atanh();
        for side in [1.0f64, -1.0] {
            let on = |re: f64| Complex::new(re, 0.0f64.copysign(side));
            let cases = [
                (on(2.0).inverse_sine(), (pi / 2.0, side * size)),
                (on(-2.0).inverse_sine(), (-pi / 2.0, side * size)),
                (on(2.0).inverse_cosine(), (0.0, -side * size)),
                (on(-2.0).inverse_cosine(), (pi, -side * size)),
                (on(-2.0).inverse_hyperbolic_cosine(), (size, side * pi)),
                (on(2.0).inverse_hyperbolic_tangent(), (tanh, side * pi / 2.0)),
                (on(-2.0).inverse_hyperbolic_tangent(), (-tanh, side * pi / 2.0)),
                (Complex::new(0.0f64.copysign(side), 2.0).inverse_tangent(), (side * pi / 2.0, tanh)),
                (Complex::new(0.0f64.copysign(side), 2.0).inverse_hyperbolic_sine(), (side * size, pi / 2.0)),
            ];
            for (i, (z, (re, im))) in cases.into_iter().enumerate() {
                assert!((z - Complex::new(re, im)).norm() < 1e-15, "number {i}: {z} and {re} + {im}i");
            }
        }
    }
}
