//! Layers: trees of tensors with a function of one example. Written against the public interface only.

mod linear;

pub use linear::Linear;
