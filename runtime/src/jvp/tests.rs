use super::*;
use crate::check::check_grads;
use crate::ops::waves::{close, waves};
use crate::ops::{gather, pmax, psum, stack};
use crate::{A0, A1, A2, DType, hessian, vmap};

fn layer(w: &Tensor, x: &Tensor) -> Tensor {
    x.matmul(w).tanh() * x.sum(())
}

/// The tangent by differences.
fn moved(w: &Tensor, x: &Tensor, v: &Tensor) -> Tensor {
    let at = |t: f64| layer(&(w + &(v * t)), x);
    (at(1e-4) - at(-1e-4)) / 2e-4
}

#[test]
fn a_tangent_is_the_slope_along_it() {
    let (w, x, v) = (waves(&[3, 2], 0.1), waves(&[3], 0.5), waves(&[3, 2], 0.9));
    let (value, tangent) = jvp(layer).at((&w, &x), &v);
    close(&value, &layer(&w, &x));
    let slope = moved(&w, &x, &v);
    let pairs = tangent.to_vec::<f64>().into_iter().zip(slope.to_vec::<f64>());
    pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-7, "{a} and {b}"));
}

#[test]
fn trees_of_arguments_and_results() {
    let f = |(a, b): &(Tensor, Vec<Tensor>), c: &Tensor| vec![a * c, b[0].sin(), c.cast(DType::I32)];
    let (a, b, c) = (Tensor::from(2.0), Tensor::from([0.5, 1.5]), Tensor::from([3.0, 4.0]));
    let args = (a.clone(), vec![b.clone()]);
    let tangents = ((Tensor::from(1.0), vec![Tensor::from([1.0, -1.0])]), Tensor::from([10.0, 0.0]));
    let (_, moved) = jvp(f).argnums::<(A0, A1)>().at((&args, &c), &tangents);
    assert_eq!(moved[0].to_vec::<f64>(), [23.0, 4.0]);
    assert_eq!(moved[1].to_vec::<f64>(), [0.5f64.cos(), -(1.5f64.cos())]);
    assert_eq!(moved[2].dtype(), DType::Float0);
}

#[test]
fn one_run_serves_many_tangents() {
    let (w, x) = (waves(&[3, 2], 0.1), waves(&[3], 0.5));
    let (_, pushforward) = linearize(layer).at((&w, &x));
    let vs = waves(&[4, 3, 2], 0.2);
    let together = vmap(|v: &Tensor| pushforward.call(v)).at(&vs);
    let one = |i| jvp(layer).at((&w, &x), &vs.index(0, i)).1;
    close(&together, &stack(&[&one(0), &one(1), &one(2), &one(3)], 0));
}

#[test]
fn forward_and_backward_compose() {
    let (w, x, v) = (waves(&[3, 2], 0.1), waves(&[3], 0.5), waves(&[3, 2], 0.9));
    let along = |w: &Tensor, x: &Tensor, v: &Tensor| jvp(layer).at((w, x), v).1;
    check_grads(along, (&w, &x, &v), 2);
    let twice = jvp(|w: &Tensor| along(w, &x, &v)).at(&w, &v).1;
    let slope = (along(&(&w + &(&v * 1e-5)), &x, &v) - along(&(&w - &(&v * 1e-5)), &x, &v)) / 2e-5;
    let pairs = twice.to_vec::<f64>().into_iter().zip(slope.to_vec::<f64>());
    pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{a} and {b}"));
}

#[test]
fn under_vmap() {
    let (w, xs, v) = (waves(&[3, 2], 0.1), waves(&[4, 3], 0.5), waves(&[4, 3, 2], 0.9));
    let one = |x: &Tensor, v: &Tensor| jvp(layer).at((&w, x), v).1;
    let each = vmap(one).at((&xs, &v));
    let rows: Vec<Tensor> = (0..4).map(|i| one(&xs.index(0, i), &v.index(0, i))).collect();
    close(&each, &stack(&rows.iter().collect::<Vec<_>>(), 0));
}

#[test]
fn collectives_push_tangents_too() {
    let (w, xs) = (waves(&[3], 0.1), waves(&[5, 3], 0.5));
    let x = xs.unstack("batch", 0);
    let loss = |w: &Tensor, x: &Tensor| {
        let y = x.dot(w);
        y.sin() / psum(&y.exp(), "batch") + pmax(&y, "batch")
    };
    let positional = |w: &Tensor, xs: &Tensor| {
        let y = xs.dot(w);
        y.sin() / y.exp().sum(()) + y.max(())
    };
    let v = waves(&[3], 0.7);
    let (_, named) = jvp(loss).at((&w, &x), &v);
    close(&gather(&named, "batch"), &jvp(positional).at((&w, &xs), &v).1);
    let moved = jvp(loss).argnums::<(A0, A1)>().at((&w, &x), &(v.clone(), x.cos())).1;
    let expected = jvp(positional).argnums::<(A0, A1)>().at((&w, &xs), &(v, xs.cos())).1;
    close(&gather(&moved, "batch"), &expected);
}

/// A tangent for each position moves a copy of the argument for each position.
#[test]
fn tangents_that_vary() {
    let (w, xs, vs) = (waves(&[3], 0.1), waves(&[5, 3], 0.5), waves(&[5, 3], 0.2));
    let (x, v) = (xs.unstack("batch", 0), vs.unstack("batch", 0));
    let loss = |w: &Tensor, x: &Tensor| psum(&x.dot(w).sin(), "batch");
    let moved = jvp(loss).at((&w, &x), &v).1;
    let copies = |ws: &Tensor| (&xs * ws).sum(1).sin().sum(());
    let expected = jvp(copies).at(&w.broadcast_to(&[5, 3]), &vs).1;
    close(&moved, &expected);
}

#[test]
fn the_gradient_of_a_tangent_is_per_example_or_total() {
    let (w, xs, v) = (waves(&[3], 0.1), waves(&[5, 3], 0.5), waves(&[3], 0.7));
    let x = xs.unstack("batch", 0);
    let slope = |w: &Tensor, x: &Tensor| jvp(|w: &Tensor| x.dot(w).sin()).at(w, &v).1;
    let rows: Vec<Tensor> = (0..5).map(|i| crate::grad(slope).at((&w, &xs.index(0, i)))).collect();
    let rows = stack(&rows.iter().collect::<Vec<_>>(), 0);
    close(&gather(&crate::grad(slope).at((&w, &x)), "batch"), &rows);
    close(&crate::grad(slope).reduce_axes(["batch"]).at((&w, &x)), &rows.sum(0));
}

/// The slope goes on through more ops on the weight than the one that meets the data.
#[test]
fn the_gradient_of_a_tangent_through_several_ops() {
    let (w, xs, v) = (waves(&[3], 0.1), waves(&[5, 3], 0.5), waves(&[3], 0.7));
    let x = xs.unstack("batch", 0);
    let slope =
        |w: &Tensor, x: &Tensor| jvp(|w: &Tensor, x: &Tensor| x.dot(&w.tanh()).sin()).at((w, x), &v).1;
    let rows: Vec<Tensor> = (0..5).map(|i| crate::grad(slope).at((&w, &xs.index(0, i)))).collect();
    let rows = stack(&rows.iter().collect::<Vec<_>>(), 0);
    close(&gather(&crate::grad(slope).at((&w, &x)), "batch"), &rows);
    close(&crate::grad(slope).reduce_axes(["batch"]).at((&w, &x)), &rows.sum(0));
}

#[test]
fn products_with_the_hessian() {
    let f = |w: &Tensor, x: &Tensor| layer(w, x).sin().sum(());
    let (w, xs, v) = (waves(&[3, 2], 0.1), waves(&[5, 3], 0.5), waves(&[3, 2], 0.9));
    let whole = |x: &Tensor| hessian(f).at((&w, x)).reshape([6, 6]).dot(&v.flatten()).reshape([3, 2]);
    close(&hvp(f).at((&w, &xs.index(0, 0)), &v), &whole(&xs.index(0, 0)));
    let rows: Vec<Tensor> = (0..5).map(|i| whole(&xs.index(0, i))).collect();
    let rows = stack(&rows.iter().collect::<Vec<_>>(), 0);
    let x = xs.unstack("batch", 0);
    close(&gather(&hvp(f).at((&w, &x), &v), "batch"), &rows);
    close(&hvp(f).reduce_axes(["batch"]).at((&w, &x), &v), &rows.sum(0));
}

#[test]
fn transposes_of_linear_functions() {
    let (a, x) = (waves(&[2, 3], 0.1), waves(&[3], 0.4));
    let f = |a: &Tensor, x: &Tensor| a.dot(x) * 2.0;
    let ct = waves(&[2], 0.2);
    let by_x = linear_transpose(f).argnums::<A1>().at((&a, &x)).call(&ct);
    close(&by_x, &(ct.dot(&a) * 2.0));
    let xs = waves(&[5, 3], 0.3).unstack("batch", 0);
    let total = |x: &Tensor| psum(&(x * &xs), "batch");
    let back = linear_transpose(total).reduce_axes(["batch"]).at(&x).call(&x);
    close(&back, &(psum(&xs, "batch") * &x));
    let three = |a: &Tensor, b: &Tensor, c: &Tensor| a + b * 2.0 + c.sum(()) * 0.0;
    let (da, db) = linear_transpose(three).argnums::<(A0, A1)>().at((&x, &x, &x.zeros_like())).call(&x);
    close(&(da * 2.0), &db);
    let _ = linear_transpose(three).argnums::<A2>();
}

#[test]
#[should_panic(expected = "linear_transpose: the function of zeros is not zero: it is not linear")]
fn affine_functions_have_no_transpose() {
    let _ = linear_transpose(|x: &Tensor| x + 1.0).at(&Tensor::from(0.0));
}

#[test]
#[should_panic(expected = "jvp: a tangent must have the argument's dtype and dims, and at `` it has not")]
fn tangents_have_the_arguments_type() {
    jvp(|x: &Tensor| x.sin()).at(&Tensor::from(1.0), &Tensor::from([1.0, 2.0]));
}

#[test]
#[should_panic(expected = "the tangent varies over `batch`, and the argument does not")]
fn linear_functions_do_not_vary_their_point() {
    let x = waves(&[5, 3], 0.5).unstack("batch", 0);
    let (_, pushforward) = linearize(|w: &Tensor| w.dot(&x).sin()).at(&waves(&[3], 0.1));
    pushforward.call(&x);
}
