//! The one law: a program over named axes equals the positional program, and it equals it for every placement of
//! the axes on lanes, threads and ranks — to the bit, between placements.

mod vmap;

use axisgrad::prelude::*;
use axisgrad_tests::placement::{Case, check_all};

/// Numbers that look random, are the same everywhere, and differ from seed to seed.
fn numbers(seed: i64, dims: &[usize]) -> Tensor {
    axisgrad::random::normal(Key::new(seed), DType::F64, dims)
}

fn rows(x: &Tensor) -> impl Iterator<Item = Tensor> + '_ {
    (0..x.dims()[0]).map(|i| Tensor::from(x.to_array().index(0, i)))
}

fn sum_of(terms: impl Iterator<Item = Tensor>) -> Tensor {
    terms.reduce(|sum, term| &sum + &term).expect("at least one")
}

fn stack_of(rows: impl Iterator<Item = Tensor>) -> Tensor {
    let rows: Vec<Tensor> = rows.collect();
    stack(&rows.iter().collect::<Vec<_>>(), 0)
}

/// `w f64[5,3], b f64[3], x f64[5]{batch}`
fn layer(w: &Tensor, b: &Tensor, x: &Tensor) -> Tensor {
    let h = (x.matmul(w) + b).tanh();
    (&h * &h).sum(()) + x.sum(()) * h.mean(())
}

fn layer_args(n: usize) -> Vec<Tensor> {
    vec![numbers(1, &[5, 3]), numbers(2, &[3]), numbers(3, &[n, 5])]
}

fn layer_gradient(args: &[Tensor], x: &Tensor) -> (Tensor, Tensor) {
    grad(layer).argnums::<(A0, A1)>().at((&args[0], &args[1], x))
}

#[test]
fn total_gradient() {
    check_all(&Case {
        name: "total gradient",
        sizes: &[1, 2, 31, 32, 33, 100, 257],
        args: layer_args,
        mesh: |w, a| {
            let x = w.unstack(&a[2], "batch");
            let (gw, gb) = grad(layer).argnums::<(A0, A1)>().reduce_axes(["batch"]).at((&a[0], &a[1], &x));
            vec![gw, gb]
        },
        positional: |a| {
            vec![
                sum_of(rows(&a[2]).map(|x| layer_gradient(a, &x).0)),
                sum_of(rows(&a[2]).map(|x| layer_gradient(a, &x).1)),
            ]
        },
    });
}

#[test]
fn per_example_gradient() {
    check_all(&Case {
        name: "per-example gradient",
        sizes: &[1, 7, 33, 64],
        args: layer_args,
        mesh: |w, a| {
            let x = w.unstack(&a[2], "batch");
            let (gw, gb) = grad(layer).argnums::<(A0, A1)>().at((&a[0], &a[1], &x));
            vec![gather(&gw, "batch"), gather(&gb, "batch")]
        },
        positional: |a| {
            vec![
                stack_of(rows(&a[2]).map(|x| layer_gradient(a, &x).0)),
                stack_of(rows(&a[2]).map(|x| layer_gradient(a, &x).1)),
            ]
        },
    });
}

#[test]
fn the_sum_of_the_terms_is_the_total() {
    check_all(&Case {
        name: "sum of the terms",
        sizes: &[5, 40],
        args: layer_args,
        mesh: |w, a| {
            let x = w.unstack(&a[2], "batch");
            vec![psum(&grad(layer).at((&a[0], &a[1], &x)), "batch")]
        },
        positional: |a| vec![sum_of(rows(&a[2]).map(|x| layer_gradient(a, &x).0))],
    });
}

/// A weight that is used twice, and by itself.
fn tied(w: &Tensor, x: &Tensor) -> Tensor {
    let h = x.matmul(w).sin();
    (h.matmul(w) * x).sum(()) + (w * w).sum(())
}

#[test]
fn a_weight_used_twice() {
    check_all(&Case {
        name: "a weight used twice",
        sizes: &[3, 64, 70],
        args: |n| vec![numbers(1, &[4, 4]), numbers(2, &[n, 4])],
        mesh: |w, a| {
            let x = w.unstack(&a[1], "batch");
            vec![
                grad(tied).reduce_axes(["batch"]).at((&a[0], &x)),
                gather(&grad(tied).at((&a[0], &x)), "batch"),
            ]
        },
        positional: |a| {
            let each = || rows(&a[1]).map(|x| grad(tied).at((&a[0], &x)));
            vec![sum_of(each()), stack_of(each())]
        },
    });
}

#[test]
fn a_loss_with_a_mean_over_the_batch() {
    fn loss(w: &Tensor, x: &Tensor) -> Tensor {
        let y = x.dot(w).sin();
        let centred = &y - &pmean(&y, "batch");
        pmean(&(&centred * &centred), "batch")
    }
    fn positional(w: &Tensor, xs: &Tensor) -> Tensor {
        let y = xs.matmul(w).sin();
        let centred = &y - &y.mean(());
        (&centred * &centred).mean(())
    }
    check_all(&Case {
        name: "variance over the batch",
        sizes: &[2, 33, 100],
        args: |n| vec![numbers(1, &[6]), numbers(2, &[n, 6])],
        mesh: |w, a| {
            let x = w.unstack(&a[1], "batch");
            let (value, gradient) = value_and_grad(loss).reduce_axes(["batch"]).at((&a[0], &x));
            vec![value, gradient]
        },
        positional: |a| {
            let (value, gradient) = value_and_grad(positional).at((&a[0], &a[1]));
            vec![value, gradient]
        },
    });
}

/// Softmax across the batch: every position's loss depends on all positions.
#[test]
fn softmax_across_the_axis() {
    fn loss(w: &Tensor, x: &Tensor, c: &Tensor) -> Tensor {
        let e = x.dot(w).exp();
        c * &(&e / &psum(&e, "batch"))
    }
    fn losses(ws: &Tensor, xs: &Tensor, cs: &Tensor) -> Tensor {
        let e = (ws * xs).sum(1).exp();
        (cs * &(&e / &e.sum(()))).sum(())
    }
    check_all(&Case {
        name: "softmax across the axis",
        sizes: &[3, 40],
        args: |n| vec![numbers(1, &[4]), numbers(2, &[n, 4]), numbers(3, &[n])],
        mesh: |w, a| {
            let (x, c) = (w.unstack(&a[1], "batch"), w.unstack(&a[2], "batch"));
            vec![
                gather(&grad(loss).at((&a[0], &x, &c)), "batch"),
                grad(loss).reduce_axes(["batch"]).at((&a[0], &x, &c)),
            ]
        },
        positional: |a| {
            // Each position's own copy of the weight, as the unlisted gradient has it.
            let copies = stack_of((0..a[2].dims()[0]).map(|_| a[0].clone()));
            let each = grad(losses).at((&copies, &a[1], &a[2]));
            vec![each.clone(), each.sum(0)]
        },
    });
}

#[test]
fn collectives_that_move_values() {
    fn loss(w: &Tensor, x: &Tensor, c: &Tensor) -> Tensor {
        let n = axis_size(x, "batch");
        let ring: Vec<_> = (0..n).map(|i| (i, (i + 1) % n)).collect();
        let moved = ppermute(&(x * w), "batch", &ring).sin();
        let all = all_gather(&expand_dims(&moved, 0), "batch", 0);
        let turn = pswapaxes(&all, "batch", 0);
        let back = psum_scatter(&(&all * &turn), "batch", 0).squeeze(0);
        (c * &(&back + &moved)).sum(()) + pmax(&moved, "batch").sum(())
    }
    check_all(&Case {
        name: "collectives that move values",
        sizes: &[2, 5, 16],
        args: |n| vec![numbers(1, &[3]), numbers(2, &[n, 3]), numbers(3, &[n, 3])],
        mesh: |w, a| {
            let (x, c) = (w.unstack(&a[1], "batch"), w.unstack(&a[2], "batch"));
            let total = grad(loss).argnums::<(A0, A1)>().reduce_axes(["batch"]).at((&a[0], &x, &c));
            let each = grad(loss).at((&a[0], &x, &c));
            vec![total.0, gather(&total.1, "batch"), gather(&each, "batch")]
        },
        positional: |a| {
            let n = a[1].dims()[0];
            let total = |ws: &Tensor, xs: &Tensor| {
                let p = xs * ws;
                let moved = concat(&[&p.slice(0, n - 1..), &p.slice(0, ..n - 1)], 0).sin();
                // all[i][j] = moved[j]; turn[i][j] = all[j][i] = moved[i]
                let all = broadcast_to(&expand_dims(&moved, 0), &[n, n, 3]);
                let turn = broadcast_to(&expand_dims(&moved, 1), &[n, n, 3]);
                let back = (&all * &turn).sum(0);
                (&a[2] * &(&back + &moved)).sum(()) + moved.max(0).sum(()) * n as f64
            };
            let copies = broadcast_to(&expand_dims(&a[0], 0), &[n, 3]);
            let (gw, gx) = grad(total).argnums::<(A0, A1)>().at((&copies, &a[1]));
            vec![gw.sum(0), gx, gw]
        },
    });
}

#[test]
fn second_order() {
    fn inner(w: &Tensor, x: &Tensor) -> Tensor {
        (x.matmul(w).tanh() * x).sum(())
    }
    fn outer(w: &Tensor, x: &Tensor, v: &Tensor) -> Tensor {
        (grad(inner).reduce_axes(["batch"]).at((w, x)) * v).sum(())
    }
    fn positional(w: &Tensor, xs: &Tensor, v: &Tensor) -> Tensor {
        (grad(|w: &Tensor, xs: &Tensor| (xs.matmul(w).tanh() * xs).sum(())).at((w, xs)) * v).sum(())
    }
    check_all(&Case {
        name: "second order",
        sizes: &[2, 33, 64],
        args: |n| vec![numbers(1, &[4, 4]), numbers(2, &[n, 4]), numbers(3, &[4, 4])],
        mesh: |w, a| {
            let x = w.unstack(&a[1], "batch");
            vec![grad(outer).reduce_axes(["batch"]).at((&a[0], &x, &a[2]))]
        },
        positional: |a| vec![grad(positional).at((&a[0], &a[1], &a[2]))],
    });
}

#[test]
fn an_embedding() {
    fn loss(table: &Tensor, ids: &Tensor, y: &Tensor) -> Tensor {
        let d = take(table, ids, 0).sum(0) - y;
        (&d * &d).sum(())
    }
    fn ids(n: usize) -> Tensor {
        Array::from_vec((0..2 * n as i32).map(|i| (i * 7 + i / 3) % 6).collect(), [n, 2]).into()
    }
    check_all(&Case {
        name: "an embedding",
        sizes: &[1, 20, 65],
        args: |n| vec![numbers(1, &[6, 3]), ids(n), numbers(2, &[n, 3])],
        mesh: |w, a| {
            let (i, y) = (w.unstack(&a[1], "batch"), w.unstack(&a[2], "batch"));
            vec![
                grad(loss).reduce_axes(["batch"]).at((&a[0], &i, &y)),
                gather(&grad(loss).at((&a[0], &i, &y)), "batch"),
            ]
        },
        positional: |a| {
            let each = || rows(&a[1]).zip(rows(&a[2])).map(|(i, y)| grad(loss).at((&a[0], &i, &y)));
            vec![sum_of(each()), stack_of(each())]
        },
    });
}

#[test]
fn vmap_inside_an_axis() {
    fn loss(w: &Tensor, x: &Tensor) -> Tensor {
        vmap(|w: &Tensor, x: &Tensor| x.dot(w).sin()).in_axes((None, 0)).at((w, x)).sum(())
    }
    check_all(&Case {
        name: "vmap inside an axis",
        sizes: &[3, 40],
        args: |n| vec![numbers(1, &[4]), numbers(2, &[n, 2, 4])],
        mesh: |w, a| {
            let x = w.unstack(&a[1], "batch");
            vec![
                grad(loss).reduce_axes(["batch"]).at((&a[0], &x)),
                gather(&grad(loss).at((&a[0], &x)), "batch"),
            ]
        },
        positional: |a| {
            let one = |w: &Tensor, x: &Tensor| x.matmul(w).sin().sum(());
            let each = || rows(&a[1]).map(|x| grad(one).at((&a[0], &x)));
            vec![sum_of(each()), stack_of(each())]
        },
    });
}

/// A term that touches no data beside a sum over the axis. Listed, the loss is one number. Not listed, every
/// position has its own copy of the weight, so the first term varies, and the sum counts at every position.
#[test]
fn an_invariant_term_beside_a_psum() {
    fn loss(w: &Tensor, x: &Tensor) -> Tensor {
        (w * w).sum(()) + psum(&x.dot(w).sin(), "batch")
    }
    check_all(&Case {
        name: "an invariant term beside a psum",
        sizes: &[2, 40],
        args: |n| vec![numbers(1, &[4]), numbers(2, &[n, 4])],
        mesh: |w, a| {
            let x = w.unstack(&a[1], "batch");
            vec![
                grad(loss).reduce_axes(["batch"]).at((&a[0], &x)),
                gather(&grad(loss).at((&a[0], &x)), "batch"),
            ]
        },
        positional: |a| {
            let n = a[1].dims()[0] as f64;
            let data = |w: &Tensor, x: &Tensor| x.dot(w).sin();
            let each = || rows(&a[1]).map(|x| grad(data).at((&a[0], &x)));
            let own = &a[0] * 2.0;
            vec![&own + sum_of(each()), stack_of(each().map(|g| &own + &(g * n)))]
        },
    });
}

/// Gradients of megabytes, which travel in several buckets while backward goes on.
#[test]
fn gradients_in_several_buckets() {
    const LARGE: usize = 600_000;
    type Model = (Tensor, Vec<Tensor>, Tensor);
    fn loss((a, b, c): &Model, x: &Tensor) -> Tensor {
        (a * x).sum(()) + b.iter().map(|b| (b * x).sin().sum(())).fold(c * x, |sum, term| sum + term)
    }
    fn model(args: &[Tensor]) -> Model {
        let large = |seed| numbers(seed, &[1000]).broadcast_to(&[LARGE / 1000, 1000]);
        (large(1), vec![large(2), large(3)], args[0].clone())
    }
    fn shown(gradient: Model) -> Vec<Tensor> {
        let corner = |x: &Tensor| x.slice(0, LARGE / 1000 - 2..).slice(1, 990..);
        vec![corner(&gradient.0), corner(&gradient.1[0]), corner(&gradient.1[1]), gradient.2]
    }
    check_all(&Case {
        name: "gradients in several buckets",
        sizes: &[3],
        args: |n| vec![numbers(4, &[]), numbers(5, &[n])],
        mesh: |w, a| {
            let x = w.unstack(&a[1], "batch");
            shown(grad(loss).reduce_axes(["batch"]).at((&model(a), &x)))
        },
        positional: |a| {
            let total = |m: &Model| sum_of(rows(&a[1]).map(|x| loss(m, &x)));
            shown(grad(total).at(&model(a)))
        },
    });
}
