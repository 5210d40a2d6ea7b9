//! Gradients of a limited size.

use crate::ops::{cast, where_};
use crate::tensor::Tensor;
use crate::{Tree, global_norm};

/// `tree` scaled down to the norm `most` if its [`global_norm`] is larger, and that norm as it was (Pascanu, Mikolov
/// and Bengio, *On the difficulty of training recurrent neural networks*, 2013). Every leaf keeps its dtype.
///
/// # Panics
/// If the tree has no leaf, or `most` is below 0.
#[track_caller]
pub fn clip_by_global_norm<M: Tree>(tree: &M, most: f64) -> (M, Tensor) {
    assert!(most >= 0.0, "clip_by_global_norm: no norm is at most {most}");
    let size = global_norm(tree);
    let scale = where_(size.le(most), 1.0, most / &size);
    (tree.map_leaves(|leaf| leaf * cast(&scale, leaf.dtype())), size)
}
