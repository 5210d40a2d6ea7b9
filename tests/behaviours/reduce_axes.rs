use axisgrad::function::Function;
use axisgrad::ops::{axis_index::index_along, gather};
use axisgrad::worker::Bind;
use axisgrad::{Mesh, Tensor, grad, hessian, jacrev, ops, vmap};

use crate::probe::{elements, refuses, same, tensor, w, wave, xb};

fn examples() -> Tensor {
    xb().unstack("batch", 0)
}

#[test]
fn list() {
    same("reduce_axes", "list", &grad(wave).reduce_axes(["batch"]).at((&w(), &examples())));
    same("reduce_axes", "list", &grad(wave).reduce_axes(vec!["batch".to_owned()]).at((&w(), &examples())));
}

#[test]
fn duplicate() {
    refuses("`batch` is in reduce_axes twice", || {
        grad(wave).reduce_axes(["batch", "batch"]).at((&w(), &examples()))
    });
}

#[test]
fn unknown_name() {
    refuses("nothing in the function varies over `zzz`, which is in reduce_axes", || {
        grad(wave).reduce_axes(["zzz"]).at((&w(), &examples()))
    });
    same("reduce_axes", "unknown_name", &gather(&grad(wave).at((&w(), &examples())), "batch"));
}

#[test]
fn no_binding() {
    same("reduce_axes", "no_binding", &grad(wave).reduce_axes(["zzz"]).at((&w(), &xb().index(0, 0))));
}

#[test]
fn no_binding_beside_an_axis_of_the_functions_own() {
    let norm =
        |w: &Tensor| vmap(|w: &Tensor| ops::psum(&(w * w), "inner")).axis("inner").out_axes(None).at(w);
    assert_eq!(elements(&grad(norm).reduce_axes(["batch"]).at(&w())), elements(&(w() * 2.0)));
}

#[test]
fn no_binding_of_a_hessian() {
    let hessian = hessian(wave).reduce_axes(["zzz"]).at((&w(), &xb().index(0, 0)));
    assert_eq!(hessian.dims(), [3, 3]);
    refuses("`zzz` is in reduce_axes twice", || {
        jacrev(wave).reduce_axes(["zzz", "zzz"]).at((&w(), &xb().index(0, 0)))
    });
}

#[test]
fn none() {
    let per_example = grad(wave).reduce_axes(None::<&str>).at((&w(), &examples()));
    assert_eq!(per_example.ty().to_string(), "f64[3]{batch}");
}

#[test]
fn under_vmap() {
    let total =
        vmap(grad(wave).reduce_axes(["batch"])).axis("batch").in_axes((None::<isize>, 0)).out_axes(None);
    same("reduce_axes", "list", &total.at((&w(), &xb())));
}

#[test]
fn under_pmap() {
    let mesh = Mesh::builder().axes(["batch"]).threads(4).block(1).build().unwrap();
    let run = |worker: &axisgrad::Worker| -> axisgrad::Result<Vec<f64>> {
        let examples = worker.unstack(&xb(), "batch");
        Ok(elements(&grad(wave).reduce_axes(["batch"]).at((&w(), &examples))))
    };
    for total in mesh.run_all(run).unwrap() {
        same("reduce_axes", "list", &tensor(total));
    }
}

fn times_index(w: &Tensor, x: &Tensor) -> Tensor {
    (w * index_along(x.axis("batch"))).sum(())
}

#[test]
fn under_pmap_axis_index() {
    let total = grad(times_index).reduce_axes(["batch"]);
    assert_eq!(elements(&total.at((&w(), &examples()))), [6.0; 3]);
}

#[test]
fn under_vmap_axis_index() {
    let total = vmap(grad(times_index).reduce_axes(["batch"])).axis("batch").in_axes((None::<isize>, 0));
    assert_eq!(elements(&Function::call(&total, &(w(), xb()))), [6.0; 12]);
}
