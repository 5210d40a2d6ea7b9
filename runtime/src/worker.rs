//! What a worker does with tensors: it binds the dims of host arrays to the mesh's axes.

use std::panic::Location;

use axisgrad_collectives::axis::share;
use axisgrad_collectives::interrupt;

use crate::array::threads;
use crate::error::violation;
use crate::ops::gather::{check_new, unstack_at};
use crate::ops::{axis_index::index_along, reshape, take};
use crate::random::Key;
use crate::tensor::Tensor;
use crate::types::Axis;

pub use axisgrad_collectives::{Mesh, MeshArgs, Worker};

type Site = &'static Location<'static>;

/// Binding tensors to the axes of the mesh that a [`Worker`] is part of.
pub trait Bind {
    /// The axis `name` of the mesh with `size` positions, as this worker sees it. Positions are shared out in
    /// whole blocks; what is left over is legal, and so is a worker with no position.
    ///
    /// # Panics
    /// If the mesh has no axis of that name.
    fn axis(&self, name: &str, size: usize) -> Axis;

    /// One row per position of the axis `name`: this worker takes its own rows of dim 0.
    ///
    /// `T[n,..]{..} -> T[..]{name}`; every worker passes the same `x`. See [`gather`](crate::ops::gather()) for
    /// the way back. The rows lie in memory of this worker's own, and so does what is computed from them: where the
    /// worker has several cores, kernels use them all.
    ///
    /// # Panics
    /// If the mesh has no axis of that name, or `x` has no dims or varies over it already.
    fn unstack(&self, x: &Tensor, name: &str) -> Tensor;

    /// Cuts dim `dim` into one chunk for each worker along the axis `name`, so that the axis has as many
    /// positions as it has workers.
    ///
    /// `T[..,w·n,..]{..} -> T[..,n,..]{name}`
    ///
    /// # Panics
    /// If the mesh has no axis of that name, there is no such dim, it does not divide, or `x` varies over the axis
    /// already.
    fn split(&self, x: &Tensor, dim: isize, name: &str) -> Tensor;

    /// A random key, the same on every worker.
    fn key(&self, seed: i64) -> Key;
}

impl Bind for Worker {
    #[track_caller]
    fn axis(&self, name: &str, size: usize) -> Axis {
        let block = |workers: usize| match self.is_fast() {
            true => size.div_ceil(workers).max(1),
            false => block_of(size, self.block() as usize),
        };
        on_mesh(self, name, size, block, Location::caller())
    }

    #[track_caller]
    fn unstack(&self, x: &Tensor, name: &str) -> Tensor {
        if x.ndim() == 0 {
            violation("unstack", "a scalar has no rows", &[x], Location::caller());
        }
        rows_of(self, x, self.axis(name, x.dims()[0]), Location::caller())
    }

    #[track_caller]
    fn split(&self, x: &Tensor, dim: isize, name: &str) -> Tensor {
        let dim = x.dim_index("split", dim);
        let workers = self.axis(name, 1).group().expect("an axis of the mesh").size();
        let axis = on_mesh(self, name, workers, |_| 1, Location::caller());
        if !x.dims()[dim].is_multiple_of(workers) {
            let rule = format!("dim {dim} does not divide among the {workers} workers of `{name}`");
            violation("split", &rule, &[x], Location::caller());
        }
        let mut dims: Vec<isize> = x.dims().iter().map(|&n| n as isize).collect();
        dims[dim] /= workers as isize;
        dims.insert(dim, workers as isize);
        let mut order: Vec<isize> = (0..dims.len() as isize).filter(|&d| d != dim as isize).collect();
        order.insert(0, dim as isize);
        rows_of(self, &reshape(x, &dims).permute(&order), axis, Location::caller())
    }

    fn key(&self, seed: i64) -> Key {
        Key::new(seed)
    }
}

/// An axis of the mesh, in blocks of so many positions for the workers along it.
fn on_mesh(w: &Worker, name: &str, size: usize, block: impl Fn(usize) -> usize, site: Site) -> Axis {
    let names: Vec<&str> = w.axes().iter().map(|(name, _)| &**name).collect();
    let Some(number) = names.iter().position(|other| *other == name) else {
        let rule = format!("the mesh has no axis `{name}`; it has `{}`", names.join("`, `"));
        violation("axis", &rule, &[], site);
    };
    let group = w.group(&[name]).unwrap_or_else(|error| interrupt(error));
    let block = block(group.size());
    let lanes = share(size as u64, block as u64, group.size(), group.index());
    Axis::on_mesh(&names, number, group, size, lanes.start as usize..lanes.end as usize, block)
}

/// One row of dim 0 per position of `axis`.
fn rows_of(w: &Worker, x: &Tensor, axis: Axis, site: Site) -> Tensor {
    if x.tape().is_some() {
        check_new(x, &axis, site);
        // An argument under `grad` counts as one value per position, of which each takes a row.
        return take(x, &index_along(&axis), 0);
    }
    let own = unstack_at(x, &axis, 0, site);
    threads::attach(w.pool(), w.cores());
    Tensor::ground(own.array().copied_to(w.pool()), own.axes().clone())
}

/// Positions in a block: at most the mesh's, and few enough that eight workers have something to do. It depends
/// on the axis's size alone, and so do the bits of a reduction.
fn block_of(size: usize, most: usize) -> usize {
    let eighth = (size / 8).max(1);
    most.min(1 << eighth.ilog2())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::grad::grad;
    use crate::ops::{dot, iota};
    use crate::random::normal;

    fn loss(weights: &Tensor, x: &Tensor) -> Tensor {
        dot(x, weights).tanh().sum(())
    }

    /// The total gradient of 256 examples over so many workers, and the cores of each.
    fn gradient(threads: usize) -> (Vec<f32>, usize) {
        let mesh = Mesh::builder().axes(["batch"]).threads(threads).build().expect("a mesh");
        let run = |w: &Worker| -> crate::Result<_> {
            let weights = normal(w.key(1), DType::F32, &[96, 128]);
            let x = w.unstack(&normal(w.key(2), DType::F32, &[256, 96]), "batch");
            let total = grad(loss).reduce_axes(["batch"]).at((&weights, &x));
            Ok((total.to_vec::<f32>(), w.cores()))
        };
        mesh.run(run).expect("a gradient")
    }

    #[test]
    fn a_worker_with_many_cores_computes_the_bits_of_many_workers() {
        let (alone, cores) = gradient(1);
        for threads in [2, 4, cores] {
            assert!(gradient(threads).0 == alone, "{threads} workers");
        }
    }

    #[test]
    fn every_worker_has_a_chunk() {
        let mesh = Mesh::builder().axes(["model"]).threads(16).build().expect("a mesh");
        let chunk = |w: &Worker| -> crate::Result<_> {
            let x = iota(DType::I32, 32);
            Ok(w.split(&x, 0, "model").local().to_vec::<i32>())
        };
        let chunks = mesh.run_all(chunk).expect("chunks");
        assert!(
            chunks.iter().enumerate().all(|(i, chunk)| chunk[..] == [2 * i as i32, 2 * i as i32 + 1]),
            "{chunks:?}"
        );
    }

    #[test]
    #[should_panic(expected = "unstack: the operand varies over `batch` already")]
    fn rows_lie_along_one_axis_under_grad_too() {
        let mesh = Mesh::builder().axes(["batch"]).threads(1).build().expect("a mesh");
        let run = |w: &Worker| -> crate::Result<()> {
            let x = w.unstack(&Tensor::from([[1.0, 2.0], [3.0, 4.0]]), "batch");
            grad(|x: &Tensor| w.unstack(x, "batch").sum(())).at(&x);
            Ok(())
        };
        mesh.run(run).unwrap_or_else(|error| panic!("{error}"));
    }
}
