//! The flight recorder: what each worker has called last, always on, and shown with every failure.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::LastCall;

/// Calls that are remembered of each worker.
const CALLS: usize = 16;
/// How many of them a failure shows.
const SHOWN: usize = 4;
/// No step has been noted.
const NO_STEP: u64 = u64::MAX;

/// One worker's recorder. What is known of workers on other ranks came in their messages.
pub(super) struct Recorder {
    calls: Mutex<VecDeque<LastCall>>,
    step: AtomicU64,
    waiting: AtomicBool,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { calls: Mutex::default(), step: AtomicU64::new(NO_STEP), waiting: AtomicBool::new(false) }
    }
}

impl Recorder {
    /// Notes a call.
    pub(super) fn record(&self, call: LastCall) {
        let mut calls = self.calls.lock().expect("calls");
        if calls.back().is_some_and(|last| last.is(&call)) {
            return; // Another round of it.
        }
        if calls.len() == CALLS {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    pub(super) fn last(&self) -> Option<LastCall> {
        self.calls.lock().expect("calls").back().cloned()
    }

    /// Notes the step of the program that the worker is in.
    pub(super) fn step(&self, step: u64) {
        self.step.store(step, Ordering::Relaxed);
    }

    /// Notes whether the worker waits for others.
    pub(super) fn wait(&self, waits: bool) {
        self.waiting.store(waits, Ordering::Relaxed);
    }

    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        self.calls.lock().expect("calls").is_empty()
    }
}

/// `in step 41, waits in psum f32[10] (digits.rs:40) in group `batch`, call 7; before: …`
impl fmt::Display for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = self.step.load(Ordering::Relaxed);
        if step != NO_STEP {
            write!(f, "in step {step}, ")?;
        }
        f.write_str(if self.waiting.load(Ordering::Relaxed) { "waits in " } else { "last called " })?;
        for (i, call) in self.calls.lock().expect("calls").iter().rev().take(SHOWN).enumerate() {
            let before = ["", "; before: ", ", ", ", "][i.min(3)];
            write!(f, "{before}{call}, call {}", call.number)?;
        }
        Ok(())
    }
}
