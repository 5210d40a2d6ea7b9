//! Layers: trees of tensors with a function of one example. Written against the public interface only.

mod attention;
mod conv;
mod dropout;
mod embedding;
pub mod init;
mod linear;
mod norm;
#[cfg(test)]
mod tests;
mod transformer;

pub use attention::MultiHeadAttention;
pub use conv::Conv2d;
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use linear::Linear;
pub use norm::{LayerNorm, RmsNorm};
pub use transformer::TransformerBlock;
