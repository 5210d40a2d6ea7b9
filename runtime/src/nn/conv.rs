//! The convolution of images.

use super::init::he_normal;
use crate::ops::{conv2d, zeros};
use crate::random::Key;
use crate::tensor::Tensor;
use crate::{DType, Tree};

/// A convolution with a bias for each channel out.
///
/// ```
/// use axisgrad::nn::Conv2d;
/// use axisgrad::{DType, ops::zeros, random::Key};
/// let layer = Conv2d::init(Key::new(0), 3, 32, 3).padding(1);
/// assert_eq!(layer.apply(&zeros(DType::F32, [3, 28, 28])).dims(), [32, 28, 28]);
/// ```
#[derive(Clone, Debug, Tree)]
pub struct Conv2d {
    /// `f32[outputs,inputs,size,size]`
    pub kernel: Tensor,
    /// `f32[outputs]`
    pub bias: Tensor,
    stride: usize,
    padding: usize,
}

impl Conv2d {
    /// Kernels of `size`² places with [`he_normal`] weights, which suit rectifiers; biases zero, stride 1, no padding.
    pub fn init(key: Key, inputs: usize, outputs: usize, size: usize) -> Self {
        let kernel = he_normal(key, &[outputs, inputs, size, size], inputs * size * size);
        Self { kernel, bias: zeros(DType::F32, [outputs]), stride: 1, padding: 0 }
    }

    /// How far apart neighbouring windows are.
    pub fn stride(mut self, stride: usize) -> Self {
        self.stride = stride;
        self
    }

    /// How many zeros surround the image.
    pub fn padding(mut self, padding: usize) -> Self {
        self.padding = padding;
        self
    }

    /// Applies the layer: `f32[inputs,h,w] -> f32[outputs,h',w']`; see [`conv`](crate::ops::conv()) for the sizes.
    ///
    /// # Panics
    /// If the channels of `x` are not the number of inputs.
    #[track_caller]
    pub fn apply(&self, x: &Tensor) -> Tensor {
        let (strides, padding) = ([self.stride; 2], [(self.padding, self.padding); 2]);
        let bias = self.bias.expand_dims(-1).expand_dims(-1);
        conv2d(x, &self.kernel, strides, padding, [1; 2], 1) + bias
    }
}
