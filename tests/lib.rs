//! The placement harness and the suites.

pub mod placement;
