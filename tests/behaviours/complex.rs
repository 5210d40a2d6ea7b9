use axisgrad::{DType, Tensor, grad, vjp};
use num_complex::Complex;

use crate::probe::{refuses, t};

fn z(re: f64, im: f64) -> Tensor {
    Tensor::from(Complex::new(re, im))
}

#[track_caller]
fn is(ours: &Tensor, re: f64, im: f64) {
    assert_eq!(ours.item::<Complex<f64>>(), Complex::new(re, im));
}

#[test]
fn abs2() {
    is(&grad(|z: &Tensor| (z * z.conj()).real()).at(&z(3.0, 4.0)), 6.0, -8.0);
}

#[test]
fn imag() {
    is(&grad(Tensor::imag).at(&z(3.0, 4.0)), 0.0, -1.0);
}

#[test]
fn holomorphic_ok() {
    is(&grad(|z: &Tensor| z * z).holomorphic().at(&z(3.0, 4.0)), 6.0, 8.0);
}

#[test]
fn holomorphic_real_in() {
    refuses("holomorphic needs complex inputs, and it is f64", || {
        grad(|z: &Tensor| z * z).holomorphic().at(&t(3.0))
    });
}

#[test]
fn holomorphic_real_out() {
    refuses("holomorphic needs a complex result, and it is f64", || {
        grad(Tensor::real).holomorphic().at(&z(3.0, 4.0))
    });
}

#[test]
fn holomorphic_int_in_tree() {
    refuses("holomorphic needs complex inputs, and `.1` is i32", || {
        let f = |p: &(Tensor, Tensor)| &p.0 * p.1.cast(DType::C128);
        grad(f).holomorphic().allow_int().at(&(z(0.0, 1.0), Tensor::from(3)))
    });
}

#[test]
fn holomorphic_conj() {
    is(&grad(Tensor::conj).holomorphic().at(&z(3.0, 4.0)), 1.0, 0.0);
}

#[test]
fn vjp_conj() {
    is(&vjp(Tensor::conj).at(&z(3.0, 4.0)).1.call(&z(2.0, 1.0)), 2.0, -1.0);
}

#[test]
fn vjp_square_i() {
    is(&vjp(|z: &Tensor| z * z).at(&z(3.0, 4.0)).1.call(&z(0.0, 1.0)), -8.0, 6.0);
}
