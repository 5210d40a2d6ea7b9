//! The inverse of the error function.

// The coefficients stand as they were published.
#![allow(clippy::excessive_precision)]

use super::math::single;

/// The `y` with `erf(y) = x`, to about 16 digits; infinite at -1 and 1, NaN beyond.
///
/// It is the normal quantile at `(1 + x) / 2`, over the square root of 2. The rational approximations are those of
/// M. Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37 (1988),
/// routine PPND16.
pub fn erf_inv(x: f64) -> f64 {
    quantile_around_half(x / 2.0) * std::f64::consts::FRAC_1_SQRT_2
}

/// [`erf_inv`] in `f32`, to about 3 ulp, without a branch: so a loop over it becomes vector code.
///
/// The polynomials are those of M. Giles, "Approximating the erfinv function", GPU Computing Gems, Jade edition (2011),
/// in single precision.
#[inline(always)]
pub fn erf_inv_single(x: f32) -> f32 {
    let w = -single::log((1.0 - x) * (1.0 + x));
    let far = w >= SINGLE_FAR;
    let t = if far { w.sqrt() - 3.0 } else { w - 2.5 };
    let pairs = SINGLE_CENTRE.iter().zip(&SINGLE_TAIL);
    let y = x * pairs.fold(0.0f32, |sum, (centre, tail)| sum.mul_add(t, if far { *tail } else { *centre }));
    if x.abs() == 1.0 { x * f32::INFINITY } else { y }
}

/// What [`erf_inv_single`] gives for most of the numbers between -1 and 1, in half the time; and whether this is one.
#[inline(always)]
pub fn erf_inv_centre(x: f32) -> (f32, bool) {
    let w = -single::log_normal((1.0 - x) * (1.0 + x));
    let y = x * SINGLE_CENTRE.iter().fold(0.0f32, |sum, centre| sum.mul_add(w - 2.5, *centre));
    (y, w < SINGLE_FAR)
}

/// The normal quantile at `0.5 + q`.
fn quantile_around_half(q: f64) -> f64 {
    if q.abs() <= 0.425 {
        let r = 0.180625 - q * q;
        return q * ratio(&CENTRE, r);
    }
    // The distance to the nearer end, exact also where `0.5 + q` would round.
    let r = (-(0.5 - q.abs()).ln()).sqrt();
    let tail = if r <= 5.0 { ratio(&MIDDLE, r - 1.6) } else { far_tail(r) };
    tail.copysign(q)
}

fn far_tail(r: f64) -> f64 {
    if r.is_infinite() { r } else { ratio(&FAR, r - 5.0) }
}

fn ratio([numerator, denominator]: &[[f64; 8]; 2], r: f64) -> f64 {
    let horner = |coefficients: &[f64; 8]| coefficients.iter().rev().fold(0.0, |sum, c| sum * r + c);
    horner(numerator) / horner(denominator)
}

/// -log(1 - *x*²) from which on *x* is in the tail.
const SINGLE_FAR: f32 = 5.0;
const SINGLE_CENTRE: [f32; 9] = [
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
];

const SINGLE_TAIL: [f32; 9] = [
    -0.000200214257,
    0.000100950558,
    0.00134934322,
    -0.00367342844,
    0.00573950773,
    -0.0076224613,
    0.00943887047,
    1.00167406,
    2.83297682,
];

const CENTRE: [[f64; 8]; 2] = [
    [
        3.3871328727963666080e0,
        1.3314166789178437745e2,
        1.9715909503065514427e3,
        1.3731693765509461125e4,
        4.5921953931549871457e4,
        6.7265770927008700853e4,
        3.3430575583588128105e4,
        2.5090809287301226727e3,
    ],
    [
        1.0,
        4.2313330701600911252e1,
        6.8718700749205790830e2,
        5.3941960214247511077e3,
        2.1213794301586595867e4,
        3.9307895800092710610e4,
        2.8729085735721942674e4,
        5.2264952788528545610e3,
    ],
];

const MIDDLE: [[f64; 8]; 2] = [
    [
        1.42343711074968357734e0,
        4.63033784615654529590e0,
        5.76949722146069140550e0,
        3.64784832476320460504e0,
        1.27045825245236838258e0,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    ],
    [
        1.0,
        2.05319162663775882187e0,
        1.67638483018380384940e0,
        6.89767334985100004550e-1,
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ],
];

const FAR: [[f64; 8]; 2] = [
    [
        6.65790464350110377720e0,
        5.46378491116411436990e0,
        1.78482653991729133580e0,
        2.96560571828504891230e-1,
        2.65321895265761230930e-2,
        1.24266094738807843860e-3,
        2.71155556874348757815e-5,
        2.01033439929228813265e-7,
    ],
    [
        1.0,
        5.99832206555887937690e-1,
        1.36929880922735805310e-1,
        1.48753612908506148525e-2,
        7.86869131145613259100e-4,
        1.84631831751005468180e-5,
        1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ],
];

#[cfg(test)]
mod tests {
    use super::{erf_inv, erf_inv_centre, erf_inv_single};

    #[test]
    fn erf_undoes_it_from_the_centre_to_the_last_digit_of_the_tail() {
        for y in (-580..=580).map(|i| f64::from(i) / 100.0) {
            // Near 1 the float nearest to erf(y) stands for many y; compare where that blur is small, and the
            // tail by its complement.
            let x = libm::erf(y);
            let blur = f64::EPSILON * (y * y).exp();
            assert!((erf_inv(x) - y).abs() <= 4.0 * blur + 1e-15 * y.abs(), "{y}: {}", erf_inv(x));
        }
    }

    #[test]
    fn the_tail_keeps_the_relative_precision_of_the_complement() {
        for k in 2..=53 {
            let complement = 2f64.powi(-k);
            let y = erf_inv(1.0 - complement);
            assert!((libm::erfc(y) / complement - 1.0).abs() < 1e-13, "2^-{k}: {y}");
            assert_eq!(erf_inv(complement - 1.0), -y);
        }
    }

    #[test]
    fn in_single_precision() {
        for x in (-99_999..=99_999).map(|i| (f64::from(i) / 1e5) as f32).chain([1.0 - f32::EPSILON / 2.0]) {
            let (ours, exact) = (f64::from(erf_inv_single(x)), erf_inv(f64::from(x)));
            assert!(
                (ours - exact).abs() <= 4.0 * f64::from(f32::EPSILON) * exact.abs(),
                "{x}: {ours} and {exact}"
            );
            let (near, is_near) = erf_inv_centre(x);
            assert_eq!((is_near, is_near && near == erf_inv_single(x)), (x.abs() < 0.996_625, is_near));
        }
        assert_eq!([erf_inv_single(1.0), erf_inv_single(-1.0)], [f32::INFINITY, f32::NEG_INFINITY]);
        assert!(erf_inv_single(f32::NAN).is_nan());
    }

    #[test]
    fn the_ends() {
        assert_eq!(erf_inv(0.0), 0.0);
        assert_eq!([erf_inv(1.0), erf_inv(-1.0)], [f64::INFINITY, f64::NEG_INFINITY]);
        assert!(erf_inv(1.5).is_nan() && erf_inv(f64::NAN).is_nan());
    }
}
