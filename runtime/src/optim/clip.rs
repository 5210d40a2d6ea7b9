//! Gradients of a limited size.

use crate::Tree;
use crate::ops::{cast, norm, stack, where_};
use crate::tensor::Tensor;

/// The Euclidean norm of all leaves together: `-> f32[]`.
///
/// ```
/// use axisgrad::{Tensor, optim::global_norm};
/// let gradient = (Tensor::from([3.0]), Tensor::from([0.0, 4.0]));
/// assert_eq!(global_norm(&gradient).item::<f64>(), 5.0);
/// ```
///
/// # Panics
/// If the tree has no leaf.
#[track_caller]
pub fn global_norm(tree: &impl Tree) -> Tensor {
    let norms: Vec<Tensor> = tree.leaves().iter().map(|leaf| norm(leaf, ())).collect();
    assert!(!norms.is_empty(), "global_norm: the tree has no leaf");
    norm(&stack(&norms.iter().collect::<Vec<_>>(), 0), ())
}

/// `tree` scaled down to the norm `most` if its [`global_norm`] is larger, and that norm as it was (Pascanu, Mikolov
/// and Bengio, *On the difficulty of training recurrent neural networks*, 2013). Every leaf keeps its dtype.
///
/// # Panics
/// If the tree has no leaf.
#[track_caller]
pub fn clip_by_global_norm<M: Tree>(tree: &M, most: f64) -> (M, Tensor) {
    let size = global_norm(tree);
    let scale = where_(size.le(most), 1.0, most / &size);
    (tree.map_leaves(|leaf| leaf * cast(&scale, leaf.dtype())), size)
}
