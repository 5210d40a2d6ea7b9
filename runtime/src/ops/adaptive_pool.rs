//! `adaptive_max_pool` and `adaptive_avg_pool`: as many windows as results are asked for.

use std::ops::Range;
use std::panic::Location;

use super::{expand_dims, squeeze, stack, take_along_dim};
use crate::error::violation;
use crate::tensor::Tensor;

/// The largest element of each of so many windows over the last dims: `T[..,n1,n2] -> T[..,m1,m2]` for
/// `dims = [m1, m2]`. Window `i` of m over n elements goes from `⌊i·n/m⌋` to `⌈(i+1)·n/m⌉`. The cotangent goes to
/// the first of the largest.
///
/// # Panics
/// If `x` has fewer dims than `dims`, or one of them has no elements.
///
/// ```
/// use axisgrad::{Tensor, ops::adaptive_max_pool};
/// let x = Tensor::from([1.0, 5.0, 2.0, 3.0, 4.0]);
/// assert_eq!(adaptive_max_pool(&x, &[2]).to_vec::<f64>(), [5.0, 4.0]);
/// ```
#[track_caller]
pub fn adaptive_max_pool(x: &Tensor, dims: &[usize]) -> Tensor {
    windowed("adaptive_max_pool", x, dims, |part, dim| {
        let largest = expand_dims(&part.argmax(dim), dim);
        squeeze(&take_along_dim(part, &largest, dim), dim)
    })
}

/// The mean of each of so many windows over the last dims: see [`adaptive_max_pool`].
///
/// # Panics
/// As [`adaptive_max_pool`].
#[track_caller]
pub fn adaptive_avg_pool(x: &Tensor, dims: &[usize]) -> Tensor {
    windowed("adaptive_avg_pool", x, dims, |part, dim| part.mean(dim))
}

/// One dim after the other, the last one first: windows are products of ranges.
#[track_caller]
fn windowed(op: &str, x: &Tensor, dims: &[usize], reduce: impl Fn(&Tensor, isize) -> Tensor) -> Tensor {
    let lead = x.ndim().checked_sub(dims.len());
    let Some(lead) = lead.filter(|&lead| !x.dims()[lead..].contains(&0)) else {
        let rule = format!("windows for {dims:?} need as many dims that are not empty");
        violation(op, &rule, &[x], Location::caller());
    };
    (0..dims.len()).rev().fold(x.clone(), |x, i| {
        let dim = (lead + i) as isize;
        let (n, m) = (x.dims()[lead + i], dims[i]);
        let parts: Vec<Tensor> = (0..m).map(|j| reduce(&x.slice(dim, window(j, n, m)), dim)).collect();
        match parts.is_empty() {
            true => x.slice(dim, 0..0),
            false => stack(&parts.iter().collect::<Vec<_>>(), dim),
        }
    })
}

fn window(i: usize, n: usize, m: usize) -> Range<usize> {
    i * n / m..((i + 1) * n).div_ceil(m)
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};

    #[test]
    fn values() {
        let x = waves(&[2, 5, 7], 0.3);
        let data = x.to_vec::<f64>();
        let (most, mean) = (adaptive_max_pool(&x, &[3, 4]), adaptive_avg_pool(&x, &[3, 4]));
        assert_eq!(mean.dims(), [2, 3, 4]);
        for (at, (most, mean)) in most.to_vec::<f64>().into_iter().zip(mean.to_vec::<f64>()).enumerate() {
            let (rows, columns) = (window(at / 4 % 3, 5, 3), window(at % 4, 7, 4));
            let seen: Vec<f64> = rows
                .flat_map(|row| columns.clone().map(move |column| (row, column)))
                .map(|(row, column)| data[at / 12 * 35 + row * 7 + column])
                .collect();
            assert_eq!(most, seen.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            assert!((mean - seen.iter().sum::<f64>() / seen.len() as f64).abs() < 1e-14);
        }
        assert_eq!(adaptive_avg_pool(&x, &[0]).dims(), [2, 5, 0]);
    }

    #[test]
    fn windows_that_fit_are_those_of_pooling() {
        let x = waves(&[6, 4], 0.3);
        let pairs = adaptive_max_pool(&x, &[3, 2]).to_vec::<f64>();
        assert_eq!(pairs, x.max_pool(&[2, 2], &[2, 2], &[]).to_vec::<f64>());
    }

    #[test]
    fn derivatives_and_lanes() {
        let x = waves(&[2, 4, 5], 0.3);
        check_grads(|x: &Tensor| adaptive_max_pool(x, &[3, 2]).sin(), &x, 2);
        check_grads(|x: &Tensor| adaptive_avg_pool(x, &[3, 2]).sin(), &x, 2);
        check_lanes(|x: &Tensor| adaptive_max_pool(x, &[3, 2]), &waves(&[7, 4, 5], 0.3));
        check_lanes(|x: &Tensor| adaptive_avg_pool(x, &[3, 2]), &waves(&[7, 4, 5], 0.3));
    }

    #[test]
    #[should_panic(expected = "adaptive_avg_pool: windows for [2, 2] need as many dims that are not empty")]
    fn there_are_dims() {
        adaptive_avg_pool(&waves(&[3], 0.0), &[2, 2]);
    }
}
