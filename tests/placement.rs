//! The placement harness: one program over a named axis, run under every placement of it.

use std::time::Duration;

use axisgrad::array::Array;
use axisgrad::check::same_bits;
use axisgrad::{Mesh, Tensor, Worker};
use axisgrad_collectives::MeshBuilder;

/// A program in two forms.
pub struct Case {
    /// What failures show.
    pub name: &'static str,
    /// The sizes of the axis `batch` to run with.
    pub sizes: &'static [usize],
    /// The arguments for a size.
    pub args: fn(usize) -> Vec<Tensor>,
    /// The program over the axis `batch`; its results are invariant.
    pub mesh: fn(&Worker, &[Tensor]) -> Vec<Tensor>,
    /// The same with the axis written out as one more dim.
    pub positional: fn(&[Tensor]) -> Vec<Tensor>,
}

/// Threads and ranks to place an axis on; the ranks are played by groups of threads.
pub const PLACEMENTS: [(usize, usize); 7] = [(1, 1), (2, 1), (3, 1), (4, 1), (1, 2), (2, 2), (1, 3)];
/// Threads on each rank when the suites are started by `mpirun`, after the same on one thread of this rank alone.
pub const THREADS_OF_RANKS: [usize; 2] = [1, 2];

/// Runs a case under every placement: all results equal the positional program's to nine digits, and each
/// other's to the bit. Under `mpirun` the placements are those on its ranks; every rank must run the same cases.
///
/// # Panics
/// If they do not.
pub fn check_all(case: &Case) {
    let mut runs = 0;
    for &size in case.sizes {
        let expected = (case.positional)(&(case.args)(size));
        let mut first: Option<Vec<Array>> = None;
        for mesh in meshes() {
            let results = mesh.run_all(|w| {
                let results = (case.mesh)(w, &(case.args)(size));
                Ok::<_, axisgrad::Error>(results.iter().map(Tensor::to_array).collect::<Vec<_>>())
            });
            let results = results.unwrap_or_else(|e| panic!("{}, {size}: {e}", case.name));
            let place = format!("{}, {size} positions on {}", case.name, mesh.summary());
            for result in results {
                compare(&place, &expected, &result);
                let first = first.get_or_insert_with(|| result.clone());
                for (i, (a, b)) in first.iter().zip(&result).enumerate() {
                    assert!(same_bits(a, b), "{place}: result {i} has other bits than on one thread");
                }
            }
            runs += 1;
        }
    }
    println!("{}: {} sizes, {runs} program runs", case.name, case.sizes.len());
}

fn meshes() -> Vec<Mesh> {
    let build = |builder: MeshBuilder| builder.build().expect("a mesh");
    if build(builder(1)).shape().ranks() > 1 {
        let alone = build(builder(1).simulated_ranks(1));
        return [alone].into_iter().chain(THREADS_OF_RANKS.map(|threads| build(builder(threads)))).collect();
    }
    let place = |(threads, ranks)| match ranks {
        1 => build(builder(threads)),
        _ => build(builder(threads).simulated_ranks(ranks)),
    };
    PLACEMENTS.map(place).into()
}

fn builder(threads: usize) -> MeshBuilder {
    Mesh::builder().axes(["batch"]).threads(threads).timeout(Duration::from_secs(20))
}

fn compare(place: &str, expected: &[Tensor], got: &[Array]) {
    assert_eq!(expected.len(), got.len(), "{place}");
    for (i, (expected, got)) in expected.iter().zip(got).enumerate() {
        assert_eq!(expected.dims(), got.dims(), "{place}: dims of result {i}");
        for (e, g) in expected.to_vec::<f64>().iter().zip(got.to_vec::<f64>()) {
            assert!(
                (e - g).abs() <= 1e-9 * e.abs().max(1.0),
                "{place}: result {i} is {g}, and {e} positionally"
            );
        }
    }
}
