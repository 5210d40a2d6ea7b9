//! Tensors of independent draws.

use std::ops::Range;

use super::LAYOUT;
use super::placed::drawn;
use super::threefry::{self, Key};
use crate::dtype::{DType, Scalar};
use crate::ops::softmax;
use crate::tensor::Tensor;
use crate::types::AxisSet;

/// A draw in `f32` or `f64`, as `$dtype` says, for the type `$F`.
macro_rules! floats {
    ($name:ident, $dtype:expr, $F:ident => $draw:expr) => {
        match $dtype {
            DType::F32 => {
                type $F = f32;
                $draw
            }
            DType::F64 => {
                type $F = f64;
                $draw
            }
            other => panic!("{}: only f32 and f64 can be drawn, not {other}", stringify!($name)),
        }
    };
}

/// Uniform from 0 (included) to 1 (not included): `-> f32[dims]` or `f64[dims]`.
///
/// # Panics
/// If `dtype` is not `f32` or `f64`.
#[track_caller]
pub fn uniform(key: Key, dtype: DType, dims: &[usize]) -> Tensor {
    floats!(uniform, dtype, F => whole::<F>(dims, |n, r| threefry::uniform(key, LAYOUT, [0.0, 1.0], n, r)))
}

/// Standard normal: `-> f32[dims]` or `f64[dims]`.
///
/// # Panics
/// If `dtype` is not `f32` or `f64`.
#[track_caller]
pub fn normal(key: Key, dtype: DType, dims: &[usize]) -> Tensor {
    floats!(normal, dtype, F => whole::<F>(dims, |n, r| threefry::normal(key, LAYOUT, n, r)))
}

/// Standard normal, but never outside `bounds`: `-> f32[dims]` or `f64[dims]`.
///
/// # Panics
/// If `dtype` is not `f32` or `f64`.
#[track_caller]
pub fn truncated_normal(key: Key, bounds: Range<f64>, dtype: DType, dims: &[usize]) -> Tensor {
    let bounds = [bounds.start, bounds.end];
    floats!(truncated_normal, dtype, F => {
        whole::<F>(dims, |n, r| threefry::truncated_normal(key, LAYOUT, bounds, n, r))
    })
}

/// Exponential with rate 1: `-> f32[dims]` or `f64[dims]`.
///
/// # Panics
/// If `dtype` is not `f32` or `f64`.
#[track_caller]
pub fn exponential(key: Key, dtype: DType, dims: &[usize]) -> Tensor {
    floats!(exponential, dtype, F => whole::<F>(dims, |n, r| threefry::exponential(key, LAYOUT, n, r)))
}

/// Standard Gumbel, the distribution of the largest of many: `-> f32[dims]` or `f64[dims]`.
///
/// # Panics
/// If `dtype` is not `f32` or `f64`.
#[track_caller]
pub fn gumbel(key: Key, dtype: DType, dims: &[usize]) -> Tensor {
    gumbel_over(key, dtype, dims, &AxisSet::new())
}

/// [`gumbel`] that varies over `axes`.
#[track_caller]
pub(super) fn gumbel_over(key: Key, dtype: DType, dims: &[usize], axes: &AxisSet) -> Tensor {
    floats!(gumbel, dtype, F => drawn::<F>(axes, dims, |n, r| threefry::gumbel(key, LAYOUT, n, r)))
}

/// `true` with probability `p`: `-> bool[dims]`.
pub fn bernoulli(key: Key, p: f64, dims: &[usize]) -> Tensor {
    whole::<bool>(dims, |n, r| threefry::bernoulli(key, LAYOUT, p, n, r))
}

/// Uniform integers inside `bounds`: `-> i32[dims]` or `i64[dims]`. An empty range gives its start.
///
/// # Panics
/// If `dtype` is neither, or cannot hold the bounds.
#[track_caller]
pub fn randint(key: Key, bounds: Range<i64>, dtype: DType, dims: &[usize]) -> Tensor {
    let ends = [bounds.start, bounds.end];
    match dtype {
        DType::I32 => {
            let ends =
                ends.map(|end| i32::try_from(end).unwrap_or_else(|_| panic!("randint: i32 has no {end}")));
            whole::<i32>(dims, |n, r| threefry::randint(key, LAYOUT, ends, n, r))
        }
        DType::I64 => whole::<i64>(dims, |n, r| threefry::randint(key, LAYOUT, ends, n, r)),
        other => panic!("randint: only i32 and i64 can be drawn, not {other}"),
    }
}

/// Gamma with shape `shape` and scale 1, one draw for each element: `f32[..]{..} -> f32[..]{..}`. No gradient
/// flows to the shape.
///
/// # Panics
/// If `shape` is not `f32` or `f64`.
#[track_caller]
pub fn gamma(key: Key, shape: &Tensor) -> Tensor {
    floats!(gamma, shape.dtype(), F => {
        for_each::<F>(shape, |shapes, n, r| threefry::gamma(key, LAYOUT, shapes, n, r))
    })
}

/// The logarithm of [`gamma`], which does not underflow for small shapes: `f32[..]{..} -> f32[..]{..}`.
///
/// # Panics
/// If `shape` is not `f32` or `f64`.
#[track_caller]
pub fn log_gamma(key: Key, shape: &Tensor) -> Tensor {
    floats!(log_gamma, shape.dtype(), F => {
        for_each::<F>(shape, |shapes, n, r| threefry::log_gamma(key, LAYOUT, shapes, n, r))
    })
}

/// Positive numbers that sum to 1 along the last dim, by the Dirichlet distribution with the parameters `alpha`:
/// `f32[..,n]{..} -> f32[..,n]{..}`. No gradient flows to them.
///
/// # Panics
/// If `alpha` has no dims, or is not `f32` or `f64`.
#[track_caller]
pub fn dirichlet(key: Key, alpha: &Tensor) -> Tensor {
    softmax(&log_gamma(key, alpha), -1)
}

fn whole<T: Scalar>(dims: &[usize], numbers: impl Fn(usize, Range<usize>) -> Vec<T>) -> Tensor {
    drawn(&AxisSet::new(), dims, numbers)
}

/// A draw for each element of `x`, which `numbers` is given with the range that it is of.
fn for_each<T: Scalar>(x: &Tensor, numbers: impl Fn(&[T], usize, Range<usize>) -> Vec<T>) -> Tensor {
    let own = x.array().to_vec::<T>();
    let mut rest = &own[..];
    drawn(x.axes(), x.dims(), |total, range| {
        let (here, after) = rest.split_at(range.len());
        rest = after;
        numbers(here, total, range)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{full, gather};

    fn moments(x: &Tensor) -> (f64, f64) {
        (x.mean(()).item::<f64>(), x.var(()).item::<f64>())
    }

    const GAMMA: [f64; 5] =
        [0.001646792400220916, 2.9138803605806007, 0.6153298098182468, 4.6650843060076435, 32.29542214560414];
    const LOG_GAMMA: [f64; 5] =
        [-6.4089258829559554, 1.069485650163037, -0.4855968787930419, 1.540105906163372, 3.4749254909458114];
    const DIRICHLET: [f64; 5] = [
        4.067021362967549e-05,
        0.07196300926591058,
        0.015196569291101008,
        0.11521183562683747,
        0.7975879156025213,
    ];

    /// The mean and variance of 4,000 draws, against those of the distribution.
    #[track_caller]
    fn has(draws: &Tensor, mean: f64, var: f64) {
        let (m, v) = moments(draws);
        assert!((m - mean).abs() < 0.08 * var.sqrt() && (v - var).abs() < 0.2 * var, "{m} {v}");
    }

    #[test]
    fn moments_of_the_distributions() {
        let (key, dims) = (Key::new(3), &[4000][..]);
        has(&uniform(key, DType::F64, dims), 0.5, 1.0 / 12.0);
        has(&normal(key, DType::F64, dims), 0.0, 1.0);
        has(&truncated_normal(key, -1.0..1.0, DType::F64, dims), 0.0, 0.2912);
        has(&exponential(key, DType::F64, dims), 1.0, 1.0);
        has(&gumbel(key, DType::F64, dims), 0.5772, std::f64::consts::PI.powi(2) / 6.0);
        has(&randint(key, -3..4, DType::I32, dims).cast(DType::F64), 0.0, 4.0);
        for shape in [0.3, 1.0, 4.5] {
            has(&gamma(key, &full(DType::F64, shape, dims)), shape, shape);
        }
        let parts = dirichlet(key, &Tensor::from([1.0, 2.0, 3.0]).broadcast_to(&[4000, 3]));
        has(&parts.index(1, 1), 1.0 / 3.0, 2.0 * 4.0 / (36.0 * 7.0));
        assert!(parts.sum(1).to_vec::<f64>().iter().all(|sum| (sum - 1.0).abs() < 1e-12));
    }

    /// Values of `jax.random.gamma`, `loggamma` and `dirichlet` in f64, with partitionable keys.
    #[test]
    fn the_draws_of_the_reference() {
        let shapes = Tensor::from([0.3, 0.9, 1.0, 2.5, 40.0]);
        let close = |ours: Tensor, theirs: &[f64]| {
            let pairs = ours.to_vec::<f64>().into_iter().zip(theirs);
            pairs.for_each(|(a, b)| assert!((a - b).abs() <= 1e-12 * b.abs(), "{a} and {b}"));
        };
        close(gamma(Key::new(5), &shapes), &GAMMA);
        close(log_gamma(Key::new(5), &shapes), &LOG_GAMMA);
        close(dirichlet(Key::new(5), &shapes), &DIRICHLET);
    }

    #[test]
    fn an_axis_draws_what_a_dim_draws() {
        let (key, shapes) = (Key::new(5), full(DType::F64, 0.7, [6, 2]) * Tensor::from([1.0, 3.0]));
        let rows = gamma(key, &shapes.unstack("batch", 0));
        assert_eq!(gather(&rows, "batch").to_vec::<f64>(), gamma(key, &shapes).to_vec::<f64>());
    }

    #[test]
    #[should_panic(expected = "randint: i32 has no 3000000000")]
    fn bounds_fit() {
        randint(Key::new(0), 0..3_000_000_000, DType::I32, &[1]);
    }
}
