//! `all_to_all`, and `pswapaxes` which is made of it.

use std::panic::Location;

use axisgrad_collectives::Call;

use super::lanes::{exchange, move_dim};
use crate::array::kernels::concat;
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::error::violation;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{Axis, AxisSet, TensorType};

type Site = &'static Location<'static>;

/// Cuts `split` into one chunk for each position of an axis, sends chunk *q* to position *q*, and concatenates
/// what came from all positions along `concat`.
///
/// `T[..,size·n,..]{a} -> T[..]{a}`; its transpose is `all_to_all` with the dims exchanged.
///
/// # Panics
/// If `x` does not vary over the axis, there is no such dim, or `split` is not a multiple of the axis's size.
#[track_caller]
pub fn all_to_all(x: &Tensor, name: &str, split: isize, concat: isize) -> Tensor {
    let (split, concat) = (x.dim_index("all_to_all", split), x.dim_index("all_to_all", concat));
    bind(AllToAll { axis: x.axis(name).clone(), split, concat, site: Location::caller() }, &[x])
}

/// Exchanges a named axis with a positional dim of the same size.
///
/// `T[..,size,..]{a} -> T[..,size,..]{a}`; its own transpose.
///
/// # Panics
/// If `x` does not vary over the axis, or `dim` is not of its size.
#[track_caller]
pub fn pswapaxes(x: &Tensor, name: &str, dim: isize) -> Tensor {
    let size = x.axis(name).size();
    if x.dim(dim) != size {
        let rule = format!("dim {dim} is not of the size of `{name}`, which is {size}");
        violation("pswapaxes", &rule, &[x], Location::caller());
    }
    all_to_all(x, name, dim, dim)
}

/// See [`all_to_all`].
struct AllToAll {
    axis: Axis,
    split: usize,
    concat: usize,
    site: Site,
}

impl Op for AllToAll {
    fn name(&self) -> &'static str {
        "all_to_all"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let mut dims = inputs[0].dims.clone();
        let (size, name) = (self.axis.size(), self.axis.name());
        if size == 0 || !dims[self.split].is_multiple_of(size) {
            let (dim, n) = (self.split, dims[self.split]);
            return Err(format!(
                "dim {dim} of size {n} does not divide among the {size} positions of `{name}`"
            ));
        }
        dims[self.split] /= size;
        dims[self.concat] *= size;
        Ok((inputs[0].dtype, dims))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let lane = axes.position(self.axis.name()).expect("an axis of the operand");
        let chunks = self.chunks(&inputs[0], axes.len(), lane);
        let rest = &chunks.dims()[2..];
        let send = |q: &std::ops::Range<usize>| move_dim(&chunks.slice(0, q.start, q.end, 1), 1, 0);
        let row: Dims = std::iter::once(self.axis.lanes().len()).chain(rest.iter().copied()).collect();
        let call = Call::at("all_to_all", self.site).dims(rest).also((self.split, self.concat));
        let came = exchange(&call, &self.axis, (chunks.dtype(), &row), send, |p| p.len());
        self.assemble(&concat(&came.iter().collect::<Vec<_>>(), 0), axes.len(), lane)
    }

    fn vjp(&self, _: usize, ct: &Tensor, _: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let Self { split, concat, site, .. } = *self;
        Some(bind(AllToAll { axis: self.axis.clone(), split: concat, concat: split, site }, &[ct]))
    }
}

impl AllToAll {
    /// `[..lanes.., ..size·n..] -> [size (destination), lanes, ..]`, with `n` in the place of the split dim.
    fn chunks(&self, x: &Array, lanes: usize, lane: usize) -> Array {
        let mut dims = Dims::from_slice(x.dims());
        let split = lanes + self.split;
        dims[split] /= self.axis.size();
        dims.insert(split, self.axis.size());
        let x = move_dim(&x.reshape(&dims), split, 0);
        move_dim(&x, lane + 1, 1)
    }

    /// `[size (source), lanes, ..] -> [..lanes.., ..size·m..]`.
    fn assemble(&self, x: &Array, lanes: usize, lane: usize) -> Array {
        let x = move_dim(x, 1, lane + 1);
        let concat = lanes + self.concat;
        let x = move_dim(&x, 0, concat);
        let mut dims = Dims::from_slice(x.dims());
        dims[concat + 1] *= self.axis.size();
        dims.remove(concat);
        x.reshape(&dims)
    }
}
