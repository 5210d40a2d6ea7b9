//! Trees: nested structures with tensors at the leaves (pytrees).
//!
//! Models, gradients, optimizer states and the arguments of `grad` are trees. A tree walks its own leaves, always
//! in the same order, and names each one by its [`Path`].

mod containers;
mod graft;
mod path;
mod saved;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

pub use graft::Graft;
pub use path::Path;
pub use saved::{Plain, Saved};

use crate::tensor::Tensor;

/// A nested structure with tensors at the leaves.
///
/// Tensors, tuples, `Vec`, arrays, `Option`, `Box`, `Rc`, `BTreeMap` and `HashMap` of trees are trees, and so is
/// plain data (numbers, strings): a tree without leaves, carried along unchanged. For a type of your own, write
/// `#[derive(Clone, Tree)]`, with `#[tree(skip)]` on the fields that are settings rather than tensors.
///
/// ```
/// use axisgrad::{Tensor, Tree};
///
/// #[derive(Clone, Tree)]
/// struct Linear {
///     weight: Tensor,
///     bias: Option<Tensor>,
///     #[tree(skip)]
///     activation: fn(&Tensor) -> Tensor,
/// }
///
/// let weight = Tensor::from([1.0, 2.0]);
/// let layer = Linear { weight, bias: Some(Tensor::from(0.5)), activation: Tensor::relu };
/// assert_eq!(layer.leaf_paths(), ["weight", "bias"]);
/// let doubled = layer.map_leaves(|leaf| leaf * 2.0);
/// assert_eq!(doubled.weight.to_vec::<f64>(), [2.0, 4.0]);
/// ```
pub trait Tree: Clone {
    /// Calls `visit` on every leaf in order with its path, below `path`.
    fn visit(&self, path: &Path<'_>, visit: &mut dyn FnMut(&Path<'_>, &Tensor));

    /// The same structure with every leaf replaced by what `map` makes of it, in the order of [`Tree::visit`].
    fn map(&self, path: &Path<'_>, map: &mut dyn FnMut(&Path<'_>, &Tensor) -> Tensor) -> Self;

    /// The leaves in order.
    fn leaves(&self) -> Vec<Tensor> {
        let mut leaves = Vec::new();
        self.visit(&Path::ROOT, &mut |_, leaf| leaves.push(leaf.clone()));
        leaves
    }

    /// The paths of the leaves in order, as text: `layers[0].bias`.
    fn leaf_paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.visit(&Path::ROOT, &mut |path, _| paths.push(path.to_string()));
        paths
    }

    /// The same structure with every leaf replaced by what `f` makes of it.
    fn map_leaves(&self, mut f: impl FnMut(&Tensor) -> Tensor) -> Self {
        self.map(&Path::ROOT, &mut |_, leaf| f(leaf))
    }

    /// The same structure with `f` of the two leaves at each path.
    ///
    /// # Panics
    /// When the two structures differ; the message names the first path that only one of them has.
    #[track_caller]
    fn zip_leaves(&self, other: &Self, f: impl FnMut(&Path<'_>, &Tensor, &Tensor) -> Tensor) -> Self {
        if let Some(difference) = difference(self, other) {
            panic!("zip_leaves: {difference}");
        }
        zip_same(self, other, f)
    }
}

/// [`Tree::zip_leaves`] of structures that are known to be the same.
#[track_caller]
pub(crate) fn zip_same<T: Tree>(
    left: &T,
    right: &T,
    mut f: impl FnMut(&Path<'_>, &Tensor, &Tensor) -> Tensor,
) -> T {
    let mut others = right.leaves().into_iter();
    left.map(&Path::ROOT, &mut |path, leaf| f(path, leaf, &others.next().expect("as many leaves")))
}

/// The structure of `tree` with other leaves, in order.
pub(crate) fn refill<T: Tree>(tree: &T, leaves: impl IntoIterator<Item = Tensor>) -> T {
    let mut leaves = leaves.into_iter();
    tree.map_leaves(|_| leaves.next().expect("as many leaves"))
}

/// How many leaves a tree has.
pub fn leaf_count(tree: &impl Tree) -> usize {
    let mut count = 0;
    tree.visit(&Path::ROOT, &mut |_, _| count += 1);
    count
}

/// What keeps two trees from having the same structure, in a sentence that names the first path where they part;
/// `None` when their leaves lie at the same paths.
pub fn difference(left: &impl Tree, right: &impl Tree) -> Option<String> {
    if fingerprint(left) == fingerprint(right) {
        return None;
    }
    let (left, right) = (left.leaf_paths(), right.leaf_paths());
    let at = left.iter().zip(&right).position(|(l, r)| l != r).unwrap_or(left.len().min(right.len()));
    let name =
        |paths: &[String]| paths.get(at).map_or("no more leaves".into(), |p| format!("a leaf at `{p}`"));
    Some(format!(
        "the trees differ in structure: the left one has {}, the right one {}\n   left:  {} leaves      right: {} leaves",
        name(&left),
        name(&right),
        left.len(),
        right.len()
    ))
}

/// A hash of all leaf paths. Structures are compared on every optimizer step, where text would be waste.
fn fingerprint(tree: &impl Tree) -> u64 {
    let mut hasher = DefaultHasher::new();
    tree.visit(&Path::ROOT, &mut |path, _| {
        path.hash(&mut hasher);
        hasher.write_u8(b'\n');
    });
    hasher.finish()
}

impl Tree for Tensor {
    fn visit(&self, path: &Path<'_>, visit: &mut dyn FnMut(&Path<'_>, &Tensor)) {
        visit(path, self);
    }

    fn map(&self, path: &Path<'_>, map: &mut dyn FnMut(&Path<'_>, &Tensor) -> Tensor) -> Self {
        map(path, self)
    }
}

#[cfg(test)]
mod tests;
