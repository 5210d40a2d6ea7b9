//! Random differentiable programs over named axes, and what they must compute.
//!
//! A program is run over named axes, under placements, and with every axis written out: one ordinary program for each
//! position, where a collective reads the others' values. The second way knows nothing of axes, and is the oracle.

pub mod check;
pub mod generate;
pub mod local;
pub mod named;
pub mod shrink;
pub mod syntax;
pub mod wider;
pub mod written_out;
