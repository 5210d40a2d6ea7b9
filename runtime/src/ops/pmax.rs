//! `pmax` and `pmin`: the extreme over named axes.

use std::panic::Location;
use std::rc::Rc;

use axisgrad_collectives::collective::tree;
use axisgrad_collectives::{Call, Partial, Reduction, interrupt};

use super::names::{Names, axes_of};
use super::psum::{lanes_first, psum_of};
use super::pvary::pvary_over;
use crate::array::{Array, Dims, kernels};
use crate::bind::bind_at;
use crate::dtype::{DType, dispatch};
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{Axis, AxisSet, TensorType};

type Site = &'static Location<'static>;

const HELP: &str =
    "\n   help: the extreme of a value that is the same everywhere is the value: drop the call";

/// The maximum over one or several named axes.
///
/// `T[..]{a,..} -> T[..]{..}` for real numbers; the cotangent goes to where the maximum is, shared among ties.
///
/// # Panics
/// If the operand is complex or does not vary over one of the axes, or an axis has no positions.
#[track_caller]
pub fn pmax(x: &Tensor, axes: impl Names) -> Tensor {
    extreme("pmax", x, axes, Reduction::Max)
}

/// The minimum over one or several named axes: see [`pmax`].
///
/// `T[..]{a,..} -> T[..]{..}`
///
/// # Panics
/// As [`pmax`].
#[track_caller]
pub fn pmin(x: &Tensor, axes: impl Names) -> Tensor {
    extreme("pmin", x, axes, Reduction::Min)
}

/// One axis after another: an extreme of extremes.
#[track_caller]
fn extreme(name: &'static str, x: &Tensor, axes: impl Names, reduction: Reduction) -> Tensor {
    let (axes, site) = (axes_of(name, x, axes, HELP), Location::caller());
    bind_at(Rc::new(Pextreme { name, axes, reduction, site }), &[x], site)
}

/// See [`pmax`] and [`pmin`].
struct Pextreme {
    name: &'static str,
    axes: AxisSet,
    reduction: Reduction,
    site: Site,
}

impl Op for Pextreme {
    fn name(&self) -> &'static str {
        self.name
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        if inputs[0].dtype.is_complex() {
            return Err("complex numbers have no order".to_owned());
        }
        match self.axes.iter().find(|axis| axis.size() == 0) {
            Some(axis) => Err(format!("`{}` has no positions", axis.name())),
            None => Ok((inputs[0].dtype, inputs[0].dims.clone())),
        }
    }

    fn axes(&self, union: &AxisSet) -> AxisSet {
        union.minus(&self.axes)
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let start = (inputs[0].clone(), axes.clone());
        let (value, _) = self.axes.iter().fold(start, |(value, lanes), axis| {
            let lane = lanes.position(axis.name()).expect("an axis of the operand");
            (self.over(&lanes_first(&value, lane), axis), lanes.filter(|a| a.name() != axis.name()))
        });
        value
    }

    /// `ct` where the value is the extreme, divided by how often it is.
    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], output: &Tensor) -> Option<Tensor> {
        let here = inputs[0].eq(output).cast(ct.dtype());
        let count = psum_of(&here, &self.axes, self.site);
        Some(&here * &pvary_over(&(ct / &count), &self.axes, self.site))
    }
}

impl Pextreme {
    /// Reduces the leading dim, the lanes of `axis`, and then over its workers.
    fn over(&self, lanes: &Array, axis: &Axis) -> Array {
        let reduce = |lanes: &Array| match self.reduction {
            Reduction::Max => kernels::max(lanes, &[0]),
            _ => kernels::min(lanes, &[0]),
        };
        let Some(group) = axis.group() else { return reduce(lanes) };
        let own = axis.lanes();
        let blocks = (own.start / axis.block()) as u64..own.end.div_ceil(axis.block()) as u64;
        let positions = |node: tree::Node| {
            let first = ((node.index << node.level) as usize * axis.block()).max(own.start);
            let last = (((node.index + 1) << node.level) as usize * axis.block()).min(own.end);
            lanes.slice(0, first - own.start, last - own.start, 1)
        };
        let nodes = if own.is_empty() { vec![] } else { tree::cover(blocks, axis.leaves()) };
        let partials = nodes
            .into_iter()
            .map(|node| Partial { node, data: reduce(&positions(node)).contiguous_buffer() });
        let dims = &lanes.dims()[1..];
        let call = Call::at(self.name, self.site).dims(dims);
        let (partials, len) = (partials.collect(), dims.iter().product());
        let value = dispatch!(lanes.dtype(), T => {
            group.all_reduce_tree::<T>(&call, self.reduction, axis.leaves(), len, partials)
        });
        Array::from_buffer(lanes.dtype(), dims, value.unwrap_or_else(|error| interrupt(error)))
    }
}
