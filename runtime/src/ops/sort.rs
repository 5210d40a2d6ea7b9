//! Order along a dim: `argsort`, `sort`, `top_k`, `median`.

use std::cmp::Ordering;
use std::panic::Location;

use super::{quantile, take_along_dim};
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::{DType, dispatch};
use crate::error::violation;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// The places of the elements along `dim` in ascending order; equal ones keep theirs, NaN comes last. Complex numbers
/// are ordered by their real parts, and equal ones by their imaginary parts.
///
/// `T[..] -> i32[..]`. It has no derivative.
///
/// # Panics
/// If the dim does not exist.
#[track_caller]
pub fn argsort(x: &Tensor, dim: isize) -> Tensor {
    bind(ArgSort { dim: x.dim_index("argsort", dim), descending: false }, &[x])
}

/// The elements along `dim` in ascending order, as [`argsort`] has it.
///
/// `T[..] -> T[..]`. A cotangent goes back to where the element came from.
///
/// ```
/// use axisgrad::{Tensor, ops::sort};
/// assert_eq!(sort(&Tensor::from([3.0, 1.0, 2.0]), 0).to_vec::<f64>(), [1.0, 2.0, 3.0]);
/// ```
///
/// # Panics
/// If the dim does not exist.
#[track_caller]
pub fn sort(x: &Tensor, dim: isize) -> Tensor {
    take_along_dim(x, &argsort(x, dim), dim)
}

/// The `k` largest elements along the last dim, the largest first, and their places; of equal ones the first
/// comes first, and NaN counts as larger than all.
///
/// `T[..,n] -> T[..,k], i32[..,k]`.
///
/// # Panics
/// If there are fewer than `k`.
#[track_caller]
pub fn top_k(x: &Tensor, k: usize) -> (Tensor, Tensor) {
    let last = x.dim_index("top_k", -1);
    if k > x.dims()[last] {
        violation("top_k", &format!("{k} of {} elements", x.dims()[last]), &[x], Location::caller());
    }
    let places = bind(ArgSort { dim: last, descending: true }, &[x]).slice(-1, ..k);
    (take_along_dim(x, &places, -1), places)
}

/// The median along `dim`: the middle element, or the mean of the two; NaN if an element is.
///
/// `T[..] -> T[..]` without the dim; integers become `f32`.
///
/// # Panics
/// If the elements are complex, there are none, or the dim does not exist.
#[track_caller]
pub fn median(x: &Tensor, dim: isize) -> Tensor {
    quantile(x, 0.5, dim)
}

impl Tensor {
    /// See [`ops::argsort`](crate::ops::argsort).
    #[track_caller]
    pub fn argsort(&self, dim: isize) -> Tensor {
        argsort(self, dim)
    }

    /// See [`ops::sort`](crate::ops::sort()).
    #[track_caller]
    pub fn sort(&self, dim: isize) -> Tensor {
        sort(self, dim)
    }
}

struct ArgSort {
    dim: usize,
    descending: bool,
}

impl Op for ArgSort {
    fn name(&self) -> &'static str {
        "argsort"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let x = inputs[0];
        if x.dtype == DType::Float0 {
            return Err(format!("elements of type {} have no order", x.dtype));
        }
        Ok((DType::I32, x.dims.clone()))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let (x, dim) = (&inputs[0], axes.len() + self.dim);
        let mut order: Dims = (0..x.ndim()).filter(|&d| d != dim).collect();
        order.push(dim);
        let mut back: Dims = (0..x.ndim() - 1).collect();
        back.insert(dim, x.ndim() - 1);
        let rows = x.permute(&order).contiguous();
        let n = x.dims()[dim].max(1);
        let places: Vec<i32> = if x.dtype().is_complex() {
            dispatch!(x.dtype() in [complex], T => {
                let pairs: Vec<_> = rows.as_slice::<T>().iter().map(|z| (z.re, z.im)).collect();
                pairs.chunks(n).flat_map(|row| sorted_places(row, self.descending)).collect()
            })
        } else {
            dispatch!(x.dtype() in [ordered], T => {
                rows.as_slice::<T>().chunks(n).flat_map(|row| sorted_places(row, self.descending)).collect()
            })
        };
        Array::from_vec_in::<i32>(x.pool(), places, rows.dims()).permute(&back)
    }

    fn vjp(&self, _: usize, _: &Tensor, _: &[Tensor], _: &Tensor) -> Option<Tensor> {
        None
    }
}

fn sorted_places<T: Copy + PartialOrd>(row: &[T], descending: bool) -> Vec<i32> {
    let is_nan = |x: T| x.partial_cmp(&x).is_none();
    let order = |a: T, b: T| a.partial_cmp(&b).unwrap_or_else(|| is_nan(a).cmp(&is_nan(b)));
    let mut places: Vec<i32> = (0..row.len() as i32).collect();
    places.sort_by(|&a, &b| {
        let ascending: Ordering = order(row[a as usize], row[b as usize]);
        if descending { ascending.reverse() } else { ascending }
    });
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::grad;
    use crate::ops::complex;

    #[test]
    fn values() {
        let x = Tensor::from([[3.0f32, 1.0, 3.0], [f32::NAN, -2.0, 0.0]]);
        assert_eq!(argsort(&x, 1).to_vec::<i32>(), [1, 0, 2, 1, 2, 0]);
        assert_eq!(sort(&x, 0).to_vec::<f32>()[..3], [3.0, -2.0, 0.0]);
        let (values, places) = top_k(&x.slice(0, ..1), 2);
        assert_eq!((values.to_vec::<f32>(), places.to_vec::<i32>()), (vec![3.0, 3.0], vec![0, 2]));
        assert_eq!(Tensor::from([2i32, 9, 4]).sort(0).to_vec::<i32>(), [2, 4, 9]);
        assert_eq!(median(&Tensor::from([7i32, 1, 5, 2]), 0).item::<f32>(), 3.5);
        assert_eq!(median(&x, 1).slice(0, ..1).to_vec::<f32>(), [3.0]);
        assert!(median(&x, 1).index(0, 1).item::<f32>().is_nan());
    }

    #[test]
    fn complex_numbers_by_their_parts() {
        let z = complex(Tensor::from([2.0f64, 1.0, 2.0, f64::NAN]), Tensor::from([0.0f64, 3.0, -1.0, 0.0]));
        assert_eq!(argsort(&z, 0).to_vec::<i32>(), [1, 2, 0, 3]);
        let apart = complex(Tensor::from([2.0f64, 1.0, 1.5]), Tensor::from([0.0f64, 3.0, -1.0]));
        check_grads(|z: &Tensor| sort(z, 0).square(), &apart, 2);
    }

    #[test]
    fn ties_keep_their_places() {
        let x = Tensor::from([3.0f64, 1.0, 2.0, 1.0, 3.0]);
        let weights = Tensor::from([1.0f64, 2.0, 4.0, 8.0, 16.0]);
        let gradient = grad(|x: &Tensor| (x.sort(0) * &weights).sum(())).at(&x);
        assert_eq!(gradient.to_vec::<f64>(), [8.0, 1.0, 4.0, 2.0, 16.0]);
    }

    #[test]
    fn derivatives_to_second_order() {
        let x = Tensor::from([[0.5f64, -1.25, 3.0], [0.1, 0.2, 0.3]]);
        check_grads(|x: &Tensor| x.square().sort(1) * x, &x, 2);
        check_grads(|x: &Tensor| top_k(&x.square(), 2).0.square() + median(x, 0).sum(()), &x, 2);
        check_lanes(|x: &Tensor| x.sort(0), &x);
        check_lanes(|x: &Tensor| top_k(x, 2).1, &x);
    }

    #[test]
    #[should_panic(expected = "top_k: 3 of 2 elements")]
    fn no_more_than_there_are() {
        top_k(&Tensor::from([1.0, 2.0]), 3);
    }

    #[test]
    #[should_panic(expected = "quantile: complex numbers have no order")]
    fn complex_numbers_have_no_middle() {
        median(&complex(Tensor::from([1.0]), Tensor::from([0.0])), 0);
    }
}
