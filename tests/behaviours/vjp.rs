use axisgrad::{DType, Tensor, custom_vjp, grad, jvp, ops, vjp, vmap};

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
fn tangent_dtype() {
    refuses("a tangent must have the argument's dtype and dims", || {
        jvp(Tensor::clone).at(&x(), &x().cast(DType::F32))
    });
}

#[test]
fn tangent_shape() {
    refuses("a tangent must have the argument's dtype and dims", || jvp(Tensor::clone).at(&x(), &w()));
}

#[test]
fn not_tuples() {
    let (value, tangent) = jvp(Tensor::clone).at(&x(), &x());
    assert_eq!((value.to_vec::<f64>(), tangent.to_vec::<f64>()), (x().to_vec::<f64>(), x().to_vec::<f64>()));
}

#[test]
fn jvp_of_custom_vjp() {
    let forward = |x: &Tensor| (x.square(), x.clone());
    let backward = |x: &Tensor, ct: &Tensor| (ct * x * 2.0,);
    let (value, tangent) = jvp(custom_vjp(Tensor::square).defvjp(forward, backward)).at(&t(3.0), &t(1.0));
    assert_eq!((value.item::<f64>(), tangent.item::<f64>()), (9.0, 6.0));
}

#[test]
fn no_rule() {
    let f = |v: &Tensor| ops::pmax(v, "batch");
    let gradient = vmap(grad(f)).axis("batch").at(&x());
    assert_eq!(gradient.to_vec::<f64>(), [0.0, 1.0]);
}

#[test]
fn cotangent_of_a_constant() {
    refuses(KIND, || vjp(|_: &Tensor| t(1.0)).at(&t(1.0)).1.call(&x()));
    refuses("more leaves", || vjp(|x: &Tensor| vec![x.clone()]).at(&t(1.0)).1.call(&vec![t(1.0), t(2.0)]));
}
