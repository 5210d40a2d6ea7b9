use axisgrad::{A0, A1, grad};

use crate::probe::{f2, refuses, same, x, y};

#[test]
fn negative() {
    same("argnums", "negative", &grad(f2).argnum::<1>().at((&x(), &y())));
}

#[test]
fn negative_tuple() {
    same("argnums", "negative_tuple", &grad(f2).argnums::<(A1, A0)>().at((&x(), &y())));
}

#[test]
fn duplicate() {
    refuses("argument 0 is in argnums twice", || grad(f2).argnums::<(A0, A0)>().at((&x(), &y())));
}

#[test]
fn singleton_tuple() {
    let (gradient,) = grad(f2).argnums::<(A0,)>().at((&x(), &y()));
    same("argnums", "singleton_tuple", &gradient);
}

#[test]
fn list() {
    let (gradient,) = grad(f2).argnums::<(A1,)>().at((&x(), &y()));
    same("argnums", "list", &gradient);
}

#[test]
fn range() {
    same("argnums", "range", &grad(f2).argnums::<(A0, A1)>().at((&x(), &y())));
}
