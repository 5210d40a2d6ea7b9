//! The convolution of images that are padded already, and its two transposes: each is the others' cotangent.

use std::panic::Location;
use std::rc::Rc;

use super::blocks::blocks_of;
use crate::array::kernels::Convolution;
use crate::array::{Array, Dims};
use crate::bind::bind_at;
use crate::dtype::DType;
use crate::op::{FusedSum, Op, SumOp};
use crate::partial::{PartialSum, join};
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};
use axisgrad_collectives::Node;

type Site = &'static Location<'static>;

/// A convolution, and what its operands are.
#[derive(Clone)]
pub(super) struct Conv {
    pub of: Convolution,
    /// How many dims of the operand come before its channels.
    pub lead: usize,
    /// The channels in, those out, and those of a kernel.
    pub channels: [usize; 3],
    pub site: Site,
}

/// `T[..,c,n1,n2], T[o,c/groups,k1,k2] -> T[..,o,m1,m2]`.
#[track_caller]
pub(super) fn convolved(of: &Rc<Conv>, x: &Tensor, kernel: &Tensor) -> Tensor {
    bind_at(Rc::new(Convolve(of.clone())), &[x, kernel], of.site)
}

/// The cotangent of the operand, from that of the result and the kernel.
fn pulled(of: &Rc<Conv>, ct: &Tensor, kernel: &Tensor) -> Tensor {
    bind_at(Rc::new(Pull(of.clone())), &[ct, kernel], of.site)
}

/// The cotangent of the kernel, from the operand and the cotangent of the result.
fn weighed(of: &Rc<Conv>, x: &Tensor, ct: &Tensor) -> Tensor {
    bind_at(Rc::new(Weigh(of.clone())), &[x, ct], of.site)
}

fn weighed_sum(of: &Rc<Conv>, x: &Tensor, ct: &Tensor, axes: &AxisSet) -> Option<FusedSum> {
    let op = WeighSum { of: of.clone(), axes: axes.clone() };
    Some(FusedSum { op: Rc::new(op), inputs: vec![x.clone(), ct.clone()] })
}

impl Conv {
    fn kernel_dims(&self) -> Dims {
        let sizes = self.of.windows.iter().map(|window| window.size);
        [self.channels[1], self.channels[2]].into_iter().chain(sizes).collect()
    }

    /// The type of a result that has `channels` and `sizes` in place of those of `x`.
    fn result(&self, x: &TensorType, channels: usize, sizes: &[usize]) -> (DType, Dims) {
        (x.dtype, [&x.dims[..self.lead], &[channels], sizes].concat().into())
    }

    /// A kernel with lane dims in front, beside an operand with lane and leading dims.
    fn beside(&self, kernel: &Array, x: &Array, lanes: usize) -> Array {
        let spread = (0..self.lead).fold(kernel.clone(), |kernel, _| kernel.expand_dims(lanes));
        spread.broadcast_to(&[&x.dims()[..lanes + self.lead], &kernel.dims()[lanes..]].concat())
    }
}

fn numbers(dtype: DType) -> Result<(), String> {
    if dtype.is_bool() || dtype == DType::Float0 {
        return Err(format!("there is no product of {dtype} operands; cast them first"));
    }
    Ok(())
}

/// See [`convolved`].
struct Convolve(Rc<Conv>);

impl Op for Convolve {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        numbers(inputs[0].dtype)?;
        Ok(self.0.result(inputs[0], self.0.channels[1], &self.0.of.counts()))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let kernel = self.0.beside(&inputs[1], &inputs[0], axes.len());
        self.0.of.apply(&inputs[0], &kernel, axes.len() + self.0.lead)
    }

    fn vjp(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let Self(of) = self;
        Some(if wrt == 0 { pulled(of, ct, &inputs[1]) } else { weighed(of, &inputs[0], ct) })
    }

    fn vjp_psum(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], axes: &AxisSet) -> Option<FusedSum> {
        if wrt == 0 { None } else { weighed_sum(&self.0, &inputs[0], ct, axes) }
    }
}

/// See [`pulled`].
struct Pull(Rc<Conv>);

impl Op for Pull {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok(self.0.result(inputs[0], self.0.channels[0], &self.0.of.sizes))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let kernel = self.0.beside(&inputs[1], &inputs[0], axes.len());
        self.0.of.pull(&inputs[0], &kernel, axes.len() + self.0.lead)
    }

    fn vjp(&self, wrt: usize, u: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let Self(of) = self;
        Some(if wrt == 0 { convolved(of, u, &inputs[1]) } else { weighed(of, u, &inputs[0]) })
    }

    fn vjp_psum(&self, wrt: usize, u: &Tensor, inputs: &[Tensor], axes: &AxisSet) -> Option<FusedSum> {
        if wrt == 0 { None } else { weighed_sum(&self.0, u, &inputs[0], axes) }
    }
}

/// See [`weighed`].
struct Weigh(Rc<Conv>);

impl Op for Weigh {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[0].dtype, self.0.kernel_dims()))
    }

    /// The dims in front are summed: as one dim, which is there if need be.
    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let lanes = axes.len();
        let [x, ct] =
            [&inputs[0], &inputs[1]].map(|a| if self.0.lead == 0 { a.expand_dims(lanes) } else { a.clone() });
        let all = 0..x.dims()[lanes];
        self.0.of.weigh(&x, &ct, lanes, std::slice::from_ref(&all)).pop().expect("one range")
    }

    fn vjp(&self, wrt: usize, u: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let Self(of) = self;
        Some(if wrt == 0 { pulled(of, &inputs[1], u) } else { convolved(of, &inputs[0], u) })
    }
}

/// `psum(weighed(x, ct), axes)`, without a kernel for each example.
struct WeighSum {
    of: Rc<Conv>,
    axes: AxisSet,
}

impl Op for WeighSum {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[0].dtype, self.of.kernel_dims()))
    }

    fn axes(&self, union: &AxisSet) -> AxisSet {
        union.minus(&self.axes)
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        PartialSum::of(self, inputs, axes, true).finish(self.of.site).array().clone()
    }

    /// That of the sums of one position: the cotangent is the same at all of them.
    fn vjp(&self, wrt: usize, u: &Tensor, inputs: &[Tensor], output: &Tensor) -> Option<Tensor> {
        Weigh(self.of.clone()).vjp(wrt, u, inputs, output)
    }
}

impl SumOp for WeighSum {
    fn summed(&self) -> &AxisSet {
        &self.axes
    }

    fn part_type(&self, inputs: &[Array], _: &AxisSet) -> (DType, Dims) {
        (inputs[0].dtype(), self.of.kernel_dims())
    }

    fn block_sums(&self, inputs: &[Array], axes: &AxisSet, joined: bool) -> Vec<(Node, Array)> {
        let axis = self.axes.iter().next().expect("an axis to sum over");
        let lane = axes.position(axis.name()).expect("an axis of the operands");
        let others = axes.len() - 1;
        let [x, ct] = [&inputs[0], &inputs[1]].map(|a| {
            let mut order: Dims = (0..a.ndim()).filter(|&dim| dim != lane).collect();
            order.insert(others, lane);
            a.permute(&order)
        });
        let (nodes, ranges): (Vec<_>, Vec<_>) = blocks_of(axis).unzip();
        let sums = self.of.of.weigh(&x, &ct, others, &ranges);
        let parts = nodes.into_iter().zip(sums).collect();
        if joined { join(parts, axis.leaves()) } else { parts }
    }
}
