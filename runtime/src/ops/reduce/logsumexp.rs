//! `logsumexp`: a sum of exponentials, as a logarithm.

use super::along::{Along, IntoDims, keep};
use crate::array::{Array, Dims, kernels};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::ops::permute::permuted;
use crate::ops::reshape::{expand_dims, reshaped};
use crate::ops::softmax::floats;
use crate::ops::where_;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// `log Σ exp(x)` over dims, `()` for all: `f32[m,n] -> f32[m]` for -1. Nothing overflows; if all elements are `-inf`
/// so is the result, and its gradient is NaN.
///
/// ```
/// use axisgrad::{Tensor, ops::logsumexp};
/// let x = Tensor::from([1000.0, 1000.0]);
/// assert_eq!(logsumexp(&x, 0).item::<f64>(), 1000.0 + 2f64.ln());
/// ```
///
/// # Panics
/// If a dim does not exist or is named twice, or the operand is neither float nor complex.
#[track_caller]
pub fn logsumexp(x: &Tensor, dims: impl IntoDims) -> Tensor {
    let along = Along::of("logsumexp", x, &dims);
    let kept = (0..x.ndim()).filter(|dim| !along.dims.contains(dim));
    let order: Dims = kept.chain(along.dims.iter().copied()).collect();
    let first = x.ndim() - along.dims.len();
    let turned = permuted(x, order);
    let rows: Dims = turned.dims()[..first].iter().copied().chain([along.count(x)]).collect();
    let rows = reshaped(&turned, rows);
    along.finish(x, if x.dtype().is_complex() { of_complex(&rows) } else { bind(LogSumExp, &[&rows]) })
}

/// Scaled by the largest real part.
#[track_caller]
fn of_complex(rows: &Tensor) -> Tensor {
    let top = rows.real().max(keep(-1)).stop_gradient();
    let top = where_(top.isfinite(), &top, 0.0);
    (rows - &top).exp().sum(-1).log() + top.squeeze(-1)
}

impl Tensor {
    /// See [`ops::logsumexp`](crate::ops::logsumexp()).
    #[track_caller]
    pub fn logsumexp(&self, dims: impl IntoDims) -> Tensor {
        logsumexp(self, dims)
    }
}

/// Along the last dim.
struct LogSumExp;

impl Op for LogSumExp {
    fn name(&self) -> &'static str {
        "logsumexp"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let (dtype, mut dims) = floats(inputs[0])?;
        dims.pop();
        Ok((dtype, dims))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::logsumexp(&inputs[0])
    }

    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], output: &Tensor) -> Option<Tensor> {
        Some(expand_dims(ct, -1) * (&inputs[0] - &expand_dims(output, -1)).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::grad;
    use crate::ops::complex;
    use crate::ops::waves::waves;

    #[test]
    fn over_any_dims() {
        let x = waves(&[2, 3, 2], 0.2) * 3.0;
        for (a, b) in [
            (x.logsumexp(()), x.exp().sum(()).log()),
            (x.logsumexp(1), x.exp().sum(1).log()),
            (x.logsumexp([0, -1]), x.exp().sum([0, -1]).log()),
            (x.logsumexp(keep([0, 1])), x.exp().sum(keep([0, 1])).log()),
        ] {
            assert_eq!(a.dims(), b.dims());
            let pairs = a.to_vec::<f64>().into_iter().zip(b.to_vec::<f64>());
            pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-14, "{a} and {b}"));
        }
    }

    #[test]
    fn rows_of_minus_infinity() {
        let x = Tensor::from([f64::NEG_INFINITY; 2]);
        assert_eq!(x.logsumexp(0).item::<f64>(), f64::NEG_INFINITY);
        assert!(grad(|x: &Tensor| x.logsumexp(0)).at(&x).to_vec::<f64>().iter().all(|x| x.is_nan()));
        let masked = Tensor::from([f64::NEG_INFINITY, 0.5]);
        assert_eq!(grad(|x: &Tensor| x.logsumexp(0)).at(&masked).to_vec::<f64>(), [0.0, 1.0]);
    }

    #[test]
    fn derivatives_and_lanes() {
        check_grads(|x: &Tensor| x.logsumexp([0, 2]), &waves(&[3, 2, 2], 0.2), 3);
        check_lanes(|x: &Tensor| x.logsumexp(0), &waves(&[5, 3, 4], 0.7));
        let z = complex(waves(&[2, 3], 0.2), waves(&[2, 3], 0.8)) + 800.0;
        let plain = |z: &Tensor| (z - 800.0).exp().sum(1).log() + 800.0;
        assert!((z.logsumexp(1) - plain(&z)).abs().sum(()).item::<f64>() < 1e-12);
        check_grads(|z: &Tensor| z.logsumexp([0, 1]), &(&z - 800.0), 2);
    }
}
