//! Trains a small convolutional network on real handwritten digits, on one thread, all cores, or a cluster: the same
//! program, and the same bits.
//!
//!     cargo run --release --example cnn
//!     scripts/mpirun -n 2 --example cnn -- --threads 2

use std::process::ExitCode;
use std::time::Instant;

use axisgrad::data::{Batches, Epochs};
use axisgrad::io::checkpoint::{RunArgs, exit_code};
use axisgrad::nn::{Conv2d, Linear};
use axisgrad::optim::{AdamWState, adamw};
use axisgrad::prelude::*;
use axisgrad::report::{self, Progress};
use axisgrad::{Error, ErrorKind};
use axisgrad_examples::digits::{self, CLASSES, Digits, SIDE};
use axisgrad_examples::summary;
use clap::Parser;
use serde_json::{Value, json};

/// Trains two convolutions, pooling and two layers on the 1,797 handwritten digits of the UCI repository.
#[derive(Parser)]
struct Args {
    /// How often to go through the training set
    #[arg(long, default_value_t = 5)]
    epochs: usize,
    /// Examples in a step, over all workers
    #[arg(long, default_value_t = 64)]
    batch_size: usize,
    /// Pixels along each side that images are enlarged to
    #[arg(long, default_value_t = 28)]
    size: usize,
    /// Channels out of the first convolution; the second has twice as many
    #[arg(long, default_value_t = 32)]
    channels: usize,
    /// Neurons between the images and the classes
    #[arg(long, default_value_t = 128)]
    hidden: usize,
    /// Learning rate
    #[arg(long, default_value_t = 1e-3)]
    lr: f64,
    /// Seed of the initial model and of the order of the examples
    #[arg(long, default_value_t = 0)]
    seed: i64,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    mesh: MeshArgs,
}

#[derive(Clone, Tree)]
struct Cnn {
    convolutions: [Conv2d; 2],
    hidden: Linear,
    out: Linear,
}

impl Cnn {
    fn init(key: Key, args: &Args) -> Self {
        let [first, second, third, fourth] = key.split(4)[..] else { unreachable!("four keys") };
        let (channels, side) = (args.channels, (args.size - 4) / 2);
        Self {
            convolutions: [
                Conv2d::init(first, 1, channels, 3),
                Conv2d::init(second, channels, 2 * channels, 3),
            ],
            hidden: Linear::init(third, 2 * channels * side * side, args.hidden),
            out: Linear::init(fourth, args.hidden, CLASSES),
        }
    }

    /// `f32[1,size,size] -> f32[10]`
    fn logits(&self, x: &Tensor) -> Tensor {
        let x = self.convolutions.iter().fold(x.clone(), |x, layer| layer.apply(&x).relu());
        let x = x.max_pool(&[2, 2], &[2, 2], &[]).flatten();
        self.out.apply(&self.hidden.apply(&x).relu())
    }
}

/// All that changes in a step, and so all that a checkpoint holds.
#[derive(Clone, Tree)]
struct State {
    model: Cnn,
    optimizer: AdamWState<Cnn>,
    batches: Epochs<(Tensor, Tensor)>,
}

impl State {
    fn init(args: &Args, key: Key) -> Self {
        let model = Cnn::init(key, args);
        let optimizer = adamw(args.lr).init(&model);
        let batches =
            Batches::of(&tensors(digits::train(), args.size), args.batch_size).shuffled(key.fold_in(1));
        Self { model, optimizer, batches: batches.epochs(args.epochs) }
    }
}

/// The loss of one example.
fn loss(model: &Cnn, x: &Tensor, label: &Tensor) -> Tensor {
    cross_entropy(&model.logits(x), label)
}

/// The loss of a batch: the mean over its examples, wherever they are.
fn mean_loss(model: &Cnn, x: &Tensor, label: &Tensor) -> Tensor {
    pmean(&loss(model, x, label), "batch")
}

/// The part of the examples that the model gets right.
fn accuracy(w: &Worker, model: &Cnn, examples: &(Tensor, Tensor), batch_size: usize) -> f64 {
    let right = |(x, labels): (Tensor, Tensor)| {
        let (x, label) = (w.unstack(&x, "batch"), w.unstack(&labels, "batch"));
        psum(&model.logits(&x).argmax(0).eq(&label), "batch").item::<i32>()
    };
    let right: i32 = Batches::of(examples, batch_size).epoch(0).map(right).sum();
    f64::from(right) / examples.1.dim(0) as f64
}

/// Images with their one channel, enlarged to `size` pixels along each side, and their labels.
fn tensors(digits: Digits, size: usize) -> (Tensor, Tensor) {
    let count = digits.len();
    let images = digits.images.chunks(SIDE * SIDE).flat_map(|image| enlarged(image, size)).collect();
    (Array::from_vec(images, [count, 1, size, size]).into(), Array::from_vec(digits.labels, [count]).into())
}

/// Pixels between those of the image are weighted means of their neighbours.
fn enlarged(image: &[f32], size: usize) -> Vec<f32> {
    let place = |i: usize| {
        let at = (i * (SIDE - 1)) as f32 / (size - 1) as f32;
        (at.floor() as usize, at.fract())
    };
    let pixel = |row: usize, column: usize| image[row.min(SIDE - 1) * SIDE + column.min(SIDE - 1)];
    let between = |y: usize, x: usize| {
        let ((row, down), (column, right)) = (place(y), place(x));
        let along = |row| pixel(row, column) * (1.0 - right) + pixel(row, column + 1) * right;
        along(row) * (1.0 - down) + along(row + 1) * down
    };
    (0..size * size).map(|i| between(i / size, i % size)).collect()
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    if args.size < SIDE {
        return Err(Error::new(ErrorKind::Config, format!("--size is {SIDE} or more")));
    }
    report::log_to_stderr();
    let started = Instant::now();
    let summary = args.mesh.mesh(["batch"])?.run(|w| train(w, args, started))?;
    if let Some(summary) = summary {
        println!("{summary}");
    }
    Ok(())
}

/// Trains, and sums up on the first worker.
fn train(w: &Worker, args: &Args, started: Instant) -> Result<Option<Value>> {
    let (mut run, mut state) = args.run.open(w, State::init(args, w.key(args.seed)))?;
    let mut progress = Progress::new("cnn", state.batches.len(), w.is_root());
    let mut train_loss = f64::NAN;
    while let Some((x, label)) = state.batches.next() {
        let _step = report::step(run.steps() as usize);
        let (x, label) = (w.unstack(&x, "batch"), w.unstack(&label, "batch"));
        let step = value_and_grad(mean_loss).reduce_axes(["batch"]);
        if let Some((loss, gradient)) = run.finite(&step, (&state.model, &x, &label))? {
            state.optimizer.update(&mut state.model, &gradient);
            train_loss = f64::from(loss.item::<f32>());
        }
        progress.step(|| format!("loss {train_loss:.4}"));
        run.step(&state)?;
    }
    progress.finish();
    let steps = run.steps() as usize;
    run.finish(&state)?;
    let test_accuracy = accuracy(w, &state.model, &tensors(digits::test(), args.size), args.batch_size);
    let more = json!({ "test_accuracy": test_accuracy });
    Ok(summary(w, "cnn", (steps, train_loss), &state.model, started, more))
}
