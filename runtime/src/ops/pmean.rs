//! `pmean`, and what it stands on: `axis_size`.

use super::names::{Names, axes_of};
use super::psum::psum_of;
use crate::tensor::Tensor;
use crate::types::Axis;

/// The mean over one or several named axes: `psum / axis_size`.
///
/// `T[..]{a,..} -> T[..]{..}`
///
/// # Panics
/// If the operand does not vary over one of the axes; the mean of an invariant value is the value.
#[track_caller]
pub fn pmean(x: &Tensor, axes: impl Names) -> Tensor {
    const HELP: &str =
        "\n   help: the mean of a value that is the same everywhere is the value: drop the pmean";
    let axes = axes_of("pmean", x, axes, HELP);
    let count: usize = axes.iter().map(Axis::size).product();
    psum_of(x, &axes, std::panic::Location::caller()) / count as f64
}

/// How many positions an axis has that `x` varies over.
///
/// # Panics
/// If `x` does not vary over it.
#[track_caller]
pub fn axis_size(x: &Tensor, name: &str) -> usize {
    x.axis(name).size()
}
