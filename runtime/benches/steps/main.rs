//! Training steps of the models that `scripts/bench --peers` also runs in other frameworks.
//!
//!     cargo bench -p axisgrad --bench steps                      # the medians of all of them
//!     cargo bench -p axisgrad --bench steps -- --help
//!
//! With a model to run it takes a few steps, prints a line of JSON with what other frameworks must find too, and then
//! for each line of standard input, a number of steps, a line with the milliseconds of each.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axisgrad::prelude::*;
use axisgrad::random::noisy_mean;
use clap::{Parser, ValueEnum};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;

mod models;
use models::{Task, cnn, mlp, transformer};

/// Training steps, timed.
#[derive(Parser)]
struct Args {
    /// The model; without one, the medians of all are printed
    model: Option<Model>,
    /// What a step is
    #[arg(long, default_value = "step")]
    kind: Kind,
    /// Examples in a batch, over all workers [default: the model's]
    #[arg(long)]
    batch: Option<usize>,
    /// Steps that are compared with others' before any is timed
    #[arg(long, default_value_t = 3)]
    checked: usize,
    /// Steps to time, instead of asking standard input
    #[arg(long)]
    steps: Option<usize>,
    /// Only write the initial model and the batch to this file (safetensors)
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// What `cargo bench` says
    #[arg(long, hide = true)]
    bench: bool,
    #[command(flatten)]
    mesh: MeshArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Model {
    /// 784-512-512-10, batch 256
    Mlp,
    /// 64-128-10, batch 64
    Small,
    /// 4 layers of width 128, context 128, batch 16
    Transformer,
    /// Two convolutions and two layers, batch 64
    Cnn,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Kind {
    /// The gradient of the mean, and an update
    Step,
    /// One gradient for each example
    PerExample,
    /// Gradients clipped example by example, their mean with noise, and an update
    Private,
}

/// The longest that one example's gradient may be in [`Kind::Private`].
const CLIP: f64 = 1.0;
/// The noise in it, in units of that.
const NOISE: f64 = 1.0;

/// What one step took, and what others must find too.
struct Outcome {
    seconds: f64,
    value: f64,
}

/// One step after another; in a checked one nothing is random and the value is computed.
type Step<'a> = Box<dyn FnMut(bool) -> Outcome + 'a>;

fn timed<T>(run: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let result = run();
    (start.elapsed().as_secs_f64(), result)
}

fn steps<'a, M: Tree + 'a>(w: &Worker, kind: Kind, task: Task<M>) -> Step<'a> {
    let Task { mut model, loss, mut update, x, y } = task;
    let batch = x.dim(0) as f64;
    let (x, y) = (w.unstack(&x, "batch"), w.unstack(&y, "batch"));
    let mean = move |model: &M, x: &Tensor, y: &Tensor| pmean(&loss(model, x, y), "batch");
    let mut key = w.key(2);
    Box::new(move |checked| match kind {
        Kind::Step => {
            let (seconds, value) = timed(|| {
                let (value, gradient) = value_and_grad(mean).reduce_axes(["batch"]).at((&model, &x, &y));
                update(&mut model, &gradient);
                f64::from(value.item::<f32>())
            });
            Outcome { seconds, value }
        }
        Kind::PerExample => {
            let (seconds, gradient) = timed(|| grad(loss).at((&model, &x, &y)));
            let value = if checked { squares(&gradient) } else { 0.0 };
            Outcome { seconds, value }
        }
        Kind::Private => {
            let value = if checked { f64::from(mean(&model, &x, &y).item::<f32>()) } else { 0.0 };
            key = key.fold_in(1);
            let noise = if checked { 0.0 } else { NOISE };
            let (seconds, ()) = timed(|| {
                let sum = clipped_grad(loss, CLIP).reduce_axes(["batch"]).at((&model, &x, &y));
                let mut keys = (0..).map(|leaf| key.fold_in(leaf));
                let gradient =
                    sum.map_leaves(|sum| noisy_mean(sum, keys.next().expect("a key"), noise * CLIP, batch));
                update(&mut model, &gradient);
            });
            Outcome { seconds, value }
        }
    })
}

/// The sum of the squares of all examples' gradients.
fn squares(gradients: &impl Tree) -> f64 {
    let of = |leaf: &Tensor| psum(&(leaf * leaf).sum(()), "batch").item::<f32>();
    gradients.leaves().iter().map(|leaf| f64::from(of(leaf))).sum()
}

/// A task to run, and the leaves of its model and its batch by name, as they are at first.
struct Ready<'a> {
    initial: Vec<(String, Tensor)>,
    step: Step<'a>,
}

fn ready<'a>(w: &Worker, model: Model, kind: Kind, batch: Option<usize>) -> Ready<'a> {
    match model {
        Model::Mlp => of_task(w, kind, mlp(&[784, 512, 512, 10], batch.unwrap_or(256))),
        Model::Small => of_task(w, kind, mlp(&[64, 128, 10], batch.unwrap_or(64))),
        Model::Transformer => of_task(w, kind, transformer(batch.unwrap_or(16))),
        Model::Cnn => of_task(w, kind, cnn(batch.unwrap_or(64))),
    }
}

fn of_task<'a, M: Tree + 'a>(w: &Worker, kind: Kind, task: Task<M>) -> Ready<'a> {
    let mut initial: Vec<_> = task.model.leaf_paths().into_iter().zip(task.model.leaves()).collect();
    initial.extend([("x".to_owned(), task.x.clone()), ("y".to_owned(), task.y.clone())]);
    Ready { initial, step: steps(w, kind, task) }
}

/// How many steps are to be run next: read by the first worker of a process, while the others sleep.
struct Requests {
    given: Option<usize>,
    next: AtomicUsize,
    all: Barrier,
}

impl Requests {
    fn new(given: Option<usize>, threads: usize) -> Self {
        Self { given, next: AtomicUsize::new(0), all: Barrier::new(threads) }
    }

    /// The number in round `round`; `None` at the end.
    fn next(&self, w: &Worker, round: usize) -> Option<usize> {
        if let Some(steps) = self.given {
            return (round == 0 && steps > 0).then_some(steps);
        }
        if w.thread() == 0 {
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).expect("standard input");
            self.next.store(line.trim().parse().unwrap_or(0), Ordering::SeqCst);
        }
        self.all.wait();
        let steps = self.next.load(Ordering::SeqCst);
        self.all.wait();
        (steps > 0).then_some(steps)
    }
}

fn serve(w: &Worker, args: &Args, model: Model, requests: &Requests) -> Result<()> {
    let say = |line: serde_json::Value| {
        if w.is_root() {
            println!("{line}");
        }
    };
    let Ready { initial, mut step } = ready(w, model, args.kind, args.batch);
    if let Some(file) = &args.write {
        save(file, &initial);
        return Ok(());
    }
    drop(initial);
    let before = memory("VmRSS");
    let values: Vec<f64> = (0..args.checked).map(|_| step(true).value).collect();
    say(json!({ "values": values, "before_mb": before }));
    for round in 0.. {
        let Some(count) = requests.next(w, round) else { break };
        let before = page_faults();
        let ms: Vec<f64> = (0..count).map(|_| step(false).seconds * 1e3).collect();
        let faults = (page_faults() - before) / count as f64;
        say(json!({ "ms": ms, "peak_mb": memory("VmHWM"), "page_faults_per_step": faults }));
    }
    Ok(())
}

/// What the system says of this process's memory, in MB; 0 where it does not.
fn memory(key: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|n| n.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) * 1024.0 / 1e6
}

/// How many pages of memory the system has had to bring to this process; 0 where it does not tell.
fn page_faults() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the program's name, which may be anything: proc_pid_stat(5), fields 10 and 12.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    [7, 9].iter().filter_map(|&i| fields.get(i)?.parse::<f64>().ok()).sum()
}

fn save(file: &Path, leaves: &[(String, Tensor)]) {
    let arrays: Vec<Array> = leaves.iter().map(|(_, leaf)| leaf.to_array()).collect();
    let buffers: Vec<_> = arrays.iter().map(Array::contiguous_buffer).collect();
    let views = leaves.iter().zip(&arrays).zip(&buffers).map(|(((name, _), array), buffer)| {
        let dtype = if array.dtype() == DType::F32 { Dtype::F32 } else { Dtype::I32 };
        (name, TensorView::new(dtype, array.dims().to_vec(), buffer.bytes()).expect("as many bytes"))
    });
    safetensors::serialize_to_file(views, None, file).expect("a file that can be written");
}

/// Medians of about a second of steps, here alone, and page faults once the pool has what a step needs.
fn show(w: &Worker) {
    use Model::{Cnn, Mlp, Small, Transformer};
    let all = [(Mlp, None), (Small, None), (Transformer, None), (Cnn, None)].map(|(m, b)| (m, Kind::Step, b));
    let one_by_one = [(Mlp, Some(64)), (Transformer, Some(16))];
    let kinds = [Kind::PerExample, Kind::Private];
    let more = kinds.into_iter().flat_map(|kind| one_by_one.map(|(model, batch)| (model, kind, batch)));
    for (model, kind, batch) in all.into_iter().chain(more) {
        let mut step = ready(w, model, kind, batch).step;
        for _ in 0..5 {
            step(false);
        }
        let (start, faults) = (Instant::now(), page_faults());
        let mut times = Vec::new();
        while times.len() < 5 || start.elapsed() < Duration::from_secs(1) {
            times.push(step(false).seconds);
        }
        times.sort_by(f64::total_cmp);
        let faults = (page_faults() - faults) / times.len() as f64;
        let median = times[times.len() / 2] * 1e3;
        println!("{model:?}, {kind:?}: {median:.3} ms, {faults:.2} page faults a step");
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let Some(model) = args.model else {
        return Mesh::builder().axes(["batch"]).threads(1).build()?.run(|w| {
            show(w);
            Ok::<_, axisgrad::Error>(())
        });
    };
    let mesh = args.mesh.mesh(["batch"])?;
    let requests = Requests::new(args.steps, mesh.shape().threads());
    mesh.run(|w| serve(w, &args, model, &requests))
}
