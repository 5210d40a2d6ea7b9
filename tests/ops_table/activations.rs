//! Activations.

use axisgrad::Tensor;
use axisgrad::ops::{log_softmax, softmax};

use super::row::{Group, Row, row, wave};

fn one(name: &'static str, call: fn(&[Tensor]) -> Tensor) -> Row {
    row(name, vec![wave(&[2, 4])], call)
}

/// Their rows.
pub fn rows() -> Group {
    let rows = vec![
        one("relu", |x| x[0].relu()),
        one("relu6", |x| x[0].relu6()),
        one("leaky_relu", |x| x[0].leaky_relu(0.1)),
        one("elu", |x| (-&x[0]).elu()),
        one("selu", |x| (-&x[0]).selu()),
        one("celu", |x| (-&x[0]).celu(0.7)),
        one("sigmoid", |x| x[0].sigmoid()),
        one("log_sigmoid", |x| x[0].log_sigmoid()),
        one("tanh", |x| x[0].tanh()),
        one("hard_tanh", |x| (&x[0] * 1.7).hard_tanh()),
        one("silu", |x| x[0].silu()),
        one("gelu", |x| x[0].gelu()),
        one("gelu_exact", |x| x[0].gelu_exact()),
        one("softplus", |x| x[0].softplus()),
        one("softsign", |x| x[0].softsign()),
        one("mish", |x| x[0].mish()),
        one("glu", |x| x[0].glu(-1)),
        one("softmax", |x| softmax(&x[0], -1)),
        one("log_softmax", |x| log_softmax(&x[0], -1)),
    ];
    Group { title: "Activations", rows }
}
