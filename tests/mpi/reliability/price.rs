//! The row about what safety costs.

use std::time::Instant;

use axisgrad::io::checkpoint::RunArgs;
use axisgrad::nn::Linear;
use axisgrad::optim::adamw;
use axisgrad::prelude::*;
use axisgrad::random::normal;

use crate::Outcome;
use crate::budget::Budget;
use crate::processes::Scratch;

/// Steps that are timed together.
const STEPS: usize = 40;

fn loss(model: &[Linear; 3], x: &Tensor, label: &Tensor) -> Tensor {
    let hidden = model[1].apply(&model[0].apply(x).relu()).relu();
    pmean(&cross_entropy(&model[2].apply(&hidden), label), "batch")
}

/// The model and the batch of the example `digits`: seconds of a step without what a `Run` does (it looks for signals
/// on all workers, and at every number of the loss and the gradient), and with it; in turns, the fastest of each.
fn seconds(threads: usize, blocks: usize) -> [f64; 2] {
    let scratch = Scratch::new();
    let args = RunArgs { checkpoint_dir: Some(scratch.0.clone()), save_every: 1 << 40, ..RunArgs::default() };
    let mesh = Mesh::builder().axes(["batch"]).threads(threads).build().expect("a mesh");
    let measure = |w: &Worker| -> axisgrad::Result<_> {
        let keys = w.key(1).split(3);
        let model =
            [Linear::init(keys[0], 64, 128), Linear::init(keys[1], 128, 64), Linear::init(keys[2], 64, 10)];
        let (mut run, mut model) = args.open(w, model)?;
        let mut optimizer = adamw(1e-3).init(&model);
        let x = w.unstack(&normal(w.key(2), DType::F32, &[64, 64]), "batch");
        let label = w.unstack(&normal(w.key(3), DType::F32, &[64, 10]).argmax(1), "batch");
        let step = value_and_grad(loss).reduce_axes(["batch"]);
        let mut best = [f64::INFINITY; 2];
        for block in 0..2 * blocks {
            let start = Instant::now();
            for _ in 0..STEPS {
                if block % 2 == 0 {
                    let (_, gradient) = step.at((&model, &x, &label));
                    optimizer.update(&mut model, &gradient);
                } else {
                    let (_, gradient) = run.finite(&step, (&model, &x, &label))?.expect("finite");
                    optimizer.update(&mut model, &gradient);
                    run.step(&model)?;
                }
            }
            best[block % 2] = best[block % 2].min(start.elapsed().as_secs_f64() / STEPS as f64);
        }
        Ok(best)
    };
    mesh.run(measure).expect("measured")
}

/// Shown, and not held against anybody: a shared machine does not time well enough to fail a test by it.
pub fn step(budget: &mut Budget) -> Outcome {
    let blocks = budget.times(30, 200);
    let shown: Vec<String> = [1, 2]
        .into_iter()
        .map(|threads| {
            let [without, with] = seconds(threads, blocks);
            let price = (with / without - 1.0) * 100.0;
            format!(
                "{threads} threads: {:.0} µs without, {:.0} µs with, {price:+.1} %",
                without * 1e6,
                with * 1e6
            )
        })
        .collect();
    Outcome { tried: 2 * blocks * STEPS, worst: shown.join("; "), wrong: Vec::new() }
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
