//! Gradients that travel while backward still runs: how much of their way is hidden, and a timeline of one step.
//!
//!     scripts/bench overlap
//!     cargo bench -p axisgrad --bench overlap
//!
//! Two ranks, played by threads: on one machine, where they share memory, and with a wire of 2 Gbit/s between them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axisgrad::nn::Linear;
use axisgrad::prelude::*;
use axisgrad::random::normal;
use axisgrad_collectives::{Call, Reduction};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Layers of `WIDTH` to `WIDTH`: a mebibyte of gradients each.
const LAYERS: usize = 12;
const WIDTH: usize = 512;
const BATCH: usize = 512;
const STEPS: usize = 5;
/// Columns of the timeline.
const COLUMNS: usize = 72;

// A `Vec` is a tree, a slice is none.
#[allow(clippy::ptr_arg)]
fn loss(model: &Vec<Linear>, x: &Tensor) -> Tensor {
    let out = model.iter().fold(x.clone(), |x, layer| layer.apply(&x).tanh());
    pmean(&(&out * &out).sum(()), "batch")
}

/// The fewest seconds of a step on worker 0 of this mesh.
fn step(mesh: &Mesh, batch: usize) -> Result<f64> {
    mesh.run(|w| {
        let keys = w.key(0).split(LAYERS);
        let model: Vec<Linear> = keys.into_iter().map(|key| Linear::init(key, WIDTH, WIDTH)).collect();
        let x = w.unstack(&normal(w.key(1), DType::F32, &[batch, WIDTH]), "batch");
        let gradient = grad(loss).reduce_axes(["batch"]);
        best(|| drop(gradient.at((&model, &x))))
    })
}

/// The fewest seconds of the sums of all gradients, a weight's by itself, with nothing to compute.
fn sums(mesh: &Mesh) -> Result<f64> {
    mesh.run(|w| {
        let (group, call) = (w.group(&["batch"])?, Call::here("psum"));
        let mine = w.pool().zeroed::<f32>(WIDTH * WIDTH).freeze();
        best(|| {
            for _ in 0..LAYERS {
                let sum = group.all_reduce::<f32>(&call, Reduction::Sum, mine.clone());
                drop(sum.expect("a sum"));
            }
        })
    })
}

fn best(mut run: impl FnMut()) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..STEPS {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// What worker 0 does when: name, start and end.
#[derive(Clone, Default)]
struct Recording(Arc<Mutex<Vec<Line>>>);

struct Line {
    key: u64,
    name: String,
    start: Instant,
    end: Option<Instant>,
}

/// The fields of an event that matter here.
#[derive(Default)]
struct Fields {
    worker: u64,
    number: Option<u64>,
    bytes: u64,
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "worker" => self.worker = value,
            "number" => self.number = Some(value),
            "bytes" => self.bytes = value,
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Recording {
    fn begin(&self, key: u64, name: String) {
        self.0.lock().expect("lines").push(Line { key, name, start: Instant::now(), end: None });
    }

    fn end(&self, key: u64) {
        let mut lines = self.0.lock().expect("lines");
        if let Some(line) = lines.iter_mut().rev().find(|line| line.key == key && line.end.is_none()) {
            line.end = Some(Instant::now());
        }
    }

    /// The lines since the last forward pass began.
    fn show(&self) {
        let lines = self.0.lock().expect("lines");
        let Some(first) = lines.iter().rposition(|line| line.name == "forward") else { return };
        let lines = &lines[first..];
        let start = lines[0].start;
        let end = lines.iter().filter_map(|line| line.end).max().unwrap_or(start);
        let column = |at: Instant| {
            ((at - start).as_secs_f64() / (end - start).as_secs_f64() * COLUMNS as f64) as usize
        };
        for line in lines {
            let until = line.end.unwrap_or(end);
            let (from, to) = (column(line.start), column(until).max(column(line.start) + 1));
            let ms = |at: Instant| (at - start).as_secs_f64() * 1e3;
            println!(
                "{:>16} {}{:width$} {:6.1} to {:6.1} ms",
                line.name,
                " ".repeat(from) + &"#".repeat(to - from),
                "",
                ms(line.start),
                ms(until),
                width = COLUMNS + 1 - to.min(COLUMNS + 1)
            );
        }
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Recording {
    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let name = span.metadata().name();
        let mine = std::thread::current().name().is_none_or(|name| name == "main");
        if mine && matches!(name, "forward" | "backward") {
            self.begin(id.into_u64() << 32, name.into());
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        self.end(id.into_u64() << 32);
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        match (event.metadata().target(), fields) {
            ("axisgrad::collective", Fields { worker: 0, number: Some(number), bytes }) => {
                self.begin(number, format!("psum {:.1} MB", bytes as f64 / 1e6));
            }
            ("axisgrad::done", Fields { worker: 0, number: Some(number), .. }) => self.end(number),
            _ => {}
        }
    }
}

fn compare(name: &str, mesh: &Mesh, alone: f64, recording: &Recording) -> Result<()> {
    let (sums, step) = (sums(mesh)?, step(mesh, BATCH)?);
    let hidden = (alone + sums - step) / sums * 100.0;
    println!("\n{name}");
    println!(
        "   compute {:.1} ms, sums {:.1} ms, both {:.1} ms: {hidden:.0} % hidden\n",
        alone * 1e3,
        sums * 1e3,
        step * 1e3
    );
    recording.show();
    Ok(())
}

fn main() -> Result<()> {
    let recording = Recording::default();
    let filter = tracing_subscriber::filter::Targets::new().with_target("axisgrad", tracing::Level::DEBUG);
    let layers = tracing_subscriber::registry().with(recording.clone().with_filter(filter));
    tracing::subscriber::set_global_default(layers).expect("the first subscriber");
    // Two workers that compute as much each at the same time, and have nothing to say to each other.
    let apart = Mesh::builder().axis("twin", 2).axis("batch", 1).threads(1).simulated_ranks(2);
    let alone = step(&apart.build()?, BATCH / 2)?;
    let ranks = || Mesh::builder().axis("batch", 2).threads(1).simulated_ranks(2);
    compare("one machine", &ranks().build()?, alone, &recording)?;
    let wire = ranks().simulated_network(Duration::from_micros(50), 250e6).build()?;
    compare("a wire of 2 Gbit/s", &wire, alone, &recording)
}
