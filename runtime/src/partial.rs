//! Sums over an axis that have not been done yet: this worker's lanes are summed, nothing is communicated.
//!
//! Addition is commutative bit for bit; only its association changes results. So it is fixed once: positions are
//! cut into blocks, and one binary tree over the blocks of the whole axis joins them. A worker joins what it
//! holds of the tree, and only the maximal subtrees travel.

use std::panic::Location;

use axisgrad_collectives::collective::tree;
use axisgrad_collectives::{Buffer, Call, Group, Node, Partial, Pending, Reduction, interrupt};

use crate::array::kernels::{add_into, cast as cast_array};
use crate::array::{Array, Dims};
use crate::bind::computable;
use crate::dtype::{DType, Scalar, dispatch};
use crate::listed::{Listed, PerOperand};
use crate::op::SumOp;
use crate::ops::cast;
use crate::ops::lanes::move_dim;
use crate::ops::psum::Psum;
use crate::tensor::Tensor;
use crate::types::{Axis, AxisSet};

type Site = &'static Location<'static>;

/// One outstanding sum.
pub(crate) struct PartialSum {
    axis: Axis,
    /// Axes to be summed once `axis` is.
    rest: AxisSet,
    /// What the parts still vary over: `rest`, and the axes that stay.
    lanes: AxisSet,
    /// What the parts are summed in.
    dtype: DType,
    /// What the sum is rounded to when it is done.
    result: DType,
    /// The shape of a part, lane dims first: it must be known where a worker has no part.
    dims: Dims,
    /// The sums of disjoint pieces of this worker's positions: single blocks, or whole subtrees if `joined`.
    parts: Vec<(Node, Array)>,
    joined: bool,
}

impl PartialSum {
    /// The sums that `op` makes of this worker's lanes; `joined` to have them as few subtrees, which can then no
    /// longer be added to others.
    pub fn of(op: &dyn SumOp, inputs: &[Array], union: &AxisSet, joined: bool) -> Self {
        let axis = op.summed().iter().next().expect("an axis to sum over").clone();
        let lanes = union.filter(|a| a.name() != axis.name());
        let rest = op.summed().filter(|a| a.name() != axis.name());
        let (result, dims) = op.part_type(inputs, union);
        let dims = lanes.lane_dims().into_iter().chain(dims).listed();
        let inputs: PerOperand<Array> = inputs.iter().map(computable).listed();
        let parts = op.block_sums(&inputs, union, joined);
        Self { axis, rest, lanes, dtype: result.compute(), result, dims, parts, joined }
    }

    /// The lanes of `x` along `axes`, to be summed.
    #[track_caller]
    pub fn of_lanes(x: &Tensor, axes: &AxisSet) -> Self {
        Self::of(&Psum::over(axes, Location::caller()), &[x.array().clone()], x.axes(), true)
    }

    /// Whether `other` is a sum of the same blocks to the same shape.
    pub fn adds_to(&self, other: &Self) -> bool {
        let joined = self.joined || other.joined;
        !joined && self.axis == other.axis && self.rest == other.rest && self.lanes == other.lanes
    }

    /// Adds block by block.
    pub fn add(&mut self, other: Self) {
        for ((_, sum), (_, part)) in self.parts.iter_mut().zip(&other.parts) {
            add_into(sum, part);
        }
    }

    /// Bytes that would travel.
    pub fn bytes(&self) -> usize {
        self.len() * self.dtype.size()
    }

    fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether `other` can be in one message with this: the same workers, positions and dtype.
    pub fn travels_with(&self, other: &Self) -> bool {
        self.axis == other.axis && self.dtype == other.dtype
    }

    /// Does the sum: waits for the other workers.
    pub fn finish(self, site: Site) -> Tensor {
        Self::start(vec![self], site).finish().pop().expect("one sum")
    }

    /// Does a sum of which every worker needs a part alone: so many of the places along dim `dim` of the sum, in the
    /// workers' order.
    pub fn scatter(mut self, dim: usize, counts: &[usize], site: Site) -> Array {
        self.join();
        let Some(group) = self.axis.group().filter(|group| group.size() > 1) else {
            return cast_array(&self.local(), self.result);
        };
        let mut dims: Dims = self.dims.clone();
        dims.remove(dim);
        let row = dims.iter().product::<usize>();
        dims.insert(0, counts[group.index()]);
        let counts: Vec<usize> = counts.iter().map(|count| count * row).collect();
        let call = Call::at("psum_scatter", site).dims(&[self.len()]).also(dim);
        let partials = self
            .parts
            .iter()
            .map(|(node, part)| Partial { node: *node, data: move_dim(part, dim, 0).contiguous_buffer() });
        let (partials, leaves) = (partials.collect(), self.axis.leaves());
        let own = dispatch!(self.dtype, T => {
            group.reduce_scatter_tree::<T>(&call, Reduction::Sum, leaves, partials, &counts)
        });
        let own = Array::from_buffer(self.dtype, dims, own.unwrap_or_else(|error| interrupt(error)));
        cast_array(&move_dim(&own, 0, dim), self.result)
    }

    /// Sends off sums that travel together, and does not wait.
    pub fn start(mut sums: Vec<Self>, site: Site) -> Started {
        let axis = sums[0].axis.clone();
        sums.iter_mut().for_each(Self::join);
        // A worker that is alone along the axis has the sum.
        let group = axis.group().filter(|group| group.size() > 1);
        let pending = group.map(|group| dispatch!(sums[0].dtype, T => send::<T>(group, &axis, &sums, site)));
        Started { sums, pending, site }
    }

    fn join(&mut self) {
        let parts = std::mem::take(&mut self.parts);
        self.parts = join(parts, self.axis.leaves());
    }

    /// The whole sum of an axis that is on lanes alone.
    fn local(&mut self) -> Array {
        self.parts.pop().map_or_else(|| Array::zeros(self.dtype, &self.dims), |(_, sum)| sum)
    }

    /// The result for one of several sums, from `value` with the lane dims of `self.lanes`.
    fn complete(&self, value: Array, site: Site) -> Tensor {
        let sum = Tensor::ground(value, self.lanes.clone());
        let sum = if self.rest.is_empty() { sum } else { Self::of_lanes(&sum, &self.rest).finish(site) };
        cast(&sum, self.result)
    }
}

/// Joins siblings of the tree over `leaves` blocks as far as they are there.
pub(crate) fn join(parts: Vec<(Node, Array)>, leaves: u64) -> Vec<(Node, Array)> {
    tree::join(parts, leaves, |left, right| add_into(left, &right))
}

/// One message for all of them: at each node of the tree, the sums side by side.
fn send<T: Scalar>(group: &Group, axis: &Axis, sums: &[PartialSum], site: Site) -> Pending<Buffer> {
    let len = sums.iter().map(PartialSum::len).sum();
    let nodes = sums[0].parts.iter().map(|(node, _)| *node);
    let partials =
        nodes.enumerate().map(|(i, node)| Partial { node, data: side_by_side::<T>(group, sums, i, len) });
    let call = Call::at("psum", site).dims(&[len]);
    group
        .start_all_reduce_tree::<T>(&call, Reduction::Sum, axis.leaves(), len, partials.collect())
        .unwrap_or_else(|error| interrupt(error))
}

fn side_by_side<T: Scalar>(group: &Group, sums: &[PartialSum], part: usize, len: usize) -> Buffer {
    if let [sum] = sums {
        return sum.parts[part].1.contiguous_buffer();
    }
    let mut all = group.pool().alloc::<T>(len);
    let mut rest = all.as_mut_slice::<T>();
    for sum in sums {
        let data = sum.parts[part].1.contiguous();
        let (here, after) = rest.split_at_mut(sum.len());
        here.copy_from_slice(data.as_slice::<T>());
        rest = after;
    }
    all.freeze()
}

/// Sums that are under way: see [`PartialSum::start`].
pub(crate) struct Started {
    sums: Vec<PartialSum>,
    pending: Option<Pending<Buffer>>,
    site: Site,
}

impl Started {
    /// Makes progress, never blocks.
    pub fn advance(&self) {
        self.pending.as_ref().map(Pending::test);
    }

    /// Waits, and gives the sums in the order in which they were started.
    pub fn finish(mut self) -> Vec<Tensor> {
        let Some(pending) = self.pending.take() else {
            return self
                .sums
                .iter_mut()
                .map(|sum| {
                    let value = sum.local();
                    sum.complete(value, self.site)
                })
                .collect();
        };
        let all = pending.finish().unwrap_or_else(|error| interrupt(error));
        let len = self.sums.iter().map(PartialSum::len).sum();
        let all = Array::from_buffer(self.sums[0].dtype, [len], all);
        let mut start = 0;
        self.sums
            .iter()
            .map(|sum| {
                let value = all.slice(0, start, start + sum.len(), 1).reshape(&sum.dims);
                start += sum.len();
                sum.complete(value, self.site)
            })
            .collect()
    }
}
