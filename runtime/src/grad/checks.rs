//! What `grad` demands of its arguments and of the function's result.

use std::panic::Location;

use crate::error::violation;
use crate::tape::Tape;
use crate::tensor::Tensor;
use crate::tree::{Path, Tree};
use crate::types::{Axis, AxisSet};

type Site = &'static Location<'static>;

/// An argument cannot be differentiated twice at once.
pub fn positions(positions: &[usize], site: Site) {
    for (i, position) in positions.iter().enumerate() {
        if positions[..i].contains(position) {
            violation("grad", &format!("argument {position} is in argnums twice"), &[], site);
        }
    }
}

/// A name in `reduce_axes` twice is a slip, not a wish.
pub fn names(names: &[String], site: Site) {
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            violation("grad", &format!("`{name}` is in reduce_axes twice"), &[], site);
        }
    }
}

/// Every leaf must be a number that can be moved a little.
pub fn inputs(transform: &str, chosen: &impl Tree, holomorphic: bool, allow_int: bool, site: Site) {
    chosen.visit(&Path::ROOT, &mut |path, leaf| {
        let dtype = leaf.dtype();
        if holomorphic && !dtype.is_complex() {
            let rule = format!("holomorphic needs complex inputs, and {} is {dtype}", named(path));
            violation(transform, &rule, &[leaf], site);
        }
        if !dtype.is_inexact() && !allow_int {
            let rule = format!(
                "an input must be float or complex, and {} is {dtype}\n   help: .allow_int() gives it a float0 \
                 gradient; or convert it with cast()",
                named(path)
            );
            violation(transform, &rule, &[leaf], site);
        }
    });
}

fn named(path: &Path<'_>) -> String {
    let path = path.to_string();
    if path.is_empty() { "it".to_owned() } else { format!("`{path}`") }
}

/// The result must be one number per position.
pub fn output(output: &Tensor, holomorphic: bool, site: Site) {
    let dtype = output.dtype();
    let rule = if output.ndim() != 0 {
        "the function must return a scalar, dims []\n   help: sum() it, index it, or use vjp".to_owned()
    } else if holomorphic && !dtype.is_complex() {
        format!("holomorphic needs a complex result, and it is {dtype}")
    } else if !holomorphic && dtype.is_complex() {
        "the result must be real, and it is complex\n   help: .holomorphic() for a holomorphic function; real() \
         or abs() of the result; or use vjp"
            .to_owned()
    } else if !dtype.is_inexact() {
        format!("the result must be float, and it is {dtype}\n   help: convert it with cast(), or use vjp")
    } else {
        return;
    };
    violation("grad", &rule, &[output], site);
}

/// What is known, after a function has run, of the axes that there are.
#[derive(Clone, Default)]
pub struct Seen {
    /// The names of those that arguments and values on the tape vary over.
    varied: Vec<String>,
    /// The names of all axes of a mesh that one of them is on.
    mesh: Vec<Box<str>>,
}

impl Seen {
    pub fn of(tape: &Tape, args: &impl Tree) -> Self {
        let mut seen = Self::default();
        seen.note_leaves(tape, args);
        tape.axes_seen(&mut |axes| seen.note(tape, axes));
        seen
    }

    /// Adds the axes of all leaves.
    pub fn note_leaves(&mut self, tape: &Tape, tree: &impl Tree) {
        tree.visit(&Path::ROOT, &mut |_, leaf| self.note(tape, leaf.axes()));
    }

    /// Adds `axes`, but for those that nobody can say, or can say only inside the function.
    fn note(&mut self, tape: &Tape, axes: &AxisSet) {
        let listed = |axis: &Axis| tape.reduce_axes().iter().any(|name| **name == *axis.name());
        let inner = |axis: &Axis| axis.is_nameless() || tape.reduces(axis) && !listed(axis);
        for axis in axes.iter().filter(|axis| !inner(axis)) {
            if !self.varied.iter().any(|name| name == axis.name()) {
                self.varied.push(axis.name().to_owned());
            }
            if self.mesh.is_empty() {
                self.mesh = axis.names_on_mesh().to_vec();
            }
        }
    }

    /// A name that nothing varies over and no mesh has is a slip where a sum is left undone over another. Where none is,
    /// it may be an axis that the function meets only in what it does not differentiate, which leaves no trace.
    pub fn check(&self, reduce_axes: &[impl AsRef<str>], site: Site) {
        let listed = |axis: &String| reduce_axes.iter().any(|name| name.as_ref() == axis);
        let known = |name: &&str| {
            self.varied.iter().any(|axis| axis == name) || self.mesh.iter().any(|axis| **axis == **name)
        };
        let missing = reduce_axes.iter().map(AsRef::as_ref).find(|name| !known(name));
        let Some(missing) = missing.filter(|_| !self.varied.iter().all(listed)) else {
            return;
        };
        let there = format!("`{}`", self.varied.join("`, `"));
        let rule = format!(
            "nothing in the function varies over `{missing}`, which is in reduce_axes\n   values there vary over: \
             {there}\n   help: bind data to it with worker.unstack(&x, \"{missing}\"), or drop the name"
        );
        violation("grad", &rule, &[], site);
    }
}
