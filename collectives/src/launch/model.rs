//! Two workers of one rank under the model checker `loom`, with the code that they run otherwise: every order in which
//! their threads may take turns, with at most [`PREEMPTIONS`] of them forced.

use std::sync::Arc;

use super::builder::Mesh;
use super::worker::{Process, Worker};
use crate::buffer::Buffer;
use crate::collective::pending::Pending;
use crate::element::Reduction;
use crate::error::{Error, ErrorKind, Result};
use crate::signature::Call;

/// More find no more, as a rule (Musuvathi and Qadeer, *Iterative context bounding*, 2007), and take far longer.
const PREEMPTIONS: usize = 2;

/// Runs the programs of two workers in every order.
fn check(first: fn(&Worker), second: fn(&Worker)) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(PREEMPTIONS);
    model.max_branches = 100_000;
    model.check(move || {
        let mesh = Mesh::builder().axes(["batch"]).threads(2).build().expect("a mesh");
        let process = Arc::new(Process::new(&mesh, None, None, 0));
        let other = Worker::new(&mesh, &process, 1);
        let thread = loom::thread::spawn(move || run(&other, second));
        run(&Worker::new(&mesh, &process, 0), first);
        thread.join().expect("the other worker ends");
    });
}

/// A worker's program, and what follows it.
fn run(worker: &Worker, program: fn(&Worker)) {
    program(worker);
    worker.seat.leave();
}

fn launch(worker: &Worker, bucket: i64) -> Result<Pending<Buffer>> {
    let mine = worker.pool().copy_of(&[bucket + worker.index() as i64]);
    worker.group(&["batch"])?.start_all_reduce::<i64>(&Call::here("psum"), Reduction::Sum, mine)
}

fn value(sum: Result<Buffer>) -> i64 {
    sum.expect("a sum").as_slice::<i64>()[0]
}

/// What backward does: it launches buckets as they fill, goes on, and waits for all at its end.
#[test]
fn buckets_are_handed_over_whatever_the_order() {
    let program = |worker: &Worker| {
        let [first, second] = [100, 200].map(|bucket| launch(worker, bucket).expect("launched"));
        assert_eq!(value(second.finish()), 401);
        assert_eq!(value(first.finish()), 201);
    };
    check(program, program);
}

#[test]
fn a_bucket_that_is_never_finished_does_not_keep_the_others() {
    let leaves = |worker: &Worker| {
        drop(launch(worker, 100).expect("launched"));
        worker.seat.drain();
    };
    check(leaves, |worker| assert_eq!(value(launch(worker, 100).expect("launched").finish()), 201));
}

fn failure(worker: &Worker) -> Error {
    worker.seat.roster.fail(Error::new(ErrorKind::User, format!("worker {} has failed", worker.index())))
}

#[test]
fn a_failure_ends_the_wait_of_the_others() {
    let waits = |worker: &Worker| {
        let error = launch(worker, 100).and_then(Pending::finish).map(drop).expect_err("nobody answers");
        assert_eq!(error.to_string(), "worker 1 has failed");
    };
    check(waits, |worker| drop(failure(worker)));
}

#[test]
fn of_two_failures_one_is_the_cause_for_both() {
    let fails = |worker: &Worker| {
        let cause = failure(worker).to_string();
        let known = worker.seat.roster.failure().expect("a failure").to_string();
        assert_eq!(cause, known);
        let error = launch(worker, 100).and_then(Pending::finish).map(drop).expect_err("it is over");
        assert_eq!(error.to_string(), cause);
    };
    check(fails, fails);
}
