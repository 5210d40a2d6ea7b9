//! Shared pieces of the examples.

use std::time::Instant;

use axisgrad::prelude::*;
use axisgrad::report;
use serde_json::{Map, Value, json};

// The file `digits.rs` beside this one is the example itself.
#[path = "data/digits.rs"]
pub mod digits;

/// *Alice's Adventures in Wonderland*: see `README.md` beside it.
pub const ALICE: &str = include_str!("data/alice.txt");

/// What an example ends with, on its first worker: the line of JSON that says where it ran, how it went, and what
/// the bits of its result are; with `more` that it has to say.
pub fn summary(
    w: &Worker,
    example: &str,
    (steps, train_loss): (usize, f64),
    result: &impl Tree,
    started: Instant,
    more: Value,
) -> Option<Value> {
    let mut line = json!({
        "example": example,
        "ranks": w.ranks(),
        "threads": w.threads(),
        "workers": w.workers(),
        "steps": steps,
        "train_loss": train_loss,
        "params_hash": report::hash(result),
        "seconds": started.elapsed().as_secs_f64(),
    });
    let more: Map<String, Value> = more.as_object().cloned().unwrap_or_default();
    line.as_object_mut()?.extend(more);
    w.is_root().then_some(line)
}
