//! Starting workers: flags, environment, threads, and what becomes of panics.

mod agree;
mod args;
mod builder;
pub mod env;
#[cfg(all(test, loom))]
mod model;
mod panics;
mod peers;
mod run;
mod worker;

pub use args::{MeshArgs, Order};
pub use builder::{Mesh, MeshBuilder};
pub use panics::{Interrupted, interrupt};
pub use worker::Worker;
