//! A table of vectors.

use crate::ops::embedding;
use crate::random::{Key, normal};
use crate::tensor::Tensor;
use crate::{DType, Tree};

/// A vector for each of so many things that are known by number.
///
/// ```
/// use axisgrad::nn::Embedding;
/// use axisgrad::{Tensor, random::Key};
/// let table = Embedding::init(Key::new(0), 96, 16);
/// assert_eq!(table.apply(&Tensor::from([5, 0, 95])).dims(), [3, 16]);
/// ```
#[derive(Clone, Debug, Tree)]
pub struct Embedding {
    /// `f32[count,width]`
    pub table: Tensor,
}

impl Embedding {
    /// Vectors from a normal distribution, of length 1 or so.
    pub fn init(key: Key, count: usize, width: usize) -> Self {
        Self { table: normal(key, DType::F32, &[count, width]) * (width as f64).sqrt().recip() }
    }

    /// The vectors of `ids`: `i32[..] -> f32[..,width]`.
    ///
    /// # Panics
    /// If one is out of range.
    #[track_caller]
    pub fn apply(&self, ids: &Tensor) -> Tensor {
        embedding(&self.table, ids)
    }
}
