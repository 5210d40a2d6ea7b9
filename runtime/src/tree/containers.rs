//! The trees that the standard library provides.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::rc::Rc;

use super::{Path, Tree};
use crate::tensor::Tensor;

type Visit<'f> = &'f mut dyn FnMut(&Path<'_>, &Tensor);
type Map<'f> = &'f mut dyn FnMut(&Path<'_>, &Tensor) -> Tensor;

macro_rules! plain {
    ($($(#[$generic:ident])? $type:ty),* $(,)?) => {$(
        impl $(<$generic>)? Tree for $type {
            fn visit(&self, _: &Path<'_>, _: Visit<'_>) {}

            fn map(&self, _: &Path<'_>, _: Map<'_>) -> Self {
                self.clone()
            }
        }
    )*};
}
plain!((), bool, char, String, &'static str, f32, f64, #[T] PhantomData<T>);
plain!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);

macro_rules! tuples {
    ($(($($tree:ident $index:tt),+))*) => {$(
        impl<$($tree: Tree),+> Tree for ($($tree,)+) {
            fn visit(&self, path: &Path<'_>, visit: Visit<'_>) {
                $(self.$index.visit(&path.field(stringify!($index)), visit);)+
            }

            fn map(&self, path: &Path<'_>, map: Map<'_>) -> Self {
                ($(self.$index.map(&path.field(stringify!($index)), map),)+)
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
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}

impl<T: Tree> Tree for Vec<T> {
    fn visit(&self, path: &Path<'_>, visit: Visit<'_>) {
        self.iter().enumerate().for_each(|(i, item)| item.visit(&path.key(&i), visit));
    }

    fn map(&self, path: &Path<'_>, map: Map<'_>) -> Self {
        self.iter().enumerate().map(|(i, item)| item.map(&path.key(&i), map)).collect()
    }
}

impl<T: Tree, const N: usize> Tree for [T; N] {
    fn visit(&self, path: &Path<'_>, visit: Visit<'_>) {
        self.iter().enumerate().for_each(|(i, item)| item.visit(&path.key(&i), visit));
    }

    fn map(&self, path: &Path<'_>, map: Map<'_>) -> Self {
        std::array::from_fn(|i| self[i].map(&path.key(&i), map))
    }
}

/// `None` is a tree without leaves.
impl<T: Tree> Tree for Option<T> {
    fn visit(&self, path: &Path<'_>, visit: Visit<'_>) {
        self.iter().for_each(|tree| tree.visit(path, visit));
    }

    fn map(&self, path: &Path<'_>, map: Map<'_>) -> Self {
        self.as_ref().map(|tree| tree.map(path, map))
    }
}

impl<T: Tree> Tree for Box<T> {
    fn visit(&self, path: &Path<'_>, visit: Visit<'_>) {
        (**self).visit(path, visit);
    }

    fn map(&self, path: &Path<'_>, map: Map<'_>) -> Self {
        Box::new((**self).map(path, map))
    }
}

/// Each place that holds an `Rc` counts: a subtree shared by two fields is two subtrees to every function on trees.
impl<T: Tree> Tree for Rc<T> {
    fn visit(&self, path: &Path<'_>, visit: Visit<'_>) {
        (**self).visit(path, visit);
    }

    fn map(&self, path: &Path<'_>, map: Map<'_>) -> Self {
        Rc::new((**self).map(path, map))
    }
}

impl<K: Ord + Clone + Debug, T: Tree> Tree for BTreeMap<K, T> {
    fn visit(&self, path: &Path<'_>, visit: Visit<'_>) {
        self.iter().for_each(|(key, item)| item.visit(&path.key(key), visit));
    }

    fn map(&self, path: &Path<'_>, map: Map<'_>) -> Self {
        self.iter().map(|(key, item)| (key.clone(), item.map(&path.key(key), map))).collect()
    }
}

/// The leaves come in the order of the sorted keys, so that every worker sees them alike.
impl<K: Ord + Clone + Debug + Hash, T: Tree, S: BuildHasher + Default + Clone> Tree for HashMap<K, T, S> {
    fn visit(&self, path: &Path<'_>, visit: Visit<'_>) {
        sorted(self).into_iter().for_each(|(key, item)| item.visit(&path.key(key), visit));
    }

    fn map(&self, path: &Path<'_>, map: Map<'_>) -> Self {
        sorted(self).into_iter().map(|(key, item)| (key.clone(), item.map(&path.key(key), map))).collect()
    }
}

fn sorted<K: Ord, T, S>(map: &HashMap<K, T, S>) -> Vec<(&K, &T)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_unstable_by_key(|&(key, _)| key);
    entries
}
