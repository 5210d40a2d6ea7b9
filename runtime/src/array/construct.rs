//! Arrays from values.

use super::*;

impl Array {
    /// An array of `data` in row-major order: `T[dims]`, with a pool of its own.
    ///
    /// # Panics
    /// If the number of elements is not the product of the dims.
    #[track_caller]
    pub fn from_vec<T: Scalar>(data: Vec<T>, dims: impl AsRef<[usize]>) -> Self {
        Self::from_slice(&data, dims)
    }

    /// As [`from_vec`](Self::from_vec), with memory from `pool`.
    #[track_caller]
    pub fn from_vec_in<T: Scalar>(pool: &Pool, data: Vec<T>, dims: impl AsRef<[usize]>) -> Self {
        Self::from_slice_in(pool, &data, dims)
    }

    /// A copy of `data` in row-major order: `T[dims]`, with a pool of its own.
    ///
    /// # Panics
    /// If the number of elements is not the product of the dims.
    #[track_caller]
    pub fn from_slice<T: Scalar>(data: &[T], dims: impl AsRef<[usize]>) -> Self {
        Self::from_slice_in(&Pool::new(), data, dims)
    }

    /// As [`from_slice`](Self::from_slice), with memory from `pool`.
    #[track_caller]
    pub fn from_slice_in<T: Scalar>(pool: &Pool, data: &[T], dims: impl AsRef<[usize]>) -> Self {
        Self::from_buffer(T::DTYPE, dims, pool.copy_of(data))
    }

    /// An array over memory that holds its elements in row-major order.
    ///
    /// # Panics
    /// If the buffer's length is not that of the elements, or memory could not hold so many.
    #[track_caller]
    pub fn from_buffer(dtype: DType, dims: impl AsRef<[usize]>, buffer: Buffer) -> Self {
        let dims = Dims::from_slice(dims.as_ref());
        let (len, bytes) = (held(&dims), buffer.bytes().len());
        assert!(
            bytes == len * dtype.size(),
            "{dtype}{dims:?} needs {len} elements, not {}",
            bytes / dtype.size().max(1)
        );
        Self { dtype, strides: row_major(&dims), dims, offset: 0, buffer }
    }

    /// As [`from_buffer`](Self::from_buffer), of memory that was just written.
    #[track_caller]
    pub(crate) fn from_written<T: Scalar>(dims: impl AsRef<[usize]>, buffer: BufferMut) -> Self {
        Self::from_buffer(T::DTYPE, dims, buffer.freeze())
    }

    /// One element without dims: `T[]`.
    pub fn scalar<T: Scalar>(value: T) -> Self {
        Self::scalar_in(&Pool::new(), value)
    }

    /// As [`scalar`](Self::scalar), with memory from `pool`.
    pub fn scalar_in<T: Scalar>(pool: &Pool, value: T) -> Self {
        Self::from_slice_in(pool, &[value], [])
    }

    /// The same value everywhere, rounded to `dtype`: `dtype[dims]`.
    ///
    /// # Panics
    /// If `dtype` is `float0`, which holds no values, or memory could not hold so many.
    pub fn full(dtype: DType, value: f64, dims: impl AsRef<[usize]>) -> Self {
        Self::full_in(&Pool::new(), dtype, value, dims)
    }

    /// As [`full`](Self::full), with memory from `pool`.
    pub fn full_in(pool: &Pool, dtype: DType, value: f64, dims: impl AsRef<[usize]>) -> Self {
        let dims = dims.as_ref();
        dispatch!(dtype in [stored], T => {
            let mut buffer = pool.alloc::<T>(held(dims));
            buffer.as_mut_slice::<T>().fill(T::from_f64(value));
            Self::from_written::<T>(dims, buffer)
        })
    }

    /// Zeros (`false` for `bool`): `dtype[dims]`.
    pub fn zeros(dtype: DType, dims: impl AsRef<[usize]>) -> Self {
        Self::zeros_in(&Pool::new(), dtype, dims)
    }

    /// As [`zeros`](Self::zeros), with memory from `pool`.
    pub fn zeros_in(pool: &Pool, dtype: DType, dims: impl AsRef<[usize]>) -> Self {
        if dtype == DType::Float0 {
            Self::float0_in(pool, dims)
        } else {
            Self::full_in(pool, dtype, 0.0, dims)
        }
    }

    /// Ones (`true` for `bool`): `dtype[dims]`.
    pub fn ones(dtype: DType, dims: impl AsRef<[usize]>) -> Self {
        Self::full(dtype, 1.0, dims)
    }

    /// The derivative with respect to integers: `float0[dims]`, dims without data.
    pub fn float0(dims: impl AsRef<[usize]>) -> Self {
        Self::float0_in(&Pool::new(), dims)
    }

    /// As [`float0`](Self::float0), in `pool`.
    pub fn float0_in(pool: &Pool, dims: impl AsRef<[usize]>) -> Self {
        Self::from_buffer(DType::Float0, dims, pool.alloc::<u8>(0).freeze())
    }
}

impl<T: Scalar> From<T> for Array {
    fn from(value: T) -> Self {
        Self::scalar(value)
    }
}

impl<T: Scalar> From<Vec<T>> for Array {
    fn from(data: Vec<T>) -> Self {
        Self::from(data.as_slice())
    }
}

impl<T: Scalar> From<&[T]> for Array {
    fn from(data: &[T]) -> Self {
        Self::from_slice(data, [data.len()])
    }
}

impl<T: Scalar> From<Vec<Vec<T>>> for Array {
    /// The inner vectors are the rows.
    ///
    /// # Panics
    /// If they differ in length.
    fn from(rows: Vec<Vec<T>>) -> Self {
        let columns = rows.first().map_or(0, Vec::len);
        if let Some(odd) = rows.iter().position(|row| row.len() != columns) {
            panic!("row 0 has {columns} elements and row {odd} has {}; rows must be equal", rows[odd].len());
        }
        Self::from_slice(&rows.concat(), [rows.len(), columns])
    }
}

impl<T: Scalar, const N: usize> From<[T; N]> for Array {
    fn from(data: [T; N]) -> Self {
        Self::from_slice(&data, [N])
    }
}

impl<T: Scalar, const N: usize, const M: usize> From<[[T; N]; M]> for Array {
    fn from(data: [[T; N]; M]) -> Self {
        Self::from_slice(data.as_flattened(), [M, N])
    }
}

impl<T: Scalar, const N: usize, const M: usize, const L: usize> From<[[[T; N]; M]; L]> for Array {
    fn from(data: [[[T; N]; M]; L]) -> Self {
        Self::from_slice(data.as_flattened().as_flattened(), [L, M, N])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_nest() {
        let a = Array::from([[[1u8, 2, 3], [4, 5, 6]]]);
        assert_eq!((a.dtype(), a.dims()), (DType::U8, &[1, 2, 3][..]));
        assert_eq!(Array::from(vec![vec![1.0f32], vec![2.0]]).dims(), [2, 1]);
        assert_eq!(Array::from(vec![true, false]).to_vec::<bool>(), [true, false]);
        assert_eq!(Array::from(2.5f64).item::<f64>(), 2.5);
        assert_eq!(Array::from([[0i64; 0]; 3]).dims(), [3, 0]);
    }

    #[test]
    fn constants() {
        assert_eq!(Array::full(DType::I32, 2.9, [2]).to_vec::<i32>(), [2, 2]);
        assert_eq!(Array::zeros(DType::Bool, [1]).to_vec::<bool>(), [false]);
        assert_eq!(Array::ones(DType::F64, []).item::<f64>(), 1.0);
        let nothing = Array::zeros(DType::Float0, [3, 4]);
        assert_eq!(
            (nothing.dtype(), nothing.len(), nothing.contiguous().dims()),
            (DType::Float0, 12, &[3, 4][..])
        );
    }

    #[test]
    #[should_panic(expected = "f32[2, 2] needs 4 elements, not 3")]
    fn the_length_is_checked() {
        Array::from_vec(vec![0.0f32; 3], [2, 2]);
    }

    #[test]
    #[should_panic(expected = "row 0 has 2 elements and row 1 has 1; rows must be equal")]
    fn ragged_rows_are_refused() {
        let _ = Array::from(vec![vec![1, 2], vec![3]]);
    }
}
