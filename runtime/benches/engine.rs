//! What the engine costs: the tape for each node, and named axes against a hand-written batch dim.
//!
//!     scripts/bench
//!     cargo bench -p axisgrad --bench engine -- node mlp small memory

use std::hint::black_box;
use std::time::Instant;

use axisgrad::nn::Linear;
use axisgrad::prelude::*;

/// An MLP of 784-512-512-10, or whatever `sizes` say.
#[derive(Clone, Tree)]
struct Mlp {
    layers: Vec<Linear>,
}

impl Mlp {
    fn init(sizes: &[usize]) -> Self {
        let keys = Key::new(0).split(sizes.len() - 1);
        Self { layers: sizes.windows(2).zip(keys).map(|(s, key)| Linear::init(key, s[0], s[1])).collect() }
    }

    fn logits(&self, x: &Tensor) -> Tensor {
        let (last, hidden) = self.layers.split_last().expect("a layer");
        last.apply(&hidden.iter().fold(x.clone(), |x, layer| layer.apply(&x).relu()))
    }
}

/// Of one example, or of a batch along the first dim: the same ops.
fn loss(model: &Mlp, x: &Tensor, label: &Tensor) -> Tensor {
    cross_entropy(&model.logits(x), label).sum(())
}

fn data(batch: usize, pixels: usize) -> (Tensor, Tensor) {
    let labels: Vec<i32> = (0..batch as i32).map(|i| i % 10).collect();
    (
        axisgrad::random::normal(Key::new(1), DType::F32, &[batch, pixels]),
        Array::from_vec(labels, [batch]).into(),
    )
}

/// The medians of the times of several functions, in seconds, run in turn.
fn medians<const N: usize>(rounds: usize, mut runs: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut times = [(); N].map(|()| Vec::new());
    for round in 0..rounds + 2 {
        for (run, times) in runs.iter_mut().zip(&mut times) {
            let start = Instant::now();
            run();
            if round >= 2 {
                times.push(start.elapsed().as_secs_f64());
            }
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

/// A gradient of 2 × 1,000 small ops, per node.
fn node() {
    const OPS: usize = 1000;
    let x = Tensor::from([1.0f32, 2.0, 3.0, 4.0]);
    let chain = |x: &Tensor| (0..OPS).fold(x.clone(), |y, _| -&y).sum(());
    let mut gradient = || drop(black_box(grad(chain).at(&x)));
    let mut forward = || drop(black_box(chain(&x)));
    let [both, alone] = medians(50, [&mut gradient, &mut forward]);
    println!("one small op, f32[4], forward and backward on the tape: {:.3} us", both / OPS as f64 * 1e6);
    println!("one small op, f32[4], off the tape:                     {:.3} us", alone / OPS as f64 * 1e6);
}

/// The gradient of a batch: over a named axis, and with the batch as a dim of the operands.
fn batch(name: &str, sizes: &[usize], batch: usize) {
    let model = Mlp::init(sizes);
    let (xs, labels) = data(batch, sizes[0]);
    let (x, label) = (xs.unstack("batch", 0), labels.unstack("batch", 0));
    let mut named = || drop(black_box(grad(loss).reduce_axes(["batch"]).at((&model, &x, &label))));
    let mut positional = || drop(black_box(grad(loss).at((&model, &xs, &labels))));
    let [named, positional] = medians(30, [&mut named, &mut positional]);
    println!(
        "{name}, batch {batch}: total gradient over a named axis {:.3} ms, positional {:.3} ms, ratio {:.3}",
        named * 1e3,
        positional * 1e3,
        named / positional
    );
}

/// Peak memory of a total gradient and of per-example ones, as the batch grows.
fn memory(sizes: &[usize]) {
    let model = Mlp::init(sizes);
    let parameters: usize = model.leaves().iter().map(Tensor::len).sum();
    for batch in [64, 128, 256] {
        let (xs, labels) = data(batch, sizes[0]);
        let (x, label) = (xs.unstack("batch", 0), labels.unstack("batch", 0));
        let total = peak(|| drop(black_box(grad(loss).reduce_axes(["batch"]).at((&model, &x, &label)))));
        let each = peak(|| drop(black_box(grad(loss).at((&model, &x, &label)))));
        println!(
            "{parameters} parameters, batch {batch}: peak memory total {:.0} MB, per example {:.0} MB",
            total as f64 / 1e6,
            each as f64 / 1e6
        );
    }
}

/// How far memory rises above where it stands, in bytes; 0 where the system does not tell.
fn peak(run: impl FnOnce()) -> u64 {
    let status = |key: &str| {
        let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line =
            text.lines().find(|line| line.starts_with(key)).and_then(|line| line.split_whitespace().nth(1));
        line.and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    // Resets the high-water mark.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let before = status("VmRSS");
    run();
    status("VmHWM").saturating_sub(before)
}

fn main() {
    // `cargo bench` passes `--bench`; a name chooses what to run.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let runs: [(&str, &dyn Fn()); 4] = [
        ("node", &node),
        ("mlp", &|| batch("MLP 784-512-512-10", &[784, 512, 512, 10], 256)),
        ("small", &|| batch("MLP 64-128-10", &[64, 128, 10], 64)),
        ("memory", &|| memory(&[784, 512, 512, 10])),
    ];
    for (name, run) in runs {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            run();
        }
    }
}
