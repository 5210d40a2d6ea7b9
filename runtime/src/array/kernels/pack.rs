//! Rows of a matrix brought side by side, so that a product reads them in order.
#![allow(unsafe_code)]

use axisgrad_collectives::{BufferMut, Pool};

use super::gemm::Matrix;
use super::tile::Rows;
use crate::dtype::Real;

/// Columns that are packed at a time: where rows become columns, as many as stay in the first-level cache; where they
/// are side by side already, as many as the processor can read ahead in.
const TURN: usize = 64;
const COPY: usize = 8;

impl<T> Matrix<'_, T> {
    /// Whether neighbours lie side by side, one way or the other, and those that do not share no lines of the cache.
    pub(super) fn is_quick(&self) -> bool {
        let far = match (self.row_stride, self.column_stride) {
            (1, far) | (far, 1) => far,
            _ => 0,
        };
        far > 0 && !(far as usize * size_of::<T>()).is_multiple_of(4096)
    }

    /// From the first to the last element, in bytes, where strides are not negative.
    pub(super) fn spans(&self) -> usize {
        let last = |n: usize, stride: isize| n.saturating_sub(1) * stride.unsigned_abs();
        (last(self.rows, self.row_stride) + last(self.columns, self.column_stride)) * size_of::<T>()
    }
}

/// The rows of a matrix, `N` at a time: where they lie, or packed.
pub(super) struct Panels<'a, T, const N: usize> {
    matrix: Matrix<'a, T>,
    /// From which row on they are packed.
    from: usize,
    packed: Option<BufferMut>,
}

impl<'a, T: Real, const N: usize> Panels<'a, T, N> {
    /// Packs all rows, or just those at the end that are fewer than `N`.
    #[inline(always)]
    pub fn new(matrix: Matrix<'a, T>, in_place: bool, pool: &Pool) -> Self {
        let from = if in_place { matrix.rows / N * N } else { 0 };
        let rest = matrix.some_rows(from, matrix.rows - from);
        if rest.rows == 0 {
            return Self { matrix, from, packed: None };
        }
        let mut packed = pool.alloc::<T>(rest.rows.next_multiple_of(N) * matrix.columns);
        pack(rest, packed.as_mut_slice::<T>().as_chunks_mut::<N>().0);
        Self { matrix, from, packed: Some(packed) }
    }

    /// How many columns each row has.
    pub fn columns(&self) -> usize {
        self.matrix.columns
    }

    /// `N` rows from this one on, which is a multiple of `N`.
    #[inline(always)]
    pub fn rows(&self, row: usize) -> Rows<'_, T> {
        if row < self.from {
            let Matrix { row_stride, column_stride, .. } = self.matrix;
            let data = &self.matrix.data[self.matrix.index(row, 0)..];
            return Rows { data, row_stride: row_stride as usize, column_stride: column_stride as usize };
        }
        let packed = self.packed.as_ref().expect("rows from there on");
        let data = &packed.as_slice()[(row - self.from) * self.matrix.columns..];
        Rows { data, row_stride: 1, column_stride: N }
    }
}

/// All rows in panels of `N` rows, side by side for each column; of rows beyond the last, whatever was there.
#[inline(always)]
fn pack<T: Real, const N: usize>(matrix: Matrix<T>, panels: &mut [[T; N]]) {
    let some = if matrix.row_stride == 1 { COPY } else { TURN };
    for from in (0..matrix.columns).step_by(some) {
        let columns = from..matrix.columns.min(from + some);
        for (panel, row) in panels.chunks_exact_mut(matrix.columns).zip((0..matrix.rows).step_by(N)) {
            let packed = &mut panel[columns.clone()];
            let rows = N.min(matrix.rows - row);
            match matrix.row_stride {
                1 => copy(matrix.some_rows(row, rows), from, packed),
                _ => turn(matrix.some_rows(row, rows), from, packed),
            }
        }
    }
}

/// At most `N` rows that are side by side already.
#[inline(always)]
fn copy<T: Real, const N: usize>(matrix: Matrix<T>, column: usize, packed: &mut [[T; N]]) {
    for (column, packed) in (column..).zip(packed) {
        let from = &matrix.data[matrix.index(0, column)..][..matrix.rows];
        // A copy of constant length is a few instructions.
        if matrix.rows == N {
            packed.copy_from_slice(from)
        } else {
            packed[..from.len()].copy_from_slice(from)
        }
    }
}

/// At most `N` rows, brought side by side.
#[inline(always)]
fn turn<T: Real, const N: usize>(matrix: Matrix<T>, column: usize, packed: &mut [[T; N]]) {
    let mut row = 0;
    while row < matrix.rows {
        row += turn_some(matrix, row, column, packed);
    }
}

/// Brings eight, six or four rows or one, from `row` on, to their places of each column, and returns how many.
#[inline(always)]
fn turn_some<T: Real, const N: usize>(
    matrix: Matrix<T>,
    row: usize,
    column: usize,
    packed: &mut [[T; N]],
) -> usize {
    let in_order = matrix.column_stride == 1 && matrix.row_stride >= 0 && size_of::<T>() == 4;
    let taken = match matrix.rows - row {
        8.. if in_order => 8,
        6.. if in_order => 6,
        4.. if in_order => 4,
        _ => 1,
    };
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut))]
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if taken > 1 {
        for (i, packed) in packed.chunks_exact_mut(8).enumerate() {
            let last = &matrix.data[matrix.index(row + taken - 1, column + i * 8)..][..8];
            let first = &matrix.data[matrix.index(row, column + i * 8)..];
            assert!(first.len() >= last.len() && row + taken <= N);
            let (from, to) = (first.as_ptr().cast(), packed[0][row..].as_mut_ptr().cast());
            let strides = (matrix.row_stride as usize, N);
            // SAFETY: the first and the last of the rows have eight elements in `data`, so the others have; eight
            // columns are packed, with as many places from `row` on in each; the callers have AVX2.
            unsafe {
                match taken {
                    8 => turn_eight::<8>(from, to, strides),
                    6 => turn_eight::<6>(from, to, strides),
                    _ => turn_eight::<4>(from, to, strides),
                }
            }
        }
        done = packed.len() / 8 * 8;
    }
    for i in 0..taken {
        for (j, packed) in packed.iter_mut().enumerate().skip(done) {
            packed[row + i] = matrix.data[matrix.index(row + i, column + j)];
        }
    }
    taken
}

/// Writes the transpose of a matrix: `to[j · to_stride + i] = from[i · from_stride + j]`.
///
/// # Panics
/// If something lies outside the slices.
pub(super) fn transpose(
    from: &[f32],
    from_stride: usize,
    [rows, columns]: [usize; 2],
    to: &mut [f32],
    to_stride: usize,
) {
    if rows == 0 || columns == 0 {
        return;
    }
    assert!((rows - 1) * from_stride + columns <= from.len() && (columns - 1) * to_stride + rows <= to.len());
    #[cfg(target_arch = "x86_64")]
    if rows >= 8 && columns >= 8 && super::vectors::vectors().is_some() {
        // SAFETY: both matrices are inside their slices, as was just checked, and the processor has AVX2.
        return unsafe {
            transpose_eights(from.as_ptr(), from_stride, [rows, columns], to.as_mut_ptr(), to_stride)
        };
    }
    for i in 0..rows {
        let from = &from[i * from_stride..][..columns];
        to[i..].iter_mut().step_by(to_stride).zip(from).for_each(|(to, &x)| *to = x);
    }
}

/// [`transpose`] of at least eight rows and columns; the last eight may overlap those before.
///
/// # Safety
/// Both matrices are there, and the processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn transpose_eights(
    from: *const f32,
    from_stride: usize,
    [rows, columns]: [usize; 2],
    to: *mut f32,
    to_stride: usize,
) {
    let eights = |n: usize| (0..n).step_by(8).map(move |i| i.min(n - 8));
    let turn = |row: usize, column: usize| {
        // SAFETY: eight rows of eight elements from here on are there, in both.
        unsafe {
            let (from, to) = (from.add(row * from_stride + column), to.add(column * to_stride + row));
            turn_eight::<8>(from, to, (from_stride, to_stride));
        }
    };
    // Along the rows of the matrix that is larger, which come from memory.
    if from_stride > to_stride {
        eights(rows).for_each(|row| eights(columns).for_each(|column| turn(row, column)));
    } else {
        eights(columns).for_each(|column| eights(rows).for_each(|row| turn(row, column)));
    }
}

/// Transposes eight, six or four rows of eight elements of 4 bytes, with strides from row to row in both.
///
/// # Safety
/// Eight elements may be read at so many places, and so many written at eight places, and the processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn turn_eight<const ROWS: usize>(
    from: *const f32,
    to: *mut f32,
    (from_stride, to_stride): (usize, usize),
) {
    use std::arch::x86_64::*;
    // SAFETY: the caller's promise.
    unsafe {
        let row = |i: usize| {
            if i < ROWS { _mm256_loadu_ps(from.add(i * from_stride)) } else { _mm256_setzero_ps() }
        };
        let pairs: [[__m256; 2]; 4] = std::array::from_fn(|i| {
            let (a, b) = (row(2 * i), row(2 * i + 1));
            [_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)]
        });
        // Of four rows, the columns `i` and `i + 4`, side by side.
        let fours = |i: usize| {
            let ([a, b], [c, d]) = (pairs[2 * i], pairs[2 * i + 1]);
            [
                _mm256_shuffle_ps::<0x44>(a, c),
                _mm256_shuffle_ps::<0xee>(a, c),
                _mm256_shuffle_ps::<0x44>(b, d),
                _mm256_shuffle_ps::<0xee>(b, d),
            ]
        };
        let (low, high) = (fours(0), fours(1));
        for i in 0..4 {
            let halves = [(i, _mm256_castps256_ps128(low[i])), (i + 4, _mm256_extractf128_ps::<1>(low[i]))];
            let more = [_mm256_castps256_ps128(high[i]), _mm256_extractf128_ps::<1>(high[i])];
            for ((column, low), high) in halves.into_iter().zip(more) {
                let to = to.add(column * to_stride);
                match ROWS {
                    8 => _mm256_storeu_ps(to, _mm256_set_m128(high, low)),
                    6 => {
                        _mm_storeu_ps(to, low);
                        _mm_store_sd(to.add(4).cast(), _mm_castps_pd(high));
                    }
                    _ => _mm_storeu_ps(to, low),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{Loop, every};
    use super::*;

    struct Pack<'a, T>(Matrix<'a, T>);

    impl<T: Real> Loop for Pack<'_, T> {
        type Result = Vec<[T; 12]>;
        #[inline(always)]
        fn run(self) -> Self::Result {
            let mut packed = vec![[T::ONE; 12]; self.0.rows.div_ceil(12) * self.0.columns];
            pack(self.0, &mut packed);
            packed
        }
    }

    fn rows_come_side_by_side<T: Real>() {
        let data: Vec<T> = (0..30 * 90).map(|i| T::from_f64(f64::from(i))).collect();
        let flat = |rows, columns, row_stride, column_stride, at| Matrix {
            data: &data[..],
            at,
            rows,
            columns,
            row_stride,
            column_stride,
        };
        // In order, across, backwards, with gaps.
        for matrix in [
            flat(30, 90, 90, 1, 0),
            flat(90, 30, 1, 90, 0),
            flat(30, 90, -90, 1, 29 * 90),
            flat(15, 45, 180, 2, 3),
        ] {
            // On an x86-64, all that is packed is for machines with AVX2.
            let widths = every::<Pack<T>>().len() - usize::from(cfg!(target_arch = "x86_64"));
            for run in every().into_iter().take(widths) {
                let panels = run(Pack(matrix));
                for row in 0..matrix.rows {
                    for column in 0..matrix.columns {
                        let packed = panels[row / 12 * matrix.columns + column][row % 12];
                        assert!(packed == data[matrix.index(row, column)]);
                    }
                }
            }
        }
    }

    #[test]
    fn rows_of_both_sizes() {
        rows_come_side_by_side::<f32>();
        rows_come_side_by_side::<f64>();
    }
}
