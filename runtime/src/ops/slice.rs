//! `slice`, and its special cases: some of the elements along each dim, at equal distances.

use std::ops::{Bound, RangeBounds};
use std::panic::Location;

use super::flip::flip;
use super::pad::padded;
use super::reshape::reshaped;
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::error::violation;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// The elements at `range` along one dim: `T[5,3] -> T[2,3]` for dim 0 and `1..3`.
///
/// # Panics
/// If there is no such dim, or the range is not inside it.
///
/// ```
/// use axisgrad::{Tensor, ops::slice};
/// let x = Tensor::from([1, 2, 3, 4, 5]);
/// assert_eq!(slice(&x, 0, 1..3).to_vec::<i32>(), [2, 3]);
/// assert_eq!(slice(&x, -1, 2..).to_vec::<i32>(), [3, 4, 5]);
/// ```
#[track_caller]
pub fn slice(x: &Tensor, dim: isize, range: impl RangeBounds<usize>) -> Tensor {
    slice_step(x, dim, range, 1)
}

/// Every `step`-th of the elements at `range` along one dim: `T[5] -> T[3]` for `..` by 2.
///
/// # Panics
/// If there is no such dim, the range is not inside it, or `step` is 0.
#[track_caller]
pub fn slice_step(x: &Tensor, dim: isize, range: impl RangeBounds<usize>, step: usize) -> Tensor {
    let dim = x.dim_index("slice", dim);
    let mut cut: Vec<Cut> = x.dims().iter().map(|&size| Cut { start: 0, stop: size, step: 1 }).collect();
    let (start, stop) = bounds(range, x.dims()[dim]);
    cut[dim] = Cut { start, stop, step };
    cut_out(x, cut)
}

/// The elements along one dim as `x[start:stop:step]` has them in Python: negative numbers count from the end, what
/// reaches outside is cut, and a negative step goes backwards.
///
/// `T[5] -> T[2]` for `None, Some(1), -2`.
///
/// # Panics
/// If there is no such dim, or `step` is 0.
///
/// ```
/// use axisgrad::{Tensor, ops::slice_by};
/// let x = Tensor::from([0, 1, 2, 3, 4]);
/// assert_eq!(slice_by(&x, 0, None, None, -2).to_vec::<i32>(), [4, 2, 0]);
/// assert_eq!(slice_by(&x, 0, Some(-3), Some(9), 1).to_vec::<i32>(), [2, 3, 4]);
/// ```
#[track_caller]
pub fn slice_by(x: &Tensor, dim: isize, start: Option<isize>, stop: Option<isize>, step: isize) -> Tensor {
    if step == 0 {
        violation("slice_by", "a step of 0 gets nowhere", &[x], Location::caller());
    }
    let (size, back) = (x.dim(dim) as isize, step < 0);
    let (least, most) = if back { (-1, size - 1) } else { (0, size) };
    let at = |i: isize| (if i < 0 { i + size } else { i }).clamp(least, most);
    let start = start.map_or(if back { most } else { least }, at);
    let stop = stop.map_or(if back { least } else { most }, at);
    let count = ((stop - start) * step.signum()).max(0).unsigned_abs().div_ceil(step.unsigned_abs());
    let reach = count.saturating_sub(1) * step.unsigned_abs();
    let first = if back { start.max(0) as usize - reach } else { start as usize };
    let stop = if count == 0 { first } else { first + reach + 1 };
    let ahead = slice_step(x, dim, first..stop, step.unsigned_abs());
    if back { flip(&ahead, dim) } else { ahead }
}

/// For each dim, every `steps`-th element from `starts` up to and without `stops`: `T[5,6] -> T[2,2]` for
/// `[1, 0], [3, 6], [1, 3]`.
///
/// # Panics
/// If there is not one number for each dim, or they reach outside the tensor.
#[track_caller]
pub fn strided_slice(x: &Tensor, starts: &[usize], stops: &[usize], steps: &[usize]) -> Tensor {
    if [starts, stops, steps].iter().any(|numbers| numbers.len() != x.ndim()) {
        violation(
            "slice",
            &format!("{} dims need as many starts, stops and steps", x.ndim()),
            &[x],
            Location::caller(),
        );
    }
    let cut = (0..x.ndim()).map(|i| Cut { start: starts[i], stop: stops[i], step: steps[i] }).collect();
    cut_out(x, cut)
}

/// One of the positions along a dim, which disappears: `T[5,3] -> T[3]` for dim 0. A negative `i` counts from
/// the end.
///
/// # Panics
/// If there is no such dim, or no such position in it.
#[track_caller]
pub fn index(x: &Tensor, dim: isize, i: isize) -> Tensor {
    let dim = x.dim_index("index", dim);
    let size = x.dims()[dim] as isize;
    if i < -size || i >= size {
        violation(
            "index",
            &format!("{i} is out of range for dim {dim} of size {size}"),
            &[x],
            Location::caller(),
        );
    }
    let i = i.rem_euclid(size) as usize;
    let mut dims = Dims::from_slice(x.dims());
    dims.remove(dim);
    reshaped(&slice(x, dim as isize, i..i + 1), dims)
}

/// Consecutive pieces of `sizes` along one dim: `T[5,3] -> T[2,3], T[3,3]` for dim 0 and `[2, 3]`.
///
/// # Panics
/// If there is no such dim, or the sizes do not add up to it.
#[track_caller]
pub fn split(x: &Tensor, dim: isize, sizes: &[usize]) -> Vec<Tensor> {
    let dim = x.dim_index("split", dim);
    let (sum, size) = (sizes.iter().sum::<usize>(), x.dims()[dim]);
    if sum != size {
        let rule = format!("the pieces {sizes:?} have {sum} together, and dim {dim} has {size}");
        violation("split", &rule, &[x], Location::caller());
    }
    let mut pieces = Vec::with_capacity(sizes.len());
    let mut start = 0;
    for size in sizes {
        pieces.push(slice(x, dim as isize, start..start + size));
        start += size;
    }
    pieces
}

impl Tensor {
    /// See [`slice`](slice()).
    #[track_caller]
    pub fn slice(&self, dim: isize, range: impl RangeBounds<usize>) -> Tensor {
        slice(self, dim, range)
    }

    /// See [`slice_step`].
    #[track_caller]
    pub fn slice_step(&self, dim: isize, range: impl RangeBounds<usize>, step: usize) -> Tensor {
        slice_step(self, dim, range, step)
    }

    /// See [`index`].
    #[track_caller]
    pub fn index(&self, dim: isize, i: isize) -> Tensor {
        index(self, dim, i)
    }

    /// See [`split`].
    #[track_caller]
    pub fn split(&self, dim: isize, sizes: &[usize]) -> Vec<Tensor> {
        split(self, dim, sizes)
    }
}

/// Start and stop of a range of `size` elements, however it was written.
fn bounds(range: impl RangeBounds<usize>, size: usize) -> (usize, usize) {
    let start = match range.start_bound() {
        Bound::Included(&start) => start,
        Bound::Excluded(&before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let stop = match range.end_bound() {
        Bound::Included(&last) => last.saturating_add(1),
        Bound::Excluded(&stop) => stop,
        Bound::Unbounded => size,
    };
    (start, stop)
}

/// Every `step`-th position of one dim, from `start` up to and without `stop`.
#[derive(Clone, Copy)]
pub(crate) struct Cut {
    pub start: usize,
    pub stop: usize,
    pub step: usize,
}

impl Cut {
    fn len(&self) -> usize {
        (self.stop - self.start).div_ceil(self.step)
    }
}

/// The part of `x` that `cut` names for each dim.
#[track_caller]
pub(crate) fn cut_out(x: &Tensor, cut: Vec<Cut>) -> Tensor {
    let all = cut.iter().zip(x.dims()).all(|(c, &size)| (c.start, c.stop, c.step) == (0, size, 1));
    if all { x.clone() } else { bind(Slice { cut }, &[x]) }
}

/// See [`slice`].
struct Slice {
    cut: Vec<Cut>,
}

impl Op for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        for (dim, (cut, size)) in self.cut.iter().zip(&inputs[0].dims).enumerate() {
            if cut.start > cut.stop || cut.stop > *size || cut.step == 0 {
                let Cut { start, stop, step } = cut;
                return Err(format!("{start}..{stop} by {step} is not inside dim {dim} of size {size}"));
            }
        }
        Ok((inputs[0].dtype, self.cut.iter().map(Cut::len).collect()))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let cuts = self.cut.iter().enumerate();
        cuts.fold(inputs[0].clone(), |x, (i, cut)| x.slice(axes.len() + i, cut.start, cut.stop, cut.step))
    }

    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let widths = self.cut.iter().zip(inputs[0].dims()).map(|(cut, &size)| {
            let reached = cut.len().checked_sub(1).map_or(cut.start, |last| cut.start + last * cut.step + 1);
            (cut.start, size - reached, cut.step - 1)
        });
        Some(padded(ct, widths.collect(), 0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};

    fn counting() -> Tensor {
        Tensor::from([[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12, 13, 14]])
    }

    #[test]
    fn ranges_and_steps() {
        let x = counting();
        assert_eq!(x.slice(0, 1..=1).to_vec::<i32>(), [5, 6, 7, 8, 9]);
        assert_eq!(x.slice_step(-1, 1.., 3).to_vec::<i32>(), [1, 4, 6, 9, 11, 14]);
        assert_eq!(strided_slice(&x, &[0, 4], &[3, 5], &[2, 1]).to_vec::<i32>(), [4, 14]);
        assert_eq!(x.slice(1, 5..5).dims(), [3, 0]);
        assert_eq!(x.index(0, -1).to_vec::<i32>(), [10, 11, 12, 13, 14]);
        let pieces = x.split(1, &[1, 0, 4]);
        assert_eq!(pieces.iter().map(|piece| piece.dims()[1]).collect::<Vec<_>>(), [1, 0, 4]);
        assert_eq!(pieces[2].to_vec::<i32>(), [1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14]);
    }

    #[test]
    fn slices_as_in_python() {
        let x = Tensor::from([0, 1, 2, 3, 4]);
        let by = |start, stop, step| slice_by(&x, 0, start, stop, step).to_vec::<i32>();
        assert_eq!(by(None, None, 1), [0, 1, 2, 3, 4]);
        assert_eq!(by(Some(1), Some(-1), 2), [1, 3]);
        assert_eq!(by(Some(-1), Some(-9), -3), [4, 1]);
        assert_eq!(by(Some(3), Some(0), -1), [3, 2, 1]);
        assert_eq!(by(Some(0), Some(3), -1), [0; 0]);
        assert_eq!(by(Some(7), None, 1), [0; 0]);
        assert_eq!(by(Some(-9), None, -1), [0; 0]);
        assert_eq!(slice_by(&Tensor::from([0.0; 0]), 0, None, None, -1).dims(), [0]);
        check_grads(|x: &Tensor| slice_by(x, -1, None, None, -2).sin(), &waves(&[2, 5], 0.3), 2);
    }

    #[test]
    #[should_panic(expected = "slice: 2..9 by 1 is not inside dim 1 of size 5")]
    fn a_slice_stays_inside() {
        counting().slice(1, 2..9);
    }

    #[test]
    #[should_panic(expected = "is not inside dim 1 of size 5")]
    fn a_range_that_no_dim_has() {
        counting().slice(1, 0..=usize::MAX);
    }

    #[test]
    #[should_panic(expected = "index: 3 is out of range for dim 0 of size 3")]
    fn an_index_is_inside() {
        counting().index(0, 3);
    }

    #[test]
    #[should_panic(expected = "split: the pieces [2, 2] have 4 together, and dim 1 has 5")]
    fn pieces_make_the_whole() {
        counting().split(1, &[2, 2]);
    }

    #[test]
    fn derivatives_and_lanes() {
        let x = Tensor::from([[0.3, -1.2, 2.0, 0.9, 0.2], [0.7, 0.1, -0.4, -2.0, 1.1]]);
        for step in [1, 2, 3] {
            let f = move |x: &Tensor| x.slice_step(1, 1..5, step).sin();
            check_grads(f, (&x,), 2);
            check_lanes(f, &waves(&[4, 2, 5], 0.1));
        }
        check_grads(|x: &Tensor| x.slice(1, 2..2).sin(), (&x,), 1);
        check_grads(|x: &Tensor| x.index(0, -1).sin(), (&x,), 2);
    }
}
