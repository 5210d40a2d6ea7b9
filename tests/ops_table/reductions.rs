//! Reductions, cumulative ops, and order.

use axisgrad::Tensor;
use axisgrad::ops::{self as op};

use super::row::{Group, Row, row, wave, waves};

fn one(name: &'static str, call: fn(&[Tensor]) -> Tensor) -> Row {
    row(name, vec![wave(&[4, 3])], call)
}

/// Their rows.
pub fn rows() -> Group {
    let rows = vec![
        one("sum", |x| x[0].sum(0)),
        one("mean", |x| x[0].mean(0)),
        one("prod", |x| x[0].prod(0)),
        one("max", |x| x[0].max(0)),
        one("min", |x| x[0].min(0)),
        one("var", |x| x[0].var(0)),
        one("var_ddof", |x| op::var_ddof(&x[0], 0, 1)),
        one("std", |x| x[0].std(0)),
        one("std_ddof", |x| op::std_ddof(&x[0], 0, 1)),
        one("norm", |x| x[0].norm(0)),
        one("logsumexp", |x| x[0].logsumexp(0)),
        one("any", |x| x[0].gt(0.5).any(0)),
        one("all", |x| x[0].gt(0.5).all(0)),
        one("argmax", |x| x[0].argmax(0)),
        one("argmin", |x| x[0].argmin(0)),
        one("cumsum", |x| op::cumsum(&x[0], 0)),
        one("cumprod", |x| op::cumprod(&x[0], 0)),
        one("cummax", |x| op::cummax(&x[0], 0)),
        one("cummin", |x| op::cummin(&x[0], 0)),
        one("cumlogsumexp", |x| op::cumlogsumexp(&x[0], 0)),
        one("sort", |x| op::sort(&x[0], 0)),
        one("argsort", |x| op::argsort(&x[0], 0)),
        one("top_k", |x| op::top_k(&x[0], 2).0),
        one("median", |x| op::median(&x[0], 0)),
        one("quantile", |x| op::quantile(&x[0], 0.3, 0)),
        row("searchsorted", vec![wave(&[5]).sort(0), waves(&[3], 2)], |x| {
            op::searchsorted(&x[0], &x[1], false)
        }),
    ];
    Group { title: "Reductions, cumulative ops, order", rows }
}
