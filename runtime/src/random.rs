//! Random numbers that depend on nothing but a key and a position: the same draw on any number of workers.

pub mod erf_inv;
pub mod threefry;

pub use threefry::Key;
