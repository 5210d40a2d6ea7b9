//! The catalogue, the values that its programs use, and what a test asks of an outcome.

use std::panic::{AssertUnwindSafe, catch_unwind};

use axisgrad::{Array, Tensor, Tree};
use serde_json::Value as Json;

/// The probes of the catalogue.
pub fn entries() -> Vec<Json> {
    let file: Json = serde_json::from_str(include_str!("../golden/behaviours.json")).unwrap();
    file["entries"].as_array().unwrap().clone()
}

/// Of nested numbers.
pub fn tensor(values: impl Into<Array>) -> Tensor {
    Tensor::from(values.into())
}

/// `[1, 2]`
pub fn x() -> Tensor {
    tensor([1.0, 2.0])
}

/// `[3, 4, 5]`
pub fn y() -> Tensor {
    tensor([3.0, 4.0, 5.0])
}

/// `[1, 2, 3]`
pub fn w() -> Tensor {
    tensor([1.0, 2.0, 3.0])
}

/// `f64[4,3]`: 0.0, 0.1, …, 1.1
pub fn xb() -> Tensor {
    tensor((0..12).map(|i| f64::from(i) / 10.0).collect::<Vec<_>>()).reshape([4, 3])
}

/// A scalar.
pub fn t(value: f64) -> Tensor {
    Tensor::from(value)
}

/// `sum(x²) · sum(y)`
pub fn f2(x: &Tensor, y: &Tensor) -> Tensor {
    (x * x).sum(()) * y.sum(())
}

/// `sin(w · x)`
pub fn wave(w: &Tensor, x: &Tensor) -> Tensor {
    (w * x).sum(()).sin()
}

/// All elements of all leaves.
pub fn elements(tree: &impl Tree) -> Vec<f64> {
    tree.leaves().iter().flat_map(|leaf| leaf.to_vec::<f64>()).collect()
}

/// Asserts that a tree holds the value that the reference gives for that probe.
#[track_caller]
pub fn same(group: &str, id: &str, ours: &impl Tree) {
    let entries = entries();
    let entry = entries.iter().find(|entry| entry["group"] == group && entry["id"] == id);
    let value = &entry.unwrap_or_else(|| panic!("no probe {group} {id}"))["jax_0.4.25"]["value"];
    let (ours, theirs) = (elements(ours), numbers(value));
    assert_eq!(ours.len(), theirs.len(), "{ours:?} {theirs:?}");
    for (a, b) in ours.iter().zip(&theirs) {
        assert!((a - b).abs() <= 1e-12 * b.abs().max(1.0), "{ours:?} {theirs:?}");
    }
}

fn numbers(value: &Json) -> Vec<f64> {
    match value {
        Json::Array(items) => items.iter().flat_map(numbers).collect(),
        Json::Object(items) => items.values().flat_map(numbers).collect(),
        Json::Number(number) => vec![number.as_f64().unwrap()],
        _ => Vec::new(),
    }
}

/// Asserts that `f` panics with a message that contains `part`.
#[track_caller]
pub fn refuses<R>(part: &str, f: impl FnOnce() -> R) {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else { panic!("it is accepted") };
    let message = payload.downcast_ref::<String>().cloned();
    let message = message.or_else(|| payload.downcast_ref::<&str>().map(|&text| text.to_owned()));
    let message = message.expect("a message");
    assert!(message.contains(part), "{message}");
}
