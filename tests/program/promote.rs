//! Where the format's integers become other types than axisgrad's: it was made in 64-bit mode.

use axisgrad::{DType, Tensor};

/// Ops that make floats of integers.
const FLOATING: &[&str] = &[
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log1p",
    "sqrt",
    "rsqrt",
    "cbrt",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "erf",
    "erfc",
    "erf_inv",
    "lgamma",
    "digamma",
    "sinc",
    "softplus",
    "reciprocal",
    "div",
    "atan2",
    "hypot",
    "logaddexp",
    "xlogy",
    "mean",
    "var",
    "std",
    "logsumexp",
    "norm",
    "median",
    "softmax",
    "log_softmax",
];

/// The operands of `op` in the type that it computes in: wide integers make wide floats, and are summed as such.
pub fn promoted(op: &str, inputs: Vec<Tensor>) -> Vec<Tensor> {
    let to = |x: &Tensor| match (op, x.dtype()) {
        (_, dtype) if dtype.is_inexact() || dtype == DType::Float0 => dtype,
        ("elu" | "relu6", _) => DType::F64,
        ("sum" | "prod" | "trace", DType::U32 | DType::U64) => DType::U64,
        ("sum" | "prod" | "trace", _) => DType::I64,
        ("logsumexp" | "softmax" | "log_softmax", DType::I32 | DType::U32 | DType::Bool) => DType::F32,
        (_, DType::I64 | DType::U64) if FLOATING.contains(&op) => DType::F64,
        (_, dtype) => dtype,
    };
    inputs.iter().map(|x| x.cast(to(x))).collect()
}
