//! `dropout`: some elements set to zero, by chance.

use std::panic::Location;

use super::where_;
use crate::error::violation;
use crate::random::placed::drawn;
use crate::random::threefry::{self, Key, Layout};
use crate::tensor::Tensor;

/// Each element is 0 with probability `rate`, and else divided by `1 - rate`: `f32[..]{..} -> f32[..]{..}`
/// (Srivastava et al., *Dropout*, 2014).
///
/// The choice at one position depends on the key and on the global index of that position along the axes that `x`
/// varies over, so it is the same for every placement, and is that of an `x` with the axes as its first dims. Give
/// each use and each step a key of its own.
///
/// # Panics
/// If `rate` is not from 0 (included) to 1 (not included).
///
/// ```
/// use axisgrad::{DType, ops::{dropout, ones}, random::Key};
/// let kept = dropout(&ones(DType::F64, [1000]), 0.5, Key::new(0));
/// assert!(kept.to_vec::<f64>().iter().all(|&x| x == 0.0 || x == 2.0));
/// assert!((kept.mean(()).item::<f64>() - 1.0).abs() < 0.1);
/// ```
#[track_caller]
pub fn dropout(x: &Tensor, rate: f64, key: Key) -> Tensor {
    if !(0.0..1.0).contains(&rate) {
        let rule = format!("the rate is {rate}, and must be from 0 to below 1");
        violation("dropout", &rule, &[x], Location::caller());
    }
    if rate == 0.0 {
        return x.clone();
    }
    let keep = (1.0 - rate) as f32;
    let kept = drawn(x.axes(), x.dims(), |total, range| {
        threefry::bernoulli(key, Layout::Partitionable, keep, total, range)
    });
    where_(kept, x * (1.0 / (1.0 - rate)), 0)
}

impl Tensor {
    /// See [`dropout`].
    #[track_caller]
    pub fn dropout(&self, rate: f64, key: Key) -> Tensor {
        dropout(self, rate, key)
    }
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::check_grads;
    use crate::ops::gather;

    #[test]
    fn an_axis_draws_what_a_dim_draws() {
        let (x, key) = (waves(&[5, 3, 4], 0.2), Key::new(7));
        let whole = x.dropout(0.3, key).to_vec::<f64>();
        let rows = x.unstack("batch", 0);
        assert_eq!(gather(&rows.dropout(0.3, key), "batch").to_vec::<f64>(), whole);
        let each = rows.unstack("place", 0).dropout(0.3, key);
        assert_eq!(gather(&gather(&each, "place"), "batch").to_vec::<f64>(), whole);
        assert!(whole.iter().filter(|&&x| x == 0.0).count() > 8);
    }

    #[test]
    fn derivatives() {
        check_grads(|x: &Tensor| x.sin().dropout(0.4, Key::new(1)), &waves(&[3, 4], 0.2), 2);
    }

    #[test]
    #[should_panic(expected = "dropout: the rate is 1, and must be from 0 to below 1")]
    fn something_stays() {
        waves(&[3], 0.0).dropout(1.0, Key::new(0));
    }
}
