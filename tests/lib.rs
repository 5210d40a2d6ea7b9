//! The placement harness and the suites.

pub mod does_not_compile;
pub mod placement;
pub mod program;
pub mod random_programs;
