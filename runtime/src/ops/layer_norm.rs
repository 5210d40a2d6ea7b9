//! `layer_norm` and `rms_norm`: rows brought to one scale.

use std::panic::Location;

use super::reduce::sum_dims;
use super::softmax::{floats, row_sum};
use crate::array::kernels::Normalize;
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::error::violation;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// `(x - mean)/√(var + epsilon)·scale + bias` along the last dim: `f32[..,n], f32[n], f32[n] -> f32[..,n]`
/// (Ba, Kiros and Hinton, *Layer normalization*, 2016). Forward and backward are one pass over memory each.
///
/// # Panics
/// If the operands are not floats of one type, or `scale` and `bias` do not have the last dim of `x`.
///
/// ```
/// use axisgrad::{Tensor, ops::layer_norm};
/// let (x, one, zero) = (Tensor::from([1.0, 3.0]), Tensor::from([1.0, 1.0]), Tensor::from([0.0, 0.0]));
/// assert_eq!(layer_norm(&x, &one, &zero, 0.0).to_vec::<f64>(), [-1.0, 1.0]);
/// ```
#[track_caller]
pub fn layer_norm(x: &Tensor, scale: &Tensor, bias: &Tensor, epsilon: f64) -> Tensor {
    has_rows("layer_norm", x, Location::caller());
    bind(Scaled(Normalize { center: true, epsilon }), &[x, scale, bias])
}

/// `x/√(mean(x²) + epsilon)·scale` along the last dim: `f32[..,n], f32[n] -> f32[..,n]` (Zhang and Sennrich, *Root
/// mean square layer normalization*, 2019). Forward and backward are one pass over memory each.
///
/// # Panics
/// If the operands are not floats of one type, or `scale` does not have the last dim of `x`.
#[track_caller]
pub fn rms_norm(x: &Tensor, scale: &Tensor, epsilon: f64) -> Tensor {
    has_rows("rms_norm", x, Location::caller());
    bind(Scaled(Normalize { center: false, epsilon }), &[x, scale])
}

/// The rows of the last dim at mean 0 and variance 1: [`layer_norm`] without scale and bias.
#[track_caller]
pub(super) fn standardized(x: &Tensor, epsilon: f64) -> Tensor {
    bind(Scaled(Normalize { center: true, epsilon }), &[x])
}

#[track_caller]
fn has_rows(op: &str, x: &Tensor, site: &'static Location<'static>) {
    if x.ndim() == 0 {
        violation(op, "a scalar has no rows", &[x], site);
    }
}

fn name_of(settings: Normalize) -> &'static str {
    if settings.center { "layer_norm" } else { "rms_norm" }
}

/// Rows at one scale; times a second operand and plus a third, if there are any.
struct Scaled(Normalize);

impl Op for Scaled {
    fn name(&self) -> &'static str {
        name_of(self.0)
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let result = floats(inputs[0])?;
        let row = &inputs[0].dims[inputs[0].ndim() - 1..];
        match inputs[1..].iter().find(|part| part.dtype != inputs[0].dtype || part.dims[..] != *row) {
            Some(part) => Err(format!(
                "scale and bias must be {}{row:?}, and one is {}{:?}",
                inputs[0].dtype, part.dtype, part.dims
            )),
            None => Ok(result),
        }
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let shared = |i: usize| inputs.get(i).map(|part| beside(part, inputs[0].ndim(), axes));
        self.0.apply(&inputs[0], shared(1).as_ref(), shared(2).as_ref())
    }

    fn vjp(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let x = &inputs[0];
        let rows: Vec<usize> = (0..x.ndim() - 1).collect();
        Some(match (wrt, inputs.get(1)) {
            (0, Some(scale)) => bind(Pull(self.0), &[x, ct, scale]),
            (0, None) => pull(self.0, x, ct),
            (1, _) => bind(ScaleCt(self.0), &[x, ct]),
            _ => sum_dims(ct, &rows),
        })
    }
}

/// A row for each lane, with dims of 1 between to stand beside an operand of `ndim` dims.
fn beside(row: &Array, ndim: usize, axes: &AxisSet) -> Array {
    (row.ndim()..ndim).fold(row.clone(), |row, _| row.expand_dims(axes.len()))
}

#[track_caller]
fn normalized(settings: Normalize, x: &Tensor) -> Tensor {
    bind(Scaled(settings), &[x])
}

/// The transpose of the derivative of [`normalized`] at `x`, which is symmetric.
#[track_caller]
fn pull(settings: Normalize, x: &Tensor, ct: &Tensor) -> Tensor {
    bind(Pull(settings), &[x, ct])
}

/// See [`pull`]; of the cotangent times a third operand, if there is one.
struct Pull(Normalize);

impl Op for Pull {
    fn name(&self) -> &'static str {
        name_of(self.0)
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        floats(inputs[0])
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let scale = inputs.get(2).map(|scale| beside(scale, inputs[0].ndim(), axes));
        self.0.pull(&inputs[0], &inputs[1], scale.as_ref())
    }

    fn vjp(&self, wrt: usize, u: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let (x, ct) = (&inputs[0], &inputs[1]);
        let scaled = inputs.get(2).map_or_else(|| ct.clone(), |scale| ct * scale);
        Some(match (wrt, inputs.get(2)) {
            (0, _) => bend(self.0, x, &scaled, u),
            (1, Some(scale)) => pull(self.0, x, u) * scale,
            (1, None) => pull(self.0, x, u),
            _ => sum_dims(&(pull(self.0, x, u) * ct), &(0..x.ndim() - 1).collect::<Vec<_>>()),
        })
    }
}

/// The cotangent of a scale: the sum over rows of `ct` times the normalized rows, in one pass.
struct ScaleCt(Normalize);

impl Op for ScaleCt {
    fn name(&self) -> &'static str {
        name_of(self.0)
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let (dtype, dims) = floats(inputs[0])?;
        Ok((dtype, Dims::from_slice(&dims[dims.len() - 1..])))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        self.0.scale_ct(&inputs[0], &inputs[1], axes.len())
    }

    fn vjp(&self, wrt: usize, u: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let (x, ct) = (&inputs[0], &inputs[1]);
        Some(if wrt == 0 { pull(self.0, x, &(ct * u)) } else { normalized(self.0, x) * u })
    }
}

/// The derivative by `x` of `Σ u·pull(x, ct)`. With y the normalized rows, s what they were scaled by and means
/// along rows, the sum is n·s·(mean(u·ct) - mean(u)·mean(ct) - mean(u·y)·mean(ct·y)); s has the derivative -s²·y/n,
/// and mean(u·y) has pull(u)/n.
#[track_caller]
fn bend(settings: Normalize, x: &Tensor, ct: &Tensor, u: &Tensor) -> Tensor {
    let n = *x.dims().last().expect("a last dim") as f64;
    let mean = |x: &Tensor| row_sum(x) / n;
    let centred = |x: &Tensor| if settings.center { x - &mean(x) } else { x.clone() };
    let (from, y) = (centred(x), normalized(settings, x));
    let scale = (mean(&from.square()) + settings.epsilon).rsqrt();
    let (p, q) = (mean(&(u * &y)), mean(&(ct * &y)));
    let both = mean(&(centred(u) * &centred(ct))) - &p * &q;
    -(scale.square() * both * y + scale * (q * pull(settings, x, u) + p * pull(settings, x, ct)))
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};

    #[test]
    fn values() {
        let (x, scale, bias) = (waves(&[2, 3, 5], 0.2), waves(&[5], 0.4), waves(&[5], 0.9));
        let from = &x - x.mean(crate::ops::keep(-1));
        let rows = &from / (x.var(crate::ops::keep(-1)) + 1e-5).sqrt();
        let pairs = [
            (layer_norm(&x, &scale, &bias, 1e-5), &rows * &scale + &bias),
            (rms_norm(&x, &scale, 1e-5), &x / (x.square().mean(crate::ops::keep(-1)) + 1e-5).sqrt() * &scale),
            (standardized(&x, 1e-5), rows),
        ];
        for (ours, naive) in pairs {
            let pairs = ours.to_vec::<f64>().into_iter().zip(naive.to_vec::<f64>());
            pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-13, "{a} and {b}"));
        }
    }

    #[test]
    fn derivatives() {
        let (x, scale, bias) = (waves(&[2, 4], 0.2), waves(&[4], 0.4), waves(&[4], 0.9));
        let layer = |x: &Tensor, scale: &Tensor, bias: &Tensor| layer_norm(x, scale, bias, 0.1).sin();
        check_grads(layer, (&x, &scale, &bias), 3);
        check_grads(|x: &Tensor, scale: &Tensor| rms_norm(x, scale, 0.1).sin(), (&x, &scale), 3);
        check_grads(|x: &Tensor| standardized(x, 0.1).sin(), &x, 2);
    }

    #[test]
    fn lanes() {
        let (xs, scale, bias) = (waves(&[5, 3, 37], 0.2), waves(&[37], 0.4), waves(&[37], 0.9));
        check_lanes(|x: &Tensor| layer_norm(x, &scale, &bias, 1e-5), &xs);
        let (scales, biases) = (waves(&[5, 37], 0.4), waves(&[5, 37], 0.9));
        check_lanes(|x: &Tensor, s: &Tensor, b: &Tensor| layer_norm(x, s, b, 1e-5), (&xs, &scales, &biases));
        check_lanes(|s: &Tensor| rms_norm(&waves(&[3, 37], 0.2), s, 1e-5), &scales);
    }

    #[test]
    #[should_panic(expected = "layer_norm: scale and bias must be f64[3], and one is f64[2]")]
    fn scale_and_bias_fit() {
        layer_norm(&waves(&[2, 3], 0.0), &waves(&[2], 0.0), &waves(&[3], 0.0), 1e-5);
    }
}
