//! Tensors from nothing, and from the type of another.

use super::{cast, where_};
use crate::array::{Array, Dims};
use crate::dtype::{DType, Scalar};
use crate::tensor::Tensor;

/// The same value everywhere, rounded to `dtype`: `dtype[dims]`. It takes the memory of one element.
///
/// # Panics
/// If `dtype` is `float0`.
pub fn full(dtype: DType, value: f64, dims: impl AsRef<[usize]>) -> Tensor {
    Array::full(dtype, value, []).broadcast_to(dims.as_ref()).into()
}

/// Zeros (`false` of `bool`): `dtype[dims]`.
///
/// # Panics
/// If `dtype` is `float0`.
pub fn zeros(dtype: DType, dims: impl AsRef<[usize]>) -> Tensor {
    full(dtype, 0.0, dims)
}

/// Ones (`true` of `bool`): `dtype[dims]`.
///
/// # Panics
/// If `dtype` is `float0`.
pub fn ones(dtype: DType, dims: impl AsRef<[usize]>) -> Tensor {
    full(dtype, 1.0, dims)
}

/// 0, 1, 2, …: `dtype[n]`.
///
/// # Panics
/// If `dtype` is `float0`.
#[track_caller]
pub fn iota(dtype: DType, n: usize) -> Tensor {
    cast(&Array::from_vec((0..n as i64).collect(), [n]).into(), dtype)
}

/// `start`, `start + step`, … up to but not including `stop`: `T[n]`, with `T` that of the numbers.
///
/// ```
/// use axisgrad::ops::arange;
/// assert_eq!(arange(2, 9, 3).to_vec::<i32>(), [2, 5, 8]);
/// assert_eq!(arange(1.0, 0.0, -0.5).to_vec::<f64>(), [1.0, 0.5]);
/// ```
///
/// # Panics
/// If `step` is 0.
#[track_caller]
pub fn arange<T: Scalar>(start: T, stop: T, step: T) -> Tensor {
    let (first, last, by) = (start.to_f64(), stop.to_f64(), step.to_f64());
    assert!(by != 0.0, "arange: step is 0");
    let n = ((last - first) / by).ceil().max(0.0) as usize;
    Array::from_vec((0..n).map(|i| start.plus(T::from_f64(i as f64).times(step))).collect(), [n]).into()
}

/// `n` numbers at equal distances, from `start` to `stop`, both included: `dtype[n]`.
pub fn linspace(dtype: DType, start: f64, stop: f64, n: usize) -> Tensor {
    let step = (stop - start) / (n.max(2) - 1) as f64;
    let number = |i: usize| if i > 0 && i + 1 == n { stop } else { start + step * i as f64 };
    let numbers = (0..n).map(number).collect();
    cast(&Array::from_vec::<f64>(numbers, [n]).into(), dtype)
}

/// The identity matrix: `dtype[n,n]`.
pub fn eye(dtype: DType, n: usize) -> Tensor {
    let diagonal = (0..n * n).map(|i| i / n == i % n).collect();
    cast(&Array::from_vec::<bool>(diagonal, [n, n]).into(), dtype)
}

/// Whether a place is on or below diagonal `k`, that is, its column is at most its row plus `k`: `bool[rows,columns]`.
pub fn tri(rows: usize, columns: usize, k: isize) -> Tensor {
    let below = |row: usize, column: usize| column as isize <= row as isize + k;
    let places = (0..rows).flat_map(|row| (0..columns).map(move |column| below(row, column)));
    Array::from_vec::<bool>(places.collect(), [rows, columns]).into()
}

/// The matrices in the last two dims with zeros above diagonal `k`.
///
/// `T[..,m,n] -> T[..,m,n]`
///
/// # Panics
/// If there are fewer than two dims.
#[track_caller]
pub fn tril(x: &Tensor, k: isize) -> Tensor {
    where_(tri(x.dim(-2), x.dim(-1), k), x, 0)
}

/// The matrices in the last two dims with zeros below diagonal `k`.
///
/// `T[..,m,n] -> T[..,m,n]`
///
/// # Panics
/// If there are fewer than two dims.
#[track_caller]
pub fn triu(x: &Tensor, k: isize) -> Tensor {
    where_(tri(x.dim(-2), x.dim(-1), k - 1), 0, x)
}

impl Tensor {
    /// The same value everywhere, in this tensor's type: `T[..]{..} -> T[..]{..}`.
    pub fn full_like(&self, value: f64) -> Tensor {
        let dims: Dims = self.axes().lane_dims().into_iter().chain(self.dims().iter().copied()).collect();
        let array = match self.dtype() {
            DType::Float0 => Array::float0(&dims),
            dtype => Array::full_in(self.array().pool(), dtype, value, []).broadcast_to(&dims),
        };
        Tensor::ground(array, self.axes().clone())
    }

    /// Zeros of this tensor's type: `T[..]{..} -> T[..]{..}`.
    pub fn zeros_like(&self) -> Tensor {
        self.full_like(0.0)
    }

    /// Ones of this tensor's type: `T[..]{..} -> T[..]{..}`.
    pub fn ones_like(&self) -> Tensor {
        self.full_like(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{check_grads, check_lanes};

    #[test]
    fn values() {
        assert_eq!(full(DType::I32, 2.5, [2, 1]).to_vec::<i32>(), [2, 2]);
        assert_eq!(iota(DType::F32, 3).to_vec::<f32>(), [0.0, 1.0, 2.0]);
        assert_eq!(arange(5u8, 2, 1).dims(), [0]);
        assert_eq!(linspace(DType::F64, -1.0, 2.0, 4).to_vec::<f64>(), [-1.0, 0.0, 1.0, 2.0]);
        assert_eq!(linspace(DType::F64, 3.0, 4.0, 1).to_vec::<f64>(), [3.0]);
        assert_eq!(eye(DType::U8, 2).to_vec::<u8>(), [1, 0, 0, 1]);
        assert_eq!(tri(2, 3, 1).to_vec::<bool>(), [true, true, false, true, true, true]);
        assert_eq!(Tensor::from([true, false]).ones_like().to_vec::<bool>(), [true, true]);
    }

    #[test]
    fn triangles() {
        let x = Tensor::from([[1.0f64, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        assert_eq!(tril(&x, 0).to_vec::<f64>(), [1.0, 0.0, 0.0, 4.0, 5.0, 0.0]);
        assert_eq!(triu(&x, 1).to_vec::<f64>(), [0.0, 2.0, 3.0, 0.0, 0.0, 6.0]);
        check_grads(|x: &Tensor| tril(&x.square(), -1) + triu(x, 0), &x, 2);
        check_lanes(|x: &Tensor| tril(x, 0), &Tensor::from([[[1.0f32, 2.0], [3.0, 4.0]]; 3]));
    }
}
