//! The logistic function and logarithms of sums of exponentials, where nothing overflows.

use num_complex::Complex;

use super::number::{Inexact, Number};

/// A number that exponentials are taken and summed of.
pub trait Logistic: Inexact {
    /// 1/(1 + *e⁻ˣ*).
    fn logistic(self) -> Self;

    /// log(*eˣ* + *eʸ*).
    fn log_add_exp(self, other: Self) -> Self;

    /// log(1 + *eˣ*).
    fn log_one_plus_exp(self) -> Self;
}

macro_rules! logistics {
    ($($t:ident),*) => {$(
        impl Logistic for $t {
            /// Of the smaller exponential, so that neither end overflows.
            #[inline(always)]
            fn logistic(self) -> Self {
                let exp = (-self.abs()).exponential();
                (if self < 0.0 { exp } else { 1.0 }) / (1.0 + exp)
            }
            #[inline(always)]
            fn log_add_exp(self, other: Self) -> Self {
                if self == other {
                    return self + std::$t::consts::LN_2;
                }
                self.max(other) + (-(self - other).abs()).exponential().log_one_plus()
            }
            #[inline(always)]
            fn log_one_plus_exp(self) -> Self {
                self.max(0.0) + (-self.abs()).exponential().log_one_plus()
            }
        }

        impl Logistic for Complex<$t> {
            fn logistic(self) -> Self {
                let exp = (if self.re < 0.0 { self } else { -self }).exponential();
                (if self.re < 0.0 { exp } else { Self::ONE }).over(Self::ONE + exp)
            }
            /// The imaginary part is taken into ]-π, π].
            fn log_add_exp(self, other: Self) -> Self {
                let first = (self.re, self.im) >= (other.re, other.im);
                let (large, small) = if first { (self, other) } else { (other, self) };
                let sum = large + (small - large).exponential().log_one_plus();
                let turns = ((std::$t::consts::PI - sum.im) / std::$t::consts::TAU).floor();
                Self::new(sum.re, sum.im + turns * std::$t::consts::TAU)
            }
            fn log_one_plus_exp(self) -> Self {
                self.log_add_exp(Self::ZERO)
            }
        }
    )*};
}
logistics!(f32, f64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::Scalar;

    #[test]
    fn complex_ones_are_those_of_the_formula() {
        for (re, im) in [(0.3, -1.2), (-2.0, 0.7), (30.0, 9.0), (-30.0, -4.0)] {
            let (z, w) = (Complex::new(re, im), Complex::new(1.0, 2.0));
            assert!((z.logistic() - Complex::<f64>::ONE / (-z).exp().plus(Complex::ONE)).norm() < 1e-13);
            assert!((z.log_one_plus_exp().exp() - z.exp() - 1.0).norm() < 1e-12 * z.exp().norm().max(1.0));
            let sum = z.log_add_exp(w);
            assert!((sum.exp() - z.exp() - w.exp()).norm() < 1e-12 * z.exp().norm().max(1.0));
            assert!(sum.im.abs() <= std::f64::consts::PI);
        }
        let far = Complex::new(800.0, 0.5);
        assert_eq!((far.logistic(), (-far).logistic().norm()), (Complex::ONE, 0.0));
        assert_eq!(far.log_one_plus_exp(), far);
    }
}
