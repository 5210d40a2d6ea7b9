//! Rows brought to mean 0 and variance 1, and the transpose of that.
//!
//! The last dims count as a row; each row is summed in an order that only its length decides.

use super::vectors::{Loop, widest};
use crate::array::{Array, Dims, threads};
use crate::dtype::{Real, dispatch};

/// What a row is brought to: its elements less their mean (or as they are) over the root of their mean square and
/// `epsilon`.
#[derive(Clone, Copy, Debug)]
pub struct Normalize {
    /// Whether the mean is taken off.
    pub center: bool,
    /// What is added to the mean square.
    pub epsilon: f64,
}

/// The mean of a row that is taken off, and what the rest is scaled by.
#[derive(Clone, Copy)]
struct Moments<T> {
    mean: T,
    scale: T,
}

impl Normalize {
    /// `(x - mean)·scale` along the last dim, and then `·weight + bias` where they are given: `T[..,n] -> T[..,n]`
    /// for floats.
    pub fn apply(self, x: &Array, weight: Option<&Array>, bias: Option<&Array>) -> Array {
        dispatch!(x.dtype() in [float], T => rows::<T, 1>([x], [weight, bias], |[x], [weight, bias], out| {
            widest(Apply { settings: self, x, weight, bias, out });
        }))
    }

    /// The transpose of the derivative at `x`, applied to `ct·weight`, where a weight is given:
    /// `T[..,n], T[..,n] -> T[..,n]` for floats.
    ///
    /// With y = (x - mean)·scale it is `scale·(ct - mean(ct) - y·mean(ct·y))`.
    pub fn pull(self, x: &Array, ct: &Array, weight: Option<&Array>) -> Array {
        dispatch!(x.dtype() in [float], T => rows::<T, 2>([x, ct], [weight, None], |[x, ct], [weight, _], out| {
            widest(Pull { settings: self, x, ct, weight, out });
        }))
    }

    /// The sum of `ct·(x - mean)·scale` over the rows of each of the first `front` dims: `T[..,..,n], T[..,..,n] ->
    /// T[..,n]` for floats.
    pub fn scale_ct(self, x: &Array, ct: &Array, front: usize) -> Array {
        dispatch!(x.dtype() in [float], T => self.summed::<T>(x, ct, front))
    }

    fn summed<T: Real>(self, x: &Array, ct: &Array, front: usize) -> Array {
        let n = x.dims().last().copied().expect("a last dim");
        let dims: Dims = x.dims()[..front].iter().copied().chain([n]).collect();
        let each: usize = x.dims()[front..].iter().product();
        let pool = threads::pool_of([x, ct]);
        let (x, ct) = (x.contiguous(), ct.contiguous());
        let (x, ct) = (x.as_slice::<T>(), ct.as_slice::<T>());
        let mut buffer = pool.alloc::<T>(dims.iter().product());
        let out = buffer.as_mut_slice::<T>();
        let part = n * threads::part(pool, out.len() / n.max(1), x.len(), threads::ELEMENTS);
        threads::split(pool, out, part, |start, out| {
            for (i, out) in (start / n.max(1)..).zip(out.chunks_exact_mut(n.max(1))) {
                let range = i * each..(i + 1) * each;
                widest(ScaleCt { settings: self, x: &x[range.clone()], ct: &ct[range], out });
            }
        });
        Array::from_written::<T>(dims, buffer)
    }

    #[inline(always)]
    fn moments<T: Real>(self, row: &[T]) -> Moments<T> {
        let count = T::from_f64(row.len() as f64);
        let mean = if self.center { total(row, row, |x, _| x) / count } else { T::ZERO };
        let square = total(row, row, |x, _| (x - mean) * (x - mean)) / count;
        Moments { mean, scale: (square + T::from_f64(self.epsilon)).sqrt().recip() }
    }
}

/// One row of [`Normalize::apply`].
struct Apply<'a, T> {
    settings: Normalize,
    x: &'a [T],
    weight: Option<&'a [T]>,
    bias: Option<&'a [T]>,
    out: &'a mut [T],
}

impl<T: Real> Loop for Apply<'_, T> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        let Self { settings, x, weight, bias, out } = self;
        let Moments { mean, scale } = settings.moments(x);
        out.iter_mut().zip(x).for_each(|(out, &x)| *out = (x - mean) * scale);
        if let Some(weight) = weight {
            out.iter_mut().zip(weight).for_each(|(out, &weight)| *out = *out * weight);
        }
        if let Some(bias) = bias {
            out.iter_mut().zip(bias).for_each(|(out, &bias)| *out = *out + bias);
        }
    }
}

/// One row of [`Normalize::pull`].
struct Pull<'a, T> {
    settings: Normalize,
    x: &'a [T],
    ct: &'a [T],
    weight: Option<&'a [T]>,
    out: &'a mut [T],
}

impl<T: Real> Loop for Pull<'_, T> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        let Self { settings, x, ct, weight, out } = self;
        let Moments { mean, scale } = settings.moments(x);
        match weight {
            Some(weight) => out.iter_mut().zip(ct).zip(weight).for_each(|((out, &ct), &w)| *out = ct * w),
            None => out.copy_from_slice(ct),
        }
        let count = T::from_f64(x.len() as f64);
        let level = if settings.center { total(out, out, |ct, _| ct) / count } else { T::ZERO };
        let along = total(out, x, |ct, x| ct * (x - mean)) * scale * scale / count;
        out.iter_mut().zip(x).for_each(|(out, &x)| *out = scale * (*out - level - (x - mean) * along));
    }
}

/// One result of [`Normalize::scale_ct`].
struct ScaleCt<'a, T> {
    settings: Normalize,
    x: &'a [T],
    ct: &'a [T],
    out: &'a mut [T],
}

impl<T: Real> Loop for ScaleCt<'_, T> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        let Self { settings, x, ct, out } = self;
        out.fill(T::ZERO);
        for (x, ct) in x.chunks_exact(out.len()).zip(ct.chunks_exact(out.len())) {
            let Moments { mean, scale } = settings.moments(x);
            for ((out, &x), &ct) in out.iter_mut().zip(x).zip(ct) {
                *out = *out + ct * ((x - mean) * scale);
            }
        }
    }
}

/// The sum of `f` of two rows: sixteen sums side by side, then one after the other.
#[inline(always)]
fn total<T: Real>(x: &[T], y: &[T], f: impl Fn(T, T) -> T) -> T {
    const SIDES: usize = 16;
    let mut sums = [T::ZERO; SIDES];
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<SIDES>(), y.as_chunks::<SIDES>());
    for (x, y) in x.iter().zip(y) {
        for ((sum, &x), &y) in sums.iter_mut().zip(x).zip(y) {
            *sum = *sum + f(x, y);
        }
    }
    for ((sum, &x), &y) in sums.iter_mut().zip(x_rest).zip(y_rest) {
        *sum = *sum + f(x, y);
    }
    sums.into_iter().fold(T::ZERO, |sum, x| sum + x)
}

/// Each row of the result from those of `operands` and of `shared`, which broadcast to the dims of the operands.
fn rows<T: Real, const N: usize>(
    operands: [&Array; N],
    shared: [Option<&Array>; 2],
    body: impl Fn([&[T]; N], [Option<&[T]>; 2], &mut [T]) + Sync,
) -> Array {
    let dims = operands[0].dims();
    let n = dims.last().copied().expect("a last dim").max(1);
    let operands = operands.map(Array::contiguous);
    let shared = shared.map(|rows| rows.map(|rows| Shared::new(rows, dims)));
    let data = operands.each_ref().map(|x| x.as_slice::<T>());
    let pool = threads::pool_of(operands.each_ref());
    let mut buffer = pool.alloc::<T>(operands[0].len());
    let out = buffer.as_mut_slice::<T>();
    let part = n * threads::part(pool, out.len() / n, out.len(), threads::ELEMENTS).max(1);
    threads::split(pool, out, part, |start, out| {
        for (i, out) in (start / n..).zip(out.chunks_exact_mut(n)) {
            body(
                data.map(|x| &x[i * n..][..n]),
                shared.each_ref().map(|rows| Some(rows.as_ref()?.row(i, n))),
                out,
            );
        }
    });
    Array::from_written::<T>(dims, buffer)
}

/// Rows of a weight: one for every so many rows of the operand.
struct Shared {
    rows: Array,
    each: usize,
}

impl Shared {
    /// Dims that the weight is broadcast along need no copies, if they are the last ones before the row.
    fn new(rows: &Array, dims: &[usize]) -> Self {
        let rows = rows.broadcast_to(dims);
        let last = dims.len() - 1;
        let kept =
            (0..last).rev().find(|&dim| rows.strides()[dim] != 0 && dims[dim] > 1).map_or(0, |dim| dim + 1);
        let one = (kept..last).filter(|&dim| dims[dim] > 0).fold(rows, |rows, dim| rows.slice(dim, 0, 1, 1));
        Self { rows: one.contiguous(), each: dims[kept..last].iter().product() }
    }

    fn row<T: Real>(&self, i: usize, n: usize) -> &[T] {
        &self.rows.as_slice::<T>()[i / self.each * n..][..n]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waves(dims: [usize; 3], phase: f64) -> Array {
        let len = dims.iter().product::<usize>();
        Array::from_vec((0..len).map(|i| (phase + 1.3 * i as f64).sin()).collect::<Vec<f64>>(), dims)
    }

    fn naive(row: &[f64], settings: Normalize) -> Vec<f64> {
        let n = row.len() as f64;
        let mean = if settings.center { row.iter().sum::<f64>() / n } else { 0.0 };
        let square = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        row.iter().map(|x| (x - mean) / (square + settings.epsilon).sqrt()).collect()
    }

    #[test]
    fn rows_are_brought_to_scale() {
        let x = waves([2, 3, 37], 0.2);
        for center in [true, false] {
            let settings = Normalize { center, epsilon: 1e-3 };
            let expected: Vec<f64> =
                x.to_vec::<f64>().chunks(37).flat_map(|row| naive(row, settings)).collect();
            let plain = settings.apply(&x, None, None).to_vec::<f64>();
            plain.iter().zip(&expected).for_each(|(a, b)| assert!((a - b).abs() < 1e-13));
            for shared in [[1, 1, 37], [2, 1, 37], [1, 3, 37], [2, 3, 37]] {
                let (weight, bias) = (waves(shared, 0.5), waves(shared, 0.9));
                let whole = settings.apply(&x, Some(&weight), Some(&bias)).to_vec::<f64>();
                let [weight, bias] = [weight, bias].map(|rows| rows.broadcast_to(x.dims()).to_vec::<f64>());
                for (i, out) in whole.iter().enumerate() {
                    assert!((out - (expected[i] * weight[i] + bias[i])).abs() < 1e-13);
                }
            }
        }
    }

    #[test]
    fn the_cotangent_of_a_scale_is_a_sum_over_rows() {
        let (x, ct) = (waves([2, 3, 37], 0.2), waves([2, 3, 37], 0.8));
        let settings = Normalize { center: true, epsilon: 1e-3 };
        let rows = settings.apply(&x, None, None).to_vec::<f64>();
        let products: Vec<f64> = rows.iter().zip(ct.to_vec::<f64>()).map(|(y, ct)| y * ct).collect();
        for (front, each) in [(0, 6), (1, 3), (2, 1)] {
            let sums = settings.scale_ct(&x, &ct, front).to_vec::<f64>();
            for (i, sum) in sums.iter().enumerate() {
                let rows = (0..each).map(|row| products[(i / 37 * each + row) * 37 + i % 37]);
                assert!((sum - rows.sum::<f64>()).abs() < 1e-12);
            }
        }
        assert_eq!(
            settings.scale_ct(&waves([2, 0, 3], 0.0), &waves([2, 0, 3], 0.0), 1).to_vec::<f64>(),
            [0.0; 6]
        );
        assert_eq!(settings.scale_ct(&waves([2, 3, 0], 0.0), &waves([2, 3, 0], 0.0), 1).dims(), [2, 0]);
    }

    #[test]
    fn a_row_does_not_depend_on_the_others() {
        let (x, settings) = (waves([2, 3, 37], 0.2), Normalize { center: true, epsilon: 1e-5 });
        let (all, one) = (settings.apply(&x, None, None), settings.apply(&x.index(0, 1), None, None));
        assert_eq!(all.index(0, 1).to_vec::<f64>(), one.to_vec::<f64>());
        assert_eq!(settings.apply(&waves([2, 0, 3], 0.0), None, None).dims(), [2, 0, 3]);
    }
}
