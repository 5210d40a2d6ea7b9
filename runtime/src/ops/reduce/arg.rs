//! `argmax` and `argmin`: where the extreme is.

use super::along::{Along, IntoDims, kept_sizes};
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::{DType, Scalar, dispatch};
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// Where along `dim` the largest element is, the first of several; that of a NaN if there is one.
///
/// `T[..] -> i32[..]` without the dim (or with it at size 1: `argmax(&x, keep(-1))`), for any T but complex ones.
/// With `()`, the place among all elements in row-major order. It has no derivative.
///
/// # Panics
/// If the elements are complex, there are none to choose from, several dims are given, or the dim does not exist.
#[track_caller]
pub fn argmax(x: &Tensor, dim: impl IntoDims) -> Tensor {
    arg("argmax", true, x, &dim)
}

/// Where along `dim` the smallest element is: see [`argmax`].
///
/// `T[..] -> i32[..]`
///
/// # Panics
/// As [`argmax`].
#[track_caller]
pub fn argmin(x: &Tensor, dim: impl IntoDims) -> Tensor {
    arg("argmin", false, x, &dim)
}

impl Tensor {
    /// See [`ops::argmax`](crate::ops::argmax).
    #[track_caller]
    pub fn argmax(&self, dim: impl IntoDims) -> Tensor {
        argmax(self, dim)
    }

    /// See [`ops::argmin`](crate::ops::argmin).
    #[track_caller]
    pub fn argmin(&self, dim: impl IntoDims) -> Tensor {
        argmin(self, dim)
    }
}

#[track_caller]
fn arg(name: &'static str, largest: bool, x: &Tensor, dims: &impl IntoDims) -> Tensor {
    let along = Along::of(name, x, dims);
    along.finish(x, bind(Arg { name, largest, dims: along.dims.to_vec() }, &[x]))
}

struct Arg {
    name: &'static str,
    largest: bool,
    dims: Vec<usize>,
}

impl Op for Arg {
    fn name(&self) -> &'static str {
        self.name
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let x = inputs[0];
        if x.dtype.is_complex() || x.dtype == DType::Float0 {
            return Err(format!("elements of type {} have no order", x.dtype));
        }
        if self.dims.len() != 1 && self.dims.len() != x.ndim() {
            return Err("one dim, or () for all of them".to_owned());
        }
        match self.dims.iter().find(|&&dim| x.dims[dim] == 0) {
            Some(dim) => Err(format!("dim {dim} has size 0: there is no element to choose")),
            None => Ok((DType::I32, kept_sizes(&x.dims, &self.dims))),
        }
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let x = &inputs[0];
        let dims: Vec<usize> = self.dims.iter().map(|dim| axes.len() + dim).collect();
        let kept = (0..x.ndim()).filter(|dim| !dims.contains(dim));
        let rows = x.permute(&kept.chain(dims.iter().copied()).collect::<Dims>()).contiguous();
        let len = dims.iter().map(|&dim| x.dims()[dim]).product::<usize>().max(1);
        let places = dispatch!(x.dtype() in [ordered], T => {
            rows.as_slice::<T>().chunks(len).map(|row| place(row, self.largest)).collect()
        });
        Array::from_vec_in::<i32>(x.pool(), places, kept_sizes(x.dims(), &dims))
    }

    fn vjp(&self, _: usize, _: &Tensor, _: &[Tensor], _: &Tensor) -> Option<Tensor> {
        None
    }
}

fn place<T: Scalar + PartialOrd>(row: &[T], largest: bool) -> i32 {
    let better = |x: T, best: T| {
        let (x_is_nan, best_is_nan) = (x.partial_cmp(&x).is_none(), best.partial_cmp(&best).is_none());
        !best_is_nan && (x_is_nan || if largest { x > best } else { x < best })
    };
    (1..row.len()).fold(0, |best, i| if better(row[i], row[best]) { i } else { best }) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check_lanes;
    use crate::ops::keep;

    #[test]
    fn values() {
        let x = Tensor::from([[3.0f32, 7.0, 7.0], [1.0, f32::NAN, -5.0]]);
        assert_eq!(x.argmax(-1).to_vec::<i32>(), [1, 1]);
        assert_eq!(x.argmin(0).to_vec::<i32>(), [1, 1, 1]);
        assert_eq!((x.argmin(keep(1)).dims(), x.argmax(()).item::<i32>()), (&[2, 1][..], 4));
        assert_eq!(Tensor::from([false, true, true]).argmax(0).item::<i32>(), 1);
        check_lanes(|x: &Tensor| x.argmax(0), &x);
    }

    #[test]
    #[should_panic(expected = "argmax: one dim, or () for all of them\n   operand: i32[1,1,1]")]
    fn one_dim_or_all() {
        Tensor::from([[[1i32]]]).argmax([0, 1]);
    }
}
