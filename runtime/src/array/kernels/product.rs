//! Matrix products by the quickest way, all of which give the same bits.

use axisgrad_collectives::Pool;
use smallvec::SmallVec;

use super::gemm::{self, Matrix, matmul};
use super::tree_product::{self, Place};
use crate::dtype::{Complex, Real, Scalar};
use crate::listed::Listed;

/// A side shorter than this leaves most of a tile of registers empty.
const NARROW: usize = 6;

/// An element that matrices are multiplied of.
pub(super) trait Product: Scalar {
    /// `to = lhs × rhs`, or `to += lhs × rhs` with one addition for each piece of the sum that is made by itself; rows
    /// of `to` are `row_stride` apart. `pool` has memory for copies.
    ///
    /// # Panics
    /// If the shapes do not fit, or something lies outside the slices.
    fn multiply(
        to: &mut [Self],
        row_stride: usize,
        lhs: Matrix<Self>,
        rhs: Matrix<Self>,
        add: bool,
        _pool: &Pool,
    ) {
        by_gemm(to, row_stride, lhs, rhs, add);
    }
}

macro_rules! products {
    ($($element:ty)*; $($real:ty)*) => {
        $(impl Product for $element {})*
        $(impl Product for $real {
            fn multiply(
                to: &mut [$real],
                row_stride: usize,
                lhs: Matrix<$real>,
                rhs: Matrix<$real>,
                add: bool,
                pool: &Pool,
            ) {
                real(to, row_stride, lhs, rhs, add, pool);
            }
        })*
    };
}

products!(i32 i64 u8 u64 Complex<f32> Complex<f64>; f32 f64);

fn by_gemm<T: Scalar>(to: &mut [T], row_stride: usize, lhs: Matrix<T>, rhs: Matrix<T>, add: bool) {
    if !add {
        return matmul(to, row_stride, lhs, rhs, false);
    }
    for piece in gemm::pieces(lhs.columns) {
        let (from, len) = (piece.start, piece.len());
        matmul(to, row_stride, lhs.some_columns(from, len), rhs.some_rows(from, len), true);
    }
}

/// In tiles of registers, or by `gemm` where most of a tile would be empty, or there is nothing to sum.
fn real<T: Real>(to: &mut [T], row_stride: usize, lhs: Matrix<T>, rhs: Matrix<T>, add: bool, pool: &Pool) {
    let pieces: SmallVec<[_; 4]> = gemm::pieces(lhs.columns).listed();
    if lhs.columns == 0 || lhs.rows.min(rhs.columns) < NARROW || !tree_product::is_exact(&pieces) {
        return by_gemm(to, row_stride, lhs, rhs, add);
    }
    let steps = tree_product::one_by_one(pieces, add);
    let place = Place { at: 0, row_stride, column_stride: 1 };
    tree_product::write(lhs, rhs.transposed(), &mut [(&steps, to)], place, pool);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rough<T: Real>(len: usize, seed: usize) -> Vec<T> {
        (0..len).map(|i| T::from_f64(((i * 7919 + seed * 31) % 2003) as f64 / 1001.5 - 1.0)).collect()
    }

    fn both_ways_have_the_same_bits<T: Real + Product>() {
        for (rows, columns, depth) in
            [(1, 9, 40), (7, 5, 40), (13, 40, 33), (64, 36, 700), (40, 100, 1300), (9, 9, 2), (9, 9, 0)]
        {
            let (a, b) = (rough::<T>(rows * depth, 1), rough::<T>(depth * columns, 2));
            let matrix = |data, rows, columns| Matrix {
                data,
                at: 0,
                rows,
                columns,
                row_stride: columns as isize,
                column_stride: 1,
            };
            let (lhs, rhs) = (matrix(&a[..], rows, depth), matrix(&b[..], depth, columns));
            for add in [false, true] {
                let mut tiles = rough::<T>(rows * columns, 3);
                let mut gemm = tiles.clone();
                T::multiply(&mut tiles, columns, lhs, rhs, add, &Pool::new());
                by_gemm(&mut gemm, columns, lhs, rhs, add);
                assert!(tiles == gemm, "{} {rows}x{depth}x{columns}, adding {add}", T::DTYPE);
            }
        }
    }

    #[test]
    fn tiles_and_gemm_agree() {
        both_ways_have_the_same_bits::<f32>();
        both_ways_have_the_same_bits::<f64>();
    }
}
