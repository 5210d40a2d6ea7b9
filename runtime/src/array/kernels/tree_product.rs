//! Products over blocks of columns, summed along a tree in the first-level cache.
//!
//! A matrix product for each block of 32 lanes, and an addition for each join, would write the result once a block.
//! Here a tile of the result small enough for registers goes through all blocks before the next tile does: so the
//! sums along the tree cost little more than one product over all lanes. A block's product is one chain of fused
//! multiply-adds from 0 for each element, as in [`gemm`](super::gemm), so the bits are the same.
#![allow(unsafe_code)]

use std::ops::Range;

use super::gemm::{DEPTH, Matrix};
use crate::dtype::Real;

/// The rows of a tile: with 6 rows of two vectors each, the sums fill the registers of AVX2.
const ROWS: usize = 6;
/// The columns of a tile, in bytes: two vectors.
const COLUMN_BYTES: usize = 64;
/// Bytes of the left operand that stay in the second-level cache while the right one passes by.
const CACHE: usize = 1 << 18;

/// A step in the evaluation of a node, on a stack of tiles.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Push the product over these columns.
    Push(Range<usize>),
    /// Add the product over these columns to the topmost.
    Add(Range<usize>),
    /// Add the topmost to the one below.
    Join,
}

/// Where the elements of a result lie: their first, and the strides of its rows and columns.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub at: usize,
    pub row_stride: usize,
    pub column_stride: usize,
}

/// Whether [`write`] computes what [`matmul`](super::gemm::matmul) would over blocks of these columns, on this
/// machine: `gemm` treats very short sums otherwise and splits long ones.
pub(super) fn is_exact(blocks: &[Range<usize>]) -> bool {
    has_vectors() && blocks.iter().all(|columns| (3..=DEPTH).contains(&columns.len()))
}

#[cfg(target_arch = "x86_64")]
fn has_vectors() -> bool {
    std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_vectors() -> bool {
    false
}

/// For each result the value of its steps, of `lhs × rhsᵀ`.
///
/// # Panics
/// If the machine is not one for which [`is_exact`], or something lies outside the slices.
pub(super) fn write<T: Real>(
    lhs: Matrix<T>,
    rhs: Matrix<T>,
    results: &mut [(&[Step], &mut [T])],
    place: Place,
) {
    assert!(has_vectors(), "this machine has no fused multiply-add for vectors");
    // The longer side lies along the vectors, which are the harder to fill.
    if lhs.rows > rhs.rows {
        let turned = Place { row_stride: place.column_stride, column_stride: place.row_stride, ..place };
        return write(rhs, lhs, results, turned);
    }
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the processor has these features (asserted above).
    unsafe {
        match size_of::<T>() {
            4 => with_vectors::<T, { COLUMN_BYTES / 4 }>(lhs, rhs, results, place),
            _ => with_vectors::<T, { COLUMN_BYTES / 8 }>(lhs, rhs, results, place),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_vectors<T: Real, const C: usize>(
    lhs: Matrix<T>,
    rhs: Matrix<T>,
    results: &mut [(&[Step], &mut [T])],
    place: Place,
) {
    let group = (CACHE / (lhs.columns.max(1) * size_of::<T>())).max(ROWS) / ROWS * ROWS;
    for row in (0..lhs.rows).step_by(group) {
        let place = Place { at: place.at + row * place.row_stride, ..place };
        tiles::<T, C>(lhs.some_rows(row, group.min(lhs.rows - row)), rhs, results, place);
    }
}

#[inline(always)]
fn tiles<T: Real, const C: usize>(
    lhs: Matrix<T>,
    rhs: Matrix<T>,
    results: &mut [(&[Step], &mut [T])],
    place: Place,
) {
    let panels: Vec<Vec<[T; ROWS]>> = (0..lhs.rows).step_by(ROWS).map(|row| pack(lhs, row)).collect();
    let mut stack = Vec::new();
    for column in (0..rhs.rows).step_by(C) {
        let right = pack::<T, C>(rhs, column);
        let columns = C.min(rhs.rows - column);
        for (i, left) in panels.iter().enumerate() {
            let rows = ROWS.min(lhs.rows - i * ROWS);
            let at = place.at + i * ROWS * place.row_stride + column * place.column_stride;
            for (steps, result) in results.iter_mut() {
                let tile = evaluate(steps, left, &right, &mut stack);
                put(&tile[..rows], columns, result, Place { at, ..place });
            }
        }
    }
}

/// `N` rows from `row` on, side by side for each column; rows beyond the last are 0.
#[inline(always)]
fn pack<T: Real, const N: usize>(matrix: Matrix<T>, row: usize) -> Vec<[T; N]> {
    let rows = N.min(matrix.rows - row);
    let mut packed = vec![[T::ZERO; N]; matrix.columns];
    for (column, packed) in packed.iter_mut().enumerate() {
        let start = matrix.index(row, column);
        if matrix.row_stride == 1 {
            packed[..rows].copy_from_slice(&matrix.data[start..][..rows]);
        } else {
            (0..rows).for_each(|i| packed[i] = matrix.data[matrix.index(row + i, column)]);
        }
    }
    packed
}

type Tile<T, const C: usize> = [[T; C]; ROWS];

#[inline(always)]
fn evaluate<T: Real, const C: usize>(
    steps: &[Step],
    left: &[[T; ROWS]],
    right: &[[T; C]],
    stack: &mut Vec<Tile<T, C>>,
) -> Tile<T, C> {
    for step in steps {
        match step {
            Step::Push(columns) => stack.push(chain(&left[columns.clone()], &right[columns.clone()])),
            Step::Add(columns) => {
                let product = chain(&left[columns.clone()], &right[columns.clone()]);
                add(stack.last_mut().expect("a left half"), &product);
            }
            Step::Join => {
                let right = stack.pop().expect("a right half");
                add(stack.last_mut().expect("a left half"), &right);
            }
        }
    }
    stack.pop().expect("a value")
}

/// The product of a few rows: one chain of fused multiply-adds for each element.
#[inline(always)]
fn chain<T: Real, const C: usize>(left: &[[T; ROWS]], right: &[[T; C]]) -> Tile<T, C> {
    let mut sums = [[T::ZERO; C]; ROWS];
    for (left, right) in left.iter().zip(right) {
        for i in 0..ROWS {
            for j in 0..C {
                sums[i][j] = left[i].mul_add(right[j], sums[i][j]);
            }
        }
    }
    sums
}

#[inline(always)]
fn add<T: Real, const C: usize>(to: &mut Tile<T, C>, part: &Tile<T, C>) {
    for (to, part) in to.as_flattened_mut().iter_mut().zip(part.as_flattened()) {
        *to = *to + *part;
    }
}

#[inline(always)]
fn put<T: Real, const C: usize>(tile: &[[T; C]], columns: usize, result: &mut [T], place: Place) {
    for (i, row) in tile.iter().enumerate() {
        let at = place.at + i * place.row_stride;
        if place.column_stride == 1 {
            result[at..at + columns].copy_from_slice(&row[..columns]);
        } else {
            (0..columns).for_each(|j| result[at + j * place.column_stride] = row[j]);
        }
    }
}
