//! Attention of one head of queries, block by block.
//!
//! A block of rows of scores stays in the second-level cache from the product that makes it to the products that use
//! it, and backward makes it once more instead of reading it (Dao, Fu, Ermon, Rudra and Ré, *FlashAttention*, 2022).
//! Keys that a causal query does not see are not multiplied, but for the tiles that the diagonal runs through. The
//! order of each sum is decided by the dims alone.

use std::ops::Range;

use super::tile;
pub(super) use super::tile::Rows;
use super::vectors::{Loop, Vectors, vectors, widest};
use crate::array::number::Inexact;
use crate::dtype::Real;

/// Queries whose scores are there at once: whole tiles of any height.
const BLOCK: usize = 48;
/// Rows of a tile where the processor has no vectors for it.
const PLAIN: usize = 4;
/// Sums that run side by side in a row.
const SIDES: usize = 8;

/// The dims of one head, and what all heads of a call have in common.
#[derive(Clone, Copy)]
pub(super) struct Head<T> {
    pub queries: usize,
    pub keys: usize,
    /// Elements of a query and of a key.
    pub width: usize,
    /// Elements of a value.
    pub value: usize,
    pub scale: T,
    /// Whether query `i` sees keys `0..=i` only.
    pub causal: bool,
}

/// Rows that are written, `stride` apart.
pub(super) struct RowsMut<'a, T> {
    pub data: &'a mut [T],
    pub stride: usize,
}

impl<T: Real> RowsMut<'_, T> {
    /// Writes the first columns of rows that lie side by side to these rows; each times a scale, if there are any.
    #[inline(always)]
    fn write(&mut self, rows: Range<usize>, width: usize, from: (&[T], usize), scales: Option<&[T]>) {
        for (i, (at, row)) in rows.zip(from.0.chunks_exact(from.1)).enumerate() {
            let to = &mut self.data[at * self.stride..][..width];
            match scales {
                Some(scales) => to.iter_mut().zip(row).for_each(|(to, &x)| *to = x * scales[i]),
                None => to.iter_mut().zip(row).for_each(|(to, &x)| *to = x),
            }
        }
    }
}

impl<T: Real> Rows<'_, T> {
    /// A copy with rows of `stride`.
    #[inline(always)]
    fn copied(self, rows: usize, width: usize, stride: usize, to: &mut [T]) {
        for (i, to) in to.chunks_exact_mut(stride).take(rows).enumerate() {
            let row = &self.data[i * self.row_stride..][..width];
            to.iter_mut().zip(row).for_each(|(to, &x)| *to = x);
        }
    }

    /// The transpose times `scale`, with rows of `stride`.
    #[inline(always)]
    fn transposed(self, rows: usize, width: usize, scale: T, stride: usize, to: &mut [T]) {
        for i in 0..rows {
            let row = &self.data[i * self.row_stride..][..width];
            for (to, &x) in to[i..].iter_mut().step_by(stride).zip(row) {
                *to = x * scale;
            }
        }
    }
}

impl<T> Head<T> {
    /// How many keys some of the queries before `end` see.
    #[inline(always)]
    fn seen(&self, end: usize) -> usize {
        if self.causal { self.keys.min(end) } else { self.keys }
    }

    /// Elements of memory that any of the loops needs.
    pub fn memory(&self) -> usize {
        // A tile is never larger.
        let pad = |n: usize| n.next_multiple_of(12) + 32;
        let [queries, keys, width, value] = [self.queries, self.keys, self.width, self.value].map(pad);
        3 * keys * (width + value) + queries * (width + value) + BLOCK * (2 * keys + width + value)
    }
}

/// Runs `$loop` with tiles that fit the processor.
macro_rules! with_tiles {
    ($element:ident, $loop:ident $fields:tt) => {
        match (vectors(), size_of::<$element>()) {
            #[cfg(target_arch = "aarch64")]
            (Some(Vectors::Bytes16), 4) => widest($loop::<$element, { tile::ROWS_16 }, 8> $fields),
            #[cfg(target_arch = "aarch64")]
            (Some(Vectors::Bytes16), _) => widest($loop::<$element, { tile::ROWS_16 }, 4> $fields),
            #[cfg(target_arch = "x86_64")]
            (Some(Vectors::Bytes64), 4) => widest($loop::<$element, { tile::ROWS_64 }, 32> $fields),
            #[cfg(target_arch = "x86_64")]
            (Some(Vectors::Bytes64), _) => widest($loop::<$element, { tile::ROWS_64 }, 16> $fields),
            #[cfg(target_arch = "x86_64")]
            (Some(Vectors::Bytes32), 4) => widest($loop::<$element, { tile::ROWS_32 }, 16> $fields),
            #[cfg(target_arch = "x86_64")]
            (Some(Vectors::Bytes32), _) => widest($loop::<$element, { tile::ROWS_32 }, 8> $fields),
            (None, _) => widest($loop::<$element, PLAIN, 8> $fields),
        }
    };
}

/// The values that the queries take: `out = softmax(q·kᵀ·scale)·v`. With `again`, keys and values are those of the last
/// call, and still in memory.
pub(super) fn forward<T: Real + Inexact>(
    head: Head<T>,
    q: Rows<T>,
    [k, v]: [Rows<T>; 2],
    again: bool,
    out: RowsMut<T>,
    memory: &mut [T],
) {
    with_tiles!(T, Forward { head, q, k, v, again, out, memory });
}

/// See [`forward`].
struct Forward<'a, T, const R: usize, const C: usize> {
    head: Head<T>,
    q: Rows<'a, T>,
    k: Rows<'a, T>,
    v: Rows<'a, T>,
    again: bool,
    out: RowsMut<'a, T>,
    memory: &'a mut [T],
}

impl<T: Real + Inexact, const R: usize, const C: usize> Loop for Forward<'_, T, R, C> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        let Self { head, q, k, v, again, mut out, mut memory } = self;
        let Head { queries, width, keys, value, .. } = head;
        let tiles = Tiles::<T, R, C> { head };
        let n = tiles.padded(keys);
        let [d, e] = [width, value].map(|n| n.next_multiple_of(C));
        let kt = take(&mut memory, width * n);
        let values = take(&mut memory, keys * e);
        let own = take(&mut memory, queries.next_multiple_of(R) * d);
        let scores = take(&mut memory, BLOCK * n);
        let sums = take(&mut memory, BLOCK * e);
        if !again {
            k.transposed(keys, width, head.scale, n, kt);
            v.copied(keys, value, e, values);
        }
        q.copied(queries, width, d, own);
        for block in blocks(queries) {
            let seen = head.seen(block.end);
            tiles.scores(&block, (own, d), (kt, n), width, scores);
            let mut shares = [T::ZERO; BLOCK];
            for ((i, row), share) in block.clone().zip(scores.chunks_exact_mut(n)).zip(&mut shares) {
                *share = exponentials(&mut row[..tiles.padded(seen)], head.seen(i + 1)).recip();
            }
            tiles.weighted(&block, (scores, n), (values, e), sums);
            out.write(block, value, (sums, e), Some(&shares));
        }
    }
}

/// Operands and results of [`backward`].
pub(super) struct Pulled<'a, T> {
    pub q: Rows<'a, T>,
    pub k: Rows<'a, T>,
    pub v: Rows<'a, T>,
    /// The cotangents of what the queries take.
    pub ct: Rows<'a, T>,
    pub dq: RowsMut<'a, T>,
    pub dk: RowsMut<'a, T>,
    pub dv: RowsMut<'a, T>,
}

/// The cotangents of queries, keys and values. Of heads that share keys and values, those of the latter are written
/// after the last, and are the sums of all; these calls come one after the other with the same memory.
pub(super) fn backward<T: Real + Inexact>(
    head: Head<T>,
    at: Pulled<T>,
    [first, last]: [bool; 2],
    memory: &mut [T],
) {
    with_tiles!(T, Backward { head, at, first, last, memory });
}

/// See [`backward`].
struct Backward<'a, T, const R: usize, const C: usize> {
    head: Head<T>,
    at: Pulled<'a, T>,
    first: bool,
    last: bool,
    memory: &'a mut [T],
}

impl<T: Real + Inexact, const R: usize, const C: usize> Loop for Backward<'_, T, R, C> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        let Self { head, at: Pulled { q, k, v, ct, mut dq, mut dk, mut dv }, first, last, mut memory } = self;
        let Head { queries, width, keys, value, .. } = head;
        let tiles = Tiles::<T, R, C> { head };
        let n = tiles.padded(keys);
        let [d, e] = [width, value].map(|n| n.next_multiple_of(C));
        let (rows, sums) = (queries.next_multiple_of(R), keys.next_multiple_of(R));
        let (kt, vt) = (take(&mut memory, width * n), take(&mut memory, value * n));
        let (own_k, own_q) = (take(&mut memory, keys * d), take(&mut memory, rows * d));
        let own_ct = take(&mut memory, rows * e);
        let (sum_k, sum_v) = (take(&mut memory, sums * d), take(&mut memory, sums * e));
        let (weights, pulled) = (take(&mut memory, BLOCK * n), take(&mut memory, BLOCK * n));
        let block_q = take(&mut memory, BLOCK * d);
        if first {
            k.transposed(keys, width, head.scale, n, kt);
            v.transposed(keys, value, T::ONE, n, vt);
            k.copied(keys, width, d, own_k);
            sum_k.fill(T::ZERO);
            sum_v.fill(T::ZERO);
        }
        q.copied(queries, width, d, own_q);
        ct.copied(queries, value, e, own_ct);
        for block in blocks(queries) {
            let seen = tiles.padded(head.seen(block.end));
            tiles.scores(&block, (own_q, d), (kt, n), width, weights);
            tiles.scores(&block, (own_ct, e), (vt, n), value, pulled);
            let rows = weights.chunks_exact_mut(n).zip(pulled.chunks_exact_mut(n));
            for (i, (weights, pulled)) in block.clone().zip(rows) {
                let (weights, pulled) = (&mut weights[..seen], &mut pulled[..seen]);
                let share = exponentials(weights, head.seen(i + 1)).recip();
                pull(weights, pulled, head.seen(i + 1), share, head.scale);
            }
            tiles.weighted(&block, (pulled, n), (own_k, d), block_q);
            dq.write(block.clone(), width, (block_q, d), None);
            tiles.by_key(&block, (weights, n), (own_ct, e), sum_v);
            tiles.by_key(&block, (pulled, n), (own_q, d), sum_k);
        }
        if last {
            dk.write(0..keys, width, (sum_k, d), None);
            dv.write(0..keys, value, (sum_v, e), None);
        }
    }
}

/// Takes the first `len` elements off.
#[inline(always)]
fn take<'a, T>(memory: &mut &'a mut [T], len: usize) -> &'a mut [T] {
    let (first, rest) = std::mem::take(memory).split_at_mut(len);
    *memory = rest;
    first
}

#[inline(always)]
fn blocks(queries: usize) -> impl Iterator<Item = Range<usize>> {
    (0..queries).step_by(BLOCK).map(move |start| start..queries.min(start + BLOCK))
}

/// Turns the first `seen` scores of a row into exponentials, and the others into zeros; their sum.
#[inline(always)]
fn exponentials<T: Real + Inexact>(row: &mut [T], seen: usize) -> T {
    row[seen..].fill(T::neg_infinity());
    let (own, rest) = row.split_at_mut(seen.next_multiple_of(SIDES));
    let top = folded(own, T::neg_infinity(), |top, x| if x > top || x.is_nan() { x } else { top });
    own.iter_mut().for_each(|x| *x = (*x - top).exponential());
    own[seen..].fill(T::ZERO);
    rest.fill(T::ZERO);
    folded(own, T::ZERO, |sum, x| sum + x)
}

/// Turns exponentials into weights `y`, and their cotangents into `scale·y·(ct - Σ y·ct)`; those after the first `seen`
/// into zeros.
#[inline(always)]
fn pull<T: Real>(weights: &mut [T], cts: &mut [T], seen: usize, share: T, scale: T) {
    cts[seen..].fill(T::ZERO);
    let end = seen.next_multiple_of(SIDES);
    let (weights, cts) = (&mut weights[..end], &mut cts[..end]);
    let mut sums = [T::ZERO; SIDES];
    for (ys, cts) in weights.as_chunks_mut::<SIDES>().0.iter_mut().zip(cts.as_chunks::<SIDES>().0) {
        for ((sum, y), &ct) in sums.iter_mut().zip(ys).zip(cts) {
            *y = *y * share;
            *sum = *sum + *y * ct;
        }
    }
    let sum = sums.into_iter().fold(T::ZERO, |sum, x| sum + x);
    cts.iter_mut().zip(weights).for_each(|(ct, y)| *ct = scale * *y * (*ct - sum));
}

#[inline(always)]
fn folded<T: Real>(row: &[T], neutral: T, f: impl Fn(T, T) -> T) -> T {
    let mut sides = [neutral; SIDES];
    for chunk in row.as_chunks::<SIDES>().0 {
        sides.iter_mut().zip(chunk).for_each(|(side, &x)| *side = f(*side, x));
    }
    sides.into_iter().fold(neutral, f)
}

/// Products in tiles of `R` rows and `C` columns. Matrices are given with the length of their rows.
struct Tiles<T, const R: usize, const C: usize> {
    head: Head<T>,
}

impl<T: Real, const R: usize, const C: usize> Tiles<T, R, C> {
    /// As many keys as whole tiles have, along either of their sides, and the sums of a row.
    #[inline(always)]
    fn padded(&self, keys: usize) -> usize {
        keys.next_multiple_of(R).next_multiple_of(C.max(SIDES))
    }

    /// The products of a block's rows of `left`, which has one for each query, with the columns of `right`, one for
    /// each key that they see.
    #[inline(always)]
    fn scores(
        &self,
        block: &Range<usize>,
        (left, width): (&[T], usize),
        (right, n): (&[T], usize),
        depth: usize,
        to: &mut [T],
    ) {
        for start in block.clone().step_by(R) {
            let left = Rows { data: &left[start * width..], row_stride: width, column_stride: 1 };
            for j in (0..self.head.seen(start + R)).step_by(C) {
                let right = Rows { data: &right[j..], row_stride: 1, column_stride: n };
                let to = &mut to[(start - block.start) * n + j..];
                multiply::<T, R, C>((left, right), depth, to, n, false);
            }
        }
    }

    /// The sums of rows of `right`, which has one for each key, weighted by the rows of a block.
    #[inline(always)]
    fn weighted(
        &self,
        block: &Range<usize>,
        (weights, n): (&[T], usize),
        (right, width): (&[T], usize),
        to: &mut [T],
    ) {
        for start in (0..block.len()).step_by(R) {
            let left = Rows { data: &weights[start * n..], row_stride: n, column_stride: 1 };
            let depth = self.head.seen(block.end.min(block.start + start + R));
            for j in (0..width).step_by(C) {
                let right = Rows { data: &right[j..], row_stride: 1, column_stride: width };
                multiply::<T, R, C>((left, right), depth, &mut to[start * width + j..], width, false);
            }
        }
    }

    /// Adds for each key the sum of rows of `right`, which has one for each query, weighted by the key's column of a
    /// block.
    #[inline(always)]
    fn by_key(
        &self,
        block: &Range<usize>,
        (weights, n): (&[T], usize),
        (right, width): (&[T], usize),
        to: &mut [T],
    ) {
        for key in (0..self.head.seen(block.end)).step_by(R) {
            // Queries before a causal key do not see it.
            let from = if self.head.causal { block.start.max(key) } else { block.start };
            let data = &weights[(from - block.start) * n + key..];
            let left = Rows { data, row_stride: 1, column_stride: n };
            for j in (0..width).step_by(C) {
                let right = Rows { data: &right[from * width + j..], row_stride: 1, column_stride: width };
                let to = &mut to[key * width + j..];
                multiply::<T, R, C>((left, right), block.end - from, to, width, true);
            }
        }
    }
}

/// See [`tile::multiply`].
#[inline(always)]
fn multiply<T: Real, const R: usize, const C: usize>(
    operands: (Rows<T>, Rows<T>),
    depth: usize,
    to: &mut [T],
    row_stride: usize,
    plus: bool,
) {
    if R != PLAIN {
        return tile::multiply::<T, R, C>(operands, depth, to, row_stride, plus);
    }
    let (left, right) = operands;
    for i in 0..R {
        for (j, to) in to[i * row_stride..][..C].iter_mut().enumerate() {
            let at = |k: usize| (i * left.row_stride + k * left.column_stride, k * right.column_stride + j);
            let sum =
                (0..depth).map(at).fold(T::ZERO, |sum, (a, b)| left.data[a].mul_add(right.data[b], sum));
            *to = if plus { *to + sum } else { sum };
        }
    }
}
