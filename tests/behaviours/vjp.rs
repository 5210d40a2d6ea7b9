use axisgrad::{DType, Tensor, grad, ops, vjp, vmap};

use crate::probe::{refuses, t, w, x};

const KIND: &str = "a cotangent must have the value's dtype and dims";

#[test]
fn cotangent_tree() {
    let (_, pullback) = vjp(|x: &Tensor| vec![x.clone(), x.clone()]).at(&t(1.0));
    refuses("cotangent", || pullback.call(&vec![t(2.0)]));
}

#[test]
fn cotangent_dtype() {
    refuses(KIND, || vjp(Tensor::clone).at(&t(1.0)).1.call(&t(2.0).cast(DType::F32)));
}

#[test]
fn cotangent_shape() {
    refuses(KIND, || vjp(Tensor::clone).at(&x()).1.call(&w()));
}

#[test]
fn no_rule() {
    let f = |v: &Tensor| ops::pmax(v, "batch");
    let gradient = vmap(grad(f)).axis("batch").at(&x());
    assert_eq!(gradient.to_vec::<f64>(), [0.0, 1.0]);
}
