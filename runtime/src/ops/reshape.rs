//! `reshape`, and its special cases: the same elements under other dims.

use std::panic::Location;

use crate::array::{Array, Dims, count};
use crate::bind::bind;
use crate::dtype::DType;
use crate::error::violation;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// The same elements, row-major, under other dims; one of them may be -1 and is then what is left.
///
/// `T[6] -> T[2,3]` for `[2, -1]`.
///
/// # Panics
/// If the dims do not hold exactly the elements.
///
/// ```
/// use axisgrad::{Tensor, ops::reshape};
/// let x = Tensor::from([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// assert_eq!(reshape(&x, [2, -1]).dims(), [2, 3]);
/// ```
#[track_caller]
pub fn reshape<T: Copy + TryInto<isize>>(x: &Tensor, dims: impl AsRef<[T]>) -> Tensor {
    let wanted: Vec<isize> = dims.as_ref().iter().map(|&dim| dim.try_into().unwrap_or(isize::MAX)).collect();
    let site = Location::caller();
    let dims = resolve(x.len(), &wanted).unwrap_or_else(|| {
        let rule = format!("{} elements do not fill dims {wanted:?}", x.len());
        violation("reshape", &rule, &[x], site)
    });
    reshaped(x, dims)
}

/// One dim with all elements: `T[2,3] -> T[6]`.
#[track_caller]
pub fn flatten(x: &Tensor) -> Tensor {
    reshaped(x, Dims::from_slice(&[x.len()]))
}

/// A new dim of size 1, which will be `dim` of the result: `T[2,3] -> T[2,1,3]` for 1, `T[2,3,1]` for -1.
///
/// # Panics
/// If the result has no such dim.
#[track_caller]
pub fn expand_dims(x: &Tensor, dim: isize) -> Tensor {
    let ndim = x.ndim() as isize + 1;
    if dim < -ndim || dim >= ndim {
        let rule = format!("dim {dim} is out of range for the {ndim} dims of the result");
        violation("expand_dims", &rule, &[x], Location::caller());
    }
    let mut dims = Dims::from_slice(x.dims());
    dims.insert(dim.rem_euclid(ndim) as usize, 1);
    reshaped(x, dims)
}

/// Without `dim`, which must have size 1: `T[2,1,3] -> T[2,3]`.
///
/// # Panics
/// If there is no such dim, or its size is not 1.
#[track_caller]
pub fn squeeze(x: &Tensor, dim: isize) -> Tensor {
    let dim = x.dim_index("squeeze", dim);
    if x.dims()[dim] != 1 {
        let rule = format!("dim {dim} has size {} and not 1", x.dims()[dim]);
        violation("squeeze", &rule, &[x], Location::caller());
    }
    let mut dims = Dims::from_slice(x.dims());
    dims.remove(dim);
    reshaped(x, dims)
}

impl Tensor {
    /// See [`reshape`].
    #[track_caller]
    pub fn reshape<T: Copy + TryInto<isize>>(&self, dims: impl AsRef<[T]>) -> Tensor {
        reshape(self, dims)
    }

    /// See [`flatten`].
    #[track_caller]
    pub fn flatten(&self) -> Tensor {
        flatten(self)
    }

    /// See [`expand_dims`].
    #[track_caller]
    pub fn expand_dims(&self, dim: isize) -> Tensor {
        expand_dims(self, dim)
    }

    /// See [`squeeze`].
    #[track_caller]
    pub fn squeeze(&self, dim: isize) -> Tensor {
        squeeze(self, dim)
    }
}

/// `x` under `dims`, which are known to hold its elements.
#[track_caller]
pub(crate) fn reshaped(x: &Tensor, dims: Dims) -> Tensor {
    if x.dims() == &dims[..] { x.clone() } else { bind(Reshape { dims }, &[x]) }
}

/// Puts the size that is left in the place of -1; `None` if the dims do not hold `len` elements.
fn resolve(len: usize, wanted: &[isize]) -> Option<Dims> {
    let known = count(wanted.iter().filter(|&&dim| dim != -1).map(|&dim| dim.max(0) as usize))?;
    let open = wanted.iter().filter(|&&dim| dim == -1).count();
    let rest = if open == 1 { len.checked_div(known)? } else { 1 };
    let fits = open <= 1 && wanted.iter().all(|&dim| dim >= -1) && known * rest == len;
    fits.then(|| wanted.iter().map(|&dim| if dim == -1 { rest } else { dim as usize }).collect())
}

/// See [`reshape`].
struct Reshape {
    dims: Dims,
}

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[0].dtype, self.dims.clone()))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let dims: Dims = axes.lane_dims().into_iter().chain(self.dims.iter().copied()).collect();
        inputs[0].reshape(&dims)
    }

    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        Some(reshaped(ct, Dims::from_slice(inputs[0].dims())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};

    #[test]
    fn elements_keep_their_order() {
        let x = Tensor::from([[1, 2, 3], [4, 5, 6]]);
        assert_eq!(x.reshape([3, 2]).to_vec::<i32>(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(x.reshape([-1]).dims(), [6]);
        assert_eq!(x.t().flatten().to_vec::<i32>(), [1, 4, 2, 5, 3, 6]);
        assert_eq!(x.expand_dims(-1).dims(), [2, 3, 1]);
        assert_eq!(x.expand_dims(0).squeeze(0).dims(), [2, 3]);
    }

    #[test]
    fn nothing_can_be_reshaped_too() {
        let none = Tensor::from(Array::zeros(DType::F32, [0, 3]));
        assert_eq!(none.reshape([3, 0]).dims(), [3, 0]);
        assert_eq!(none.reshape([-1, 3]).dims(), [0, 3]);
    }

    #[test]
    #[should_panic(expected = "reshape: 6 elements do not fill dims [4, -1]")]
    fn the_elements_must_fill_the_dims() {
        Tensor::from([[1, 2, 3], [4, 5, 6]]).reshape([4, -1]);
    }

    #[test]
    #[should_panic(expected = "squeeze: dim 1 has size 3 and not 1")]
    fn only_a_dim_of_one_can_go() {
        Tensor::from([[1, 2, 3], [4, 5, 6]]).squeeze(-1);
    }

    #[test]
    fn derivatives_and_lanes() {
        let x = Tensor::from([[0.3, -1.2, 2.0], [0.7, 0.1, -0.4]]);
        let f = |x: &Tensor| x.reshape([3, 2]).sin();
        check_grads(f, (&x,), 2);
        check_lanes(f, &waves(&[5, 2, 3], 0.1));
    }
}
