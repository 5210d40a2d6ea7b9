//! What collectives among two threads of one process take, and among ranks that threads play, all on the cores of this
//! machine: 1,000 calls in a row, so that a column in ms reads as µs for each, and the start of the workers, which is in it.
//!
//!     scripts/bench latency
//!     cargo bench -p axisgrad-collectives --bench latency
//!
//! The bench `collectives` has more sizes, more workers, and ranks beside MPI's own.

use std::hint::spin_loop;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{scope, yield_now};
use std::time::Duration;

use axisgrad_collectives::{Call, Error, Group, Mesh, MeshBuilder, Pool, Reduction};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

const CALLS: usize = 1000;
/// Enough for the start of a thread not to count.
const TRIPS: usize = 10_000;

fn main() {
    divan::main();
}

fn among_two(bencher: Bencher, calls: usize, call: impl Fn(&Group) -> Result<(), Error> + Sync) {
    among(bencher, Mesh::builder().axis("batch", 2).threads(2), calls, call);
}

/// Times so many calls on all workers. They are one iteration: what measures is bound to its thread, and the other
/// workers have to know how many come.
fn among(
    bencher: Bencher,
    builder: MeshBuilder,
    calls: usize,
    call: impl Fn(&Group) -> Result<(), Error> + Sync,
) {
    let mesh = builder.build().expect("a mesh");
    bencher.bench_local(|| {
        let run = mesh.run(|w| {
            let group = w.group(&["batch"])?;
            (0..calls).try_for_each(|_| call(&group))
        });
        run.expect("all calls");
    });
}

#[divan::bench]
fn start(bencher: Bencher) {
    among_two(bencher, 0, |_| Ok(()));
}

#[divan::bench]
fn barrier(bencher: Bencher) {
    among_two(bencher.counter(ItemsCount::new(CALLS)), CALLS, |group| group.barrier(&Call::here("barrier")));
}

fn sum(group: &Group, bytes: usize) -> Result<(), Error> {
    let mine = group.pool().alloc::<f32>(bytes / 4).freeze();
    group.all_reduce::<f32>(&Call::here("psum"), Reduction::Sum, mine).map(drop)
}

#[divan::bench(args = [64, 16 << 10, 1 << 20])]
fn all_reduce(bencher: Bencher, bytes: usize) {
    let bencher = bencher.counter(ItemsCount::new(CALLS)).counter(BytesCount::new(bytes * CALLS));
    among_two(bencher, CALLS, |group| sum(group, bytes));
}

/// By messages, over a wire of 2 µs and 25 GB/s: what the processors have to do for all ranks.
#[divan::bench(args = [2, 4, 6, 7, 8, 16, 32], sample_count = 5)]
fn all_reduce_among_ranks(bencher: Bencher, ranks: usize) {
    let mesh = Mesh::builder().axis("batch", ranks).simulated_ranks(ranks);
    let mesh = mesh.simulated_network(Duration::from_micros(2), 25e9);
    among(bencher.counter(ItemsCount::new(CALLS)), mesh, CALLS, |group| sum(group, 64));
}

/// The same with more KiB, a tenth as often.
#[divan::bench(args = [(8, 64), (8, 1024), (16, 64), (16, 1024), (32, 64), (32, 256), (32, 1024), (64, 256)], sample_count = 5)]
fn large_all_reduce_among_ranks(bencher: Bencher, (ranks, kib): (usize, usize)) {
    let mesh = Mesh::builder().axis("batch", ranks).simulated_ranks(ranks);
    let mesh = mesh.simulated_network(Duration::from_micros(2), 25e9);
    among(bencher.counter(ItemsCount::new(CALLS / 10)), mesh, CALLS / 10, |group| sum(group, kib << 10));
}

/// What the machine itself takes: a line of the cache goes to the other core and comes back.
#[divan::bench]
fn line_there_and_back(bencher: Bencher) {
    bencher.counter(ItemsCount::new(TRIPS)).bench_local(|| {
        let at = AtomicUsize::new(0);
        let each_turn = |first: usize| {
            for turn in (first..2 * TRIPS).step_by(2) {
                spin_until(|| at.load(Ordering::Acquire) == turn);
                at.store(turn + 1, Ordering::Release);
            }
        };
        scope(|s| {
            s.spawn(|| each_turn(1));
            each_turn(0);
        });
    });
}

/// What an all-reduce of so many bytes between two ranks cannot do without, by plain copies and nothing else: each hands
/// the other half of its operand, and then half of the result, through memory that they share. The last size is that of the
/// gradient of the MLP 784-512-512-10.
#[divan::bench(args = [64 << 10, 256 << 10, 1 << 20, 2_678_784], sample_count = 20)]
fn halves_handed_over(bencher: Bencher, bytes: usize) {
    let half = bytes / 2 / size_of::<f32>();
    let memory = || Pool::new().alloc::<f32>(half);
    let shared = [Mutex::new(memory()), Mutex::new(memory())];
    bencher.counter(ItemsCount::new(CALLS)).bench_local(|| {
        let come = AtomicUsize::new(0);
        let each_turn = |me: usize| {
            let mut own = memory();
            let mut all_come = (1..).map(|turn| {
                come.fetch_add(1, Ordering::AcqRel);
                spin_until(|| come.load(Ordering::Acquire) >= 2 * turn);
            });
            for _ in 0..2 * CALLS {
                shared[me].lock().expect("memory").as_mut_slice::<f32>().copy_from_slice(own.as_slice());
                all_come.next();
                own.as_mut_slice::<f32>().copy_from_slice(shared[1 - me].lock().expect("memory").as_slice());
                all_come.next();
            }
        };
        scope(|s| {
            s.spawn(|| each_turn(1));
            each_turn(0);
        });
    });
}

/// Spins; where there is one core only, the other thread gets it.
fn spin_until(is_so: impl Fn() -> bool) {
    let mut looks = 0;
    while !is_so() {
        looks += 1;
        if looks % 1000 == 0 { yield_now() } else { spin_loop() }
    }
}
