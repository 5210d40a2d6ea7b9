//! A training run that can be ended at any time, and go on anywhere.

use std::fs::File;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axisgrad_collectives::{Buffer, Call, Group, Pending, Reduction, Signals};

use super::folder::Folder;
use super::root::at_root;
use super::save::Share;
use crate::check::{first_non_finite, is_finite};
use crate::error::{Error, ErrorKind, Result};
use crate::function::{Arguments, Function};
use crate::tree::{Path, Tree};
use crate::worker::Worker;

/// The exit status of a program that a signal has stopped, with everything saved: run it again to go on. (It is
/// `EX_TEMPFAIL` of `sysexits.h`: try again.)
pub const STOPPED: u8 = 75;

/// The exit status of a program's result: 0, [`STOPPED`] after a signal, or 1; what is not success is said on stderr.
pub fn exit_code(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(stopped) if stopped.kind() == ErrorKind::Stopped => {
            eprintln!("axisgrad: {stopped}");
            STOPPED.into()
        }
        Err(error) => {
            eprintln!("Error: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// How long a signal may go unnoticed.
const ASKING: Duration = Duration::from_millis(50);

/// A training run, seen from one worker: counts its steps, saves its state in the background, and ends it when
/// a signal asks for that. Made by [`RunArgs::open`](super::RunArgs::open).
pub struct Run<'w> {
    w: &'w Worker,
    steps: u64,
    saver: Option<Saver>,
    non_finite: NonFinite,
    /// What was not finite in this step, if the run is to stop for it.
    stop: Option<Error>,
}

/// What to do in a step whose loss or gradient is not finite.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, clap::ValueEnum)]
pub enum NonFinite {
    /// End the run with an error, at once
    #[default]
    Raise,
    /// Save the state before the step, then end the run with an error
    Stop,
    /// Say so, and leave the step out
    Skip,
}

/// What saves.
pub(super) struct Saver {
    pub(super) folder: Arc<Folder>,
    pub(super) every: u64,
    pub(super) everyone: Group,
    pub(super) signals: Signals,
    /// Whether any worker has got a signal: asked, and not answered yet.
    pub(super) asked: Option<Pending<Buffer>>,
    /// The step in which to ask again.
    pub(super) next: u64,
    /// In which step, and when, it was asked last.
    pub(super) last_asked: (u64, Instant),
    /// Of worker 0: keeps other runs away.
    pub(super) _lock: Option<File>,
    /// The step whose state is on the disk, or on its way there.
    pub(super) saved: Option<u64>,
    pub(super) under_way: Option<JoinHandle<Result<(), String>>>,
    pub(super) ended: Arc<AtomicBool>,
}

impl<'w> Run<'w> {
    pub(super) fn new(w: &'w Worker, steps: u64, saver: Option<Saver>, non_finite: NonFinite) -> Self {
        w.note_step(steps);
        Self { w, steps, saver, non_finite, stop: None }
    }

    /// What `f`, such as `value_and_grad(loss)`, returns, if all of it is finite. Where it is not, all workers learn so
    /// in the same step; the report names the first leaf, the op that it comes from, its line, the worker, and the
    /// position along each axis. Then `--non-finite` decides: `None` means that the step is to be left out.
    ///
    /// # Errors
    /// `NonFinite`, where the flag says so.
    #[track_caller]
    pub fn finite<X: Arguments + Clone, F>(&mut self, f: &F, args: X) -> Result<Option<F::Output>>
    where
        F: Function<X::Args, Output: Tree>,
    {
        let output = f.call(&args.clone().to_args());
        let Some(leaf) = self.first_bad_leaf(&output)? else { return Ok(Some(output)) };
        let origin =
            first_non_finite(self.w, f, args)?.unwrap_or_else(|| "a value that was not found again".into());
        let text = format!("{leaf} is not finite in step {}\n   it comes from {origin}", self.steps + 1);
        let error = Error::new(ErrorKind::NonFinite, text);
        match self.non_finite {
            NonFinite::Raise => return Err(error),
            NonFinite::Stop => self.stop = Some(error),
            NonFinite::Skip if self.w.is_root() => eprintln!("axisgrad: {error}; the step is left out"),
            NonFinite::Skip => {}
        }
        Ok(None)
    }

    /// The first leaf that is not finite on some worker. What does not vary is the same on all of them, so nobody
    /// need be asked.
    fn first_bad_leaf(&self, output: &impl Tree) -> Result<Option<String>> {
        let (mut first, mut varies) = (None, false);
        output.visit(&Path::ROOT, &mut |path, leaf| {
            varies |= !leaf.axes().is_empty();
            if first.is_none() && !is_finite(leaf) {
                first = Some(path.to_string());
            }
        });
        if varies {
            let names: Vec<&str> = self.w.axes().iter().map(|(name, _)| &**name).collect();
            let mine = self.w.pool().copy_of(&[first.is_some()]);
            let any = self.w.group(&names)?.all_reduce::<bool>(&Call::here("finite"), Reduction::Or, mine)?;
            if any.as_slice::<bool>()[0] {
                return Ok(Some(first.map_or("a result on another worker".into(), |path| name_of(&path))));
            }
        }
        Ok(first.map(|path| name_of(&path)))
    }

    /// How many steps the run has made, those before it was resumed included.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// One more step is made, and this is the state after it. Every worker must call it, after every step. Saves
    /// where a save is due; the writing is done by a thread while training goes on, since tensors never change. A save
    /// that fails is reported on stderr, and the last one stays.
    ///
    /// # Errors
    /// `Stopped` after a signal (within about 50 ms, or one step), once everything is saved: let it pass up to
    /// `Mesh::run` and [`exit_code`]. All workers stop after the same step, whichever of them got the signal.
    #[track_caller]
    pub fn step(&mut self, state: &impl Tree) -> Result<()> {
        self.steps += 1;
        self.w.note_step(self.steps);
        let call = Call::here("step");
        let Some(saver) = &mut self.saver else { return self.stop.take().map_or(Ok(()), Err) };
        let signal = saver.agree(self.steps, &call)?;
        let stop = self.stop.take().or_else(|| (signal != 0).then(|| stopped(signal, self.steps)));
        if stop.is_some() || self.steps.is_multiple_of(saver.every) {
            saver.save(self.w, self.steps, state);
        }
        let Some(stop) = stop else { return Ok(()) };
        saver.wait_for_all(self.w, &call)?;
        Err(stop)
    }

    /// The run is at its end: saves its last state, and waits until that is on the disk. Every worker must call it.
    ///
    /// # Errors
    /// If the state cannot be saved. `Stopped`, as of [`step`](Self::step), after a signal that no step has heard.
    #[track_caller]
    pub fn finish(mut self, state: &impl Tree) -> Result<()> {
        let call = Call::here("finish");
        let Some(saver) = &mut self.saver else { return Ok(()) };
        if saver.saved != Some(self.steps) {
            saver.save(self.w, self.steps, state);
        }
        saver.wait_for_all(self.w, &call)?;
        let mine = saver.everyone.pool().copy_of(&[saver.signals.last()]);
        let signal = saver.everyone.all_reduce::<i32>(&call, Reduction::Max, mine)?.as_slice::<i32>()[0];
        if signal == 0 { Ok(()) } else { Err(stopped(signal, self.steps)) }
    }
}

impl Saver {
    /// The signal that any worker has got, or 0: the same on all of them. They ask each other once in a while, in
    /// steps that they agree on; the answer travels during a step, and nobody waits for it.
    fn agree(&mut self, step: u64, call: &Call) -> Result<i32> {
        let mut signal = 0;
        if let Some(asked) = self.asked.take() {
            let answer = asked.finish()?;
            let [any, least] = answer.as_slice::<i32>()[..] else { unreachable!("two numbers") };
            (signal, self.next) = (any, step - 1 + least.unsigned_abs() as u64);
        }
        if step >= self.next {
            let mine = [self.signals.last(), -self.interval(step)];
            let mine = self.everyone.pool().copy_of(&mine);
            self.asked = Some(self.everyone.start_all_reduce::<i32>(call, Reduction::Max, mine)?);
        }
        Ok(signal)
    }

    /// Steps until the next question: as many as take about [`ASKING`], by this worker's clock.
    fn interval(&mut self, step: u64) -> i32 {
        let (then, at) = std::mem::replace(&mut self.last_asked, (step, Instant::now()));
        let each = at.elapsed().as_secs_f64() / (step - then).max(1) as f64;
        (ASKING.as_secs_f64() / each).clamp(1.0, 64.0) as i32
    }

    /// Starts to write a state, when the one before it is written.
    fn save(&mut self, w: &Worker, step: u64, state: &impl Tree) {
        if let Err(why) = self.wait() {
            eprintln!("axisgrad: {why}; training goes on, and the checkpoints before it stay");
        }
        let (share, folder, ended) = (Share::of(w, step, state), self.folder.clone(), self.ended.clone());
        let write = move || {
            share
                .write(&folder, &ended)
                .map_err(|why| format!("checkpoint of step {step} is not written: {why}"))
        };
        let thread = std::thread::Builder::new().name(format!("checkpoint {}", w.index()));
        self.under_way = Some(thread.spawn(write).expect("the system starts a thread"));
        self.saved = Some(step);
    }

    /// Waits for what this worker writes.
    fn wait(&mut self) -> Result<()> {
        join(self.under_way.take())
    }

    /// Waits for what all workers write, of which worker 0 makes a whole.
    fn wait_for_all(&mut self, w: &Worker, call: &Call) -> Result<()> {
        if !w.is_root() {
            self.wait()?;
        }
        let under_way = self.under_way.take();
        at_root(w, &self.everyone, call, || join(under_way)).map(|_| ())
    }
}

fn join(writer: Option<JoinHandle<Result<(), String>>>) -> Result<()> {
    let panicked = |_| Err("the writer of a checkpoint panicked".into());
    let written = writer.map_or(Ok(()), |writer| writer.join().unwrap_or_else(panicked));
    written.map_err(|why| Error::new(ErrorKind::Io, why))
}

impl Drop for Saver {
    /// A run that fails does not wait for shares that will never come.
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

fn stopped(signal: i32, step: u64) -> Error {
    let text = format!(
        "{} ended the run after step {step}; it is saved: --resume goes on from here",
        Signals::name(signal)
    );
    Error::new(ErrorKind::Stopped, text)
}

/// A leaf of what `value_and_grad` returns, in words.
fn name_of(path: &str) -> String {
    match path.strip_prefix(".1") {
        Some("") => "the gradient".into(),
        Some(leaf) => format!("the gradient of `{}`", leaf.trim_start_matches('.')),
        None if path == ".0" => "the loss".into(),
        None => format!("the result `{path}`"),
    }
}
