//! Short lists, collected.

use smallvec::{Array, SmallVec};

/// One for each operand of an op: most have no more than three.
pub(crate) type PerOperand<T> = SmallVec<[T; 3]>;

/// What an iterator gives, as a short list. `collect` looks after the room for it first, in code of some hundred bytes
/// at each place where it is called: too much for the two or three dims or operands that there mostly are.
pub(crate) trait Listed: Iterator + Sized {
    fn listed<A: Array<Item = Self::Item>>(self) -> SmallVec<A> {
        let mut list = SmallVec::new();
        self.for_each(|item| list.push(item));
        list
    }
}

impl<I: Iterator> Listed for I {}
