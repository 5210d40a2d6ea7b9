//! A contraction whose lanes are contracted too: the sum over an axis of one product per position, without the
//! products. It makes the cotangent of a weight cost what a hand-written batched backward costs.

use axisgrad_collectives::Node;

use super::blocks::blocks_of;
use super::dot::{DotGeneral, with_lanes};
use super::permute::{inverse, permuted};
use crate::array::kernels::{self, DotDims};
use crate::array::{Array, Dims};
use crate::dtype::DType;
use crate::op::{Op, SumOp};
use crate::partial::{PartialSum, join};
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// `psum(permute(dot_general(x, y), order), axes)`.
pub(super) struct DotSum {
    pub dot: DotGeneral,
    pub order: Dims,
    pub axes: AxisSet,
}

impl Op for DotSum {
    fn name(&self) -> &'static str {
        "dot_general"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let (dtype, dims) = self.dot.infer(inputs)?;
        Ok((dtype, self.order.iter().map(|&dim| dims[dim]).collect()))
    }

    fn axes(&self, union: &AxisSet) -> AxisSet {
        union.minus(&self.axes)
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        PartialSum::of(self, inputs, axes, true).finish(self.dot.site).array().clone()
    }

    /// That of the contraction: its cotangent is the same at every position.
    fn vjp(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], output: &Tensor) -> Option<Tensor> {
        self.dot.vjp(wrt, &permuted(ct, inverse(&self.order)), inputs, output)
    }
}

impl SumOp for DotSum {
    fn summed(&self) -> &AxisSet {
        &self.axes
    }

    fn part_type(&self, inputs: &[Array], axes: &AxisSet) -> (DType, Dims) {
        let [x, y] = [&inputs[0].dims()[axes.len()..], &inputs[1].dims()[axes.len()..]];
        let dims = self.dot.result(x, y);
        (inputs[0].dtype(), self.order.iter().map(|&dim| dims[dim]).collect())
    }

    fn block_sums(&self, inputs: &[Array], axes: &AxisSet, joined: bool) -> Vec<(Node, Array)> {
        let axis = self.axes.iter().next().expect("an axis to sum over");
        let lane = axes.position(axis.name()).expect("an axis of the operands");
        let dims = contracting(with_lanes(&self.dot.dims, 0..axes.len()), lane);
        let others = axes.len() - 1;
        let order: Dims = (0..others).chain(self.order.iter().map(|dim| dim + others)).collect();
        let mut parts = Vec::new();
        for (node, lanes) in blocks_of(axis) {
            let [x, y] = [0, 1].map(|i| inputs[i].slice(lane, lanes.start, lanes.end, 1));
            parts.push((node, kernels::dot(&x, &y, &dims).permute(&order)));
            if joined {
                parts = join(parts, axis.leaves());
            }
        }
        parts
    }
}

/// The same contraction with batch dim `lane` contracted too.
fn contracting(mut dims: DotDims, lane: usize) -> DotDims {
    let pair = dims.batch.remove(lane);
    dims.contract.insert(0, pair);
    dims
}
