//! The block that transformers are stacks of.

use super::{Dropout, LayerNorm, Linear, MultiHeadAttention};
use crate::Tree;
use crate::random::Key;
use crate::tensor::Tensor;

/// Attention, then a layer of GELUs four times as wide, each added to what it was given and each on a normalized
/// input (pre-LN: Xiong et al., *On layer normalization in the transformer architecture*, 2020).
///
/// ```
/// use axisgrad::nn::TransformerBlock;
/// use axisgrad::{DType, ops::zeros, random::Key};
/// let block = TransformerBlock::init(Key::new(0), 32, 4).causal().dropout(0.1);
/// assert_eq!(block.apply(&zeros(DType::F32, [10, 32]), Some(Key::new(1))).dims(), [10, 32]);
/// ```
#[derive(Clone, Debug, Tree)]
pub struct TransformerBlock {
    /// Before attention.
    pub attention_norm: LayerNorm,
    /// Between places.
    pub attention: MultiHeadAttention,
    /// Before the GELUs.
    pub hidden_norm: LayerNorm,
    /// `width` to `4·width`
    pub hidden: Linear,
    /// `4·width` to `width`
    pub out: Linear,
    dropout: Dropout,
}

impl TransformerBlock {
    /// A block for sequences of vectors of `width`, with [`Linear::lecun`] weights.
    ///
    /// # Panics
    /// If the width does not divide into the heads.
    #[track_caller]
    pub fn init(key: Key, width: usize, heads: usize) -> Self {
        Self {
            attention_norm: LayerNorm::init(width),
            attention: MultiHeadAttention::init(key.fold_in(0), width, heads),
            hidden_norm: LayerNorm::init(width),
            hidden: Linear::lecun(key.fold_in(1), width, 4 * width),
            out: Linear::lecun(key.fold_in(2), 4 * width, width),
            dropout: Dropout { rate: 0.0 },
        }
    }

    /// Places see themselves and those before them only.
    pub fn causal(mut self) -> Self {
        self.attention = self.attention.causal();
        self
    }

    /// How much of each of the two parts is dropped in training.
    pub fn dropout(mut self, rate: f64) -> Self {
        self.dropout = Dropout { rate };
        self
    }

    /// Applies the block, with a key for dropout in training: `f32[t,width] -> f32[t,width]`.
    ///
    /// # Panics
    /// If the last dim of `x` is not the width.
    #[track_caller]
    pub fn apply(&self, x: &Tensor, key: Option<Key>) -> Tensor {
        let part = |part: Tensor, i: u32| self.dropout.apply(&part, key.map(|key| key.fold_in(i)));
        let x = x + part(self.attention.apply(&self.attention_norm.apply(x)), 0);
        let hidden = self.hidden.apply(&self.hidden_norm.apply(&x)).gelu();
        &x + part(self.out.apply(&hidden), 1)
    }
}
