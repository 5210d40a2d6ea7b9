//! Trees of trees: what a derivative of a tree by a tree is.

use std::collections::BTreeMap;

use super::Tree;
use crate::tensor::Tensor;

/// A tree in which another one can take the place of every leaf: the Jacobian of a pair by `G` is a pair of `G`s.
pub trait Graft: Tree {
    /// The structure with a `G` at each leaf.
    type Of<G: Tree>: Tree;

    /// Puts what `make` gives in the place of each leaf, in the order of [`Tree::visit`].
    fn graft<G: Tree>(&self, make: &mut dyn FnMut(&Tensor) -> G) -> Self::Of<G>;
}

impl Graft for Tensor {
    type Of<G: Tree> = G;

    fn graft<G: Tree>(&self, make: &mut dyn FnMut(&Tensor) -> G) -> G {
        make(self)
    }
}

macro_rules! tuples {
    ($(($($tree:ident $index:tt),+))*) => {$(
        impl<$($tree: Graft),+> Graft for ($($tree,)+) {
            type Of<G: Tree> = ($($tree::Of<G>,)+);

            fn graft<G: Tree>(&self, make: &mut dyn FnMut(&Tensor) -> G) -> Self::Of<G> {
                ($(self.$index.graft(make),)+)
            }
        }
    )*};
}
tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, H 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, H 6, I 7)
}

impl<T: Graft> Graft for Vec<T> {
    type Of<G: Tree> = Vec<T::Of<G>>;

    fn graft<G: Tree>(&self, make: &mut dyn FnMut(&Tensor) -> G) -> Self::Of<G> {
        self.iter().map(|item| item.graft(make)).collect()
    }
}

impl<T: Graft, const N: usize> Graft for [T; N] {
    type Of<G: Tree> = [T::Of<G>; N];

    fn graft<G: Tree>(&self, make: &mut dyn FnMut(&Tensor) -> G) -> Self::Of<G> {
        std::array::from_fn(|i| self[i].graft(make))
    }
}

impl<T: Graft> Graft for Option<T> {
    type Of<G: Tree> = Option<T::Of<G>>;

    fn graft<G: Tree>(&self, make: &mut dyn FnMut(&Tensor) -> G) -> Self::Of<G> {
        self.as_ref().map(|tree| tree.graft(make))
    }
}

impl<K: Ord + Clone + std::fmt::Debug, T: Graft> Graft for BTreeMap<K, T> {
    type Of<G: Tree> = BTreeMap<K, T::Of<G>>;

    fn graft<G: Tree>(&self, make: &mut dyn FnMut(&Tensor) -> G) -> Self::Of<G> {
        self.iter().map(|(key, item)| (key.clone(), item.graft(make))).collect()
    }
}
