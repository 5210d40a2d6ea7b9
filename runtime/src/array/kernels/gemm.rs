//! Matrix products with canonical bits, on the `gemm` crate.
//!
//! Every element of a product is made by the same arithmetic, whatever surrounds it: the `K` products are cut
//! into equal pieces of at most 512; a piece is one chain of fused multiply-adds from 0; and the pieces are added
//! in order. `gemm`'s tiled kernel computes a piece of at most 512 exactly so for every element, at any size and
//! layout, but it leaves the tiled kernel for small or narrow products. So those are made to look otherwise: a
//! vector is multiplied as two equal rows, and the operands of a small product whose depths are both contiguous
//! are not left so.
#![allow(unsafe_code)]

use std::ops::Range;

use crate::dtype::Scalar;

/// The longest sum that `gemm` never splits.
pub(super) const DEPTH: usize = 512;
/// Below this many results `gemm` takes two contiguous depths for dot products.
const SMALL: usize = 16 * 16;

/// A matrix in strided memory.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    pub data: &'a [T],
    /// Where the first element lies.
    pub at: usize,
    pub rows: usize,
    pub columns: usize,
    pub row_stride: isize,
    pub column_stride: isize,
}

impl<T: Scalar> Matrix<'_, T> {
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Where an element lies.
    pub fn index(self, row: usize, column: usize) -> usize {
        self.at.wrapping_add_signed(row as isize * self.row_stride + column as isize * self.column_stride)
    }

    fn at(self, row: usize, column: usize) -> T {
        self.data[self.index(row, column)]
    }

    /// The columns `from..from + columns`.
    pub fn some_columns(self, from: usize, columns: usize) -> Self {
        Self { at: self.at.wrapping_add_signed(from as isize * self.column_stride), columns, ..self }
    }

    /// The rows `from..from + rows`.
    pub fn some_rows(self, from: usize, rows: usize) -> Self {
        Self { at: self.at.wrapping_add_signed(from as isize * self.row_stride), rows, ..self }
    }

    /// Two equal rows where there is one, so that there are never fewer than two.
    fn at_least_two_rows(self) -> Self {
        if self.rows == 1 { Self { rows: 2, row_stride: 0, ..self } } else { self }
    }

    /// Whether every element lies inside the data.
    fn is_inside(self) -> bool {
        let ends = [(self.rows, self.row_stride), (self.columns, self.column_stride)];
        let reach = ends.map(|(n, stride)| (n as isize - 1) * stride);
        let lowest: isize = reach.iter().map(|r| r.min(&0)).sum();
        let highest: isize = reach.iter().map(|r| r.max(&0)).sum();
        self.at as isize + lowest >= 0 && self.at as isize + highest < self.data.len() as isize
    }
}

/// `dst = lhs × rhs`, or `dst += lhs × rhs` with one addition for each element; rows of `dst` are `row_stride` apart.
///
/// # Panics
/// If the shapes do not fit, or something lies outside the slices.
pub(crate) fn matmul<T: Scalar>(dst: &mut [T], row_stride: usize, lhs: Matrix<T>, rhs: Matrix<T>, add: bool) {
    assert_eq!(lhs.columns, rhs.rows, "the depths of a matrix product");
    let (rows, columns, depth) = (lhs.rows, rhs.columns, lhs.columns);
    if rows == 0 || columns == 0 {
        return;
    }
    if depth == 0 {
        return if !add {
            clear(dst, row_stride, rows, columns)
        };
    }
    assert!(lhs.is_inside() && rhs.is_inside(), "a matrix lies outside its data");
    if !T::DTYPE.is_inexact() {
        return loops(dst, row_stride, lhs, rhs, add);
    }
    if rows == 1 || columns == 1 || add && !(3..=DEPTH).contains(&depth) {
        return apart(dst, row_stride, lhs, rhs, add);
    }
    for piece in pieces(depth) {
        let (from, len) = (piece.start, piece.len());
        tiled(dst, row_stride, lhs.some_columns(from, len), rhs.some_rows(from, len), add || from > 0);
    }
}

/// The pieces in which a sum of `depth` products is made.
pub(super) fn pieces(depth: usize) -> impl Iterator<Item = Range<usize>> {
    let pieces = depth.div_ceil(DEPTH);
    (0..pieces).map(move |piece| piece * depth / pieces..(piece + 1) * depth / pieces)
}

fn clear<T: Scalar>(dst: &mut [T], row_stride: usize, rows: usize, columns: usize) {
    (0..rows).for_each(|row| dst[row * row_stride..][..columns].fill(T::ZERO));
}

/// A product that is made in other memory, with two rows and columns where it has one: `gemm` would multiply
/// vectors otherwise, and it adds up to two products to the result one by one.
fn apart<T: Scalar>(dst: &mut [T], row_stride: usize, lhs: Matrix<T>, rhs: Matrix<T>, add: bool) {
    let (wide_lhs, wide_rhs) = (lhs.at_least_two_rows(), rhs.transposed().at_least_two_rows().transposed());
    let columns = wide_rhs.columns;
    let mut wide = vec![T::ZERO; wide_lhs.rows * columns];
    matmul(&mut wide, columns, wide_lhs, wide_rhs, false);
    for row in 0..lhs.rows {
        let (dst, wide) = (&mut dst[row * row_stride..][..rhs.columns], &wide[row * columns..]);
        dst.iter_mut().zip(wide).for_each(|(dst, &x)| *dst = if add { dst.plus(x) } else { x });
    }
}

/// A product that `gemm` computes with its tiled kernel, after a copy if need be.
fn tiled<T: Scalar>(dst: &mut [T], row_stride: usize, lhs: Matrix<T>, rhs: Matrix<T>, add: bool) {
    let depths_contiguous = lhs.columns == 1 || lhs.column_stride == 1 && rhs.row_stride == 1;
    if !depths_contiguous || lhs.rows * rhs.columns > SMALL {
        return call(dst, row_stride, lhs, rhs, add);
    }
    // Row-major order of the right operand is what `gemm` packs fastest.
    let mut hold = Vec::with_capacity(rhs.rows * rhs.columns);
    for row in 0..rhs.rows {
        hold.extend((0..rhs.columns).map(|column| rhs.at(row, column)));
    }
    let row_major = Matrix { data: &hold, at: 0, row_stride: rhs.columns as isize, column_stride: 1, ..rhs };
    call(dst, row_stride, lhs, row_major, add)
}

fn call<T: Scalar>(dst: &mut [T], row_stride: usize, lhs: Matrix<T>, rhs: Matrix<T>, add: bool) {
    let (rows, columns) = (lhs.rows, rhs.columns);
    assert!(T::DTYPE.is_inexact(), "gemm knows no {}", T::DTYPE);
    assert!(
        row_stride >= columns && (rows - 1) * row_stride + columns <= dst.len(),
        "the result does not fit"
    );
    assert!(lhs.is_inside() && rhs.is_inside());
    // SAFETY: both operands lie inside their slices (checked above), as does the result, whose rows do not
    // overlap; `dst` is borrowed exclusively, so it overlaps no operand; and `gemm` takes these four types.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            lhs.columns,
            dst.as_mut_ptr(),
            1,
            row_stride as isize,
            add,
            lhs.data.as_ptr().add(lhs.at),
            lhs.column_stride,
            lhs.row_stride,
            rhs.data.as_ptr().add(rhs.at),
            rhs.column_stride,
            rhs.row_stride,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            gemm::Parallelism::None,
        )
    }
}

/// The product of integers, which is the same in any order.
fn loops<T: Scalar>(dst: &mut [T], row_stride: usize, lhs: Matrix<T>, rhs: Matrix<T>, add: bool) {
    for row in 0..lhs.rows {
        let dst = &mut dst[row * row_stride..][..rhs.columns];
        if !add {
            dst.fill(T::ZERO);
        }
        for k in 0..lhs.columns {
            let x = lhs.at(row, k);
            dst.iter_mut().enumerate().for_each(|(column, dst)| *dst = dst.plus(x.times(rhs.at(k, column))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::Complex;

    fn rough<T: Scalar>(len: usize, seed: usize) -> Vec<T> {
        let part = |i: usize| ((i * 7919 + seed * 31) % 2003) as f64 / 1001.5 - 1.0;
        (0..len)
            .map(|i| T::from_wide(crate::dtype::Wide::Inexact(Complex::new(part(i), part(i + len)))))
            .collect()
    }

    /// The same matrix in memory of three layouts.
    fn layouts<T: Scalar>(data: &[T], rows: usize, columns: usize) -> [(Vec<T>, isize, isize); 3] {
        let wide = columns + 3;
        let mut turned = vec![T::ZERO; rows * columns];
        let mut gaps = vec![T::ONE; rows * wide];
        for (i, &x) in data.iter().enumerate() {
            turned[i % columns * rows + i / columns] = x;
            gaps[i / columns * wide + i % columns] = x;
        }
        [(data.to_vec(), columns as isize, 1), (turned, 1, rows as isize), (gaps, wide as isize, 1)]
    }

    fn view<T>(
        (data, row_stride, column_stride): &(Vec<T>, isize, isize),
        rows: usize,
        columns: usize,
    ) -> Matrix<'_, T> {
        Matrix { data, at: 0, rows, columns, row_stride: *row_stride, column_stride: *column_stride }
    }

    /// Every element, computed two by two.
    fn reference<T: Scalar>(lhs: Matrix<T>, rhs: Matrix<T>) -> Vec<T> {
        let mut all = Vec::new();
        for row in 0..lhs.rows {
            for column in 0..rhs.columns {
                let mut four = [T::ZERO; 4];
                tiled_pieces(&mut four, lhs.some_rows(row, 1), rhs.some_columns(column, 1));
                all.push(four[0]);
            }
        }
        all
    }

    fn tiled_pieces<T: Scalar>(four: &mut [T; 4], row: Matrix<T>, column: Matrix<T>) {
        let twice = column.transposed().at_least_two_rows().transposed();
        matmul(four, 2, row.at_least_two_rows(), twice, false);
    }

    fn elements_are_made_alike<T: Scalar>() {
        for (rows, columns, depth) in [
            (1, 1, 5),
            (1, 9, 3),
            (33, 1, 70),
            (7, 5, 1),
            (2, 3, 2),
            (16, 16, 40),
            (37, 70, 33),
            (5, 65, 513),
            (70, 2, 1030),
        ] {
            let (a, b) = (rough::<T>(rows * depth, 1), rough::<T>(depth * columns, 2));
            let (lhs, rhs) = (layouts(&a, rows, depth), layouts(&b, depth, columns));
            let expected = reference(view(&lhs[0], rows, depth), view(&rhs[0], depth, columns));
            for (i, l) in lhs.iter().enumerate() {
                for (j, r) in rhs.iter().enumerate() {
                    let mut dst = vec![T::ONE; rows * columns];
                    matmul(&mut dst, columns, view(l, rows, depth), view(r, depth, columns), false);
                    assert!(dst == expected, "{} {rows}x{depth}x{columns}, layouts {i} and {j}", T::DTYPE);
                }
            }
        }
    }

    #[test]
    fn every_element_is_made_alike_whatever_surrounds_it() {
        elements_are_made_alike::<f32>();
        elements_are_made_alike::<f64>();
        elements_are_made_alike::<Complex<f32>>();
        elements_are_made_alike::<Complex<f64>>();
    }

    #[test]
    fn adding_to_the_result_is_one_addition() {
        for (rows, columns, depth) in
            [(1, 8, 4), (3, 5, 3), (40, 7, 2), (40, 70, 32), (784, 6, 33), (64, 64, 512), (9, 9, 600)]
        {
            let (a, b) = (rough::<f32>(rows * depth, 1), rough::<f32>(depth * columns, 2));
            let (lhs, rhs) = (layouts(&a, rows, depth), layouts(&b, depth, columns));
            let (lhs, rhs) = (view(&lhs[1], rows, depth), view(&rhs[0], depth, columns));
            let mut product = vec![0.0; rows * columns];
            matmul(&mut product, columns, lhs, rhs, false);
            let before = rough::<f32>(rows * columns, 3);
            let mut sum = before.clone();
            matmul(&mut sum, columns, lhs, rhs, true);
            assert!(sum.iter().zip(before.iter().zip(&product)).all(|(sum, (x, y))| *sum == x + y));
        }
    }

    #[test]
    fn products_are_right() {
        let (a, b) = (rough::<f32>(9 * 700, 1), rough::<f32>(700 * 4, 2));
        let (lhs, rhs) = (layouts(&a, 9, 700), layouts(&b, 700, 4));
        let mut dst = [0.0; 36];
        matmul(&mut dst, 4, view(&lhs[0], 9, 700), view(&rhs[0], 700, 4), false);
        for (i, &x) in dst.iter().enumerate() {
            let exact: f64 = (0..700).map(|k| a[i / 4 * 700 + k] as f64 * b[k * 4 + i % 4] as f64).sum();
            assert!((x as f64 - exact).abs() < 1e-3, "{x} {exact}");
        }
        let mut integers = [7i64; 4];
        let (l, r) = (vec![1, 2, 3, 4], vec![5, 6, 7, 8]);
        matmul(&mut integers, 2, view(&(l, 2, 1), 2, 2), view(&(r, 2, 1), 2, 2), true);
        assert_eq!(integers, [26, 29, 50, 57]);
    }

    #[test]
    fn nothing_times_nothing_is_zero() {
        let mut dst = [1.0f32; 4];
        let empty = Matrix { data: &[][..], at: 0, rows: 2, columns: 0, row_stride: 0, column_stride: 1 };
        matmul(&mut dst, 2, empty, empty.transposed(), true);
        assert_eq!(dst, [1.0; 4]);
        matmul(&mut dst, 2, empty, empty.transposed(), false);
        assert_eq!(dst, [0.0; 4]);
    }

    #[test]
    #[should_panic(expected = "a matrix lies outside its data")]
    fn matrices_stay_inside_their_data() {
        let short =
            Matrix { data: &[1.0f32; 5][..], at: 0, rows: 2, columns: 3, row_stride: 3, column_stride: 1 };
        matmul(&mut [0.0; 4], 2, short, short.transposed(), false);
    }
}
