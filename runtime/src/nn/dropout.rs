//! Dropout as a layer.

use crate::Tree;
use crate::ops::dropout;
use crate::random::Key;
use crate::tensor::Tensor;

/// Sets a part of the activations to zero in training; see [`dropout`](dropout()).
#[derive(Clone, Copy, Debug, Tree)]
pub struct Dropout {
    /// How likely an element is to be dropped.
    pub rate: f64,
}

impl Dropout {
    /// Applies the layer: with a key as in training, without one as afterwards, when nothing is dropped.
    ///
    /// # Panics
    /// If the rate is not from 0 to below 1.
    #[track_caller]
    pub fn apply(&self, x: &Tensor, key: Option<Key>) -> Tensor {
        match key {
            Some(key) => dropout(x, self.rate, key),
            None => x.clone(),
        }
    }
}
