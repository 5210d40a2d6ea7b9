//! `rope`: positions as rotations.

use std::panic::Location;

use super::{arange, cos, exp, sin, stack};
use crate::dtype::DType;
use crate::error::violation;
use crate::tensor::Tensor;

/// Turns each pair of neighbouring elements of the last dim by an angle that grows with the position: pair `i` of
/// `d/2` by `position·base^(-2i/d)`, as in Su et al., *RoFormer: enhanced transformer with rotary position
/// embedding*, 2021 (where `base` is 10,000). `f32[..,t,d], i32[t] -> f32[..,t,d]`.
///
/// Products of two vectors turned in this way depend on the distance of their positions only.
///
/// # Panics
/// If `x` is not a float with at least two dims, the last one even, or there is not a position for each row.
///
/// ```
/// use axisgrad::{Tensor, ops::rope};
/// let x = Tensor::from([[1.0, 0.0], [1.0, 0.0]]);
/// assert_eq!(rope(&x, &Tensor::from([0, 1]), 1e4).to_vec::<f64>(), [1.0, 0.0, 1f64.cos(), 1f64.sin()]);
/// ```
#[track_caller]
pub fn rope(x: &Tensor, positions: &Tensor, base: f64) -> Tensor {
    if let Err(rule) = fits(x, positions) {
        violation("rope", &rule, &[x, positions], Location::caller());
    }
    let half = x.dim(-1) / 2;
    let speed = exp(&(arange(0.0, half as f64, 1.0) * (-base.ln() / half as f64)));
    let angle = (positions.cast(DType::F64).expand_dims(-1) * speed).cast(x.dtype());
    let mut pairs: Vec<isize> = x.dims().iter().map(|&n| n as isize).collect();
    pairs.splice(x.ndim() - 1.., [half as isize, 2]);
    let pairs = x.reshape(pairs);
    let (re, im) = (pairs.index(-1, 0), pairs.index(-1, 1));
    let (cos, sin) = (cos(&angle), sin(&angle));
    let turned = stack(&[&(&re * &cos - &im * &sin), &(re * sin + im * cos)], -1);
    turned.reshape(x.dims().iter().map(|&n| n as isize).collect::<Vec<_>>())
}

fn fits(x: &Tensor, positions: &Tensor) -> Result<(), String> {
    if x.ndim() < 2 || !x.dtype().is_float() || !x.dim(-1).is_multiple_of(2) {
        return Err("it turns pairs of floats in the last of two or more dims".to_owned());
    }
    if positions.dims() != &x.dims()[x.ndim() - 2..x.ndim() - 1] {
        return Err(format!("there are {} rows, and positions for {:?}", x.dim(-2), positions.dims()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::ops::iota;

    #[test]
    fn products_depend_on_the_distance() {
        let (q, k) = (waves(&[1, 6], 0.2), waves(&[1, 6], 0.9));
        let score = |from: i32, to: i32| {
            let turned = |x: &Tensor, at: i32| rope(x, &Tensor::from([at]), 100.0);
            (turned(&q, from) * turned(&k, to)).sum(()).item::<f64>()
        };
        assert!((score(3, 5) - score(40, 42)).abs() < 1e-12);
        assert!((score(3, 5) - score(3, 6)).abs() > 1e-3);
        let first = q.to_vec::<f64>();
        let turned = rope(&q, &Tensor::from([2]), 100.0).to_vec::<f64>();
        let angle = 2.0 * 100f64.powf(-2.0 / 6.0);
        assert!((turned[2] - (first[2] * angle.cos() - first[3] * angle.sin())).abs() < 1e-14);
    }

    #[test]
    fn derivatives_and_lanes() {
        let at = iota(DType::I32, 3);
        check_grads(|x: &Tensor| rope(x, &at, 1e4).sin(), &waves(&[2, 3, 4], 0.2), 2);
        check_lanes(|x: &Tensor| rope(x, &at, 1e4), &waves(&[5, 3, 4], 0.2));
    }

    #[test]
    #[should_panic(expected = "rope: there are 3 rows, and positions for [2]")]
    fn each_row_has_a_position() {
        rope(&waves(&[3, 4], 0.0), &iota(DType::I32, 2), 1e4);
    }
}
