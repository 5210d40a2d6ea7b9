//! Counter-based random numbers: Threefry-2x32 with 20 rounds, the bits that JAX draws.
//!
//! J. Salmon, M. Moraes, R. Dror and D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. A draw is a
//! pure function of a key and of its index in the whole array. So every function here takes a range of *global*
//! indices, and a worker computes exactly its own part of the array that all workers draw together.

mod bits;
mod box_muller;
mod distributions;
mod gamma;

use std::ops::Range;

pub use bits::{Bits, Layout};
pub(super) use distributions::Float;
pub use distributions::{
    bernoulli, categorical, exponential, gumbel, normal, permutation, randint, truncated_normal, uniform,
};
pub use gamma::{gamma, log_gamma};

use crate::array::Array;
use crate::tree::{Path, Plain, Tree};

/// The seed of one stream of random numbers. A key is used once: derive new ones with [`Key::split`] and
/// [`Key::fold_in`] for everything else.
///
/// ```
/// use axisgrad::random::Key;
///
/// let [weights, dropout] = Key::new(0).split(2)[..] else { unreachable!() };
/// assert_ne!(weights, dropout);
/// assert_ne!(dropout.fold_in(17), dropout.fold_in(18)); // one for each step
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key(pub [u32; 2]);

impl Key {
    /// The key of a seed, whose high and low words it holds.
    pub const fn new(seed: i64) -> Self {
        Self([(seed as u64 >> 32) as u32, seed as u32])
    }

    /// `n` independent keys.
    pub fn split(self, n: usize) -> Vec<Key> {
        self.split_in(Layout::Partitionable, n)
    }

    /// [`Key::split`] in a counter layout of choice. Keys for the dims `[2,3]` are the six of `n = 6`, row-major.
    pub fn split_in(self, layout: Layout, n: usize) -> Vec<Key> {
        bits::split(self, layout, n, 0..n)
    }

    /// The key for `data`, such as a step or the index of a worker: a different stream for each.
    pub fn fold_in(self, data: u32) -> Key {
        Key(block(self, [0, data]))
    }

    /// Draws at the global indices `range` of an array of `total` elements.
    pub fn bits<B: Bits>(self, layout: Layout, total: usize, range: Range<usize>) -> Vec<B> {
        B::draw(self, layout, total, range)
    }
}

/// A key has no leaves: it is carried along unchanged, as plain data. One that changes during a run is
/// [`Saved`](crate::tree::Saved).
impl Tree for Key {
    fn visit(&self, _: &Path<'_>, _: &mut dyn FnMut(&Path<'_>, &crate::Tensor)) {}

    fn map(&self, _: &Path<'_>, _: &mut dyn FnMut(&Path<'_>, &crate::Tensor) -> crate::Tensor) -> Self {
        *self
    }
}

/// Two numbers, `i64[2]`: its words.
impl Plain for Key {
    fn to_array(&self) -> Array {
        Array::from_vec(self.0.map(i64::from).to_vec(), [2])
    }

    fn from_array(array: &Array) -> Self {
        let words = array.to_vec::<i64>();
        Self([words[0] as u32, words[1] as u32])
    }
}

/// The Threefry-2x32 block function, 20 rounds: a keyed bijection of pairs of words.
#[inline(always)]
pub const fn block(key: Key, counter: [u32; 2]) -> [u32; 2] {
    blocks(key, [counter])[0]
}

/// [`block`] of several counters, round by round: the rounds of one wait for each other.
#[inline(always)]
const fn blocks<const N: usize>(Key([k0, k1]): Key, counters: [[u32; 2]; N]) -> [[u32; 2]; N] {
    const EVEN: [u32; 4] = [13, 15, 26, 6];
    const ODD: [u32; 4] = [17, 29, 16, 24];
    let k2 = k0 ^ k1 ^ 0x1BD1_1BDA;
    let x = added(counters, [k0, k1]);
    let x = added(four_rounds(x, EVEN), [k1, k2.wrapping_add(1)]);
    let x = added(four_rounds(x, ODD), [k2, k0.wrapping_add(2)]);
    let x = added(four_rounds(x, EVEN), [k0, k1.wrapping_add(3)]);
    let x = added(four_rounds(x, ODD), [k1, k2.wrapping_add(4)]);
    added(four_rounds(x, EVEN), [k2, k0.wrapping_add(5)])
}

// In a loop over rounds the rotations would not be constants to the compiler.
#[inline(always)]
const fn four_rounds<const N: usize>(x: [[u32; 2]; N], [a, b, c, d]: [u32; 4]) -> [[u32; 2]; N] {
    round(round(round(round(x, a), b), c), d)
}

#[inline(always)]
const fn round<const N: usize>(mut x: [[u32; 2]; N], rotation: u32) -> [[u32; 2]; N] {
    let mut i = 0;
    while i < N {
        x[i][0] = x[i][0].wrapping_add(x[i][1]);
        x[i][1] = x[i][1].rotate_left(rotation) ^ x[i][0];
        i += 1;
    }
    x
}

#[inline(always)]
const fn added<const N: usize>(mut x: [[u32; 2]; N], [k0, k1]: [u32; 2]) -> [[u32; 2]; N] {
    let mut i = 0;
    while i < N {
        x[i] = [x[i][0].wrapping_add(k0), x[i][1].wrapping_add(k1)];
        i += 1;
    }
    x
}

#[cfg(test)]
mod tests;
