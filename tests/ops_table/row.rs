//! An op with arguments to try it at.

use axisgrad::Tensor;

/// What is tried.
pub struct Row {
    /// The name in `axisgrad::ops`.
    pub name: &'static str,
    /// Floats are differentiated; integers and bools are passed as they are.
    pub args: Vec<Tensor>,
    /// The op.
    pub call: fn(&[Tensor]) -> Tensor,
    /// Why a lane alone may differ from all together, if it is meant to.
    pub own_lanes: Option<&'static str>,
}

/// Rows under one heading.
pub struct Group {
    /// The heading.
    pub title: &'static str,
    /// The ops.
    pub rows: Vec<Row>,
}

/// A row.
pub fn row(name: &'static str, args: Vec<Tensor>, call: fn(&[Tensor]) -> Tensor) -> Row {
    Row { name, args, call, own_lanes: None }
}

/// Numbers in ]0.2, 0.9[ without order or pattern: `f64[dims]`.
pub fn wave(dims: &[usize]) -> Tensor {
    waves(dims, 0)
}

/// As [`wave`], other ones for each `seed`.
pub fn waves(dims: &[usize], seed: usize) -> Tensor {
    let number = |i: usize| 0.55 + 0.33 * ((i * i + 3 * i + 7 * seed + 1) as f64).sin();
    let numbers: Vec<f64> = (0..dims.iter().product()).map(number).collect();
    Tensor::from(numbers).reshape(dims.iter().map(|&n| n as isize).collect::<Vec<_>>())
}

/// Integers that name rows of tables with three or more.
pub fn ids() -> Tensor {
    Tensor::from([2, 0, -1])
}
