//! Distributions, each a pure function of bits.

use std::f64::consts::SQRT_2;
use std::ops::Range;

use super::box_muller::normal_pairs;
use super::{Bits, Key, Layout};
use crate::array::erf_inv::{erf_inv, erf_inv_centre, erf_inv_single};
use crate::array::kernels::vectors::{Loop, widest};

/// Words that are drawn at a time, to be read while they are in the first-level cache.
const CHUNK: usize = 512;

/// Floats that distributions are drawn in: `f32` from 32 bits, `f64` from 64.
pub trait Float: Copy + PartialOrd {
    /// From 0 (included) to 1 (not included): the mantissa of a number between 1 and 2, less 1.
    fn unit(key: Key, layout: Layout, total: usize, range: Range<usize>) -> Vec<Self>;
    /// `self * scale + offset`, in this type.
    fn scaled(self, scale: Self, offset: Self) -> Self;
    /// `high - low`, in this type.
    fn span(low: Self, high: Self) -> Self;
    /// See [`normal`]: those from index `first` on. In one loop, which becomes vector code in `f32`.
    fn normals(key: Key, layout: Layout, total: usize, first: usize, out: &mut [Self]);
    /// Standard normals from index `first` on, by the cheapest way: [`normal_pairs`] in `f32`, in `f64`, where each
    /// takes a whole block, [`normal`].
    fn noise(key: Key, first: usize, out: &mut [Self]);
    /// Nearest value of this type.
    fn from_f64(x: f64) -> Self;
    /// The same value.
    fn to_f64(self) -> f64;
    /// The smallest positive normal number, and the number next to -1 on the side of zero.
    const TINY_AND_ABOVE_MINUS_ONE: (Self, Self);
}

macro_rules! floats {
    ($($float:ident from $word:ident, noise $noise:expr;)*) => {$(
        impl OfWord<$word> for $float {
            #[inline(always)]
            fn of_word(word: $word) -> Self {
                const MANTISSA: u32 = $float::MANTISSA_DIGITS - 1;
                $float::from_bits(word >> ($word::BITS - MANTISSA) | $float::to_bits(1.0)) - 1.0
            }
        }

        impl Float for $float {
            fn unit(key: Key, layout: Layout, total: usize, range: Range<usize>) -> Vec<Self> {
                let bits = $word::draw(key, layout, total, range);
                bits.into_iter().map(|bits| Self::of_word(bits)).collect()
            }

            #[inline(always)]
            fn scaled(self, scale: Self, offset: Self) -> Self {
                self * scale + offset
            }

            #[inline(always)]
            fn span(low: Self, high: Self) -> Self {
                high - low
            }

            fn normals(key: Key, layout: Layout, total: usize, first: usize, out: &mut [Self]) {
                let mut words = [0; CHUNK];
                for (i, out) in out.chunks_mut(CHUNK).enumerate() {
                    let words = &mut words[..out.len()];
                    $word::draw_into(key, layout, total, first + i * CHUNK, words);
                    widest(Normals(words, out));
                }
            }

            fn noise(key: Key, first: usize, out: &mut [Self]) {
                $noise(key, first, out);
            }

            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                x as $float
            }

            fn to_f64(self) -> f64 {
                self.into()
            }

            const TINY_AND_ABOVE_MINUS_ONE: (Self, Self) =
                ($float::MIN_POSITIVE, -1.0 + $float::EPSILON / 2.0);
        }
    )*};
}
/// The number from 0 to 1 (not included) whose mantissa is the first bits of a word.
trait OfWord<W> {
    fn of_word(word: W) -> Self;
}

floats! {
    f32 from u32, noise normal_pairs;
    f64 from u64, noise |key, first, out| Self::normals(key, Layout::Partitionable, 0, first, out);
}

/// Uniform between -1 and 1, neither of them included.
#[inline(always)]
fn around_zero<W, F: OfWord<W> + Float>(word: W) -> F {
    let low = F::TINY_AND_ABOVE_MINUS_ONE.1;
    let u = F::of_word(word).scaled(F::span(low, F::from_f64(1.0)), low);
    if u < low { low } else { u }
}

#[inline(always)]
fn any_normals(words: &[u32], out: &mut [f32]) {
    for (&word, x) in words.iter().zip(out) {
        *x = SQRT_2 as f32 * erf_inv_single(around_zero(word));
    }
}

/// A normal for each word.
struct Normals<'a, W, F>(&'a [W], &'a mut [F]);

impl Loop for Normals<'_, u32, f32> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        const SOME: usize = 16;
        let (words, last_words) = self.0.as_chunks::<SOME>();
        let (some, last) = self.1.as_chunks_mut::<SOME>();
        for (words, some) in words.iter().zip(some) {
            let mut all_near = true;
            for (&word, x) in words.iter().zip(&mut *some) {
                let (y, is_near) = erf_inv_centre(around_zero(word));
                *x = SQRT_2 as f32 * y;
                all_near &= is_near;
            }
            if !all_near {
                any_normals(words, some);
            }
        }
        any_normals(last_words, last);
    }
}

impl Loop for Normals<'_, u64, f64> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        self.0.iter().zip(self.1).for_each(|(&word, x)| *x = SQRT_2 * erf_inv(around_zero(word)));
    }
}

/// Uniform from `low` (included) to `high`, at the global indices `range` of an array of `total` elements.
pub fn uniform<F: Float>(
    key: Key,
    layout: Layout,
    [low, high]: [F; 2],
    total: usize,
    range: Range<usize>,
) -> Vec<F> {
    let span = F::span(low, high);
    let at_least = |x: F| if x < low { low } else { x };
    let unit = F::unit(key, layout, total, range);
    unit.into_iter().map(|x| at_least(x.scaled(span, low))).collect()
}

/// Standard normal: `sqrt(2) erf_inv(u)` of `u` uniform between -1 and 1.
pub fn normal<F: Float>(key: Key, layout: Layout, total: usize, range: Range<usize>) -> Vec<F> {
    let mut normals = vec![F::from_f64(0.0); range.len()];
    F::normals(key, layout, total, range.start, &mut normals);
    normals
}

/// Standard normal between `low` and `high`.
pub fn truncated_normal<F: Float>(
    key: Key,
    layout: Layout,
    [low, high]: [f64; 2],
    total: usize,
    range: Range<usize>,
) -> Vec<F> {
    let bounds = [low, high].map(|bound| F::from_f64(libm::erf(bound / SQRT_2)));
    let inside = |x: f64| x.clamp(low.next_up(), high.next_down());
    let u = uniform(key, layout, bounds, total, range);
    u.into_iter().map(|u| F::from_f64(inside(SQRT_2 * erf_inv(u.to_f64())))).collect()
}

/// `true` with probability `p`.
pub fn bernoulli<F: Float>(key: Key, layout: Layout, p: F, total: usize, range: Range<usize>) -> Vec<bool> {
    F::unit(key, layout, total, range).into_iter().map(|u| u < p).collect()
}

/// Exponential with rate 1.
pub fn exponential<F: Float>(key: Key, layout: Layout, total: usize, range: Range<usize>) -> Vec<F> {
    let u = F::unit(key, layout, total, range);
    u.into_iter().map(|u| F::from_f64(-(-u.to_f64()).ln_1p())).collect()
}

/// Standard Gumbel: `-log(-log(u))`.
pub fn gumbel<F: Float>(key: Key, layout: Layout, total: usize, range: Range<usize>) -> Vec<F> {
    let (tiny, _) = F::TINY_AND_ABOVE_MINUS_ONE;
    let u = uniform(key, layout, [tiny, F::from_f64(1.0)], total, range);
    u.into_iter().map(|u| F::from_f64(-(-u.to_f64().ln()).ln())).collect()
}

/// Draws among `logits.len()` classes with the probabilities `softmax(logits)`: `range` of `total` draws.
pub fn categorical(
    key: Key,
    layout: Layout,
    logits: &[f64],
    total: usize,
    range: Range<usize>,
) -> Vec<usize> {
    let classes = logits.len();
    let noise: Vec<f64> = gumbel(key, layout, total * classes, range.start * classes..range.end * classes);
    noise.chunks(classes).map(|noise| argmax(noise.iter().zip(logits).map(|(g, l)| g + l))).collect()
}

fn argmax(values: impl Iterator<Item = f64>) -> usize {
    let best = values.enumerate().reduce(|best, item| if item.1 > best.1 { item } else { best });
    best.map_or(0, |(i, _)| i)
}

/// Integers that can be drawn from an interval: `i32` from two words of 32 bits, `i64` from two of 64.
pub trait Integer: Sized {
    /// Uniform from `low` (included) to `high` (not included); always `low` where the interval is empty.
    fn randint(key: Key, layout: Layout, bounds: [Self; 2], total: usize, range: Range<usize>) -> Vec<Self>;
}

macro_rules! integers {
    ($($int:ident from $word:ident),*) => {$(
        impl Integer for $int {
            fn randint(
                key: Key,
                layout: Layout,
                [low, high]: [Self; 2],
                total: usize,
                range: Range<usize>,
            ) -> Vec<Self> {
                let span = if high > low { high.wrapping_sub(low) as $word } else { 1 };
                let half = (1 << ($word::BITS / 2)) % span;
                let shift = half.wrapping_mul(half) % span;
                let [upper, lower] = [0, 1].map(|i| {
                    $word::draw(key.split_in(layout, 2)[i], layout, total, range.clone())
                });
                let offset =
                    |(u, l): ($word, $word)| (u % span).wrapping_mul(shift).wrapping_add(l % span) % span;
                upper.into_iter().zip(lower).map(|pair| low.wrapping_add(offset(pair) as $int)).collect()
            }
        }
    )*};
}
integers!(i32 from u32, i64 from u64);

/// Uniform integers from `low` (included) to `high` (not included).
pub fn randint<I: Integer>(
    key: Key,
    layout: Layout,
    bounds: [I; 2],
    total: usize,
    range: Range<usize>,
) -> Vec<I> {
    I::randint(key, layout, bounds, total, range)
}

/// A random order of `0..n`: as many rounds of sorting by random words as make equal words harmless.
pub fn permutation(key: Key, layout: Layout, n: usize) -> Vec<usize> {
    let rounds = (3.0 * (n.max(1) as f64).ln() / f64::from(u32::MAX).ln()).ceil() as usize;
    let mut key = key;
    let mut order: Vec<usize> = (0..n).collect();
    for _ in 0..rounds {
        let keys = key.split_in(layout, 2);
        order = sorted_by(&u32::draw(keys[1], layout, n, 0..n), &order);
        key = keys[0];
    }
    order
}

fn sorted_by(words: &[u32], order: &[usize]) -> Vec<usize> {
    let mut at: Vec<usize> = (0..words.len()).collect();
    at.sort_by_key(|&i| words[i]);
    at.into_iter().map(|i| order[i]).collect()
}
