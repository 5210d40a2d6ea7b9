use axisgrad::random::Key;
use axisgrad::{A0, A1, DType, Tensor, grad, ops, vjp};

use crate::input::{indexed, square_at};
use crate::probe::{refuses, t, tensor, x};

fn float_sum(x: &Tensor) -> Tensor {
    x.cast(DType::F64).sum(())
}

#[track_caller]
fn is_float0(gradient: &Tensor, ty: &str) {
    assert_eq!(gradient.ty().to_string(), ty);
}

#[test]
fn scalar() {
    is_float0(&grad(float_sum).allow_int().at(&Tensor::from(3)), "float0[]");
}

#[test]
fn array() {
    is_float0(&grad(float_sum).allow_int().at(&tensor([0, 1, 2])), "float0[3]");
}

#[test]
fn bool() {
    let f = |mask: &Tensor| ops::where_(mask, t(1.0), t(2.0));
    is_float0(&grad(f).allow_int().at(&Tensor::from(true)), "float0[]");
}

#[test]
fn tree() {
    let gradient = grad(square_at).allow_int().at(&indexed());
    is_float0(&gradient.i, "float0[]");
    assert_eq!(gradient.w.ty().to_string(), "f64[2]");
}

#[test]
fn prng_key() {
    assert_eq!(grad(|_: &Key| t(1.0)).allow_int().at(&Key::new(7)), Key::new(7));
}

#[test]
fn float0_arithmetic() {
    let nothing = grad(float_sum).allow_int().at(&Tensor::from(3));
    refuses("float0", || &nothing + 1.0);
}

#[test]
fn with_holomorphic() {
    let f = |z: &Tensor| z.cast(DType::C128);
    refuses("holomorphic needs complex inputs, and it is i32", || {
        grad(f).holomorphic().allow_int().at(&Tensor::from(3))
    });
}

#[test]
fn vjp_int() {
    let f = |p: &Tensor, i: &Tensor| ops::take(p, i, 0).square();
    let (_, pullback) = vjp(f).argnums::<(A0, A1)>().at((&x(), &Tensor::from(1)));
    let (p, i) = pullback.call(&t(1.0));
    assert_eq!(p.ty().to_string(), "f64[2]");
    is_float0(&i, "float0[]");
}
