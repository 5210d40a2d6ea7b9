//! Products over blocks of columns, summed along a tree in the first-level cache.
//!
//! A matrix product for each block of 32 lanes, and an addition for each join, would write the result once a block.
//! Here a tile of the result small enough for registers goes through all blocks before the next tile does: so the
//! sums along the tree cost little more than one product over all lanes. A block's product is one chain of fused
//! multiply-adds from 0 for each element, as in [`gemm`](super::gemm), so the bits are the same.
#![allow(unsafe_code)]

use std::ops::Range;

use super::gemm::{DEPTH, Matrix};
use super::pack::pack;
use super::vectors::{Vectors, vectors};
use crate::dtype::Real;

/// Bytes of the right operand that are packed at a time.
const RIGHT: usize = 1 << 19;
/// Bytes of the left operand that meet all of these before the next do.
const LEFT: usize = 1 << 17;

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
    if results.is_empty() {
        return;
    }
    let vectors = vectors().expect("a machine with fused multiply-add for vectors");
    let turned = Place { row_stride: place.column_stride, column_stride: place.row_stride, ..place };
    let time =
        |lhs: Matrix<T>, rhs: Matrix<T>, place| vectors.time(lhs.rows, rhs.rows * size_of::<T>(), place);
    if time(rhs, lhs, turned) < time(lhs, rhs, place) {
        with(vectors, rhs, lhs, results, turned);
    } else {
        with(vectors, lhs, rhs, results, place);
    }
}

impl Vectors {
    /// What a product of so many rows of so many bytes takes, for each of its depth: the multiplications of whole
    /// tiles, and a little more where elements are put one by one.
    fn time(self, rows: usize, bytes: usize, place: Place) -> usize {
        let (height, width) = if matches!(self, Self::Bytes64) { (12, 64) } else { (6, 32) };
        let vectors = bytes.div_ceil(width);
        let along = if vectors == 1 { 1 } else { vectors.next_multiple_of(2) };
        rows.next_multiple_of(height) * along * if place.column_stride == 1 { 4 } else { 5 }
    }
}

/// With the columns along the vectors.
fn with<T: Real>(
    vectors: Vectors,
    lhs: Matrix<T>,
    rhs: Matrix<T>,
    results: &mut [(&[Step], &mut [T])],
    place: Place,
) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the processor has the features of its vectors.
    unsafe {
        match (vectors, size_of::<T>(), rhs.rows * size_of::<T>()) {
            (Vectors::Bytes32, 4, ..=32) => with_32_bytes::<T, 8>(lhs, rhs, results, place),
            (Vectors::Bytes32, 4, _) => with_32_bytes::<T, 16>(lhs, rhs, results, place),
            (Vectors::Bytes32, ..) => with_32_bytes::<T, 8>(lhs, rhs, results, place),
            (Vectors::Bytes64, 4, ..=64) => with_64_bytes::<T, 16>(lhs, rhs, results, place),
            (Vectors::Bytes64, 4, _) => with_64_bytes::<T, 32>(lhs, rhs, results, place),
            (Vectors::Bytes64, ..) => with_64_bytes::<T, 16>(lhs, rhs, results, place),
        }
    }
}

/// Tiles of 6 rows of at most two vectors: their sums fill 12 of 16 registers.
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

/// Tiles of 12 rows of at most two vectors: their sums fill 24 of 32 registers.
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

/// The right operand is packed in panels of `C` columns of the result, as many at a time as stay in the second-level
/// cache; a few panels of the left one, which stay in the first-level cache, meet each of them before the next do.
#[inline(always)]
fn tiles<T: Real, const R: usize, const C: usize>(
    lhs: Matrix<T>,
    rhs: Matrix<T>,
    results: &mut [(&[Step], &mut [T])],
    place: Place,
) {
    let depth = rhs.columns;
    let together = (RIGHT / (C * depth * size_of::<T>())).max(1) * C;
    let few = (LEFT / (R * depth * size_of::<T>())).max(1) * R;
    let mut right = vec![[T::ZERO; C]; rhs.rows.min(together).div_ceil(C) * depth];
    let (mut left, mut stack) = (Vec::new(), Vec::new());
    for column in (0..rhs.rows).step_by(together) {
        let rhs = rhs.some_rows(column, together.min(rhs.rows - column));
        right
            .chunks_exact_mut(depth)
            .zip((0..rhs.rows).step_by(C))
            .for_each(|(to, from)| pack(rhs, from, to));
        for row in (0..lhs.rows).step_by(few) {
            let lhs = lhs.some_rows(row, few.min(lhs.rows - row));
            let at = place.at + row * place.row_stride + column * place.column_stride;
            let tiles = Tiles { lhs, columns: rhs.rows, right: &right, place: Place { at, ..place } };
            tiles.write::<R>(results, &mut left, &mut stack);
        }
    }
}

/// A block of the result.
struct Tiles<'a, T, const C: usize> {
    lhs: Matrix<'a, T>,
    columns: usize,
    right: &'a [[T; C]],
    place: Place,
}

impl<T: Real, const C: usize> Tiles<'_, T, C> {
    #[inline(always)]
    fn write<const R: usize>(
        &self,
        results: &mut [(&[Step], &mut [T])],
        left: &mut Vec<[T; R]>,
        stack: &mut Vec<Tile<T, R, C>>,
    ) {
        let (lhs, depth) = (self.lhs, self.lhs.columns);
        // Rows are read where they lie, unless they lie across memory, or so that they share lines of the cache.
        let in_place =
            lhs.column_stride == 1 && !(lhs.row_stride as usize * size_of::<T>()).is_multiple_of(4096);
        if !in_place {
            left.resize(lhs.rows.div_ceil(R) * depth, [T::ZERO; R]);
            left.chunks_exact_mut(depth)
                .zip((0..lhs.rows).step_by(R))
                .for_each(|(to, from)| pack(lhs, from, to));
        }
        for (i, right) in self.right.chunks_exact(depth).take(self.columns.div_ceil(C)).enumerate() {
            for row in (0..lhs.rows).step_by(R) {
                let rows = R.min(lhs.rows - row);
                let at = self.place.at + row * self.place.row_stride + i * C * self.place.column_stride;
                let place = Place { at, ..self.place };
                for (steps, result) in results.iter_mut() {
                    let tile = if in_place {
                        evaluate(steps, &Rows::<T, R>::new(lhs, row), right, stack)
                    } else {
                        evaluate(steps, &Panel(&left[row / R * depth..][..depth]), right, stack)
                    };
                    put(&tile[..rows], C.min(self.columns - i * C), result, place);
                }
            }
        }
    }
}

/// Rows of the left operand, side by side for each column.
trait Left<T, const R: usize> {
    /// How many columns there are.
    fn depth(&self) -> usize;

    /// An element. (Not a column at a time: the compiler would put it together in a vector, and take it apart again.)
    ///
    /// # Safety
    /// There is such a column.
    unsafe fn at(&self, row: usize, column: usize) -> T;
}

/// Rows where they lie, all of one length.
struct Rows<'a, T, const R: usize>([&'a [T]; R]);

impl<'a, T: Real, const R: usize> Rows<'a, T, R> {
    /// From `row` on; the last row again where there are no more.
    #[inline(always)]
    fn new(lhs: Matrix<'a, T>, row: usize) -> Self {
        Self(std::array::from_fn(|i| &lhs.data[lhs.index((row + i).min(lhs.rows - 1), 0)..][..lhs.columns]))
    }
}

impl<T: Real, const R: usize> Left<T, R> for Rows<'_, T, R> {
    #[inline(always)]
    fn depth(&self) -> usize {
        self.0[0].len()
    }

    #[inline(always)]
    unsafe fn at(&self, row: usize, column: usize) -> T {
        // SAFETY: all rows have that column.
        unsafe { *self.0[row].get_unchecked(column) }
    }
}

/// Rows that were packed.
struct Panel<'a, T, const R: usize>(&'a [[T; R]]);

impl<T: Real, const R: usize> Left<T, R> for Panel<'_, T, R> {
    #[inline(always)]
    fn depth(&self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    unsafe fn at(&self, row: usize, column: usize) -> T {
        // SAFETY: there is that column.
        unsafe { self.0.get_unchecked(column)[row] }
    }
}

type Tile<T, const R: usize, const C: usize> = [[T; C]; R];

#[inline(always)]
fn evaluate<T: Real, const R: usize, const C: usize>(
    steps: &[Step],
    left: &impl Left<T, R>,
    right: &[[T; C]],
    stack: &mut Vec<Tile<T, R, C>>,
) -> Tile<T, R, C> {
    for step in steps {
        match step {
            Step::Push(columns) => stack.push(chain(left, columns.clone(), right)),
            Step::Add(columns) => {
                // By way of the stack: where it is added at once, the compiler keeps the sums in no registers.
                stack.push(chain(left, columns.clone(), right));
                let right = stack.pop().expect("just there");
                add(stack.last_mut().expect("a left half"), &right);
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
fn chain<T: Real, const R: usize, const C: usize>(
    left: &impl Left<T, R>,
    columns: Range<usize>,
    right: &[[T; C]],
) -> Tile<T, R, C> {
    assert!(columns.end <= left.depth());
    let mut sums = [[T::ZERO; C]; R];
    for (column, right) in columns.clone().zip(&right[columns]) {
        #[allow(clippy::needless_range_loop)] // with an iterator the sums leave the registers
        for i in 0..R {
            // SAFETY: as just checked.
            let left = unsafe { left.at(i, column) };
            for j in 0..C {
                sums[i][j] = left.mul_add(right[j], sums[i][j]);
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
