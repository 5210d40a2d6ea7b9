//! What a training program shows a person: progress, log lines, and the hash of a result.

mod curve;
mod hash;
mod log;
mod progress;

pub use curve::Curve;
pub use hash::hash;
pub use log::{log_to_stderr, step};
pub use progress::Progress;
