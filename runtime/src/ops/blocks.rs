//! The blocks that a sum over an axis is cut into.

use std::ops::Range;

use axisgrad_collectives::Node;

use crate::types::Axis;

/// The blocks of `axis` that this worker holds lanes of: the leaf of the tree that each is, and its lanes, counted
/// from this worker's first.
pub(super) fn blocks_of(axis: &Axis) -> impl Iterator<Item = (Node, Range<usize>)> {
    let (lanes, block) = (axis.lanes(), axis.block());
    let mut start = lanes.start;
    std::iter::from_fn(move || {
        let index = start / block;
        let stop = ((index + 1) * block).min(lanes.end);
        let here = start - lanes.start..stop.saturating_sub(lanes.start);
        start = stop.max(start);
        (!here.is_empty()).then_some((Node { level: 0, index: index as u64 }, here))
    })
}
