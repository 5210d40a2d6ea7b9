//! Shapes, rows by number.

use axisgrad::Tensor;
use axisgrad::ops::{self as op, OutOfRange};

use super::row::{Group, Row, ids, row, wave, waves};

fn one(name: &'static str, call: fn(&[Tensor]) -> Tensor) -> Row {
    row(name, vec![wave(&[4, 3])], call)
}

fn two(name: &'static str, call: fn(&[Tensor]) -> Tensor) -> Row {
    row(name, vec![waves(&[4, 3], 1), waves(&[4, 3], 2)], call)
}

/// A table, numbers, and a row for each.
fn scattered(name: &'static str, call: fn(&[Tensor]) -> Tensor) -> Row {
    row(name, vec![waves(&[4, 2], 1), ids(), waves(&[3, 2], 2)], call)
}

fn dims() -> Vec<Row> {
    vec![
        one("reshape", |x| x[0].reshape([2, 6])),
        one("flatten", |x| x[0].flatten()),
        one("permute", |x| x[0].permute([1, 0])),
        one("transpose", |x| op::transpose(&x[0])),
        one("swap_dims", |x| op::swap_dims(&x[0], 0, 1)),
        one("move_dim", |x| x[0].move_dim(0, 1)),
        one("broadcast_to", |x| x[0].broadcast_to(&[2, 4, 3])),
        one("expand_dims", |x| x[0].expand_dims(1)),
        one("squeeze", |x| x[0].expand_dims(1).squeeze(1)),
        two("concat", |x| op::concat(&[&x[0], &x[1]], 1)),
        two("stack", |x| op::stack(&[&x[0], &x[1]], 1)),
        one("split", |x| op::split(&x[0], 0, &[1, 3]).remove(1)),
        one("slice", |x| op::slice(&x[0], 0, 1..3)),
        one("slice_step", |x| op::slice_step(&x[0], 0, .., 3)),
        one("slice_by", |x| op::slice_by(&x[0], 0, None, Some(0), -2)),
        one("strided_slice", |x| op::strided_slice(&x[0], &[1, 0], &[4, 3], &[2, 2])),
        one("index", |x| op::index(&x[0], 0, -1)),
        one("pad", |x| op::pad(&x[0], &[(1, 0, 1), (0, 2, 0)], 0.5)),
        one("flip", |x| op::flip(&x[0], 0)),
        one("roll", |x| op::roll(&x[0], 1, 0)),
        one("tile", |x| op::tile(&x[0], &[2, 1])),
        one("repeat", |x| op::repeat(&x[0], 2, 0)),
        one("tril", |x| op::tril(&x[0], 0)),
        one("triu", |x| op::triu(&x[0], 0)),
        one("diag", |x| op::diag(&x[0])),
        row("meshgrid", vec![waves(&[2], 1), waves(&[3], 2)], |x| {
            let grid = op::meshgrid(&[&x[0], &x[1]]);
            &grid[0] + &grid[1]
        }),
    ]
}

fn numbered() -> Vec<Row> {
    let table = || vec![waves(&[4, 2], 1), ids()];
    let square = || vec![waves(&[4, 3], 1), Tensor::from([[3, 0, -1]])];
    let start = || Tensor::from(1);
    vec![
        row("take", table(), |x| op::take(&x[0], &x[1], 0)),
        row("take_or", table(), |x| op::take_or(&x[0], &x[1], 0, OutOfRange::Clip)),
        row("take_along_dim", square(), |x| op::take_along_dim(&x[0], &x[1], 0)),
        row("take_along_dim_or", square(), |x| op::take_along_dim_or(&x[0], &x[1], 0, OutOfRange::Clip)),
        scattered("scatter_add", |x| op::scatter_add(&x[0], &x[1], &x[2])),
        scattered("scatter_add_or", |x| op::scatter_add_or(&x[0], &x[1], &x[2], OutOfRange::Fill)),
        scattered("scatter_set", |x| op::scatter_set(&x[0], &x[1], &x[2])),
        scattered("scatter_set_or", |x| op::scatter_set_or(&x[0], &x[1], &x[2], OutOfRange::Fill)),
        scattered("scatter_mul", |x| op::scatter_mul(&x[0], &x[1], &x[2])),
        scattered("scatter_mul_or", |x| op::scatter_mul_or(&x[0], &x[1], &x[2], OutOfRange::Fill)),
        scattered("scatter_min", |x| op::scatter_min(&x[0], &x[1], &x[2])),
        scattered("scatter_max", |x| op::scatter_max(&x[0], &x[1], &x[2])),
        scattered("segment_sum", |x| op::segment_sum(&x[2], &x[1], 4)),
        scattered("segment_sum_or", |x| op::segment_sum_or(&x[2], &x[1], 4, OutOfRange::Fill)),
        scattered("segment_prod", |x| op::segment_prod(&x[2], &x[1], 4)),
        row("segment_min", vec![waves(&[4, 2], 1)], |x| {
            op::segment_min(&x[0], &Tensor::from([1, 0, 1, 0]), 2)
        }),
        row("segment_max", vec![waves(&[4, 2], 1)], |x| {
            op::segment_max(&x[0], &Tensor::from([1, 0, 1, 0]), 2)
        }),
        scattered("index_put", |x| op::index_put(&x[0], &[&x[1]], &x[2], true)),
        row("dynamic_slice", vec![wave(&[4, 3]), start()], |x| {
            op::dynamic_slice(&x[0], &[&x[1], &x[1]], &[2, 2])
        }),
        row("dynamic_update_slice", vec![wave(&[4, 3]), waves(&[2, 2], 3), start()], |x| {
            op::dynamic_update_slice(&x[0], &x[1], &[&x[2], &x[2]])
        }),
        row("one_hot", vec![ids()], |x| op::one_hot(&x[0], 4, axisgrad::DType::F64)),
    ]
}

/// Their rows.
pub fn rows() -> Group {
    Group { title: "Shapes, and rows by number", rows: dims().into_iter().chain(numbered()).collect() }
}
