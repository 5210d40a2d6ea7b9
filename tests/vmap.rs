//! The law inside `vmap`: collectives over a mapped axis are sums, rolls and transposes of a dim, for every placement of
//! the other axes, forward and backward.

use axisgrad::ops::{all_gather, all_to_all, pmax, ppermute, psum, psum_scatter};
use axisgrad::prelude::*;
use axisgrad_tests::placement::{Case, check_all};

fn numbers(seed: i64, dims: &[usize]) -> Tensor {
    axisgrad::random::normal(Key::new(seed), DType::F64, dims)
}

fn args(n: usize) -> Vec<Tensor> {
    vec![numbers(1, &[3, 3]), numbers(2, &[n, 3, 3])]
}

/// One head of three, each with three elements.
fn head(w: &Tensor, x: &Tensor) -> Tensor {
    let h = (w * x).sin();
    let (all, next) = (psum(&h, "head"), ppermute(&h, "head", &[(0, 1), (1, 2), (2, 0)]));
    let (rows, columns) = (all_gather(&h, "head", 0).reshape([3, 3]), all_to_all(&h, "head", 0, 0));
    let part = psum_scatter(&h, "head", 0);
    all * next + rows.sum(0) * columns + part + pmax(&h, "head")
}

fn mapped(w: &Tensor, x: &Tensor) -> Tensor {
    vmap(head).axis("head").at((w, x)).sin().sum(())
}

/// The same with the heads as a dim.
fn written_out(w: &Tensor, x: &Tensor) -> Tensor {
    let h = (w * x).sin();
    let (all, next) = (h.sum(0), h.roll(1, 0));
    let rest = &all * h.t() + all.expand_dims(1) + h.max(0);
    (all * next + rest).sin().sum(())
}

fn rows(x: &Tensor) -> impl Iterator<Item = Tensor> + '_ {
    (0..x.dims()[0]).map(|i| Tensor::from(x.to_array().index(0, i)))
}

fn stacked(rows: impl Iterator<Item = Tensor>) -> Tensor {
    let rows: Vec<Tensor> = rows.collect();
    stack(&rows.iter().collect::<Vec<_>>(), 0)
}

#[test]
fn values_and_gradients() {
    check_all(&Case {
        name: "collectives in vmap",
        sizes: &[1, 3, 33],
        args,
        mesh: |w, a| {
            let x = w.unstack(&a[1], "batch");
            let each = value_and_grad(mapped).argnums::<(A0, A1)>().at((&a[0], &x));
            let total = grad(mapped).reduce_axes(["batch"]).at((&a[0], &x));
            vec![gather(&each.0, "batch"), gather(&each.1.0, "batch"), gather(&each.1.1, "batch"), total]
        },
        positional: |a| {
            let slope = |x: &Tensor| grad(written_out).argnums::<(A0, A1)>().at((&a[0], x));
            let by_weight = stacked(rows(&a[1]).map(|x| slope(&x).0));
            vec![
                stacked(rows(&a[1]).map(|x| written_out(&a[0], &x))),
                by_weight.clone(),
                stacked(rows(&a[1]).map(|x| slope(&x).1)),
                by_weight.sum(0),
            ]
        },
    });
}

#[test]
fn a_gradient_inside_and_around() {
    check_all(&Case {
        name: "grad of vmap of grad",
        sizes: &[1, 5],
        args,
        mesh: |w, a| {
            let x = w.unstack(&a[1], "batch");
            let inner = |w: &Tensor, x: &Tensor| grad(|x: &Tensor| (w * x.sin()).sum(()).square()).at(x);
            let outer = |w: &Tensor, x: &Tensor| vmap(inner).at((w, x)).square().sum(());
            vec![grad(outer).reduce_axes(["batch"]).at((&a[0], &x))]
        },
        positional: |a| {
            let inner = |w: &Tensor, x: &Tensor| {
                let slope = (w * x.sin()).sum(1).expand_dims(1) * 2.0;
                (slope * w * x.cos()).square().sum(())
            };
            vec![stacked(rows(&a[1]).map(|x| grad(inner).at((&a[0], &x)))).sum(0)]
        },
    });
}
