//! `all_gather` and `psum_scatter`, each other's transposes.

use std::panic::Location;

use super::lanes::{all_positions, lanes_of_members, move_dim};
use super::psum::Psum;
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::partial::PartialSum;
use crate::tensor::Tensor;
use crate::types::{Axis, AxisSet, TensorType};

type Site = &'static Location<'static>;

/// The values at all positions of an axis, concatenated along `dim`, at every position.
///
/// `T[..,n,..]{a} -> T[..,size·n,..]{a}`; its transpose is [`psum_scatter`].
///
/// # Panics
/// If `x` does not vary over the axis, or there is no such dim.
#[track_caller]
pub fn all_gather(x: &Tensor, name: &str, dim: isize) -> Tensor {
    let dim = x.dim_index("all_gather", dim);
    bind(AllGather { axis: x.axis(name).clone(), dim, site: Location::caller() }, &[x])
}

/// The sum over an axis, of which every position gets its own part along `dim`.
///
/// `T[..,size·n,..]{a} -> T[..,n,..]{a}`; its transpose is [`all_gather`].
///
/// # Panics
/// If `x` does not vary over the axis, there is no such dim, or it is not a multiple of the axis's size.
#[track_caller]
pub fn psum_scatter(x: &Tensor, name: &str, dim: isize) -> Tensor {
    let dim = x.dim_index("psum_scatter", dim);
    bind(PsumScatter { axis: x.axis(name).clone(), dim, site: Location::caller() }, &[x])
}

/// See [`all_gather`].
struct AllGather {
    axis: Axis,
    dim: usize,
    site: Site,
}

impl Op for AllGather {
    fn name(&self) -> &'static str {
        "all_gather"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let mut dims = inputs[0].dims.clone();
        dims[self.dim] *= self.axis.size();
        Ok((inputs[0].dtype, dims))
    }

    /// Every position sees the same memory: the lane dim of the result has stride 0.
    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let lane = axes.position(self.axis.name()).expect("an axis of the operand");
        let all = all_positions("all_gather", &move_dim(&inputs[0], lane, 0), &self.axis, self.site);
        let all = move_dim(&all, 0, axes.len() - 1 + self.dim);
        let mut dims = Dims::from_slice(inputs[0].dims());
        dims[axes.len() + self.dim] *= self.axis.size();
        let lanes = dims.remove(lane);
        let all = all.reshape(&dims).expand_dims(lane);
        dims.insert(lane, lanes);
        all.broadcast_to(&dims)
    }

    fn vjp(&self, _: usize, ct: &Tensor, _: &[Tensor], _: &Tensor) -> Option<Tensor> {
        Some(bind(PsumScatter { axis: self.axis.clone(), dim: self.dim, site: self.site }, &[ct]))
    }
}

/// See [`psum_scatter`].
struct PsumScatter {
    axis: Axis,
    dim: usize,
    site: Site,
}

impl Op for PsumScatter {
    fn name(&self) -> &'static str {
        "psum_scatter"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let mut dims = inputs[0].dims.clone();
        let size = self.axis.size();
        if size == 0 || !dims[self.dim].is_multiple_of(size) {
            let (dim, name) = (self.dim, self.axis.name());
            return Err(format!(
                "dim {dim} of size {} does not divide among the {size} of `{name}`",
                dims[dim]
            ));
        }
        dims[self.dim] /= size;
        Ok((inputs[0].dtype, dims))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let one = AxisSet::new().with(&self.axis).expect("one axis");
        let each = inputs[0].dims()[axes.len() + self.dim] / self.axis.size();
        let counts: Vec<usize> =
            lanes_of_members(&self.axis).into_iter().map(|lanes| lanes.len() * each).collect();
        let dim = axes.len() - 1 + self.dim;
        let sum = PartialSum::of(&Psum::over(&one, self.site), inputs, axes, true);
        let own = sum.scatter(dim, &counts, self.site);
        let mut dims = Dims::from_slice(own.dims());
        dims[dim] = each;
        dims.insert(dim, self.axis.lanes().len());
        let lane = axes.position(self.axis.name()).expect("an axis of the operand");
        move_dim(&own.reshape(&dims), dim, lane)
    }

    fn vjp(&self, _: usize, ct: &Tensor, _: &[Tensor], _: &Tensor) -> Option<Tensor> {
        Some(bind(AllGather { axis: self.axis.clone(), dim: self.dim, site: self.site }, &[ct]))
    }
}
