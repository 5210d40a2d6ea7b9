//! Running a program on every worker, and coming back with one result or one error.

use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::thread::{Scope, ScopedJoinHandle};

use super::builder::Mesh;
use super::panics::{Watch, error_of};
use super::worker::{Process, Worker};
use crate::error::{Error, ErrorKind, Result};
use crate::roster::Roster;
use crate::signals::Signals;
use crate::transport::Link;

impl Mesh {
    /// Runs the program on every worker and returns what it returned on the first worker of this rank, which
    /// runs on the calling thread, so that the value need not be `Send`.
    ///
    /// # Errors
    /// If a worker panics or returns an error, or a collective fails: the first cause, with the worker and the
    /// line. Every other worker is woken, and stops at its next collective. Over ranks also if the mesh runs a program
    /// already.
    pub fn run<R, E>(&self, program: impl Fn(&Worker) -> Result<R, E> + Sync) -> Result<R>
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        Ok(self.launch(program, drop)?.0)
    }

    /// Runs the program on every worker and returns what it returned on each worker of this rank, in order.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_all<R, E>(&self, program: impl Fn(&Worker) -> Result<R, E> + Sync) -> Result<Vec<R>>
    where
        R: Send,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let (first, others) = self.launch(program, |result| result)?;
        Ok(std::iter::once(first).chain(others).collect())
    }

    fn launch<R, S, E>(
        &self,
        program: impl Fn(&Worker) -> Result<R, E> + Sync,
        keep: impl Fn(R) -> S + Sync,
    ) -> Result<(R, Vec<S>)>
    where
        S: Send,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let _only = self.only_run()?;
        let processes = self.processes();
        let run = |(process, index)| run_worker(self, process, index, &program);
        let (run, keep) = (&run, &keep);
        let _watch = self.watch(&processes)?;
        let (first, others) = crossbeam::thread::scope(|scope| {
            let mut places = processes.iter().flat_map(|process| self.workers_of(process));
            let mine = places.next().expect("a mesh has a worker");
            let others: Vec<_> = places
                .map(|place| {
                    let thread = spawn(scope, place.1, move || run(place).map(|end| end.map(keep)));
                    thread.map_err(|error| place.0.roster.fail(error)).ok()
                })
                .collect();
            let first = run(mine);
            let join = |thread: ScopedJoinHandle<'_, _>| thread.join().expect("a worker's panic is caught");
            (first, others.into_iter().map(|thread| thread.and_then(join)).collect::<Vec<_>>())
        })
        .expect("workers' panics are caught");
        if let Some(error) = processes.iter().find_map(|process| process.roster.failure()) {
            return Err(error.clone());
        }
        let first = first.expect("no failure");
        let others = others.into_iter().map(|result| result.expect("no failure"));
        Ok((first?, others.collect::<Result<_>>()?))
    }

    /// Looks after what this process cannot know or end by itself, while the value lives: other ranks' processes, and
    /// workers that are stuck.
    fn watch(&self, processes: &[Arc<Process>]) -> Result<Option<Watching>> {
        let process = processes[0].clone();
        if self.peers().is_some() {
            let refused = |error| {
                Error::with_source(ErrorKind::Config, "the system refuses to hand over signals", error)
            };
            let signals = Signals::listen().map_err(refused)?;
            let mesh = self.clone();
            let watch = move |over: &AtomicBool| mesh.peers().expect("peers").watch(&process, &signals, over);
            return Watching::start(watch).map(Some);
        }
        if !self.ends_process() {
            return Ok(None);
        }
        let roster = process.roster.clone();
        let watching = Watching::start(move |over| end_if_stuck(&process.roster, over))?;
        watching.thread.iter().for_each(|thread| roster.wake_on_failure(thread.thread().clone()));
        Ok(Some(watching))
    }

    /// The ranks that live in this process.
    fn processes(&self) -> Vec<Arc<Process>> {
        let run = self.next_run();
        let process = |link, window| Arc::new(Process::new(self, link, window, run));
        if !self.simulated() {
            return vec![process(self.link().cloned(), self.window().cloned())];
        }
        let shared = |link: &Arc<dyn Link>| {
            let window = self.plan().map(|plan| link.clone().share(plan.bytes()));
            window.and_then(|window| window.expect("memory of this process"))
        };
        self.network()
            .into_iter()
            .map(|link| (shared(&link), link))
            .map(|(w, link)| process(Some(link), w))
            .collect()
    }

    fn workers_of<'p>(
        &self,
        process: &'p Arc<Process>,
    ) -> impl Iterator<Item = (&'p Arc<Process>, usize)> + use<'p> {
        let threads = self.shape().threads();
        (process.rank * threads..(process.rank + 1) * threads).map(move |index| (process, index))
    }
}

/// A thread that watches a run; it ends with the value.
struct Watching {
    over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Watching {
    fn start(watch: impl FnOnce(&AtomicBool) + Send + 'static) -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let until = over.clone();
        let thread = thread::Builder::new().name("watch".into()).spawn(move || watch(&until));
        let thread = thread.map_err(|error| no_thread("the watch over the run", error))?;
        Ok(Self { over, thread: Some(thread) })
    }
}

/// How long the workers of a run that has failed may go on before their process ends without them.
const STUCK: Duration = Duration::from_millis(500);

/// When the run has failed, gives every worker the time to come to its next collective and see it; a thread that does
/// not cannot be ended, other than with the process.
fn end_if_stuck(roster: &Roster, over: &AtomicBool) {
    let mut failed: Option<Instant> = None;
    while !over.load(Ordering::Acquire) {
        match (roster.failure(), failed) {
            (Some(error), Some(since)) if since.elapsed() > STUCK => {
                eprintln!(
                    "Error: {error:?}\n   some workers do not come back from their own code: the process ends without them"
                );
                std::process::exit(1);
            }
            (Some(_), _) => {
                failed.get_or_insert_with(Instant::now);
                thread::park_timeout(STUCK / 20);
            }
            _ => thread::park(),
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn spawn<'a, 's, T: Send + 's>(
    scope: &'a Scope<'s>,
    index: usize,
    run: impl FnOnce() -> T + Send + 's,
) -> Result<ScopedJoinHandle<'a, T>> {
    let thread = scope.builder().name(format!("worker {index}"));
    thread.spawn(move |_| run()).map_err(|error| no_thread(&format!("worker {index}"), error))
}

fn no_thread(whose: &str, error: std::io::Error) -> Error {
    let text = format!("the system starts no thread for {whose}: fewer --threads need less");
    Error::with_source(ErrorKind::Config, text, error)
}

/// Runs the program on one worker; `None` when it has failed, which the roster knows then. That the workers have
/// agreed to stop is no failure, and disturbs nobody.
fn run_worker<R, E>(
    mesh: &Mesh,
    process: &Arc<Process>,
    index: usize,
    program: &impl Fn(&Worker) -> Result<R, E>,
) -> Option<Result<R>>
where
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    let worker = Worker::new(mesh, process, index);
    let rank = worker.rank();
    let _span = tracing::info_span!(target: "axisgrad", "worker", rank, worker = index).entered();
    let watch = Watch::this_thread();
    let result = match catch_unwind(AssertUnwindSafe(|| program(&worker))) {
        Ok(Ok(result)) => {
            worker.seat.drain();
            Some(Ok(result))
        }
        Ok(Err(error)) => ended(process, index, error.into()).map(Err),
        Err(payload) => {
            process.roster.fail(error_of(index, payload, watch.site()));
            None
        }
    };
    worker.seat.leave();
    process.roster.finish(index, worker.calls());
    if let Some(link) = process.link() {
        link.leave();
    }
    result
}

/// What a worker's error is: the end that all have agreed on, or the failure of the run.
fn ended(process: &Process, worker: usize, error: Box<dyn StdError + Send + Sync>) -> Option<Error> {
    match error.downcast::<Error>() {
        Ok(stopped) if stopped.kind() == ErrorKind::Stopped => Some(*stopped),
        Ok(error) => fail(process, worker, error),
        Err(error) => fail(process, worker, error),
    }
}

fn fail(process: &Process, worker: usize, error: Box<dyn StdError + Send + Sync>) -> Option<Error> {
    process.roster.fail(returned(worker, error));
    None
}

/// The error that a worker's own error is to the run.
fn returned(worker: usize, error: Box<dyn StdError + Send + Sync>) -> Error {
    let kind = error.downcast_ref::<Error>().map_or(ErrorKind::User, Error::kind);
    Error::with_source(kind, format!("worker {worker} failed: {error}"), error)
}
