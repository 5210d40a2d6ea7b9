//! Initial weights, under the names that JAX gives them: `f32` tensors whose variance is that of the name over the
//! number of inputs (or the mean number of inputs and outputs) of a neuron.

use crate::DType;
use crate::random::{Key, truncated_normal, uniform};
use crate::tensor::Tensor;

/// Normal with variance `1 / inputs`, cut at two standard deviations: `-> f32[dims]` (LeCun et al., *Efficient
/// BackProp*, 1998).
pub fn lecun_normal(key: Key, dims: &[usize], inputs: usize) -> Tensor {
    cut_normal(key, dims, 1.0 / inputs as f64)
}

/// Uniform with variance `1 / inputs`: `-> f32[dims]`.
pub fn lecun_uniform(key: Key, dims: &[usize], inputs: usize) -> Tensor {
    centred(key, dims, 1.0 / inputs as f64)
}

/// Normal with variance `2 / (inputs + outputs)`, cut at two standard deviations: `-> f32[dims]` (Glorot and Bengio,
/// *Understanding the difficulty of training deep feedforward neural networks*, 2010).
pub fn glorot_normal(key: Key, dims: &[usize], inputs: usize, outputs: usize) -> Tensor {
    cut_normal(key, dims, 2.0 / (inputs + outputs) as f64)
}

/// Uniform with variance `2 / (inputs + outputs)`: `-> f32[dims]`.
pub fn glorot_uniform(key: Key, dims: &[usize], inputs: usize, outputs: usize) -> Tensor {
    centred(key, dims, 2.0 / (inputs + outputs) as f64)
}

/// Normal with variance `2 / inputs`, cut at two standard deviations: `-> f32[dims]` (He et al., *Delving deep into
/// rectifiers*, 2015).
pub fn he_normal(key: Key, dims: &[usize], inputs: usize) -> Tensor {
    cut_normal(key, dims, 2.0 / inputs as f64)
}

/// Uniform with variance `2 / inputs`: `-> f32[dims]`.
pub fn he_uniform(key: Key, dims: &[usize], inputs: usize) -> Tensor {
    centred(key, dims, 2.0 / inputs as f64)
}

fn cut_normal(key: Key, dims: &[usize], variance: f64) -> Tensor {
    /// The standard deviation of a standard normal number between -2 and 2.
    const SPREAD: f64 = 0.879_625_661_034_239_8;
    truncated_normal(key, -2.0..2.0, DType::F32, dims) * (variance.sqrt() / SPREAD)
}

fn centred(key: Key, dims: &[usize], variance: f64) -> Tensor {
    (uniform(key, DType::F32, dims) * 2.0 - 1.0) * (3.0 * variance).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variances() {
        let (key, dims) = (Key::new(2), &[40, 100][..]);
        for (weights, variance) in [
            (lecun_normal(key, dims, 40), 1.0 / 40.0),
            (lecun_uniform(key, dims, 40), 1.0 / 40.0),
            (glorot_normal(key, dims, 40, 100), 1.0 / 70.0),
            (glorot_uniform(key, dims, 40, 100), 1.0 / 70.0),
            (he_normal(key, dims, 40), 1.0 / 20.0),
            (he_uniform(key, dims, 40), 1.0 / 20.0),
        ] {
            let ours = f64::from(weights.var(()).item::<f32>());
            assert!((ours / variance - 1.0).abs() < 0.1, "{ours} and {variance}");
        }
    }
}
