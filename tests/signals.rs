//! Signals end a run, with everything saved.
//!
//! A signal meets every run of its process, so these tests have a process to themselves, and take turns in it.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::{env, fs, process};

use axisgrad::ErrorKind;
use axisgrad::io::checkpoint::RunArgs;
use axisgrad::prelude::*;
use signal_hook::consts::SIGUSR1;
use signal_hook::low_level::raise;

/// Who has the process to itself.
static TURN: Mutex<()> = Mutex::new(());

/// A directory for checkpoints, which goes with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Self {
        let path = env::temp_dir().join(format!("axisgrad-signals-{}-{test}", process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn args(&self) -> RunArgs {
        RunArgs { checkpoint_dir: Some(self.0.clone()), save_every: 100, ..Default::default() }
    }

    /// The step and the state that a run goes on from.
    fn resumed(&self) -> (u64, f64) {
        let args = RunArgs { resume: Some("auto".into()), ..self.args() };
        let open = |w: &Worker| args.open(w, Tensor::from(-1.0)).map(|(run, x)| (run.steps(), x.item()));
        mesh(1, 1).run(open).expect("a checkpoint")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mesh(threads: usize, ranks: usize) -> Mesh {
    Mesh::builder().axes(["batch"]).threads(threads).simulated_ranks(ranks).build().expect("a mesh")
}

/// Counts so many steps on four workers, or to where a signal ends it; worker 1 gets one before step `signalled`.
fn count(args: &RunArgs, steps: u64, signalled: u64) -> Result<()> {
    mesh(2, 2).run(|w| -> Result<()> {
        let (mut run, mut x) = args.open(w, Tensor::from(0.0))?;
        while run.steps() < steps {
            x = &x + 1.0;
            run.step(&x)?;
            if run.steps() + 1 == signalled && w.index() == 1 {
                raise(SIGUSR1).expect("raised");
            }
        }
        run.finish(&x)
    })
}

#[test]
fn a_signal_ends_the_run_after_a_step_on_all_workers() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let scratch = Scratch::new("step");
    let stopped = count(&scratch.args(), 1000, 42).unwrap_err();
    assert_eq!(stopped.kind(), ErrorKind::Stopped);
    let text = stopped.to_string();
    let (step, state) = scratch.resumed();
    assert!(text.starts_with(&format!("SIGUSR1 ended the run after step {step};")), "{text}");
    // Steps are short here, and workers ask each other every 64.
    assert!((42..200).contains(&step), "{text}");
    assert_eq!(state, step as f64);
}

#[test]
fn a_signal_that_no_step_has_heard_ends_the_run_when_it_finishes() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let scratch = Scratch::new("finish");
    let stopped = count(&scratch.args(), 1, 2).unwrap_err();
    assert_eq!(stopped.kind(), ErrorKind::Stopped);
    assert!(stopped.to_string().starts_with("SIGUSR1 ended the run after step 1;"), "{stopped}");
    assert_eq!(scratch.resumed(), (1, 1.0));
}
