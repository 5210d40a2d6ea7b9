//! Log lines.

use std::io::stderr;

use tracing::span::EnteredSpan;
use tracing_subscriber::EnvFilter;

/// Sends `tracing` events to stderr as `RUST_LOG` asks; nothing without it. Each line starts with the spans it is
/// in, the outermost of which names the rank and the worker.
pub fn log_to_stderr() {
    let Ok(filter) = EnvFilter::try_from_default_env() else { return };
    // A subscriber that the program has set already is the one it wants.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).try_init();
}

/// The span of one training step, until what it returns is dropped: log lines of the forward pass, the backward
/// pass and the collectives in between name it.
pub fn step(number: usize) -> EnteredSpan {
    tracing::debug_span!(target: "axisgrad", "step", number).entered()
}
