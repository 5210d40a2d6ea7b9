//! What a training step takes from the system: nothing, once it has been made a few times, and not much before.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use axisgrad::nn::{Embedding, Linear, TransformerBlock};
use axisgrad::optim::adamw;
use axisgrad::prelude::*;
use axisgrad::random::{Key, randint};

const LETTERS: usize = 40;
const WIDTH: usize = 32;
const CONTEXT: usize = 24;
const BATCH: usize = 16;
const LAYERS: usize = 6;

#[derive(Clone, Tree)]
struct Model {
    letters: Embedding,
    blocks: Vec<TransformerBlock>,
    out: Linear,
}

impl Model {
    fn init() -> Self {
        let [letters, blocks, out] = Key::new(0).split(3)[..] else { unreachable!("three keys") };
        let block = |i| TransformerBlock::init(blocks.fold_in(i), WIDTH, 4).causal();
        Self {
            letters: Embedding::init(letters, LETTERS, WIDTH),
            blocks: (0..LAYERS as u32).map(block).collect(),
            out: Linear::init(out, WIDTH, LETTERS),
        }
    }

    fn loss(&self, text: &Tensor, next: &Tensor) -> Tensor {
        let x = self.blocks.iter().fold(self.letters.apply(text), |x, block| block.apply(&x, None));
        pmean(&cross_entropy(&self.out.apply(&x), next).mean(()), "batch")
    }
}

/// The system's allocator, and what it has given out.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator keeps the promises.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that the process holds after each step of the first worker.
fn after_each_step(threads: usize) -> Vec<usize> {
    let mesh = Mesh::builder().axes(["batch"]).threads(threads).build().expect("a mesh");
    let run = |w: &Worker| -> axisgrad::Result<Vec<usize>> {
        let mut model = Model::init();
        let mut optimizer = adamw(1e-3).init(&model);
        let text = randint(w.key(1), 0..LETTERS as i64, DType::I32, &[BATCH, CONTEXT + 1]);
        let x = w.unstack(&text.slice(1, ..CONTEXT), "batch");
        let y = w.unstack(&text.slice(1, 1..), "batch");
        let step = || {
            let gradient = grad(Model::loss).reduce_axes(["batch"]).at((&model, &x, &y));
            optimizer.update(&mut model, &gradient);
            HELD.load(Ordering::Relaxed)
        };
        Ok(std::iter::repeat_with(step).take(12).collect())
    };
    mesh.run(run).expect("twelve steps")
}

/// What backward needs of a block, in widths for each letter: its input, two normalised ones, queries, keys and values, what
/// attention gives, two sums, and, four widths each, what goes into the activation and what comes out.
const KEPT: usize = 17;
/// The model, its gradient, two moments, and the model that it becomes.
const COPIES: usize = 5;

#[test]
fn a_step_holds_what_it_needs_and_a_steady_one_takes_no_more() {
    let elements: usize = Model::init().leaves().iter().map(Tensor::len).sum();
    // Workers free each other's memory, sooner or later.
    for (workers, halves) in [(1, 3), (2, 4)] {
        let held = after_each_step(workers);
        let needed = LAYERS * BATCH * CONTEXT * WIDTH * KEPT + workers * COPIES * elements;
        let bytes = needed * size_of::<f32>();
        assert!(held[11] <= bytes * halves / 2, "{workers} workers hold {held:?}, and need {bytes}");
        assert!(workers > 1 || held[11] <= held[5] + held[5] / 20, "it goes on taking: {held:?}");
    }
}
