//! More ops of random programs: linear algebra, layers, rows by number, and other types of numbers.

use axisgrad::ops::linalg::{cholesky, det, expm, inv, pinv, qr, slogdet, solve, triangular_solve};
use axisgrad::ops::{
    Attention, avg_pool, complex, concat, conv1d, cross_entropy, cumlogsumexp, cummax, cumprod, einsum, eye,
    layer_norm, max_pool, median, quantile, rms_norm, scaled_dot_product_attention, scatter_add, scatter_max,
    scatter_mul, scatter_set, segment_sum, take, take_along_dim, top_k, xlogy,
};
use axisgrad::{DType, Tensor};

use super::local::{Local, ROWS, along, binary, same, shape, unary};

/// A row for each op. What is singular or infinite somewhere is taken of something that is not.
pub const WIDER: &[Local] = &[
    unary("gelu", |x, _| x[0].gelu()),
    unary("gelu_exact", |x, _| x[0].gelu_exact()),
    unary("log_sigmoid", |x, _| x[0].log_sigmoid()),
    unary("elu", |x, _| x[0].elu()),
    unary("atan", |x, _| x[0].atan()),
    unary("asinh", |x, _| x[0].asinh()),
    unary("expm1", |x, _| x[0].tanh().expm1()),
    unary("rsqrt", |x, _| (x[0].square() + 1.0).rsqrt()),
    unary("cbrt", |x, _| (x[0].square() + 1.0).cbrt()),
    unary("lgamma", |x, _| (x[0].square() + 1.0).lgamma()),
    unary("digamma", |x, _| (x[0].square() + 1.0).digamma()),
    unary("erf_inv", |x, _| (x[0].tanh() * 0.5).erf_inv()),
    unary("clip", |x, _| x[0].clip(-0.7, 0.9)),
    unary("f32", |x, _| (x[0].cast(DType::F32).sin() * 0.125).cast(x[0].dtype()) + x[0].cos()),
    unary("bf16", |x, _| (x[0].cast(DType::BF16).sin() * 0.125).cast(x[0].dtype()) + x[0].cos()),
    unary("f64", |x, _| x[0].cast(DType::F64).tanh().square().cast(x[0].dtype())),
    unary("complex_functions", |x, _| {
        let z = complex(x[0].sin() + 2.0, &x[0]);
        (z.log() * z.sqrt() + z.sigmoid() / z.square()).imag() + z.tanh().abs()
    }),
    along("var", |x, p| x[0].var(p[0] as isize)),
    along("norm", |x, p| (x[0].square() + 1.0).norm(p[0] as isize)),
    along("cumprod", |x, p| cumprod(&x[0].tanh(), p[0] as isize)),
    along("cummax", |x, p| cummax(&x[0], p[0] as isize)),
    along("cumlogsumexp", |x, p| cumlogsumexp(&x[0], p[0] as isize)),
    along("median", |x, p| median(&x[0], p[0] as isize)),
    along("quantile", |x, p| quantile(&x[0], 0.3, p[0] as isize)),
    along("take_along_dim", |x, p| {
        let dim = p[0] as isize;
        take_along_dim(&x[0].cos(), &x[0].argsort(dim), dim)
    }),
    shape(
        "top_k",
        1,
        |x, p| p[0] > 0 && x[0].last().is_some_and(|&n| p[0] <= n),
        |x, p| top_k(&x[0], p[0]).0,
    ),
    shape("max_pool", 0, |x, _| row_of(x[0], 2), |x, _| flat(&max_pool(&image(&x[0]), &[2], &[1], &[]))),
    shape("avg_pool", 0, |x, _| row_of(x[0], 2), |x, _| flat(&avg_pool(&image(&x[0]), &[2], &[1], &[]))),
    shape("cholesky", 0, matrix, |x, _| cholesky(&positive(&x[0]))),
    shape("inv", 0, matrix, |x, _| inv(&positive(&x[0]))),
    shape("det", 0, matrix, |x, _| det(&positive(&x[0]))),
    shape("slogdet", 0, matrix, |x, _| slogdet(&positive(&x[0])).1),
    shape("expm", 0, matrix, |x, _| expm(&(positive(&x[0]) * 0.2))),
    shape("qr", 0, matrix, |x, _| qr(&tall(&x[0])).1),
    shape("pinv", 0, matrix, |x, _| pinv(&tall(&x[0]))),
    shape("complex_solve", 0, matrix, |x, _| {
        let a = complex(positive(&x[0]), positive(&x[0].sin()) * 0.3);
        solve(&a, &complex(x[0].cos(), &x[0])).abs()
    }),
    shape("attention", 0, matrix, |x, _| {
        let causal = Attention { causal: true, ..Attention::default() };
        scaled_dot_product_attention(&x[0], &x[0].sin(), &x[0].cos(), &causal)
    }),
    binary("solve", rows_of_matrix, |x, _| solve(&positive(&x[0]), &x[1])),
    binary("triangular_solve", rows_of_matrix, |x, _| triangular_solve(&positive(&x[0]), &x[1], true, false)),
    binary(
        "einsum",
        |x, _| matrix(x, &[]) && x[1].len() == 2 && x[0][0] == x[1][0],
        |x, _| einsum("ij,ik->jk", [&x[0], &x[1]]),
    ),
    binary("layer_norm", last_is_second, |x, _| layer_norm(&x[0], &x[1], &x[1].sin(), 0.1)),
    binary("rms_norm", last_is_second, |x, _| rms_norm(&x[0], &x[1], 0.1)),
    binary(
        "conv1d",
        |x, _| row_of(x[0], 1) && row_of(x[1], 1) && x[0].len() >= x[1].len() && x[0][0] >= x[1][0],
        |x, _| flat(&conv1d(&image(&x[0]), &image(&x[1]), 1, (0, 0), 1, 1)),
    ),
    binary("minimum", same, |x, _| x[0].minimum(&x[1])),
    binary("hypot", same, |x, _| x[0].hypot(x[1].square() + 1.0)),
    binary("xlogy", same, |x, _| xlogy(&x[0], x[1].square() + 1.0)),
    by_number("scatter_add", |x, _| scatter_add(&x[0], &x[1], &take(&x[0].sin(), &x[1], 0))),
    by_number("scatter_set", |x, _| scatter_set(&x[0], &x[1], &take(&x[0].sin(), &x[1], 0))),
    by_number("scatter_mul", |x, _| scatter_mul(&x[0], &x[1], &take(&x[0].sin(), &x[1], 0))),
    by_number("scatter_max", |x, _| scatter_max(&x[0], &x[1], &take(&x[0].sin(), &x[1], 0))),
    by_number("segment_sum", |x, _| segment_sum(&take(&x[0], &x[1], 0), &x[1], 3)),
    Local {
        fits: |x, _| x[0].len() == 2 && x[0][0] == x[1][0] && x[0][1] >= ROWS,
        ..by_number("cross_entropy", |x, _| cross_entropy(&x[0], &x[1]))
    },
];

/// Rows of the first operand by the numbers in the second.
const fn by_number(name: &'static str, run: fn(&[Tensor], &[usize]) -> Tensor) -> Local {
    let fits = |x: &[&[usize]], _: &[usize]| matches!(x[0].first(), Some(&rows) if rows >= ROWS);
    Local { name, operands: 2, params: 0, ids: true, fits, run, plain: run }
}

fn matrix(x: &[&[usize]], _: &[usize]) -> bool {
    x[0].len() == 2
}

fn rows_of_matrix(x: &[&[usize]], _: &[usize]) -> bool {
    matrix(x, &[]) && (1..=2).contains(&x[1].len()) && x[0][0] == x[1][0]
}

fn last_is_second(x: &[&[usize]], _: &[usize]) -> bool {
    x[1].len() == 1 && x[0].last() == x[1].first()
}

/// Whether the dims are those of a row of so many numbers or more.
fn row_of(dims: &[usize], least: usize) -> bool {
    dims.len() == 1 && dims[0] >= least
}

fn image(row: &Tensor) -> Tensor {
    row.reshape([1, 1, row.dims()[0] as isize])
}

fn flat(x: &Tensor) -> Tensor {
    x.flatten()
}

/// A matrix that is positive definite, and far from not being so.
fn positive(x: &Tensor) -> Tensor {
    let x = x.tanh();
    x.matmul(&x.t()) + eye(x.dtype(), x.dims()[0]) * 2.0
}

/// A matrix with linearly independent columns.
fn tall(x: &Tensor) -> Tensor {
    concat(&[&x.tanh(), &eye(x.dtype(), x.dims()[1])], 0)
}
