//! What an op is.

use std::rc::Rc;

use axisgrad_collectives::Node;

use crate::array::{Array, Dims};
use crate::dtype::DType;
use crate::tape::Tape;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// A differentiable primitive: a plain value that says what its result's type is, computes it, and gives its
/// transpose. One file each; see `ops/README.md` for how to write one.
///
/// An op is written for one position. Operands arrive in [`Op::eval`] with the lane dims of `axes` in front, all
/// of them (a lane dim of an operand that does not vary has stride 0).
pub trait Op: 'static {
    /// The name that errors and traces show.
    fn name(&self) -> &'static str;

    /// The result's dtype and positional dims; an `Err` is the rule that the operands break.
    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String>;

    /// The axes of the result, given those of the operands together. Only collectives have another rule.
    fn axes(&self, union: &AxisSet) -> AxisSet {
        union.clone()
    }

    /// The value, for all lanes of this worker.
    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array;

    /// The cotangent of operand `wrt`, given that of the result, written in ops; `None` if it is zero.
    /// Transposes are plain ones: complex values are not conjugated.
    fn vjp(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], output: &Tensor) -> Option<Tensor>;

    /// The op that computes `psum(vjp(wrt), axes)` without holding one cotangent per position, and its operands:
    /// for ops whose cotangent is larger than the op's own operands, such as a contraction with a weight.
    fn vjp_psum(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], axes: &AxisSet) -> Option<FusedSum> {
        let _ = (wrt, ct, inputs, axes);
        None
    }
}

/// An op that ends in a sum over axes, and its operands: see [`Op::vjp_psum`].
pub struct FusedSum {
    /// The op, whose result is invariant along the axes.
    pub op: Rc<dyn SumOp>,
    /// What it is to be applied to.
    pub inputs: Vec<Tensor>,
}

/// An op that sums over axes and can stop halfway: with this worker's lanes summed, and nothing communicated.
pub trait SumOp: Op {
    /// The axes that are summed.
    fn summed(&self) -> &AxisSet;

    /// The dtype and positional dims of a sum.
    fn part_type(&self, inputs: &[Array], axes: &AxisSet) -> (DType, Dims);

    /// The sums of each block of this worker's lanes along the *first* summed axis; the other lane dims of `axes`
    /// stay in front. With `joined`, whole subtrees of the tree over all blocks instead, as few as there are.
    fn block_sums(&self, inputs: &[Array], axes: &AxisSet, joined: bool) -> Vec<(Node, Array)>;

    /// For each position, the sum of the squares of the elements of what is summed, without holding that: written in
    /// ops. `None` if there is no cheaper way.
    fn square_sums(&self, inputs: &[Tensor]) -> Option<Tensor> {
        let _ = inputs;
        None
    }
}

/// The transpose of a function that stands on the tape as one entry, whatever it is made of.
pub(crate) trait Rule {
    /// The cotangents of the operands, given those of all results; `None` for one that is zero, or no float. They are
    /// written in ops, so that they have derivatives; `tape` is the one that the function stands on.
    fn pull_back(&self, tape: &Tape, cts: Vec<Tensor>) -> Vec<Option<Tensor>>;
}
