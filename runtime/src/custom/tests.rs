use super::*;
use crate::check::{check_grads, check_lanes};
use crate::ops::waves::{close, waves};
use crate::ops::{axis_size, gather, psum};
use crate::{A0, A1, DType, grad, hessian, hvp, jacfwd, jacrev, jvp, vmap};

fn plain(w: &Tensor, x: &Tensor) -> Tensor {
    x.dot(w).sin() * x.sum(())
}

/// [`plain`], with its derivatives written out.
fn by_vjp(w: &Tensor, x: &Tensor) -> Tensor {
    let forward = |w: &Tensor, x: &Tensor| {
        let y = x.dot(w);
        (y.sin() * x.sum(()), (w.clone(), x.clone(), y))
    };
    let backward = |(w, x, y): &(Tensor, Tensor, Tensor), ct: &Tensor| {
        let (slope, sum) = (ct * y.cos() * x.sum(()), ct * y.sin());
        (crate::ops::outer(x, &slope), w.dot(&slope) + sum.sum(()))
    };
    custom_vjp(plain).defvjp(forward, backward).at((w, x))
}

fn by_jvp(w: &Tensor, x: &Tensor) -> Tensor {
    let rule = |(w, x): &(Tensor, Tensor), (dw, dx): &(Tensor, Tensor)| {
        let y = x.dot(w);
        let slope = y.cos() * (dx.dot(w) + x.dot(dw));
        (y.sin() * x.sum(()), slope * x.sum(()) + y.sin() * dx.sum(()))
    };
    custom_jvp(plain).defjvp(rule).at((w, x))
}

const ALL: [fn(&Tensor, &Tensor) -> Tensor; 2] = [by_vjp, by_jvp];

#[test]
fn a_right_rule_changes_nothing() {
    let (w, x, v) = (waves(&[3, 2], 0.1), waves(&[3], 0.5), waves(&[3, 2], 0.9));
    for f in ALL {
        close(&f(&w, &x), &plain(&w, &x));
        check_grads(f, (&w, &x), 3);
        check_lanes(f, (&waves(&[4, 3, 2], 0.1), &waves(&[4, 3], 0.2)));
        close(&jvp(f).at((&w, &x), &v).1, &jvp(plain).at((&w, &x), &v).1);
        close(&jacrev(f).at((&w, &x)), &jacrev(plain).at((&w, &x)));
        close(&jacfwd(f).argnums::<A1>().at((&w, &x)), &jacfwd(plain).argnums::<A1>().at((&w, &x)));
        let total = |f: fn(&Tensor, &Tensor) -> Tensor| move |w: &Tensor, x: &Tensor| f(w, x).exp().sum(());
        close(&hessian(total(f)).at((&w, &x)), &hessian(total(plain)).at((&w, &x)));
        close(&hvp(total(f)).at((&w, &x), &v), &hvp(total(plain)).at((&w, &x), &v));
    }
}

#[test]
fn named_axes_are_as_without_the_rule() {
    let (w, xs) = (waves(&[3, 2], 0.1), waves(&[5, 3], 0.5));
    let x = xs.unstack("batch", 0);
    for f in ALL {
        let loss = |f: fn(&Tensor, &Tensor) -> Tensor| {
            move |w: &Tensor, x: &Tensor| f(&w.tanh(), x).exp().sum(()) + psum(&f(w, x), "batch").sum(())
        };
        let (ours, expected) = (grad(loss(f)), grad(loss(plain)));
        close(&gather(&ours.at((&w, &x)), "batch"), &gather(&expected.at((&w, &x)), "batch"));
        let (ours, expected) = (ours.reduce_axes(["batch"]), expected.reduce_axes(["batch"]));
        close(&ours.at((&w, &x)), &expected.at((&w, &x)));
        let twice = |loss| hvp(loss).reduce_axes(["batch"]).at((&w, &x), &w);
        close(&twice(loss(f)), &hvp(loss(plain)).reduce_axes(["batch"]).at((&w, &x), &w));
        let each = vmap(grad(|w: &Tensor, x: &Tensor| f(w, x).sum(()))).in_axes((None, 0)).at((&w, &xs));
        close(
            &each,
            &vmap(grad(|w: &Tensor, x: &Tensor| plain(w, x).sum(()))).in_axes((None, 0)).at((&w, &xs)),
        );
    }
}

/// A mean over the axis whose backward is the whole cotangent: the rule counts, and not the derivative.
#[test]
fn rules_with_collectives() {
    let mean = || {
        custom_vjp(|x: &Tensor| psum(x, "batch") / axis_size(x, "batch") as f64).defvjp(
            |x: &Tensor| (psum(x, "batch") / axis_size(x, "batch") as f64, ()),
            |(): &(), ct: &Tensor| (ct.clone(),),
        )
    };
    let (w, xs) = (waves(&[3], 0.1), waves(&[5, 3], 0.5));
    let x = xs.unstack("batch", 0);
    let loss = |w: &Tensor, x: &Tensor| mean().at(&(x.dot(w))).sin();
    let slope = xs.dot(&w).mean(()).cos();
    let total = grad(loss).argnums::<(A0, A1)>().reduce_axes(["batch"]).at((&w, &x));
    close(&total.0, &(xs.sum(0) * &slope));
    close(&gather(&total.1, "batch"), &(w.broadcast_to(&[5, 3]) * &slope));
    close(&gather(&grad(loss).at((&w, &x)), "batch"), &(&xs * &slope));
}

#[test]
fn a_wrong_rule_counts_and_goes_through_all_transforms() {
    let tripled = || {
        custom_vjp(Tensor::sin)
            .defvjp(|x: &Tensor| (x.sin(), x.clone()), |x: &Tensor, ct: &Tensor| (ct * x.cos() * 3.0,))
    };
    let x = Tensor::from(0.5);
    let f = |x: &Tensor| tripled().at(x);
    close(&grad(f).at(&x), &(x.cos() * 3.0));
    close(&grad(grad(f)).at(&x), &(x.sin() * -3.0));
    close(&jvp(f).at(&x, &Tensor::from(1.0)).1, &(x.cos() * 3.0));
    close(&vmap(grad(f)).at(&waves(&[4], 0.0)), &(waves(&[4], 0.0).cos() * 3.0));
    let clipped = custom_jvp(Tensor::exp)
        .defjvp(|(x,): &(Tensor,), (dx,): &(Tensor,)| (x.exp(), x.exp().minimum(1.0) * dx));
    close(&grad(clipped.clone()).at(&Tensor::from(2.0)), &Tensor::from(1.0));
    close(&grad(clipped).at(&Tensor::from(-2.0)), &Tensor::from((-2.0f64).exp()));
}

#[test]
fn trees_and_integers() {
    type Pair = (Tensor, Vec<Tensor>);
    let f = custom_vjp(|p: &Pair, n: &Tensor| (&p.0 * &p.1[0], n.clone())).defvjp(
        |p: &Pair, n: &Tensor| ((&p.0 * &p.1[0], n.clone()), p.clone()),
        |p: &Pair, ct: &(Tensor, Tensor)| {
            let back = (&ct.0 * &p.1[0], vec![&ct.0 * &p.0, p.1[1].zeros_like()]);
            (back, Tensor::from(0i32))
        },
    );
    let pair = (Tensor::from([1.0, 2.0]), vec![Tensor::from([3.0, 4.0]), Tensor::from(5.0)]);
    let loss = |p: &Pair| {
        let (y, n) = f.at((p, &Tensor::from(7i32)));
        assert_eq!((n.dtype(), n.item::<i32>()), (DType::I32, 7));
        y.sum(())
    };
    let (a, b) = grad(loss).at(&pair);
    assert_eq!(a.to_vec::<f64>(), [3.0, 4.0]);
    assert_eq!(b[0].to_vec::<f64>(), [1.0, 2.0]);
    assert_eq!(b[1].item::<f64>(), 0.0);
}

#[test]
#[should_panic(
    expected = "custom_vjp: the function uses a value to differentiate by that is not one of its arguments"
)]
fn values_of_the_tape_are_arguments() {
    grad(|w: &Tensor| {
        let w = w.clone();
        let scaled = w.clone();
        let forward = move |x: &Tensor| (x * &scaled, scaled.clone());
        let unused = |_: &Tensor| -> Tensor { unreachable!("the rule runs") };
        custom_vjp(unused).defvjp(forward, |s: &Tensor, ct: &Tensor| (ct * s,)).at(&w)
    })
    .at(&Tensor::from(2.0));
}

#[test]
#[should_panic(expected = "custom_vjp: a cotangent must have the dtype and dims of what it belongs to")]
fn rules_return_cotangents_of_the_arguments() {
    let f = custom_vjp(|x: &Tensor| x.sum(()))
        .defvjp(|x: &Tensor| (x.sum(()), ()), |(): &(), ct: &Tensor| (ct.clone(),));
    grad(f).at(&Tensor::from([1.0, 2.0]));
}
