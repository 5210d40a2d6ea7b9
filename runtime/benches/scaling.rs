//! One step of training over more and more workers: measured, and predicted from one worker by a model of its cost.
//!
//!     scripts/bench scaling
//!     cargo bench -p axisgrad --features mpi --bench scaling
//!
//! The model: a step takes a worker a fixed time and a time for each of its examples; workers that have no core of
//! their own share one; the gradient's sum takes a latency, and a time for each byte. All of it is measured in the same
//! run: the first two on one worker, the others by all-reduces of two sizes.

use std::process::{Command, ExitCode};
use std::time::Instant;

use axisgrad::nn::Linear;
use axisgrad::optim::sgd;
use axisgrad::prelude::*;
use axisgrad::random::normal;
use axisgrad_collectives::{Call, MeshBuilder, Reduction};

/// Rounds, in which everything is measured in turn.
const ROUNDS: usize = 11;
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

/// Seconds of a step over `batch` examples on all workers of the mesh.
fn step(mesh: &Mesh, job: &Job, batch: usize) -> Result<f64> {
    step_on(usize::MAX, mesh, job, batch)
}

/// The same on so many threads of each rank, while the others have nothing to do.
fn step_on(threads: usize, mesh: &Mesh, job: &Job, batch: usize) -> Result<f64> {
    mesh.run(|w| {
        if w.thread() >= threads {
            return Ok(0.0);
        }
        let mut model = job.model(w.key(0));
        let x = normal(w.key(1), DType::F32, &[batch, job.sizes[0]]);
        let label = normal(w.key(2), DType::F32, &[batch, 10]).argmax(1);
        let (x, label) = (w.unstack(&x, "batch"), w.unstack(&label, "batch"));
        let gradient = grad(loss).reduce_axes(["batch"]);
        let optimizer = sgd(1e-3);
        per_run(job.repeats, || {
            let gradient = gradient.at((&model, &x, &label));
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

/// Measures a job on one worker and on these places, in turn; prints the table where `speaks`.
fn measure(job: &Job, one: Option<&Mesh>, places: &[Place], speaks: bool) -> Result<()> {
    let mut alone = [const { Vec::new() }; 2];
    let mut times: Vec<Times> = places.iter().map(|_| Times::default()).collect();
    for _ in 0..ROUNDS {
        if let Some(one) = one {
            alone[0].push(step_on(1, one, job, job.batch)?);
            alone[1].push(step_on(1, one, job, job.batch / 2)?);
        }
        for (place, times) in places.iter().zip(&mut times) {
            times.strong.push(step(&place.mesh, job, job.batch)?);
            times.weak.push(step(&place.mesh, job, job.batch * place.workers)?);
            for (bytes, times) in BYTES.into_iter().zip(&mut times.sums) {
                times.push(all_reduce(&place.mesh, bytes)?);
            }
        }
    }
    if speaks {
        let [whole, half] = [&alone[0], &alone[1]].map(|times| median(times));
        let example = (whole - half) / (job.batch / 2) as f64;
        show(job, Compute { fixed: whole - example * job.batch as f64, example }, places, &times);
    }
    Ok(())
}

/// Two workers that know nothing of each other, and have a core each: alone along the batch. One of them is one worker;
/// the kernels of a mesh of one would use all cores.
fn apart() -> MeshBuilder {
    Mesh::builder().axis("batch", 1).axis("apart", 2).threads(2)
}

/// The most that weak scaling can give here: both of them, beside one.
fn ceiling(job: &Job, apart: &Mesh) -> Result<()> {
    let (mut alone, mut both) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(step_on(1, apart, job, job.batch)?);
        both.push(step(apart, job, job.batch)?);
    }
    let (alone, both) = (median(&alone), median(&both));
    println!(
        "\n{}: {:.3} ms alone, {:.3} ms each of two that know nothing of each other: at most {:.0} %",
        job.name,
        alone * 1e3,
        both * 1e3,
        100.0 * alone / both
    );
    Ok(())
}

/// Cores for all workers: a rank that is pinned sees its own alone, and is told by who started it.
fn cores() -> f64 {
    let told =
        std::env::args().skip_while(|arg| arg != "--ranks").nth(1).and_then(|cores| cores.parse().ok());
    told.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)) as f64
}

fn show(job: &Job, one: Compute, places: &[Place], times: &[Times]) {
    let cores = cores();
    let alone = one.fixed + one.example * job.batch as f64;
    println!(
        "\n{}: {:.3} ms on one worker, of it {:.3} whatever the batch; {} KB of gradients\n",
        job.name,
        alone * 1e3,
        one.fixed * 1e3,
        job.bytes() / 1000
    );
    println!(
        "| workers | latency, µs | GB/s | same batch: ms, model, speed-up | batch times workers: ms, model, efficiency |"
    );
    println!("|---|---|---|---|---|");
    for (place, times) in places.iter().zip(times) {
        let workers = place.workers as f64;
        let crowd = (workers / cores).max(1.0);
        let [latency, large] = [&times.sums[0], &times.sums[1]].map(|times| median(times));
        let byte = (large - latency) / (BYTES[1] - BYTES[0]) as f64;
        // The loss is summed too, on its own.
        let sum = 2.0 * latency + byte * job.bytes() as f64;
        let model = |examples: f64| crowd * (one.fixed + one.example * examples) + sum;
        let (strong, weak) = (median(&times.strong), median(&times.weak));
        println!(
            "| {} | {:.1} | {:.1} | {:.3}, {:.3}, {:.2} | {:.3}, {:.3}, {:.0} % |",
            place.workers,
            latency * 1e6,
            1e-9 / byte,
            strong * 1e3,
            model(job.batch as f64 / workers) * 1e3,
            alone / strong,
            weak * 1e3,
            model(job.batch as f64) * 1e3,
            100.0 * alone * crowd / weak
        );
    }
}

fn threads(workers: usize) -> Result<Place> {
    let mesh = Mesh::builder().axis("batch", workers).threads(workers).build()?;
    Ok(Place { workers, mesh })
}

/// Under `mpirun`: one worker on each rank.
fn on_ranks() -> Result<()> {
    let mesh = Mesh::builder().axes(["batch"]).threads(1).build()?;
    let root = mesh.run(|w| -> Result<bool> { Ok(w.is_root()) })?;
    let place = Place { workers: mesh.shape().workers(), mesh };
    // One worker that is no rank, while the others wait.
    let alone = || apart().simulated_ranks(1).build();
    let one = root.then(alone).transpose()?;
    JOBS.iter().try_for_each(|job| measure(job, one.as_ref(), std::slice::from_ref(&place), root))
}

fn on_threads() -> Result<()> {
    let one = apart().build()?;
    let places = [2, 3, 4, 8].into_iter().map(threads).collect::<Result<Vec<_>>>()?;
    JOBS.iter().try_for_each(|job| ceiling(job, &one))?;
    JOBS.iter().try_for_each(|job| measure(job, Some(&one), &places, true))
}

fn main() -> Result<ExitCode> {
    if std::env::args().any(|arg| arg == "--ranks") {
        on_ranks()?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("threads of one process");
    on_threads()?;
    if !cfg!(feature = "mpi") {
        println!("\nbuilt without MPI: no ranks are measured");
        return Ok(ExitCode::SUCCESS);
    }
    let program = std::env::current_exe()?;
    for ranks in ["2", "3", "4", "8"] {
        println!("\n{ranks} ranks of one machine");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/mpirun");
        let mut run = Command::new(script);
        if !run
            .args(["-n", ranks, "--bin"])
            .arg(&program)
            .args(["--", "--ranks", &cores().to_string()])
            .status()?
            .success()
        {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
