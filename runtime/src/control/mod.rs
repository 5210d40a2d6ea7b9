//! Control flow over trees: `scan`, `fori_loop`, `while_loop`, `cond`, `map`, `associative_scan`.
//!
//! A loop is a loop: it runs, and what it does is on the tape step by step. So every one of them has derivatives in
//! both directions and to any order, a `while_loop` too, and a step may call collectives. Which way control flows may
//! depend only on values that are the same at every position, which keeps the workers in step; where a condition
//! varies, both ways are gone and every position keeps its own.

mod associative_scan;
mod cond;
mod loops;
mod scan;

pub use associative_scan::{AssociativeScan, associative_scan};
pub use cond::cond;
pub use loops::{fori_loop, while_loop};
pub use scan::{Scan, map, scan};

use std::panic::Location;

use crate::dtype::DType;
use crate::error::violation;
use crate::ops::{cast, pmax, where_};
use crate::tensor::Tensor;
use crate::tree::{Tree, difference};

type Site = &'static Location<'static>;

/// Panics unless two trees have the same structure, dims and dtypes; `what` says what they are.
fn check_alike<T: Tree>(name: &str, what: &str, left: &T, right: &T, site: Site) {
    if let Some(difference) = difference(left, right) {
        violation(name, &format!("{what}: {difference}"), &[], site);
    }
    left.zip_leaves(right, |path, left, right| {
        if left.dtype() != right.dtype() || left.dims() != right.dims() {
            let rule = format!("{what} must have the same dtypes and dims, and at `{path}` they have not");
            violation(name, &rule, &[left, right], site);
        }
        left.clone()
    });
}

fn check_condition(name: &str, condition: &Tensor, site: Site) {
    if condition.dtype() != DType::Bool || condition.ndim() != 0 {
        let rule = "the condition must be one truth value, bool[]\n   help: compare, or reduce it with all() or any()";
        violation(name, rule, &[condition], site);
    }
}

/// Whether a condition holds at any position; all workers agree on it.
fn holds_somewhere(condition: &Tensor) -> bool {
    let names: Vec<&str> = condition.axes().iter().map(|axis| axis.name()).collect();
    if names.is_empty() {
        return condition.item();
    }
    pmax(&cast(condition, DType::I32), &names[..]).item::<i32>() > 0
}

/// Leaf by leaf `yes` where the condition holds, else `no`.
fn select<T: Tree>(condition: &Tensor, yes: &T, no: &T) -> T {
    yes.zip_leaves(no, |_, yes, no| where_(condition, yes, no))
}

#[cfg(test)]
mod tests;
