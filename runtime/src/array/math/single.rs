//! `f32`: within 1.5 units in the last place of the true value, everywhere; `gelu_gates`, `normal_cdf` and `erfc` within 2.5,
//! 2.7 and 3.

use std::f32::consts::LOG2_E;

use super::{GELU, PEAK};

/// 1.5 × 2²³: a smaller number added to it is rounded to an integer, which is in the last bits of the sum.
const ROUND: f32 = 12_582_912.0;
/// The logarithm of 2, in two parts; products of the first with small integers are exact.
const LN_2: [f32; 2] = [0.693_145_75, 1.428_606_8e-6];
/// The bits of √½.
const SQRT_HALF: u32 = 0x3f35_04f3;
/// (*eˣ* - 1 - *x*)/*x²* for |*x*| ≤ ½ log 2.
const EXP: [f32; 6] = [0.5, 0.166_666_66, 0.041_666_467, 0.008_333_644, 0.001_393_510_4, 0.000_196_645_24];
/// (log(1 + *x*) - *x* + ½*x²*)/*x³* for √½ - 1 ≤ *x* ≤ √2 - 1.
const LOG: [f32; 8] = [
    0.333_333_3,
    -0.250_008_23,
    0.200_012_61,
    -0.166_233_33,
    0.142_009_51,
    -0.131_594_32,
    0.127_659_04,
    -0.076_411_08,
];
/// (tanh(*x*) - *x*)/*x³* in *x²*, for |*x*| ≤ 0.6.
const TANH: [f32; 5] = [-0.333_333, 0.133_319_36, -0.053_784_72, 0.020_798_653, -0.005_898_015];
/// erf(*x*)/*x* - 1 in *x²*, for |*x*| ≤ 0.95.
const ERF: [f32; 7] = [
    0.128_379_17,
    -0.376_126_3,
    0.112_836_26,
    -0.026_855_74,
    0.005_192_460_5,
    -0.000_805_080_4,
    8.002_775e-5,
];
/// -log(1 - erf(*x*))/*x* for 0.9 ≤ *x* ≤ 4.1.
const ERF_FAR: [f32; 7] = [
    1.128_637_1,
    0.635_198_06,
    0.106_158_964,
    -0.023_694_443,
    0.003_610_255_2,
    -0.000_314_828_62,
    1.042_923_2e-5,
];
/// *e^(x²)* (1 + 2*x*) erfc(*x*) in (*x* - 4)/(*x* + 4), for 0 ≤ *x* ≤ 10.5 (the form of Shepherd and Laframboise,
/// Math. Comp. 36, 1981).
const ERFC: [f32; 11] = [
    1.232_995_2,
    -0.139_621_26,
    0.015_375_297,
    0.068_100_29,
    -0.100_946_99,
    0.093_780_01,
    -0.066_960_27,
    0.036_279_58,
    -0.015_167_999,
    0.008_005_802_5,
    0.001_249_264_3,
];
/// (Φ(*x*) - ½)/*x* in *x²*, for |*x*| ≤ 1.
const CDF: [f32; 6] =
    [0.398_942_3, -0.066_490_54, 0.009_974_163, -0.001_188_019_2, 0.000_115_016_75, -8.168_256_5e-6];
/// *e^(x²/2)* (1 + *x*) Φ(-*x*) in (*x* - 4)/(*x* + 4), for 0.95 ≤ *x* ≤ 14.4.
const CDF_FAR: [f32; 10] = [
    0.472_053_2,
    -0.096_703_455,
    0.014_000_296,
    0.028_599_566,
    -0.032_208_543,
    0.017_943_276,
    -0.004_943_08,
    -0.000_308_936_7,
    0.000_567_847_7,
    -6.416_59e-5,
];

/// The polynomial with these coefficients, the constant one first.
#[inline(always)]
fn poly<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut y = coefficients[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        y = y.mul_add(x, coefficients[i]);
    }
    y
}

/// *x* between bounds; NaN stays NaN.
#[inline(always)]
fn within(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// 2ⁿ, for -126 ≤ *n* ≤ 127.
#[inline(always)]
fn two_to(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) << 23) as u32)
}

/// `x` 2ⁿ, in two steps, so that neither overflows and only the last one rounds.
#[inline(always)]
fn times_two_to(x: f32, n: i32) -> f32 {
    let half = n >> 1;
    x * two_to(half) * two_to(n.wrapping_sub(half))
}

/// *n* and *eʳ* - 1 with *x* - `less` = *n* log 2 + *r*, where *r* is small; for |*x*| ≤ 200.
#[inline(always)]
fn reduced(x: f32, less: f32) -> (i32, f32) {
    let sum = x.mul_add(LOG2_E, ROUND);
    let n = sum - ROUND;
    let r = n.mul_add(-LN_2[1], n.mul_add(-LN_2[0], x)) - less;
    ((sum.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32), (r * r).mul_add(poly(r, EXP), r))
}

/// *eˣ*.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    exp_of_difference(within(x, -104.0, 100.0), 0.0)
}

/// *e*^(*x* - `less`), for |*x*| ≤ 170.
#[inline(always)]
fn exp_of_difference(x: f32, less: f32) -> f32 {
    let (n, m) = reduced(x, less);
    times_two_to(m + 1.0, n)
}

/// *eˣ* - 1.
#[inline(always)]
pub fn expm1(x: f32) -> f32 {
    let (n, m) = reduced(within(x, -18.0, 100.0), 0.0);
    let half = n >> 1;
    let rest = n.wrapping_sub(half);
    let y = m.mul_add(two_to(half), two_to(half) - two_to(rest.wrapping_neg())) * two_to(rest);
    if x.abs() < 1e-8 { x } else { y }
}

/// The natural logarithm.
#[inline(always)]
pub fn log(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let (normal, shift) = if tiny { (x * 8_388_608.0, 23.0) } else { (x, 0.0) };
    let y = log_shifted(normal, shift);
    let y = if x < f32::INFINITY { y } else { x };
    let y = if x < 0.0 { f32::NAN } else { y };
    if x == 0.0 { f32::NEG_INFINITY } else { y }
}

/// [`log`] of a positive number that is neither subnormal nor infinite.
#[inline(always)]
pub fn log_normal(x: f32) -> f32 {
    log_shifted(x, 0.0)
}

/// log(2^-`shift` `x`).
#[inline(always)]
fn log_shifted(x: f32, shift: f32) -> f32 {
    // Twos are taken off until it lies from √½ to √2.
    let bits = x.to_bits().wrapping_sub(SQRT_HALF);
    let twos = ((bits as i32) >> 23) as f32 - shift;
    let f = f32::from_bits((bits & 0x007f_ffff).wrapping_add(SQRT_HALF)) - 1.0;
    log_of(twos, f, 0.0)
}

/// log(2^`twos` (1 + `f`)) + `rest`, the smallest terms first.
#[inline(always)]
fn log_of(twos: f32, f: f32, rest: f32) -> f32 {
    let square = f * f;
    let small = twos.mul_add(LN_2[1], (square * f).mul_add(poly(f, LOG), rest));
    twos.mul_add(LN_2[0], f + square.mul_add(-0.5, small))
}

/// log(1 + *x*).
#[inline(always)]
pub fn log1p(x: f32) -> f32 {
    let sum = 1.0 + x;
    let bits = sum.to_bits().wrapping_sub(SQRT_HALF);
    let twos = (bits as i32) >> 23;
    let f = f32::from_bits((bits & 0x007f_ffff).wrapping_add(SQRT_HALF)) - 1.0;
    // What the sum has lost.
    let lost = if x > 1.0 { 1.0 - (sum - x) } else { x - (sum - 1.0) };
    let near = twos == 0;
    let y = log_of(twos as f32, if near { x } else { f }, if near { 0.0 } else { lost / sum });
    let y = if sum < f32::INFINITY { y } else { sum };
    let y = if x < -1.0 { f32::NAN } else { y };
    let y = if x == -1.0 { f32::NEG_INFINITY } else { y };
    if x.abs() < 1e-10 { x } else { y }
}

/// The hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let size = x.abs();
    let (n, m) = reduced(2.0 * within(size, 0.0, 10.0), 0.0);
    let exp = m.mul_add(two_to(n), two_to(n));
    let far = 1.0 - 2.0 / (exp + 1.0);
    let square = size * size;
    let near = (square * size).mul_add(poly(square, TANH), size);
    (if size < 0.6 { near } else { far }).copysign(x)
}

/// The error function.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let size = x.abs();
    let near = size.mul_add(poly(size * size, ERF), size);
    let bounded = within(size, 0.0, 4.0);
    let (n, m) = reduced(-bounded * poly(bounded, ERF_FAR), 0.0);
    let far = 1.0 - m.mul_add(two_to(n), two_to(n));
    (if size < 0.9 { near } else { far }).copysign(x)
}

/// 1 - erf(*x*).
#[inline(always)]
pub fn erfc(x: f32) -> f32 {
    let size = within(x.abs(), 0.0, 10.5);
    let y = falling(poly((size - 4.0) / (size + 4.0), ERFC), 2.0 * size, (size, size));
    let far = if x < 0.0 { 2.0 - y } else { y };
    let near = 1.0 - x.mul_add(poly(x * x, ERF), x);
    if x.abs() < 0.5 { near } else { far }
}

/// Φ(*x*), the distribution function of the normal distribution.
#[inline(always)]
pub fn normal_cdf(x: f32) -> f32 {
    let size = within(x.abs(), 0.0, 14.5);
    let y = falling(poly((size - 4.0) / (size + 4.0), CDF_FAR), size, (0.5 * size, size));
    let far = if x > 0.0 { 1.0 - y } else { y };
    let near = x.mul_add(poly(x * x, CDF), 0.5);
    if x.abs() < 1.0 { near } else { far }
}

/// The density of the normal distribution.
#[inline(always)]
pub fn normal_pdf(x: f32) -> f32 {
    let size = within(x.abs(), 0.0, 14.5);
    let (half, product) = (0.5 * size, 0.5 * size * size);
    PEAK as f32 * exp_of_difference(-product, half.mul_add(size, -product))
}

/// ½(1 + tanh *u*), where *u* is that of [`GELU`], and 1 less that. The smaller of the two is so where *u* is far from
/// zero, and what rounding takes from *u* counts as much there as *u* is large: so it is put back.
#[inline(always)]
pub fn gelu_gates(x: f32) -> (f32, f32) {
    const SCALE: f32 = (2.0 * GELU[0]) as f32;
    const SCALE_REST: f32 = (2.0 * GELU[0] - SCALE as f64) as f32;
    const CUBIC: f32 = (2.0 * GELU[0] * GELU[1]) as f32;
    const CUBIC_REST: f32 = (2.0 * GELU[0] * GELU[1] - CUBIC as f64) as f32;
    let size = if x.abs() > 12.0 { 12.0 } else { x.abs() };
    let square = size * size;
    let factor = square.mul_add(CUBIC, SCALE);
    let less = SCALE - factor;
    let rest = square.mul_add(CUBIC, less) + (SCALE - (factor + less));
    let rest = rest + square.mul_add(CUBIC_REST, SCALE_REST);
    let rest = size.mul_add(size, -square).mul_add(CUBIC, rest);
    let twice = size * factor;
    let exp = exp_of_difference(-twice, size.mul_add(rest, size.mul_add(factor, -twice)));
    let more = 1.0 / (1.0 + exp);
    if x < 0.0 { (exp * more, more) } else { (more, exp * more) }
}

/// `p`/(1 + *x*) *e^(-ab)* for *x* of 1 at least: what rounding takes from the sum, the quotient and the product is put
/// back.
#[inline(always)]
fn falling(p: f32, x: f32, (a, b): (f32, f32)) -> f32 {
    let sum = x + 1.0;
    let inverse = 1.0 / sum;
    let y = p * inverse;
    let rest = (-y).mul_add(sum, p) - y * (1.0 - (sum - x));
    let product = a * b;
    let (n, m) = reduced(-product, a.mul_add(b, -product));
    times_two_to(m.mul_add(y, rest * inverse) + y, n)
}
