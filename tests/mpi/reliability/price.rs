//! The row about what safety costs.

use std::hint::black_box;
use std::time::Instant;

use axisgrad::io::checkpoint::RunArgs;
use axisgrad::nn::{Embedding, LayerNorm, Linear, TransformerBlock};
use axisgrad::optim::adamw;
use axisgrad::prelude::*;
use axisgrad::random::{normal, randint};
use axisgrad_collectives::Call;
use axisgrad_collectives::signature::Signature;

use crate::Outcome;
use crate::budget::Budget;
use crate::processes::Scratch;

fn loss(model: &[Linear; 3], x: &Tensor, label: &Tensor) -> Tensor {
    let hidden = model[1].apply(&model[0].apply(x).relu()).relu();
    pmean(&cross_entropy(&model[2].apply(&hidden), label), "batch")
}

/// The model and a batch of the example `digits`.
fn digits(w: &Worker) -> ([Linear; 3], Tensor, Tensor) {
    let keys = w.key(1).split(3);
    let model =
        [Linear::init(keys[0], 64, 128), Linear::init(keys[1], 128, 64), Linear::init(keys[2], 64, 10)];
    let labels = normal(w.key(3), DType::F32, &[64, 10]).argmax(1);
    (model, normal(w.key(2), DType::F32, &[64, 64]), labels)
}

/// The model of the example `char_lm`, in its sizes.
#[derive(Clone, Tree)]
struct CharLm {
    characters: Embedding,
    places: Embedding,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
    out: Linear,
}

const CHARACTERS: usize = 80;
const CONTEXT: usize = 128;
const WIDTH: usize = 128;

fn char_lm(w: &Worker) -> (CharLm, Tensor, Tensor) {
    let keys = w.key(1).split(7);
    let model = CharLm {
        characters: Embedding::init(keys[0], CHARACTERS, WIDTH),
        places: Embedding::init(keys[1], CONTEXT, WIDTH),
        blocks: keys[2..6].iter().map(|key| TransformerBlock::init(*key, WIDTH, 4).causal()).collect(),
        norm: LayerNorm::init(WIDTH),
        out: Linear::lecun(keys[6], WIDTH, CHARACTERS),
    };
    let text = |key| randint(key, 0..CHARACTERS as i64, DType::I32, &[16, CONTEXT]);
    (model, text(w.key(2)), text(w.key(3)))
}

fn next_character(model: &CharLm, text: &Tensor, next: &Tensor) -> Tensor {
    let x = model.characters.apply(text) + &model.places.table;
    let x = model.blocks.iter().fold(x, |x, block| block.apply(&x, None));
    pmean(&cross_entropy(&model.out.apply(&model.norm.apply(&x)), next).mean(()), "batch")
}

/// Seconds of a step without what a `Run` does (it looks for signals on all workers, and at every number of the loss
/// and the gradient), and with it; so many steps in a turn, the fastest turn of each.
fn seconds<M: Tree + Clone>(
    threads: usize,
    (steps, turns): (usize, usize),
    init: fn(&Worker) -> (M, Tensor, Tensor),
    loss: fn(&M, &Tensor, &Tensor) -> Tensor,
) -> [f64; 2] {
    let scratch = Scratch::new();
    let args = RunArgs { checkpoint_dir: Some(scratch.0.clone()), save_every: 1 << 40, ..RunArgs::default() };
    let mesh = Mesh::builder().axes(["batch"]).threads(threads).build().expect("a mesh");
    let measure = |w: &Worker| -> axisgrad::Result<_> {
        let (model, x, label) = init(w);
        let (mut run, mut model) = args.open(w, model)?;
        let mut optimizer = adamw(1e-3).init(&model);
        let (x, label) = (w.unstack(&x, "batch"), w.unstack(&label, "batch"));
        let step = value_and_grad(loss).reduce_axes(["batch"]);
        let mut best = [f64::INFINITY; 2];
        for turn in 0..2 * turns {
            let start = Instant::now();
            for _ in 0..steps {
                if turn % 2 == 0 {
                    let (_, gradient) = step.at((&model, &x, &label));
                    optimizer.update(&mut model, &gradient);
                } else {
                    let (_, gradient) = run.finite(&step, (&model, &x, &label))?.expect("finite");
                    optimizer.update(&mut model, &gradient);
                    run.step(&model)?;
                }
            }
            best[turn % 2] = best[turn % 2].min(start.elapsed().as_secs_f64() / steps as f64);
        }
        Ok(best)
    };
    mesh.run(measure).expect("measured")
}

/// Seconds that making and comparing a call's signature take, which every collective does.
fn signature() -> f64 {
    const CALLS: usize = 100_000;
    let make = || Signature::new(&Call::here("psum").dims(&[784, 10]), 3, "all_reduce");
    let other = make();
    let start = Instant::now();
    let agree = (0..CALLS).filter(|_| black_box(make()).agrees(black_box(&other))).count();
    assert_eq!(agree, CALLS);
    start.elapsed().as_secs_f64() / CALLS as f64
}

/// Shown, and not held against anybody: a shared machine does not time well enough to fail a test by it.
pub fn step(budget: &mut Budget) -> Outcome {
    let small = (40, budget.times(30, 200));
    let large = (1, budget.times(5, 40));
    let mut shown = Vec::new();
    for threads in [1, 2] {
        let both = [
            ("digits", seconds(threads, small, digits, loss)),
            ("char_lm", seconds(threads, large, char_lm, next_character)),
        ];
        for (name, [without, with]) in both {
            let price = (with / without - 1.0) * 100.0;
            let (without, with) = (without * 1e6, with * 1e6);
            shown.push(format!(
                "{name}, {threads} threads: {without:.0} µs without, {with:.0} µs with, {price:+.1} %"
            ));
        }
    }
    shown.push(format!("a call's signature: {:.2} µs", signature() * 1e6));
    Outcome { tried: 4 * (small.0 * small.1 + large.1), worst: shown.join("; "), wrong: Vec::new() }
}

/// Seconds of a step of a model, 784-512-512-10 at batch 256, with sums in the one order or in any.
fn with_order(threads: usize, fast: bool, blocks: usize) -> f64 {
    let mesh = Mesh::builder().axes(["batch"]).threads(threads).fast(fast).build().expect("a mesh");
    let measure = |w: &Worker| -> axisgrad::Result<_> {
        let keys = w.key(1).split(3);
        let model = [
            Linear::init(keys[0], 784, 512),
            Linear::init(keys[1], 512, 512),
            Linear::init(keys[2], 512, 10),
        ];
        let x = w.unstack(&normal(w.key(2), DType::F32, &[256, 784]), "batch");
        let label = w.unstack(&normal(w.key(3), DType::F32, &[256, 10]).argmax(1), "batch");
        let step = grad(loss).reduce_axes(["batch"]);
        let mut best = f64::INFINITY;
        for _ in 0..blocks {
            let start = Instant::now();
            step.at((&model, &x, &label));
            best = best.min(start.elapsed().as_secs_f64());
        }
        Ok(best)
    };
    mesh.run(measure).expect("measured")
}

/// What the same bits everywhere cost: a figure, which is not judged.
pub fn reductions(budget: &mut Budget) -> Outcome {
    let turns = budget.times(4, 20);
    let shown: Vec<String> = [1, 2]
        .into_iter()
        .map(|threads| {
            let (mut reproducible, mut fast) = (f64::INFINITY, f64::INFINITY);
            for _ in 0..turns {
                reproducible = reproducible.min(with_order(threads, false, 15));
                fast = fast.min(with_order(threads, true, 15));
            }
            let price = (reproducible / fast - 1.0) * 100.0;
            format!(
                "{threads} threads: {:.2} ms, any order {:.2} ms, {price:+.1} %",
                reproducible * 1e3,
                fast * 1e3
            )
        })
        .collect();
    Outcome { tried: 4 * turns * 15, worst: shown.join("; "), wrong: Vec::new() }
}
