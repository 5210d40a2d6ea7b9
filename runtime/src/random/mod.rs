//! Random tensors: pure functions of a key, the same for any placement.
//!
//! ```
//! use axisgrad::DType;
//! use axisgrad::random::{Key, uniform};
//! let [weights, noise] = Key::new(0).split(2)[..] else { unreachable!() };
//! assert_eq!(uniform(weights, DType::F32, &[2, 3]).dims(), [2, 3]);
//! # let _ = noise;
//! ```

mod choice;
mod distributions;
mod noise;
pub mod placed;
pub mod threefry;

use std::ops::Range;

pub use choice::{categorical, choice, permutation};
pub use distributions::{
    bernoulli, dirichlet, exponential, gamma, gumbel, log_gamma, normal, randint, truncated_normal, uniform,
};
pub use noise::noisy_mean;
pub use threefry::Key;
use threefry::Layout;

use crate::dtype::Scalar;
use crate::tensor::Tensor;
use crate::types::{Axis, AxisSet};

const LAYOUT: Layout = Layout::Partitionable;

/// One draw for each position of an axis: row *i* of what [`uniform`] and the like draw with the axis as a first
/// dim. Each worker draws its own positions only, and the numbers do not depend on which these are.
///
/// `-> T[dims]{axis}`
///
/// ```
/// use axisgrad::prelude::*;
/// use axisgrad::random::{along, threefry};
/// # fn main() -> Result<()> {
/// # Mesh::builder().axes(["batch"]).threads(2).build()?.run(|w| -> Result<()> {
/// let normals = |total, range| threefry::normal::<f32>(w.key(0), threefry::Layout::default(), total, range);
/// let noise = along(&w.axis("batch", 256), &[64], normals);
/// assert_eq!(noise.ty().to_string(), "f32[64]{batch}");
/// # Ok(())
/// # })
/// # }
/// ```
pub fn along<T: Scalar>(
    axis: &Axis,
    dims: &[usize],
    numbers: impl Fn(usize, Range<usize>) -> Vec<T>,
) -> Tensor {
    placed::drawn(&AxisSet::new().with(axis).expect("the only axis"), dims, numbers)
}
