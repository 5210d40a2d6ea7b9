//! Saving a run as it goes, and going on from there on any number of workers.
//!
//! ```no_run
//! use axisgrad::data::{Batches, Epochs};
//! use axisgrad::io::checkpoint::RunArgs;
//! use axisgrad::optim::{AdamWState, adamw};
//! use axisgrad::prelude::*;
//!
//! #[derive(Clone, Tree)]
//! struct State {
//!     weight: Tensor,
//!     optimizer: AdamWState<Tensor>,
//!     batches: Epochs<Tensor>,
//! }
//!
//! # let args = RunArgs::default();
//! Mesh::from_args(["batch"])?.run(|w| {
//! #   let data = Tensor::from([1.0, 2.0]);
//!     let weight = Tensor::from(1.0);
//!     let optimizer = adamw(1e-3).init(&weight);
//!     let batches = Batches::of(&data, 64).shuffled(w.key(0)).epochs(10);
//!     let (mut run, mut state) = args.open(w, State { weight, optimizer, batches })?;
//!     while let Some(x) = state.batches.next() {
//!         let x = w.unstack(&x, "batch");
//!         let loss = |weight: &Tensor, x: &Tensor| pmean(&(weight - x).square(), "batch");
//!         let gradient = grad(loss).argnum::<0>().reduce_axes(["batch"]).at((&state.weight, &x));
//!         state.optimizer.update(&mut state.weight, &gradient);
//!         run.step(&state)?;
//!     }
//!     run.finish(&state)
//! })?;
//! # Ok::<(), axisgrad::Error>(())
//! ```
//!
//! A checkpoint is a directory of safetensors files with a manifest that holds a hash of every tensor. It gets its
//! name when all of it is on the disk, so a run may be killed at any moment; [`Run::step`] is where a signal ends it.

mod args;
mod disk;
mod folder;
mod load;
mod manifest;
mod root;
mod run;
mod save;
#[cfg(test)]
mod tests;

pub use args::RunArgs;
pub use run::{NonFinite, Run, STOPPED, exit_code};
