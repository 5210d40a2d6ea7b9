//! What the workers of one process know of each other during a run: who has failed, who has finished, and
//! what each called last.

mod letters;
mod recorder;

use std::fmt::{self, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crossbeam::utils::CachePadded;

use crate::error::{Error, ErrorKind, Result};
use crate::mesh::{AxisSet, Shape};
use crate::signature::{Signature, damaged};
use crate::sync::{Bell, OnceLock};
use crate::transport::Link;
use recorder::Recorder;

/// Shared by all workers of a process for the time of one run.
pub(crate) struct Roster {
    entries: Vec<Entry>,
    failure: OnceLock<Error>,
    /// How often a waiting worker looks before it sleeps.
    spins: u32,
    link: Option<Arc<dyn Link>>,
    /// Number of the run, of all that this mesh has made.
    run: u64,
    /// Those of this rank.
    workers: Range<usize>,
    /// Whether the program deals with signals.
    hears_signals: AtomicBool,
    /// A thread that is to know of a failure.
    watch: OnceLock<Thread>,
}

/// What a worker whose closure has returned has done: how many calls in each of its groups.
type Farewell = Vec<(AxisSet, u64)>;

/// The call that a worker has made last.
#[derive(Clone)]
pub(crate) struct LastCall {
    pub(crate) group: Arc<str>,
    /// Which of the group's calls it is.
    pub(crate) number: u64,
    pub(crate) signature: Arc<Signature>,
}

/// One worker of the mesh; of those on other ranks only what their messages said is known.
#[derive(Default)]
struct Entry {
    bell: CachePadded<Bell>,
    farewell: OnceLock<Farewell>,
    recorder: Recorder,
}

impl Roster {
    /// The roster of one rank of a mesh, before anything has happened.
    pub(crate) fn new(shape: &Shape, spins: u32, link: Option<Arc<dyn Link>>, run: u64) -> Self {
        let entries = (0..shape.workers()).map(|_| Entry::default()).collect();
        let first = link.as_ref().map_or(0, |link| link.rank()) * shape.threads();
        let workers = first..first + shape.threads();
        Self {
            entries,
            failure: OnceLock::new(),
            spins,
            link,
            run,
            workers,
            hears_signals: AtomicBool::new(false),
            watch: OnceLock::new(),
        }
    }

    /// Ends the run for everybody: the first cause wins, and is returned.
    pub(crate) fn fail(&self, cause: Error) -> Error {
        let mut first = false;
        let cause = self.failure.get_or_init(|| {
            first = true;
            cause.set_record(self.whereabouts_of_all());
            cause
        });
        if first {
            // A launcher that is ending may swallow what goes to stderr; a log is the program's own.
            tracing::error!(target: "axisgrad", "the run has failed: {cause:?}");
            self.ring_all();
            self.watch.get().into_iter().for_each(Thread::unpark);
            if let Some(link) = &self.link {
                link.abort(cause);
            }
        }
        cause.clone()
    }

    /// Has a failure wake this thread too.
    pub(crate) fn wake_on_failure(&self, thread: Thread) {
        let _ = self.watch.set(thread);
    }

    /// Why the run has ended, if it has failed.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.get()
    }

    /// Notes that the closure of a worker of this rank has returned, after so many calls in each of its groups;
    /// whoever waits for it learns so, on other ranks too.
    pub(crate) fn finish(&self, worker: usize, calls: Farewell) {
        // A run that has failed says so itself; a farewell that came first would be taken for the cause.
        if self.failure.get().is_none() {
            self.send_farewell(worker, &calls);
        }
        let _ = self.entries[worker].farewell.set(calls);
        self.ring_all();
    }

    /// Whether a worker's closure has returned without making this call of the group along these axes. What it
    /// has called before may still be under way to us.
    pub(crate) fn has_left(&self, worker: usize, axes: AxisSet, call: u64) -> bool {
        let made =
            |calls: &Farewell| calls.iter().find(|(other, _)| *other == axes).map_or(0, |(_, count)| *count);
        self.entries[worker].farewell.get().is_some_and(|calls| made(calls) <= call)
    }

    /// Whether a signature that has come from outside is one of a worker of this mesh.
    ///
    /// # Errors
    /// If it is not.
    pub(crate) fn check(&self, signature: &Signature) -> Result<()> {
        self.entries.get(signature.worker).map(drop).ok_or_else(damaged)
    }

    /// Notes a call for the errors to come.
    pub(crate) fn record(&self, call: LastCall) {
        self.entries[call.signature.worker].recorder.record(call);
    }

    /// The same for a call of another worker, which has said what `call` says.
    pub(crate) fn record_of(&self, worker: usize, call: LastCall) {
        self.entries[worker].recorder.record(call);
    }

    /// Notes the step of the program that a worker is in.
    pub(crate) fn note_step(&self, worker: usize, step: u64) {
        self.entries[worker].recorder.step(step);
    }

    /// Notes whether a worker waits for others.
    pub(crate) fn note_wait(&self, worker: usize, waits: bool) {
        self.entries[worker].recorder.wait(waits);
    }

    /// From now on the program deals with signals.
    pub(crate) fn hear_signals(&self) {
        self.hears_signals.store(true, Ordering::Release);
    }

    /// Whether the program deals with signals.
    pub(crate) fn hears_signals(&self) -> bool {
        self.hears_signals.load(Ordering::Acquire)
    }

    fn last_call(&self, worker: usize) -> Option<LastCall> {
        self.entries[worker].recorder.last()
    }

    /// A line for each worker of which anything is known.
    fn whereabouts_of_all(&self) -> String {
        let mut text = String::new();
        for (worker, entry) in self.entries.iter().enumerate().filter(|(_, entry)| !entry.recorder.is_empty())
        {
            let finished = if entry.farewell.get().is_some() { "finished, " } else { "" };
            let _ = write!(text, "\n   worker {worker}: {finished}{}", entry.recorder);
        }
        text
    }

    /// Wakes one worker.
    pub(crate) fn ring(&self, worker: usize) {
        self.entries[worker].bell.ring();
    }

    /// Wakes one worker if it sleeps, or is about to.
    pub(crate) fn knock(&self, worker: usize) {
        self.entries[worker].bell.knock();
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

    /// The time by which deadlines go.
    pub(crate) fn now(&self) -> Instant {
        self.link.as_ref().map_or_else(Instant::now, |link| link.now())
    }

    /// The error of waiting for a worker that has finished.
    pub(crate) fn finished_early(&self, group: &str, waiting: &Signature, gone: usize) -> Error {
        let last = match self.last_call(gone) {
            Some(call) => format!("after {call}"),
            None => "without any call".into(),
        };
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

    /// The error of waiting too long, in `waiting`, with these workers, who have all made the call that is `finished`.
    pub(crate) fn late(
        &self,
        waiting: &LastCall,
        finished: Option<&LastCall>,
        workers: &[usize],
        after: Duration,
    ) -> Error {
        let me = waiting.signature.worker;
        let others = workers.iter().copied().filter(|&worker| worker != me);
        // Some wait for the missing ones themselves, in another round of the same call.
        let missing = others.filter(|&worker| !self.last_call(worker).is_some_and(|call| call.is(waiting)));
        let lines: Vec<String> = missing.map(|worker| self.whereabouts(worker, finished)).collect();
        Error::new(
            ErrorKind::Timeout,
            format!(
                "timed out after {} s in group `{}`\n   worker {me} waits in {}\n   {}\n   \
                 if the work between two calls takes longer than that, raise --timeout",
                after.as_secs_f64(),
                waiting.group,
                waiting.signature,
                if lines.is_empty() {
                    "all have come, but not all have answered".into()
                } else {
                    lines.join("\n   ")
                },
            ),
        )
    }

    fn whereabouts(&self, worker: usize, finished: Option<&LastCall>) -> String {
        let known = self.last_call(worker);
        let newer = finished.filter(|call| known.as_ref().is_none_or(|known| known.is_before(call)));
        match newer.or(known.as_ref()) {
            Some(call) => format!("worker {worker} is missing; its last call was {call}"),
            None => format!("worker {worker} is missing; it has made no call that is known of"),
        }
    }
}

impl LastCall {
    fn is(&self, other: &Self) -> bool {
        self.group == other.group && self.number == other.number
    }

    fn is_before(&self, other: &Self) -> bool {
        self.group == other.group && self.number < other.number
    }
}

/// `psum f32[10] (digits.rs:40) in group `batch``
impl fmt::Display for LastCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in group `{}`", self.signature, self.group)
    }
}
