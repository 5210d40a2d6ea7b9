//! What the engine costs: the tape for each node, and named axes against a hand-written batch dim.
//!
//!     scripts/bench
//!     cargo bench -p axisgrad --bench engine -- node mlp small memory checkpoint norms

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
    // Forward evaluates one such op, and backward another.
    println!(
        "what the tape adds to the two ops:                      {:.3} us",
        (both - 2.0 * alone) / OPS as f64 * 1e6
    );
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

/// A deep network of blocks, each of which backward may run again instead of keeping what is inside.
fn deep(light: bool) -> u64 {
    const WIDTH: usize = 256;
    const BLOCKS: usize = 6;
    const LAYERS: usize = 6;
    const BATCH: usize = 2048;
    type Block = Vec<Linear>;
    let blocks: Vec<Block> = vec![Mlp::init(&[WIDTH; LAYERS + 1]).layers; BLOCKS];
    let block = |layers: &Block, x: &Tensor| layers.iter().fold(x.clone(), |x, layer| layer.apply(&x).relu());
    let again = checkpoint(block);
    let loss = |blocks: &Vec<Block>, x: &Tensor| {
        let run = |x: Tensor, layers| if light { again.at((layers, &x)) } else { block(layers, &x) };
        blocks.iter().fold(x.clone(), run).sum(())
    };
    let x = data(BATCH, WIDTH).0.unstack("batch", 0);
    peak(|| drop(black_box(grad(loss).reduce_axes(["batch"]).at((&blocks, &x)))))
}

/// The norms of per-example gradients: as a total gradient, or from the gradients themselves.
fn norms(gradients: bool) -> u64 {
    let sizes = [784, 512, 512, 10];
    let (model, (xs, labels)) = (Mlp::init(&sizes), data(128, sizes[0]));
    let (x, label) = (xs.unstack("batch", 0), labels.unstack("batch", 0));
    peak(|| match gradients {
        true => {
            let each = grad(loss).at((&model, &x, &label));
            drop(black_box(each.map_leaves(|g| (g * g).sum(()).sqrt())));
        }
        false => drop(black_box(grad_norms(loss).at((&model, &x, &label)))),
    })
}

/// A gradient clipped example by example, and summed; and the plain sum.
fn clipped(clip: bool) -> u64 {
    let sizes = [784, 512, 512, 10];
    let (model, (xs, labels)) = (Mlp::init(&sizes), data(128, sizes[0]));
    let (x, label) = (xs.unstack("batch", 0), labels.unstack("batch", 0));
    peak(|| match clip {
        true => drop(black_box(clipped_grad(loss, 1.0).reduce_axes(["batch"]).at((&model, &x, &label)))),
        false => drop(black_box(grad(loss).reduce_axes(["batch"]).at((&model, &x, &label)))),
    })
}

/// Peak memory of two ways, each in a process of its own, since the pool of buffers keeps what it once had.
fn both_peaks(what: &str, [(first, one), (second, other)]: [(&str, &str); 2]) {
    let megabytes = |run: &str| {
        let program = std::env::current_exe().expect("this program");
        let output = std::process::Command::new(program).arg(run).output().expect("it runs");
        let bytes: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number of bytes");
        bytes / 1e6
    };
    println!("{what}: peak memory {first} {:.0} MB, {second} {:.0} MB", megabytes(one), megabytes(other));
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
    let one: [(&str, &dyn Fn() -> u64); 6] = [
        ("deep-plain", &|| deep(false)),
        ("deep-checkpoint", &|| deep(true)),
        ("norms-gradients", &|| norms(true)),
        ("norms-alone", &|| norms(false)),
        ("clipped-sum", &|| clipped(true)),
        ("plain-sum", &|| clipped(false)),
    ];
    if let [wanted] = &wanted[..]
        && let Some((_, run)) = one.iter().find(|(name, _)| name == wanted)
    {
        return println!("{}", run());
    }
    let runs: [(&str, &dyn Fn()); 6] = [
        ("node", &node),
        ("mlp", &|| batch("MLP 784-512-512-10", &[784, 512, 512, 10], 256)),
        ("small", &|| batch("MLP 64-128-10", &[64, 128, 10], 64)),
        ("memory", &|| memory(&[784, 512, 512, 10])),
        ("checkpoint", &|| {
            let ways = [("without", "deep-plain"), ("with checkpoint", "deep-checkpoint")];
            both_peaks("36 layers of 256, batch 2048, in blocks of 6", ways);
        }),
        ("norms", &|| {
            let ways = [("of the gradients", "norms-gradients"), ("without them", "norms-alone")];
            both_peaks("norms of 128 per-example gradients, MLP 784-512-512-10", ways);
            let ways = [("clipped", "clipped-sum"), ("plain", "plain-sum")];
            both_peaks("sum of 128 per-example gradients, MLP 784-512-512-10", ways);
        }),
    ];
    for (name, run) in runs {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            run();
        }
    }
}
