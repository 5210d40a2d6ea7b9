//! What the workers of one process know of each other during a run: who has failed, who has finished, and
//! what each called last.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::signature::Signature;
use crate::sync::Bell;
use crate::transport::Link;

/// How many calls of each worker are kept for error messages.
const REMEMBERED: usize = 8;

/// Shared by all workers of a process for the time of one run.
pub(crate) struct Roster {
    entries: Vec<Entry>,
    failure: OnceLock<Error>,
    /// How often a waiting worker looks before it sleeps.
    spins: u32,
    link: Option<Arc<dyn Link>>,
}

/// One worker of the mesh; of those on other ranks only what their messages said is known.
#[derive(Default)]
struct Entry {
    bell: Bell,
    finished: AtomicBool,
    calls: Mutex<VecDeque<(Arc<str>, Arc<Signature>)>>,
}

impl Roster {
    /// A roster of so many workers.
    pub(crate) fn new(workers: usize, spins: u32, link: Option<Arc<dyn Link>>) -> Self {
        let entries = (0..workers).map(|_| Entry::default()).collect();
        Self { entries, failure: OnceLock::new(), spins, link }
    }

    /// Ends the run for everybody: the first cause wins, and is returned.
    pub(crate) fn fail(&self, cause: Error) -> Error {
        let mut first = false;
        let cause = self.failure.get_or_init(|| {
            first = true;
            cause
        });
        if first {
            self.ring_all();
            if let Some(link) = &self.link {
                link.abort(cause);
            }
        }
        cause.clone()
    }

    /// Why the run has ended, if it has failed.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.get()
    }

    /// Notes that a worker's closure has returned; whoever waits for it learns so.
    pub(crate) fn finish(&self, worker: usize) {
        self.entries[worker].finished.store(true, Ordering::Release);
        self.ring_all();
    }

    /// Whether a worker's closure has returned.
    pub(crate) fn finished(&self, worker: usize) -> bool {
        self.entries[worker].finished.load(Ordering::Acquire)
    }

    /// Notes a call for the errors to come.
    pub(crate) fn record(&self, group: &Arc<str>, call: &Arc<Signature>) {
        let mut calls = self.entries[call.worker].calls.lock().expect("calls");
        if calls.len() == REMEMBERED {
            calls.pop_front();
        }
        calls.push_back((group.clone(), call.clone()));
    }

    /// A worker's last call: `psum f32[10] of group `batch` (digits.rs:40)`.
    fn last_call(&self, worker: usize) -> Option<String> {
        let calls = self.entries[worker].calls.lock().expect("calls");
        calls.back().map(|(group, call)| format!("{call} in group `{group}`"))
    }

    /// Wakes one worker.
    pub(crate) fn ring(&self, worker: usize) {
        self.entries[worker].bell.ring();
    }

    fn ring_all(&self) {
        self.entries.iter().for_each(|entry| entry.bell.ring());
    }

    /// The bell that a worker sleeps on.
    pub(crate) fn bell(&self, worker: usize) -> &Bell {
        &self.entries[worker].bell
    }

    /// How often to look before sleeping.
    pub(crate) fn spins(&self) -> u32 {
        self.spins
    }

    /// Whether there are workers whose messages do not ring.
    pub(crate) fn has_link(&self) -> bool {
        self.link.is_some()
    }

    /// The error of waiting for a worker that has finished.
    pub(crate) fn finished_early(&self, group: &str, waiting: &Signature, gone: usize) -> Error {
        let last = self.last_call(gone).map_or("without any call".into(), |call| format!("after {call}"));
        Error::new(
            ErrorKind::Peer,
            format!(
                "worker {gone} has finished while group `{group}` waits for it\n   \
                 worker {} calls {waiting}; worker {gone} has finished, {last}\n   \
                 every worker of a group must make the same calls in the same order",
                waiting.worker
            ),
        )
    }

    /// The error of waiting too long.
    pub(crate) fn late(&self, group: &str, waiting: &Signature, missing: &[usize], after: Duration) -> Error {
        let lines: Vec<String> = missing.iter().map(|&worker| self.whereabouts(worker)).collect();
        Error::new(
            ErrorKind::Timeout,
            format!(
                "timed out after {} s in group `{group}`\n   worker {} waits in {waiting}\n   {}\n   \
                 if the work between two calls takes longer than that, raise --timeout",
                after.as_secs_f64(),
                waiting.worker,
                lines.join("\n   "),
            ),
        )
    }

    fn whereabouts(&self, worker: usize) -> String {
        match self.last_call(worker) {
            Some(call) => format!("worker {worker} is missing; its last call was {call}"),
            None => format!("worker {worker} is missing; it has made no call yet"),
        }
    }
}
