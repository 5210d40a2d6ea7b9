//! A small training run that can be killed, stopped, resumed, and made to fail on one worker: what the tests of
//! reliability run, in one process and under `mpirun`.
//!
//! In the directory `AXISGRAD_TEST_STEPS` each process says which it is, logs why a run has failed, and a worker that
//! goes wrong says when. With `--log` the first worker writes a line `STEP HASH` after each step.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axisgrad::data::{Batches, Epochs};
use axisgrad::io::checkpoint::{RunArgs, exit_code};
use axisgrad::nn::Linear;
use axisgrad::optim::{AdamWState, adamw};
use axisgrad::prelude::*;
use axisgrad::random::normal;
use axisgrad::report;
use clap::{Parser, ValueEnum};
use tracing_subscriber::filter::LevelFilter;

#[derive(Parser)]
struct Args {
    /// How often to go through the 100 examples
    #[arg(long, default_value_t = 10)]
    epochs: usize,
    /// Milliseconds that a step takes at least
    #[arg(long, default_value_t = 0)]
    pace: u64,
    /// What goes wrong
    #[arg(long)]
    fault: Option<Fault>,
    /// In which step
    #[arg(long, default_value_t = 7)]
    at: u64,
    /// On which worker
    #[arg(long, default_value_t = 0)]
    on: usize,
    /// File for a line after each step
    #[arg(long)]
    log: Option<PathBuf>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    mesh: MeshArgs,
}

#[derive(Clone, Copy, PartialEq, Debug, ValueEnum)]
enum Fault {
    Panic,
    Error,
    Nan,
    Stall,
    /// Late, and not too late where the deadline is 3 s
    Slow,
}

#[derive(Clone, Tree)]
struct State {
    model: [Linear; 2],
    optimizer: AdamWState<[Linear; 2]>,
    batches: Epochs<(Tensor, Tensor)>,
}

impl State {
    fn init(w: &Worker, epochs: usize) -> Self {
        let key = w.key(5);
        let data = (
            normal(key, DType::F32, &[100, 12]),
            normal(key.fold_in(1), DType::F32, &[100, 3]).abs().argmax(1),
        );
        let model = [Linear::init(key.fold_in(2), 12, 24), Linear::init(key.fold_in(3), 24, 3)];
        let optimizer = adamw(1e-2).init(&model);
        // The last batch of an epoch is smaller: workers have uneven shares, and some none.
        Self { model, optimizer, batches: Batches::of(&data, 24).shuffled(key.fold_in(4)).epochs(epochs) }
    }
}

fn loss(model: &[Linear; 2], x: &Tensor, label: &Tensor) -> Tensor {
    pmean(&cross_entropy(&model[1].apply(&model[0].apply(x).tanh()), label), "batch")
}

fn main() -> ExitCode {
    let args = Args::parse();
    report::log_to_stderr();
    log_failures();
    exit_code(args.mesh.mesh(["batch", "model"]).and_then(|mesh| mesh.run(|w| train(w, &args))))
}

/// The process' own log, unless another has been asked for: a launcher does not pass on everything that goes to stderr
/// when it ends.
fn log_failures() {
    let Some(folder) = std::env::var_os("AXISGRAD_TEST_STEPS").map(PathBuf::from) else { return };
    let log = File::create(folder.join(format!("log-{}", std::process::id()))).expect("a log");
    let log = tracing_subscriber::fmt().with_writer(log).with_ansi(false).with_max_level(LevelFilter::ERROR);
    let _ = log.try_init();
}

fn train(w: &Worker, args: &Args) -> Result<()> {
    let (mut run, mut state) = args.run.open(w, State::init(w, args.epochs))?;
    if w.thread() == 0 {
        tell(&w.rank().to_string(), &std::process::id().to_string());
    }
    while let Some((x, label)) = state.batches.next() {
        let _step = report::step(run.steps() as usize);
        let mut x = w.unstack(&x, "batch");
        std::thread::sleep(Duration::from_millis(args.pace));
        if let Some(fault) = args.fault.filter(|_| run.steps() + 1 == args.at && w.index() == args.on) {
            match fault {
                Fault::Nan => {
                    tell_time();
                    x = &x * f64::NAN;
                }
                other => go_wrong(other)?,
            }
        }
        let label = w.unstack(&label, "batch");
        let step = value_and_grad(loss).reduce_axes(["batch"]);
        if let Some((_, gradient)) = run.finite(&step, (&state.model, &x, &label))? {
            state.optimizer.update(&mut state.model, &gradient);
        }
        note(w, args, run.steps() + 1, &state);
        run.step(&state)?;
    }
    let steps = run.steps();
    run.finish(&state)?;
    if w.is_root() {
        println!("steps {steps} params_hash {}", report::hash(&state.model));
    }
    Ok(())
}

fn go_wrong(fault: Fault) -> Result<()> {
    tell_time();
    match fault {
        Fault::Panic => panic!("the trainer panics"),
        Fault::Stall => std::thread::sleep(Duration::from_secs(600)),
        Fault::Slow => std::thread::sleep(Duration::from_millis(1500)),
        _ => return Err(axisgrad::Error::new(axisgrad::ErrorKind::Io, "no such file: batch.bin")),
    }
    Ok(())
}

/// After the step, before it may be saved: a run that is killed has a line for every step that it has saved.
fn note(w: &Worker, args: &Args, step: u64, state: &State) {
    if let Some(log) = args.log.as_ref().filter(|_| w.is_root()) {
        let mut file = OpenOptions::new().create(true).append(true).open(log).expect("the log");
        writeln!(file, "{step} {}", report::hash(&state.model)).expect("a line");
    }
}

/// When the worker goes wrong.
fn tell_time() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros();
    tell("fault", &now.to_string());
}

fn tell(name: &str, text: &str) {
    let Some(folder) = std::env::var_os("AXISGRAD_TEST_STEPS").map(PathBuf::from) else { return };
    fs::write(folder.join(format!("new-{name}")), text).expect("a file");
    fs::rename(folder.join(format!("new-{name}")), folder.join(name)).expect("its name");
}
