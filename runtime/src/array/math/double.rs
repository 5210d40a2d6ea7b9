//! `f64`: within 3 units in the last place of the platform's library, everywhere.

use std::f64::consts::LOG2_E;

use super::{GELU, PEAK};

/// 1.5 × 2⁵²: a smaller number added to it is rounded to an integer, which is in the last bits of the sum.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// The logarithm of 2, in two parts; products of the first with small integers are exact.
const LN_2: [f64; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];
/// The high half of the bits of √½.
const SQRT_HALF: u64 = 0x3fe6_a09e_0000_0000;
/// (*eˣ* - 1 - *x*)/*x²* for |*x*| ≤ ½ log 2.
const EXP: [f64; 11] = [
    0.5,
    0.166_666_666_666_666_7,
    0.041_666_666_666_648_526,
    0.008_333_333_333_328_342,
    0.001_388_888_889_789_77,
    0.000_198_412_698_666_974_8,
    2.480_156_981_443_558_4e-5,
    2.755_726_468_899_838e-6,
    2.757_217_443_508_191_4e-7,
    2.510_181_985_422_017e-8,
    1.634_076_881_208_247_8e-9,
];
/// (2 artanh(*s*) - 2*s*)/*s³* in *s²*, for |*s*| ≤ (√2 - 1)/(√2 + 1).
const LOG: [f64; 8] = [
    0.666_666_666_666_666_6,
    0.400_000_000_000_049_5,
    0.285_714_285_693_985_2,
    0.222_222_226_093_660_3,
    0.181_817_781_340_956_33,
    0.153_869_995_091_232_8,
    0.132_518_903_720_709_5,
    0.132_372_481_832_444_65,
];
/// erf(*x*)/*x* - 1 in *x²*, for |*x*| ≤ 0.85.
const ERF: [f64; 11] = [
    0.128_379_167_095_512_56,
    -0.376_126_389_031_832_54,
    0.112_837_916_709_282_35,
    -0.026_866_170_639_452_677,
    0.005_223_977_563_767_81,
    -0.000_854_832_310_464_096_6,
    0.000_120_551_772_390_140_26,
    -1.492_165_791_734_096_8e-5,
    1.639_591_844_159_609_6e-6,
    -1.567_558_268_857_605e-7,
    1.061_428_124_374_024_9e-8,
];
/// *e^(x²)* (1 + 2*x*) (1 - erf(*x*)) in (*x* - 3)/(*x* + 3), for 0 ≤ *x* ≤ 6 (the form of Shepherd and Laframboise,
/// Math. Comp. 36, 1981).
const ERF_FAR: [f64; 19] = [
    1.253_008_058_269_729_6,
    -0.135_621_106_124_577_26,
    -0.047_562_294_353_427_494,
    0.129_645_158_702_134_58,
    -0.119_273_663_417_866_37,
    0.068_308_027_371_107_92,
    -0.023_770_514_803_003_86,
    0.002_529_391_379_226_520_6,
    0.001_888_687_908_276_677_2,
    -0.000_779_830_631_629_190_3,
    -0.000_105_135_279_865_333_11,
    0.000_125_124_418_819_604_05,
    4.854_644_530_373_178e-6,
    -2.034_879_115_363_553_3e-5,
    -7.973_821_316_644_167e-7,
    3.990_898_938_569_255e-6,
    1.249_991_576_226_926_5e-6,
    -1.875_238_826_581_027e-9,
    -4.023_018_997_873_724e-8,
];

/// The polynomial with these coefficients, the constant one first.
#[inline(always)]
fn poly<const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
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
fn within(x: f64, low: f64, high: f64) -> f64 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// 2ⁿ, for -1022 ≤ *n* ≤ 1023.
#[inline(always)]
fn two_to(n: i64) -> f64 {
    f64::from_bits((n.wrapping_add(1023) << 52) as u64)
}

/// *n* and *eʳ* - 1 with *x* - `less` = *n* log 2 + *r*, where *r* is small; for |*x*| ≤ 1,500.
#[inline(always)]
fn reduced(x: f64, less: f64) -> (i64, f64) {
    let sum = x.mul_add(LOG2_E, ROUND);
    let n = sum - ROUND;
    let r = n.mul_add(-LN_2[1], n.mul_add(-LN_2[0], x)) - less;
    ((sum.to_bits() as i64).wrapping_sub(ROUND.to_bits() as i64), (r * r).mul_add(poly(r, EXP), r))
}

/// *eˣ*.
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    exp_of_difference(within(x, -746.0, 720.0), 0.0)
}

/// *e*^(*x* - `less`), for *x* between those bounds.
#[inline(always)]
fn exp_of_difference(x: f64, less: f64) -> f64 {
    let (n, m) = reduced(x, less);
    // In two steps, so that neither overflows and only the last one rounds.
    let half = n >> 1;
    (m + 1.0) * two_to(half) * two_to(n.wrapping_sub(half))
}

/// *eˣ* - 1.
#[inline(always)]
pub fn expm1(x: f64) -> f64 {
    let (n, m) = reduced(within(x, -40.0, 720.0), 0.0);
    let half = n >> 1;
    let rest = n.wrapping_sub(half);
    let y = m.mul_add(two_to(half), two_to(half) - two_to(rest.wrapping_neg())) * two_to(rest);
    if x.abs() < 1e-17 { x } else { y }
}

/// The natural logarithm.
#[inline(always)]
pub fn log(x: f64) -> f64 {
    let tiny = x < f64::MIN_POSITIVE;
    let (normal, shift) = if tiny { (x * 4_503_599_627_370_496.0, 52.0) } else { (x, 0.0) };
    // Twos are taken off until it lies from √½ to √2.
    let bits = normal.to_bits().wrapping_sub(SQRT_HALF);
    let twos = small_integer((bits as i64) >> 52) - shift;
    let f = f64::from_bits((bits & 0x000f_ffff_ffff_ffff).wrapping_add(SQRT_HALF)) - 1.0;
    let y = log_of(twos, f, 0.0);
    let y = if x < f64::INFINITY { y } else { x };
    let y = if x < 0.0 { f64::NAN } else { y };
    if x == 0.0 { f64::NEG_INFINITY } else { y }
}

/// An integer as a float; vectors of 32 bytes have no instruction for it.
#[inline(always)]
fn small_integer(n: i64) -> f64 {
    f64::from_bits(n.wrapping_add(ROUND.to_bits() as i64) as u64) - ROUND
}

/// log(2^`twos` (1 + `f`)) + `rest`: log(1 + *f*) is *f* - ½*f²* + *s* (½*f²* + *s²* R(*s²*)) with
/// *s* = *f*/(2 + *f*).
#[inline(always)]
fn log_of(twos: f64, f: f64, rest: f64) -> f64 {
    let s = f / (2.0 + f);
    let (half, z) = (0.5 * f * f, s * s);
    let small = s.mul_add(z.mul_add(poly(z, LOG), half), twos.mul_add(LN_2[1], rest));
    twos.mul_add(LN_2[0], f - (half - small))
}

/// log(1 + *x*).
#[inline(always)]
pub fn log1p(x: f64) -> f64 {
    let sum = 1.0 + x;
    let bits = sum.to_bits().wrapping_sub(SQRT_HALF);
    let twos = (bits as i64) >> 52;
    let f = f64::from_bits((bits & 0x000f_ffff_ffff_ffff).wrapping_add(SQRT_HALF)) - 1.0;
    // What the sum has lost.
    let lost = if x > 1.0 { 1.0 - (sum - x) } else { x - (sum - 1.0) };
    let near = twos == 0;
    let y = log_of(small_integer(twos), if near { x } else { f }, if near { 0.0 } else { lost / sum });
    let y = if sum < f64::INFINITY { y } else { sum };
    let y = if x < -1.0 { f64::NAN } else { y };
    let y = if x == -1.0 { f64::NEG_INFINITY } else { y };
    if x.abs() < 1e-19 { x } else { y }
}

/// The hyperbolic tangent: of *t* = *e*^(-2|*x*|) - 1 it is -*t*/(2 + *t*).
#[inline(always)]
pub fn tanh(x: f64) -> f64 {
    let (n, m) = reduced(-2.0 * within(x.abs(), 0.0, 20.0), 0.0);
    let t = m.mul_add(two_to(n), two_to(n) - 1.0);
    (-t / (2.0 + t)).copysign(x)
}

/// The error function.
#[inline(always)]
pub fn erf(x: f64) -> f64 {
    let size = x.abs();
    let near = size.mul_add(poly(size * size, ERF), size);
    let bounded = within(size, 0.0, 6.0);
    let far = poly((bounded - 3.0) / (bounded + 3.0), ERF_FAR) / bounded.mul_add(2.0, 1.0);
    let far = 1.0 - exp_of_minus(bounded, bounded) * far;
    (if size < 0.85 { near } else { far }).copysign(x)
}

/// The density of the normal distribution.
#[inline(always)]
pub fn normal_pdf(x: f64) -> f64 {
    let size = within(x.abs(), 0.0, 38.6);
    PEAK * exp_of_minus(0.5 * size, size)
}

/// ½(1 + tanh *u*), where *u* is that of [`GELU`], and 1 less that; of what rounding takes from *u* it loses as much as
/// *u* is large.
#[inline(always)]
pub fn gelu_gates(x: f64) -> (f64, f64) {
    let twice = (x * x).mul_add(2.0 * GELU[0] * GELU[1], 2.0 * GELU[0]) * x.abs();
    let exp = exp(-twice);
    let more = 1.0 / (1.0 + exp);
    if x < 0.0 { (exp * more, more) } else { (more, exp * more) }
}

/// *e^(-xy)*: what rounding takes from the product is put back.
#[inline(always)]
fn exp_of_minus(x: f64, y: f64) -> f64 {
    let product = x * y;
    exp_of_difference(-product, x.mul_add(y, -product))
}
