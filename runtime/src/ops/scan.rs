//! Cumulative ops along a dim: `cumsum`, `cumprod`, `cummax`, `cummin`, `cumlogsumexp`.

use super::reshape::reshaped;
use super::{concat, logaddexp, maximum, minimum, mul, slice, slice_step, stack};
use crate::array::{Array, Dims, kernels};
use crate::bind::bind;
use crate::dtype::{DType, Scalar, dispatch};
use crate::op::Op;
use crate::ops::cast;
use crate::tensor::Tensor;
use crate::tree::Tree;
use crate::types::{AxisSet, TensorType};

/// The sums of the first 1, 2, … elements along `dim`; of bools, counts (`i32`).
///
/// `T[..] -> T[..]`. For sums from the end, see [`Tensor::flip`].
///
/// ```
/// use axisgrad::{Tensor, ops::cumsum};
/// assert_eq!(cumsum(&Tensor::from([1.0, 2.0, 4.0]), 0).to_vec::<f64>(), [1.0, 3.0, 7.0]);
/// ```
///
/// # Panics
/// If the dim does not exist.
#[track_caller]
pub fn cumsum(x: &Tensor, dim: isize) -> Tensor {
    let dim = x.dim_index("cumsum", dim);
    let x = if x.dtype() == DType::Bool { &cast(x, DType::I32) } else { x };
    bind(CumSum { dim, from_end: false }, &[x])
}

/// The products of the first 1, 2, … elements along `dim`; the derivative is exact at zeros too.
///
/// `T[..] -> T[..]`
///
/// # Panics
/// If the dim does not exist.
#[track_caller]
pub fn cumprod(x: &Tensor, dim: isize) -> Tensor {
    prefixes(x, x.dim_index("cumprod", dim), &|a, b| mul(a, b))
}

/// The largest of the first 1, 2, … elements along `dim`; NaN from the first NaN on.
///
/// `T[..] -> T[..]`, for any T but complex ones. Where an element equals the largest before it, each has half of
/// the derivative.
///
/// # Panics
/// If the elements are complex, or the dim does not exist.
#[track_caller]
pub fn cummax(x: &Tensor, dim: isize) -> Tensor {
    prefixes(x, x.dim_index("cummax", dim), &|a, b| maximum(a, b))
}

/// The smallest of the first 1, 2, … elements along `dim`: see [`cummax`].
///
/// `T[..] -> T[..]`, for any T but complex ones.
///
/// # Panics
/// If the elements are complex, or the dim does not exist.
#[track_caller]
pub fn cummin(x: &Tensor, dim: isize) -> Tensor {
    prefixes(x, x.dim_index("cummin", dim), &|a, b| minimum(a, b))
}

/// The logarithms of the sums of the exponentials of the first 1, 2, … elements along `dim`, without overflow.
///
/// `T[..] -> T[..]`, where T is a float type.
///
/// # Panics
/// If the elements are complex, or the dim does not exist.
#[track_caller]
pub fn cumlogsumexp(x: &Tensor, dim: isize) -> Tensor {
    prefixes(x, x.dim_index("cumlogsumexp", dim), &|a, b| logaddexp(a, b))
}

fn prefixes(x: &Tensor, dim: usize, combine: &dyn Fn(&Tensor, &Tensor) -> Tensor) -> Tensor {
    prefixes_of(x, x.dims()[dim], dim as isize, combine)
}

/// The combinations of the first 1, 2, … of `n` places along `dim` of every leaf, by an associative function: pairs are
/// combined, their prefixes are every second result, and one more step gives the others (Blelloch, "Prefix sums and
/// their applications", 1990). Work is linear, and the tape grows with the logarithm of the size.
pub(crate) fn prefixes_of<X: Tree>(xs: &X, n: usize, dim: isize, combine: &dyn Fn(&X, &X) -> X) -> X {
    if n < 2 {
        return xs.clone();
    }
    let every_second = |from: usize, to: usize| xs.map_leaves(|x| slice_step(x, dim, from..to, 2));
    let joined = |a: &X, b: &X| a.zip_leaves(b, |_, a, b| concat(&[a, b], dim));
    let odd = prefixes_of(&combine(&every_second(0, n - 1), &every_second(1, n)), n / 2, dim, combine);
    let first = xs.map_leaves(|x| slice(x, dim, ..1));
    if n == 2 {
        return joined(&first, &odd);
    }
    let before = odd.map_leaves(|x| slice(x, dim, ..(n - 1) / 2));
    let even = joined(&first, &combine(&before, &every_second(2, n)));
    even.zip_leaves(&odd, |_, even, odd| interleaved(even, odd, dim as usize))
}

/// Places along `dim` in turn; there may be one more of the even ones.
fn interleaved(even: &Tensor, odd: &Tensor, dim: usize) -> Tensor {
    let (at, pairs) = (dim as isize, odd.dims()[dim]);
    let mut dims = Dims::from_slice(odd.dims());
    dims[dim] *= 2;
    let joined = reshaped(&stack(&[&slice(even, at, ..pairs), odd], at + 1), dims);
    if even.dims()[dim] == pairs { joined } else { concat(&[&joined, &slice(even, at, pairs..)], at) }
}

struct CumSum {
    dim: usize,
    from_end: bool,
}

impl Op for CumSum {
    fn name(&self) -> &'static str {
        "cumsum"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        if inputs[0].dtype == DType::Float0 {
            return Err("float0 holds no values".to_owned());
        }
        Ok((inputs[0].dtype, inputs[0].dims.clone()))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let dim = axes.len() + self.dim;
        let towards = |x: Array| if self.from_end { x.flip(dim) } else { x };
        towards(running_sums(&towards(inputs[0].clone()), dim))
    }

    fn vjp(&self, _: usize, ct: &Tensor, _: &[Tensor], _: &Tensor) -> Option<Tensor> {
        Some(bind(CumSum { dim: self.dim, from_end: !self.from_end }, &[ct]))
    }
}

fn running_sums(x: &Array, dim: usize) -> Array {
    let mut order: Dims = (0..x.ndim()).filter(|&d| d != dim).collect();
    order.push(dim);
    let rows = kernels::copy(&x.permute(&order));
    let mut back: Dims = (0..x.ndim() - 1).collect();
    back.insert(dim, x.ndim() - 1);
    dispatch!(x.dtype() in [numeric], T => {
        let mut sums = rows.to_vec::<T>();
        for row in sums.chunks_mut(x.dims()[dim].max(1)) {
            (1..row.len()).for_each(|i| row[i] = row[i - 1].plus(row[i]));
        }
        Array::from_vec_in::<T>(x.pool(), sums, rows.dims()).permute(&back)
    })
}

impl Tensor {
    /// See [`ops::cumsum`](crate::ops::cumsum).
    #[track_caller]
    pub fn cumsum(&self, dim: isize) -> Tensor {
        cumsum(self, dim)
    }

    /// See [`ops::cumprod`](crate::ops::cumprod).
    #[track_caller]
    pub fn cumprod(&self, dim: isize) -> Tensor {
        cumprod(self, dim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::grad;
    use crate::ops::flip;

    #[test]
    fn values() {
        let x = Tensor::from([[1i32, 5], [2, -3], [4, 0]]);
        assert_eq!(cumsum(&x, 0).to_vec::<i32>(), [1, 5, 3, 2, 7, 2]);
        assert_eq!(cumprod(&x, 0).to_vec::<i32>(), [1, 5, 2, -15, 8, 0]);
        assert_eq!(cumsum(&x, -1).to_vec::<i32>(), [1, 6, 2, -1, 4, 4]);
        assert_eq!(cumsum(&Tensor::from([true, false, true]), 0).to_vec::<i32>(), [1, 1, 2]);
        for n in 0..9 {
            let row: Vec<f64> = (0..n).map(|i| (i as f64 * 2.1).sin()).collect();
            let best = |i: usize| row[..=i].iter().copied().fold(f64::MIN, f64::max);
            let least = |i: usize| row[..=i].iter().copied().fold(f64::MAX, f64::min);
            let (most, fewest): (Vec<f64>, Vec<f64>) = (0..n).map(|i| (best(i), least(i))).unzip();
            let x = Tensor::from(&row[..]);
            assert_eq!((cummax(&x, 0).to_vec::<f64>(), cummin(&x, 0).to_vec::<f64>()), (most, fewest));
        }
    }

    #[test]
    fn derivatives_to_second_order() {
        let x = Tensor::from([[0.5f64, -1.25, 3.0], [0.1, 0.2, 0.3], [1.1, -0.7, 2.0]]);
        for f in [cumsum as fn(&Tensor, isize) -> Tensor, cumprod, cummax, cummin, cumlogsumexp] {
            check_grads(|x: &Tensor| f(&x.square(), 0), &x, 2);
            check_grads(|x: &Tensor| flip(&f(&flip(x, 1), 1), 1), &x, 2);
            check_lanes(|x: &Tensor| f(x, 0), &x);
        }
    }

    #[test]
    fn products_of_zeros_have_exact_derivatives() {
        let x = Tensor::from([2.0f64, 0.0, 3.0, 0.0]);
        let gradient = grad(|x: &Tensor| cumprod(x, 0).sum(())).at(&x);
        assert_eq!(gradient.to_vec::<f64>(), [1.0, 8.0, 0.0, 0.0]);
    }

    #[test]
    fn a_tie_with_what_came_before_shares() {
        let x = Tensor::from([2.0f64, 2.0, 1.0]);
        let gradient = grad(|x: &Tensor| cummax(x, 0).sum(())).at(&x);
        assert_eq!(gradient.to_vec::<f64>(), [2.0, 1.0, 0.0]);
    }

    #[test]
    fn the_sign_of_zero_stays() {
        for n in 1..6 {
            let x = Tensor::from(vec![-0.0f64; n]);
            let zeros = [cummax(&x, 0), cummin(&x, 0)].map(|x| x.to_vec::<f64>()).concat();
            assert!(zeros.iter().all(|x| x.is_sign_negative()), "{zeros:?}");
        }
    }
}
