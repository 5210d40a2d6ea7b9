//! Exponentials over their sum, along the last dim.
//!
//! The largest element is taken off first, so that nothing overflows. Each row is summed in an order that only its
//! length decides.

use crate::array::{Array, Dims};
use crate::dtype::{Real, Scalar, dispatch};

/// `exp(x) / Σ exp(x)` along the last dim: `T[..,n] -> T[..,n]` for floats.
pub fn softmax(x: &Array) -> Array {
    dispatch!(x.dtype() in [float], T => rows_to_rows::<T>(x, |row, out| {
        let scale = exponentials(row, largest(row), out).recip();
        out.iter_mut().for_each(|p| *p *= scale);
    }))
}

/// The softmax of the first `i + 1` elements of row `i` of each matrix, and zeros after them:
/// `T[..,m,n] -> T[..,m,n]` for floats.
pub fn causal_softmax(x: &Array) -> Array {
    let height = x.dims()[x.ndim() - 2];
    dispatch!(x.dtype() in [float], T => {
        let mut row_number = 0;
        rows_to_rows::<T>(x, |row, out| {
            let seen = row.len().min(row_number % height + 1);
            let scale = exponentials(&row[..seen], largest(&row[..seen]), &mut out[..seen]).recip();
            out[..seen].iter_mut().for_each(|p| *p *= scale);
            out[seen..].fill(T::ZERO);
            row_number += 1;
        })
    })
}

/// `x - log Σ exp(x)` along the last dim: `T[..,n] -> T[..,n]` for floats.
pub fn log_softmax(x: &Array) -> Array {
    dispatch!(x.dtype() in [float], T => rows_to_rows::<T>(x, |row, out| {
        let top = largest(row);
        let log = exponentials(row, top, out).ln();
        out.iter_mut().zip(row).for_each(|(out, &x)| *out = (x - top) - log);
    }))
}

/// `log Σ exp(x)` along the last dim: `T[..,n] -> T[..]` for floats; of nothing it is `-inf`.
pub fn logsumexp(x: &Array) -> Array {
    dispatch!(x.dtype() in [float], T => {
        let mut hold = vec![T::ZERO; last(x)];
        rows_to_scalars::<T>(x, |_, row| {
            let top = largest(row);
            let top = if top.is_finite() { top } else { T::ZERO };
            exponentials(row, top, &mut hold).ln() + top
        })
    })
}

/// `log Σ exp(x) - x[label]` along the last dim: `T[..,n], i64[..] -> T[..]` for floats.
///
/// # Panics
/// If a label is out of range.
pub fn cross_entropy(x: &Array, labels: &Array) -> Array {
    let labels = labels.contiguous();
    let labels = labels.as_slice::<i64>();
    dispatch!(x.dtype() in [float], T => {
        let mut hold = vec![T::ZERO; last(x)];
        rows_to_scalars::<T>(x, |i, row| {
            let top = largest(row);
            exponentials(row, top, &mut hold).ln() - (row[labels[i] as usize] - top)
        })
    })
}

/// `ct · (softmax(x) - one_hot(label))` along the last dim: `T[..,n], i64[..], T[..] -> T[..,n]` for floats.
///
/// # Panics
/// If a label is out of range.
pub fn cross_entropy_ct(x: &Array, labels: &Array, ct: &Array) -> Array {
    let (labels, ct) = (labels.contiguous(), ct.contiguous());
    let labels = labels.as_slice::<i64>();
    dispatch!(x.dtype() in [float], T => {
        let mut each = labels.iter().zip(ct.as_slice::<T>());
        rows_to_rows::<T>(x, |row, out| {
            let (&label, &ct) = each.next().expect("a label for each row");
            let scale = exponentials(row, largest(row), out).recip();
            out.iter_mut().for_each(|p| *p *= scale);
            out[label as usize] -= T::ONE;
            out.iter_mut().for_each(|p| *p *= ct);
        })
    })
}

/// `y · (ct - Σ y·ct)` along the last dim, the transpose of softmax where its value is `y`:
/// `T[..,n], T[..,n] -> T[..,n]` for floats.
pub fn softmax_ct(y: &Array, ct: &Array) -> Array {
    let ct = ct.contiguous();
    dispatch!(y.dtype() in [float], T => {
        let mut each = ct.as_slice::<T>().chunks_exact(last(y).max(1));
        rows_to_rows::<T>(y, |y, out| {
            let ct = each.next().expect("a cotangent for each row");
            out.iter_mut().zip(y).zip(ct).for_each(|((out, &y), &ct)| *out = y * ct);
            let mean = sum(out);
            out.iter_mut().zip(y).zip(ct).for_each(|((out, &y), &ct)| *out = y * (ct - mean));
        })
    })
}

fn last(x: &Array) -> usize {
    x.dims().last().copied().expect("a last dim")
}

fn rows_to_rows<T: Scalar>(x: &Array, mut f: impl FnMut(&[T], &mut [T])) -> Array {
    let (x, n) = (x.contiguous(), last(x).max(1));
    let mut buffer = x.pool().alloc::<T>(x.len());
    let rows = x.as_slice::<T>().chunks_exact(n);
    rows.zip(buffer.as_mut_slice::<T>().chunks_exact_mut(n)).for_each(|(row, out)| f(row, out));
    Array::from_written::<T>(x.dims(), buffer)
}

fn rows_to_scalars<T: Scalar>(x: &Array, mut f: impl FnMut(usize, &[T]) -> T) -> Array {
    let (x, n) = (x.contiguous(), last(x));
    let dims = Dims::from_slice(&x.dims()[..x.ndim() - 1]);
    let mut buffer = x.pool().alloc::<T>(dims.iter().product());
    for (i, out) in buffer.as_mut_slice::<T>().iter_mut().enumerate() {
        *out = f(i, &x.as_slice::<T>()[i * n..][..n]);
    }
    Array::from_written::<T>(dims, buffer)
}

/// The largest element; NaN if one is.
fn largest<T: Real>(row: &[T]) -> T {
    row.iter().fold(T::neg_infinity(), |top, &x| if x > top || x.is_nan() { x } else { top })
}

/// Writes `exp(x - top)`, and returns the sum.
fn exponentials<T: Real>(row: &[T], top: T, out: &mut [T]) -> T {
    out.iter_mut().zip(row).for_each(|(out, &x)| *out = (x - top).exp());
    sum(out)
}

/// Eight sums side by side, then one after the other.
fn sum<T: Real>(row: &[T]) -> T {
    let (eights, rest) = row.as_chunks::<8>();
    let mut sums = [T::ZERO; 8];
    for eight in eights {
        sums.iter_mut().zip(eight).for_each(|(sum, &x)| *sum = *sum + x);
    }
    sums.iter_mut().zip(rest).for_each(|(sum, &x)| *sum = *sum + x);
    sums.into_iter().fold(T::ZERO, |sum, x| sum + x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;

    fn close(a: &Array, b: &[f64]) {
        assert_eq!(a.len(), b.len());
        a.to_vec::<f64>().iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() < 1e-14, "{a} and {b}"));
    }

    fn rows() -> Array {
        Array::from_vec((0..3 * 11).map(|i| (1.3 * i as f64).sin() * 4.0).collect(), [3, 11])
    }

    #[test]
    fn all_agree_with_their_formulas() {
        let (x, labels) = (rows(), Array::from([10i64, 0, 4]));
        let data = x.to_vec::<f64>();
        let sums: Vec<f64> = data.chunks(11).map(|row| row.iter().map(|x| x.exp()).sum()).collect();
        let p: Vec<f64> = data.iter().enumerate().map(|(i, x)| x.exp() / sums[i / 11]).collect();
        let logs: Vec<f64> = sums.iter().map(|sum| sum.ln()).collect();
        close(&softmax(&x), &p);
        close(&log_softmax(&x), &p.iter().map(|p| p.ln()).collect::<Vec<_>>());
        close(&logsumexp(&x), &logs);
        let picked = [data[10], data[11], data[26]];
        close(&cross_entropy(&x, &labels), &[0, 1, 2].map(|i| logs[i] - picked[i]));
        let mut residual = p.clone();
        [10, 11, 26].iter().for_each(|&i| residual[i] -= 1.0);
        let scaled: Vec<f64> = residual.iter().enumerate().map(|(i, r)| r * (i / 11) as f64).collect();
        close(&cross_entropy_ct(&x, &labels, &Array::from([0.0, 1.0, 2.0])), &scaled);
    }

    #[test]
    fn causal_rows_see_what_came_before() {
        let p = causal_softmax(&rows());
        for i in 0..3 {
            let seen = softmax(&rows().index(0, i).slice(0, 0, i + 1, 1)).to_vec::<f64>();
            assert_eq!(p.index(0, i).to_vec::<f64>(), [seen, vec![0.0; 10 - i]].concat());
        }
    }

    #[test]
    fn large_and_infinite_elements() {
        let x = Array::from([[1e4, 1e4], [f64::NEG_INFINITY, 3.0]]);
        close(&softmax(&x), &[0.5, 0.5, 0.0, 1.0]);
        close(&logsumexp(&x), &[1e4 + 2f64.ln(), 3.0]);
        let none = Array::full(DType::F64, f64::NEG_INFINITY, [1, 2]);
        assert!(softmax(&none).to_vec::<f64>().iter().all(|p| p.is_nan()));
        assert_eq!(logsumexp(&none).to_vec::<f64>(), [f64::NEG_INFINITY]);
        assert_eq!(logsumexp(&Array::from([f64::INFINITY, 0.0])).item::<f64>(), f64::INFINITY);
        assert!(logsumexp(&Array::from([f64::NAN, 0.0])).item::<f64>().is_nan());
    }

    #[test]
    fn no_classes_and_no_rows() {
        assert_eq!(softmax(&Array::zeros(DType::F32, [2, 0])).dims(), [2, 0]);
        assert_eq!(logsumexp(&Array::zeros(DType::F32, [2, 0])).to_vec::<f32>(), [f32::NEG_INFINITY; 2]);
        assert_eq!(cross_entropy(&Array::zeros(DType::F32, [0, 3]), &Array::from([0i64; 0])).dims(), [0]);
    }

    #[test]
    fn a_row_does_not_depend_on_the_others() {
        let all = softmax(&rows());
        for i in 0..3 {
            assert_eq!(softmax(&rows().index(0, i)).to_vec::<f64>(), all.index(0, i).to_vec::<f64>());
        }
    }
}
