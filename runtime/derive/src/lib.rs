//! `#[derive(Tree)]` for axisgrad.
