//! Attention with several heads.

use super::Linear;
use crate::Tree;
use crate::ops::{Attention, scaled_dot_product_attention};
use crate::random::Key;
use crate::tensor::Tensor;

/// Self-attention: each place of a sequence takes from the places that it sees what its queries ask for, in several
/// heads side by side (Vaswani et al., *Attention is all you need*, 2017).
///
/// ```
/// use axisgrad::nn::MultiHeadAttention;
/// use axisgrad::{DType, ops::zeros, random::Key};
/// let layer = MultiHeadAttention::init(Key::new(0), 32, 4).causal();
/// assert_eq!(layer.apply(&zeros(DType::F32, [10, 32])).dims(), [10, 32]);
/// ```
#[derive(Clone, Debug, Tree)]
pub struct MultiHeadAttention {
    /// What each place asks for.
    pub query: Linear,
    /// What each place is found by.
    pub key: Linear,
    /// What each place gives.
    pub value: Linear,
    /// What is made of all heads together.
    pub out: Linear,
    heads: usize,
    causal: bool,
}

impl MultiHeadAttention {
    /// `heads` heads of `width / heads` numbers each, with [`Linear::lecun`] weights.
    ///
    /// # Panics
    /// If the width does not divide into the heads.
    #[track_caller]
    pub fn init(key: Key, width: usize, heads: usize) -> Self {
        assert!(
            heads > 0 && width.is_multiple_of(heads),
            "attention: {heads} heads do not divide width {width}"
        );
        let [query, key, value, out] = [0, 1, 2, 3].map(|i| Linear::lecun(key.fold_in(i), width, width));
        Self { query, key, value, out, heads, causal: false }
    }

    /// Places see themselves and those before them only.
    pub fn causal(mut self) -> Self {
        self.causal = true;
        self
    }

    /// Applies the layer: `f32[t,width] -> f32[t,width]`.
    ///
    /// # Panics
    /// If the last dim of `x` is not the width.
    #[track_caller]
    pub fn apply(&self, x: &Tensor) -> Tensor {
        let settings = Attention { causal: self.causal, ..Attention::default() };
        let taken = scaled_dot_product_attention(
            &self.heads_of(&self.query, x),
            &self.heads_of(&self.key, x),
            &self.heads_of(&self.value, x),
            &settings,
        );
        self.out.apply(&taken.swap_dims(0, 1).reshape([x.dim(0) as isize, -1]))
    }

    /// `f32[heads,t,width/heads]`
    #[track_caller]
    fn heads_of(&self, part: &Linear, x: &Tensor) -> Tensor {
        let rows = part.apply(x);
        rows.reshape([rows.dim(0) as isize, self.heads as isize, -1]).swap_dims(0, 1)
    }
}
