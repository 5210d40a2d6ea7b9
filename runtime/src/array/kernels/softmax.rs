//! Exponentials over their sum, along the last dim.
//!
//! The largest element is taken off first, so that nothing overflows. Each row is summed in an order that only its
//! length decides. Rows go through together, as many as stay in the first-level cache: short ones too fill vectors.

use super::vectors::{Loop, widest};
use crate::array::number::Inexact;
use crate::array::{Array, Dims, threads};
use crate::dtype::{Real, Scalar, dispatch};

/// Elements that go through together.
const BLOCK: usize = 1024;
/// Sums that run side by side.
const LANES: usize = 16;

/// `exp(x) / Σ exp(x)` along the last dim: `T[..,n] -> T[..,n]` for floats.
pub fn softmax(x: &Array) -> Array {
    dispatch!(x.dtype() in [float], T => to_rows::<T>(x, |x, y, n, _| widest(Exponentials { x, y, n, to: Shares })))
}

/// The softmax of the first `i + 1` elements of row `i` of each matrix, and zeros after them:
/// `T[..,m,n] -> T[..,m,n]` for floats.
pub fn causal_softmax(x: &Array) -> Array {
    let height = x.dims()[x.ndim() - 2];
    dispatch!(x.dtype() in [float], T => to_rows::<T>(x, |x, y, n, row| {
        widest(Exponentials { x, y, n, to: CausalShares { row, height } });
    }))
}

/// `x - log Σ exp(x)` along the last dim: `T[..,n] -> T[..,n]` for floats.
pub fn log_softmax(x: &Array) -> Array {
    dispatch!(x.dtype() in [float], T => to_rows::<T>(x, |x, y, n, _| widest(Exponentials { x, y, n, to: Logs })))
}

/// `log Σ exp(x)` along the last dim: `T[..,n] -> T[..]` for floats; of nothing it is `-inf`.
pub fn logsumexp(x: &Array) -> Array {
    dispatch!(x.dtype() in [float], T => to_scalars::<T>(x, |x, y, n, _, out| {
        widest(Exponentials { x, y, n, to: LogSums { out } });
    }))
}

/// `log Σ exp(x) - x[label]` along the last dim: `T[..,n], i64[..] -> T[..]` for floats.
///
/// # Panics
/// If a label is out of range.
pub fn cross_entropy(x: &Array, labels: &Array) -> Array {
    let labels = checked(labels, x);
    let labels = labels.as_slice::<i64>();
    dispatch!(x.dtype() in [float], T => to_scalars::<T>(x, |x, y, n, row, out| {
        widest(Exponentials { x, y, n, to: Surprise { labels: &labels[row..], out } });
    }))
}

/// `ct · (softmax(x) - one_hot(label))` along the last dim: `T[..,n], i64[..], T[..] -> T[..,n]` for floats.
///
/// # Panics
/// If a label is out of range.
pub fn cross_entropy_ct(x: &Array, labels: &Array, ct: &Array) -> Array {
    let (labels, ct) = (checked(labels, x), ct.contiguous());
    let labels = labels.as_slice::<i64>();
    dispatch!(x.dtype() in [float], T => {
        let ct = ct.as_slice::<T>();
        to_rows::<T>(x, |x, y, n, row| {
            widest(Exponentials { x, y, n, to: Residuals { labels: &labels[row..], ct: &ct[row..] } });
        })
    })
}

/// `y · (ct - Σ y·ct)` along the last dim, the transpose of softmax where its value is `y`:
/// `T[..,n], T[..,n] -> T[..,n]` for floats.
pub fn softmax_ct(y: &Array, ct: &Array) -> Array {
    let ct = ct.contiguous();
    dispatch!(y.dtype() in [float], T => {
        let ct = ct.as_slice::<T>();
        to_rows::<T>(y, |y, out, n, row| widest(Transposed { y, ct: &ct[row * n..][..y.len()], out, n }))
    })
}

/// Calls `body` for blocks of rows: with the rows, what they become, their length, and the number of the first.
fn to_rows<T: Scalar>(x: &Array, body: impl Fn(&[T], &mut [T], usize, usize) + Sync) -> Array {
    let (x, n) = (x.contiguous(), last(x).max(1));
    let mut buffer = x.pool().alloc::<T>(x.len());
    let rows = x.len() / n;
    let part = threads::part(x.pool(), rows, x.len(), threads::ELEMENTS) * n;
    let data = x.as_slice::<T>();
    threads::split(x.pool(), buffer.as_mut_slice::<T>(), part, |start, out| {
        let blocks = data[start..][..out.len()].chunks(block(n));
        for (i, (x, y)) in blocks.zip(out.chunks_mut(block(n))).enumerate() {
            body(x, y, n, (start + i * block(n)) / n);
        }
    });
    Array::from_written::<T>(x.dims(), buffer)
}

/// As [`to_rows`], where a row becomes one element of the last slice; the other has memory for the rows.
fn to_scalars<T: Real>(x: &Array, body: impl Fn(&[T], &mut [T], usize, usize, &mut [T]) + Sync) -> Array {
    let (x, n) = (x.contiguous(), last(x));
    let dims = Dims::from_slice(&x.dims()[..x.ndim() - 1]);
    let mut buffer = x.pool().alloc::<T>(dims.iter().product());
    let out = buffer.as_mut_slice::<T>();
    let part = threads::part(x.pool(), out.len(), x.len(), threads::ELEMENTS);
    let data = x.as_slice::<T>();
    out.fill(T::neg_infinity());
    threads::split(x.pool(), out, part, |start, out| {
        let mut hold = vec![T::ZERO; block(n).min(out.len() * n)];
        for (i, x) in data[start * n..][..out.len() * n].chunks(block(n)).enumerate() {
            let row = i * block(n) / n;
            body(x, &mut hold[..x.len()], n, start + row, &mut out[row..]);
        }
    });
    Array::from_written::<T>(dims, buffer)
}

/// Labels of elements of rows of `x`.
fn checked(labels: &Array, x: &Array) -> Array {
    let (labels, n) = (labels.contiguous(), last(x));
    for &label in labels.as_slice::<i64>() {
        assert!((0..n as i64).contains(&label), "cross_entropy: label {label} of {n} classes");
    }
    labels
}

fn last(x: &Array) -> usize {
    x.dims().last().copied().expect("a last dim")
}

/// Elements of as many rows of `n` as go through together.
fn block(n: usize) -> usize {
    n.max(1) * (BLOCK / n.max(1)).max(1)
}

/// Writes `exp(x - top)` of rows of `n` to `y`, where `top` is the largest of a row, and lets `to` finish each row.
struct Exponentials<'a, T, F> {
    x: &'a [T],
    y: &'a mut [T],
    n: usize,
    to: F,
}

/// What becomes of a row, once its exponentials and their sum are there.
trait Finish<T> {
    /// How many elements of row number `i` of a block count; the exponentials of the others are 0.
    #[inline(always)]
    fn counted(&self, _: usize, n: usize) -> usize {
        n
    }

    /// Of row number `i` of a block: from its elements `x`, with the exponentials in `y`.
    fn row(&mut self, i: usize, x: &[T], y: &mut [T], top: T, sum: T);
}

impl<T: Real + Inexact, F: Finish<T>> Loop for Exponentials<'_, T, F> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        if (1..LANES).contains(&self.n) { self.short() } else { self.long() }
    }
}

impl<T: Real + Inexact, F: Finish<T>> Exponentials<'_, T, F> {
    #[inline(always)]
    fn long(mut self) {
        let mut tops = [T::ZERO; BLOCK];
        let rows = self.x.chunks_exact(self.n).zip(self.y.chunks_exact_mut(self.n)).zip(&mut tops);
        for (i, ((x, y), top)) in rows.enumerate() {
            let (x, (y, rest)) =
                (&x[..self.to.counted(i, self.n)], y.split_at_mut(self.to.counted(i, self.n)));
            *top = largest(x);
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = x - *top);
            rest.fill(T::neg_infinity());
        }
        self.y.iter_mut().for_each(|y| *y = y.exponential());
        let rows = self.x.chunks_exact(self.n).zip(self.y.chunks_exact_mut(self.n)).zip(tops);
        for (i, ((x, y), top)) in rows.enumerate() {
            let sum = sum(y);
            self.to.row(i, x, y, top, sum);
        }
    }

    /// The same for rows shorter than `LANES`, in loops over many rows.
    #[inline(always)]
    fn short(mut self) {
        for (i, (x, y)) in self.x.chunks_exact(self.n).zip(self.y.chunks_exact_mut(self.n)).enumerate() {
            let counted = self.to.counted(i, self.n);
            for (j, (y, &x)) in y.iter_mut().zip(x).enumerate() {
                *y = if j < counted { x } else { T::neg_infinity() };
            }
        }
        let tops = fold_short(self.y, self.n, larger);
        for (y, top) in self.y.chunks_exact_mut(self.n).zip(tops) {
            for y in y {
                *y = *y - top;
            }
        }
        self.y.iter_mut().for_each(|y| *y = y.exponential());
        let sums = fold_short(self.y, self.n, plus);
        let rows = self.x.chunks_exact(self.n).zip(self.y.chunks_exact_mut(self.n)).zip(tops).zip(sums);
        for (i, (((x, y), top), sum)) in rows.enumerate() {
            self.to.row(i, x, y, top, sum);
        }
    }
}

struct Shares;

impl<T: Real> Finish<T> for Shares {
    #[inline(always)]
    fn row(&mut self, _: usize, _: &[T], y: &mut [T], _: T, sum: T) {
        let scale = sum.recip();
        y.iter_mut().for_each(|y| *y = *y * scale);
    }
}

/// Of matrices of so many rows, from row number `row` on.
struct CausalShares {
    row: usize,
    height: usize,
}

impl<T: Real> Finish<T> for CausalShares {
    #[inline(always)]
    fn counted(&self, i: usize, n: usize) -> usize {
        n.min((self.row + i) % self.height + 1)
    }

    #[inline(always)]
    fn row(&mut self, i: usize, x: &[T], y: &mut [T], top: T, sum: T) {
        Shares.row(i, x, y, top, sum);
    }
}

struct Logs;

impl<T: Real + Inexact> Finish<T> for Logs {
    #[inline(always)]
    fn row(&mut self, _: usize, x: &[T], y: &mut [T], top: T, sum: T) {
        let log = sum.logarithm();
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - top) - log);
    }
}

struct LogSums<'a, T> {
    out: &'a mut [T],
}

impl<T: Real + Inexact> Finish<T> for LogSums<'_, T> {
    #[inline(always)]
    fn row(&mut self, i: usize, _: &[T], _: &mut [T], top: T, sum: T) {
        // Where the largest is infinite, so is the result; there the differences are not numbers.
        self.out[i] = if top.is_infinite() { top } else { sum.logarithm() + top };
    }
}

struct Surprise<'a, T> {
    labels: &'a [i64],
    out: &'a mut [T],
}

impl<T: Real + Inexact> Finish<T> for Surprise<'_, T> {
    #[inline(always)]
    fn row(&mut self, i: usize, x: &[T], _: &mut [T], top: T, sum: T) {
        self.out[i] = sum.logarithm() - (x[self.labels[i] as usize] - top);
    }
}

struct Residuals<'a, T> {
    labels: &'a [i64],
    ct: &'a [T],
}

impl<T: Real> Finish<T> for Residuals<'_, T> {
    #[inline(always)]
    fn row(&mut self, i: usize, _: &[T], y: &mut [T], _: T, sum: T) {
        let (scale, ct, label) = (sum.recip(), self.ct[i], self.labels[i] as usize);
        let own = (y[label] * scale - T::ONE) * ct;
        y.iter_mut().for_each(|y| *y = *y * scale * ct);
        y[label] = own;
    }
}

/// See [`softmax_ct`].
struct Transposed<'a, T> {
    y: &'a [T],
    ct: &'a [T],
    out: &'a mut [T],
    n: usize,
}

impl<T: Real> Loop for Transposed<'_, T> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        let rows = self.y.chunks_exact(self.n).zip(self.ct.chunks_exact(self.n));
        for ((y, ct), out) in rows.zip(self.out.chunks_exact_mut(self.n)) {
            out.iter_mut().zip(y).zip(ct).for_each(|((out, &y), &ct)| *out = y * ct);
            let mean = sum(out);
            out.iter_mut().zip(y).zip(ct).for_each(|((out, &y), &ct)| *out = y * (ct - mean));
        }
    }
}

/// The largest element; NaN if one is.
#[inline(always)]
fn largest<T: Real>(row: &[T]) -> T {
    folded(row, T::neg_infinity(), larger)
}

#[inline(always)]
fn larger<T: Real>(top: T, x: T) -> T {
    if x > top || x.is_nan() { x } else { top }
}

/// Sixteen sums side by side, then halves of them.
#[inline(always)]
fn sum<T: Real>(row: &[T]) -> T {
    folded(row, T::ZERO, plus)
}

#[inline(always)]
fn plus<T: Real>(sum: T, x: T) -> T {
    sum + x
}

#[inline(always)]
fn folded<T: Real>(row: &[T], neutral: T, f: impl Fn(T, T) -> T) -> T {
    let (whole, rest) = row.as_chunks::<LANES>();
    let mut lanes = [neutral; LANES];
    for x in whole {
        for i in 0..LANES {
            lanes[i] = f(lanes[i], x[i]);
        }
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, &x)| *lane = f(*lane, x));
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = f(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// [`folded`] for each of the rows of a block, which are shorter than `LANES`: the rows go side by side.
#[inline(always)]
fn fold_short<T: Real>(rows: &[T], n: usize, f: impl Fn(T, T) -> T) -> [T; BLOCK] {
    let count = rows.len() / n;
    let mut columns = [T::ZERO; BLOCK];
    for (i, row) in rows.chunks_exact(n).enumerate() {
        for (column, &x) in columns.chunks_exact_mut(count).zip(row) {
            column[i] = x;
        }
    }
    let mut half = LANES / 2;
    while half > 0 {
        for i in half..n.min(2 * half) {
            let (left, right) = columns.split_at_mut(i * count);
            for (left, &right) in left[(i - half) * count..].iter_mut().zip(&right[..count]) {
                *left = f(*left, right);
            }
        }
        half /= 2;
    }
    columns
}

#[cfg(test)]
mod tests;
