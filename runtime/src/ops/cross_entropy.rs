//! `cross_entropy`: how improbable logits find a label.

use std::panic::Location;

use super::reshape::expand_dims;
use super::row_ids::{OutOfRange, check_ids, resolved};
use super::softmax::{floats, softmax, softmax_ct};
use super::{one_hot, reduce::sum_dims};
use crate::array::kernels::{self, RowDims};
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::error::violation;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// `log Σ exp(logits) - logits[label]`, minus the logarithm of the probability that the softmax of the logits gives
/// the label: `f32[n], i32[] -> f32[]`, or `f32[..,n], i32[..] -> f32[..]` for several.
///
/// # Panics
/// If the logits are not floats, their dims are not those of the labels and one more, the labels are not integers,
/// or one is out of range.
///
/// ```
/// use axisgrad::{Tensor, ops::cross_entropy};
/// let loss = cross_entropy(&Tensor::from([0.0, 0.0, 0.0, 0.0]), &Tensor::from(2));
/// assert!((loss.item::<f64>() - 4f64.ln()).abs() < 1e-15);
/// ```
#[track_caller]
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Tensor {
    let fits = logits.ndim() == labels.ndim() + 1 && logits.dims().starts_with(labels.dims());
    if !fits {
        let rule = "the logits must have the dims of the labels and one more, the classes";
        violation("cross_entropy", rule, &[logits, labels], Location::caller());
    }
    let at = RowDims { batch: labels.ndim(), dim: labels.ndim() };
    check_ids("cross_entropy", logits, labels, at, logits.dims()[at.dim], OutOfRange::Refuse);
    bind(CrossEntropy, &[logits, labels])
}

/// See [`cross_entropy`].
struct CrossEntropy;

impl Op for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let (dtype, mut dims) = floats(inputs[0])?;
        dims.pop();
        Ok((dtype, dims))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::cross_entropy(&inputs[0], &labels(inputs))
    }

    fn vjp(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        (wrt == 0).then(|| bind(CrossEntropyCt, &[&inputs[0], &inputs[1], ct]))
    }
}

/// `ct·(softmax(logits) - one_hot(label))`, in one pass.
struct CrossEntropyCt;

impl Op for CrossEntropyCt {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        floats(inputs[0])
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::cross_entropy_ct(&inputs[0], &labels(inputs), &inputs[2])
    }

    fn vjp(&self, wrt: usize, u: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let p = softmax(&inputs[0], -1);
        match wrt {
            0 => Some(softmax_ct(&p, &(u * &expand_dims(&inputs[2], -1)))),
            1 => None,
            _ => {
                let n = *p.dims().last().expect("the classes");
                let residual = &p - &one_hot(&inputs[1], n, p.dtype());
                Some(sum_dims(&(u * &residual), &[p.ndim() - 1]))
            }
        }
    }
}

/// The labels as places from the front.
fn labels(inputs: &[Array]) -> Array {
    resolved(&inputs[1], *inputs[0].dims().last().expect("the classes"), OutOfRange::Refuse)
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};

    #[test]
    fn it_is_minus_the_log_probability() {
        let (logits, labels) = (waves(&[3, 4], 0.2) * 3.0, Tensor::from([2, 0, -1]));
        let loss = cross_entropy(&logits, &labels).to_vec::<f64>();
        let logs = logits.log_softmax(1).to_vec::<f64>();
        [2, 4, 11].iter().zip(loss).for_each(|(&i, loss)| assert!((loss + logs[i]).abs() < 1e-14));
        let infinite = Tensor::from([0.0, f64::NEG_INFINITY]);
        assert_eq!(cross_entropy(&infinite, &Tensor::from(0)).item::<f64>(), 0.0);
        assert_eq!(cross_entropy(&infinite, &Tensor::from(1)).item::<f64>(), f64::INFINITY);
    }

    #[test]
    #[should_panic(expected = "cross_entropy: index 4 at [1] is out of range for dim 1 of size 4")]
    fn labels_are_in_range() {
        cross_entropy(&waves(&[2, 4], 0.0), &Tensor::from([0, 4]));
    }

    #[test]
    #[should_panic(expected = "the logits must have the dims of the labels and one more, the classes")]
    fn one_label_for_each_row() {
        cross_entropy(&waves(&[2, 4], 0.0), &Tensor::from([0, 1, 2]));
    }

    #[test]
    fn derivatives_and_lanes() {
        let labels = Tensor::from([2, 0, 3]);
        check_grads(|x: &Tensor| cross_entropy(x, &labels).sin(), &waves(&[3, 4], 0.2), 3);
        check_lanes(cross_entropy, (&waves(&[3, 4], 0.2), &labels));
        let pairs = Tensor::from([[2, 0], [3, 3], [1, 0]]);
        check_lanes(cross_entropy, (&waves(&[3, 2, 4], 0.2), &pairs));
    }
}
