//! A tile of a matrix product: as many rows and columns as leave their sums in registers.
#![allow(unsafe_code)]

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::ops::Range;

use crate::dtype::Real;

/// Rows of a tile for vectors of 64 bytes: with two vectors each, their sums fill 24 of 32 registers.
pub(super) const ROWS_64: usize = 12;
/// Rows of a tile for vectors of 32 bytes: with two vectors each, their sums fill 12 of 16 registers.
#[cfg(target_arch = "x86_64")]
pub(super) const ROWS_32: usize = 6;
/// Rows of a tile for vectors of 16 bytes, of which there are as many as of those of 64.
#[cfg(target_arch = "aarch64")]
pub(super) const ROWS_16: usize = ROWS_64;

/// Rows of an operand, from the first element on.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, T> {
    pub data: &'a [T],
    pub row_stride: usize,
    pub column_stride: usize,
}

impl<T> Rows<'_, T> {
    /// Whether so many rows of so many columns are there.
    fn has(self, rows: usize, columns: usize) -> bool {
        columns == 0 || (rows - 1) * self.row_stride + (columns - 1) * self.column_stride < self.data.len()
    }
}

pub(super) type Tile<T, const R: usize, const C: usize> = [[T; C]; R];

/// A step in the evaluation of a sum along a tree, on a stack of tiles: the product over some columns, plus so many of
/// the topmost tiles, one after the other; it takes their place.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub columns: Range<usize>,
    pub adds: usize,
}

/// Whether the steps begin with what is there.
pub(super) fn adds_to_result(steps: &[Step]) -> bool {
    steps.first().is_some_and(|step| step.adds > 0)
}

/// How many tiles the steps hold on top of the result at most.
pub(super) fn height(steps: &[Step]) -> usize {
    let mut held = usize::from(adds_to_result(steps));
    let heights = steps.iter().map(|step| {
        held = held + 1 - step.adds;
        held - 1
    });
    heights.max().unwrap_or(0)
}

/// The product of `R` rows with `C` rows that lie side by side, over `depth` columns: written to rows of `to` that are
/// `row_stride` apart, or `plus` what is there. Each sum is one chain of fused multiply-adds from 0.
///
/// The processor has vectors of 64 bytes, of 32 or of 16, for which so many rows are meant.
///
/// # Panics
/// If something lies outside the slices.
#[inline(always)]
pub(super) fn multiply<T: Real, const R: usize, const C: usize>(
    operands: (Rows<T>, Rows<T>),
    depth: usize,
    to: &mut [T],
    row_stride: usize,
    plus: bool,
) {
    let step = Step { columns: 0..depth, adds: usize::from(plus) };
    evaluate::<T, R, C>(&[step], operands, depth, to, row_stride, &mut []);
}

/// The value of the steps, whose products are those of [`multiply`] over some of `depth` columns: written to rows of
/// `to`, the bottom of a stack of tiles, which goes on with `stack`. If the first step adds, it is to what is there.
///
/// # Panics
/// If something lies outside the slices, or the stack is too small.
#[inline(always)]
pub(super) fn evaluate<T: Real, const R: usize, const C: usize>(
    steps: &[Step],
    (left, right): (Rows<T>, Rows<T>),
    depth: usize,
    to: &mut [T],
    row_stride: usize,
    stack: &mut [Tile<T, R, C>],
) {
    assert!(left.has(R, depth) && right.has(C, depth) && right.row_stride == 1);
    assert!((R - 1) * row_stride + C <= to.len());
    let (operands, to) = ((left, right), (to.as_mut_ptr(), row_stride));
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the last element of each operand and of the result is there, and so are all before it; and the caller has
    // the vectors.
    unsafe {
        match (R, C * size_of::<T>()) {
            (ROWS_64, 128) => with_64_bytes::<T, R, C, 2>(steps, operands, depth, to, stack),
            (ROWS_64, 64) => with_64_bytes::<T, R, C, 1>(steps, operands, depth, to, stack),
            (ROWS_32, 64) => with_32_bytes::<T, R, C, 2>(steps, operands, depth, to, stack),
            (ROWS_32, 32) => with_32_bytes::<T, R, C, 1>(steps, operands, depth, to, stack),
            _ => unreachable!("no tile of {R} rows of {C} elements"),
        }
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        match (R, C * size_of::<T>()) {
            (ROWS_16, 32) => with_16_bytes::<T, R, C, 2>(steps, operands, depth, to, stack),
            (ROWS_16, 16) => with_16_bytes::<T, R, C, 1>(steps, operands, depth, to, stack),
            _ => unreachable!("no tile of {R} rows of {C} elements"),
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    unreachable!("no tile for this processor: {:?}", (steps, operands.0.row_stride, to, stack.len()))
}

/// A vector of the processor, in a register.
///
/// # Safety
/// Of all functions: the processor has such vectors; and what a pointer points at is there.
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
    ($($vector:ident $element:ident $load:ident $store:ident $splat:ident $mul_add:ident $add:ident;)*) => {$(
        impl Vector for $vector {
            type Element = $element;

            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: the caller's promise.
                unsafe { $splat(0.0) }
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

#[cfg(target_arch = "x86_64")]
vectors! {
    __m512 f32 _mm512_loadu_ps _mm512_storeu_ps _mm512_set1_ps _mm512_fmadd_ps _mm512_add_ps;
    __m512d f64 _mm512_loadu_pd _mm512_storeu_pd _mm512_set1_pd _mm512_fmadd_pd _mm512_add_pd;
    __m256 f32 _mm256_loadu_ps _mm256_storeu_ps _mm256_set1_ps _mm256_fmadd_ps _mm256_add_ps;
    __m256d f64 _mm256_loadu_pd _mm256_storeu_pd _mm256_set1_pd _mm256_fmadd_pd _mm256_add_pd;
}

#[cfg(target_arch = "aarch64")]
vectors! {
    float32x4_t f32 vld1q_f32 vst1q_f32 vdupq_n_f32 fused_f32 vaddq_f32;
    float64x2_t f64 vld1q_f64 vst1q_f64 vdupq_n_f64 fused_f64 vaddq_f64;
}

/// With the summand last.
///
/// # Safety
/// As [`Vector`].
#[cfg(target_arch = "aarch64")]
#[inline(always)]
unsafe fn fused_f32(factor: float32x4_t, other: float32x4_t, summand: float32x4_t) -> float32x4_t {
    // SAFETY: the caller's promise.
    unsafe { vfmaq_f32(summand, factor, other) }
}

/// As above.
///
/// # Safety
/// As [`Vector`].
#[cfg(target_arch = "aarch64")]
#[inline(always)]
unsafe fn fused_f64(factor: float64x2_t, other: float64x2_t, summand: float64x2_t) -> float64x2_t {
    // SAFETY: the caller's promise.
    unsafe { vfmaq_f64(summand, factor, other) }
}

/// Functions that are compiled for the vectors that they are named after.
macro_rules! with_vectors {
    ($($name:ident $features:literal $single:ident $double:ident;)*) => {$(
        /// With `W` vectors in a row.
        ///
        /// # Safety
        /// As [`with`].
        #[target_feature(enable = $features)]
        #[inline(never)]
        unsafe fn $name<T: Real, const R: usize, const C: usize, const W: usize>(
            steps: &[Step],
            operands: (Rows<T>, Rows<T>),
            depth: usize,
            to: (*mut T, usize),
            stack: &mut [Tile<T, R, C>],
        ) {
            // SAFETY: the caller's promise, and a real number of 4 bytes is an `f32`, one of 8 an `f64`.
            unsafe {
                match size_of::<T>() {
                    4 => with::<T, $single, R, C, W>(steps, operands, depth, to, stack),
                    _ => with::<T, $double, R, C, W>(steps, operands, depth, to, stack),
                }
            }
        }
    )*};
}

#[cfg(target_arch = "x86_64")]
with_vectors! {
    with_64_bytes "avx2,fma,avx512f,avx512vl" __m512 __m512d;
    with_32_bytes "avx2,fma" __m256 __m256d;
}

#[cfg(target_arch = "aarch64")]
with_vectors! {
    with_16_bytes "neon" float32x4_t float64x2_t;
}

/// # Safety
/// `T` is the element of `V`, of which the processor has vectors, and `W` of them have `C` elements. Both operands have
/// their rows of `depth` columns, `R` on the left and `C`, side by side, on the right; and there is room for `R` rows of
/// `C` elements at a distance.
#[inline(always)]
unsafe fn with<T: Real, V: Vector, const R: usize, const C: usize, const W: usize>(
    steps: &[Step],
    operands: (Rows<T>, Rows<T>),
    depth: usize,
    to: (*mut T, usize),
    stack: &mut [Tile<T, R, C>],
) {
    // The result is the bottom of the stack.
    let mut held = usize::from(adds_to_result(steps));
    for Step { columns, adds } in steps {
        assert!(columns.end <= depth && *adds <= held);
        let mut place = |at: usize| match at {
            0 => to,
            _ => (stack[at - 1].as_flattened_mut().as_mut_ptr(), C),
        };
        // SAFETY: the caller's promise, and a tile on the stack has room for itself.
        unsafe {
            let mut sums = sums::<T, V, R, W>(operands, columns);
            for _ in 0..*adds {
                held -= 1;
                add::<T, V, R, W>(&mut sums, place(held));
            }
            store::<T, V, R, W>(&sums, place(held));
        }
        held += 1;
    }
}

/// The products over these columns.
///
/// # Safety
/// As [`with`]; and the columns are among those of the operands.
#[inline(always)]
unsafe fn sums<T, V: Vector, const R: usize, const W: usize>(
    (left, right): (Rows<T>, Rows<T>),
    columns: &Range<usize>,
) -> [[V; W]; R] {
    let len = size_of::<V>() / size_of::<T>();
    // A pointer for every third row, from which the next two are a stride away: more would not fit in registers.
    let first = left.data.as_ptr().wrapping_add(columns.start * left.column_stride);
    let mut rows: [_; 4] = std::array::from_fn(|i| first.wrapping_add(3 * i * left.row_stride));
    let mut right_row = right.data.as_ptr().wrapping_add(columns.start * right.column_stride);
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[V::zero(); W]; R];
        for _ in 0..columns.len() {
            let vectors: [_; W] = std::array::from_fn(|j| V::load(right_row.add(j * len).cast()));
            for (i, sums) in sums.iter_mut().enumerate() {
                let left = V::splat(rows[i / 3].add(i % 3 * left.row_stride).cast());
                for (sum, right) in sums.iter_mut().zip(vectors) {
                    *sum = left.mul_add(right, *sum);
                }
            }
            rows = rows.map(|row| row.wrapping_add(left.column_stride));
            right_row = right_row.wrapping_add(right.column_stride);
        }
        sums
    }
}

/// Adds what is there.
///
/// # Safety
/// As [`with`].
#[inline(always)]
unsafe fn add<T, V: Vector, const R: usize, const W: usize>(
    sums: &mut [[V; W]; R],
    (there, row_stride): (*mut T, usize),
) {
    let len = size_of::<V>() / size_of::<T>();
    for (i, sums) in sums.iter_mut().enumerate() {
        for (j, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *sum = unsafe { V::load(there.add(i * row_stride + j * len).cast_const().cast()).add(*sum) };
        }
    }
}

/// # Safety
/// As [`with`].
#[inline(always)]
unsafe fn store<T, V: Vector, const R: usize, const W: usize>(
    sums: &[[V; W]; R],
    (to, row_stride): (*mut T, usize),
) {
    let len = size_of::<V>() / size_of::<T>();
    for (i, sums) in sums.iter().enumerate() {
        for (j, &sum) in sums.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { sum.store(to.add(i * row_stride + j * len).cast()) };
        }
    }
}
