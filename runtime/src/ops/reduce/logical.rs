//! `any` and `all`.

use smallvec::SmallVec;

use super::along::{Along, IntoDims, behind_lanes, kept_sizes};
use crate::array::{Array, Dims, kernels};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::ops::cast;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// Whether any element over dims, `()` for all, is true (a number: not 0); of nothing, false.
///
/// `T[..] -> bool[..]` without the dims (see [`keep`](super::keep)).
///
/// # Panics
/// If a dim does not exist or is named twice.
#[track_caller]
pub fn any(x: &Tensor, dims: impl IntoDims) -> Tensor {
    logical("any", x, &dims, kernels::any)
}

/// Whether all elements over dims, `()` for all, are true (numbers: not 0); of nothing, true.
///
/// `T[..] -> bool[..]` without the dims (see [`keep`](super::keep)).
///
/// # Panics
/// If a dim does not exist or is named twice.
#[track_caller]
pub fn all(x: &Tensor, dims: impl IntoDims) -> Tensor {
    logical("all", x, &dims, kernels::all)
}

impl Tensor {
    /// See [`ops::any`](crate::ops::any()).
    #[track_caller]
    pub fn any(&self, dims: impl IntoDims) -> Tensor {
        any(self, dims)
    }

    /// See [`ops::all`](crate::ops::all()).
    #[track_caller]
    pub fn all(&self, dims: impl IntoDims) -> Tensor {
        all(self, dims)
    }
}

type Kernel = fn(&Array, &[usize]) -> Array;

#[track_caller]
fn logical(name: &'static str, x: &Tensor, dims: &impl IntoDims, kernel: Kernel) -> Tensor {
    let along = Along::of(name, x, dims);
    let truths = cast(x, DType::Bool);
    along.finish(x, bind(Logical { name, kernel, dims: along.dims.clone() }, &[&truths]))
}

struct Logical {
    name: &'static str,
    kernel: Kernel,
    dims: SmallVec<[usize; 4]>,
}

impl Op for Logical {
    fn name(&self) -> &'static str {
        self.name
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((DType::Bool, kept_sizes(&inputs[0].dims, &self.dims)))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        (self.kernel)(&inputs[0], &behind_lanes(&self.dims, axes.len()))
    }

    fn vjp(&self, _: usize, _: &Tensor, _: &[Tensor], _: &Tensor) -> Option<Tensor> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check_lanes;
    use crate::ops::zeros;

    #[test]
    fn values() {
        let x = Tensor::from([[0.0f32, 0.0], [2.0, 0.0], [f32::NAN, -1.0]]);
        assert_eq!(x.any(1).to_vec::<bool>(), [false, true, true]);
        assert_eq!(x.all(1).to_vec::<bool>(), [false, false, true]);
        assert_eq!((x.any(()).item::<bool>(), x.all(()).item::<bool>()), (true, false));
        let none = zeros(DType::F32, [0]);
        assert_eq!((none.any(()).item::<bool>(), none.all(()).item::<bool>()), (false, true));
        check_lanes(|x: &Tensor| x.any(()), &x);
    }
}
