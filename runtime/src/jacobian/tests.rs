use super::*;
use crate::check::check_grads;
use crate::grad;
use crate::ops::waves::{close, waves};
use crate::ops::{complex, gather, psum, stack};
use crate::{A0, A1};

fn layer(w: &Tensor, x: &Tensor) -> Tensor {
    x.matmul(w).tanh() * x.sum(())
}

/// One row after another, each by a gradient.
fn naive(f: impl Fn(&Tensor) -> Tensor, x: &Tensor) -> Tensor {
    let value = f(x);
    let rows = (0..value.len()).map(|i| grad(|x: &Tensor| f(x).flatten().index(0, i as isize)).at(x));
    let rows: Vec<Tensor> = rows.collect();
    stack(&rows.iter().collect::<Vec<_>>(), 0).reshape([value.dims(), x.dims()].concat())
}

#[test]
fn rows_are_gradients() {
    let (w, x) = (waves(&[3, 2], 0.1), waves(&[3], 0.5));
    let expected = naive(|w| layer(w, &x), &w);
    assert_eq!(expected.dims(), [2, 3, 2]);
    close(&jacrev(layer).at((&w, &x)), &expected);
    close(&jacfwd(layer).at((&w, &x)), &expected);
}

#[test]
fn trees_by_trees() {
    let f = |w: &(Tensor, Tensor), x: &Tensor| (layer(&w.0, x), vec![w.1.sin() * x.sum(())]);
    let (w, x) = ((waves(&[3, 2], 0.1), waves(&[2], 0.2)), waves(&[3], 0.5));
    let ((by_w, by_x), rest) = jacrev(f).argnums::<(A0, A1)>().at((&w, &x));
    close(&by_w.0, &naive(|w| layer(w, &x), &w.0));
    assert_eq!(by_w.1.dims(), [2, 2]);
    close(&by_x, &naive(|x| layer(&w.0, x), &x));
    let ((forward, _), forward_rest) = jacfwd(f).argnums::<(A0, A1)>().at((&w, &x));
    close(&forward.0, &by_w.0);
    close(&forward_rest[0].0.1, &rest[0].0.1);
    close(&forward_rest[0].1, &naive(|x| w.1.sin() * x.sum(()), &x));
}

#[test]
fn hessians_of_vectors_have_the_dims_of_the_result_first() {
    let x = Tensor::from([1.0, 2.0, 3.0]);
    let f = |x: &Tensor| x.square() * x.sum(());
    let all = hessian(f).at(&x);
    assert_eq!(all.dims(), [3, 3, 3]);
    for i in 0..3 {
        close(&all.index(0, i), &hessian(|x: &Tensor| f(x).index(0, i)).at(&x));
    }
}

#[test]
fn hessians_are_jacobians_of_gradients() {
    let f = |w: &(Tensor, Tensor), x: &Tensor| (layer(&w.0, x) * &w.1).sin().sum(());
    let (w, x) = ((waves(&[3, 2], 0.1), waves(&[2], 0.2)), waves(&[3], 0.5));
    let (row, other) = hessian(f).at((&w, &x));
    close(&row.0, &naive(|w0| grad(f).at((&(w0.clone(), w.1.clone()), &x)).0, &w.0));
    close(&row.1, &naive(|w1| grad(f).at((&(w.0.clone(), w1.clone()), &x)).0, &w.1));
    close(&other.0, &row.1.permute([2, 0, 1]));
    let by_both = jacrev(grad(f)).at((&w, &x));
    close(&by_both.0.1, &row.1);
}

#[test]
fn they_have_derivatives_and_can_be_mapped() {
    let (w, xs) = (waves(&[3, 2], 0.1), waves(&[4, 3], 0.5));
    check_grads(|w: &Tensor| jacrev(layer).at((w, &xs.index(0, 0))), &w, 2);
    check_grads(|w: &Tensor| jacfwd(layer).at((w, &xs.index(0, 0))), &w, 1);
    let rows: Vec<Tensor> = (0..4).map(|i| naive(|w| layer(w, &xs.index(0, i)), &w)).collect();
    let rows = stack(&rows.iter().collect::<Vec<_>>(), 0);
    close(&vmap(jacrev(layer)).in_axes((None, 0)).at((&w, &xs)), &rows);
    close(&vmap(jacfwd(layer)).in_axes((None, 0)).at((&w, &xs)), &rows);
}

#[test]
fn per_example_and_total() {
    let (w, xs) = (waves(&[3, 2], 0.1), waves(&[4, 3], 0.5));
    let x = xs.unstack("batch", 0);
    let rows: Vec<Tensor> = (0..4).map(|i| naive(|w| layer(w, &xs.index(0, i)), &w)).collect();
    let rows = stack(&rows.iter().collect::<Vec<_>>(), 0);
    close(&gather(&jacrev(layer).at((&w, &x)), "batch"), &rows);
    close(&gather(&jacfwd(layer).at((&w, &x)), "batch"), &rows);
    close(&jacrev(layer).reduce_axes(["batch"]).at((&w, &x)), &rows.sum(0));
    let scalar = |w: &Tensor, x: &Tensor| layer(w, x).sin().sum(());
    let each: Vec<Tensor> = (0..4).map(|i| hessian(scalar).at((&w, &xs.index(0, i)))).collect();
    let each = stack(&each.iter().collect::<Vec<_>>(), 0);
    close(&gather(&hessian(scalar).at((&w, &x)), "batch"), &each);
    close(&hessian(scalar).reduce_axes(["batch"]).at((&w, &x)), &each.sum(0));
}

#[test]
fn the_total_hessian_through_a_collective() {
    let (w, xs) = (waves(&[3], 0.1), waves(&[4, 3], 0.5));
    let named = |w: &Tensor, x: &Tensor| psum(&x.dot(w).exp(), "batch").log();
    let positional = |w: &Tensor| xs.dot(w).exp().sum(()).log();
    let total = hessian(named).reduce_axes(["batch"]).at((&w, &xs.unstack("batch", 0)));
    close(&total, &hessian(positional).at(&w));
}

#[test]
fn holomorphic_functions() {
    let z = complex(Tensor::from([0.5, -1.0]), Tensor::from([1.5, 0.25]));
    let f = |z: &Tensor| z * z * z.sum(());
    let back = jacrev(f).holomorphic().at(&z);
    let forth = jacfwd(f).holomorphic().at(&z);
    close(&back.real(), &forth.real());
    close(&back.imag(), &forth.imag());
    let by_first = (&z * 2.0 * z.sum(()) + &z * &z).index(0, 0);
    close(&back.index(0, 0).index(0, 0).imag(), &by_first.imag());
    let second = hessian(|z: &Tensor| (z * z * z).sum(())).holomorphic().at(&z);
    close(&second.index(0, 0).index(0, 0).imag(), &(z.index(0, 0).imag() * 6.0));
}

#[test]
#[should_panic(expected = "jacrev: the result must be real, and it is c128")]
fn complex_results_are_holomorphic() {
    let z = complex(Tensor::from(0.5), Tensor::from(1.5));
    jacrev(|z: &Tensor| z * z).at(&z);
}

#[test]
#[should_panic(expected = "jacfwd: an input must be float or complex, and it is i32")]
fn integers_do_not_move() {
    jacfwd(|x: &Tensor| x * x).at(&Tensor::from(1i32));
}
