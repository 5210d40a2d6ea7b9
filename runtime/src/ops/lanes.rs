//! Moving lanes: what the collectives that rearrange positions share.

use std::ops::Range;
use std::panic::Location;

use axisgrad_collectives::axis::share;
use axisgrad_collectives::{Call, Part, Parts, interrupt};
use smallvec::smallvec;

use crate::array::kernels::concat;
use crate::array::{Array, Dims};
use crate::dtype::{DType, dispatch};
use crate::types::Axis;

type Site = &'static Location<'static>;

/// Moves dim `from` to place `to`.
pub(crate) fn move_dim(x: &Array, from: usize, to: usize) -> Array {
    let mut order: Dims = (0..x.ndim()).filter(|&d| d != from).collect();
    order.insert(to, from);
    x.permute(&order)
}

/// The positions of each member of the axis's group; of the only worker, if there is no group.
pub(crate) fn lanes_of_members(axis: &Axis) -> Vec<Range<usize>> {
    let Some(group) = axis.group() else { return vec![axis.lanes()] };
    let part = |member| {
        let range = share(axis.size() as u64, axis.block() as u64, group.size(), member);
        range.start as usize..range.end as usize
    };
    (0..group.size()).map(part).collect()
}

/// All positions from everybody: `[lanes, ..] -> [size, ..]`, the same on every worker.
pub(crate) fn all_positions(op: &'static str, x: &Array, axis: &Axis, site: Site) -> Array {
    let Some(group) = axis.group() else { return x.clone() };
    let call = Call::at(op, site).dims(&x.dims()[1..]);
    let data = x.contiguous_buffer();
    let parts =
        dispatch!(x.dtype(), T => group.all_gather::<T>(&call, data)).unwrap_or_else(|e| interrupt(e));
    let arrays: Vec<Array> = lanes_of_members(axis)
        .into_iter()
        .zip(parts)
        .map(|(lanes, part)| rows(x.dtype(), lanes.len(), &x.dims()[1..], part))
        .collect();
    concat(&arrays.iter().collect::<Vec<_>>(), 0)
}

fn rows(dtype: DType, count: usize, rest: &[usize], part: Part) -> Array {
    let dims: Dims = std::iter::once(count).chain(rest.iter().copied()).collect();
    let size = dtype.size();
    let all = Array::from_buffer(dtype, [part.buffer.bytes().len() / size], part.buffer);
    all.slice(0, part.range.start / size, part.range.end / size, 1).reshape(&dims)
}

/// Everybody's rows for everybody: `send(q)` is what goes to the worker that holds the positions `q`, with rows of `row`
/// dims, and `received(q)` how many come from there; the result is what came from each worker, in the order of the
/// positions.
pub(crate) fn exchange(
    call: &Call,
    axis: &Axis,
    (dtype, row): (DType, &[usize]),
    send: impl Fn(&Range<usize>) -> Array,
    received: impl Fn(&Range<usize>) -> usize,
) -> Vec<Array> {
    let members = lanes_of_members(axis);
    let Some(group) = axis.group() else { return vec![send(&members[0])] };
    let parts: Vec<Parts> =
        members.iter().map(|q| smallvec![Part::whole(send(q).contiguous_buffer())]).collect();
    let came = dispatch!(dtype, T => group.all_to_all::<T>(call, parts)).unwrap_or_else(|e| interrupt(e));
    let one = |(p, mut parts): (&Range<usize>, Parts)| match parts.pop() {
        Some(part) => rows(dtype, received(p), row, part),
        None => Array::zeros(dtype, std::iter::once(0).chain(row.iter().copied()).collect::<Dims>()),
    };
    members.iter().zip(came).map(one).collect()
}
