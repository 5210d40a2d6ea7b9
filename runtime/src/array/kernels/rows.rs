//! Rows of a table taken by number, and added back by number.
//!
//! A table has dims `[batch.., outer.., n, inner..]`, numbers `[batch.., picks..]` and taken rows
//! `[batch.., outer.., picks.., inner..]`: there is one table, and one set of numbers, for each batch position.
//! Numbers are `i64`; a negative one names no row.

use super::nest::Nest;
use crate::array::{Array, Dims, threads};
use crate::dtype::{DType, Scalar, dispatch};

/// Where the parts of a table are: its dims from `batch` to `dim` are the outer ones.
#[derive(Clone, Copy)]
pub struct RowDims {
    /// How many batch dims there are.
    pub batch: usize,
    /// The dim that numbers count along.
    pub dim: usize,
}

/// The rows of `table` with the numbers `ids`: `T[b,o,n,i], i64[b,p] -> T[b,o,p,i]`. Where a number names no row,
/// the elements are `missing`.
///
/// # Panics
/// If a number is too large.
pub fn take_rows<T: Scalar>(table: &Array, ids: &Array, at: RowDims, missing: T) -> Array {
    let RowDims { batch, dim } = at;
    let table = per_batch_contiguous(table, batch);
    let [outer, n, inner] =
        [&table.dims()[batch..dim], &table.dims()[dim..=dim], &table.dims()[dim + 1..]].map(product);
    let picks = &ids.dims()[batch..];
    let dims: Dims = [&table.dims()[..dim], picks, &table.dims()[dim + 1..]].concat().into();
    let mut buffer = threads::pool_of([&table, ids]).alloc::<T>(product(&dims));
    let (ids, data) = (ids.contiguous(), table.data::<T>());
    let numbers = ids.as_slice::<i64>().chunks_exact(product(picks).max(1));
    let tables = starts(&table, batch).into_iter().zip(numbers);
    let blocks = tables.flat_map(|(start, ids)| (0..outer).map(move |o| (start + o * n * inner, ids)));
    let rows = blocks.flat_map(|(start, ids)| ids.iter().map(move |&id| (start, id)));
    for (row, (start, id)) in buffer.as_mut_slice::<T>().chunks_exact_mut(inner.max(1)).zip(rows) {
        match usize::try_from(id) {
            Ok(id) => row.copy_from_slice(&data[start..][..n * inner][id * inner..][..inner]),
            Err(_) => row.fill(missing),
        }
    }
    Array::from_written::<T>(dims, buffer)
}

/// The sum of `rows` by their numbers `ids` in a table of `n` rows: `T[b,o,p,i], i64[b,p] -> T[b,o,n,i]`. Rows of one
/// number are added in their order; rows whose number names none are left out.
///
/// # Panics
/// If a number is too large.
pub fn add_rows(rows: &Array, ids: &Array, at: RowDims, n: usize) -> Array {
    dispatch!(rows.dtype() in [numeric], T => fold_rows_of(rows, ids, at, n, T::ZERO, T::plus))
}

/// How rows of one number become one.
#[derive(Clone, Copy, PartialEq)]
pub enum Fold {
    /// Their product.
    Prod,
    /// The smaller elements; NaN if one is.
    Min,
    /// The larger elements; NaN if one is.
    Max,
}

/// As [`add_rows`], but combining otherwise. Where a number names no row, the elements are 1, infinity or its
/// negative (of integers, the largest or smallest there is).
///
/// # Panics
/// If a number is too large, or the smallest of complex numbers is asked for.
pub fn fold_rows(rows: &Array, ids: &Array, at: RowDims, n: usize, fold: Fold) -> Array {
    let first = |pick: bool| if pick { f64::INFINITY } else { f64::NEG_INFINITY };
    match fold {
        Fold::Prod => dispatch!(rows.dtype(), T => fold_rows_of(rows, ids, at, n, T::ONE, T::times)),
        _ if rows.dtype() == DType::Bool => {
            let (start, and) = (fold == Fold::Min, fold == Fold::Min);
            fold_rows_of(rows, ids, at, n, start, |a: bool, b: bool| if and { a & b } else { a | b })
        }
        Fold::Min => dispatch!(rows.dtype() in [real], T => {
            fold_rows_of(rows, ids, at, n, T::from_f64(first(true)), |a: T, b: T| if a < b { a } else if b <= a { b } else { a.plus(b) })
        }),
        Fold::Max => dispatch!(rows.dtype() in [real], T => {
            fold_rows_of(rows, ids, at, n, T::from_f64(first(false)), |a: T, b: T| if a > b { a } else if b >= a { b } else { a.plus(b) })
        }),
    }
}

fn fold_rows_of<T: Scalar>(
    rows: &Array,
    ids: &Array,
    RowDims { batch, dim }: RowDims,
    n: usize,
    start: T,
    fold: impl Fn(T, T) -> T,
) -> Array {
    let picks = product(&ids.dims()[batch..]);
    let after = &rows.dims()[dim + ids.ndim() - batch..];
    let (outer, inner) = (product(&rows.dims()[batch..dim]), product(after));
    let dims: Dims = [&rows.dims()[..dim], &[n], after].concat().into();
    let mut buffer = rows.pool().alloc::<T>(product(&dims));
    let (rows, ids) = (rows.contiguous(), ids.contiguous());
    let (rows, ids) = (rows.as_slice::<T>(), ids.as_slice::<i64>());
    let out = buffer.as_mut_slice::<T>();
    out.fill(start);
    for (i, table) in out.chunks_exact_mut((n * inner).max(1)).enumerate() {
        let ids = &ids[i / outer * picks..][..picks];
        let rows = rows[i * picks * inner..][..picks * inner].chunks_exact(inner.max(1));
        for (row, id) in rows.zip(ids).filter_map(|(row, &id)| Some((row, usize::try_from(id).ok()?))) {
            table[id * inner..][..inner].iter_mut().zip(row).for_each(|(sum, &x)| *sum = fold(*sum, x));
        }
    }
    Array::from_written::<T>(dims, buffer)
}

/// What stands for an element that is not there: NaN; for integers the smallest value, or the largest of an unsigned type;
/// `true`.
pub fn missing<T: Scalar>() -> T {
    match T::DTYPE {
        DType::I32 | DType::I64 => T::from_f64(f64::NEG_INFINITY),
        DType::U8 | DType::U64 => T::from_f64(f64::INFINITY),
        DType::Bool => T::ONE,
        _ => T::from_f64(f64::NAN),
    }
}

pub(super) fn product(dims: &[usize]) -> usize {
    dims.iter().product()
}

/// The same array with the elements of each batch position in order; a table that all of them share stays one.
pub(super) fn per_batch_contiguous(x: &Array, batch: usize) -> Array {
    let shared = |dim: usize| dim < batch && x.strides()[dim] == 0 && x.dims()[dim] > 0;
    let one = (0..batch).filter(|&dim| shared(dim)).fold(x.clone(), |x, dim| x.slice(dim, 0, 1, 1));
    one.contiguous().broadcast_to(x.dims())
}

/// Where each batch position's elements begin.
pub(super) fn starts(x: &Array, batch: usize) -> Vec<usize> {
    if x.is_empty() {
        return vec![0; product(&x.dims()[..batch])];
    }
    let first = (batch..x.ndim()).rev().fold(x.clone(), |x, dim| x.index(dim, 0));
    let nest = Nest::new(first.dims(), [&first]);
    let mut starts = Vec::with_capacity(first.len());
    nest.for_rows(0..nest.rows(), |_, [(at, step)]| {
        starts.extend((0..nest.row_len() as isize).map(|i| (at as isize + i * step) as usize));
    });
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: RowDims = RowDims { batch: 1, dim: 2 };

    fn table() -> Array {
        Array::from_vec((0..2 * 2 * 3 * 2i32).collect(), [2, 2, 3, 2])
    }

    #[test]
    fn rows_are_taken_from_each_table() {
        let ids = Array::from([[2i64, -1], [0, 1]]);
        let rows = take_rows::<i32>(&table(), &ids, AT, 99);
        assert_eq!(rows.dims(), [2, 2, 2, 2]);
        assert_eq!(rows.to_vec::<i32>(), [4, 5, 99, 99, 10, 11, 99, 99, 12, 13, 14, 15, 18, 19, 20, 21]);
    }

    #[test]
    fn a_shared_table_is_not_copied_for_each() {
        let shared = table().index(0, 1).expand_dims(0).broadcast_to(&[1000, 2, 3, 2]);
        assert!(per_batch_contiguous(&shared, 1).strides()[0] == 0);
        let ids = Array::from([1i64]).broadcast_to(&[1000, 1]);
        assert_eq!(take_rows::<i32>(&shared, &ids, AT, 0).to_vec::<i32>(), [14, 15, 20, 21].repeat(1000));
    }

    #[test]
    fn rows_are_added_by_number() {
        let rows = Array::from([[1i32, 2], [10, 20], [100, 200]]);
        let ids = Array::from([2i64, -1, 2]);
        let sum = add_rows(&rows, &ids, RowDims { batch: 0, dim: 0 }, 3);
        assert_eq!(sum.to_vec::<i32>(), [0, 0, 0, 0, 101, 202]);
        let each = take_rows::<i32>(&table(), &Array::from([[0i64, 0], [2, 1]]), AT, 0);
        let sum = add_rows(&each, &Array::from([[0i64, 0], [2, 1]]), AT, 3);
        assert_eq!(sum.index(0, 0).to_vec::<i32>(), [0, 2, 0, 0, 0, 0, 12, 14, 0, 0, 0, 0]);
        assert_eq!(sum.index(0, 1).slice(1, 1, 3, 1).to_vec::<i32>(), [14, 15, 16, 17, 20, 21, 22, 23]);
    }

    #[test]
    fn nothing_is_taken_from_nothing() {
        let none = Array::zeros(DType::F32, [2, 0, 3]);
        let at = RowDims { batch: 0, dim: 0 };
        assert_eq!(take_rows::<f32>(&none, &Array::from([1i64]), at, 0.0).dims(), [1, 0, 3]);
        assert_eq!(take_rows::<i32>(&table(), &Array::from([0i64; 0]), at, 0).dims(), [0, 2, 3, 2]);
        assert_eq!(add_rows(&none, &Array::from([1i64, 1]), at, 2).dims(), [2, 0, 3]);
    }

    #[test]
    #[should_panic]
    fn too_large_a_number_is_no_row() {
        take_rows::<i32>(&table(), &Array::from([[0i64], [3]]), AT, 0);
    }
}
