//! Plain data that is part of a state.

use std::ops::{Deref, DerefMut};

use super::{Path, Tree};
use crate::array::Array;
use crate::tensor::Tensor;

/// A number (or a random key) that is a leaf: in a tree, plain data is carried along as a setting, while this is
/// state that changes, such as a count of steps, and is saved and restored with the tensors around it.
///
/// ```
/// use axisgrad::Tree;
/// use axisgrad::tree::Saved;
///
/// #[derive(Clone, Tree)]
/// struct Schedule {
///     steps: Saved<i64>,
///     warmup: i64, // a setting
/// }
///
/// let mut schedule = Schedule { steps: Saved(0), warmup: 100 };
/// *schedule.steps += 1;
/// assert_eq!(schedule.leaf_paths(), ["steps"]);
/// assert_eq!(schedule.leaves()[0].item::<i64>(), 1);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Saved<T>(pub T);

/// Plain data that an array can hold without loss.
pub trait Plain: Clone {
    /// The data as an array.
    fn to_array(&self) -> Array;

    /// The data that [`to_array`](Self::to_array) made the array of.
    ///
    /// # Panics
    /// If the array is of another type or length.
    fn from_array(array: &Array) -> Self;
}

impl<T: Plain> Tree for Saved<T> {
    fn visit(&self, path: &Path<'_>, visit: &mut dyn FnMut(&Path<'_>, &Tensor)) {
        visit(path, &self.0.to_array().into());
    }

    fn map(&self, path: &Path<'_>, map: &mut dyn FnMut(&Path<'_>, &Tensor) -> Tensor) -> Self {
        Self(T::from_array(&map(path, &self.0.to_array().into()).to_array()))
    }
}

impl<T> Deref for Saved<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Saved<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Plain for $type {
            fn to_array(&self) -> Array {
                Array::scalar(*self)
            }

            fn from_array(array: &Array) -> Self {
                array.item()
            }
        }
    )*};
}
numbers!(f32, f64, i32, i64, bool);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Key;

    #[test]
    fn what_is_saved_comes_back() {
        let key = Saved(Key::new(-5));
        assert_eq!(key.map_leaves(|leaf| leaf.clone()), key);
        assert_eq!(Saved(7i64).map_leaves(|_| Tensor::from(8i64)), Saved(8));
    }
}
