//! What every optimizer demands of a gradient.

use std::panic::Location;

use crate::tree::{Path, Tree, difference};

/// Parameters must be real numbers; a gradient must have their structure, and each leaf the type of its parameter.
///
/// # Panics
/// If not, naming the first leaf that differs.
pub(super) fn gradient_fits<M: Tree>(name: &str, model: &M, gradient: &M, site: &Location<'_>) {
    if let Some(difference) = difference(model, gradient) {
        panic!("{name}: {difference}\n   at {}:{}", site.file(), site.line());
    }
    let mut gradients = gradient.leaves().into_iter();
    model.visit(&Path::ROOT, &mut |path, parameter| {
        let gradient = gradients.next().expect("the same structure");
        let (want, got) = (parameter.ty(), gradient.ty());
        if !want.dtype.is_float() {
            let help = if want.dtype.is_complex() {
                "make parameters of its real and its imaginary part"
            } else {
                "keep it apart from what is trained"
            };
            let (file, line) = (site.file(), site.line());
            panic!("{name}: the parameter at `{path}` is no real number: {want}\n   help: {help}\n   at {file}:{line}");
        }
        if want == got {
            return;
        }
        let mut message = format!("{name}: gradient and parameter disagree at `{path}`");
        message += &format!("\n   parameter: {want}      gradient: {got}");
        let extra = got.axes.minus(&want.axes);
        if !extra.is_empty() {
            let names: Vec<String> = extra.iter().map(|axis| format!("\"{}\"", axis.name())).collect();
            message += &format!("\n   help: add {} to reduce_axes", names.join(", "));
        }
        panic!("{message}\n   at {}:{}", site.file(), site.line());
    });
}
