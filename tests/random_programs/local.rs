//! The ops of random programs that look at one position only: what they fit, and what they compute.

use axisgrad::ops::{broadcast_to, complex, concat, expand_dims, outer, stack, take, where_};
use axisgrad::{Tensor, cond, custom_jvp, custom_vjp, fori_loop, scan, while_loop};

use super::wider::WIDER;

/// A row of the table.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct Local {
    pub name: &'static str,
    pub operands: usize,
    /// How many numbers it takes.
    pub params: usize,
    /// Whether the second operand holds numbers of rows.
    pub ids: bool,
    pub fits: fn(&[&[usize]], &[usize]) -> bool,
    pub run: fn(&[Tensor], &[usize]) -> Tensor,
    /// The same without rules of its own.
    pub plain: fn(&[Tensor], &[usize]) -> Tensor,
}

/// The row of that name.
///
/// # Panics
/// If there is none.
pub fn find(name: &str) -> &'static Local {
    rows().find(|op| op.name == name).unwrap_or_else(|| panic!("no op {name}"))
}

/// All rows.
pub fn rows() -> impl Iterator<Item = &'static Local> {
    TABLE.iter().chain(WIDER)
}

type Fits = fn(&[&[usize]], &[usize]) -> bool;
type Run = fn(&[Tensor], &[usize]) -> Tensor;

pub(super) const fn unary(name: &'static str, run: Run) -> Local {
    Local { name, operands: 1, params: 0, ids: false, fits: |_, _| true, run, plain: run }
}

pub(super) const fn along(name: &'static str, run: Run) -> Local {
    Local { name, operands: 1, params: 1, ids: false, fits: |x, p| p[0] < x[0].len(), run, plain: run }
}

pub(super) const fn shape(name: &'static str, params: usize, fits: Fits, run: Run) -> Local {
    Local { name, operands: 1, params, ids: false, fits, run, plain: run }
}

pub(super) const fn binary(name: &'static str, fits: Fits, run: Run) -> Local {
    Local { name, operands: 2, params: 0, ids: false, fits, run, plain: run }
}

/// A row for each op. Functions that grow fast are taken of something bounded.
const TABLE: &[Local] = &[
    unary("sin", |x, _| x[0].sin()),
    unary("tanh", |x, _| x[0].tanh()),
    unary("sigmoid", |x, _| x[0].sigmoid()),
    unary("softplus", |x, _| x[0].softplus()),
    unary("silu", |x, _| x[0].silu()),
    unary("relu", |x, _| x[0].relu()),
    unary("abs", |x, _| x[0].abs()),
    unary("erf", |x, _| x[0].erf()),
    unary("neg", |x, _| -&x[0]),
    unary("exp", |x, _| x[0].tanh().exp()),
    unary("log1p", |x, _| x[0].square().log1p()),
    unary("sqrt", |x, _| (x[0].square() + 1.0).sqrt()),
    unary("reciprocal", |x, _| (x[0].square() + 1.0).reciprocal()),
    unary("power", |x, _| (x[0].square() + 1.0).pow(1.5)),
    unary("phase", |x, _| {
        let z = complex(x[0].cos(), x[0].sin()) * complex(x[0].tanh(), x[0].ones_like());
        z.exp().imag() + z.conj().abs()
    }),
    unary("total", |x, _| x[0].sum(())),
    unary("flatten", |x, _| x[0].flatten()),
    unary("transpose", |x, _| x[0].permute((0..x[0].ndim() as isize).rev().collect::<Vec<_>>())),
    along("sum", |x, p| x[0].sum(p[0] as isize)),
    along("mean", |x, p| x[0].mean(p[0] as isize)),
    along("max", |x, p| x[0].max(p[0] as isize)),
    along("prod", |x, p| x[0].tanh().prod(p[0] as isize)),
    along("logsumexp", |x, p| x[0].logsumexp(p[0] as isize)),
    along("softmax", |x, p| x[0].softmax(p[0] as isize)),
    along("log_softmax", |x, p| x[0].log_softmax(p[0] as isize)),
    along("cumsum", |x, p| x[0].cumsum(p[0] as isize)),
    along("flip", |x, p| x[0].flip(p[0] as isize)),
    along("sort", |x, p| x[0].sort(p[0] as isize)),
    shape("roll", 2, |x, p| p[0] < x[0].len(), |x, p| x[0].roll(p[1] as isize, p[0] as isize)),
    shape(
        "slice",
        3,
        |x, p| p[0] < x[0].len() && p[1] < p[2] && p[2] <= x[0][p[0]],
        |x, p| x[0].slice(p[0] as isize, p[1]..p[2]),
    ),
    shape(
        "pad",
        2,
        |x, p| x[0].len() == 1 && p.iter().all(|&n| n < 3),
        |x, p| x[0].pad(&[(p[0], p[1], 0)], 0.5),
    ),
    shape(
        "repeat",
        1,
        |x, p| p[0] > 0 && p[0] < 4 && x[0].len() < 3,
        |x, p| broadcast_to(&expand_dims(&x[0], 0), &[&[p[0]], x[0].dims()].concat()),
    ),
    shape("fori_loop", 1, |_, p| p[0] < 4, |x, p| fori_loop(0, p[0] as i64, |_, y| y.sin() + &x[0], &x[0])),
    unary("while_loop", |x, _| {
        while_loop(|y: &Tensor| y.square().sum(()).lt(4.0), |y| y * 1.5 + 0.5, &x[0].tanh())
    }),
    unary("cond", |x, _| cond(&x[0].sum(()).gt(0.0), Tensor::sin, |x: &Tensor| x.tanh().exp(), &x[0])),
    binary("add", same, |x, _| &x[0] + &x[1]),
    binary("sub", same, |x, _| &x[0] - &x[1]),
    binary("mul", same, |x, _| &x[0] * &x[1]),
    binary("div", same, |x, _| &x[0] / &(x[1].square() + 1.0)),
    binary("maximum", same, |x, _| x[0].maximum(&x[1])),
    binary("logaddexp", same, |x, _| x[0].logaddexp(&x[1])),
    binary("atan2", same, |x, _| x[0].atan2(x[1].square() + 1.0)),
    binary("where", same, |x, _| where_(x[0].gt(&x[1]), x[0].sin(), &x[1])),
    binary("matmul", |x, _| inner(x[0], x[1]), |x, _| x[0].matmul(&x[1])),
    binary("outer", |x, _| x[0].len() == 1 && x[1].len() == 1, |x, _| outer(&x[0], &x[1])),
    binary("stack", same, |x, _| stack(&[&x[0], &x[1]], 0)),
    binary("concat", |x, _| !x[0].is_empty() && same(x, &[]), |x, _| concat(&[&x[0], &x[1]], 0)),
    binary(
        "scan",
        |x, _| !x[1].is_empty() && x[0] == &x[1][1..],
        |x, _| {
            let step = |carry: &Tensor, row: &Tensor| ((carry * row).tanh() + row, carry.sin());
            let (last, rows) = scan(step).at((&x[0], &x[1]));
            expand_dims(&last, 0) + rows
        },
    ),
    Local {
        name: "take",
        operands: 2,
        params: 0,
        ids: true,
        fits: |x, _| x[0].first().is_some_and(|&rows| rows >= ROWS),
        run: |x, _| take(&x[0], &x[1], 0),
        plain: |x, _| take(&x[0], &x[1], 0),
    },
    Local {
        name: "custom_vjp",
        operands: 2,
        params: 0,
        ids: false,
        fits: same,
        run: |x, _| {
            let forward = |a: &Tensor, b: &Tensor| (a.sin() * b, (a.clone(), b.clone()));
            let backward = |(a, b): &(Tensor, Tensor), ct: &Tensor| (ct * a.cos() * b, ct * a.sin());
            custom_vjp(|a: &Tensor, b: &Tensor| a.sin() * b).defvjp(forward, backward).at((&x[0], &x[1]))
        },
        plain: |x, _| x[0].sin() * &x[1],
    },
    Local {
        name: "custom_jvp",
        operands: 2,
        params: 0,
        ids: false,
        fits: same,
        run: |x, _| {
            let rule = |(a, b): &(Tensor, Tensor), (da, db): &(Tensor, Tensor)| {
                let slope = a.tanh() * b;
                (slope.sin(), slope.cos() * ((1.0 - a.tanh().square()) * b * da + a.tanh() * db))
            };
            custom_jvp(|a: &Tensor, b: &Tensor| (a.tanh() * b).sin()).defjvp(rule).at((&x[0], &x[1]))
        },
        plain: |x, _| (x[0].tanh() * &x[1]).sin(),
    },
];

/// Numbers of rows are below this.
pub const ROWS: usize = 2;

pub(super) fn same(x: &[&[usize]], _: &[usize]) -> bool {
    x[0] == x[1]
}

pub(super) fn inner(x: &[usize], y: &[usize]) -> bool {
    let contracted = if y.len() == 1 { y.first() } else { y.first().filter(|_| y.len() == 2) };
    (1..=2).contains(&x.len()) && x.last() == contracted && contracted.is_some()
}
