//! Raw bits: how counters are laid over the elements of an array, and words of 8 to 64 bits.

use std::ops::Range;

use super::{Key, block, blocks};
use crate::array::kernels::vectors::{Loop, widest};

/// Which counters the elements of an array draw from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Layout {
    /// Element `i` draws from counter `i`, whatever the size of the array: JAX's `jax_threefry_partitionable=True`,
    /// its default since 0.5.
    #[default]
    Partitionable,
    /// The counters of the first half of the words are paired with those of the second, so that a draw depends on
    /// the size of the array: JAX's default before 0.5.
    Paired,
}

/// Unsigned words that can be drawn: `u8`, `u16`, `u32`, `u64`.
pub trait Bits: Copy {
    /// The words at the global indices `range` of an array of `total`.
    fn draw(key: Key, layout: Layout, total: usize, range: Range<usize>) -> Vec<Self>;

    /// The same from index `first` on, into memory that is there.
    fn draw_into(key: Key, layout: Layout, total: usize, first: usize, words: &mut [Self]) {
        words.copy_from_slice(&Self::draw(key, layout, total, first..first + words.len()));
    }
}

impl Bits for u64 {
    fn draw(key: Key, layout: Layout, total: usize, range: Range<usize>) -> Vec<u64> {
        let pair = |i| match layout {
            Layout::Partitionable => block(key, counter(i)),
            Layout::Paired => [paired_word(key, 2 * total, i), paired_word(key, 2 * total, i + total)],
        };
        range.map(|i| join(pair(i))).collect()
    }
}

impl Bits for u32 {
    fn draw(key: Key, layout: Layout, total: usize, range: Range<usize>) -> Vec<u32> {
        let mut words = vec![0; range.len()];
        Self::draw_into(key, layout, total, range.start, &mut words);
        words
    }

    fn draw_into(key: Key, layout: Layout, total: usize, first: usize, words: &mut [u32]) {
        match layout {
            Layout::Partitionable => widest(Words { key, first, words }),
            Layout::Paired => {
                words.iter_mut().zip(first..).for_each(|(word, i)| *word = paired_word(key, total, i))
            }
        }
    }
}

impl Bits for u16 {
    fn draw(key: Key, layout: Layout, total: usize, range: Range<usize>) -> Vec<u16> {
        range.map(|i| narrow(key, layout, 2, total, i) as u16).collect()
    }
}

impl Bits for u8 {
    fn draw(key: Key, layout: Layout, total: usize, range: Range<usize>) -> Vec<u8> {
        range.map(|i| narrow(key, layout, 4, total, i) as u8).collect()
    }
}

/// Keys are drawn as 64-bit words, in the paired layout as two words in sequence: those at `range` of `n`.
pub(super) fn split(key: Key, layout: Layout, n: usize, range: Range<usize>) -> Vec<Key> {
    let pair = |i| match layout {
        Layout::Partitionable => block(key, counter(i)),
        Layout::Paired => [paired_word(key, 2 * n, 2 * i), paired_word(key, 2 * n, 2 * i + 1)],
    };
    range.map(|i| Key(pair(i))).collect()
}

#[inline(always)]
const fn counter(i: usize) -> [u32; 2] {
    [(i as u64 >> 32) as u32, i as u32]
}

#[inline(always)]
const fn join([high, low]: [u32; 2]) -> u64 {
    (high as u64) << 32 | low as u64
}

/// Blocks that are drawn together, for the vectors: as streams, since the rounds of a block wait for each other.
pub(super) const BLOCKS: usize = STREAMS * STREAM;
const STREAMS: usize = 4;
const STREAM: usize = 64;

/// The first words of [`BLOCKS`] blocks, and the second ones.
pub(super) struct BlockWords([[[u32; STREAM]; STREAMS]; 2]);

impl BlockWords {
    pub(super) const fn new() -> Self {
        Self([[[0; STREAM]; STREAMS]; 2])
    }

    /// Draws those of the blocks from number `first` on.
    #[inline(always)]
    pub(super) fn draw(&mut self, key: Key, first: usize) {
        let [high, low] = counter(first);
        if low.checked_add(BLOCKS as u32).is_none() {
            return self.draw_one_by_one(key, first);
        }
        let [heads, tails] = &mut self.0;
        for i in 0..STREAM as u32 {
            let counters = std::array::from_fn(|stream| [high, low + i + (stream * STREAM) as u32]);
            let words: [_; STREAMS] = blocks(key, counters);
            for (stream, [head, tail]) in words.into_iter().enumerate() {
                (heads[stream][i as usize], tails[stream][i as usize]) = (head, tail);
            }
        }
    }

    #[cold]
    fn draw_one_by_one(&mut self, key: Key, first: usize) {
        let [heads, tails] = self.both_mut();
        for (i, (head, tail)) in heads.iter_mut().zip(tails).enumerate() {
            [*head, *tail] = block(key, counter(first + i));
        }
    }

    #[inline(always)]
    pub(super) fn both_mut(&mut self) -> [&mut [u32]; 2] {
        self.0.each_mut().map(|words| words.as_flattened_mut())
    }
}

/// The words from number `first` on.
struct Words<'a> {
    key: Key,
    first: usize,
    words: &'a mut [u32],
}

impl Loop for Words<'_> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        let mut drawn = BlockWords::new();
        for (i, words) in self.words.chunks_mut(BLOCKS).enumerate() {
            drawn.draw(self.key, self.first + i * BLOCKS);
            let [heads, tails] = drawn.both_mut();
            for ((word, head), tail) in words.iter_mut().zip(heads).zip(tails) {
                *word = *head ^ *tail;
            }
        }
    }
}

#[inline(always)]
fn mixed_word(key: Key, i: usize) -> u32 {
    let [high, low] = block(key, counter(i));
    high ^ low
}

/// Word `i` of `total` words: the counters `0..total`, rounded up to an even number with a counter of zero, are cut
/// in half, and counter `j` shares its block with counter `j + half`.
fn paired_word(key: Key, total: usize, i: usize) -> u32 {
    let half = total.div_ceil(2);
    let first = i % half;
    let second = if first + half < total { first + half } else { 0 };
    block(key, [first as u32, second as u32])[i / half]
}

/// A word whose low bits are element `i`, where `per_word` elements share a word of the paired layout.
fn narrow(key: Key, layout: Layout, per_word: usize, total: usize, i: usize) -> u32 {
    match layout {
        Layout::Partitionable => mixed_word(key, i),
        Layout::Paired => {
            let word = paired_word(key, total.div_ceil(per_word), i / per_word);
            word >> (i % per_word * (32 / per_word))
        }
    }
}
