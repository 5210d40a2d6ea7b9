//! Feeding data: batches in an order that depends on a key alone. Written against the public interface only.

mod batches;
mod text;

pub use batches::{Batches, Epochs};
pub use text::{Vocabulary, windows};
