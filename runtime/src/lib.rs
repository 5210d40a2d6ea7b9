//! axisgrad: train models on many workers, with named axes.
//!
//! Write the loss of **one example**, name the axis that examples lie along, and say at [`grad()`](grad()) whether
//! that axis is reduced.

extern crate self as axisgrad;

pub mod array;
mod bind;
mod call;
pub mod check;
pub mod checkpoint;
pub mod control;
pub mod custom;
pub mod data;
pub mod dtype;
pub mod error;
pub mod function;
pub mod grad;
pub mod io;
pub mod jacobian;
pub mod jvp;
mod listed;
pub mod nn;
pub(crate) mod op;
pub mod ops;
pub mod optim;
mod partial;
pub mod random;
pub mod report;
mod tape;
pub mod tensor;
pub mod tree;
pub mod types;
pub mod vmap;
pub mod worker;

pub use array::Array;
pub use axisgrad_derive::Tree;
pub use checkpoint::checkpoint;
pub use control::{associative_scan, cond, fori_loop, map, scan, while_loop};
pub use custom::{custom_jvp, custom_vjp};
pub use dtype::DType;
pub use error::{Error, ErrorKind, Result};
pub use function::{A0, A1, A2, A3, A4, A5, A6, A7, Arg, Function};
pub use grad::{clipped_grad, global_norm, grad, grad_norms, value_and_grad, vjp};
pub use jacobian::{hessian, jacfwd, jacrev};
pub use jvp::{hvp, jvp, linear_transpose, linearize};
pub use tensor::Tensor;
pub use tree::Tree;
pub use types::{Axis, AxisSet, TensorType};
pub use vmap::vmap;
pub use worker::{Mesh, MeshArgs, Worker};

/// What a training program needs: `use axisgrad::prelude::*`.
pub mod prelude {
    pub use crate::ops::*;
    pub use crate::random::Key;
    pub use crate::worker::Bind;
    pub use crate::{
        A0, A1, A2, A3, A4, A5, A6, A7, Array, DType, Mesh, MeshArgs, Result, Tensor, Tree, Worker,
        associative_scan, checkpoint, clipped_grad, cond, custom_jvp, custom_vjp, fori_loop, global_norm,
        grad, grad_norms, hessian, hvp, jacfwd, jacrev, jvp, linear_transpose, linearize, map, scan,
        value_and_grad, vjp, vmap, while_loop,
    };
}
