use axisgrad::ops::{self, axis_size};
use axisgrad::{DType, Tensor, grad, vmap};

use crate::probe::{refuses, same, t, tensor, xb};

const UNBOUND: &str = "the operand does not vary over `batch`";

#[test]
fn unbound_psum() {
    refuses(UNBOUND, || ops::psum(&xb(), "batch"));
}

#[test]
fn unbound_pmean() {
    refuses(UNBOUND, || ops::pmean(&xb(), "batch"));
}

#[test]
fn unbound_axis_index() {
    refuses(UNBOUND, || ops::axis_index(&xb(), "batch"));
}

#[test]
fn unbound_all_gather() {
    refuses(UNBOUND, || ops::all_gather(&xb(), "batch", 0));
}

#[test]
fn unbound_ppermute() {
    refuses(UNBOUND, || ops::ppermute(&xb(), "batch", &[(0, 1)]));
}

#[test]
fn unbound_psum_scatter() {
    refuses(UNBOUND, || ops::psum_scatter(&xb(), "batch", 0));
}

#[test]
fn unbound_all_to_all() {
    refuses(UNBOUND, || ops::all_to_all(&xb(), "batch", 0, 0));
}

#[test]
fn unbound_in_grad() {
    refuses(UNBOUND, || grad(|a: &Tensor| ops::psum(a, "batch")).reduce_axes(["batch"]).at(&t(1.0)));
}

#[test]
fn wrong_name() {
    refuses("the operand does not vary over `c`", || {
        vmap(|a: &Tensor| ops::psum(a, "c")).axis("batch").at(&xb())
    });
}

#[test]
fn unnamed_vmap() {
    refuses(UNBOUND, || vmap(|a: &Tensor| ops::psum(a, "batch")).at(&xb()));
}

#[test]
fn scope_ends() {
    vmap(|a: &Tensor| ops::psum(a, "batch")).axis("batch").at(&xb());
    refuses(UNBOUND, || ops::psum(&xb(), "batch"));
}

#[test]
fn shadow() {
    let inner = vmap(|a: &Tensor| ops::psum(a, "b")).axis("b");
    refuses("the operand varies over `b` already", || {
        vmap(inner).axis("b").at(&tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]))
    });
    // What is captured is of the outer axis, of whatever size the inner one is.
    refuses("two different axes `b`", || {
        let of_both = |x: &Tensor| {
            vmap(|y: &Tensor| ops::psum(&(x * y), "b")).axis("b").out_axes(None).at(&tensor([1.0, 2.0]))
        };
        vmap(of_both).axis("b").at(&tensor([10.0, 20.0]))
    });
}

#[test]
fn psum_of_unmapped() {
    let rows = xb().unstack("batch", 0);
    refuses(UNBOUND, || ops::psum(&t(1.5), "batch"));
    same("axis_names", "psum_of_unmapped", &ops::psum(&ops::pvary(&t(1.5), rows.axis("batch")), "batch"));
}

#[test]
fn psum_constant() {
    assert_eq!(axis_size(&xb().unstack("batch", 0), "batch"), 4);
}

#[test]
fn psum_bool() {
    let counts = vmap(|a: &Tensor| ops::psum(&a.gt(0.1), "batch")).axis("batch").at(&xb());
    assert_eq!(counts.dtype(), DType::I32);
    same("axis_names", "psum_bool", &counts.cast(DType::F64));
}

#[test]
fn psum_duplicate_names() {
    refuses("`batch` is named twice", || ops::psum(&xb().unstack("batch", 0), ["batch", "batch"]));
}
