//! `gather` and `unstack`: a named axis as a positional dim, and back.

use std::panic::Location;

use super::lanes::{all_positions, move_dim};
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::error::violation;
use crate::op::Op;
use crate::tape::moment;
use crate::tensor::Tensor;
use crate::types::{Axis, AxisSet, Lanes, TensorType};

type Site = &'static Location<'static>;

/// The values at all positions of an axis, stacked along a new first dim; the same on every worker.
///
/// `T[..]{a,..} -> T[size,..]{..}`; its transpose is [`Tensor::unstack`]: every position takes its own row.
///
/// # Panics
/// If `x` does not vary over the axis.
#[track_caller]
pub fn gather(x: &Tensor, name: &str) -> Tensor {
    gather_at(x, x.axis(name), 0, Location::caller())
}

#[track_caller]
pub(crate) fn gather_at(x: &Tensor, axis: &Axis, dim: usize, site: Site) -> Tensor {
    bind(Gather { axis: axis.clone(), dim, site }, &[x])
}

impl Tensor {
    /// One row per position of a new axis on this worker's lanes: the axis takes the place of dim `dim`.
    ///
    /// `T[..,n,..]{..} -> T[..]{a,..}`. To spread rows over workers too, see `Worker::unstack`.
    ///
    /// # Panics
    /// If there is no such dim, or the tensor varies over an axis of that name already.
    #[track_caller]
    pub fn unstack(&self, name: &str, dim: isize) -> Tensor {
        let dim = self.dim_index("unstack", dim);
        let axis = Axis::on_lanes(name, self.dims()[dim], moment(), Lanes::Unstacked);
        unstack_at(self, &axis, dim, Location::caller())
    }
}

/// Rows cannot lie along an axis that each of them varies over.
pub(crate) fn check_new(x: &Tensor, axis: &Axis, site: Site) {
    if x.axes().contains(axis.name()) {
        violation("unstack", &format!("the operand varies over `{}` already", axis.name()), &[x], site);
    }
}

/// One row per position of `axis`, each worker taking its own.
#[track_caller]
pub(crate) fn unstack_at(x: &Tensor, axis: &Axis, dim: usize, site: Site) -> Tensor {
    check_new(x, axis, site);
    bind(Unstack { axis: axis.clone(), dim, site }, &[x])
}

/// See [`gather`].
struct Gather {
    axis: Axis,
    dim: usize,
    site: Site,
}

impl Op for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let mut dims = inputs[0].dims.clone();
        if self.dim > dims.len() {
            return Err(format!("dim {} is out of range for {} dims", self.dim, dims.len() + 1));
        }
        dims.insert(self.dim, self.axis.size());
        Ok((inputs[0].dtype, dims))
    }

    fn axes(&self, union: &AxisSet) -> AxisSet {
        union.filter(|axis| axis.name() != self.axis.name())
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let lane = axes.position(self.axis.name()).expect("an axis of the operand");
        let all = all_positions("gather", &move_dim(&inputs[0], lane, 0), &self.axis, self.site);
        move_dim(&all, 0, axes.len() - 1 + self.dim)
    }

    fn vjp(&self, _: usize, ct: &Tensor, _: &[Tensor], _: &Tensor) -> Option<Tensor> {
        Some(unstack_at(ct, &self.axis, self.dim, self.site))
    }
}

/// See [`Tensor::unstack`].
struct Unstack {
    axis: Axis,
    dim: usize,
    site: Site,
}

impl Op for Unstack {
    fn name(&self) -> &'static str {
        "unstack"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let mut dims = inputs[0].dims.clone();
        let rows = dims.remove(self.dim);
        if rows == self.axis.size() {
            return Ok((inputs[0].dtype, dims));
        }
        Err(format!(
            "dim {} has {rows} rows, and `{}` {} positions",
            self.dim,
            self.axis.name(),
            self.axis.size()
        ))
    }

    fn axes(&self, union: &AxisSet) -> AxisSet {
        union.with(&self.axis).expect("a new axis")
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let lane = self.axes(axes).position(self.axis.name()).expect("the new axis");
        let (dim, lanes) = (axes.len() + self.dim, self.axis.lanes());
        move_dim(&inputs[0].slice(dim, lanes.start, lanes.end, 1), dim, lane)
    }

    fn vjp(&self, _: usize, ct: &Tensor, _: &[Tensor], _: &Tensor) -> Option<Tensor> {
        Some(gather_at(ct, &self.axis, self.dim, self.site))
    }
}
