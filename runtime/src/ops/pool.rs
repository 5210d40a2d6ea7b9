//! `max_pool` and `avg_pool`: the largest and the mean of each window.

use std::panic::Location;

use super::windows::{Window, distances, patches, settings, surrounded};
use crate::array::kernels::{window_put, window_take};
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::error::violation;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// The largest element of each window over the last dims; NaN if one is. The cotangent goes to the first of the
/// largest.
///
/// `T[..,n1,n2] -> T[..,m1,m2]` with m = (low + n + high - window) / stride + 1, rounded down. `padding` is how
/// many elements, smaller than all others, come `(low, high)` around each of these dims; empty lists mean strides
/// of 1 and no padding.
///
/// # Panics
/// If there are fewer dims than in `window`, the settings are not one for each, a size or stride is 0, or the
/// elements have no order.
///
/// ```
/// use axisgrad::{Tensor, ops::max_pool};
/// let x = Tensor::from([1.0, 5.0, 2.0, 3.0]);
/// assert_eq!(max_pool(&x, &[2], &[2], &[]).to_vec::<f64>(), [5.0, 3.0]);
/// ```
#[track_caller]
pub fn max_pool(x: &Tensor, window: &[usize], strides: &[usize], padding: &[(usize, usize)]) -> Tensor {
    let least = if x.dtype() == DType::Bool { 0.0 } else { f64::NEG_INFINITY };
    let (x, windows) = windowed("max_pool", x, window, strides, padding, least);
    bind(Take { windows }, &[&x, &x])
}

/// The mean of each window over the last dims, zeros of the padding included: see [`max_pool`].
///
/// `T[..,n1,n2] -> T[..,m1,m2]`
///
/// # Panics
/// As [`max_pool`].
#[track_caller]
pub fn avg_pool(x: &Tensor, window: &[usize], strides: &[usize], padding: &[(usize, usize)]) -> Tensor {
    let (x, windows) = windowed("avg_pool", x, window, strides, padding, 0.0);
    patches(&x, &windows).mean((x.ndim() - windows.len()) as isize)
}

impl Tensor {
    /// See [`max_pool`].
    #[track_caller]
    pub fn max_pool(&self, window: &[usize], strides: &[usize], padding: &[(usize, usize)]) -> Tensor {
        max_pool(self, window, strides, padding)
    }

    /// See [`avg_pool`].
    #[track_caller]
    pub fn avg_pool(&self, window: &[usize], strides: &[usize], padding: &[(usize, usize)]) -> Tensor {
        avg_pool(self, window, strides, padding)
    }
}

/// See [`window_take`].
struct Take {
    windows: Vec<Window>,
}

impl Op for Take {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let x = inputs[1];
        if x.dtype.is_complex() || x.dtype == DType::Float0 {
            return Err(format!("elements of type {} have no order", x.dtype));
        }
        let lead = x.ndim() - self.windows.len();
        let counts = self.windows.iter().zip(&x.dims[lead..]).map(|(window, &n)| window.count(n));
        Ok((inputs[0].dtype, x.dims[..lead].iter().copied().chain(counts).collect()))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        window_take(&inputs[0], &inputs[1], &self.windows)
    }

    fn vjp(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        (wrt == 0).then(|| bind(Put { windows: self.windows.clone() }, &[ct, &inputs[1]]))
    }
}

/// See [`window_put`].
struct Put {
    windows: Vec<Window>,
}

impl Op for Put {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[0].dtype, inputs[1].dims.clone()))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        window_put(&inputs[0], &inputs[1], &self.windows)
    }

    fn vjp(&self, wrt: usize, u: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        (wrt == 0).then(|| bind(Take { windows: self.windows.clone() }, &[u, &inputs[1]]))
    }
}

/// `x` with `value` around it, and how windows lie over its last dims.
#[track_caller]
fn windowed(
    op: &str,
    x: &Tensor,
    window: &[usize],
    strides: &[usize],
    padding: &[(usize, usize)],
    value: f64,
) -> (Tensor, Vec<Window>) {
    let n = window.len();
    if x.ndim() < n || window.contains(&0) {
        let rule = format!("a window {window:?} needs as many dims, and sizes of 1 or more");
        violation(op, &rule, &[x], Location::caller());
    }
    let strides = distances(op, "strides", strides, n, x);
    let padding = settings(op, "padding", padding, n, (0, 0), x);
    let windows: Vec<Window> =
        window.iter().zip(strides).map(|(&size, stride)| Window { size, stride, dilation: 1 }).collect();
    (surrounded(x, &padding, &vec![1; n], value), windows)
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::grad;

    #[test]
    fn values() {
        let x = Tensor::from([[1.0, 2.0, 3.0], [6.0, 5.0, 4.0]]);
        assert_eq!(x.max_pool(&[2, 2], &[], &[]).to_vec::<f64>(), [6.0, 5.0]);
        assert_eq!(x.avg_pool(&[2, 2], &[], &[]).to_vec::<f64>(), [3.5, 3.5]);
        assert_eq!((-&x).max_pool(&[2], &[2], &[(1, 1)]).to_vec::<f64>(), [-1.0, -2.0, -6.0, -4.0]);
        assert_eq!(x.avg_pool(&[2], &[2], &[(1, 1)]).to_vec::<f64>(), [0.5, 2.5, 3.0, 4.5]);
        assert_eq!(Tensor::from([3i32, -7, -8]).max_pool(&[2], &[], &[(0, 1)]).to_vec::<i32>(), [3, -7, -8]);
    }

    #[test]
    fn the_first_of_the_largest_has_the_cotangent() {
        let x = Tensor::from([2.0, 2.0, 1.0, 2.0]);
        let slope = grad(|x: &Tensor| x.max_pool(&[3], &[], &[]).sum(())).at(&x);
        assert_eq!(slope.to_vec::<f64>(), [1.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn derivatives_and_lanes() {
        let x = waves(&[2, 4, 5], 0.3);
        let max = |x: &Tensor| x.max_pool(&[2, 3], &[2, 1], &[(0, 1), (1, 1)]).sin();
        let mean = |x: &Tensor| x.avg_pool(&[2, 3], &[2, 1], &[(0, 1), (1, 1)]).sin();
        check_grads(max, &x, 2);
        check_grads(mean, &x, 2);
        check_lanes(max, &waves(&[7, 2, 4, 5], 0.3));
        check_lanes(mean, &waves(&[7, 2, 4, 5], 0.3));
        let halves = |x: &Tensor| x.max_pool(&[2, 2], &[2, 2], &[]).sin();
        check_grads(halves, &x, 2);
        check_lanes(halves, &waves(&[7, 2, 5, 7], 0.3));
    }

    #[test]
    #[should_panic(expected = "max_pool: a window [2, 0] needs as many dims, and sizes of 1 or more")]
    fn windows_have_places() {
        waves(&[3, 3], 0.0).max_pool(&[2, 0], &[], &[]);
    }

    #[test]
    fn around_bools_there_is_nothing_true() {
        let x = Tensor::from([false, false]);
        assert_eq!(x.max_pool(&[2], &[1], &[(1, 0)]).to_vec::<bool>(), [false, false]);
    }
}
