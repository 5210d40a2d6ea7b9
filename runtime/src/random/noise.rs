//! Noise for private training.

use super::threefry::{Float, Key};
use crate::array::kernels::vectors::{Loop, widest};
use crate::array::{Array, threads};
use crate::dtype::{DType, Real};
use crate::tensor::Tensor;

/// Elements that are drawn at a time, to be added while they are in the first-level cache.
const CHUNK: usize = 2048;

/// `(sum + deviation · z) / count` with standard normal `z`: the mean of `count` terms of which `sum` is the sum, with
/// noise on it, as in private training (Abadi et al., *Deep learning with differential privacy*, 2016, algorithm 1).
///
/// `T[..]{a} -> T[..]{a}` for `f32` and `f64`, in one pass over memory. The noise does not vary over axes. In `f64` it is
/// that of [`normal`](super::normal). In `f32` two elements share the block of [`Key::bits`] that one takes there: `2i`
/// and `2i + 1` are the pair that Box and Muller's formula (1958) makes of the first and the second half of the
/// `u64` number `i`.
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
    let of = |sum: &Array, deviation: f64, count: f64| -> Tensor {
        match sum.dtype() {
            DType::F32 => in_one_pass::<f32>(sum, key, deviation as f32, count as f32).into(),
            DType::F64 => in_one_pass::<f64>(sum, key, deviation, count).into(),
            other => panic!("noisy_mean: only f32 and f64 have noise, not {other}"),
        }
    };
    if sum.tape().is_none() && sum.axes().is_empty() {
        return of(sum.array(), deviation, count);
    }
    let noise = of(&Array::zeros(sum.dtype(), sum.dims()), 1.0, 1.0);
    (sum + noise * deviation) / count
}

fn in_one_pass<T: Real + Float>(sum: &Array, key: Key, deviation: T, count: T) -> Array {
    let (sum, pool) = (sum.contiguous(), threads::pool_of([sum]));
    let (terms, total) = (sum.as_slice::<T>(), sum.len());
    let mut buffer = pool.alloc::<T>(total);
    let part = threads::part(pool, total, total, threads::ELEMENTS);
    threads::split(pool, buffer.as_mut_slice::<T>(), part, |start, out| {
        for (i, out) in out.chunks_mut(CHUNK).enumerate() {
            let first = start + i * CHUNK;
            T::noise(key, first, out);
            widest(Mean { terms: &terms[first..], deviation, count, noise: out });
        }
    });
    Array::from_written::<T>(sum.dims(), buffer)
}

/// From noise to the mean with it.
struct Mean<'a, T> {
    terms: &'a [T],
    deviation: T,
    count: T,
    noise: &'a mut [T],
}

impl<T: Real> Loop for Mean<'_, T> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        for (z, &term) in self.noise.iter_mut().zip(self.terms) {
            *z = (term + *z * self.deviation) / self.count;
        }
    }
}

#[cfg(test)]
mod tests {
    use axisgrad_collectives::Pool;

    use super::*;
    use crate::check::{check_grads, same_bits};
    use crate::ops::{psum, reshape, zeros};
    use crate::random::normal;

    fn terms(dtype: DType, dims: [usize; 2]) -> Tensor {
        let len = dims[0] * dims[1];
        let data = (0..len).map(|i| (i % 17) as f64 / 7.0 - 1.0).collect();
        Tensor::from(Array::from_vec(data, dims)).cast(dtype)
    }

    #[test]
    fn one_pass_has_the_bits_of_the_formula() {
        for dtype in [DType::F32, DType::F64] {
            for (sum, dims) in
                [(terms(dtype, [3, 1700]), [3, 1700]), (terms(dtype, [1700, 3]).t(), [3, 1700])]
            {
                let noise = noisy_mean(&zeros(dtype, dims), Key::new(3), 1.0, 1.0);
                let formula = (&sum + &noise * 0.7) / 3.0;
                let fused = noisy_mean(&sum, Key::new(3), 0.7, 3.0);
                assert!(same_bits(&fused.to_array(), &formula.to_array()));
            }
        }
    }

    #[test]
    fn threads_draw_what_one_draws() {
        let sum = terms(DType::F32, [3, 43_691]);
        let alone = noisy_mean(&sum, Key::new(3), 0.7, 3.0).to_array();
        for count in [2, 3] {
            let pool = Pool::new();
            threads::attach(&pool, count);
            let shared = Tensor::from(sum.to_array().copied_to(&pool));
            assert!(same_bits(&noisy_mean(&shared, Key::new(3), 0.7, 3.0).to_array(), &alone));
        }
    }

    #[test]
    fn the_noise_is_standard_normal_and_in_f64_that_of_normal() {
        let noise = |dtype| noisy_mean(&zeros(dtype, [4096]), Key::new(3), 1.0, 1.0);
        assert!(same_bits(
            &noise(DType::F64).to_array(),
            &normal(Key::new(3), DType::F64, &[4096]).to_array()
        ));
        let [even, odd] = [0, 1].map(|part| reshape(&noise(DType::F32), [2048, 2]).index(1, part));
        for (moment, expected) in [
            (&even * &odd, 0.0),
            (even.clone(), 0.0),
            (odd.clone(), 0.0),
            (&even * &even, 1.0),
            (&odd * &odd, 1.0),
            (&even * &even * &even * &even, 3.0),
            (&odd * &odd * &odd * &odd, 3.0),
            (&even * &even * &odd * &odd, 1.0),
        ] {
            let (mean, var) = (moment.mean(()).item::<f32>(), moment.var(()).item::<f32>());
            assert!((mean - expected).abs() < 4.0 * (var / 2048.0).sqrt(), "{mean} {expected}");
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
