//! What layers are made of.

use axisgrad::Tensor;
use axisgrad::ops::{self as op, AdamStep, Attention};
use axisgrad::random::Key;

use super::row::{Group, Row, ids, row, wave, waves};

const ADAM: AdamStep =
    AdamStep { rate: 0.1, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weight_decay: 0.1, number: 3 };

fn image() -> Vec<Tensor> {
    vec![wave(&[1, 2, 5])]
}

fn convolved(name: &'static str, call: fn(&[Tensor]) -> Tensor) -> Row {
    row(name, vec![wave(&[1, 2, 5]), waves(&[2, 2, 3], 1)], call)
}

fn normed(name: &'static str, call: fn(&[Tensor]) -> Tensor) -> Row {
    row(name, vec![wave(&[3, 4]), waves(&[4], 1), waves(&[4], 2)], call)
}

/// Their rows.
pub fn rows() -> Group {
    let rows = vec![
        convolved("conv", |x| op::conv(&x[0], &x[1], &[2], &[(1, 1)], &[], &[], 1)),
        convolved("conv1d", |x| op::conv1d(&x[0], &x[1], 2, (1, 1), 1, 1)),
        row("conv2d", vec![wave(&[1, 3, 3]), waves(&[2, 1, 2, 2], 1)], |x| {
            op::conv2d(&x[0], &x[1], [1; 2], [(0, 0); 2], [1; 2], 1)
        }),
        row("conv3d", vec![wave(&[1, 2, 2, 3]), waves(&[2, 1, 2, 2, 2], 1)], |x| {
            op::conv3d(&x[0], &x[1], [1; 3], [(0, 0); 3], [1; 3], 1)
        }),
        convolved("conv_transpose", |x| op::conv_transpose(&x[0], &x[1], &[2], &[(1, 1)], &[0], &[1], 1)),
        row("max_pool", image(), |x| op::max_pool(&x[0], &[2], &[2], &[])),
        row("avg_pool", image(), |x| op::avg_pool(&x[0], &[2], &[2], &[])),
        row("adaptive_max_pool", image(), |x| op::adaptive_max_pool(&x[0], &[2])),
        row("adaptive_avg_pool", image(), |x| op::adaptive_avg_pool(&x[0], &[2])),
        row("embedding", vec![wave(&[4, 2]), ids()], |x| op::embedding(&x[0], &x[1])),
        normed("layer_norm", |x| op::layer_norm(&x[0], &x[1], &x[2], 1e-5)),
        normed("rms_norm", |x| op::rms_norm(&x[0], &x[1], 1e-5)),
        row("group_norm", vec![wave(&[4, 3]), waves(&[4], 1), waves(&[4], 2)], |x| {
            op::group_norm(&x[0], 2, &x[1], &x[2], 1e-5)
        }),
        row("batch_moments", vec![wave(&[3, 4])], |x| {
            let each = x[0].unstack("each", 0);
            op::gather(&(op::batch_moments(&each, 0, "each").var * &each), "each")
        }),
        normed("batch_norm", |x| {
            let moments = op::batch_moments(&x[0].unstack("each", 0), 0, "each");
            let normed = op::batch_norm(&x[0].unstack("each", 0), 0, &moments, &x[1], &x[2], 1e-5);
            op::gather(&normed, "each")
        }),
        Row {
            own_lanes: Some("what is drawn differs from example to example, and so from one alone"),
            ..row("dropout", vec![wave(&[3, 4])], |x| op::dropout(&x[0], 0.5, Key::new(1)))
        },
        row("rope", vec![wave(&[3, 4]), Tensor::from([0, 1, 2])], |x| op::rope(&x[0], &x[1], 10.0)),
        row("scaled_dot_product_attention", vec![wave(&[3, 2]), waves(&[3, 2], 1), waves(&[3, 2], 2)], |x| {
            let causal = Attention { causal: true, ..Attention::default() };
            op::scaled_dot_product_attention(&x[0], &x[1], &x[2], &causal)
        }),
        row("affine", vec![wave(&[2, 3]), waves(&[3, 2], 1), waves(&[2], 2)], |x| {
            op::affine(&x[0], &x[1], &x[2])
        }),
        row("adam_step", vec![wave(&[3]), waves(&[3], 1), waves(&[3], 2), waves(&[3], 3)], |x| {
            op::adam_step(&x[0], [&x[1], &x[2]], &x[3], ADAM)[0].clone()
        }),
        row("sgd_step", vec![wave(&[3]), waves(&[3], 1)], |x| op::sgd_step(&x[0], &x[1], 0.1)),
        row("cross_entropy", vec![wave(&[4]), Tensor::from(2)], |x| op::cross_entropy(&x[0], &x[1])),
    ];
    Group { title: "What layers are made of", rows }
}
