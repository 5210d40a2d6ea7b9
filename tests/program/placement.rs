//! Where the positions of axes can be.

use std::fmt;

/// How many workers lie along each axis of a case, and of how many ranks they are threads. A worker's positions
/// along an axis are its lanes.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// Ranks; here they are played by groups of threads.
    pub ranks: usize,
    /// Threads of each rank.
    pub threads: usize,
    /// Workers along each axis.
    pub workers: Vec<usize>,
    /// The mesh does not know the axes: they are made of dims, on the lanes of every worker.
    pub off_mesh: bool,
}

impl Placement {
    /// One worker, and axes that the mesh does not know.
    pub fn off_mesh() -> Self {
        Self { ranks: 1, threads: 1, workers: vec![1], off_mesh: true }
    }

    /// All placements of `axes` axes on `workers` workers.
    pub fn all(axes: usize, workers: usize) -> Vec<Self> {
        let ranks = divisors(workers);
        let place = |ranks| {
            let shapes = factorisations(workers, axes);
            shapes.into_iter().map(move |shape| Self {
                ranks,
                threads: workers / ranks,
                workers: shape,
                off_mesh: false,
            })
        };
        ranks.into_iter().flat_map(place).collect()
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ranks, threads, workers, off_mesh } = self;
        if *off_mesh {
            return f.write_str("on lanes alone");
        }
        write!(f, "{ranks} ranks x {threads} threads, {workers:?} workers along the axes")
    }
}

fn divisors(n: usize) -> Vec<usize> {
    (1..=n).filter(|&d| n.is_multiple_of(d)).collect()
}

/// All ways to write `n` as a product of `factors` numbers; one number at least.
fn factorisations(n: usize, factors: usize) -> Vec<Vec<usize>> {
    if factors <= 1 {
        return vec![vec![n]];
    }
    let rest = |d| factorisations(n / d, factors - 1).into_iter().map(move |rest| [vec![d], rest].concat());
    divisors(n).into_iter().flat_map(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placement_is_there_once() {
        assert_eq!(factorisations(4, 2), [[1, 4], [2, 2], [4, 1]]);
        assert_eq!(Placement::all(2, 4).len(), 9);
        assert_eq!(Placement::all(0, 2).len(), 2);
        assert_eq!(
            Placement::all(1, 1),
            [Placement { ranks: 1, threads: 1, workers: vec![1], off_mesh: false }]
        );
    }
}
