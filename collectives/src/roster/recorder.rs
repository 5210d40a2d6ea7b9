//! The flight recorder: what each worker has called last, always on, and shown with every failure.

use super::LastCall;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::collections::VecDeque;
use std::fmt;

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

#[cfg(all(test, loom))]
mod model {
    use std::sync::Arc;

    use super::*;
    use crate::signature::{Call, Signature};

    fn call(number: u64) -> LastCall {
        let signature = Arc::new(Signature::new(&Call::here("psum"), 0, "all_reduce"));
        LastCall { group: "batch".into(), number, signature }
    }

    /// The numbers of the calls that a failure shows.
    fn shown(recorder: &Recorder) -> Vec<u64> {
        let text = recorder.to_string();
        let numbers = text.split(", call ").skip(1);
        numbers
            .map(|rest| rest.split([';', ',']).next().expect("a number").parse().expect("a number"))
            .collect()
    }

    /// Whoever fails reads the recorders of all workers, while those go on.
    #[test]
    fn a_failure_shows_calls_without_a_gap_while_the_worker_goes_on() {
        loom::model(|| {
            let recorder = Arc::new(Recorder::default());
            let first = CALLS as u64 - 1;
            (0..first).for_each(|number| recorder.record(call(number)));
            let worker = recorder.clone();
            let thread = loom::thread::spawn(move || {
                // The ring is full after the first of them.
                for number in first..first + 3 {
                    worker.record(call(number));
                    worker.wait(true);
                    worker.step(number);
                }
            });
            let shown = shown(&recorder);
            assert_eq!(shown.len(), SHOWN);
            assert!(shown.is_sorted_by(|later, earlier| *later == earlier + 1), "{shown:?}");
            assert!((first - 1..first + 3).contains(&shown[0]), "{shown:?}");
            thread.join().expect("the worker ends");
            assert_eq!(recorder.last().map(|call| call.number), Some(first + 2));
            assert_eq!(recorder.calls.lock().expect("calls").len(), CALLS);
        });
    }
}
