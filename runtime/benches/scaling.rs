//! One step of training over more and more workers: measured, and predicted from one worker by a model of its cost.
//!
//!     scripts/bench scaling
//!     cargo bench -p axisgrad --features mpi --bench scaling
//!     cargo bench -p axisgrad --features mpi --bench scaling -- --out "$PWD/target/scaling.jsonl"
//!
//! The example `plot_scaling` draws what `--out` writes.
//!
//! The model: a step takes a worker a fixed time and a time for each of its examples; workers that have no core of
//! their own share one; the gradient's sum takes a latency, and a time for each byte. All of it is measured in the same
//! run: the first two on one worker, the others by all-reduces of two sizes.

use std::fs::File;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use axisgrad::nn::Linear;
use axisgrad::optim::sgd;
use axisgrad::prelude::*;
use axisgrad::random::normal;
use axisgrad_collectives::{Call, MeshBuilder, Reduction};
use clap::Parser;
use serde::Serialize;

/// Training steps on more and more workers.
#[derive(Parser)]
struct Args {
    /// Rounds, in which everything is measured in turn
    #[arg(long, default_value = "11")]
    rounds: NonZeroUsize,
    /// Also write the rows of the tables to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// As one of the ranks of a machine with so many cores: one that is pinned sees its own alone
    #[arg(long, hide = true, value_name = "CORES")]
    ranks: Option<usize>,
    /// What `cargo bench` says
    #[arg(long, hide = true)]
    bench: bool,
}

/// Sizes of the all-reduces that show latency and bandwidth.
const BYTES: [usize; 2] = [256, 2 << 20];

/// A model, by its sizes, and its batch.
struct Job {
    name: &'static str,
    sizes: &'static [usize],
    batch: usize,
    repeats: usize,
}

const JOBS: [Job; 2] = [
    Job { name: "MLP 784-512-512-10, batch 256", sizes: &[784, 512, 512, 10], batch: 256, repeats: 4 },
    Job { name: "digits 64-128-64-10, batch 64", sizes: &[64, 128, 64, 10], batch: 64, repeats: 300 },
];

impl Job {
    /// Of all parameters, and so of a gradient.
    fn bytes(&self) -> usize {
        self.sizes.windows(2).map(|s| (s[0] + 1) * s[1] * 4).sum()
    }

    fn model(&self, key: Key) -> Vec<Linear> {
        let keys = key.split(self.sizes.len() - 1);
        self.sizes.windows(2).zip(keys).map(|(s, key)| Linear::init(key, s[0], s[1])).collect()
    }
}

// A `Vec` is a tree, a slice is none.
#[allow(clippy::ptr_arg)]
fn loss(model: &Vec<Linear>, x: &Tensor, label: &Tensor) -> Tensor {
    let (last, hidden) = model.split_last().expect("a layer");
    let hidden = hidden.iter().fold(x.clone(), |x, layer| layer.apply(&x).relu());
    pmean(&cross_entropy(&last.apply(&hidden), label), "batch")
}

/// Who takes steps.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    /// One thread of each rank, while the others have nothing to do.
    One,
    All,
    /// All, who wait for each other before each update.
    AllInStep,
}

/// Seconds of a step over `batch` examples on the workers of the mesh.
fn step(who: Who, mesh: &Mesh, job: &Job, batch: usize) -> Result<f64> {
    mesh.run(|w| {
        if who == Who::One && w.thread() > 0 {
            return Ok(0.0);
        }
        let axes: Vec<&str> = w.axes().iter().map(|(name, _)| &**name).collect();
        let all = if who == Who::AllInStep { Some(w.group(&axes)?) } else { None };
        let mut model = job.model(w.key(0));
        let x = normal(w.key(1), DType::F32, &[batch, job.sizes[0]]);
        let label = normal(w.key(2), DType::F32, &[batch, 10]).argmax(1);
        let (x, label) = (w.unstack(&x, "batch"), w.unstack(&label, "batch"));
        let gradient = grad(loss).reduce_axes(["batch"]);
        let optimizer = sgd(1e-3);
        per_run(job.repeats, || {
            let gradient = gradient.at((&model, &x, &label));
            if let Some(all) = &all {
                all.barrier(&Call::here("barrier")).expect("all come");
            }
            optimizer.update(&mut model, &gradient);
        })
    })
}

/// Seconds of an all-reduce over all workers of the mesh.
fn all_reduce(mesh: &Mesh, bytes: usize) -> Result<f64> {
    mesh.run(|w| {
        let group = w.group(&["batch"])?;
        let mine = w.pool().zeroed::<f32>(bytes / 4).freeze();
        let repeats = (4 << 20) / (bytes + 20_000) + 1;
        per_run(repeats, || {
            let sum = group.all_reduce::<f32>(&Call::here("psum"), Reduction::Sum, mine.clone());
            drop(sum.expect("a sum"));
        })
    })
}

/// Seconds of one of so many runs, after some that warm up.
fn per_run(repeats: usize, mut run: impl FnMut()) -> Result<f64> {
    (0..2 + repeats / 10).for_each(|_| run());
    let start = Instant::now();
    (0..repeats).for_each(|_| run());
    Ok(start.elapsed().as_secs_f64() / repeats as f64)
}

/// So many workers on one machine.
struct Place {
    workers: usize,
    mesh: Mesh,
}

/// What is measured on a place in every round: the job's batch, as many times that as there are workers, and the sums.
#[derive(Default)]
struct Times {
    strong: Vec<f64>,
    weak: Vec<f64>,
    sums: [Vec<f64>; 2],
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// On one worker: seconds of a step with no example, and of each example.
struct Compute {
    fixed: f64,
    example: f64,
}

impl Compute {
    fn step(&self, examples: f64) -> f64 {
        self.fixed + self.example * examples
    }
}

/// A row of a table; all times in seconds.
#[derive(Serialize)]
struct Row {
    job: &'static str,
    /// What workers are.
    kind: &'static str,
    workers: usize,
    /// Workers for each core.
    crowd: f64,
    /// A step on one worker.
    alone: f64,
    latency: f64,
    /// What a byte adds to the latency.
    byte: f64,
    /// The same batch, and what it gains: the speed-up.
    strong: Found,
    /// As many times the batch, and what is kept of one worker's speed: the efficiency.
    weak: Found,
}

/// A step, measured and predicted.
#[derive(Serialize)]
struct Found {
    seconds: f64,
    model: f64,
    ratio: f64,
    model_ratio: f64,
}

impl Found {
    /// Beside the time of an ideal step, for a ratio of 1.
    fn new(ideal: f64, seconds: f64, model: f64) -> Self {
        Self { seconds, model, ratio: ideal / seconds, model_ratio: ideal / model }
    }
}

impl Args {
    /// Measures a job on one worker and on these places, in turn; says what was found where `one` is.
    fn measure(&self, job: &Job, one: Option<&Mesh>, places: &[Place]) -> Result<()> {
        let mut alone = [const { Vec::new() }; 2];
        let mut times: Vec<Times> = places.iter().map(|_| Times::default()).collect();
        for _ in 0..self.rounds.get() {
            if let Some(one) = one {
                alone[0].push(step(Who::One, one, job, job.batch)?);
                alone[1].push(step(Who::One, one, job, job.batch / 2)?);
            }
            for (place, times) in places.iter().zip(&mut times) {
                times.strong.push(step(Who::All, &place.mesh, job, job.batch)?);
                times.weak.push(step(Who::All, &place.mesh, job, job.batch * place.workers)?);
                for (bytes, times) in BYTES.into_iter().zip(&mut times.sums) {
                    times.push(all_reduce(&place.mesh, bytes)?);
                }
            }
        }
        if one.is_none() {
            return Ok(());
        }
        let [whole, half] = [&alone[0], &alone[1]].map(|times| median(times));
        let example = (whole - half) / (job.batch / 2) as f64;
        let one = Compute { fixed: whole - example * job.batch as f64, example };
        let rows: Vec<Row> =
            places.iter().zip(&times).map(|(place, times)| self.row(job, &one, place, times)).collect();
        show(job, &one, &rows);
        self.write(&rows)
    }

    fn row(&self, job: &Job, one: &Compute, place: &Place, times: &Times) -> Row {
        let workers = place.workers as f64;
        let crowd = (workers / self.cores() as f64).max(1.0);
        let alone = one.step(job.batch as f64);
        let [latency, large] = [&times.sums[0], &times.sums[1]].map(|times| median(times));
        let byte = (large - latency) / (BYTES[1] - BYTES[0]) as f64;
        // The loss is summed too, on its own.
        let sum = 2.0 * latency + byte * job.bytes() as f64;
        let model = |examples: f64| crowd * one.step(examples) + sum;
        Row {
            job: job.name,
            kind: if self.ranks.is_some() { "ranks" } else { "threads" },
            workers: place.workers,
            crowd,
            alone,
            latency,
            byte,
            strong: Found::new(alone, median(&times.strong), model(job.batch as f64 / workers)),
            weak: Found::new(alone * crowd, median(&times.weak), model(job.batch as f64)),
        }
    }

    /// Adds rows to the file, which the ranks of one run and its threads share.
    fn write(&self, rows: &[Row]) -> Result<()> {
        let Some(path) = &self.out else { return Ok(()) };
        let mut file = File::options().append(true).open(path)?;
        for row in rows {
            serde_json::to_writer(&mut file, row).map_err(std::io::Error::from)?;
            writeln!(file)?;
        }
        Ok(())
    }

    /// Two workers that sum nothing beside one: the most that weak scaling can give here.
    fn ceiling(&self, job: &Job, apart: &Mesh) -> Result<()> {
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..self.rounds.get() {
            for (who, times) in [Who::One, Who::All, Who::AllInStep].into_iter().zip(&mut times) {
                times.push(step(who, apart, job, job.batch)?);
            }
        }
        let [alone, both, in_step] = times.map(|times| median(&times));
        let shown = |time: f64| format!("{:.3} ms, at most {:.0} %", time * 1e3, 100.0 * alone / time);
        println!(
            "\n{}: {:.3} ms alone; each of two that know nothing of each other: {}; of two that wait for each other: {}",
            job.name,
            alone * 1e3,
            shown(both),
            shown(in_step)
        );
        Ok(())
    }

    /// Cores for all workers.
    fn cores(&self) -> usize {
        self.ranks.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// Under `mpirun`: one worker on each rank.
    fn on_ranks(&self) -> Result<()> {
        let mesh = Mesh::builder().axes(["batch"]).threads(1).build()?;
        let root = mesh.run(|w| -> Result<bool> { Ok(w.is_root()) })?;
        let place = Place { workers: mesh.shape().workers(), mesh };
        // One worker that is no rank, while the others wait.
        let alone = || apart().simulated_ranks(1).build();
        let one = root.then(alone).transpose()?;
        JOBS.iter().try_for_each(|job| self.measure(job, one.as_ref(), std::slice::from_ref(&place)))
    }

    fn on_threads(&self) -> Result<()> {
        let one = apart().build()?;
        let places = [2, 3, 4, 8].into_iter().map(threads).collect::<Result<Vec<_>>>()?;
        JOBS.iter().try_for_each(|job| self.ceiling(job, &one))?;
        JOBS.iter().try_for_each(|job| self.measure(job, Some(&one), &places))
    }

    /// This program on so many ranks, which add their rows to the same file.
    fn start_ranks(&self, ranks: &str) -> Result<bool> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/mpirun");
        let mut run = Command::new(script);
        run.args(["-n", ranks, "--bin"]).arg(std::env::current_exe()?);
        run.args(["--", "--ranks", &self.cores().to_string(), "--rounds", &self.rounds.to_string()]);
        if let Some(out) = &self.out {
            run.arg("--out").arg(std::path::absolute(out)?);
        }
        Ok(run.status()?.success())
    }
}

/// Two workers that know nothing of each other, and have a core each: alone along the batch. One of them is one worker;
/// the kernels of a mesh of one would use all cores.
fn apart() -> MeshBuilder {
    Mesh::builder().axis("batch", 1).axis("apart", 2).threads(2)
}

fn show(job: &Job, one: &Compute, rows: &[Row]) {
    println!(
        "\n{}: {:.3} ms on one worker, of it {:.3} whatever the batch; {} KB of gradients\n",
        job.name,
        one.step(job.batch as f64) * 1e3,
        one.fixed * 1e3,
        job.bytes() / 1000
    );
    println!(
        "| workers | latency, µs | GB/s | same batch: ms, model, speed-up | batch times workers: ms, model, efficiency |"
    );
    println!("|---|---|---|---|---|");
    for row in rows {
        let (strong, weak) = (&row.strong, &row.weak);
        println!(
            "| {} | {:.1} | {:.1} | {:.3}, {:.3}, {:.2} | {:.3}, {:.3}, {:.0} % |",
            row.workers,
            row.latency * 1e6,
            1e-9 / row.byte,
            strong.seconds * 1e3,
            strong.model * 1e3,
            strong.ratio,
            weak.seconds * 1e3,
            weak.model * 1e3,
            100.0 * weak.ratio
        );
    }
}

fn threads(workers: usize) -> Result<Place> {
    let mesh = Mesh::builder().axis("batch", workers).threads(workers).build()?;
    Ok(Place { workers, mesh })
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if args.ranks.is_some() {
        args.on_ranks()?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(out) = &args.out {
        File::create(out)?;
    }
    println!("threads of one process");
    args.on_threads()?;
    if !cfg!(feature = "mpi") {
        println!("\nbuilt without MPI: no ranks are measured");
        return Ok(ExitCode::SUCCESS);
    }
    for ranks in ["2", "3", "4", "8"] {
        println!("\n{ranks} ranks of one machine");
        if !args.start_ranks(ranks)? {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
