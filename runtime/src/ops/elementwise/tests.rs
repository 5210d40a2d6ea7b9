//! Every row of the table: its value against the formula, its derivatives to second order, its lanes against a
//! loop.

use num_complex::Complex;

use crate::check::{check_grads, check_lanes};
use crate::dtype::DType;
use crate::grad;
use crate::ops::*;
use crate::tensor::Tensor;

type One = fn(&Tensor) -> Tensor;
type Two = fn(&Tensor, &Tensor) -> Tensor;

fn wave(n: usize, low: f64, high: f64) -> Tensor {
    let at = |i: usize| low + (high - low) * (0.5 + 0.5 * (1.7 * i as f64 + 0.3).sin());
    Tensor::from((0..n).map(at).collect::<Vec<f64>>())
}

fn complex_wave(n: usize) -> Tensor {
    complex(wave(n, 0.2, 0.9), wave(n + 1, -0.7, 0.8).slice(0, 1..n + 1))
}

/// A function, a formula for its value, and between which numbers to try it.
type Trial = (One, fn(f64) -> f64, f64, f64);

/// Functions of one number.
fn functions() -> Vec<Trial> {
    vec![
        (neg, |x| -x, -2.0, 2.0),
        (abs, f64::abs, -2.0, 2.0),
        (square, |x| x * x, -2.0, 2.0),
        (|x| powi(x, 3), |x| x * x * x, -2.0, 2.0),
        (|x| powi(x, -2), |x| 1.0 / (x * x), 0.5, 2.0),
        (reciprocal, |x| 1.0 / x, 0.5, 2.0),
        (sqrt, f64::sqrt, 0.5, 2.0),
        (rsqrt, |x| 1.0 / x.sqrt(), 0.5, 2.0),
        (cbrt, f64::cbrt, 0.5, 2.0),
        (exp, f64::exp, -2.0, 2.0),
        (exp2, f64::exp2, -2.0, 2.0),
        (expm1, f64::exp_m1, -2.0, 2.0),
        (log, f64::ln, 0.5, 2.0),
        (log2, f64::log2, 0.5, 2.0),
        (log1p, f64::ln_1p, -0.5, 2.0),
        (sin, f64::sin, -2.0, 2.0),
        (cos, f64::cos, -2.0, 2.0),
        (tan, f64::tan, -1.0, 1.0),
        (asin, f64::asin, -0.9, 0.9),
        (acos, f64::acos, -0.9, 0.9),
        (atan, f64::atan, -2.0, 2.0),
        (sinh, f64::sinh, -2.0, 2.0),
        (cosh, f64::cosh, -2.0, 2.0),
        (tanh, f64::tanh, -2.0, 2.0),
        (asinh, f64::asinh, -2.0, 2.0),
        (acosh, f64::acosh, 1.5, 3.0),
        (atanh, f64::atanh, -0.9, 0.9),
        (sigmoid, |x| 1.0 / (1.0 + (-x).exp()), -2.0, 2.0),
        (relu, |x| x.max(0.0), -2.0, 2.0),
        (relu6, |x| x.clamp(0.0, 6.0), -2.0, 9.0),
        (|x| leaky_relu(x, 0.1), |x| x.max(0.1 * x), -2.0, 2.0),
        (elu, |x| if x > 0.0 { x } else { x.exp_m1() }, -2.0, 2.0),
        (silu, |x| x / (1.0 + (-x).exp()), -2.0, 2.0),
        (softplus, |x| x.exp().ln_1p(), -2.0, 2.0),
        (log_sigmoid, |x| -(-x).exp().ln_1p(), -2.0, 2.0),
        (
            gelu,
            |x| 0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x.powi(3))).tanh()),
            -2.0,
            2.0,
        ),
        (gelu_exact, |x| 0.5 * x * (1.0 + libm::erf(x * 0.5f64.sqrt())), -2.0, 2.0),
        (erf, libm::erf, -2.0, 2.0),
        (erfc, libm::erfc, -2.0, 2.0),
        (lgamma, libm::lgamma, 0.5, 4.0),
        (sinc, |x| (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x), 0.2, 2.0),
        (|x| clip(x, -1.0, 0.5), |x| x.clamp(-1.0, 0.5), -2.0, 2.0),
    ]
}

fn assert_close(name: usize, got: &[f64], wanted: &[f64]) {
    for (a, b) in got.iter().zip(wanted) {
        assert!((a - b).abs() <= 4e-15 * b.abs().max(1.0), "function {name}: {a} and {b}");
    }
}

#[test]
fn values_of_functions() {
    for (i, (f, formula, low, high)) in functions().into_iter().enumerate() {
        let x = wave(7, low, high);
        let wanted: Vec<f64> = x.to_vec::<f64>().into_iter().map(formula).collect();
        assert_close(i, &f(&x).to_vec::<f64>(), &wanted);
    }
}

/// Values and derivatives of both forms of GELU in single precision, in units of the last place. A derivative passes
/// through zero, so its unit is that of its terms, *s* and *x s*′, together.
#[test]
fn gelu_in_single_precision() {
    const SLOPE: f64 = 0.797_884_560_802_865_4;
    let cubic = |x: f64| 1.0 / (1.0 + (-2.0 * SLOPE * (x + 0.044_715 * x.powi(3))).exp());
    let cubic_slope = |x: f64| (2.0 * SLOPE * (1.0 + 0.134_145 * x * x), cubic(x) * cubic(-x));
    let normal = |x: f64| 0.5 * libm::erfc(-x * 0.5f64.sqrt());
    let normal_slope = |x: f64| (0.5 * SLOPE, (-0.5 * x * x).exp());
    type Formulas<'a> = (&'a dyn Fn(f64) -> f64, &'a dyn Fn(f64) -> (f64, f64));
    let forms: [(&str, One, Formulas, f64); 2] = [
        ("gelu", gelu, (&cubic, &cubic_slope), 9.4),
        ("gelu_exact", gelu_exact, (&normal, &normal_slope), 13.0),
    ];
    for (name, f, (gate, gate_slope), least) in forms {
        let x: Vec<f32> = (0..1 << 18)
            .map(|i| (i as f64 / 8192.0 - 16.0) as f32)
            .filter(|x| f64::from(*x) > -least)
            .collect();
        let (values, slopes) = {
            let x = Tensor::from(x.clone());
            (f(&x).to_vec::<f32>(), grad(|x: &Tensor| f(x).sum(())).at(&x).to_vec::<f32>())
        };
        let mut worst = [0.0f64; 2];
        for (i, x) in x.into_iter().map(f64::from).enumerate() {
            let (factor, fall) = gate_slope(x);
            let (value, terms) = (x * gate(x), [gate(x), x * factor * fall]);
            let size = terms[0].abs() + terms[1].abs();
            let errors = [
                (f64::from(values[i]) - value).abs() / value.abs().max(1e-38),
                (f64::from(slopes[i]) - terms[0] - terms[1]).abs() / size,
            ];
            worst = std::array::from_fn(|kind| worst[kind].max(errors[kind] * f64::from(1u32 << 23)));
        }
        println!("{name}: {worst:?}");
        assert!(worst[0] < 2.0 && worst[1] < 3.5, "{name}: {worst:?}");
    }
}

#[test]
fn derivatives_of_functions() {
    for (f, _, low, high) in functions() {
        check_grads(|x: &Tensor| f(x), &wave(7, low, high), 2);
    }
    for f in [erf_inv as One, digamma] {
        check_grads(|x: &Tensor| f(x), &wave(5, 0.3, 0.8), 3);
    }
}

/// 1 - x² loses there what (1 - x)(1 + x) keeps.
#[test]
fn derivatives_near_poles() {
    let root = |x: f64| ((1.0 - x) * (1.0 + x)).sqrt().recip();
    for (f, sign, power) in [(asin as One, 1.0, 1), (acos, -1.0, 1), (atanh, 1.0, 2)] {
        for x in [-0.999f32, 0.999_99] {
            let got = f64::from(grad(|x: &Tensor| f(x)).at(&x.into()).item::<f32>());
            let wanted = sign * root(x.into()).powi(power);
            assert!((got / wanted - 1.0).abs() < 3e-7, "{got} instead of {wanted}");
        }
    }
}

#[test]
fn functions_on_lanes() {
    for (f, _, low, high) in functions() {
        check_lanes(|x: &Tensor| f(x), &wave(66, low, high).cast(DType::F32).reshape([33, 2]));
    }
}

#[test]
fn derivatives_of_functions_of_complex_numbers() {
    let functions: [One; 20] = [
        neg,
        abs,
        square,
        |x| powi(x, 3),
        reciprocal,
        sqrt,
        rsqrt,
        exp,
        exp2,
        expm1,
        log,
        log2,
        log1p,
        sin,
        cos,
        tan,
        sinh,
        cosh,
        tanh,
        conj,
    ];
    let more: [One; 9] = [real, imag, angle, asin, acos, atan, asinh, acosh, atanh];
    let activations: [One; 6] = [sign, sigmoid, silu, softplus, log_sigmoid, sinc];
    for f in functions.into_iter().chain(more).chain(activations) {
        check_grads(|z: &Tensor| f(z), &complex_wave(5), 2);
    }
}

#[test]
fn derivatives_of_functions_of_two() {
    let functions: [Two; 14] = [
        |a, b| add(a, b),
        |a, b| sub(a, b),
        |a, b| mul(a, b),
        |a, b| div(a, b),
        |a, b| rem(a, b),
        |a, b| pow(a, b),
        |a, b| maximum(a, b),
        |a, b| minimum(a, b),
        |a, b| atan2(a, b),
        |a, b| hypot(a, b),
        |a, b| logaddexp(a, b),
        |a, b| xlogy(a, b),
        |a, b| complex(a, b),
        |a, b| where_(a.gt(b), a * b, a - b),
    ];
    let (a, b) = (wave(6, 0.5, 2.0).reshape([2, 3]), wave(3, 0.4, 1.1));
    for f in functions {
        check_grads(|a: &Tensor, b: &Tensor| f(a, b), (&a, &b), 2);
        check_lanes(|a: &Tensor, b: &Tensor| f(a, b), (&a, &b.slice(0, 0..2)));
    }
    let holomorphic: [Two; 6] =
        [|a, b| a + b, |a, b| a - b, |a, b| a * b, |a, b| a / b, |a, b| pow(a, b), |a, b| logaddexp(a, b)];
    for f in holomorphic {
        check_grads(|a: &Tensor, b: &Tensor| f(a, b), (&complex_wave(3), &complex_wave(1)), 2);
    }
}

#[test]
fn values_of_functions_of_two() {
    let (a, b) = (Tensor::from([7.0f64, -7.0, 0.0]), Tensor::from([3.0f64, 3.0, -2.0]));
    assert_eq!((&a % &b).to_vec::<f64>(), [1.0, 2.0, 0.0]);
    assert_eq!(a.maximum(&b).to_vec::<f64>(), [7.0, 3.0, 0.0]);
    assert_eq!(a.minimum(f64::NAN).isnan().to_vec::<bool>(), [true; 3]);
    assert_eq!(b.pow(2).to_vec::<f64>(), [9.0, 9.0, 4.0]);
    assert_eq!(hypot(3.0, Tensor::from(4.0f32)).item::<f32>(), 5.0);
    assert_eq!(atan2(0.0, -1.0).item::<f64>(), std::f64::consts::PI);
    assert_eq!(logaddexp(f64::NEG_INFINITY, f64::NEG_INFINITY).item::<f64>(), f64::NEG_INFINITY);
    assert_eq!(logaddexp(1000.0, 0.0).item::<f64>(), 1000.0);
    assert_eq!(xlogy(0.0, 0.0).item::<f64>(), 0.0);
    assert_eq!(Tensor::from([1u8, 7]).powi(2).to_vec::<u8>(), [1, 49]);
}

#[test]
fn comparisons() {
    let x = Tensor::from([1.0f32, 2.0, f32::NAN]);
    let table = [x.eq(2.0), x.ne(2.0), x.lt(2.0), x.le(2.0), x.gt(1.0), x.ge(1.0)];
    let wanted = ["010", "101", "100", "110", "010", "110"];
    for (got, wanted) in table.iter().zip(wanted) {
        let got: String = got.to_vec::<bool>().into_iter().map(|b| if b { '1' } else { '0' }).collect();
        assert_eq!(got, wanted);
    }
    assert_eq!(
        (x.isnan().to_vec::<bool>(), x.isfinite().to_vec::<bool>()),
        (vec![false, false, true], vec![true, true, false])
    );
    assert!(Tensor::from(2i32).isfinite().item::<bool>());
    let (t, f) = (Tensor::from(5i32), Tensor::from(false));
    assert_eq!((t.logical_and(&f).item::<bool>(), t.logical_or(&f).item::<bool>()), (false, true));
    assert_eq!((t.logical_xor(true).item::<bool>(), f.logical_not().item::<bool>()), (false, true));
}

/// Derivatives where there is a choice.
#[test]
fn conventions_at_kinks_and_ties() {
    let slope = |f: One, x: f64| grad(|x: &Tensor| f(x)).at(&Tensor::from(x)).item::<f64>();
    assert_eq!([slope(relu, 0.0), slope(abs, 0.0), slope(abs, -0.0), slope(sign, 0.0)], [0.0, 1.0, 1.0, 0.0]);
    assert_eq!([slope(relu6, 0.0), slope(relu6, 6.0), slope(elu, 0.0)], [0.0, 0.0, 1.0]);
    assert_eq!(slope(|x| leaky_relu(x, 0.1), 0.0), 1.0);
    assert_eq!(slope(|x| clip(x, 0.0, 1.0), 1.0), 0.5);
    assert_eq!(slope(|x| maximum(x, x) * 3.0, 2.0), 3.0);
    assert_eq!(slope(sqrt, 0.0), f64::INFINITY);
    assert_eq!([slope(|x| powi(x, 0), 0.0), slope(|x| powi(x, 1), 0.0)], [0.0, 1.0]);
    assert_eq!([slope(floor, 0.5), slope(round, 0.5), slope(|x| rem(x, 0.7), 0.5)], [0.0, 0.0, 1.0]);
    assert_eq!(slope(sinc, 0.0), 0.0);
    for x in [1e-8, 1e-4] {
        let series = -std::f64::consts::PI.powi(2) * x / 3.0;
        assert!((slope(sinc, x) / series - 1.0).abs() < 1e-7);
    }
    let origin = Tensor::from(0.0);
    let slopes = grad(|x: &Tensor, y: &Tensor| x.hypot(y)).argnums::<(crate::A0, crate::A1)>();
    let (dx, dy) = slopes.at((&origin, &origin));
    assert_eq!((dx.item::<f64>(), dy.item::<f64>()), (0.5, 0.5));
    let at = |x: f64, y: f64| {
        let (dx, dy) = grad(|x: &Tensor, y: &Tensor| x.pow(y))
            .argnums::<(crate::A0, crate::A1)>()
            .at((&x.into(), &y.into()));
        (dx.item::<f64>(), dy.item::<f64>())
    };
    assert_eq!((at(0.0, 2.0), at(0.0, 1.0), at(0.0, 0.5)), ((0.0, 0.0), (1.0, 0.0), (f64::INFINITY, 0.0)));
    assert!(at(0.0, 0.0).0.is_nan() && at(-1.5, 2.0).1.is_nan());
}

#[test]
fn gradients_of_complex_numbers_are_not_conjugated() {
    let slope = |f: One| grad(|z: &Tensor| f(z)).at(&Complex::new(3.0f64, 4.0).into()).item::<Complex<f64>>();
    assert_eq!(slope(|z| (z * z.conj()).real()), Complex::new(6.0, -8.0));
    assert_eq!(slope(imag), Complex::new(0.0, -1.0));
    assert_eq!(slope(|z| z.square().real()), Complex::new(6.0, 8.0));
    let at_zero = grad(|z: &Tensor| z.abs()).at(&Complex::new(0.0f64, 0.0).into());
    assert_eq!(at_zero.item::<Complex<f64>>(), Complex::new(0.0, 0.0));
    let holomorphic = grad(|z: &Tensor| z.conj()).holomorphic().at(&Complex::new(3.0f64, 4.0).into());
    assert_eq!(holomorphic.item::<Complex<f64>>(), Complex::new(1.0, 0.0));
}

/// The sign of zero says on which side of a cut a number lies, of a function and of its derivative.
#[test]
fn derivatives_on_branch_cuts() {
    let slope =
        |f: One, z: Complex<f64>| grad(|z: &Tensor| f(z)).holomorphic().at(&z.into()).item::<Complex<f64>>();
    let cuts: [(One, Complex<f64>); 6] = [
        (asin, Complex::new(2.0, 0.0)),
        (asin, Complex::new(-2.0, 0.0)),
        (acos, Complex::new(2.0, 0.0)),
        (acosh, Complex::new(-2.0, 0.0)),
        (sqrt, Complex::new(-2.0, 0.0)),
        (asinh, Complex::new(0.0, 2.0)),
    ];
    for (i, (f, z)) in cuts.into_iter().enumerate() {
        for side in [1.0f64, -1.0] {
            let along = |x: f64| if x == 0.0 { 0.0f64.copysign(side) } else { x };
            let on = Complex::new(along(z.re), along(z.im));
            let near = on
                + Complex::new(if z.re == 0.0 { side } else { 0.0 }, if z.im == 0.0 { side } else { 0.0 })
                    * 1e-9;
            let (a, b) = (slope(f, on), slope(f, near));
            assert!((a - b).norm() < 1e-8, "number {i}, side {side}: {a} on the cut, and {b} beside it");
        }
    }
}

#[test]
fn operands_broadcast_and_integers_become_floats() {
    let column = Tensor::from([[1i32], [4]]);
    assert_eq!((&column + Tensor::from([10i32, 20])).to_vec::<i32>(), [11, 21, 14, 24]);
    assert_eq!(column.sqrt().to_vec::<f32>(), [1.0, 2.0]);
    assert_eq!(column.sqrt().dims(), [2, 1]);
}

#[test]
#[should_panic(expected = "mul: dims 2 and 3 do not broadcast\n   left: f32[2]\n   right: f32[1,3]")]
fn dims_must_broadcast() {
    let _ = Tensor::from([1.0f32, 2.0]) * Tensor::from([[1.0f32, 2.0, 3.0]]);
}

#[test]
#[should_panic(expected = "maximum: its elements must have an order, which complex numbers have not")]
fn elements_must_be_of_the_class() {
    Tensor::from(1.0f32).maximum(Complex::new(0.0, 1.0));
}
