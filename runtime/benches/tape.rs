//! What a node of the tape costs: chains of small ops, f32[4], of so many nodes. With 1,000 nodes a column in µs reads
//! as ns for each.
//!
//!     scripts/bench tape
//!     taskset -c 0 cargo bench -p axisgrad --bench tape

use axisgrad::prelude::*;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

const NODES: [usize; 3] = [10, 100, 1000];

fn main() {
    divan::main();
}

/// One op after another.
fn chain(nodes: usize) -> impl Fn(&Tensor) -> Tensor {
    move |x| (0..nodes).fold(x.clone(), |y, _| -&y)
}

fn run<T>(bencher: Bencher, nodes: usize, f: impl Fn(&Tensor) -> T) {
    let x = Tensor::from([1.0f32, 2.0, 3.0, 4.0]);
    bencher.counter(ItemsCount::new(nodes)).bench_local(|| drop(black_box(f(&x))));
}

#[divan::bench(args = NODES)]
fn forward_off_the_tape(bencher: Bencher, nodes: usize) {
    run(bencher, nodes, chain(nodes));
}

#[divan::bench(args = NODES)]
fn forward_on_the_tape(bencher: Bencher, nodes: usize) {
    let traced = vjp(chain(nodes));
    run(bencher, nodes, |x| traced.at(x));
}

#[divan::bench(args = NODES)]
fn forward_and_backward(bencher: Bencher, nodes: usize) {
    let f = chain(nodes);
    let gradient = grad(move |x: &Tensor| f(x).sum(()));
    run(bencher, nodes, |x| gradient.at(x));
}
