//! A tile of a matrix product: as many rows and columns as leave their sums in registers.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::ops::Range;

use crate::dtype::Real;

/// Rows of a tile for vectors of 64 bytes: with two vectors each, their sums fill 24 of 32 registers.
pub(super) const ROWS_64: usize = 12;
/// Rows of a tile for vectors of 32 bytes: with two vectors each, their sums fill 12 of 16 registers.
pub(super) const ROWS_32: usize = 6;

/// Rows of an operand, from the first element on.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, T> {
    pub data: &'a [T],
    pub row_stride: usize,
    pub column_stride: usize,
}

impl<T> Rows<'_, T> {
    /// From the first of these columns on.
    #[inline(always)]
    pub fn columns(self, columns: &Range<usize>) -> Self {
        Self { data: &self.data[columns.start * self.column_stride..], ..self }
    }

    /// Whether so many rows of so many columns are there.
    fn has(self, rows: usize, columns: usize) -> bool {
        columns == 0 || (rows - 1) * self.row_stride + (columns - 1) * self.column_stride < self.data.len()
    }
}

/// The product of `R` rows with `C` rows that lie side by side, over `depth` columns: written to rows of `to` that are
/// `row_stride` apart, or `plus` what is there. Each sum is one chain of fused multiply-adds from 0.
///
/// The processor has vectors of 64 bytes if there are [`ROWS_64`], and else of 32.
///
/// # Panics
/// If something lies outside the slices.
#[inline(always)]
pub(super) fn multiply<T: Real, const R: usize, const C: usize>(
    (left, right): (Rows<T>, Rows<T>),
    depth: usize,
    to: &mut [T],
    row_stride: usize,
    plus: bool,
) {
    assert!(left.has(R, depth) && right.has(C, depth) && right.row_stride == 1);
    assert!((R - 1) * row_stride + C <= to.len());
    let (operands, to) = ((left, right), to.as_mut_ptr());
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the last element of each operand and of the result is there, and so are all before it; and the caller has
    // the vectors.
    unsafe {
        match (R, C * size_of::<T>(), plus) {
            (ROWS_64, 128, false) => with_64_bytes::<T, 2, false>(operands, depth, to, row_stride),
            (ROWS_64, 128, true) => with_64_bytes::<T, 2, true>(operands, depth, to, row_stride),
            (ROWS_64, 64, false) => with_64_bytes::<T, 1, false>(operands, depth, to, row_stride),
            (ROWS_64, 64, true) => with_64_bytes::<T, 1, true>(operands, depth, to, row_stride),
            (ROWS_32, 64, false) => with_32_bytes::<T, 2, false>(operands, depth, to, row_stride),
            (ROWS_32, 64, true) => with_32_bytes::<T, 2, true>(operands, depth, to, row_stride),
            (ROWS_32, 32, false) => with_32_bytes::<T, 1, false>(operands, depth, to, row_stride),
            (ROWS_32, 32, true) => with_32_bytes::<T, 1, true>(operands, depth, to, row_stride),
            _ => unreachable!("no tile of {R} rows of {C} elements"),
        }
    }
}

/// A vector of the processor, in a register.
///
/// # Safety
/// Of all functions: the processor has such vectors; and what a pointer points at is there.
#[cfg(target_arch = "x86_64")]
trait Vector: Copy {
    type Element;

    unsafe fn zero() -> Self;
    unsafe fn load(from: *const Self::Element) -> Self;
    unsafe fn store(self, to: *mut Self::Element);
    /// The same element everywhere.
    unsafe fn splat(from: *const Self::Element) -> Self;
    unsafe fn mul_add(self, factor: Self, summand: Self) -> Self;
    unsafe fn add(self, other: Self) -> Self;
}

macro_rules! vectors {
    ($($vector:ident $element:ident $zero:ident $load:ident $store:ident $splat:ident $mul_add:ident $add:ident;)*) => {$(
        #[cfg(target_arch = "x86_64")]
        impl Vector for $vector {
            type Element = $element;

            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: the caller's promise.
                unsafe { $zero() }
            }
            #[inline(always)]
            unsafe fn load(from: *const $element) -> Self {
                // SAFETY: the caller's promise.
                unsafe { $load(from) }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $element) {
                // SAFETY: the caller's promise.
                unsafe { $store(to, self) }
            }
            #[inline(always)]
            unsafe fn splat(from: *const $element) -> Self {
                // SAFETY: the caller's promise.
                unsafe { $splat(*from) }
            }
            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, summand: Self) -> Self {
                // SAFETY: the caller's promise.
                unsafe { $mul_add(self, factor, summand) }
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: the caller's promise.
                unsafe { $add(self, other) }
            }
        }
    )*};
}

vectors! {
    __m512 f32 _mm512_setzero_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_set1_ps _mm512_fmadd_ps _mm512_add_ps;
    __m512d f64 _mm512_setzero_pd _mm512_loadu_pd _mm512_storeu_pd _mm512_set1_pd _mm512_fmadd_pd _mm512_add_pd;
    __m256 f32 _mm256_setzero_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_set1_ps _mm256_fmadd_ps _mm256_add_ps;
    __m256d f64 _mm256_setzero_pd _mm256_loadu_pd _mm256_storeu_pd _mm256_set1_pd _mm256_fmadd_pd _mm256_add_pd;
}

/// With `W` vectors of 64 bytes in a row.
///
/// # Safety
/// As [`sums`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512vl")]
#[inline(never)]
unsafe fn with_64_bytes<T: Real, const W: usize, const PLUS: bool>(
    operands: (Rows<T>, Rows<T>),
    depth: usize,
    to: *mut T,
    row_stride: usize,
) {
    // SAFETY: the caller's promise, and a real number of 4 bytes is an `f32`, one of 8 an `f64`.
    unsafe {
        match size_of::<T>() {
            4 => sums::<T, __m512, ROWS_64, W, PLUS>(operands, depth, to, row_stride),
            _ => sums::<T, __m512d, ROWS_64, W, PLUS>(operands, depth, to, row_stride),
        }
    }
}

/// With `W` vectors of 32 bytes in a row.
///
/// # Safety
/// As [`sums`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[inline(never)]
unsafe fn with_32_bytes<T: Real, const W: usize, const PLUS: bool>(
    operands: (Rows<T>, Rows<T>),
    depth: usize,
    to: *mut T,
    row_stride: usize,
) {
    // SAFETY: the caller's promise, and a real number of 4 bytes is an `f32`, one of 8 an `f64`.
    unsafe {
        match size_of::<T>() {
            4 => sums::<T, __m256, ROWS_32, W, PLUS>(operands, depth, to, row_stride),
            _ => sums::<T, __m256d, ROWS_32, W, PLUS>(operands, depth, to, row_stride),
        }
    }
}

/// # Safety
/// `T` is the element of `V`, of which the processor has vectors. Both operands have their rows of `depth` columns:
/// `R` on the left, and as many as `W` vectors have elements, side by side, on the right; and there is room for `R`
/// rows of `W` vectors.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn sums<T, V: Vector, const R: usize, const W: usize, const PLUS: bool>(
    (left, right): (Rows<T>, Rows<T>),
    depth: usize,
    to: *mut T,
    row_stride: usize,
) {
    let len = size_of::<V>() / size_of::<T>();
    // A pointer for every third row, from which the next two are a stride away: more would not fit in registers.
    let row = |i: usize| left.data.as_ptr().wrapping_add(3 * i * left.row_stride);
    let (mut rows, mut columns): ([_; 4], _) = (std::array::from_fn(row), right.data.as_ptr());
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[V::zero(); W]; R];
        for _ in 0..depth {
            let vectors: [_; W] = std::array::from_fn(|j| V::load(columns.add(j * len).cast()));
            for (i, sums) in sums.iter_mut().enumerate() {
                let left = V::splat(rows[i / 3].add(i % 3 * left.row_stride).cast());
                for (sum, right) in sums.iter_mut().zip(vectors) {
                    *sum = left.mul_add(right, *sum);
                }
            }
            rows = rows.map(|row| row.wrapping_add(left.column_stride));
            columns = columns.wrapping_add(right.column_stride);
        }
        for (i, sums) in sums.iter().enumerate() {
            for (j, &sum) in sums.iter().enumerate() {
                let to = to.add(i * row_stride + j * len).cast();
                if PLUS { V::load(to).add(sum).store(to) } else { sum.store(to) }
            }
        }
    }
}

/// Adds a tile to rows that are `row_stride` apart.
///
/// # Panics
/// If they lie outside the slice.
#[inline(always)]
pub(super) fn add<T: Real, const R: usize, const C: usize>(
    to: &mut [T],
    row_stride: usize,
    tile: &[[T; C]; R],
) {
    for (i, row) in tile.iter().enumerate() {
        let to: &mut [T; C] = to[i * row_stride..].first_chunk_mut().expect("a whole row");
        *to = std::array::from_fn(|j| to[j] + row[j]);
    }
}
