//! The ops of the format, one row each.

use axisgrad::ops::axis_index::index_along;
use axisgrad::ops::{self as op, OutOfRange};
use axisgrad::{DType, Tensor};

use super::attrs::Operands;
use super::compare::dtype;
use super::interpret::Context;
use super::record::{ArrayRecord, OneOrMany};
use super::value::array;

/// Runs an op.
pub type Rule = fn(&Context, Operands<'_>) -> Vec<Tensor>;

/// The op of that name, if axisgrad has it.
pub fn find(name: &str) -> Option<Rule> {
    [UNARY, BINARY, SHAPE, REDUCE, ORDER, CONTRACT, LINEAR_ALGEBRA, COLLECTIVE]
        .concat()
        .iter()
        .find(|row| row.0 == name)
        .map(|row| row.1)
}

type Row = (&'static str, Rule);

const UNARY: &[Row] = &[
    ("neg", |_, o| vec![-&o[0]]),
    ("abs", |_, o| vec![o[0].abs()]),
    ("sign", |_, o| vec![o[0].sign()]),
    ("exp", |_, o| vec![o[0].exp()]),
    ("exp2", |_, o| vec![o[0].exp2()]),
    ("expm1", |_, o| vec![o[0].expm1()]),
    ("log", |_, o| vec![o[0].log()]),
    ("log2", |_, o| vec![o[0].log2()]),
    ("log1p", |_, o| vec![o[0].log1p()]),
    ("sqrt", |_, o| vec![o[0].sqrt()]),
    ("rsqrt", |_, o| vec![o[0].rsqrt()]),
    ("cbrt", |_, o| vec![o[0].cbrt()]),
    ("sin", |_, o| vec![o[0].sin()]),
    ("cos", |_, o| vec![o[0].cos()]),
    ("tan", |_, o| vec![o[0].tan()]),
    ("asin", |_, o| vec![o[0].asin()]),
    ("acos", |_, o| vec![o[0].acos()]),
    ("atan", |_, o| vec![o[0].atan()]),
    ("sinh", |_, o| vec![o[0].sinh()]),
    ("cosh", |_, o| vec![o[0].cosh()]),
    ("tanh", |_, o| vec![o[0].tanh()]),
    ("asinh", |_, o| vec![o[0].asinh()]),
    ("acosh", |_, o| vec![o[0].acosh()]),
    ("atanh", |_, o| vec![o[0].atanh()]),
    ("erf", |_, o| vec![o[0].erf()]),
    ("erfc", |_, o| vec![o[0].erfc()]),
    ("erf_inv", |_, o| vec![o[0].erf_inv()]),
    ("lgamma", |_, o| vec![o[0].lgamma()]),
    ("digamma", |_, o| vec![o[0].digamma()]),
    ("sinc", |_, o| vec![o[0].sinc()]),
    ("sigmoid", |_, o| vec![o[0].sigmoid()]),
    ("softplus", |_, o| vec![o[0].softplus()]),
    ("relu", |_, o| vec![if o[0].dtype().is_inexact() { o[0].relu() } else { o[0].maximum(0) }]),
    ("relu6", |_, o| vec![o[0].relu6()]),
    ("silu", |_, o| vec![o[0].silu()]),
    ("elu", |_, o| vec![o[0].elu()]),
    ("log_sigmoid", |_, o| vec![o[0].log_sigmoid()]),
    ("square", |_, o| vec![o[0].square()]),
    ("reciprocal", |_, o| vec![o[0].reciprocal()]),
    ("floor", |_, o| vec![rounded(&o[0], Tensor::floor)]),
    ("ceil", |_, o| vec![rounded(&o[0], Tensor::ceil)]),
    ("round", |_, o| vec![rounded(&o[0], Tensor::round)]),
    ("real", |_, o| vec![o[0].real()]),
    ("imag", |_, o| vec![o[0].imag()]),
    ("conj", |_, o| vec![o[0].conj()]),
    ("angle", |_, o| vec![o[0].angle()]),
    ("stop_gradient", |_, o| vec![o[0].stop_gradient()]),
    ("logical_not", |_, o| vec![o[0].logical_not()]),
    ("isfinite", |_, o| vec![o[0].isfinite()]),
    ("integer_pow", |_, o| vec![o[0].powi(o.get("n"))]),
    ("leaky_relu", |_, o| vec![o[0].leaky_relu(o.get("alpha"))]),
    ("gelu", |_, o| vec![if o.get("approximate") { o[0].gelu() } else { o[0].gelu_exact() }]),
    ("convert", |_, o| vec![o[0].cast(dtype(&o.get::<String>("dtype")))]),
];

/// An integer is round.
fn rounded(x: &Tensor, op: fn(&Tensor) -> Tensor) -> Tensor {
    if x.dtype().is_inexact() { op(x) } else { x.clone() }
}

const BINARY: &[Row] = &[
    ("add", |_, o| vec![&o[0] + &o[1]]),
    ("sub", |_, o| vec![&o[0] - &o[1]]),
    ("mul", |_, o| vec![&o[0] * &o[1]]),
    ("div", |_, o| vec![&o[0] / &o[1]]),
    ("pow", |_, o| vec![o[0].pow(&o[1])]),
    ("maximum", |_, o| vec![o[0].maximum(&o[1])]),
    ("minimum", |_, o| vec![o[0].minimum(&o[1])]),
    ("atan2", |_, o| vec![op::atan2(&o[0], &o[1])]),
    ("rem", |_, o| vec![op::rem(&o[0], &o[1])]),
    ("logaddexp", |_, o| vec![op::logaddexp(&o[0], &o[1])]),
    ("hypot", |_, o| vec![op::hypot(&o[0], &o[1])]),
    ("complex", |_, o| vec![op::complex(&o[0], &o[1])]),
    ("xlogy", |_, o| vec![op::xlogy(&o[0], &o[1])]),
    ("lt", |_, o| vec![o[0].lt(&o[1])]),
    ("le", |_, o| vec![o[0].le(&o[1])]),
    ("gt", |_, o| vec![o[0].gt(&o[1])]),
    ("ge", |_, o| vec![o[0].ge(&o[1])]),
    ("eq", |_, o| vec![o[0].eq(&o[1])]),
    ("ne", |_, o| vec![o[0].ne(&o[1])]),
    ("logical_and", |_, o| vec![o[0].logical_and(&o[1])]),
    ("logical_or", |_, o| vec![o[0].logical_or(&o[1])]),
    ("where", |_, o| vec![op::where_(&o[0], &o[1], &o[2])]),
    ("clip", |_, o| vec![o[0].clip(&o[1], &o[2])]),
];

const SHAPE: &[Row] = &[
    ("const", |_, o| vec![Tensor::from(array(&o.get::<ArrayRecord>("value")))]),
    ("iota", |_, o| vec![op::iota(o.dtype_or(DType::I64), o.get("n"))]),
    ("eye", |_, o| vec![op::eye(o.dtype_or(DType::F64), o.get("n"))]),
    ("tril", |_, o| vec![op::tril(&o[0], o.get_or_default("k"))]),
    ("triu", |_, o| vec![op::triu(&o[0], o.get_or_default("k"))]),
    ("diag", |_, o| vec![op::diag(&o[0])]),
    ("trace", |_, o| vec![op::trace(&o[0])]),
    ("one_hot", |_, o| vec![op::one_hot(&o[0], o.get("n"), o.dtype_or(DType::F64))]),
    ("reshape", |_, o| vec![o[0].reshape(o.get::<Vec<isize>>("shape"))]),
    ("transpose", |_, o| {
        vec![o.find::<Vec<isize>>("perm").map_or_else(|| o[0].t(), |order| o[0].permute(order))]
    }),
    ("broadcast_to", |_, o| vec![o[0].broadcast_to(&o.get::<Vec<usize>>("shape"))]),
    ("expand_dims", |_, o| vec![o[0].expand_dims(o.get("axis"))]),
    ("squeeze", |_, o| vec![squeeze(o)]),
    ("concat", |_, o| vec![op::concat(&o.inputs.iter().collect::<Vec<_>>(), o.get("axis"))]),
    ("stack", |_, o| vec![op::stack(&o.inputs.iter().collect::<Vec<_>>(), o.get_or_default("axis"))]),
    ("slice", |_, o| {
        let steps = o.find("strides").unwrap_or_else(|| vec![1; o[0].ndim()]);
        let (starts, stops): (Vec<usize>, Vec<usize>) = (o.get("start"), o.get("limit"));
        vec![op::strided_slice(&o[0], &starts, &stops, &steps)]
    }),
    ("pad", |_, o| {
        vec![pad(&o[0], &o.get::<Vec<(isize, isize, usize)>>("config"), o.find("value").unwrap_or(0.0))]
    }),
    ("flip", |_, o| vec![o.dims().iter().fold(o[0].clone(), |x, &dim| x.flip(dim))]),
    ("roll", |_, o| vec![o[0].roll(o.get("shift"), o.get("axis"))]),
    ("tile", |_, o| vec![o[0].tile(&o.get::<Vec<usize>>("reps"))]),
    ("index", |_, o| vec![index(&o[0], &o[1])]),
    ("take", |_, o| {
        let dim: isize = o.get_or_default("axis");
        let size = o[0].dim(dim) as i64;
        vec![match o.find::<String>("mode").as_deref() {
            Some("clip") => op::take_or(&o[0], &o[1], dim, OutOfRange::Clip),
            Some("wrap") => op::take(&o[0], &(o[1].cast(DType::I64) % size), dim),
            _ => op::take_or(&o[0], &o[1], dim, OutOfRange::Fill),
        }]
    }),
    ("take_along_axis", |_, o| vec![op::take_along_dim_or(&o[0], &o[1], o.get("axis"), OutOfRange::Fill)]),
    ("scatter_add", |_, o| vec![op::scatter_add_or(&o[0], &o[1], &rows(o), OutOfRange::Fill)]),
    ("scatter_set", |_, o| vec![op::scatter_set_or(&o[0], &o[1], &rows(o), OutOfRange::Fill)]),
    ("scatter_mul", |_, o| vec![op::scatter_mul_or(&o[0], &o[1], &rows(o), OutOfRange::Fill)]),
    ("dynamic_slice", |_, o| {
        let starts: Vec<&Tensor> = o.inputs[1..].iter().collect();
        vec![op::dynamic_slice(&o[0], &starts, &o.get::<Vec<usize>>("sizes"))]
    }),
    ("segment_sum", |_, o| {
        // Numbers below 0 are out of range too.
        let (ids, n) = (o[1].cast(DType::I64), o.get::<usize>("n"));
        let ids = op::where_(ids.lt(0), n as i64, &ids);
        vec![op::segment_sum_or(&o[0], &ids, n, OutOfRange::Fill)]
    }),
];

/// The updates of a scatter, broadcast to one row for each number.
fn rows(operands: Operands<'_>) -> Tensor {
    let dims = [operands[1].dims(), &operands[0].dims()[1..]].concat();
    operands[2].broadcast_to(&dims)
}

fn squeeze(operands: Operands<'_>) -> Tensor {
    let x = &operands[0];
    let ones = || (0..x.ndim() as isize).filter(|&dim| x.dim(dim) == 1).collect();
    let dims = operands.find::<OneOrMany<isize>>("axis").map_or_else(ones, |dims| dims.as_slice().to_vec());
    let mut dims: Vec<isize> = dims.iter().map(|dim| dim.rem_euclid(x.ndim() as isize)).collect();
    dims.sort_unstable();
    dims.iter().rev().fold(x.clone(), |x, &dim| x.squeeze(dim))
}

/// Negative widths cut off.
fn pad(x: &Tensor, config: &[(isize, isize, usize)], value: f64) -> Tensor {
    let widths: Vec<_> =
        config.iter().map(|&(low, high, inner)| (low.max(0) as usize, high.max(0) as usize, inner)).collect();
    let cut = |x: Tensor, (dim, &(low, high, _)): (usize, &(isize, isize, usize))| {
        let stop = x.dims()[dim] - (-high).max(0) as usize;
        x.slice(dim as isize, (-low).max(0) as usize..stop)
    };
    config.iter().enumerate().fold(x.pad(&widths, value), cut)
}

/// In the format a row that is not there reads as the last one, and gets no gradient.
fn index(x: &Tensor, ids: &Tensor) -> Tensor {
    let wrapped = op::where_(ids.lt(0), ids + x.dims()[0] as i32, ids);
    let (there, nearest) =
        (op::take_or(x, ids, 0, OutOfRange::Zero), op::take_or(x, &wrapped, 0, OutOfRange::Clip));
    &there + (nearest - &there).stop_gradient()
}

const REDUCE: &[Row] = &[
    ("sum", |_, o| vec![kept(o, o[0].sum(&o.dims()[..]))]),
    ("mean", |_, o| vec![kept(o, o[0].mean(&o.dims()[..]))]),
    ("var", |_, o| vec![kept(o, op::var_ddof(&o[0], &o.dims()[..], o.get_or_default("ddof")))]),
    ("std", |_, o| vec![kept(o, op::std_ddof(&o[0], &o.dims()[..], o.get_or_default("ddof")))]),
    ("norm", |_, o| vec![kept(o, op::norm(&o[0], &o.dims()[..]))]),
    ("logsumexp", |_, o| vec![kept(o, o[0].logsumexp(&o.dims()[..]))]),
    ("prod", |_, o| vec![kept(o, o[0].prod(&o.dims()[..]))]),
    ("max", |_, o| vec![kept(o, o[0].max(&o.dims()[..]))]),
    ("min", |_, o| vec![kept(o, o[0].min(&o.dims()[..]))]),
    ("any", |_, o| vec![kept(o, o[0].any(&o.dims()[..]))]),
    ("all", |_, o| vec![kept(o, o[0].all(&o.dims()[..]))]),
    ("argmax", |_, o| vec![positions(o, |x, dim| x.argmax(dim))]),
    ("argmin", |_, o| vec![positions(o, |x, dim| x.argmin(dim))]),
    ("softmax", |_, o| vec![o[0].softmax(o.find("axis").unwrap_or(-1))]),
    ("log_softmax", |_, o| vec![o[0].log_softmax(o.find("axis").unwrap_or(-1))]),
];

const ORDER: &[Row] = &[
    ("sort", |_, o| vec![op::sort(&o[0], o.find("axis").unwrap_or(-1))]),
    ("argsort", |_, o| vec![op::argsort(&o[0], o.find("axis").unwrap_or(-1)).cast(DType::I64)]),
    ("top_k", |_, o| Vec::from(<[Tensor; 2]>::from(op::top_k(&o[0], o.get("k"))))),
    ("median", |_, o| vec![kept(o, median(o))]),
    ("cumsum", |_, o| vec![directed(o, op::cumsum)]),
    ("cumprod", |_, o| vec![directed(o, op::cumprod)]),
    ("cummax", |_, o| vec![directed(o, op::cummax)]),
    ("cumlogsumexp", |_, o| vec![directed(o, op::cumlogsumexp)]),
];

/// Of all elements, where no dim is named; the format counts in 64 bits.
fn positions(operands: Operands<'_>, op: fn(&Tensor, isize) -> Tensor) -> Tensor {
    let found =
        operands.find("axis").map_or_else(|| op(&operands[0].flatten(), 0), |dim| op(&operands[0], dim));
    found.cast(DType::I64)
}

/// Over several dims, made one.
fn median(operands: Operands<'_>) -> Tensor {
    let (x, ndim) = (&operands[0], operands[0].ndim() as isize);
    let gone: Vec<isize> = operands.dims().iter().map(|dim| dim.rem_euclid(ndim.max(1))).collect();
    let left: Vec<isize> = (0..ndim).filter(|dim| !gone.contains(dim)).collect();
    let dims: Vec<isize> = left.iter().map(|&dim| x.dim(dim) as isize).collect();
    let rows = x.permute([&left[..], &gone].concat()).reshape([&dims[..], &[-1]].concat());
    op::median(&rows, -1)
}

/// A cumulative op, from the end where that is asked for.
fn directed(operands: Operands<'_>, op: fn(&Tensor, isize) -> Tensor) -> Tensor {
    let (x, dim) = (&operands[0], operands.get("axis"));
    if operands.get_or_default::<bool>("reverse") { op(&x.flip(dim), dim).flip(dim) } else { op(x, dim) }
}

/// Dims that a reduction removed, back as dims of size 1 where that is asked for.
fn kept(operands: Operands<'_>, reduced: Tensor) -> Tensor {
    if !operands.get_or_default::<bool>("keepdims") {
        return reduced;
    }
    let ndim = operands[0].ndim() as isize;
    let mut dims: Vec<isize> = operands.dims().iter().map(|dim| dim.rem_euclid(ndim)).collect();
    dims.sort_unstable();
    dims.iter().fold(reduced, |x, &dim| x.expand_dims(dim))
}

const CONTRACT: &[Row] = &[
    ("einsum", |_, o| vec![op::einsum(&o.get::<String>("spec"), o.inputs.iter().collect::<Vec<_>>())]),
    ("matmul", |_, o| vec![op::matmul(&o[0], &o[1])]),
    ("conv", |_, o| vec![conv(o)]),
    ("max_pool", |_, o| vec![pooled(o, op::max_pool)]),
    ("avg_pool", |_, o| vec![pooled(o, op::avg_pool)]),
];

/// Negative padding cuts the dilated input.
fn conv(operands: Operands<'_>) -> Tensor {
    let [strides, lhs, rhs]: [Vec<usize>; 3] =
        ["strides", "lhs_dilation", "rhs_dilation"].map(|name| operands.get_or_default(name));
    let (x, kernel, groups) = (&operands[0], &operands[1], operands.find("groups").unwrap_or(1));
    let padding: Vec<(isize, isize)> = operands.get_or_default("padding");
    let widths: Option<Vec<(usize, usize)>> =
        padding.iter().map(|&(low, high)| Some((low.try_into().ok()?, high.try_into().ok()?))).collect();
    if let Some(widths) = widths {
        return op::conv(x, kernel, &strides, &widths, &lhs, &rhs, groups);
    }
    let inner = |dim: usize| lhs.get(dim).copied().unwrap_or(1) - 1;
    let spatial = padding.iter().enumerate().map(|(dim, &(low, high))| (low, high, inner(dim)));
    let config: Vec<_> = [(0, 0, 0); 2].into_iter().chain(spatial).collect();
    op::conv(&pad(x, &config, 0.0), kernel, &strides, &[], &[], &rhs, groups)
}

type Pool = fn(&Tensor, &[usize], &[usize], &[(usize, usize)]) -> Tensor;

fn pooled(operands: Operands<'_>, pool: Pool) -> Tensor {
    let [window, strides]: [Vec<usize>; 2] = ["window", "strides"].map(|name| operands.get(name));
    pool(&operands[0], &window, &strides, &operands.get_or_default::<Vec<_>>("padding"))
}

const LINEAR_ALGEBRA: &[Row] = &[
    ("cholesky", |_, o| vec![op::cholesky(&o[0])]),
    ("solve", |_, o| vec![op::solve(&o[0], &o[1])]),
    ("inv", |_, o| vec![op::inv(&o[0])]),
    ("det", |_, o| vec![op::det(&o[0])]),
    ("slogdet", |_, o| Vec::from(<[Tensor; 2]>::from(op::slogdet(&o[0])))),
    ("triangular_solve", |_, o| {
        // Transposed and conjugated, where it is 2.
        let adjoint = o.find::<serde_json::Value>("trans").is_some_and(|trans| trans.as_i64() == Some(2));
        let a = if adjoint { o[0].conj() } else { o[0].clone() };
        vec![op::triangular_solve(&a, &o[1], o.get_or_default("lower"), transposes(o))]
    }),
    ("eigvalsh", |_, o| vec![op::eigvalsh(&o[0])]),
    ("svdvals", |_, o| vec![op::svdvals(&o[0])]),
    ("matrix_power", |_, o| vec![op::matrix_power(&o[0], o.get("n"))]),
    ("expm", |_, o| vec![op::expm(&o[0])]),
];

/// The attribute `trans`: 0 or 1, or a truth value.
fn transposes(operands: Operands<'_>) -> bool {
    let trans: serde_json::Value = operands.get_or_default("trans");
    trans.as_bool().unwrap_or_else(|| trans.as_i64().is_some_and(|n| n != 0))
}

/// In the format a collective may be given a value that does not vary; it counts as varying. axisgrad wants that
/// said.
const COLLECTIVE: &[Row] = &[
    ("psum", |c, o| vec![op::psum(&varying(c, o), &o.get::<Vec<String>>("axes"))]),
    ("pmean", |c, o| vec![op::pmean(&varying(c, o), &o.get::<Vec<String>>("axes"))]),
    ("pmax", |c, o| vec![op::pmax(&varying(c, o), &o.get::<Vec<String>>("axes"))]),
    ("ppermute", |c, o| {
        let pairs: Vec<(usize, usize)> = o.get("perm");
        vec![op::ppermute(&varying(c, o), &name(o), &pairs)]
    }),
    ("all_gather", |c, o| {
        let (dim, x) = (o.get_or_default("axis"), varying(c, o));
        let x = if o.get_or_default("tiled") { x } else { x.expand_dims(dim) };
        vec![op::all_gather(&x, &name(o), dim)]
    }),
    ("psum_scatter", |c, o| {
        let dim = o.get_or_default("dim");
        let part = op::psum_scatter(&varying(c, o), &name(o), dim);
        vec![if o.get_or_default("tiled") { part } else { part.squeeze(dim) }]
    }),
    ("all_to_all", |c, o| vec![all_to_all(&varying(c, o), o)]),
    ("axis_index", |c, o| vec![index_along(c.axis(&name(o)))]),
];

fn name(operands: Operands<'_>) -> String {
    operands.get("axis_name")
}

fn varying(context: &Context, operands: Operands<'_>) -> Tensor {
    let names = operands.find("axes").unwrap_or_else(|| vec![operands.get::<String>("axis_name")]);
    let missing = names.iter().filter(|name| !operands[0].axes().contains(name));
    missing.fold(operands[0].clone(), |x, name| op::pvary(&x, context.axis(name)))
}

/// Untiled, the dim `split` goes and a dim for the source comes at `concat` of the result.
fn all_to_all(x: &Tensor, operands: Operands<'_>) -> Tensor {
    let (split, concat): (isize, isize) = (operands.get("split"), operands.get("concat"));
    let name = name(operands);
    if operands.get_or_default("tiled") {
        return op::all_to_all(x, &name, split, concat);
    }
    let (split, concat) = if concat <= split { (split + 1, concat) } else { (split, concat + 1) };
    op::all_to_all(&x.expand_dims(concat), &name, split, concat).squeeze(split)
}
