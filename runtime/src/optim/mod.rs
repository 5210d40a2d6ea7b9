//! Optimizers: what to do to a model, given its gradient. Written against the public interface only.

mod adamw;
mod check;
mod clip;
mod momentum;
mod schedule;
mod sgd;
#[cfg(test)]
mod tests;

pub use crate::global_norm;
pub use adamw::{AdamW, AdamWState, adam, adamw};
pub use clip::clip_by_global_norm;
pub use momentum::{Momentum, MomentumState, momentum};
pub use schedule::{Schedule, constant, step_decay, warmup_cosine};
pub use sgd::{Sgd, sgd};
