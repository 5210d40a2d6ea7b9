use axisgrad::ops::gather;
use axisgrad::worker::Bind;
use axisgrad::{Mesh, Tensor, grad, ops, value_and_grad, vmap};

use crate::probe::{elements, refuses, same, t, tensor, w, wave, xb};

const VARIES: &str = "workers that read different values fall out of step";

fn ones(n: usize) -> Tensor {
    tensor(vec![1.0; n])
}

#[test]
fn missing_out_axis() {
    refuses(VARIES, || xb().unstack("batch", 0).to_array());
}

#[test]
fn per_example_grad_missing() {
    refuses(VARIES, || grad(wave).at((&w(), &xb().unstack("batch", 0))).to_array());
}

#[test]
fn total_grad_with_axis() {
    let total = grad(wave).reduce_axes(["batch"]).at((&w(), &xb().unstack("batch", 0)));
    refuses("the operand does not vary over `batch`", || gather(&total, "batch"));
    let stacked = vmap(grad(wave).reduce_axes(["batch"])).axis("batch").in_axes((None::<isize>, 0));
    same("binders", "xmap_total_grad_with_axis", &stacked.at((&w(), &xb())));
}

#[test]
fn value_and_grad_missing() {
    let (value, total) = value_and_grad(wave).reduce_axes(["batch"]).at((&w(), &xb().unstack("batch", 0)));
    total.to_array();
    refuses(VARIES, || value.to_array());
}

#[test]
fn two_missing() {
    let sum = xb().unstack("batch", 0) + xb().unstack("c", 0);
    refuses(VARIES, || gather(&sum, "batch").to_array());
}

#[test]
fn unknown_out_axis() {
    refuses("the operand does not vary over `c`", || gather(&xb().unstack("batch", 0), "c"));
}

#[test]
fn negative() {
    let rows = vmap(Tensor::clone).in_axes(-2).at(&xb());
    assert_eq!(elements(&rows), elements(&xb()));
}

#[test]
fn size_mismatch() {
    refuses("batch", || xb().unstack("batch", 0) + xb().slice(0, ..3).unstack("batch", 0));
}

#[test]
fn axis_sizes_mismatch() {
    refuses("axis_size is 3, and there are 4 examples", || vmap(Tensor::clone).axis_size(3).at(&xb()));
}

#[test]
fn duplicate_name() {
    refuses("the operand varies over `batch` already", || xb().unstack("batch", 0).unstack("batch", 0));
}

#[test]
fn rank() {
    refuses("dim 5 is out of range for 2 dims", || xb().unstack("batch", 5));
}

#[test]
fn out_rank() {
    refuses("out_axes 5 is out of range", || vmap(Tensor::clone).out_axes(5).at(&xb()));
}

#[test]
fn vmap_out_none_varying() {
    refuses("out_axes is None, and the result", || vmap(Tensor::clone).out_axes(None).at(&xb()));
}

#[test]
fn vmap_out_none_psum() {
    let sum = vmap(|a: &Tensor| ops::psum(a, "batch")).axis("batch").out_axes(None).at(&xb());
    same("binders", "vmap_out_none_psum", &sum);
}

#[test]
fn vmap_out_zero_psum() {
    let sum = vmap(|a: &Tensor| ops::psum(a, "batch")).axis("batch").at(&xb());
    same("binders", "vmap_out_zero_psum", &sum);
}

#[test]
fn vmap_size_mismatch() {
    refuses("there are 3 examples in argument", || {
        vmap(|a: &Tensor, _: &Tensor| a.clone()).at((&ones(3), &ones(4)))
    });
}

#[test]
fn vmap_all_none() {
    refuses("no argument is mapped", || vmap(Tensor::clone).in_axes((None::<isize>,)).at(&ones(3)));
}

#[test]
fn vmap_axis_size_mismatch() {
    refuses("axis_size is 2, and there are 3 examples", || vmap(Tensor::clone).axis_size(2).at(&ones(3)));
}

#[test]
fn vmap_rank() {
    refuses("dim 1 is out of range for 1 dims", || vmap(Tensor::clone).in_axes(1).at(&ones(3)));
}

#[test]
fn vmap_scalar() {
    refuses("dim 0 is out of range for 0 dims", || vmap(Tensor::clone).at(&t(1.0)));
}

#[test]
fn vmap_in_axes_length() {
    refuses("in_axes has 1 entries, and there are 2 arguments", || {
        vmap(|a: &Tensor, _: &Tensor| a.clone()).in_axes((0,)).at((&ones(3), &ones(3)))
    });
}

#[test]
fn vmap_out_axis_range() {
    refuses("out_axes 3 is out of range for 1 dims", || vmap(Tensor::clone).out_axes(3).at(&ones(3)));
}

#[test]
fn more_positions_than_workers() {
    let mesh = Mesh::builder().axes(["batch"]).threads(2).block(1).build().unwrap();
    let run = |worker: &axisgrad::Worker| -> axisgrad::Result<Vec<f64>> {
        Ok(elements(&gather(&worker.unstack(&ones(8), "batch"), "batch")))
    };
    assert_eq!(mesh.run(run).unwrap(), [1.0; 8]);
}

#[test]
fn fewer_rows_than_workers() {
    let mesh = Mesh::builder().axes(["batch"]).threads(4).block(1).build().unwrap();
    let run = |worker: &axisgrad::Worker| -> axisgrad::Result<Vec<f64>> {
        Ok(elements(&ops::psum(&worker.unstack(&xb().slice(0, ..3), "batch"), "batch")))
    };
    assert_eq!(mesh.run(run).unwrap().len(), 3);
}
