use axisgrad::worker::Bind;
use axisgrad::{Mesh, Tensor, grad, ops, vmap};

use crate::probe::{elements, same, tensor, w, wave, xb};

fn examples() -> Tensor {
    xb().unstack("batch", 0)
}

fn all_waves(w: &Tensor) -> Tensor {
    vmap(wave).in_axes((None::<isize>, 0)).at((w, &xb())).sum(())
}

fn psum_of_waves(w: &Tensor) -> Tensor {
    let sum = |w: &Tensor, x: &Tensor| ops::psum(&wave(w, x), "batch");
    vmap(sum).axis("batch").in_axes((None::<isize>, 0)).out_axes(None).at((w, &xb()))
}

#[test]
fn per_example_sum() {
    same("grad_of_map", "xmap_per_example_sum", &grad(all_waves).at(&w()));
    same("grad_of_map", "reference_total", &grad(all_waves).at(&w()));
}

#[test]
fn psum_out() {
    same("grad_of_map", "vmap_psum_out", &grad(psum_of_waves).at(&w()));
    same("grad_of_map", "reference_total", &grad(psum_of_waves).at(&w()));
}

#[test]
fn inner_grad_psum() {
    let sum = |w: &Tensor, x: &Tensor| ops::psum(&wave(w, x), "batch");
    let total = grad(sum).reduce_axes(["batch"]).at((&w(), &examples()));
    same("grad_of_map", "reference_total", &total);
}

#[test]
fn inner_grad() {
    let per_example = grad(wave).at((&w(), &examples()));
    same("grad_of_map", "shard_map_inner_grad", &ops::gather(&per_example, "batch"));
}

#[test]
fn on_a_mesh() {
    let mesh = Mesh::builder().axes(["batch"]).threads(4).block(1).build().unwrap();
    let run = |worker: &axisgrad::Worker| -> axisgrad::Result<Vec<f64>> {
        let x = worker.unstack(&xb(), "batch");
        let sum = |w: &Tensor| ops::psum(&wave(w, &x), "batch");
        Ok(elements(&grad(sum).reduce_axes(["batch"]).at(&w())))
    };
    for total in mesh.run_all(run).unwrap() {
        same("grad_of_map", "shard_map_psum_out", &tensor(total));
    }
}
