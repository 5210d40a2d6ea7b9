//! A cotangent in the making, and the buckets in which finished ones are summed over workers.

use std::panic::Location;

use crate::ops::add;
use crate::partial::{PartialSum, Started};
use crate::tensor::Tensor;

type Site = &'static Location<'static>;

/// What has flowed back to a value so far: a sum, and sums over axes that have not been done yet. Contributions
/// add without communicating.
#[derive(Default)]
pub(crate) struct Accum {
    sum: Option<Tensor>,
    partials: Vec<PartialSum>,
}

impl Accum {
    pub fn add(&mut self, ct: Tensor) {
        self.sum = Some(match self.sum.take() {
            Some(sum) => add(&sum, &ct),
            None => ct,
        });
    }

    /// Partial sums of one kind are added position by position, before the tree; others wait side by side.
    pub fn add_partial(&mut self, partial: PartialSum) {
        match self.partials.iter_mut().find(|known| known.adds_to(&partial)) {
            Some(known) => known.add(partial),
            None => self.partials.push(partial),
        }
    }

    /// The whole cotangent: does the outstanding sums. `None` if nothing has flowed back.
    pub fn finish(mut self, site: Site) -> Option<Tensor> {
        for partial in std::mem::take(&mut self.partials) {
            self.add(partial.finish(site));
        }
        self.sum
    }
}

/// Bytes that a bucket may hold before it is launched: large enough to use the full bandwidth, small enough
/// that the first of them travel while backward still runs.
const BUCKET: usize = 4 << 20;
/// Bytes from which on a sum travels by itself: bringing it side by side with others takes longer than a message.
const ALONE: usize = 1 << 20;

/// Outstanding sums of final leaves. A bucket is launched, without waiting for it, when it is full; the order is
/// that of the tape and so the same on every worker.
#[derive(Default)]
pub(crate) struct Buckets {
    leaves: Vec<usize>,
    sums: Vec<PartialSum>,
    bytes: usize,
    started: Vec<(Vec<usize>, Started)>,
    site: Option<Site>,
}

impl Buckets {
    /// Takes the outstanding sums of a leaf that is final.
    pub fn add(&mut self, leaf: usize, accum: &mut Accum, site: Site) {
        for partial in accum.partials.drain(..) {
            if partial.bytes() >= ALONE {
                self.started.push((vec![leaf], PartialSum::start(vec![partial], site)));
                continue;
            }
            if self.sums.first().is_some_and(|first| !first.travels_with(&partial)) {
                self.launch();
            }
            self.bytes += partial.bytes();
            self.leaves.push(leaf);
            self.sums.push(partial);
            self.site = Some(site);
            if self.bytes >= BUCKET {
                self.launch();
            }
        }
    }

    fn launch(&mut self) {
        if let Some(site) = self.site.take() {
            let sums = std::mem::take(&mut self.sums);
            self.started.push((std::mem::take(&mut self.leaves), PartialSum::start(sums, site)));
            self.bytes = 0;
        }
    }

    /// Lets what is under way go on: nobody else moves it while backward computes.
    pub fn advance(&self) {
        self.started.iter().for_each(|(_, started)| started.advance());
    }

    /// Waits for all buckets and adds what they bring.
    pub fn finish(mut self, mut cts: Vec<Accum>) -> Vec<Option<Tensor>> {
        self.launch();
        for (leaves, started) in self.started {
            for (leaf, sum) in leaves.into_iter().zip(started.finish()) {
                cts[leaf].add(sum);
            }
        }
        cts.into_iter().map(|ct| ct.sum).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::ALONE;
    use crate::grad::grad;
    use crate::prelude::*;

    type Model = [Tensor; 3];

    fn loss(model: &Model, x: &Tensor) -> Tensor {
        let [a, b, c] = model.each_ref().map(|leaf| (leaf * x).sin().sum(()));
        a + b + c
    }

    /// The leaves of a total gradient: small, so large that it travels by itself, and small.
    fn gradient(threads: usize, ranks: usize) -> Vec<Vec<f32>> {
        let mesh = Mesh::builder().axes(["batch"]).threads(threads);
        let mesh = if ranks > 1 { mesh.simulated_ranks(ranks) } else { mesh };
        let run = |w: &Worker| -> crate::Result<_> {
            let leaf = |len: usize, seed| crate::random::normal(w.key(seed), DType::F32, &[len]);
            let model = [leaf(3, 1), leaf(ALONE / size_of::<f32>() + 7, 2), leaf(5, 3)];
            let x = w.unstack(&leaf(8, 4), "batch");
            let total = grad(loss).reduce_axes(["batch"]).at((&model, &x));
            Ok(total.each_ref().map(|leaf| leaf.to_vec::<f32>()).to_vec())
        };
        mesh.build().expect("a mesh").run(run).expect("a gradient")
    }

    #[test]
    fn a_sum_that_travels_by_itself_is_its_leafs() {
        let alone = gradient(1, 1);
        for (threads, ranks) in [(2, 1), (3, 1), (1, 2), (2, 2)] {
            assert!(gradient(threads, ranks) == alone, "{ranks} ranks of {threads}");
        }
    }
}
