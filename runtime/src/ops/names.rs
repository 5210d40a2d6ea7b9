//! How collectives are told their axes: `"batch"`, or `["batch", "model"]`.

use std::panic::Location;

use crate::error::violation;
use crate::tensor::Tensor;
use crate::types::AxisSet;

/// One axis name or several.
pub trait Names {
    /// Calls `f` with each.
    fn each(&self, f: &mut dyn FnMut(&str));
}

impl Names for &str {
    fn each(&self, f: &mut dyn FnMut(&str)) {
        f(self);
    }
}

impl Names for &String {
    fn each(&self, f: &mut dyn FnMut(&str)) {
        f(self);
    }
}

impl<S: AsRef<str>> Names for &[S] {
    fn each(&self, f: &mut dyn FnMut(&str)) {
        self.iter().for_each(|name| f(name.as_ref()));
    }
}

impl<S: AsRef<str>, const N: usize> Names for [S; N] {
    fn each(&self, f: &mut dyn FnMut(&str)) {
        self.iter().for_each(|name| f(name.as_ref()));
    }
}

impl<S: AsRef<str>> Names for &Vec<S> {
    fn each(&self, f: &mut dyn FnMut(&str)) {
        self.iter().for_each(|name| f(name.as_ref()));
    }
}

/// The axes of `x` of those names.
///
/// # Panics
/// If a name is given twice, or `x` does not vary over it; `help` says what to do about the latter.
#[track_caller]
pub(crate) fn axes_of(op: &str, x: &Tensor, names: impl Names, help: &str) -> AxisSet {
    let site = Location::caller();
    let mut chosen = AxisSet::new();
    names.each(&mut |name| {
        if chosen.contains(name) {
            violation(op, &format!("`{name}` is named twice"), &[x], site);
        }
        let Some(axis) = x.axes().get(name) else {
            let rule = format!("the operand does not vary over `{name}`{}", help.replace("{name}", name));
            violation(op, &rule, &[x], site);
        };
        chosen = chosen.with(axis).expect("another name");
    });
    chosen
}
