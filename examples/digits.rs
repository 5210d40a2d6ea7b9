//! Trains a classifier with two hidden layers on real handwritten digits, on one thread, all cores, or a cluster:
//! the same program, and the same bits.
//!
//!     cargo run --release --example digits
//!     scripts/mpirun -n 2 --example digits -- --threads 2

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use axisgrad::data::{Batches, Epochs};
use axisgrad::io::checkpoint::{RunArgs, exit_code};
use axisgrad::nn::Linear;
use axisgrad::optim::{AdamWState, adamw};
use axisgrad::prelude::*;
use axisgrad::report::{self, Curve, Progress};
use axisgrad_examples::digits::{self, CLASSES, Digits, PIXELS};
use axisgrad_examples::summary;
use clap::Parser;
use serde_json::json;

/// Trains a classifier with two hidden layers on the 1,797 handwritten digits of the UCI repository.
#[derive(Parser)]
struct Args {
    /// How often to go through the training set
    #[arg(long, default_value_t = 30)]
    epochs: usize,
    /// Examples in a step, over all workers
    #[arg(long, default_value_t = 64)]
    batch_size: usize,
    /// Learning rate
    #[arg(long, default_value_t = 3e-3)]
    lr: f64,
    /// Seed of the initial model and of the order of the examples
    #[arg(long, default_value_t = 0)]
    seed: i64,
    /// File for the loss after each step, a line `step,loss`
    #[arg(long, value_name = "FILE")]
    curve: Option<PathBuf>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    mesh: MeshArgs,
}

#[derive(Clone, Tree)]
struct Mlp {
    hidden: [Linear; 2],
    out: Linear,
}

impl Mlp {
    fn init(key: Key) -> Self {
        let [first, second, third] = key.split(3)[..] else { unreachable!("three keys") };
        Self {
            hidden: [Linear::init(first, PIXELS, 128), Linear::init(second, 128, 64)],
            out: Linear::init(third, 64, CLASSES),
        }
    }

    /// `f32[64] -> f32[10]`
    fn logits(&self, x: &Tensor) -> Tensor {
        let hidden = self.hidden.iter().fold(x.clone(), |x, layer| layer.apply(&x).relu());
        self.out.apply(&hidden)
    }
}

/// All that changes in a step, and so all that a checkpoint holds.
#[derive(Clone, Tree)]
struct State {
    model: Mlp,
    optimizer: AdamWState<Mlp>,
    batches: Epochs<(Tensor, Tensor)>,
}

impl State {
    fn init(w: &Worker, args: &Args) -> Self {
        let key = w.key(args.seed);
        let model = Mlp::init(key);
        let optimizer = adamw(args.lr).init(&model);
        let batches = Batches::of(&tensors(digits::train()), args.batch_size).shuffled(key.fold_in(1));
        Self { model, optimizer, batches: batches.epochs(args.epochs) }
    }
}

/// The loss of one example.
fn loss(model: &Mlp, x: &Tensor, label: &Tensor) -> Tensor {
    cross_entropy(&model.logits(x), label)
}

/// The loss of a batch: the mean over its examples, wherever they are.
fn mean_loss(model: &Mlp, x: &Tensor, label: &Tensor) -> Tensor {
    pmean(&loss(model, x, label), "batch")
}

/// The part of the examples that the model gets right.
fn accuracy(w: &Worker, model: &Mlp, (x, labels): &(Tensor, Tensor)) -> f64 {
    let (x, label) = (w.unstack(x, "batch"), w.unstack(labels, "batch"));
    let right = model.logits(&x).argmax(0).eq(&label);
    f64::from(psum(&right, "batch").item::<i32>()) / labels.dims()[0] as f64
}

fn tensors(digits: Digits) -> (Tensor, Tensor) {
    let count = digits.len();
    (Array::from_vec(digits.images, [count, PIXELS]).into(), Array::from_vec(digits.labels, [count]).into())
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    report::log_to_stderr();
    let started = Instant::now();
    let summary = args.mesh.mesh(["batch"])?.run(|w| train(w, args, started))?;
    if let Some(summary) = summary {
        println!("{summary}");
    }
    Ok(())
}

/// Trains, and sums up on the first worker.
fn train(w: &Worker, args: &Args, started: Instant) -> Result<Option<serde_json::Value>> {
    let (mut run, mut state) = args.run.open(w, State::init(w, args))?;
    let mut progress = Progress::new("digits", state.batches.len(), w.is_root());
    let mut curve = Curve::append(args.curve.as_deref().filter(|_| w.is_root()))?;
    let mut train_loss = f64::NAN;
    while let Some((x, label)) = state.batches.next() {
        let _step = report::step(run.steps() as usize);
        let (x, label) = (w.unstack(&x, "batch"), w.unstack(&label, "batch"));
        let step = value_and_grad(mean_loss).reduce_axes(["batch"]);
        if let Some((loss, gradient)) = run.finite(&step, (&state.model, &x, &label))? {
            state.optimizer.update(&mut state.model, &gradient);
            train_loss = f64::from(loss.item::<f32>());
            curve.point(run.steps() + 1, train_loss)?;
        }
        progress.step(|| format!("loss {train_loss:.4}"));
        run.step(&state)?;
    }
    progress.finish();
    let steps = run.steps();
    run.finish(&state)?;
    let test_accuracy = accuracy(w, &state.model, &tensors(digits::test()));
    let (end, more) = ((steps as usize, train_loss), json!({ "test_accuracy": test_accuracy }));
    Ok(summary(w, "digits", end, &state.model, started, more))
}
