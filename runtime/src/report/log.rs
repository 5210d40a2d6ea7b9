//! Log lines.

use std::io::stderr;

use tracing::span::EnteredSpan;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Sends `tracing` events to stderr as `RUST_LOG` asks, by targets and levels such as `info` or
/// `axisgrad::collective=debug,warn`; nothing without it. Each line starts with the spans it is in, the outermost of
/// which names the rank and the worker.
pub fn log_to_stderr() {
    let Ok(asked) = std::env::var("RUST_LOG") else { return };
    let filter: Targets = match asked.parse() {
        Ok(filter) => filter,
        Err(error) => return eprintln!("axisgrad: no log, since RUST_LOG is `{asked}`: {error}"),
    };
    // A subscriber that the program has set already is the one it wants.
    let _ =
        tracing_subscriber::registry().with(fmt::layer().with_writer(stderr).with_filter(filter)).try_init();
}

/// The span of one training step, until what it returns is dropped: log lines of the forward pass, the backward
/// pass and the collectives in between name it.
pub fn step(number: usize) -> EnteredSpan {
    tracing::debug_span!(target: "axisgrad", "step", number).entered()
}
