//! A contraction whose lanes are contracted too: the sum over an axis of one product per position, without the
//! products. It makes the cotangent of a weight cost what a hand-written batched backward costs.

use axisgrad_collectives::Node;

use super::dot::{DotGeneral, dot_general, with_lanes};
use super::permute::{inverse, permuted};
use super::reshape::reshape;
use crate::array::kernels::{self, DotDims, LaneBlocks};
use crate::array::{Array, Dims};
use crate::dtype::DType;
use crate::listed::Listed;
use crate::op::{Op, SumOp};
use crate::partial::PartialSum;
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
        Ok((dtype, self.order.iter().map(|&dim| dims[dim]).listed()))
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
        (inputs[0].dtype(), self.order.iter().map(|&dim| dims[dim]).listed())
    }

    fn block_sums(&self, inputs: &[Array], axes: &AxisSet, joined: bool) -> Vec<(Node, Array)> {
        let axis = self.axes.iter().next().expect("an axis to sum over");
        let lane = axes.position(axis.name()).expect("an axis of the operands");
        let dims = contracting(with_lanes(&self.dot.dims, 0..axes.len()), lane);
        let others = axes.len() - 1;
        let order: Dims = (0..others).chain(self.order.iter().map(|dim| dim + others)).listed();
        let blocks = LaneBlocks { first: axis.lanes().start, block: axis.block(), blocks: axis.leaves() };
        let contract = if joined { kernels::dot_tree_partials } else { kernels::dot_block_partials };
        let parts = contract(&inputs[0], &inputs[1], &dims, 0, blocks);
        parts.into_iter().map(|(node, part)| (node, part.permute(&order))).collect()
    }

    /// *‖xᵀy‖² = ⟨xxᵀ, yyᵀ⟩*: two small matrices, as many rows as are contracted, instead of a large one. With one row
    /// it is the product of two norms (Goodfellow, "Efficient per-example gradient computations", 2015). With many rows
    /// the large one is less work, and holds less than the rows do.
    fn square_sums(&self, inputs: &[Tensor]) -> Option<Tensor> {
        let of =
            |pairs: &[(usize, usize)], side: fn(&(usize, usize)) -> usize| pairs.iter().map(side).collect();
        let DotDims { batch, contract } = &self.dot.dims;
        let x = rows(&inputs[0], of(batch, |pair| pair.0), of(contract, |pair| pair.0));
        let y = rows(&inputs[1], of(batch, |pair| pair.1), of(contract, |pair| pair.1));
        let (m, k, n) = (x.dims()[1], x.dims()[2], y.dims()[2]);
        if x.dtype().is_complex() || m * (k + n) > k * n {
            return None;
        }
        let products = |x: &Tensor| dot_general(x, x, &[(2, 2)], &[(0, 0)]);
        Some((products(&x) * products(&y)).sum(()))
    }
}

/// `T[batch,contracted,rest]` of an operand.
fn rows(x: &Tensor, batch: Dims, contracted: Dims) -> Tensor {
    let rest: Dims = (0..x.ndim()).filter(|dim| !batch.contains(dim) && !contracted.contains(dim)).collect();
    let sizes =
        [&batch, &contracted, &rest].map(|dims| dims.iter().map(|&dim| x.dims()[dim]).product::<usize>());
    reshape(&permuted(x, [&batch[..], &contracted, &rest].concat().into()), sizes)
}

/// The same contraction with batch dim `lane` contracted too, as the first pair.
fn contracting(mut dims: DotDims, lane: usize) -> DotDims {
    let pair = dims.batch.remove(lane);
    dims.contract.insert(0, pair);
    dims
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use crate::check::check_grads;
    use crate::{Tensor, grad};

    type Loss = fn(&Tensor, &Tensor) -> Tensor;

    const LOSSES: [(&[usize], &[usize], Loss); 6] = [
        (&[3, 4], &[3], |w, x| x.dot(w).sin().sum(())),
        (&[4, 3], &[3], |w, x| w.dot(x).sin().sum(())),
        (&[3], &[3], |w, x| w.dot(x).sin()),
        (&[3, 4], &[2, 3], |w, x| x.dot(w).sin().sum(())),
        (&[2, 3, 2], &[2, 2, 3], |w, x| x.matmul(w).sin().sum(())),
        (&[5, 3, 2], &[3], |w, x| crate::ops::einsum("oij,i->jo", [w, x]).sin().sum(())),
    ];

    #[test]
    fn the_total_is_the_sum_of_the_examples() {
        for (w, x, loss) in LOSSES {
            let (w, xs) = (waves(w, 0.3), waves(&[&[70], x].concat(), 0.8));
            let x = xs.unstack("batch", 0);
            let total = grad(loss).reduce_axes(["batch"]).at((&w, &x));
            let each = grad(loss).at((&w, &x));
            assert!(total.axes().is_empty() && each.axes().contains("batch"));
            let sum = crate::ops::psum(&each, "batch");
            let pairs = total.to_vec::<f64>().into_iter().zip(sum.to_vec::<f64>());
            pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-12, "{a} and {b}"));
        }
    }

    #[test]
    fn a_weight_that_is_used_twice() {
        let loss = |w: &Tensor, x: &Tensor| x.dot(&w.dot(x).tanh()) + w.sum(());
        let (w, xs) = (waves(&[3, 3], 0.3), waves(&[70, 3], 0.8));
        let total = grad(loss).reduce_axes(["batch"]).at((&w, &xs.unstack("batch", 0)));
        let by_hand = |w: &Tensor, xs: &Tensor| (xs * &xs.dot(&w.t()).tanh()).sum(()) + w.sum(()) * 70.0;
        let expected = grad(by_hand).at((&w, &xs));
        let pairs = total.to_vec::<f64>().into_iter().zip(expected.to_vec::<f64>());
        pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-11, "{a} and {b}"));
    }

    #[test]
    fn derivatives_of_the_total() {
        for (w, x, loss) in LOSSES {
            let (w, xs) = (waves(w, 0.3), waves(&[&[3], x].concat(), 0.8));
            let total =
                |w: &Tensor, xs: &Tensor| grad(loss).reduce_axes(["batch"]).at((w, &xs.unstack("batch", 0)));
            check_grads(total, (&w, &xs), 2);
        }
    }
}
