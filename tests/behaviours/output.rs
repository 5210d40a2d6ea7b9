use axisgrad::{DType, Tensor, grad};

use crate::probe::{refuses, same, x};

const SCALAR: &str = "the function must return a scalar, dims []";
const FLOAT: &str = "the result must be float, and it is ";

#[test]
fn vector() {
    refuses(SCALAR, || grad(|x: &Tensor| x.clone()).at(&x()));
}

#[test]
fn shape_1() {
    refuses(SCALAR, || grad(|x: &Tensor| x.slice(0, ..1)).at(&x()));
}

#[test]
fn python_float() {
    same("output", "python_float", &grad(|_: &Tensor| Tensor::from(3.0)).at(&x()));
}

#[test]
fn python_int() {
    refuses(&format!("{FLOAT}i32"), || grad(|_: &Tensor| Tensor::from(3)).at(&x()));
}

#[test]
fn bool() {
    refuses(&format!("{FLOAT}bool"), || grad(|x: &Tensor| x.index(0, 0).gt(0.0)).at(&x()));
}

#[test]
fn int_array() {
    refuses(&format!("{FLOAT}i64"), || grad(|x: &Tensor| x.index(0, 0).cast(DType::I64)).at(&x()));
}

#[test]
fn complex() {
    refuses("the result must be real, and it is complex", || {
        grad(|x: &Tensor| x.index(0, 0).cast(DType::C128)).at(&x())
    });
}

#[test]
fn f32_out_f64_in() {
    let gradient = grad(|x: &Tensor| x.index(0, 0).cast(DType::F32).square()).at(&x());
    assert_eq!(gradient.ty().to_string(), "f64[2]");
}
