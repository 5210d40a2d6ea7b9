//! axisgrad

pub mod array;
pub mod dtype;
