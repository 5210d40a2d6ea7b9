//! Noise for private training.

use super::LAYOUT;
use super::distributions::normal;
use super::threefry::{Float, Key};
use crate::array::{Array, threads};
use crate::dtype::{DType, Real};
use crate::tensor::Tensor;

/// Elements that are drawn at a time, to be added while they are in the first-level cache.
const CHUNK: usize = 512;

/// `(sum + deviation · z) / count` with standard normal `z`: the mean of `count` terms of which `sum` is the sum, with
/// noise on it, as in private training (Abadi et al., *Deep learning with differential privacy*, 2016, algorithm 1).
///
/// `T[..]{a} -> T[..]{a}` for `f32` and `f64`; the noise does not vary over axes. It is that of
/// [`normal`](super::normal), added in one pass over memory.
///
/// # Panics
/// If the elements are of another type.
///
/// ```
/// use axisgrad::Tensor;
/// use axisgrad::random::{Key, noisy_mean};
/// let sum = Tensor::from([4.0, 8.0]);
/// assert_eq!(noisy_mean(&sum, Key::new(0), 0.0, 4.0).to_vec::<f64>(), [1.0, 2.0]);
/// ```
#[track_caller]
pub fn noisy_mean(sum: &Tensor, key: Key, deviation: f64, count: f64) -> Tensor {
    let plain = sum.tape().is_none() && sum.axes().is_empty();
    let array = match sum.dtype() {
        DType::F32 if plain => in_one_pass::<f32>(sum.array(), key, deviation as f32, count as f32),
        DType::F64 if plain => in_one_pass::<f64>(sum.array(), key, deviation, count),
        dtype => return (sum + normal(key, dtype, sum.dims()) * deviation) / count,
    };
    array.into()
}

fn in_one_pass<T: Real + Float>(sum: &Array, key: Key, deviation: T, count: T) -> Array {
    let (sum, pool) = (sum.contiguous(), threads::pool_of([sum]));
    let (terms, total) = (sum.as_slice::<T>(), sum.len());
    let mut buffer = pool.alloc::<T>(total);
    let part = threads::part(pool, total, total, threads::ELEMENTS);
    threads::split(pool, buffer.as_mut_slice::<T>(), part, |start, out| {
        for (i, out) in out.chunks_mut(CHUNK).enumerate() {
            let first = start + i * CHUNK;
            T::normals(key, LAYOUT, total, first, out);
            for (z, &term) in out.iter_mut().zip(&terms[first..]) {
                *z = (term + *z * deviation) / count;
            }
        }
    });
    Array::from_written::<T>(sum.dims(), buffer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{check_grads, same_bits};
    use crate::ops::{psum, reshape};

    fn terms(dtype: DType, dims: [usize; 2]) -> Tensor {
        let len = dims[0] * dims[1];
        let data = (0..len).map(|i| (i % 17) as f64 / 7.0 - 1.0).collect();
        Tensor::from(Array::from_vec(data, dims)).cast(dtype)
    }

    #[test]
    fn one_pass_has_the_bits_of_the_formula() {
        for dtype in [DType::F32, DType::F64] {
            for (sum, dims) in [(terms(dtype, [3, 700]), [3, 700]), (terms(dtype, [700, 3]).t(), [3, 700])] {
                let formula = (&sum + normal(Key::new(3), dtype, &dims) * 0.7) / 3.0;
                let fused = noisy_mean(&sum, Key::new(3), 0.7, 3.0);
                assert!(same_bits(&fused.to_array(), &formula.to_array()));
            }
        }
    }

    #[test]
    fn derivatives_and_axes() {
        let x = terms(DType::F64, [2, 3]);
        check_grads(|x: &Tensor| noisy_mean(x, Key::new(1), 0.5, 2.0).sin(), &x, 2);
        let each = noisy_mean(&x.unstack("batch", 0), Key::new(1), 0.5, 2.0);
        let sum = psum(&each, "batch");
        let alone = [0, 1].map(|i| noisy_mean(&reshape(&x.slice(0, i..i + 1), [3]), Key::new(1), 0.5, 2.0));
        assert!(same_bits(&sum.to_array(), &(&alone[0] + &alone[1]).to_array()));
    }
}
