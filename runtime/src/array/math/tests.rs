//! The functions against `f64` (of `f32`) and the platform's library (of `f64`), and one width of vectors against
//! another.

use std::marker::PhantomData;

use super::{GELU, double, single};
use crate::array::kernels::vectors::{Loop, every};

/// A function that is sure to be inlined, as a closure is not.
trait Function<T> {
    fn at(x: T) -> T;
}

macro_rules! function {
    ($t:ty, $f:path) => {{
        struct Inlined;
        impl Function<$t> for Inlined {
            #[inline(always)]
            fn at(x: $t) -> $t {
                $f(x)
            }
        }
        Inlined
    }};
}

/// The function of all elements.
struct All<'a, T, F>(&'a [T], PhantomData<F>);

impl<T: Copy + Default, F: Function<T>> Loop for All<'_, T, F> {
    type Result = Vec<T>;
    #[inline(always)]
    fn run(self) -> Vec<T> {
        let mut out = vec![T::default(); self.0.len()];
        for (out, &x) in out.iter_mut().zip(self.0) {
            *out = F::at(x);
        }
        out
    }
}

/// What vectors of each width make of it.
fn each_width<T: Copy + Default, F: Function<T>>(x: &[T], _: &F) -> Vec<Vec<T>> {
    every().into_iter().map(|run| run(All::<T, F>(x, PhantomData))).collect()
}

/// Numbers of all bit patterns, so many apart.
fn patterns(step: usize) -> impl Iterator<Item = Vec<f32>> {
    let starts = (0..=u32::MAX).step_by(step << 14);
    starts.map(move |start| (start..=u32::MAX).step_by(step).take(1 << 14).map(f32::from_bits).collect())
}

/// The distance from the true value, in units of the last place of an `f32` there.
fn ulps(y: f32, truth: f64) -> f64 {
    let nearest = truth as f32;
    if y == nearest || y.is_nan() && truth.is_nan() {
        return 0.0;
    }
    let unit =
        f32::from_bits(nearest.abs().max(f32::MIN_POSITIVE).to_bits() & 0x7f80_0000) as f64 / 8_388_608.0;
    let error = (y as f64 - truth).abs() / unit;
    if error.is_nan() { f64::INFINITY } else { error }
}

/// The largest error over bit patterns `step` apart; every width of vectors, and every place in them, has the
/// same bits.
fn largest(name: &str, step: usize, f: impl Function<f32>, truth: fn(f64) -> f64) -> f64 {
    let mut worst = (0.0, 0.0);
    for x in patterns(step) {
        let all = each_width(&x, &f);
        for (i, &x) in x.iter().enumerate() {
            let y = all[0][i];
            assert!(all.iter().all(|other| other[i].to_bits() == y.to_bits() || y.is_nan()), "{name}({x})");
            let error = ulps(y, truth(x.into()));
            worst = if error > worst.0 { (error, x) } else { worst };
        }
    }
    println!("{name}: {:.3} ulps, at {:e}", worst.0, worst.1);
    worst.0
}

#[inline(always)]
fn gelu_gate(x: f32) -> f32 {
    single::gelu_gates(x).0
}

fn all_of_f32(step: usize) {
    assert!(largest("exp", step, function!(f32, single::exp), f64::exp) < 1.1);
    assert!(largest("expm1", step, function!(f32, single::expm1), f64::exp_m1) < 2.0);
    assert!(largest("log", step, function!(f32, single::log), f64::ln) < 1.0);
    assert!(largest("log1p", step, function!(f32, single::log1p), f64::ln_1p) < 1.0);
    assert!(largest("tanh", step, function!(f32, single::tanh), f64::tanh) < 1.5);
    assert!(largest("erf", step, function!(f32, single::erf), libm::erf) < 1.5);
    assert!(largest("erfc", step, function!(f32, single::erfc), libm::erfc) < 3.0);
    let normal_cdf = |x: f64| 0.5 * libm::erfc(x * -std::f64::consts::FRAC_1_SQRT_2);
    assert!(largest("normal_cdf", step, function!(f32, single::normal_cdf), normal_cdf) < 2.7);
    let gate = |x: f64| 1.0 / (1.0 + (-2.0 * GELU[0] * (x + GELU[1] * x * x * x)).exp());
    assert!(largest("gelu_gate", step, function!(f32, gelu_gate), gate) < 2.5);
}

#[test]
fn single_precision_is_right_to_about_two_units() {
    all_of_f32(2003);
}

/// Minutes long; the test above is a sample of it.
#[test]
#[ignore]
fn single_precision_is_right_for_all_bit_patterns() {
    all_of_f32(1);
}

/// Of both signs, of all magnitudes, and dense around 1.
fn doubles() -> Vec<f64> {
    let spread =
        (0..1 << 17).map(|i: u64| f64::from_bits(i.wrapping_mul(0xfff1_2345_6789_abcd).wrapping_mul(i | 1)));
    let dense = (0..1 << 17).map(|i| (i as f64 - 65_536.3) / 3000.0);
    let ends =
        [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 709.782_712_893_384, -745.133_219_101_941];
    spread.chain(dense.clone()).chain(dense.map(|x| x * 30.0)).chain(ends).collect()
}

fn worst_double(name: &str, f: impl Function<f64>, library: fn(f64) -> f64) -> f64 {
    let x = doubles();
    let all = each_width(&x, &f);
    let mut worst = (0.0, 0.0);
    for (i, &x) in x.iter().enumerate() {
        let (y, near) = (all[0][i], library(x));
        assert!(all.iter().all(|other| other[i].to_bits() == y.to_bits() || y.is_nan()), "{name}({x})");
        let unit = f64::from_bits(near.abs().max(f64::MIN_POSITIVE).to_bits() & (0x7ff << 52)) * f64::EPSILON;
        let error = if y == near || y.is_nan() && near.is_nan() { 0.0 } else { (y - near).abs() / unit };
        worst = if error > worst.0 || error.is_nan() { (error, x) } else { worst };
    }
    println!("{name}: {:.3} ulps from the library, at {:e}", worst.0, worst.1);
    worst.0
}

#[test]
fn double_precision_is_near_the_library() {
    assert!(worst_double("exp", function!(f64, double::exp), f64::exp) <= 1.0);
    assert!(worst_double("expm1", function!(f64, double::expm1), f64::exp_m1) <= 2.0);
    assert!(worst_double("log", function!(f64, double::log), f64::ln) <= 1.0);
    assert!(worst_double("log1p", function!(f64, double::log1p), f64::ln_1p) <= 2.0);
    assert!(worst_double("tanh", function!(f64, double::tanh), f64::tanh) <= 3.0);
    assert!(worst_double("erf", function!(f64, double::erf), libm::erf) <= 3.0);
}

#[test]
fn zeros_keep_their_sign() {
    for f in [single::expm1, single::log1p, single::tanh, single::erf] {
        assert!(f(-0.0).to_bits() == (-0.0f32).to_bits() && f(0.0).to_bits() == 0);
    }
    for f in [double::expm1, double::log1p, double::tanh, double::erf] {
        assert!(f(-0.0).to_bits() == (-0.0f64).to_bits() && f(0.0).to_bits() == 0);
    }
}
