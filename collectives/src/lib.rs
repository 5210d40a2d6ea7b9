//! Collectives over named groups of workers: threads of one process, MPI ranks, and threads under ranks.
//!
//! The crate knows elements and bytes; it has never heard of tensors.

pub mod buffer;
pub mod element;
pub mod error;
pub mod signature;
pub mod transport;
