//! Products over blocks of columns, summed along a tree in the first-level cache.
//!
//! A matrix product for each block of 32 lanes, and an addition for each join, would write the result once a block.
//! Here a tile of the result small enough for registers goes through all blocks before the next tile does: so the
//! sums along the tree cost little more than one product over all lanes. A block's product is one chain of fused
//! multiply-adds from 0 for each element, as in [`gemm`](super::gemm), so the bits are the same.
#![allow(unsafe_code)]

use std::ops::Range;

use super::gemm::{DEPTH, Matrix};
use super::vectors::{Vectors, vectors};
use crate::dtype::Real;

/// Columns that are packed at a time where rows become columns: they stay in the first-level cache.
const TURN: usize = 64;

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

/// The products over these columns, added one after the other.
pub(super) fn one_by_one(columns: Vec<Range<usize>>) -> Vec<Step> {
    let step = |(i, columns)| if i == 0 { Step::Push(columns) } else { Step::Add(columns) };
    columns.into_iter().enumerate().map(step).collect()
}

/// Whether [`write`] computes what [`matmul`](super::gemm::matmul) would over blocks of these columns, on this
/// machine: `gemm` treats very short sums otherwise and splits long ones.
pub(super) fn is_exact(blocks: &[Range<usize>]) -> bool {
    vectors().is_some() && blocks.iter().all(|columns| (3..=DEPTH).contains(&columns.len()))
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
    let vectors = vectors().expect("a machine with fused multiply-add for vectors");
    // The longer side lies along the vectors, which are the harder to fill.
    if lhs.rows > rhs.rows {
        let turned = Place { row_stride: place.column_stride, column_stride: place.row_stride, ..place };
        return write(rhs, lhs, results, turned);
    }
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the processor has the features of its vectors.
    unsafe {
        match (vectors, size_of::<T>()) {
            (Vectors::Bytes32, 4) => with_32_bytes::<T, 16>(lhs, rhs, results, place),
            (Vectors::Bytes32, _) => with_32_bytes::<T, 8>(lhs, rhs, results, place),
            (Vectors::Bytes64, 4) => with_64_bytes::<T, 32>(lhs, rhs, results, place),
            (Vectors::Bytes64, _) => with_64_bytes::<T, 16>(lhs, rhs, results, place),
        }
    }
}

/// Tiles of 6 rows of two vectors: their sums fill 12 of 16 registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_32_bytes<T: Real, const C: usize>(
    lhs: Matrix<T>,
    rhs: Matrix<T>,
    results: &mut [(&[Step], &mut [T])],
    place: Place,
) {
    tiles::<T, 6, C>(lhs, rhs, results, place)
}

/// Tiles of 12 rows of two vectors: their sums fill 24 of 32 registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512vl")]
fn with_64_bytes<T: Real, const C: usize>(
    lhs: Matrix<T>,
    rhs: Matrix<T>,
    results: &mut [(&[Step], &mut [T])],
    place: Place,
) {
    tiles::<T, 12, C>(lhs, rhs, results, place)
}

#[inline(always)]
fn tiles<T: Real, const R: usize, const C: usize>(
    lhs: Matrix<T>,
    rhs: Matrix<T>,
    results: &mut [(&[Step], &mut [T])],
    place: Place,
) {
    let panels: Vec<Vec<[T; R]>> = (0..lhs.rows).step_by(R).map(|row| pack(lhs, row)).collect();
    let mut stack = Vec::new();
    for column in (0..rhs.rows).step_by(C) {
        let right = pack::<T, C>(rhs, column);
        let columns = C.min(rhs.rows - column);
        for (i, left) in panels.iter().enumerate() {
            let rows = R.min(lhs.rows - i * R);
            let at = place.at + i * R * place.row_stride + column * place.column_stride;
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
    if matrix.row_stride == 1 {
        for (column, packed) in packed.iter_mut().enumerate() {
            packed[..rows].copy_from_slice(&matrix.data[matrix.index(row, column)..][..rows]);
        }
        return packed;
    }
    for (chunk, packed) in packed.chunks_mut(TURN).enumerate() {
        for i in 0..rows {
            let start = matrix.index(row + i, chunk * TURN);
            if matrix.column_stride == 1 {
                let from = &matrix.data[start..][..packed.len()];
                packed.iter_mut().zip(from).for_each(|(packed, &x)| packed[i] = x);
            } else {
                let at = |column: usize| start.wrapping_add_signed(column as isize * matrix.column_stride);
                packed
                    .iter_mut()
                    .enumerate()
                    .for_each(|(column, packed)| packed[i] = matrix.data[at(column)]);
            }
        }
    }
    packed
}

type Tile<T, const R: usize, const C: usize> = [[T; C]; R];

#[inline(always)]
fn evaluate<T: Real, const R: usize, const C: usize>(
    steps: &[Step],
    left: &[[T; R]],
    right: &[[T; C]],
    stack: &mut Vec<Tile<T, R, C>>,
) -> Tile<T, R, C> {
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
fn chain<T: Real, const R: usize, const C: usize>(left: &[[T; R]], right: &[[T; C]]) -> Tile<T, R, C> {
    let mut sums = [[T::ZERO; C]; R];
    for (left, right) in left.iter().zip(right) {
        for i in 0..R {
            for j in 0..C {
                sums[i][j] = left[i].mul_add(right[j], sums[i][j]);
            }
        }
    }
    sums
}

#[inline(always)]
fn add<T: Real, const R: usize, const C: usize>(to: &mut Tile<T, R, C>, part: &Tile<T, R, C>) {
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

#[cfg(test)]
mod tests {
    use super::super::gemm::matmul;
    use super::*;

    fn rough<T: Real>(len: usize, seed: usize) -> Vec<T> {
        (0..len).map(|i| T::from_f64(((i * 7919 + seed * 31) % 2003) as f64 / 1001.5 - 1.0)).collect()
    }

    fn matrix<T>(data: &[T], rows: usize, columns: usize, by_rows: bool) -> Matrix<'_, T> {
        let (row_stride, column_stride) = if by_rows { (columns as isize, 1) } else { (1, rows as isize) };
        Matrix { data, at: 0, rows, columns, row_stride, column_stride }
    }

    /// The steps, carried out by separate products and additions.
    fn separately<T: Real>(steps: &[Step], lhs: Matrix<T>, rhs: Matrix<T>) -> Vec<T> {
        let product = |columns: &Range<usize>| {
            let (from, len) = (columns.start, columns.len());
            let mut product = vec![T::ZERO; lhs.rows * rhs.rows];
            let rhs_part = rhs.some_columns(from, len).transposed();
            matmul(&mut product, rhs.rows, lhs.some_columns(from, len), rhs_part, false);
            product
        };
        let add = |left: Vec<T>, right: Vec<T>| left.into_iter().zip(right).map(|(x, y)| x + y).collect();
        let mut stack: Vec<Vec<T>> = Vec::new();
        for step in steps {
            let right = match step {
                Step::Push(columns) => {
                    stack.push(product(columns));
                    continue;
                }
                Step::Add(columns) => product(columns),
                Step::Join => stack.pop().unwrap(),
            };
            let left = stack.pop().unwrap();
            stack.push(add(left, right));
        }
        stack.pop().unwrap()
    }

    fn tiles_have_the_bits_of_separate_products<T: Real>() {
        let steps = [
            Step::Push(0..9),
            Step::Add(9..18),
            Step::Push(18..25),
            Step::Push(25..30),
            Step::Join,
            Step::Join,
        ];
        for (rows, columns) in [(1, 1), (1, 70), (6, 16), (12, 32), (13, 33), (40, 7), (50, 100)] {
            let (a, b) = (rough::<T>(rows * 30, 1), rough::<T>(columns * 30, 2));
            for (by_rows, by_columns) in [(true, true), (true, false), (false, true), (false, false)] {
                let (lhs, rhs) = (matrix(&a, rows, 30, by_rows), matrix(&b, columns, 30, by_columns));
                let (mut whole, mut part) = (vec![T::ONE; rows * columns], vec![T::ONE; rows * columns]);
                let mut results = [(&steps[..], &mut whole[..]), (&steps[..2], &mut part[..])];
                write(lhs, rhs, &mut results, Place { at: 0, row_stride: columns, column_stride: 1 });
                assert!(whole == separately(&steps, lhs, rhs), "{} {rows}x{columns}", T::DTYPE);
                assert!(part == separately(&steps[..2], lhs, rhs), "{} {rows}x{columns}", T::DTYPE);
            }
        }
    }

    #[test]
    fn both_types_of_tiles() {
        if vectors().is_some() {
            tiles_have_the_bits_of_separate_products::<f32>();
            tiles_have_the_bits_of_separate_products::<f64>();
        }
    }

    #[test]
    fn short_and_long_sums_are_left_to_others() {
        let one = std::slice::from_ref::<std::ops::Range<usize>>;
        assert!(!is_exact(one(&(0..2))) && !is_exact(&[0..32, 32..34]) && !is_exact(one(&(0..DEPTH + 1))));
        assert_eq!(is_exact(&[0..3, 3..DEPTH]), vectors().is_some());
    }

    #[test]
    #[should_panic]
    fn results_stay_inside_their_memory() {
        let data = [1.0f32; 9];
        let three = matrix(&data, 3, 3, true);
        write(
            three,
            three,
            &mut [(&[Step::Push(0..3)], &mut [0.0; 8])],
            Place { at: 0, row_stride: 3, column_stride: 1 },
        );
    }
}
