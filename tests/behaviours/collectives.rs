use axisgrad::Tensor;
use axisgrad::ops::{self, axis_index::index_along, gather};

use crate::probe::{refuses, same, tensor};

fn ones() -> Tensor {
    tensor(vec![1.0; 16]).reshape([4, 4]).unstack("batch", 0)
}

#[test]
fn ppermute_partial() {
    let a = ones();
    let counted = &a * (index_along(a.axis("batch")) + 1.0);
    let moved = gather(&ops::ppermute(&counted, "batch", &[(0, 1), (1, 2)]), "batch");
    same("collectives", "ppermute_partial_pmap", &moved);
}

#[test]
fn ppermute_duplicate_source() {
    refuses("position 0 sends twice", || ops::ppermute(&ones(), "batch", &[(0, 1), (0, 2)]));
}

#[test]
fn ppermute_duplicate_dest() {
    refuses("position 1 receives twice", || {
        ops::ppermute(&ones(), "batch", &[(0, 1), (1, 1), (2, 3), (3, 0)])
    });
}

#[test]
fn ppermute_out_of_range() {
    refuses("position 7 is out of range: `batch` has 4 positions", || {
        ops::ppermute(&ones(), "batch", &[(0, 7), (1, 2), (2, 3), (3, 0)])
    });
}

#[test]
fn pshuffle_not_permutation() {
    refuses("position 0 sends twice", || ops::pshuffle(&ones(), "batch", &[0, 0, 1, 2]));
    refuses("[0, 1] is not a permutation of the 4 positions", || ops::pshuffle(&ones(), "batch", &[0, 1]));
}

#[test]
fn all_to_all_size() {
    refuses("dim 0 of size 3 does not divide among the 4 positions of `batch`", || {
        ops::all_to_all(&ones().slice(0, ..3), "batch", 0, 0)
    });
}

#[test]
fn psum_scatter_size() {
    refuses("dim 0 of size 3 does not divide among the 4", || {
        ops::psum_scatter(&ones().slice(0, ..3), "batch", 0)
    });
}

#[test]
fn all_gather_axis() {
    refuses("dim 5 is out of range for 1 dims", || ops::all_gather(&ones(), "batch", 5));
}

#[test]
fn groups() {
    // Sub-groups are axes of their own: four positions as two by two.
    let a = tensor([[1.0, 2.0], [3.0, 4.0]]).unstack("half", 0).unstack("within", 0);
    let sums = gather(&ops::psum(&a, "within"), "half");
    assert_eq!(sums.to_vec::<f64>(), [3.0, 7.0]);
}
