//! The placement harness and the suites.
