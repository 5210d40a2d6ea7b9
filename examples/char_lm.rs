//! Trains a decoder-only transformer to write as a book does, letter by letter, on one thread, all cores, or a
//! cluster: the same program, and the same bits.
//!
//!     cargo run --release --example char_lm
//!     scripts/mpirun -n 2 --example char_lm -- --threads 2

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use axisgrad::data::{Batches, Epochs, Vocabulary, windows};
use axisgrad::io::checkpoint::{RunArgs, exit_code};
use axisgrad::nn::{Embedding, LayerNorm, Linear, TransformerBlock};
use axisgrad::optim::{AdamWState, adamw, warmup_cosine};
use axisgrad::prelude::*;
use axisgrad::random::categorical;
use axisgrad::report::{self, Progress};
use axisgrad::tree::Saved;
use axisgrad::{Error, ErrorKind};
use axisgrad_examples::{ALICE, summary};
use clap::Parser;
use serde_json::{Value, json};

/// Trains a decoder-only transformer on the characters of a text, and lets it write.
#[derive(Parser)]
struct Args {
    /// The text; without it, Alice's Adventures in Wonderland
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Numbers that stand for a character at each place
    #[arg(long, default_value_t = 128)]
    width: usize,
    /// Heads of attention
    #[arg(long, default_value_t = 4)]
    heads: usize,
    /// Blocks of attention and GELUs
    #[arg(long, default_value_t = 4)]
    layers: usize,
    /// Characters that the model sees at once
    #[arg(long, default_value_t = 128)]
    context: usize,
    /// Windows of text in a step, over all workers
    #[arg(long, default_value_t = 16)]
    batch_size: usize,
    /// Steps to train for
    #[arg(long, default_value_t = 500)]
    steps: usize,
    /// Learning rate, reached after a tenth of the steps
    #[arg(long, default_value_t = 2e-3)]
    lr: f64,
    /// How much of a parameter decays in a step of rate 1
    #[arg(long, default_value_t = 0.01)]
    weight_decay: f64,
    /// Part of the activations that is dropped in training
    #[arg(long, default_value_t = 0.0)]
    dropout: f64,
    /// Seed of the initial model, the order of the text, and the sample
    #[arg(long, default_value_t = 0)]
    seed: i64,
    /// Characters to write at the end
    #[arg(long, default_value_t = 200)]
    sample: usize,
    /// How daring to be in that: 0 always takes the likeliest character
    #[arg(long, default_value_t = 0.7)]
    temperature: f64,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    mesh: MeshArgs,
}

#[derive(Clone, Tree)]
struct CharLm {
    characters: Embedding,
    places: Embedding,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
    out: Linear,
}

impl CharLm {
    fn init(key: Key, args: &Args, characters: usize) -> Self {
        let block = |i: usize| {
            let block = TransformerBlock::init(key.fold_in(3 + i as u32), args.width, args.heads);
            block.causal().dropout(args.dropout)
        };
        Self {
            characters: Embedding::init(key.fold_in(0), characters, args.width),
            places: Embedding::init(key.fold_in(1), args.context, args.width),
            blocks: (0..args.layers).map(block).collect(),
            norm: LayerNorm::init(args.width),
            out: Linear::lecun(key.fold_in(2), args.width, characters),
        }
    }

    /// How likely each character is to come next, after each place: `i32[t] -> f32[t,characters]`.
    fn logits(&self, text: &Tensor, key: Option<Key>) -> Tensor {
        let places = self.places.table.slice(0, ..text.dim(0));
        let x = self.characters.apply(text) + places;
        let keys = (0..).map(|i| key.map(|key| key.fold_in(i)));
        let x = self.blocks.iter().zip(keys).fold(x, |x, (block, key)| block.apply(&x, key));
        self.out.apply(&self.norm.apply(&x))
    }

    /// `count` characters that may come after `prompt`.
    fn write(&self, prompt: &[i32], count: usize, temperature: f64, key: Key) -> Vec<i32> {
        let mut text = prompt.to_vec();
        for i in 0..count {
            let seen = &text[text.len().saturating_sub(self.places.table.dim(0))..];
            let seen = Tensor::from(Array::from_slice(seen, [seen.len()]));
            let logits = self.logits(&seen, None).index(0, -1);
            let next = match temperature > 0.0 {
                true => categorical(key.fold_in(i as u32), &(logits / temperature), 0),
                false => logits.argmax(0),
            };
            text.push(next.item::<i32>());
        }
        text.split_off(prompt.len())
    }
}

/// All that changes in a step, and the key that the steps draw from: what a checkpoint holds.
#[derive(Clone, Tree)]
struct State {
    model: CharLm,
    optimizer: AdamWState<CharLm>,
    batches: Epochs<(Tensor, Tensor)>,
    dropout: Saved<Key>,
}

impl State {
    fn init(args: &Args, numbers: &[i32], characters: usize, key: Key) -> Self {
        let model = CharLm::init(key.fold_in(0), args, characters);
        let schedule = warmup_cosine(args.lr, args.steps / 10, args.steps, args.lr / 10.0);
        let optimizer = adamw(schedule).weight_decay(args.weight_decay).init(&model);
        let rows = windows(numbers, args.context, args.context.div_ceil(2));
        let batches = Batches::of(&rows, args.batch_size).shuffled(key.fold_in(1));
        let epochs = args.steps.div_ceil(batches.len());
        Self { model, optimizer, batches: batches.epochs(epochs), dropout: Saved(key.fold_in(2)) }
    }
}

/// The loss of one example: a window of text, and what comes after each of its places.
fn loss(model: &CharLm, text: &Tensor, next: &Tensor, key: &Key) -> Tensor {
    cross_entropy(&model.logits(text, Some(*key)), next).mean(())
}

/// The loss of a batch: the mean over its examples, wherever they are.
fn mean_loss(model: &CharLm, text: &Tensor, next: &Tensor, key: &Key) -> Tensor {
    pmean(&loss(model, text, next, key), "batch")
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    report::log_to_stderr();
    let started = Instant::now();
    let text = match &args.data {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| Error::new(ErrorKind::Io, format!("{}: {error}", file.display())))?,
        None => ALICE.to_owned(),
    };
    let summary = args.mesh.mesh(["batch"])?.run(|w| train(w, args, &text, started))?;
    if let Some(summary) = summary {
        println!("{summary}");
    }
    Ok(())
}

/// Trains; writes a sample and sums up on the first worker.
fn train(w: &Worker, args: &Args, text: &str, started: Instant) -> Result<Option<Value>> {
    let vocabulary = Vocabulary::of(text);
    let numbers = vocabulary.encode(text).expect("its own characters");
    let key = w.key(args.seed);
    let (mut run, mut state) = args.run.open(w, State::init(args, &numbers, vocabulary.len(), key))?;
    let left = args.steps.saturating_sub(run.steps() as usize);
    let mut progress = Progress::new("char_lm", left, w.is_root());
    let (training, mut characters, mut train_loss) = (Instant::now(), 0, f64::NAN);
    for step in run.steps()..args.steps as u64 {
        let Some((text, next)) = state.batches.next() else { break };
        let _step = report::step(step as usize);
        characters += text.len();
        let (text, next) = (w.unstack(&text, "batch"), w.unstack(&next, "batch"));
        let dropped = state.dropout.fold_in(step as u32);
        let gradient = value_and_grad(mean_loss).reduce_axes(["batch"]);
        if let Some((loss, gradient)) = run.finite(&gradient, (&state.model, &text, &next, &dropped))? {
            state.optimizer.update(&mut state.model, &gradient);
            train_loss = f64::from(loss.item::<f32>());
        }
        let rate = characters as f64 / training.elapsed().as_secs_f64();
        progress.step(|| format!("loss {train_loss:.4}  {rate:.0} tokens/s"));
        run.step(&state)?;
    }
    progress.finish();
    run.finish(&state)?;
    let rate = characters as f64 / training.elapsed().as_secs_f64();
    let model = &state.model;
    if w.is_root() && args.sample > 0 {
        let written = model.write(&numbers[..1], args.sample, args.temperature, key.fold_in(3));
        eprintln!("{}", vocabulary.decode(&written));
    }
    Ok(summary(w, "char_lm", (args.steps, train_loss), model, started, json!({ "tokens_per_second": rate })))
}
