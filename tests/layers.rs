//! The one law for what layers are made of: attention, normalization, dropout and draws equal the positional
//! program, for every placement of the examples.

use axisgrad::ops::{
    Attention, batch_moments, batch_norm, group_norm, layer_norm, scaled_dot_product_attention,
};
use axisgrad::prelude::*;
use axisgrad::random::{categorical, gamma, normal};
use axisgrad_tests::placement::{Case, check_all};

const WIDTH: usize = 4;

fn numbers(seed: i64, dims: &[usize]) -> Tensor {
    normal(Key::new(seed), DType::F64, dims)
}

fn rows(x: &Tensor) -> impl Iterator<Item = Tensor> + '_ {
    (0..x.dims()[0]).map(|i| x.index(0, i as isize))
}

fn sum_of(terms: impl Iterator<Item = Tensor>) -> Tensor {
    terms.reduce(|sum, term| &sum + &term).expect("at least one")
}

fn stack_of(rows: impl Iterator<Item = Tensor>) -> Tensor {
    let rows: Vec<Tensor> = rows.collect();
    stack(&rows.iter().collect::<Vec<_>>(), 0)
}

type Attend = fn(&Tensor, &Tensor, &Tensor) -> Tensor;

fn attention(q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor {
    scaled_dot_product_attention(q, k, v, &Attention { causal: true, ..Attention::default() })
}

/// By its formula (Vaswani and others, "Attention is all you need", 2017, equation 1).
fn attention_formula(q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor {
    let scores = q.matmul(&k.swap_dims(-1, -2)) / (q.dim(-1) as f64).sqrt();
    where_(tri(q.dim(-2), k.dim(-2), 0), scores, f64::NEG_INFINITY).softmax(-1).matmul(v)
}

/// Tokens of a sequence: fewer than fill the tiles of attention, whichever the processor's are.
const TOKENS: usize = 10;

/// A block of a transformer on one sequence: `w f64[6,4,4], ids i32[10] -> f64[]`.
fn block(w: &Tensor, ids: &Tensor, attend: Attend) -> Tensor {
    let part = |i: isize| w.index(0, i);
    let (scale, bias) = (part(4).index(0, 0), part(4).index(0, 1));
    let x = embedding(&part(5), ids);
    let normed = layer_norm(&x, &scale, &bias, 1e-3);
    let heads = |i: isize| normed.matmul(&part(i)).reshape([TOKENS as isize, 2, 2]).swap_dims(0, 1);
    let seen = attend(&heads(0), &heads(1), &heads(2));
    let x = x + seen.swap_dims(0, 1).reshape([TOKENS as isize, WIDTH as isize]).matmul(&part(3)).gelu();
    cross_entropy(&x, &(ids % 4)).mean(())
}

#[test]
fn a_block_of_a_transformer() {
    check_all(&Case {
        name: "a block of a transformer",
        sizes: &[1, 16, 33],
        args: |n| {
            let ids = (0..(TOKENS * n) as i32).map(|i| (i * 7 + i / 3) % 4).collect();
            vec![numbers(1, &[6, WIDTH, WIDTH]), Array::from_vec(ids, [n, TOKENS]).into()]
        },
        mesh: |w, a| {
            let ids = w.unstack(&a[1], "batch");
            let loss = |w: &Tensor, ids: &Tensor| block(w, ids, attention);
            let each = grad(loss).at((&a[0], &ids));
            vec![grad(loss).reduce_axes(["batch"]).at((&a[0], &ids)), gather(&each, "batch")]
        },
        positional: |a| {
            let loss = |w: &Tensor, ids: &Tensor| block(w, ids, attention_formula);
            let each = || rows(&a[1]).map(|ids| grad(loss).at((&a[0], &ids)));
            vec![sum_of(each()), stack_of(each())]
        },
    });
}

/// The same in both forms: the mean over examples of what a channel-wise scale makes of normalized images.
fn normed(scale: &Tensor, x: &Tensor, dim: isize, axes: &[&str]) -> Tensor {
    let moments = batch_moments(x, dim, axes);
    batch_norm(x, dim, &moments, scale, &(scale * 0.5), 1e-3).sin()
}

#[test]
fn batch_norm_over_an_axis() {
    fn loss(scale: &Tensor, x: &Tensor) -> Tensor {
        psum(&normed(scale, x, 0, &["batch"]).sum(()), "batch")
    }
    check_all(&Case {
        name: "batch_norm over an axis",
        sizes: &[2, 33],
        args: |n| vec![numbers(1, &[3]), numbers(2, &[n, 3, 4])],
        mesh: |w, a| {
            let x = w.unstack(&a[1], "batch");
            let (value, gradient) = value_and_grad(loss).reduce_axes(["batch"]).at((&a[0], &x));
            vec![value, gradient]
        },
        positional: |a| {
            let total = |scale: &Tensor, x: &Tensor| normed(scale, x, 1, &[]).sum(());
            let (value, gradient) = value_and_grad(total).at((&a[0], &a[1]));
            vec![value, gradient]
        },
    });
}

#[test]
fn a_convolutional_network() {
    fn loss(kernel: &Tensor, x: &Tensor) -> Tensor {
        let channels = kernel.index(1, 0).index(1, 0).index(1, 0);
        let y = conv(x, kernel, &[2, 1], &[(1, 1), (0, 1)], &[], &[], 1);
        let y = group_norm(&y, 2, &channels, &channels, 1e-3).relu();
        let back = conv_transpose(&y, kernel, &[2, 1], &[], &[], &[], 1);
        adaptive_max_pool(&back, &[2, 3]).sum(()) + adaptive_avg_pool(&y, &[2, 2]).square().sum(())
    }
    check_all(&Case {
        name: "a convolutional network",
        sizes: &[1, 33],
        args: |n| vec![numbers(1, &[4, 2, 3, 2]), numbers(2, &[n, 2, 6, 5])],
        mesh: |w, a| {
            let x = w.unstack(&a[1], "batch");
            let each = grad(loss).at((&a[0], &x));
            vec![grad(loss).reduce_axes(["batch"]).at((&a[0], &x)), gather(&each, "batch")]
        },
        positional: |a| {
            let each = || rows(&a[1]).map(|x| grad(loss).at((&a[0], &x)));
            vec![sum_of(each()), stack_of(each())]
        },
    });
}

/// Of `f32`, with channels enough for Winograd's minimal filtering; so small that its last digits are beyond those that
/// are compared.
#[test]
fn a_convolution_of_many_channels() {
    fn loss(kernel: &Tensor, x: &Tensor) -> Tensor {
        let y = conv(x, kernel, &[], &[(1, 1), (0, 1)], &[], &[], 1);
        y.max_pool(&[2, 2], &[2, 2], &[]).square().sum(()) * 1e-7
    }
    check_all(&Case {
        name: "a convolution of many channels",
        sizes: &[1, 33, 70],
        args: |n| {
            let single = |seed, dims: &[usize]| numbers(seed, dims).cast(DType::F32);
            vec![single(1, &[16, 16, 3, 3]), single(2, &[n, 16, 6, 7])]
        },
        mesh: |w, a| {
            let x = w.unstack(&a[1], "batch");
            let each = grad(loss).at((&a[0], &x));
            let results = [grad(loss).reduce_axes(["batch"]).at((&a[0], &x)), gather(&each, "batch")];
            results.map(|result| result.cast(DType::F64)).into()
        },
        positional: |a| {
            let each = || rows(&a[1]).map(|x| grad(loss).at((&a[0], &x)));
            [sum_of(each()), stack_of(each())].map(|result| result.cast(DType::F64)).into()
        },
    });
}

/// What is drawn for an example is what its row is, when all are drawn at once.
#[test]
fn dropout_and_draws() {
    fn loss(w: &Tensor, x: &Tensor) -> Tensor {
        (x * w).dropout(0.4, Key::new(5)).sin().sum(())
    }
    fn drawn(x: &Tensor) -> Vec<Tensor> {
        let classes = categorical(Key::new(6), x, -1).cast(DType::F64);
        vec![gamma(Key::new(7), &(x.square() + 0.1)), classes]
    }
    check_all(&Case {
        name: "dropout and draws",
        sizes: &[1, 16, 33],
        args: |n| vec![numbers(1, &[3]), numbers(2, &[n, 3])],
        mesh: |w, a| {
            let x = w.unstack(&a[1], "batch");
            let total = grad(loss).reduce_axes(["batch"]).at((&a[0], &x));
            [total].into_iter().chain(drawn(&x).iter().map(|draw| gather(draw, "batch"))).collect()
        },
        positional: |a| [grad(loss).at((&a[0], &a[1]))].into_iter().chain(drawn(&a[1])).collect(),
    });
}
