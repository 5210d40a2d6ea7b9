use std::cell::Cell;

use super::*;
use crate::check::{check_grads, check_lanes, same_bits};
use crate::ops::waves::{close, waves};
use crate::ops::{gather, pmean, psum};
use crate::{A0, A1, grad, hessian, hvp, jacfwd, jvp, vmap};

fn same(a: &Tensor, b: &Tensor) {
    assert_eq!(a.ty(), b.ty());
    assert!(same_bits(&a.to_array(), &b.to_array()), "{a} and {b}");
}

fn block(w: &Tensor, x: &Tensor) -> Tensor {
    (x.matmul(w).tanh() + x) * w.sum(())
}

fn twice(f: impl Fn(&Tensor, &Tensor) -> Tensor) -> impl Fn(&Tensor, &Tensor) -> Tensor {
    move |w, x| f(w, &f(&w.sin(), x)).sum(())
}

fn plain(w: &Tensor, x: &Tensor) -> Tensor {
    twice(block)(w, x)
}

fn light(w: &Tensor, x: &Tensor) -> Tensor {
    twice(|w, x| checkpoint(block).at((w, x)))(w, x)
}

#[test]
fn values_and_derivatives_of_every_order() {
    let (w, x, v) = (waves(&[3, 3], 0.1), waves(&[3], 0.5), waves(&[3, 3], 0.9));
    same(&light(&w, &x), &plain(&w, &x));
    let both = |f: fn(&Tensor, &Tensor) -> Tensor| grad(f).argnums::<(A0, A1)>().at((&w, &x));
    close(&both(light).0, &both(plain).0);
    close(&both(light).1, &both(plain).1);
    check_grads(light, (&w, &x), 3);
    check_lanes(light, (&waves(&[4, 3, 3], 0.1), &waves(&[4, 3], 0.2)));
    close(&jvp(light).at((&w, &x), &v).1, &jvp(plain).at((&w, &x), &v).1);
    close(&jacfwd(light).at((&w, &x)), &jacfwd(plain).at((&w, &x)));
    close(&hessian(light).at((&w, &x)), &hessian(plain).at((&w, &x)));
    let each =
        |f: fn(&Tensor, &Tensor) -> Tensor| vmap(grad(f)).in_axes((None, 0)).at((&w, &waves(&[4, 3], 0.2)));
    close(&each(light), &each(plain));
}

#[test]
fn per_example_and_total() {
    let (w, xs) = (waves(&[3, 3], 0.1), waves(&[5, 3], 0.5));
    let x = xs.unstack("batch", 0);
    // A term that no example touches, and one that all share.
    let loss = |f: fn(&Tensor, &Tensor) -> Tensor| {
        move |w: &Tensor, x: &Tensor| f(w, x) + psum(&x.dot(w).sin(), "batch").sum(()) * w.sum(())
    };
    let inside = checkpoint(loss(plain));
    let whole = |w: &Tensor, x: &Tensor| inside.at((w, x));
    let expected = grad(loss(plain));
    close(&gather(&grad(whole).at((&w, &x)), "batch"), &gather(&expected.at((&w, &x)), "batch"));
    close(&gather(&grad(loss(light)).at((&w, &x)), "batch"), &gather(&expected.at((&w, &x)), "batch"));
    let total = expected.reduce_axes(["batch"]).at((&w, &x));
    close(&grad(whole).reduce_axes(["batch"]).at((&w, &x)), &total);
    close(&grad(loss(light)).reduce_axes(["batch"]).at((&w, &x)), &total);
    let second = |direction: &Tensor| hvp(loss(plain)).reduce_axes(["batch"]).at((&w, &x), direction);
    close(&hvp(whole).reduce_axes(["batch"]).at((&w, &x), &w), &second(&w));
    let nested = checkpoint(move |w: &Tensor, x: &Tensor| {
        grad(loss(light)).reduce_axes(["batch"]).at((w, x)).sin().sum(())
    });
    let unnested = |w: &Tensor, x: &Tensor| grad(loss(plain)).reduce_axes(["batch"]).at((w, x)).sin().sum(());
    let outer = grad(unnested).reduce_axes(["batch"]).at((&w, &x));
    close(&grad(nested).reduce_axes(["batch"]).at((&w, &x)), &outer);
}

/// What a function settles, or leaves as one value, it settles inside a checkpoint too.
#[test]
fn what_is_one_value_stays_one() {
    let loss = |w: &Tensor, x: &Tensor| (w * w).sum(()) + pmean(&x.dot(w).sin(), "batch");
    let parts = |w: &Tensor, x: &Tensor| {
        let square = checkpoint(|w: &Tensor| (w * w).sum(()));
        let mean = checkpoint(|w: &Tensor, x: &Tensor| pmean(&x.dot(w).sin(), "batch"));
        square.at(w) + mean.at((w, x))
    };
    let (w, x) = (waves(&[3], 0.1), waves(&[5, 3], 0.5).unstack("batch", 0));
    assert_eq!(grad(parts).at((&w, &x)).ty(), grad(loss).at((&w, &x)).ty());
    close(&gather(&grad(parts).at((&w, &x)), "batch"), &gather(&grad(loss).at((&w, &x)), "batch"));
    close(&grad(parts).reduce_axes(["batch"]).at((&w, &x)), &grad(loss).reduce_axes(["batch"]).at((&w, &x)));
    let other = waves(&[5, 3], 0.7).unstack("batch", 0);
    let held = checkpoint(move |w: &Tensor| psum(&w.dot(&other).sin(), "batch"));
    let total = grad(held).reduce_axes(["batch"]).at(&w);
    let by_hand = grad(|w: &Tensor| waves(&[5, 3], 0.7).dot(w).sin().sum(())).at(&w);
    close(&total, &by_hand);
}

#[test]
fn it_runs_once_forward_and_once_more_backward() {
    let runs = Rc::new(Cell::new(0));
    let counted = {
        let runs = runs.clone();
        checkpoint(move |x: &Tensor| {
            runs.set(runs.get() + 1);
            x.sin()
        })
    };
    counted.at(&Tensor::from(0.5));
    assert_eq!(runs.get(), 1);
    grad(|x: &Tensor| counted.at(x)).at(&Tensor::from(0.5));
    assert_eq!(runs.get(), 3);
}

#[test]
fn trees_and_integers() {
    let f = checkpoint(|(a, b): &(Tensor, Vec<Tensor>), n: &Tensor| (a * &b[0], n + 1, b[1].clone()));
    let tree = (Tensor::from(3.0), vec![Tensor::from(4.0), Tensor::from(5.0)]);
    let loss = |tree: &(Tensor, Vec<Tensor>)| {
        let (product, n, same) = f.at((tree, &Tensor::from(1i32)));
        assert_eq!(n.item::<i32>(), 2);
        product * same
    };
    let (a, b) = grad(loss).at(&tree);
    assert_eq!((a.item::<f64>(), b[0].item::<f64>(), b[1].item::<f64>()), (20.0, 15.0, 12.0));
}

#[test]
#[should_panic(
    expected = "checkpoint: the function uses a value to differentiate by that is not one of its arguments"
)]
fn values_of_the_tape_are_arguments() {
    grad(|w: &Tensor| {
        let held = w.clone();
        checkpoint(move |x: &Tensor| x * &held).at(w)
    })
    .at(&Tensor::from(2.0));
}
