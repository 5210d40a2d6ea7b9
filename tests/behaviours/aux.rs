use std::cell::RefCell;
use std::collections::BTreeMap;

use axisgrad::{Tensor, grad, value_and_grad};

use crate::probe::{refuses, same, t, x};

#[test]
fn ok() {
    let f = |a: &Tensor| (a.square(), (a * 3.0, "str", None::<Tensor>, ()));
    let (gradient, aux) = grad(f).has_aux().at(&t(3.0));
    assert_eq!((aux.1, aux.2.is_none()), ("str", true));
    same("aux", "ok", &(gradient, aux));
    let map = |a: &Tensor| (a.square(), BTreeMap::from([("k", a * 3.0)]));
    assert_eq!(grad(map).has_aux().at(&t(3.0)).1["k"].item::<f64>(), 9.0);
}

#[test]
fn value_with_aux() {
    same(
        "aux",
        "value_and_grad",
        &value_and_grad(|a: &Tensor| (a.square(), a.clone())).has_aux().at(&t(3.0)),
    );
}

#[test]
fn nonscalar_main() {
    refuses("the function must return a scalar, dims []", || {
        grad(|a: &Tensor| (a.clone(), a.clone())).has_aux().at(&x())
    });
}

#[test]
fn aux_still_differentiable() {
    let f = |a: &Tensor| {
        let inner = |b: &Tensor| (b * b * b, b * a);
        let (slope, aux) = grad(inner).has_aux().at(a);
        slope * aux
    };
    same("aux", "aux_still_differentiable", &grad(f).at(&t(3.0)));
}

#[test]
fn leak_after_grad() {
    let saved = RefCell::new(None);
    grad(|a: &Tensor| {
        *saved.borrow_mut() = Some(a.clone());
        a.square()
    })
    .at(&t(3.0));
    let leaked = saved.take().unwrap();
    refuses("saved inside a function under `grad` and used after it returned", || &leaked + 1.0);
}
