//! Errors of the outside world, and the message of a broken contract.

use std::fmt::Write;
use std::panic::Location;

use crate::tensor::Tensor;

pub use axisgrad_collectives::{Error, ErrorKind};

/// A result whose error is this crate's.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Panics with the rule that was broken, the types of the operands, and the line of the user's that broke it.
pub(crate) fn violation(op: &str, rule: &str, operands: &[&Tensor], site: &Location<'_>) -> ! {
    let mut message = format!("{op}: {rule}");
    let names: &[&str] = match operands.len() {
        1 => &["operand"],
        2 => &["left", "right"],
        _ => &[],
    };
    for (i, operand) in operands.iter().enumerate() {
        let name = names.get(i).map_or_else(|| format!("operand {i}"), |name| (*name).to_owned());
        let _ = write!(message, "\n   {name}: {}", operand.ty());
    }
    let _ = write!(message, "\n   at {}:{}", site.file(), site.line());
    std::panic::panic_any(message)
}
