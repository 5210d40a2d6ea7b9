//! Functions of one and two numbers.

use axisgrad::ops::{self as op, where_};
use axisgrad::{DType, Tensor};

use super::row::{Group, Row, row, wave, waves};

fn bits() -> Vec<Tensor> {
    vec![Tensor::from([12, 7, -3]), Tensor::from([10, 1, 2])]
}

fn number() -> Vec<Tensor> {
    vec![op::complex(wave(&[2, 3]), waves(&[2, 3], 4))]
}

fn pair() -> Vec<Tensor> {
    vec![waves(&[2, 3], 1), waves(&[3], 2)]
}

fn one(name: &'static str, call: fn(&[Tensor]) -> Tensor) -> Row {
    row(name, vec![wave(&[2, 3])], call)
}

fn two(name: &'static str, call: fn(&[Tensor]) -> Tensor) -> Row {
    row(name, pair(), call)
}

/// Functions of one number.
pub fn unary() -> Group {
    let rows = vec![
        one("neg", |x| x[0].neg()),
        one("abs", |x| x[0].abs()),
        one("sign", |x| x[0].sign()),
        one("exp", |x| x[0].exp()),
        one("exp2", |x| x[0].exp2()),
        one("expm1", |x| x[0].expm1()),
        one("log", |x| x[0].log()),
        one("log2", |x| x[0].log2()),
        one("log10", |x| x[0].log10()),
        one("log1p", |x| x[0].log1p()),
        one("sqrt", |x| x[0].sqrt()),
        one("rsqrt", |x| x[0].rsqrt()),
        one("cbrt", |x| x[0].cbrt()),
        one("square", |x| x[0].square()),
        one("powi", |x| x[0].powi(3)),
        one("reciprocal", |x| x[0].reciprocal()),
        one("sin", |x| x[0].sin()),
        one("cos", |x| x[0].cos()),
        one("tan", |x| x[0].tan()),
        one("asin", |x| x[0].asin()),
        one("acos", |x| x[0].acos()),
        one("atan", |x| x[0].atan()),
        one("sinh", |x| x[0].sinh()),
        one("cosh", |x| x[0].cosh()),
        one("asinh", |x| x[0].asinh()),
        one("acosh", |x| (&x[0] + 1.0).acosh()),
        one("atanh", |x| x[0].atanh()),
        one("sinc", |x| x[0].sinc()),
        one("erf", |x| x[0].erf()),
        one("erfc", |x| x[0].erfc()),
        one("erf_inv", |x| x[0].erf_inv()),
        one("lgamma", |x| x[0].lgamma()),
        one("digamma", |x| x[0].digamma()),
        one("polygamma", |x| x[0].polygamma(1)),
        one("floor", |x| x[0].floor()),
        one("ceil", |x| x[0].ceil()),
        one("trunc", |x| x[0].trunc()),
        one("round", |x| x[0].round()),
        one("isnan", |x| x[0].isnan()),
        one("isinf", |x| x[0].isinf()),
        one("isfinite", |x| x[0].isfinite()),
        row("real", number(), |x| x[0].real()),
        row("imag", number(), |x| x[0].imag()),
        row("conj", number(), |x| x[0].conj()),
        row("angle", number(), |x| x[0].angle()),
        one("cast", |x| x[0].cast(DType::C128).cast(x[0].dtype())),
        row("logical_not", vec![Tensor::from([true, false])], |x| x[0].logical_not()),
        row("bitwise_not", bits(), |x| x[0].bitwise_not()),
    ];
    Group { title: "Functions of one number", rows }
}

/// Functions of two and three numbers.
pub fn binary() -> Group {
    let rows = vec![
        two("add", |x| op::add(&x[0], &x[1])),
        two("sub", |x| op::sub(&x[0], &x[1])),
        two("mul", |x| op::mul(&x[0], &x[1])),
        two("div", |x| op::div(&x[0], &x[1])),
        two("rem", |x| op::rem(&x[0], &x[1])),
        two("pow", |x| op::pow(&x[0], &x[1])),
        two("maximum", |x| op::maximum(&x[0], &x[1])),
        two("minimum", |x| op::minimum(&x[0], &x[1])),
        two("atan2", |x| op::atan2(&x[0], &x[1])),
        two("hypot", |x| op::hypot(&x[0], &x[1])),
        two("logaddexp", |x| op::logaddexp(&x[0], &x[1])),
        two("xlogy", |x| op::xlogy(&x[0], &x[1])),
        two("complex", |x| op::complex(&x[0], &x[1])),
        two("eq", |x| op::eq(&x[0], &x[1])),
        two("ne", |x| op::ne(&x[0], &x[1])),
        two("lt", |x| op::lt(&x[0], &x[1])),
        two("le", |x| op::le(&x[0], &x[1])),
        two("gt", |x| op::gt(&x[0], &x[1])),
        two("ge", |x| op::ge(&x[0], &x[1])),
        two("logical_and", |x| op::logical_and(&x[0], &x[1])),
        two("logical_or", |x| op::logical_or(&x[0], &x[1])),
        two("logical_xor", |x| op::logical_xor(&x[0], &x[1])),
        row("bitwise_and", bits(), |x| op::bitwise_and(&x[0], &x[1])),
        row("bitwise_or", bits(), |x| op::bitwise_or(&x[0], &x[1])),
        row("bitwise_xor", bits(), |x| op::bitwise_xor(&x[0], &x[1])),
        row("left_shift", bits(), |x| op::left_shift(&x[0], &x[1])),
        row("right_shift", bits(), |x| op::right_shift(&x[0], &x[1])),
        row("where_", vec![Tensor::from([true, false, true]), waves(&[2, 3], 1), waves(&[3], 2)], |x| {
            where_(&x[0], &x[1], &x[2])
        }),
        two("clip", |x| x[0].clip(0.5, &x[1])),
        two("clamp", |x| x[0].clamp(0.5, &x[1])),
        row("masked_fill", vec![waves(&[2, 3], 1), Tensor::from([true, false, true]), wave(&[])], |x| {
            x[0].masked_fill(&x[1], &x[2])
        }),
    ];
    Group { title: "Functions of two and three numbers", rows }
}
