//! `softmax` and `log_softmax`: exponentials over their sum.

use super::permute::move_dim;
use super::reduce::sum_dims;
use super::reshape::expand_dims;
use crate::array::kernels;
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// `exp(x) / Σ exp(x)` along a dim: `f32[..] -> f32[..]`. The largest element is taken off first, so that nothing
/// overflows; if all are `-inf`, the result is NaN.
///
/// # Panics
/// If there is no such dim, or the operand is not a float.
#[track_caller]
pub fn softmax(x: &Tensor, dim: isize) -> Tensor {
    let dim = x.dim_index("softmax", dim) as isize;
    move_dim(&bind(Softmax, &[&move_dim(x, dim, -1)]), -1, dim)
}

/// `x - log Σ exp(x)` along a dim, the logarithm of [`softmax`] without its rounding: `f32[..] -> f32[..]`.
///
/// # Panics
/// If there is no such dim, or the operand is not a float.
#[track_caller]
pub fn log_softmax(x: &Tensor, dim: isize) -> Tensor {
    let dim = x.dim_index("log_softmax", dim) as isize;
    move_dim(&bind(LogSoftmax, &[&move_dim(x, dim, -1)]), -1, dim)
}

impl Tensor {
    /// See [`softmax`].
    #[track_caller]
    pub fn softmax(&self, dim: isize) -> Tensor {
        softmax(self, dim)
    }

    /// See [`log_softmax`].
    #[track_caller]
    pub fn log_softmax(&self, dim: isize) -> Tensor {
        log_softmax(self, dim)
    }
}

/// The rule that these ops share.
pub(super) fn floats(x: &TensorType) -> Result<(DType, Dims), String> {
    if x.dtype.is_float() {
        return Ok((x.dtype, x.dims.clone()));
    }
    Err(format!("it is for f32 and f64, not {}; cast first", x.dtype))
}

/// Along the last dim; see [`softmax`].
struct Softmax;

impl Op for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        floats(inputs[0])
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::softmax(&inputs[0])
    }

    fn vjp(&self, _: usize, ct: &Tensor, _: &[Tensor], output: &Tensor) -> Option<Tensor> {
        Some(softmax_ct(output, ct))
    }
}

/// `y·(ct - Σ y·ct)` along the last dim.
#[track_caller]
pub(super) fn softmax_ct(y: &Tensor, ct: &Tensor) -> Tensor {
    bind(SoftmaxCt, &[y, ct])
}

/// See [`softmax_ct`].
struct SoftmaxCt;

impl Op for SoftmaxCt {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        floats(inputs[0])
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::softmax_ct(&inputs[0], &inputs[1])
    }

    /// With `u` the cotangent: `u·(ct - Σ y·ct) - ct·Σ u·y` for `y`, and for `ct` the same as it came.
    fn vjp(&self, wrt: usize, u: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let (y, ct) = (&inputs[0], &inputs[1]);
        if wrt == 1 {
            return Some(softmax_ct(y, u));
        }
        Some(u * &(ct - &row_sum(&(y * ct))) - ct * &row_sum(&(u * y)))
    }
}

/// The sum along the last dim, which stays.
#[track_caller]
pub(super) fn row_sum(x: &Tensor) -> Tensor {
    expand_dims(&sum_dims(x, &[x.ndim() - 1]), -1)
}

/// Along the last dim; see [`log_softmax`].
struct LogSoftmax;

impl Op for LogSoftmax {
    fn name(&self) -> &'static str {
        "log_softmax"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        floats(inputs[0])
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::log_softmax(&inputs[0])
    }

    fn vjp(&self, _: usize, ct: &Tensor, _: &[Tensor], output: &Tensor) -> Option<Tensor> {
        Some(ct - &(output.exp() * &row_sum(ct)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::grad;

    #[track_caller]
    fn close(a: &Tensor, b: &Tensor) {
        assert_eq!(a.dims(), b.dims());
        let pairs = a.to_vec::<f64>().into_iter().zip(b.to_vec::<f64>());
        pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-14, "{a} and {b}"));
    }

    #[test]
    fn values_along_any_dim() {
        let x = waves(&[3, 4], 0.2) * 3.0;
        let sums = x.exp().sum(0);
        close(&x.softmax(0), &(x.exp() / &sums));
        close(&x.log_softmax(-2), &(&x - &sums.log()));
        close(&x.softmax(1), &x.t().softmax(0).t());
    }

    #[test]
    fn rows_of_minus_infinity() {
        let x = Tensor::from([f64::NEG_INFINITY; 2]);
        assert!(x.softmax(0).to_vec::<f64>().iter().all(|p| p.is_nan()));
        let masked = Tensor::from([f64::NEG_INFINITY, 0.5]);
        assert_eq!(grad(|x: &Tensor| x.softmax(0).sum(())).at(&masked).to_vec::<f64>(), [0.0, 0.0]);
    }

    #[test]
    #[should_panic(expected = "softmax: it is for f32 and f64, not i32; cast first")]
    fn integers_are_refused() {
        Tensor::from([1, 2]).softmax(0);
    }

    #[test]
    fn derivatives_and_lanes() {
        let (x, many) = (waves(&[3, 4], 0.2), waves(&[5, 3, 4], 0.7));
        for dim in [0, 1] {
            check_grads(move |x: &Tensor| x.softmax(dim), &x, 3);
            check_grads(move |x: &Tensor| x.log_softmax(dim), &x, 2);
            check_lanes(move |x: &Tensor| x.softmax(dim), &many);
            check_lanes(move |x: &Tensor| x.log_softmax(dim), &many);
        }
    }
}
