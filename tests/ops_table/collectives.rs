//! Collectives, over an axis that the first dim becomes.

use axisgrad::Tensor;
use axisgrad::ops::{self as op, gather};

use super::row::{Group, Row, row};

/// Positions of an axis of four, with rows of four.
fn each(x: &Tensor) -> Tensor {
    x.sin().unstack("each", 0)
}

/// Numbers of which no two are near: `f64[4,4]`.
fn apart() -> Tensor {
    let numbers: Vec<f64> = (0..16).map(|i| 0.1 + 0.05 * f64::from(i * 7 % 16)).collect();
    Tensor::from(numbers).reshape([4, 4])
}

/// A value, the same at all positions or not, as something that differs.
fn used(value: Tensor, x: &Tensor) -> Tensor {
    gather(&(value * each(x)), "each")
}

fn one(name: &'static str, call: fn(&[Tensor]) -> Tensor) -> Row {
    row(name, vec![apart()], call)
}

/// Their rows.
pub fn rows() -> Group {
    let rows = vec![
        one("psum", |x| used(op::psum(&each(&x[0]), "each"), &x[0])),
        one("pmean", |x| used(op::pmean(&each(&x[0]), "each"), &x[0])),
        one("pmax", |x| used(op::pmax(&each(&x[0]), "each"), &x[0])),
        one("pmin", |x| used(op::pmin(&each(&x[0]), "each"), &x[0])),
        one("pvary", |x| {
            let all = each(&x[0]);
            gather(&(op::pvary(&x[0].sum(0), all.axis("each")) * &all), "each")
        }),
        one("all_gather", |x| gather(&op::all_gather(&each(&x[0]), "each", 0), "each")),
        one("psum_scatter", |x| gather(&op::psum_scatter(&each(&x[0]), "each", 0), "each")),
        one("all_to_all", |x| gather(&op::all_to_all(&each(&x[0]), "each", 0, 0), "each")),
        one("pswapaxes", |x| gather(&op::pswapaxes(&each(&x[0]), "each", 0), "each")),
        one("ppermute", |x| gather(&op::ppermute(&each(&x[0]), "each", &[(0, 1), (1, 3), (2, 0)]), "each")),
        one("pshuffle", |x| gather(&op::pshuffle(&each(&x[0]), "each", &[1, 3, 0, 2]), "each")),
        one("axis_index", |x| used(op::axis_index(&each(&x[0]), "each"), &x[0])),
        one("gather", |x| gather(&each(&x[0]), "each")),
    ];
    Group { title: "Collectives", rows }
}
