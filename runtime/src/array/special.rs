//! Functions of real numbers that have no closed form.

use std::f64::consts::FRAC_1_SQRT_2;

use super::erf_inv::erf_inv;
use super::math;
use crate::dtype::Real;

/// A float, with special functions.
pub trait Special: Real {
    /// The error function.
    fn erf(self) -> Self;

    /// 1 - erf, without cancellation.
    fn erfc(self) -> Self;

    /// Φ, the distribution function of the normal distribution.
    fn normal_cdf(self) -> Self;

    /// The derivative of Φ.
    fn normal_pdf(self) -> Self;

    /// What GELU multiplies by in its tanh form, which is near Φ, and 1 less that without cancellation.
    fn gelu_gates(self) -> (Self, Self);

    /// The inverse of the error function.
    fn erf_inv(self) -> Self;

    /// log|Γ|.
    fn lgamma(self) -> Self;

    /// The derivative of log Γ of order `order` + 1.
    fn polygamma(self, order: u32) -> Self;
}

impl Special for f32 {
    #[inline(always)]
    fn erf(self) -> Self {
        math::single::erf(self)
    }
    #[inline(always)]
    fn erfc(self) -> Self {
        math::single::erfc(self)
    }
    #[inline(always)]
    fn normal_cdf(self) -> Self {
        math::single::normal_cdf(self)
    }
    #[inline(always)]
    fn normal_pdf(self) -> Self {
        math::single::normal_pdf(self)
    }
    #[inline(always)]
    fn gelu_gates(self) -> (Self, Self) {
        math::single::gelu_gates(self)
    }
    fn erf_inv(self) -> Self {
        erf_inv(f64::from(self)) as f32
    }
    fn lgamma(self) -> Self {
        libm::lgammaf(self)
    }
    fn polygamma(self, order: u32) -> Self {
        polygamma(f64::from(self), order) as f32
    }
}

impl Special for f64 {
    #[inline(always)]
    fn erf(self) -> Self {
        math::double::erf(self)
    }
    fn erfc(self) -> Self {
        libm::erfc(self)
    }
    fn normal_cdf(self) -> Self {
        0.5 * libm::erfc(-self * FRAC_1_SQRT_2)
    }
    #[inline(always)]
    fn normal_pdf(self) -> Self {
        math::double::normal_pdf(self)
    }
    #[inline(always)]
    fn gelu_gates(self) -> (Self, Self) {
        math::double::gelu_gates(self)
    }
    fn erf_inv(self) -> Self {
        erf_inv(self)
    }
    fn lgamma(self) -> Self {
        libm::lgamma(self)
    }
    fn polygamma(self, order: u32) -> Self {
        polygamma(self, order)
    }
}

/// The asymptotic series, after the recurrence has raised the argument to where it converges (Abramowitz and
/// Stegun, 6.3.5, 6.3.18, 6.4.6, 6.4.11). At a pole, and far on the negative side, NaN or infinite.
fn polygamma(x: f64, order: u32) -> f64 {
    if x <= 0.0 && x == x.floor() {
        return if order % 2 == 1 { f64::INFINITY } else { f64::NAN };
    }
    if x < -1e4 || x.is_nan() {
        return f64::NAN;
    }
    let n = order as i32;
    let factorial = (1..=n).map(f64::from).product::<f64>();
    let sign = if order.is_multiple_of(2) { -1.0 } else { 1.0 };
    let (mut x, mut sum) = (x, 0.0);
    while x < 20.0 + f64::from(order) {
        sum += sign * factorial * x.powi(-n - 1);
        x += 1.0;
    }
    sum + sign * asymptotic(x, n, factorial)
}

fn asymptotic(x: f64, n: i32, factorial: f64) -> f64 {
    let main = if n == 0 { -x.ln() } else { factorial / f64::from(n) * x.powi(-n) };
    let mut series = main + 0.5 * factorial * x.powi(-n - 1);
    // (2k + n - 1)! / (2k)!, from k = 1 on.
    let mut ratio = (1..n + 2).map(f64::from).product::<f64>() / 2.0;
    for (k, bernoulli) in (1..).zip(BERNOULLI) {
        series += bernoulli * ratio * x.powi(-2 * k - n);
        let rising = f64::from(2 * k + n) * f64::from(2 * k + n + 1);
        ratio *= rising / (f64::from(2 * k + 1) * f64::from(2 * k + 2));
    }
    series
}

/// The Bernoulli numbers B₂, B₄, ….
const BERNOULLI: [f64; 8] = [
    1.0 / 6.0,
    -1.0 / 30.0,
    1.0 / 42.0,
    -1.0 / 30.0,
    5.0 / 66.0,
    -691.0 / 2730.0,
    7.0 / 6.0,
    -3617.0 / 510.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 2e-14 * b.abs().max(1.0), "{a} and {b}");
    }

    #[test]
    fn polygamma_at_known_points() {
        let gamma = 0.577_215_664_901_532_9;
        let zeta3 = 1.202_056_903_159_594_2;
        let pi2 = std::f64::consts::PI.powi(2);
        close(polygamma(1.0, 0), -gamma);
        close(polygamma(0.5, 0), -gamma - 2.0 * std::f64::consts::LN_2);
        close(polygamma(-0.5, 0), 0.036_489_973_978_576_52);
        close(polygamma(1.0, 1), pi2 / 6.0);
        close(polygamma(0.5, 1), pi2 / 2.0);
        close(polygamma(1.0, 2), -2.0 * zeta3);
        close(polygamma(1.0, 3), pi2 * pi2 / 15.0);
        assert!(polygamma(0.0, 0).is_nan() && polygamma(-3.0, 1).is_infinite());
    }
}
