//! The affine layer.

use super::init::lecun_normal;
use crate::array::Array;
use crate::ops::affine;
use crate::random::{Key, normal};
use crate::tensor::Tensor;
use crate::{DType, Tree};

/// `y = x·W + b`.
///
/// ```
/// use axisgrad::nn::Linear;
/// use axisgrad::random::Key;
/// let layer = Linear::init(Key::new(0), 3, 2);
/// assert_eq!(layer.apply(&[1.0f32, 2.0, 3.0].into()).dims(), [2]);
/// ```
#[derive(Clone, Debug, Tree)]
pub struct Linear {
    /// `f32[inputs,outputs]`
    pub weight: Tensor,
    /// `f32[outputs]`
    pub bias: Tensor,
}

impl Linear {
    /// Weights from a normal distribution of variance `2 / inputs`, which keeps the scale of activations through
    /// rectifiers (He et al., *Delving deep into rectifiers*, 2015); biases zero.
    pub fn init(key: Key, inputs: usize, outputs: usize) -> Self {
        let scale = (2.0 / inputs as f64).sqrt();
        let weight = normal(key, DType::F32, &[inputs, outputs]) * scale;
        Self { weight, bias: Array::zeros(DType::F32, [outputs]).into() }
    }

    /// Weights of variance `1 / inputs` ([`lecun_normal`]), for what no rectifier follows; biases zero.
    pub fn lecun(key: Key, inputs: usize, outputs: usize) -> Self {
        let weight = lecun_normal(key, &[inputs, outputs], inputs);
        Self { weight, bias: Array::zeros(DType::F32, [outputs]).into() }
    }

    /// Applies the layer: `f32[..,inputs] -> f32[..,outputs]`.
    ///
    /// # Panics
    /// If the last dim of `x` is not the number of inputs.
    #[track_caller]
    pub fn apply(&self, x: &Tensor) -> Tensor {
        affine(x, &self.weight, &self.bias)
    }
}
