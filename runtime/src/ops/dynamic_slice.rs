//! `dynamic_slice` and `dynamic_update_slice`: windows whose place is computed.

use std::panic::Location;

use super::pvary::pvary_over;
use super::row_ids::OutOfRange;
use super::take::take_or;
use super::{cast, iota, reshape::reshaped, where_};
use crate::array::Dims;
use crate::dtype::{DType, promote};
use crate::error::violation;
use crate::tensor::Tensor;

/// The window of dims `sizes` that begins at `starts`, one scalar for each dim: a negative one counts from the end, and
/// then it is moved as far as it must be for the window to fit.
///
/// `T[5,6], i32[], i32[] -> T[2,3]` for sizes `[2, 3]`. For a window in a fixed place use
/// [`slice`](super::slice()).
///
/// # Panics
/// If there is not one start and one size for each dim, a start is not an integer scalar, or the window is larger
/// than `x`.
#[track_caller]
pub fn dynamic_slice(x: &Tensor, starts: &[&Tensor], sizes: &[usize]) -> Tensor {
    check_window("dynamic_slice", x, starts, sizes);
    let mut window = x.clone();
    for (dim, (start, &size)) in starts.iter().zip(sizes).enumerate() {
        if size < x.dims()[dim] {
            let ids = first(start, x.dims()[dim], size) + iota(DType::I64, size);
            window = take_or(&window, &ids, dim as isize, OutOfRange::Clip);
        }
    }
    varying_with(&window, starts)
}

/// `x` with `update` in the place of the window of its dims that begins at `starts`, which are taken as by
/// [`dynamic_slice`].
///
/// `T[5,6], T[2,3], i32[], i32[] -> T[5,6]`.
///
/// # Panics
/// If there is not one start for each dim, a start is not an integer scalar, or `update` is larger than `x`.
#[track_caller]
pub fn dynamic_update_slice(x: &Tensor, update: &Tensor, starts: &[&Tensor]) -> Tensor {
    check_window("dynamic_update_slice", x, starts, update.dims());
    let dtype = promote(x.dtype(), update.dtype());
    let (mut inside, mut spread) = (Tensor::from(true), cast(update, dtype));
    for (dim, start) in starts.iter().enumerate() {
        let (n, size) = (x.dims()[dim], update.dims()[dim]);
        let ids = iota(DType::I64, n) - first(start, n, size);
        if size > 0 {
            spread = take_or(&spread, &ids, dim as isize, OutOfRange::Clip);
        } else {
            return varying_with(&cast(x, dtype), &[&[update], starts].concat());
        }
        let along: Dims = (0..x.ndim()).map(|other| if other == dim { n } else { 1 }).collect();
        inside = inside.logical_and(reshaped(&ids.ge(0).logical_and(ids.lt(size as i64)), along));
    }
    where_(&inside, &spread, cast(x, dtype))
}

/// `x`, which varies with the others even where they do not matter: so what its gradient is does not depend on dims.
#[track_caller]
fn varying_with(x: &Tensor, others: &[&Tensor]) -> Tensor {
    let site = Location::caller();
    others.iter().fold(x.clone(), |x, other| pvary_over(&x, other.axes(), site))
}

#[track_caller]
fn check_window(op: &str, x: &Tensor, starts: &[&Tensor], sizes: &[usize]) {
    let site = Location::caller();
    let fail = |rule: &str| violation(op, rule, &[x], site);
    if starts.len() != x.ndim() || sizes.len() != x.ndim() {
        fail(&format!(
            "{} dims need as many starts and sizes, not {} and {}",
            x.ndim(),
            starts.len(),
            sizes.len()
        ));
    }
    if let Some(start) = starts.iter().find(|start| start.ndim() > 0 || !start.dtype().is_integer()) {
        fail(&format!("a start must be an integer scalar, and one is {}", start.ty()));
    }
    if sizes.iter().zip(x.dims()).any(|(size, n)| size > n) {
        fail(&format!("a window of dims {sizes:?} is larger than the tensor"));
    }
}

/// Where a window of `size` of the `n` begins.
fn first(start: &Tensor, n: usize, size: usize) -> Tensor {
    let start = cast(start, DType::I64);
    let from_end = &start + n as i64;
    where_(start.lt(0), from_end, start).maximum(0).minimum((n - size) as i64)
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::grad::grad;

    #[test]
    fn windows_fit() {
        let x = Tensor::from([[0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23]]);
        let at = |i: i32, j: i64| dynamic_slice(&x, &[&i.into(), &j.into()], &[2, 2]).to_vec::<i32>();
        assert_eq!(at(1, 1), [11, 12, 21, 22]);
        assert_eq!(at(9, -5), [10, 11, 20, 21]);
        assert_eq!(at(-3, -3), [1, 2, 11, 12]);
        assert_eq!(at(-1, -1), [12, 13, 22, 23]);
        let update = Tensor::from([[7], [8]]);
        let y = dynamic_update_slice(&x, &update, &[&5.into(), &2.into()]);
        assert_eq!(y.to_vec::<i32>(), [0, 1, 2, 3, 10, 11, 7, 13, 20, 21, 8, 23]);
    }

    /// A window of everything is at the only place that there is, wherever that is said to be.
    #[test]
    fn it_varies_with_its_place_whatever_its_size() {
        let (x, starts) = (waves(&[2], 0.3), Tensor::from([0, 1, 2]).unstack("batch", 0));
        let nothing = Tensor::from([0.0; 0]);
        for size in [1, 2] {
            let part = |x: &Tensor| dynamic_slice(x, &[&starts], &[size]).sum(());
            assert_eq!(grad(part).reduce_axes(["batch"]).at(&x).sum(()).item::<f64>(), 3.0 * size as f64);
        }
        let all = |x: &Tensor| dynamic_update_slice(x, &nothing, &[&starts]).sum(());
        assert_eq!(grad(all).reduce_axes(["batch"]).at(&x).to_vec::<f64>(), [3.0, 3.0]);
    }

    #[test]
    #[should_panic(expected = "dynamic_slice: a window of dims [4] is larger than the tensor")]
    fn windows_are_not_larger() {
        dynamic_slice(&waves(&[3], 0.0), &[&0.into()], &[4]);
    }

    #[test]
    #[should_panic(expected = "dynamic_slice: a start must be an integer scalar, and one is f64[]")]
    fn starts_are_integers() {
        dynamic_slice(&waves(&[3], 0.0), &[&0.5.into()], &[2]);
    }

    #[test]
    fn derivatives_and_lanes() {
        let start = Tensor::from(1);
        check_grads(|x: &Tensor| dynamic_slice(x, &[&start, &start], &[2, 1]).sin(), &waves(&[3, 4], 0.3), 2);
        let f = |x: &Tensor, u: &Tensor| dynamic_update_slice(x, u, &[&start, &start]).sin();
        check_grads(f, (&waves(&[3, 4], 0.3), &waves(&[2, 2], 0.8)), 2);
        let starts = Tensor::from([0, 2, 9]);
        check_lanes(|x: &Tensor, i: &Tensor| dynamic_slice(x, &[i], &[2]), (&waves(&[3, 4], 0.3), &starts));
    }
}
