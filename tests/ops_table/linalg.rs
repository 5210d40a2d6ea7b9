//! Products and linear algebra.

use axisgrad::ops::{self as op};
use axisgrad::{DType, Tensor};

use super::row::{Group, Row, row, wave, waves};

/// Far from singular.
fn square() -> Tensor {
    wave(&[3, 3]) + op::eye(DType::F64, 3) * 2.0
}

fn one(name: &'static str, call: fn(&[Tensor]) -> Tensor) -> Row {
    row(name, vec![square()], call)
}

fn two(name: &'static str, call: fn(&[Tensor]) -> Tensor) -> Row {
    row(name, vec![square(), waves(&[3, 2], 1)], call)
}

fn products() -> Vec<Row> {
    let factors = || vec![waves(&[2, 3], 1), waves(&[3, 4], 2)];
    vec![
        row("dot", factors(), |x| op::dot(&x[0], &x[1])),
        row("dot_general", factors(), |x| op::dot_general(&x[0], &x[1], &[(1, 0)], &[])),
        row("einsum", factors(), |x| op::einsum("ij,jk->ki", [&x[0], &x[1]])),
        row("matmul", factors(), |x| op::matmul(&x[0], &x[1])),
        row("outer", vec![waves(&[2], 1), waves(&[3], 2)], |x| op::outer(&x[0], &x[1])),
        row("tensordot", factors(), |x| op::tensordot(&x[0], &x[1], 1)),
        row("kron", factors(), |x| op::kron(&x[0], &x[1])),
    ]
}

/// Their rows.
pub fn rows() -> Group {
    let mut rows = products();
    rows.extend([
        one("trace", |x| op::trace(&x[0])),
        one("cholesky", |x| op::cholesky(&x[0])),
        two("triangular_solve", |x| op::triangular_solve(&x[0], &x[1], true, false)),
        two("solve", |x| op::solve(&x[0], &x[1])),
        one("inv", |x| op::inv(&x[0])),
        one("det", |x| op::det(&x[0])),
        one("slogdet", |x| op::slogdet(&x[0]).1),
        one("lu", |x| op::lu(&x[0]).1 + op::lu(&x[0]).2),
        one("qr", |x| op::qr(&x[0]).0 + op::qr(&x[0]).1),
        // The signs and phases of singular vectors and eigenvectors are open; their sizes do not depend on them.
        one("svd", |x| {
            let (u, s, vt) = op::svd(&x[0]);
            u.abs().square() + vt.abs().square() * s
        }),
        one("svdvals", |x| op::svdvals(&x[0])),
        one("eigh", |x| op::eigh(&x[0]).1.abs().square()),
        one("eigvalsh", |x| op::eigvalsh(&x[0])),
        one("pinv", |x| op::pinv(&op::slice(&x[0], 1, ..2))),
        two("lstsq", |x| op::lstsq(&op::slice(&x[0], 1, ..2), &x[1])),
        one("matrix_power", |x| op::matrix_power(&x[0], 3)),
        one("expm", |x| op::expm(&x[0])),
    ]);
    Group { title: "Products and linear algebra", rows }
}
