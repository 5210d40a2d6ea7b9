//! Windows: the parts of the last dims that convolution and pooling look at.

use std::panic::Location;

use super::pad::padded;
use super::slice::{Cut, cut_out};
use super::stack;
pub(super) use crate::array::kernels::Window;
use crate::error::violation;
use crate::tensor::Tensor;

/// What place `i` of all windows sees of `n` elements.
fn seen(window: Window, i: usize, n: usize) -> Cut {
    match window.count(n) {
        0 => Cut { start: 0, stop: 0, step: 1 },
        count => {
            let start = i * window.dilation;
            Cut { start, stop: start + (count - 1) * window.stride + 1, step: window.stride }
        }
    }
}

/// What each place of a window sees, place by place in row-major order along a new dim, for windows over the last
/// dims: `T[..,n1,n2] -> T[..,p,m1,m2]` with p places in each of m1·m2 windows.
#[track_caller]
pub(super) fn patches(x: &Tensor, windows: &[Window]) -> Tensor {
    let lead = x.ndim() - windows.len();
    let mut all = Vec::new();
    for place in 0..windows.iter().map(|window| window.size).product() {
        let mut cuts: Vec<Cut> = x.dims().iter().map(|&n| Cut { start: 0, stop: n, step: 1 }).collect();
        let mut rest = place;
        for (i, window) in windows.iter().enumerate().rev() {
            cuts[lead + i] = seen(*window, rest % window.size, x.dims()[lead + i]);
            rest /= window.size;
        }
        all.push(cut_out(x, cuts));
    }
    stack(&all.iter().collect::<Vec<_>>(), lead as isize)
}

/// `x` with `value` around its last dims, and between their elements if they are `dilation` apart.
#[track_caller]
pub(super) fn surrounded(x: &Tensor, padding: &[(usize, usize)], dilation: &[usize], value: f64) -> Tensor {
    let mut widths = vec![(0, 0, 0); x.ndim() - padding.len()];
    widths.extend(padding.iter().zip(dilation).map(|(&(low, high), apart)| (low, high, apart - 1)));
    padded(x, widths, value)
}

/// One setting for each of `n` dims; an empty list means `usual` everywhere.
#[track_caller]
pub(super) fn settings<T: Copy>(op: &str, what: &str, given: &[T], n: usize, usual: T, x: &Tensor) -> Vec<T> {
    if !given.is_empty() && given.len() != n {
        let rule = format!("{n} spatial dims need as many {what} (or none), not {}", given.len());
        violation(op, &rule, &[x], Location::caller());
    }
    if given.is_empty() { vec![usual; n] } else { given.to_vec() }
}

/// [`settings`] that are distances: 1 or more.
#[track_caller]
pub(super) fn distances(op: &str, what: &str, given: &[usize], n: usize, x: &Tensor) -> Vec<usize> {
    let distances = settings(op, what, given, n, 1, x);
    if distances.contains(&0) {
        violation(op, &format!("{what} {distances:?} must be 1 or more"), &[x], Location::caller());
    }
    distances
}
