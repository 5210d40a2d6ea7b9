//! A tile of a matrix product: as many rows and columns as leave their sums in registers.
#![allow(unsafe_code)]

use crate::dtype::Real;

/// Rows of a tile for vectors of 64 bytes: with two vectors each, their sums fill 24 of 32 registers.
pub(super) const ROWS_64: usize = 12;
/// Rows of a tile for vectors of 32 bytes: with two vectors each, their sums fill 12 of 16 registers.
pub(super) const ROWS_32: usize = 6;

/// The rows of a left operand, from the first element on.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, T> {
    pub data: &'a [T],
    pub row_stride: usize,
    pub column_stride: usize,
}

/// The product of `R` rows with `C` columns, which lie side by side for each step of the depth: written to rows of `to`
/// that are `row_stride` apart, or `plus` what is there. Each sum is one chain of fused multiply-adds from 0.
///
/// The processor has vectors of 64 bytes if there are [`ROWS_64`], and else of 32.
///
/// # Panics
/// If something lies outside the slices.
#[inline(always)]
pub(super) fn multiply<T: Real, const R: usize, const C: usize>(
    left: Rows<T>,
    right: &[[T; C]],
    to: &mut [T],
    row_stride: usize,
    plus: bool,
) {
    let last = (R - 1) * left.row_stride + right.len().saturating_sub(1) * left.column_stride;
    assert!(last < left.data.len() && (R - 1) * row_stride + C <= to.len());
    #[cfg(target_arch = "x86_64")]
    // SAFETY: all elements of the rows lie before the last of the last row, which lies inside the data, as do those of
    // the result; and the caller has the vectors.
    unsafe {
        match (R, plus) {
            (ROWS_64, false) => with_64_bytes::<T, R, C, false>(left, right, to.as_mut_ptr(), row_stride),
            (ROWS_64, true) => with_64_bytes::<T, R, C, true>(left, right, to.as_mut_ptr(), row_stride),
            (_, false) => with_32_bytes::<T, R, C, false>(left, right, to.as_mut_ptr(), row_stride),
            (_, true) => with_32_bytes::<T, R, C, true>(left, right, to.as_mut_ptr(), row_stride),
        }
    }
}

/// # Safety
/// As [`sums`], and the processor has the features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512vl")]
#[inline(never)]
unsafe fn with_64_bytes<T: Real, const R: usize, const C: usize, const PLUS: bool>(
    left: Rows<T>,
    right: &[[T; C]],
    to: *mut T,
    row_stride: usize,
) {
    // SAFETY: the caller's promise.
    unsafe { sums::<T, R, C, PLUS>(left, right, to, row_stride) }
}

/// # Safety
/// As [`sums`], and the processor has the features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[inline(never)]
unsafe fn with_32_bytes<T: Real, const R: usize, const C: usize, const PLUS: bool>(
    left: Rows<T>,
    right: &[[T; C]],
    to: *mut T,
    row_stride: usize,
) {
    // SAFETY: the caller's promise.
    unsafe { sums::<T, R, C, PLUS>(left, right, to, row_stride) }
}

/// # Safety
/// There are `R` rows of as many elements as `right` has, and room for `R` rows of `C` elements.
#[inline(always)]
unsafe fn sums<T: Real, const R: usize, const C: usize, const PLUS: bool>(
    left: Rows<T>,
    right: &[[T; C]],
    to: *mut T,
    row_stride: usize,
) {
    // A pointer for every third row, from which the next two are a stride away: more would not fit in registers.
    // SAFETY: the rows are there.
    let mut rows: [*const T; 4] =
        std::array::from_fn(|i| unsafe { left.data.as_ptr().add((3 * i).min(R - 1) * left.row_stride) });
    let mut sums = [[T::ZERO; C]; R];
    for right in right {
        #[allow(clippy::needless_range_loop)] // with an iterator the sums leave the registers
        for i in 0..R {
            // SAFETY: row `i` has an element for this step.
            let left = unsafe { *rows[i / 3].add(i % 3 * left.row_stride) };
            for j in 0..C {
                sums[i][j] = left.mul_add(right[j], sums[i][j]);
            }
        }
        rows = rows.map(|row| row.wrapping_add(left.column_stride));
    }
    for (i, sums) in sums.iter().enumerate() {
        // SAFETY: there is room for this row, and nobody else has it.
        let to = unsafe { &mut *to.add(i * row_stride).cast::<[T; C]>() };
        for j in 0..C {
            to[j] = if PLUS { to[j] + sums[j] } else { sums[j] };
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
