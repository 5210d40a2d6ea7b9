//! Layers that bring activations to one scale.

use crate::ops::{layer_norm, ones, rms_norm, zeros};
use crate::tensor::Tensor;
use crate::{DType, Tree};

/// What keeps a row of equal elements from being divided by zero.
const EPSILON: f64 = 1e-5;

/// [`layer_norm`](layer_norm()) with a scale and bias that are learned, and `epsilon` 10⁻⁵.
#[derive(Clone, Debug, Tree)]
pub struct LayerNorm {
    /// `f32[width]`
    pub scale: Tensor,
    /// `f32[width]`
    pub bias: Tensor,
}

impl LayerNorm {
    /// Scale 1 and bias 0.
    pub fn init(width: usize) -> Self {
        Self { scale: ones(DType::F32, [width]), bias: zeros(DType::F32, [width]) }
    }

    /// Applies the layer: `f32[..,width] -> f32[..,width]`.
    ///
    /// # Panics
    /// If the last dim of `x` is not the width.
    #[track_caller]
    pub fn apply(&self, x: &Tensor) -> Tensor {
        layer_norm(x, &self.scale, &self.bias, EPSILON)
    }
}

/// [`rms_norm`] with a scale that is learned, and `epsilon` 10⁻⁵.
#[derive(Clone, Debug, Tree)]
pub struct RmsNorm {
    /// `f32[width]`
    pub scale: Tensor,
}

impl RmsNorm {
    /// Scale 1.
    pub fn init(width: usize) -> Self {
        Self { scale: ones(DType::F32, [width]) }
    }

    /// Applies the layer: `f32[..,width] -> f32[..,width]`.
    ///
    /// # Panics
    /// If the last dim of `x` is not the width.
    #[track_caller]
    pub fn apply(&self, x: &Tensor) -> Tensor {
        rms_norm(x, &self.scale, EPSILON)
    }
}
