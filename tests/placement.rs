//! The placement harness: one program over a named axis, run under every placement of it.

use axisgrad::array::Array;
use axisgrad::check::same_bits;
use axisgrad::{Mesh, Tensor, Worker};

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

/// Runs a case under every placement: all results equal the positional program's to nine digits, and each
/// other's to the bit.
///
/// # Panics
/// If they do not.
pub fn check_all(case: &Case) {
    let mut runs = 0;
    for &size in case.sizes {
        let expected = (case.positional)(&(case.args)(size));
        let mut first: Option<Vec<Array>> = None;
        for (threads, ranks) in PLACEMENTS {
            let mesh = mesh(threads, ranks);
            let results = mesh.run_all(|w| {
                let results = (case.mesh)(w, &(case.args)(size));
                Ok::<_, axisgrad::Error>(results.iter().map(Tensor::to_array).collect::<Vec<_>>())
            });
            let results = results.unwrap_or_else(|e| panic!("{}, {size}: {e}", case.name));
            let place = format!("{}, {size} positions on {ranks} ranks x {threads} threads", case.name);
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

fn mesh(threads: usize, ranks: usize) -> Mesh {
    let builder =
        Mesh::builder().axes(["batch"]).threads(threads).timeout(std::time::Duration::from_secs(20));
    let builder = if ranks > 1 { builder.simulated_ranks(ranks) } else { builder };
    builder.build().expect("a mesh")
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
