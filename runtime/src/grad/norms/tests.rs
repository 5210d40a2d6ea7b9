use super::*;
use crate::check::check_grads;
use crate::ops::waves::{close, waves};
use crate::ops::{cross_entropy, gather, psum};
use crate::{A0, A1, Array, grad};

fn ids(dims: &[usize], below: i32) -> Tensor {
    let n: usize = dims.iter().product();
    Array::from_vec::<i32>((0..n as i32).map(|i| (i * 7 + i / 3) % below).collect(), dims).into()
}

/// The norms of the gradients themselves.
fn naive<G: Tree>(gradients: &G) -> G {
    gradients.map_leaves(|g| (g * g).sum(()).sqrt())
}

fn compare<G: Tree>(norms: &G, gradients: &G) {
    norms.zip_leaves(&naive(gradients), |path, a, b| {
        assert_eq!(a.ty(), b.ty(), "{path}");
        close(&gather(a, "batch"), &gather(b, "batch"));
        a.clone()
    });
}

type Mlp = (Tensor, Tensor, Tensor, Tensor);

fn mlp() -> Mlp {
    (waves(&[6, 8], 0.1), waves(&[8], 0.2), waves(&[8, 4], 0.3), waves(&[4], 0.4))
}

fn loss((w, b, v, c): &Mlp, x: &Tensor, label: &Tensor) -> Tensor {
    cross_entropy(&((x.matmul(w) + b).tanh().matmul(v) + c), label).sum(())
}

#[test]
fn norms_of_a_network_with_one_row_or_several() {
    for rows in [&[][..], &[2], &[3]] {
        let x = waves(&[&[5], rows, &[6]].concat(), 0.5).unstack("batch", 0);
        let label = ids(&[&[5], rows].concat(), 4).unstack("batch", 0);
        compare(&grad_norms(loss).at((&mlp(), &x, &label)), &grad(loss).at((&mlp(), &x, &label)));
    }
}

#[test]
fn tables_and_shared_weights() {
    let loss = |table: &Tensor, w: &Tensor, ids: &Tensor| {
        let rows = table.take(ids, 0);
        rows.matmul(w).sin().matmul(w).sum(()) + rows.prod(-1).sum(())
    };
    let (table, w) = (waves(&[9, 3], 0.1), waves(&[3, 3], 0.2));
    let numbers = ids(&[5, 4], 9).unstack("batch", 0);
    let norms = grad_norms(loss).argnums::<(A0, A1)>().at((&table, &w, &numbers));
    compare(&norms, &grad(loss).argnums::<(A0, A1)>().at((&table, &w, &numbers)));
    let same = Tensor::from([[1, -8, 1], [2, 2, 2]]).unstack("batch", 0);
    compare(&grad_norms(loss).at((&table, &w, &same)), &grad(loss).at((&table, &w, &same)));
}

#[test]
fn stacks_of_products() {
    let loss = |w: &Tensor, x: &Tensor| crate::ops::einsum("bij,bkj->bik", [x, w]).sin().sum(());
    let (w, x) = (waves(&[2, 5, 4], 0.1), waves(&[3, 2, 2, 4], 0.2).unstack("batch", 0));
    compare(&grad_norms(loss).at((&w, &x)), &grad(loss).at((&w, &x)));
}

#[test]
fn what_is_not_used_has_no_gradient() {
    let loss = |(w, _): &(Tensor, Tensor), x: &Tensor| x.dot(w);
    let x = waves(&[3, 2], 0.2).unstack("batch", 0);
    let (_, unused) = grad_norms(loss).at((&(waves(&[2], 0.1), waves(&[4], 0.2)), &x));
    assert_eq!(unused.item::<f64>(), 0.0);
}

#[test]
fn norms_have_derivatives() {
    let (xs, labels) = (waves(&[3, 6], 0.5), ids(&[3], 4));
    let sum = |model: &Mlp| {
        let norms = grad_norms(loss).at((model, &xs.unstack("batch", 0), &labels.unstack("batch", 0)));
        psum(&global_norm(&norms), "batch")
    };
    check_grads(sum, &mlp(), 1);
}

/// The gradients themselves, clipped and summed.
fn naively_clipped<G: Tree>(each: &G, max_norm: f64) -> G {
    let factor = max_norm / global_norm(&naive(each)).maximum(max_norm);
    each.map_leaves(|g| psum(&(g * &factor), "batch"))
}

fn same<G: Tree>(sum: &G, expected: &G) {
    sum.zip_leaves(expected, |path, a, b| {
        assert_eq!(a.ty(), b.ty(), "{path}");
        close(a, b);
        a.clone()
    });
}

#[test]
fn clipped_gradients_are_the_sum_of_the_clipped_ones() {
    for rows in [&[][..], &[3]] {
        let x = waves(&[&[5], rows, &[6]].concat(), 0.5).unstack("batch", 0);
        let label = ids(&[&[5], rows].concat(), 4).unstack("batch", 0);
        let each = grad(loss).at((&mlp(), &x, &label));
        for max_norm in [0.01, 0.8, 100.0] {
            let sum = clipped_grad(loss, max_norm).reduce_axes(["batch"]).at((&mlp(), &x, &label));
            same(&sum, &naively_clipped(&each, max_norm));
        }
    }
}

#[test]
fn weights_used_twice_and_tables_are_clipped() {
    let loss = |table: &Tensor, w: &Tensor, ids: &Tensor| {
        table.take(ids, 0).matmul(w).sin().matmul(w).sum(()) + (w * w).sum(())
    };
    let (table, w) = (waves(&[9, 3], 0.1), waves(&[3, 3], 0.2));
    let numbers = ids(&[5, 4], 9).unstack("batch", 0);
    let each = grad(loss).argnums::<(A0, A1)>().at((&table, &w, &numbers));
    let clipped = clipped_grad(loss, 0.5).argnums::<(A0, A1)>().reduce_axes(["batch"]);
    same(&clipped.at((&table, &w, &numbers)), &naively_clipped(&each, 0.5));
}

#[test]
fn what_varies_itself_is_clipped_and_not_summed() {
    let loss = |w: &Tensor, x: &Tensor| (x.dot(w) * 3.0).sin();
    let (w, x) = (waves(&[2], 0.1), waves(&[3, 2], 0.2).unstack("batch", 0));
    let (dw, dx) = clipped_grad(loss, 0.1).argnums::<(A0, A1)>().reduce_axes(["batch"]).at((&w, &x));
    let each = grad(loss).argnums::<(A0, A1)>().at((&w, &x));
    let factor = 0.1 / global_norm(&naive(&each)).maximum(0.1);
    same(&dw, &psum(&(&each.0 * &factor), "batch"));
    same(&gather(&dx, "batch"), &gather(&(&each.1 * &factor), "batch"));
    let (dw, _) = clipped_grad(loss, 0.1).argnums::<(A0, A1)>().at((&w, &x));
    same(&gather(&dw, "batch"), &gather(&(&each.0 * &factor), "batch"));
}

#[test]
#[should_panic(expected = "nothing in the function varies over `batsh`")]
fn a_name_that_nothing_varies_over() {
    let x = waves(&[3, 2], 0.2).unstack("batch", 0);
    clipped_grad(|w: &Tensor, x: &Tensor| x.dot(w), 1.0).reduce_axes(["batsh"]).at((&waves(&[2], 0.1), &x));
}

#[test]
#[should_panic(expected = "clipped_grad: gradients are clipped to a positive norm, and it is 0")]
fn a_norm_to_clip_to_is_positive() {
    let x = waves(&[3, 2], 0.2).unstack("batch", 0);
    clipped_grad(|w: &Tensor, x: &Tensor| x.dot(w), 0.0).at((&waves(&[2], 0.1), &x));
}
