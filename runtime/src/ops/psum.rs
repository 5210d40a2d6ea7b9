//! `psum`: the sum over named axes.

use std::panic::Location;

use axisgrad_collectives::Node;

use super::names::{Names, axes_of};
use crate::array::kernels::{self, LaneBlocks};
use crate::array::{Array, Dims};
use crate::bind::{bind_at, vary};
use crate::dtype::DType;
use crate::listed::Listed;
use crate::op::{Op, SumOp};
use crate::ops::cast;
use crate::partial::PartialSum;
use crate::tensor::Tensor;
use crate::types::{Axis, AxisSet, TensorType};

const HELP: &str = "\n   help: drop the psum, or multiply by axis_size(\"{name}\") if you meant to count it at every \
                    position, or make it vary first with pvary";

/// The sum over one or several named axes; of bools, how many are true (`i32`).
///
/// `T[..]{a,..} -> T[..]{..}`; its transpose is [`pvary`](super::pvary()). It sums lanes, then threads, then ranks,
/// along one tree over the axis, so that the bits do not depend on the placement.
///
/// # Panics
/// If the operand does not vary over one of the axes: its sum would be a multiple that is rarely meant.
#[track_caller]
pub fn psum(x: &Tensor, axes: impl Names) -> Tensor {
    let axes = axes_of("psum", x, axes, HELP);
    psum_of(x, &axes, Location::caller())
}

/// [`psum`] over axes that the operand is known to vary over.
pub(crate) fn psum_of(x: &Tensor, axes: &AxisSet, site: &'static Location<'static>) -> Tensor {
    let x = if x.dtype() == DType::Bool { &cast(x, DType::I32) } else { x };
    bind_at(std::rc::Rc::new(Psum::over(axes, site)), &[x], site)
}

/// See [`psum`].
pub(crate) struct Psum {
    axes: AxisSet,
    site: &'static Location<'static>,
}

impl Psum {
    pub fn over(axes: &AxisSet, site: &'static Location<'static>) -> Self {
        Self { axes: axes.clone(), site }
    }
}

impl Op for Psum {
    fn name(&self) -> &'static str {
        "psum"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[0].dtype, inputs[0].dims.clone()))
    }

    fn axes(&self, union: &AxisSet) -> AxisSet {
        union.minus(&self.axes)
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        PartialSum::of(self, inputs, axes, true).finish(self.site).array().clone()
    }

    fn vjp(&self, _: usize, ct: &Tensor, _: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let axes = ct.axes().union(&self.axes).expect("the operand's own axes");
        Some(vary(ct, &axes, self.site))
    }
}

impl SumOp for Psum {
    fn summed(&self) -> &AxisSet {
        &self.axes
    }

    fn part_type(&self, inputs: &[Array], axes: &AxisSet) -> (DType, Dims) {
        (inputs[0].dtype(), Dims::from_slice(&inputs[0].dims()[axes.len()..]))
    }

    fn block_sums(&self, inputs: &[Array], axes: &AxisSet, joined: bool) -> Vec<(Node, Array)> {
        let axis = self.axes.iter().next().expect("an axis to sum over");
        let lanes = lanes_first(&inputs[0], axes.position(axis.name()).expect("an axis of the operand"));
        let (first, block) = (axis.lanes().start, axis.block());
        if joined {
            kernels::tree_sums(&lanes, LaneBlocks { first, block, blocks: axis.leaves() })
        } else {
            at_blocks(axis, kernels::block_sums(&lanes, first, block))
        }
    }
}

/// Moves one dim to the front.
pub(crate) fn lanes_first(x: &Array, dim: usize) -> Array {
    let mut order: Dims = (0..x.ndim()).filter(|&d| d != dim).listed();
    order.insert(0, dim);
    x.permute(&order)
}

/// Names the sums of this worker's blocks by their leaves in the tree.
pub(crate) fn at_blocks(axis: &Axis, sums: Vec<Array>) -> Vec<(Node, Array)> {
    let first = (axis.lanes().start / axis.block()) as u64;
    sums.into_iter().enumerate().map(|(i, sum)| (Node { level: 0, index: first + i as u64 }, sum)).collect()
}
