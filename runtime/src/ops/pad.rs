//! `pad`: a value before, after and between the elements along each dim.

use std::panic::Location;

use super::slice::{Cut, cut_out};
use crate::array::kernels;
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::error::violation;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// Puts, along each dim, `low` times `value` before the elements, `high` times after them, and `interior` times
/// between neighbours: `widths` are `(low, high, interior)` for each dim.
///
/// `T[3] -> T[8]` for `(1, 2, 1)`: 1 + (3 + 2·1) + 2.
///
/// # Panics
/// If there are not as many widths as dims.
///
/// ```
/// use axisgrad::{Tensor, ops::pad};
/// let x = Tensor::from([1, 2, 3]);
/// assert_eq!(pad(&x, &[(1, 2, 1)], 0.0).to_vec::<i32>(), [0, 1, 0, 2, 0, 3, 0, 0]);
/// ```
#[track_caller]
pub fn pad(x: &Tensor, widths: &[(usize, usize, usize)], value: f64) -> Tensor {
    if widths.len() != x.ndim() {
        let rule = format!("{} dims need as many (low, high, interior), not {}", x.ndim(), widths.len());
        violation("pad", &rule, &[x], Location::caller());
    }
    padded(x, widths.to_vec(), value)
}

impl Tensor {
    /// See [`pad`].
    #[track_caller]
    pub fn pad(&self, widths: &[(usize, usize, usize)], value: f64) -> Tensor {
        pad(self, widths, value)
    }
}

/// [`pad`] with a width for each dim.
#[track_caller]
pub(crate) fn padded(x: &Tensor, widths: Vec<(usize, usize, usize)>, value: f64) -> Tensor {
    let nothing = widths.iter().zip(x.dims()).all(|(&(l, h, i), &size)| l + h == 0 && (i == 0 || size <= 1));
    if nothing { x.clone() } else { bind(Pad { widths, value }, &[x]) }
}

/// See [`pad`].
struct Pad {
    widths: Vec<(usize, usize, usize)>,
    value: f64,
}

impl Op for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        let sizes = self.widths.iter().zip(&inputs[0].dims);
        Ok((
            inputs[0].dtype,
            sizes.map(|(&(low, high, gap), &n)| low + n + gap * n.saturating_sub(1) + high).collect(),
        ))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let widths = self.widths.iter().enumerate();
        widths.fold(inputs[0].clone(), |x, (i, width)| pad_dim(&x, axes.len() + i, *width, self.value))
    }

    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let cuts = self.widths.iter().zip(inputs[0].dims()).map(|(&(low, _, gap), &n)| {
            let reached = n.checked_sub(1).map_or(0, |last| last * (gap + 1) + 1);
            Cut { start: low, stop: low + reached, step: gap + 1 }
        });
        Some(cut_out(ct, cuts.collect()))
    }
}

fn pad_dim(x: &Array, dim: usize, (low, high, gap): (usize, usize, usize), value: f64) -> Array {
    let fill = |size: usize| {
        let mut dims = Dims::from_slice(x.dims());
        dims[dim] = size;
        Array::full_in(x.pool(), x.dtype(), value, []).broadcast_to(&dims)
    };
    let spread = if gap == 0 || x.dims()[dim] == 0 { x.clone() } else { spread(x, dim, gap, value) };
    if low + high == 0 { spread } else { kernels::concat(&[&fill(low), &spread, &fill(high)], dim) }
}

/// Each element becomes a row of itself and `gap` times the value, and the last gap is cut off.
fn spread(x: &Array, dim: usize, gap: usize, value: f64) -> Array {
    let element = x.expand_dims(dim + 1);
    let mut dims = Dims::from_slice(element.dims());
    dims[dim + 1] = gap;
    let fill = Array::full_in(x.pool(), x.dtype(), value, []).broadcast_to(&dims);
    dims.remove(dim + 1);
    dims[dim] *= gap + 1;
    let rows = kernels::concat(&[&element, &fill], dim + 1).reshape(&dims);
    rows.slice(dim, 0, dims[dim] - gap, 1)
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};

    #[test]
    fn values_go_before_between_and_after() {
        let x = Tensor::from([[1, 2], [3, 4]]);
        let y = x.pad(&[(1, 0, 0), (0, 1, 2)], 9.0);
        assert_eq!(y.dims(), [3, 5]);
        assert_eq!(y.to_vec::<i32>(), [9, 9, 9, 9, 9, 1, 9, 9, 2, 9, 3, 9, 9, 4, 9]);
        assert_eq!(Tensor::from([0i32; 0]).pad(&[(1, 1, 3)], 5.0).to_vec::<i32>(), [5, 5]);
        assert_eq!(Tensor::from([7]).pad(&[(0, 0, 3)], 5.0).to_vec::<i32>(), [7]);
    }

    #[test]
    #[should_panic(expected = "pad: 1 dims need as many (low, high, interior), not 0")]
    fn each_dim_has_its_widths() {
        Tensor::from([1, 2]).pad(&[], 0.0);
    }

    #[test]
    fn derivatives_and_lanes() {
        let x = Tensor::from([[0.3, -1.2, 2.0], [0.7, 0.1, -0.4]]);
        let f = |x: &Tensor| x.pad(&[(0, 2, 1), (1, 1, 2)], 0.5).sin();
        check_grads(f, (&x,), 2);
        check_lanes(f, &waves(&[5, 2, 3], 0.1));
    }
}
