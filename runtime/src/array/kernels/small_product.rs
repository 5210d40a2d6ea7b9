//! Products of matrices that fit in the first-level cache: the operands are read where they lie.

use axisgrad_collectives::Pool;

use super::gemm::{Matrix, pieces};
use super::product::Product;
use super::tile::{self, Rows};
use super::vectors::{Vectors, vectors};

/// Elements of the right operand up to which it is read again and again where it lies.
const LARGEST: usize = 1 << 12;
/// Elements that may be read behind the last of an operand: of the rows and columns that complete a tile.
pub(super) const fn beyond(row_stride: usize) -> usize {
    tile::ROWS_64 * row_stride + 2 * 16
}

/// As [`Product::multiply`], with the same bits. Both operands are followed by [`beyond`] more elements, of any value;
/// the right one has its columns side by side.
pub(super) fn multiply(
    to: &mut [f32],
    row_stride: usize,
    lhs: Matrix<f32>,
    rhs: Matrix<f32>,
    add: bool,
    pool: &Pool,
) {
    let vectors = vectors().filter(|_| rhs.rows * rhs.columns <= LARGEST && rhs.column_stride == 1);
    match vectors {
        #[cfg(target_arch = "aarch64")]
        Some(Vectors::Bytes16) => tiles::<{ tile::ROWS_16 }, 8>(to, row_stride, lhs, rhs, add),
        #[cfg(target_arch = "x86_64")]
        Some(Vectors::Bytes32) => tiles::<{ tile::ROWS_32 }, 16>(to, row_stride, lhs, rhs, add),
        #[cfg(target_arch = "x86_64")]
        Some(Vectors::Bytes64) => tiles::<{ tile::ROWS_64 }, 32>(to, row_stride, lhs, rhs, add),
        None => f32::multiply(to, row_stride, lhs, rhs, add, pool),
    }
}

fn tiles<const R: usize, const C: usize>(
    to: &mut [f32],
    row_stride: usize,
    lhs: Matrix<f32>,
    rhs: Matrix<f32>,
    add: bool,
) {
    for (piece, depth) in pieces(lhs.columns).enumerate() {
        let (lhs, rhs) =
            (lhs.some_columns(depth.start, depth.len()), rhs.some_rows(depth.start, depth.len()));
        let add = add || piece > 0;
        for column in (0..rhs.columns).step_by(C) {
            for row in (0..lhs.rows).step_by(R) {
                let operands = (rows_of(lhs, row, 0), rows_of(rhs, 0, column));
                let (height, width) = (R.min(lhs.rows - row), C.min(rhs.columns - column));
                let to = &mut to[row * row_stride + column..];
                if (height, width) == (R, C) {
                    tile::multiply::<f32, R, C>(turned(operands), depth.len(), to, row_stride, add);
                    continue;
                }
                let mut whole = [[0.0; C]; R];
                tile::multiply::<f32, R, C>(
                    turned(operands),
                    depth.len(),
                    whole.as_flattened_mut(),
                    C,
                    false,
                );
                for (to, from) in to.chunks_mut(row_stride).zip(&whole[..height]) {
                    to.iter_mut()
                        .zip(&from[..width])
                        .for_each(|(to, &x)| *to = if add { *to + x } else { x });
                }
            }
        }
    }
}

fn rows_of(matrix: Matrix<'_, f32>, row: usize, column: usize) -> Rows<'_, f32> {
    let data = &matrix.data[matrix.index(row, column)..];
    Rows { data, row_stride: matrix.row_stride as usize, column_stride: matrix.column_stride as usize }
}

/// The right operand by its columns.
fn turned<'a>((left, right): (Rows<'a, f32>, Rows<'a, f32>)) -> (Rows<'a, f32>, Rows<'a, f32>) {
    (left, Rows { row_stride: right.column_stride, column_stride: right.row_stride, ..right })
}
