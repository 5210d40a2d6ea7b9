//! Shared pieces of the examples.

// The file `digits.rs` beside this one is the example itself.
#[path = "data/digits.rs"]
pub mod digits;
