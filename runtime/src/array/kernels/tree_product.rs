//! Products over blocks of columns, summed along a tree in the first-level cache.
//!
//! A matrix product for each block of 32 lanes, and an addition for each join, would write the result once a block.
//! Here a tile of the result small enough for registers goes through all blocks before the next tile does: so the
//! sums along the tree cost little more than one product over all lanes. A block's product is one chain of fused
//! multiply-adds from 0 for each element, as in [`gemm`](super::gemm), so the bits are the same.
#![allow(unsafe_code)]

use std::ops::Range;

use axisgrad_collectives::Pool;
use smallvec::SmallVec;

use super::gemm::{DEPTH, Matrix};
use super::pack::Panels;
pub(super) use super::tile::Step;
use super::tile::{self, Tile, evaluate};
use super::vectors::{Vectors, vectors};
use crate::dtype::{Real, Scalar};

/// Bytes of the right operand that are packed at a time.
const RIGHT: usize = 1 << 19;
/// Bytes of the left operand that meet all of these before the next do.
const LEFT: usize = 1 << 17;
/// Bytes of the left operand that are packed at a time.
const PACKED: usize = 1 << 22;
/// Bytes over which an operand may be spread and be read in place as quickly as packed.
const NEAR: usize = 1 << 15;
/// Tiles that must meet a panel of the right operand before packing it pays.
const OFTEN: usize = 4;

/// What [`write`] evaluates for a result.
pub(super) type Steps = SmallVec<[Step; 8]>;

/// Where the elements of a result lie: their first, and the strides of its rows and columns.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub at: usize,
    pub row_stride: usize,
    pub column_stride: usize,
}

/// The products over these columns, added one after the other, to what is there if `add`.
pub(super) fn one_by_one(columns: impl IntoIterator<Item = Range<usize>>, add: bool) -> Steps {
    let step = |(i, columns)| Step { columns, adds: usize::from(i > 0 || add) };
    columns.into_iter().enumerate().map(step).collect()
}

/// Whether [`write`] computes what [`matmul`](super::gemm::matmul) would over blocks of these columns, on this
/// machine: `gemm` treats very short sums otherwise and splits long ones.
pub(super) fn is_exact(blocks: &[Range<usize>]) -> bool {
    vectors().is_some() && blocks.iter().all(|columns| (3..=DEPTH).contains(&columns.len()))
}

/// For each result the value of its steps, of `lhs × rhsᵀ`; if the first step adds, to what is there. `pool` has memory for copies.
///
/// # Panics
/// If the machine is not one for which [`is_exact`], or something lies outside the slices.
pub(super) fn write<T: Real>(
    lhs: Matrix<T>,
    rhs: Matrix<T>,
    results: &mut [(&[Step], &mut [T])],
    place: Place,
    pool: &Pool,
) {
    if results.is_empty() {
        return;
    }
    let vectors = vectors().expect("a machine with fused multiply-add for vectors");
    let turned = Place { row_stride: place.column_stride, column_stride: place.row_stride, ..place };
    if vectors.time(rhs, lhs, turned) < vectors.time(lhs, rhs, place) {
        with(vectors, rhs, lhs, results, turned, pool);
    } else {
        with(vectors, lhs, rhs, results, place, pool);
    }
}

impl Vectors {
    /// About how long a product takes, in multiplications of a vector: those of whole tiles; the packing of the right
    /// operand, which costs about ten a vector; and six for each element that is put by itself.
    fn time<T: Scalar>(self, lhs: Matrix<T>, rhs: Matrix<T>, place: Place) -> usize {
        let (height, width) = match self {
            #[cfg(target_arch = "aarch64")]
            Self::Bytes16 => (tile::ROWS_16, 16),
            #[cfg(target_arch = "x86_64")]
            Self::Bytes32 => (tile::ROWS_32, 32),
            #[cfg(target_arch = "x86_64")]
            Self::Bytes64 => (tile::ROWS_64, 64),
        };
        let vectors = (rhs.rows * size_of::<T>()).div_ceil(width);
        let along = if vectors == 1 { 1 } else { vectors.next_multiple_of(2) };
        let rows = lhs.rows.next_multiple_of(height);
        let elements = if place.column_stride == 1 { 0 } else { 6 * lhs.rows * rhs.rows };
        (rows + 10) * along * lhs.columns + elements
    }
}

/// With the columns along the vectors.
fn with<T: Real>(
    vectors: Vectors,
    lhs: Matrix<T>,
    rhs: Matrix<T>,
    results: &mut [(&[Step], &mut [T])],
    place: Place,
    pool: &Pool,
) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the processor has the features of its vectors.
    unsafe {
        match (vectors, size_of::<T>(), rhs.rows * size_of::<T>()) {
            (Vectors::Bytes32, 4, ..=32) => with_32_bytes::<T, 8>(lhs, rhs, results, place, pool),
            (Vectors::Bytes32, 4, _) => with_32_bytes::<T, 16>(lhs, rhs, results, place, pool),
            (Vectors::Bytes32, ..) => with_32_bytes::<T, 8>(lhs, rhs, results, place, pool),
            (Vectors::Bytes64, 4, ..=64) => with_64_bytes::<T, 16>(lhs, rhs, results, place, pool),
            (Vectors::Bytes64, 4, _) => with_64_bytes::<T, 32>(lhs, rhs, results, place, pool),
            (Vectors::Bytes64, ..) => with_64_bytes::<T, 16>(lhs, rhs, results, place, pool),
        }
    }
    #[cfg(target_arch = "aarch64")]
    match (vectors, size_of::<T>(), rhs.rows * size_of::<T>()) {
        (Vectors::Bytes16, 4, ..=16) => tiles::<T, { tile::ROWS_16 }, 4>(lhs, rhs, results, place, pool),
        (Vectors::Bytes16, 4, _) => tiles::<T, { tile::ROWS_16 }, 8>(lhs, rhs, results, place, pool),
        (Vectors::Bytes16, ..) => tiles::<T, { tile::ROWS_16 }, 4>(lhs, rhs, results, place, pool),
    }
}

/// Tiles of 6 rows of at most two vectors.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_32_bytes<T: Real, const C: usize>(
    lhs: Matrix<T>,
    rhs: Matrix<T>,
    results: &mut [(&[Step], &mut [T])],
    place: Place,
    pool: &Pool,
) {
    tiles::<T, { tile::ROWS_32 }, C>(lhs, rhs, results, place, pool)
}

/// Tiles of 12 rows of at most two vectors.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512vl")]
fn with_64_bytes<T: Real, const C: usize>(
    lhs: Matrix<T>,
    rhs: Matrix<T>,
    results: &mut [(&[Step], &mut [T])],
    place: Place,
    pool: &Pool,
) {
    tiles::<T, { tile::ROWS_64 }, C>(lhs, rhs, results, place, pool)
}

/// How many times `bytes` go into `room`, but once at least.
fn times(bytes: usize, room: usize) -> usize {
    (room / bytes).max(1)
}

/// As many panels of `C` rows of the right operand as stay in the second-level cache; a few tiles of rows of the left
/// one, which stay in the first-level cache, meet each of them before the next do.
#[inline(always)]
fn tiles<T: Real, const R: usize, const C: usize>(
    lhs: Matrix<T>,
    rhs: Matrix<T>,
    results: &mut [(&[Step], &mut [T])],
    place: Place,
    pool: &Pool,
) {
    let row = rhs.columns * size_of::<T>();
    let (together, few) = (times(C * row, RIGHT) * C, times(R * row, LEFT) * R);
    let height = results.iter().map(|(steps, _)| tile::height(steps)).max().unwrap_or(0);
    let mut stack = vec![[[T::ZERO; C]; R]; height];
    for (start, lhs) in parts(lhs, times(R * row, PACKED) * R) {
        // Rows that lie across memory are slow to read again.
        let in_place = lhs.is_quick() && (lhs.column_stride == 1 || rhs.rows <= C || lhs.spans() <= NEAR);
        let left = Panels::<T, R>::new(lhs, in_place, pool);
        for (column, rhs) in parts(rhs, together) {
            let seldom = lhs.rows < OFTEN * R || rhs.spans() <= NEAR;
            let in_place = rhs.row_stride == 1 && rhs.is_quick() && seldom;
            let right = Panels::<T, C>::new(rhs, in_place, pool);
            let at = place.at + start * place.row_stride + column * place.column_stride;
            let tiles = Tiles { right, columns: rhs.rows, place: Place { at, ..place } };
            for row in (0..lhs.rows).step_by(few) {
                tiles.write(&left, row..lhs.rows.min(row + few), results, &mut stack);
            }
        }
    }
}

/// The matrix in parts of so many rows, with where each begins.
fn parts<T: Scalar>(matrix: Matrix<T>, rows: usize) -> impl Iterator<Item = (usize, Matrix<T>)> {
    (0..matrix.rows).step_by(rows).map(move |row| (row, matrix.some_rows(row, rows.min(matrix.rows - row))))
}

/// A block of the result.
struct Tiles<'a, T, const C: usize> {
    right: Panels<'a, T, C>,
    columns: usize,
    place: Place,
}

impl<T: Real, const C: usize> Tiles<'_, T, C> {
    #[inline(always)]
    fn write<const R: usize>(
        &self,
        left: &Panels<T, R>,
        rows: Range<usize>,
        results: &mut [(&[Step], &mut [T])],
        stack: &mut [Tile<T, R, C>],
    ) {
        for column in (0..self.columns).step_by(C) {
            let right = self.right.rows(column);
            for row in rows.clone().step_by(R) {
                let at = self.place.at + row * self.place.row_stride + column * self.place.column_stride;
                let (height, width) = (R.min(rows.end - row), C.min(self.columns - column));
                let depth = left.columns();
                for (steps, result) in results.iter_mut() {
                    let operands = (left.rows(row), right);
                    if height == R && width == C && self.place.column_stride == 1 {
                        evaluate(steps, operands, depth, &mut result[at..], self.place.row_stride, stack);
                    } else {
                        let (mut tile, place) = ([[T::ZERO; C]; R], Place { at, ..self.place });
                        if tile::adds_to_result(steps) {
                            exchange(&mut tile[..height], width, result, place, |element, there| {
                                *element = *there
                            });
                        }
                        evaluate(steps, operands, depth, tile.as_flattened_mut(), C, stack);
                        exchange(&mut tile[..height], width, result, place, |element, there| {
                            *there = *element
                        });
                    }
                }
            }
        }
    }
}

/// Brings elements of a tile to their place, or from there.
#[inline(always)]
fn exchange<T: Real, const C: usize>(
    tile: &mut [[T; C]],
    columns: usize,
    result: &mut [T],
    place: Place,
    each: impl Fn(&mut T, &mut T),
) {
    let Place { at, row_stride, column_stride } = place;
    assert!(at + (tile.len() - 1) * row_stride + (columns - 1) * column_stride < result.len());
    if column_stride == 1 {
        for (i, row) in tile.iter_mut().enumerate() {
            row[..columns].iter_mut().zip(&mut result[at + i * row_stride..]).for_each(|(x, y)| each(x, y));
        }
        return;
    }
    // Along the rows of the result, as it lies in memory.
    for j in 0..columns {
        let result = &mut result[at + j * column_stride..];
        tile.iter_mut().zip(result.iter_mut().step_by(row_stride)).for_each(|(row, y)| each(&mut row[j], y));
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
        for Step { columns, adds } in steps {
            let sum = (0..*adds).fold(product(columns), |right, _| add(stack.pop().unwrap(), right));
            stack.push(sum);
        }
        stack.pop().unwrap()
    }

    fn tiles_have_the_bits_of_separate_products<T: Real>() {
        let steps =
            [(0..9, 0), (9..18, 1), (18..25, 0), (25..30, 2)].map(|(columns, adds)| Step { columns, adds });
        for (rows, columns) in [(1, 1), (1, 70), (6, 16), (12, 32), (13, 33), (40, 7), (50, 100)] {
            let (a, b) = (rough::<T>(rows * 30, 1), rough::<T>(columns * 30, 2));
            for (by_rows, by_columns) in [(true, true), (true, false), (false, true), (false, false)] {
                let (lhs, rhs) = (matrix(&a, rows, 30, by_rows), matrix(&b, columns, 30, by_columns));
                let (mut whole, mut part) = (vec![T::ONE; rows * columns], vec![T::ONE; rows * columns]);
                let mut results = [(&steps[..], &mut whole[..]), (&steps[..2], &mut part[..])];
                let place = Place { at: 0, row_stride: columns, column_stride: 1 };
                write(lhs, rhs, &mut results, place, &Pool::new());
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
            &mut [(&[Step { columns: 0..3, adds: 0 }], &mut [0.0; 8])],
            Place { at: 0, row_stride: 3, column_stride: 1 },
            &Pool::new(),
        );
    }
}
