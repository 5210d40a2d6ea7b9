//! Random tensors that vary over axes: each worker draws its own positions, whose numbers do not depend on which
//! these are.

use std::ops::Range;

use crate::array::{Array, Dims};
use crate::dtype::Scalar;
use crate::tensor::Tensor;
use crate::types::{Axis, AxisSet};

/// This worker's part of what `numbers` draws for all positions together, with the axes as the first dims:
/// `-> T[dims]{axes}`. `numbers` is given how many there are in all, and the range to draw.
pub fn drawn<T: Scalar>(
    axes: &AxisSet,
    dims: &[usize],
    mut numbers: impl FnMut(usize, Range<usize>) -> Vec<T>,
) -> Tensor {
    let row: usize = dims.iter().product();
    let total = row * axes.iter().map(Axis::size).product::<usize>();
    let mut data = Vec::new();
    for run in runs(axes, row) {
        let more = numbers(total, run);
        // The first run is often all there is.
        if data.is_empty() { data = more } else { data.extend(more) }
    }
    let dims: Dims = axes.lane_dims().into_iter().chain(dims.iter().copied()).collect();
    Tensor::ground(Array::from_vec(data, dims), axes.clone())
}

/// The ranges of numbers that this worker's positions hold, in order; an element has `len` numbers.
fn runs(axes: &AxisSet, len: usize) -> Vec<Range<usize>> {
    let Some(last) = axes.iter().last() else { return std::iter::once(0..len).collect() };
    let outer = axes.iter().take(axes.len() - 1).fold(vec![0], |starts, axis| {
        starts.iter().flat_map(|start| axis.lanes().map(move |i| start * axis.size() + i)).collect()
    });
    let (size, lanes) = (last.size(), last.lanes());
    outer.iter().map(|i| (i * size + lanes.start) * len..(i * size + lanes.end) * len).collect()
}
