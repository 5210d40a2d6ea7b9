//! `quantile`: what a share of the elements lies below.

use std::panic::Location;

use super::{cast, isnan, sort, where_};
use crate::dtype::{DType, promote_weak};
use crate::error::violation;
use crate::tensor::Tensor;

/// The number that the share `q` of the elements along `dim` lies below, between two elements in proportion; NaN if an
/// element is. [`median`](super::median()) is the one for ½.
///
/// `T[..] -> T[..]` without the dim; integers become `f32`.
///
/// # Panics
/// If `q` is not between 0 and 1, the elements are complex, there are none, or the dim does not exist.
///
/// ```
/// use axisgrad::{Tensor, ops::quantile};
/// let x = Tensor::from([4.0, 1.0, 2.0, 3.0]);
/// assert_eq!(quantile(&x, 0.25, 0).item::<f64>(), 1.75);
/// ```
#[track_caller]
pub fn quantile(x: &Tensor, q: f64, dim: isize) -> Tensor {
    let n = x.dim(dim);
    if !(0.0..=1.0).contains(&q) || n == 0 {
        let rule = format!(
            "a quantile is of one or more elements, for a share from 0 to 1; this is of {n}, for {q}"
        );
        violation("quantile", &rule, &[x], Location::caller());
    }
    if x.dtype().is_complex() {
        violation("quantile", "complex numbers have no order", &[x], Location::caller());
    }
    let x = cast(x, promote_weak(x.dtype(), DType::F32));
    let (sorted, place) = (sort(&x, dim), q * (n - 1) as f64);
    let (low, high) = (sorted.index(dim, place.floor() as isize), sorted.index(dim, place.ceil() as isize));
    let (largest, part) = (sorted.index(dim, -1), place.fract());
    // Nothing of the next one, which may be infinite.
    let between = if part == 0.0 { low } else { low * (1.0 - part) + high * part };
    where_(isnan(&largest), &largest, between)
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::ops::median;

    #[test]
    fn values() {
        let x = waves(&[2, 6], 0.3);
        assert_eq!(quantile(&x, 0.5, 1).to_vec::<f64>(), median(&x, 1).to_vec::<f64>());
        assert_eq!(quantile(&x, 1.0, 0).to_vec::<f64>(), x.max(0).to_vec::<f64>());
        assert_eq!(quantile(&Tensor::from([5, 1, 2]), 0.75, 0).item::<f32>(), 3.5);
        assert_eq!(quantile(&Tensor::from([1.0, f64::INFINITY]), 1.0, 0).item::<f64>(), f64::INFINITY);
        assert_eq!(quantile(&Tensor::from([1.0, 3.0, f64::INFINITY]), 0.5, 0).item::<f64>(), 3.0);
        for (x, both) in [(Tensor::from([200u8, 200]), 200.0), (Tensor::from([f32::MAX; 2]), f32::MAX)] {
            assert_eq!((median(&x, 0).item::<f32>(), quantile(&x, 0.5, 0).item::<f32>()), (both, both));
        }
        assert!(quantile(&Tensor::from([1.0, f64::NAN]), 0.0, 0).item::<f64>().is_nan());
    }

    #[test]
    fn derivatives_and_lanes() {
        check_grads(|x: &Tensor| quantile(&x.square(), 0.3, 0), &waves(&[5, 2], 0.3), 2);
        check_lanes(|x: &Tensor| quantile(x, 0.3, 0), &waves(&[4, 5, 2], 0.3));
    }

    #[test]
    #[should_panic(expected = "for a share from 0 to 1; this is of 2, for 1.5")]
    fn shares_are_shares() {
        quantile(&waves(&[2], 0.0), 1.5, 0);
    }
}
