use axisgrad::{Tensor, grad, vmap};

use crate::probe::{refuses, same, t, x};

fn square_if_positive(a: &Tensor) -> Tensor {
    if a.item::<f64>() > 0.0 { a.square() } else { -a }
}

#[test]
fn if_in_grad() {
    same("tracing", "if_in_grad", &grad(square_if_positive).at(&t(3.0)));
}

#[test]
fn if_in_vmap() {
    refuses("workers that read different values fall out of step", || {
        vmap(grad(square_if_positive)).at(&x())
    });
}

#[test]
fn float_of_traced() {
    let f = |a: &Tensor| a * a.item::<f64>();
    assert_eq!(grad(f).at(&t(3.0)).item::<f64>(), 3.0);
}

#[test]
fn numpy_function() {
    let f = |a: &Tensor| Tensor::from(a.to_array().item::<f64>().sin());
    assert_eq!(grad(f).at(&t(3.0)).item::<f64>(), 0.0);
}

#[test]
fn while_reverse() {
    let f = |a: &Tensor| {
        let mut c = a.clone();
        while c.item::<f64>() < 10.0 {
            c = c * a;
        }
        c
    };
    assert_eq!(grad(f).at(&t(3.0)).item::<f64>(), 27.0);
}

#[test]
fn fori_static() {
    same("tracing", "fori_static", &grad(|a: &Tensor| (0..3).fold(a.clone(), |c, _| c * a)).at(&t(3.0)));
}
