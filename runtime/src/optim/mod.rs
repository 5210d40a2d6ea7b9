//! Optimizers: what to do to a model, given its gradient. Written against the public interface only.

mod adamw;
mod check;
mod sgd;

pub use adamw::{AdamW, AdamWState, adamw};
pub use sgd::{Sgd, sgd};
