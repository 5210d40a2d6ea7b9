//! `conv_transpose`: the transpose of a convolution, as an operation of its own.

use std::panic::Location;

use super::windows::{distances, settings};
use super::{conv, flip};
use crate::error::violation;
use crate::tensor::Tensor;

/// What takes `conv(y, kernel, strides, padding, .., dilation, groups)` back to the dims of `y`: each element of `x`
/// adds the kernel, times its value, at its place (also called deconvolution).
///
/// `T[..,c,n1,n2], T[c,o/groups,k1,k2] -> T[..,o,m1,m2]`, with m = (n - 1)·stride - low - high +
/// (k - 1)·dilation + 1 + extra. `extra` is how many more elements the end of each spatial dim has, which a stride
/// leaves open; an empty list means none of it.
///
/// # Panics
/// If the dims of operands and settings do not agree as above, the padding is larger than the reach of the kernel,
/// a stride or dilation is 0, or the channels do not divide into the groups.
///
/// ```
/// use axisgrad::{Tensor, ops::conv_transpose};
/// let x = Tensor::from([[1.0, 2.0]]);
/// let kernel = Tensor::from([[[1.0, 10.0, 100.0]]]);
/// assert_eq!(conv_transpose(&x, &kernel, &[2], &[], &[], &[], 1).to_vec::<f64>(), [1.0, 10.0, 102.0, 20.0, 200.0]);
/// ```
#[track_caller]
pub fn conv_transpose(
    x: &Tensor,
    kernel: &Tensor,
    strides: &[usize],
    padding: &[(usize, usize)],
    extra: &[usize],
    dilation: &[usize],
    groups: usize,
) -> Tensor {
    let site = Location::caller();
    if kernel.ndim() < 2 || groups == 0 || !kernel.dims()[0].is_multiple_of(groups) {
        let rule =
            format!("a kernel has dims for channels in and out, and {groups} groups divide the former");
        violation("conv_transpose", &rule, &[x, kernel], site);
    }
    let n = kernel.ndim() - 2;
    let dilation = distances("conv_transpose", "dilation", dilation, n, x);
    let padding = settings("conv_transpose", "padding", padding, n, (0, 0), x);
    let extra = settings("conv_transpose", "extra", extra, n, 0, x);
    let reach = |i: usize| kernel.dims()[2 + i].saturating_sub(1) * dilation[i];
    if let Some(i) = (0..n).find(|&i| padding[i].0.max(padding[i].1) > reach(i)) {
        let rule = format!("padding {:?} is larger than the reach {} of the kernel", padding[i], reach(i));
        violation("conv_transpose", &rule, &[x, kernel], site);
    }
    let around: Vec<_> =
        (0..n).map(|i| (reach(i) - padding[i].0, reach(i) - padding[i].1 + extra[i])).collect();
    conv(x, &turned(kernel, groups), &[], &around, strides, &dilation, groups)
}

/// The kernel of the transposed convolution: channels in and out change places, and all spatial dims turn round:
/// `T[c,o/groups,k..] -> T[o,c/groups,k..]`.
#[track_caller]
fn turned(kernel: &Tensor, groups: usize) -> Tensor {
    let (channels, out) = (kernel.dims()[0], kernel.dims()[1]);
    let places = &kernel.dims()[2..];
    let dims = |front: &[usize]| -> Vec<isize> { front.iter().chain(places).map(|&n| n as isize).collect() };
    let grouped = kernel.reshape(dims(&[groups, channels / groups, out])).swap_dims(1, 2);
    let swapped = grouped.reshape(dims(&[groups * out, channels / groups]));
    (2..swapped.ndim()).fold(swapped, |kernel, dim| flip(&kernel, dim as isize))
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::grad;

    /// ⟨conv(y), x⟩ = ⟨y, conv_transpose(x)⟩.
    #[test]
    fn it_is_the_transpose() {
        for (groups, strides, padding, extra, dilation) in [
            (1, [1, 1], [(0, 0), (0, 0)], [0, 0], [1, 1]),
            (2, [2, 3], [(1, 0), (2, 1)], [1, 2], [1, 2]),
            (2, [1, 2], [(0, 1), (0, 0)], [0, 1], [2, 1]),
        ] {
            let kernel = waves(&[4, 3, 2, 3], 0.9);
            let x = waves(&[4, 3, 4], 0.2);
            let ours = conv_transpose(&x, &kernel, &strides, &padding, &extra, &dilation, groups);
            let forward = |y: &Tensor| conv(y, &kernel, &strides, &padding, &[], &dilation, groups);
            let y = waves(ours.dims(), 0.5);
            assert_eq!(forward(&y).dims(), x.dims());
            let slope = grad(|y: &Tensor| (forward(y) * &x).sum(())).at(&y);
            let pairs = ours.to_vec::<f64>().into_iter().zip(slope.to_vec::<f64>());
            pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-12, "{a} and {b}"));
        }
    }

    #[test]
    fn derivatives_and_lanes() {
        let kernel = waves(&[2, 3, 3], 0.9);
        let f = |x: &Tensor, kernel: &Tensor| conv_transpose(x, kernel, &[2], &[(1, 0)], &[1], &[], 1);
        check_grads(move |x: &Tensor, k: &Tensor| f(x, k).sin(), (&waves(&[2, 3], 0.2), &kernel), 2);
        check_lanes(move |x: &Tensor| f(x, &kernel), &waves(&[40, 2, 5], 0.2));
    }

    #[test]
    #[should_panic(expected = "conv_transpose: padding (3, 0) is larger than the reach 2 of the kernel")]
    fn padding_stays_inside() {
        conv_transpose(&waves(&[2, 3], 0.0), &waves(&[2, 3, 3], 0.0), &[], &[(3, 0)], &[], &[], 1);
    }
}
