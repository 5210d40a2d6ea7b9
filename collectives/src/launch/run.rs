//! Running a program on every worker, and coming back with one result or one error.

use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam::thread::{Scope, ScopedJoinHandle};

use super::builder::Mesh;
use super::panics::{Watch, error_of};
use super::worker::{Process, Worker};
use crate::error::{Error, ErrorKind, Result};
use crate::transport::channels::network;

impl Mesh {
    /// Runs the program on every worker and returns what it returned on the first worker of this rank, which
    /// runs on the calling thread, so that the value need not be `Send`.
    ///
    /// # Errors
    /// If a worker panics or returns an error, or a collective fails: the first cause, with the worker and the
    /// line. Every other worker is woken, and stops at its next collective.
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
        let processes = self.processes();
        let run = |(process, index)| run_worker(self, process, index, &program);
        let (run, keep) = (&run, &keep);
        let (first, others) = crossbeam::thread::scope(|scope| {
            let mut places = processes.iter().flat_map(|process| self.workers_of(process));
            let mine = places.next().expect("a mesh has a worker");
            let others: Vec<_> =
                places.map(|place| spawn(scope, place.1, move || run(place).map(keep))).collect();
            let first = run(mine);
            let join = |thread: ScopedJoinHandle<'_, _>| thread.join().expect("a worker's panic is caught");
            (first, others.into_iter().map(join).collect::<Vec<_>>())
        })
        .expect("workers' panics are caught");
        if let Some(error) = processes.iter().find_map(|process| process.roster.failure()) {
            return Err(error.clone());
        }
        let all = others.into_iter().map(|result| result.expect("no failure")).collect();
        Ok((first.expect("no failure"), all))
    }

    /// The ranks that live in this process.
    fn processes(&self) -> Vec<Arc<Process>> {
        let run = self.next_run();
        let process = |link| Arc::new(Process::new(self, link, run));
        if self.simulated() {
            return network(self.shape().ranks()).into_iter().map(|link| process(Some(link))).collect();
        }
        vec![process(self.link().cloned())]
    }

    fn workers_of<'p>(
        &self,
        process: &'p Arc<Process>,
    ) -> impl Iterator<Item = (&'p Arc<Process>, usize)> + use<'p> {
        let threads = self.shape().threads();
        (process.rank * threads..(process.rank + 1) * threads).map(move |index| (process, index))
    }
}

fn spawn<'a, 's, T: Send + 's>(
    scope: &'a Scope<'s>,
    index: usize,
    run: impl FnOnce() -> T + Send + 's,
) -> ScopedJoinHandle<'a, T> {
    let thread = scope.builder().name(format!("worker {index}"));
    thread.spawn(move |_| run()).expect("the system starts a thread")
}

/// Runs the program on one worker; `None` when it has failed, which the roster knows then.
fn run_worker<R, E>(
    mesh: &Mesh,
    process: &Arc<Process>,
    index: usize,
    program: &impl Fn(&Worker) -> Result<R, E>,
) -> Option<R>
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
            Some(result)
        }
        Ok(Err(error)) => {
            process.roster.fail(returned(index, error.into()));
            None
        }
        Err(payload) => {
            process.roster.fail(error_of(index, payload, watch.site()));
            None
        }
    };
    process.roster.finish(index, worker.calls());
    result
}

/// The error that a worker's own error is to the run.
fn returned(worker: usize, error: Box<dyn StdError + Send + Sync>) -> Error {
    let kind = error.downcast_ref::<Error>().map_or(ErrorKind::User, Error::kind);
    Error::with_source(kind, format!("worker {worker} failed: {error}"), error)
}
