//! `conv`: one kernel at every place of the spatial dims.

use std::panic::Location;
use std::rc::Rc;

use super::cast;
use super::convolution::{Conv, convolved};
use super::windows::{Window, distances, settings, surrounded};
use crate::array::Dims;
use crate::array::kernels::Convolution;
use crate::dtype::promote;
use crate::error::violation;
use crate::tensor::Tensor;

/// The convolution of `x` with `kernel` over any number of spatial dims, as neural networks mean it: the kernel is
/// not flipped.
///
/// `T[..,c,n1,n2], T[o,c/groups,k1,k2] -> T[..,o,m1,m2]`, where a spatial dim of n elements gives
/// m = (low + (n - 1)·lhs_dilation + 1 + high - (k - 1)·rhs_dilation - 1) / stride + 1, rounded down.
///
/// `padding` is how many zeros come `(low, high)` around each spatial dim, `lhs_dilation` how far apart the
/// elements of `x` are spread (with zeros between: a transposed convolution), `rhs_dilation` those of the kernel.
/// An empty list means none of it. With `groups`, each of as many parts of the channels has kernels of its own.
///
/// # Panics
/// If the dims of operands and settings do not agree as above, a stride or dilation is 0, or the channels do not
/// divide into the groups.
///
/// ```
/// use axisgrad::{Tensor, ops::conv};
/// let x = Tensor::from([[1.0, 2.0, 4.0, 8.0]]);
/// let step = Tensor::from([[[-1.0, 1.0]]]);
/// assert_eq!(conv(&x, &step, &[], &[], &[], &[], 1).to_vec::<f64>(), [1.0, 2.0, 4.0]);
/// assert_eq!(conv(&x, &step, &[2], &[(1, 0)], &[], &[], 1).to_vec::<f64>(), [1.0, 2.0]);
/// ```
#[track_caller]
pub fn conv(
    x: &Tensor,
    kernel: &Tensor,
    strides: &[usize],
    padding: &[(usize, usize)],
    lhs_dilation: &[usize],
    rhs_dilation: &[usize],
    groups: usize,
) -> Tensor {
    if let Err(rule) = channels_agree(x.dims(), kernel.dims(), groups) {
        violation("conv", &rule, &[x, kernel], Location::caller());
    }
    let n = kernel.ndim() - 2;
    let strides = distances("conv", "strides", strides, n, x);
    let spread = distances("conv", "lhs_dilation", lhs_dilation, n, x);
    let dilation = distances("conv", "rhs_dilation", rhs_dilation, n, x);
    let window = |i| Window { size: kernel.dims()[2 + i], stride: strides[i], dilation: dilation[i] };
    let windows: Vec<Window> = (0..n).map(window).collect();
    let x = surrounded(x, &settings("conv", "padding", padding, n, (0, 0), x), &spread, 0.0);
    if kernel.is_empty() {
        violation("conv", "the kernel has no elements", &[&x, kernel], Location::caller());
    }
    let dtype = promote(x.dtype(), kernel.dtype());
    let (x, kernel) = (cast(&x, dtype), cast(kernel, dtype));
    let lead = x.ndim() - n - 1;
    let channels = [x.dims()[lead], kernel.dims()[0], kernel.dims()[1]];
    let of = Convolution { sizes: Dims::from_slice(&x.dims()[lead + 1..]), windows, groups };
    convolved(&Rc::new(Conv { of, lead, channels, site: Location::caller() }), &x, &kernel)
}

/// [`conv`] over one spatial dim: `T[..,c,n], T[o,c/groups,k] -> T[..,o,m]`.
///
/// # Panics
/// As [`conv`].
#[track_caller]
pub fn conv1d(
    x: &Tensor,
    kernel: &Tensor,
    stride: usize,
    padding: (usize, usize),
    dilation: usize,
    groups: usize,
) -> Tensor {
    conv(x, kernel, &[stride], &[padding], &[], &[dilation], groups)
}

/// [`conv`] over two spatial dims: `T[..,c,h,w], T[o,c/groups,k1,k2] -> T[..,o,h',w']`.
///
/// # Panics
/// As [`conv`].
#[track_caller]
pub fn conv2d(
    x: &Tensor,
    kernel: &Tensor,
    strides: [usize; 2],
    padding: [(usize, usize); 2],
    dilation: [usize; 2],
    groups: usize,
) -> Tensor {
    conv(x, kernel, &strides, &padding, &[], &dilation, groups)
}

/// [`conv`] over three spatial dims: `T[..,c,d,h,w], T[o,c/groups,k1,k2,k3] -> T[..,o,d',h',w']`.
///
/// # Panics
/// As [`conv`].
#[track_caller]
pub fn conv3d(
    x: &Tensor,
    kernel: &Tensor,
    strides: [usize; 3],
    padding: [(usize, usize); 3],
    dilation: [usize; 3],
    groups: usize,
) -> Tensor {
    conv(x, kernel, &strides, &padding, &[], &dilation, groups)
}

impl Tensor {
    /// [`conv`] with all strides 1 and no padding, dilation or groups.
    #[track_caller]
    pub fn conv(&self, kernel: &Tensor) -> Tensor {
        conv(self, kernel, &[], &[], &[], &[], 1)
    }
}

fn channels_agree(x: &[usize], kernel: &[usize], groups: usize) -> Result<(), String> {
    let Some(n) = kernel.len().checked_sub(2) else {
        return Err("a kernel has dims for channels out and in, and then spatial ones".to_owned());
    };
    let Some(lead) = x.len().checked_sub(n + 1) else {
        return Err(format!("a kernel with {n} spatial dims needs an operand with channels and as many"));
    };
    if groups == 0 || !kernel[0].is_multiple_of(groups) {
        return Err(format!("{} channels out do not divide into {groups} groups", kernel[0]));
    }
    if x[lead] != kernel[1] * groups {
        return Err(format!("there are {} channels, and the kernel takes {groups}·{}", x[lead], kernel[1]));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::dtype::DType;
    use crate::grad;

    /// The definition, for one spatial dim: strides 2, padding (1, 2), `x` spread by 2 and the kernel by 3.
    fn naive(x: &Tensor, kernel: &Tensor, groups: usize) -> Vec<f64> {
        let (&[c, n], &[o, i, k]) = (x.dims(), kernel.dims()) else { panic!("one spatial dim") };
        let (x, kernel) = (x.to_vec::<f64>(), kernel.to_vec::<f64>());
        let at = |c: usize, place: usize| match place.checked_sub(1) {
            Some(place) if place % 2 == 0 && place / 2 < n => x[c * n + place / 2],
            _ => 0.0,
        };
        assert_eq!(c, i * groups);
        let m = (1 + 2 * (n - 1) + 1 + 2 - 3 * (k - 1) - 1) / 2 + 1;
        let one = |o_: usize, m: usize| -> f64 {
            let terms = (0..i * k)
                .map(|t| kernel[o_ * i * k + t] * at(o_ / (o / groups) * i + t / k, 2 * m + 3 * (t % k)));
            terms.sum()
        };
        (0..o * m).map(|t| one(t / m, t % m)).collect()
    }

    #[test]
    fn a_kernel_that_meets_no_example_has_a_gradient_of_zeros() {
        for dims in [[0, 4, 9], [1, 4, 2]] {
            let loss = |kernel: &Tensor| waves(&dims, 0.0).conv(kernel).sum(());
            assert_eq!(grad(loss).at(&waves(&[12, 4, 3], 0.0)).to_vec::<f64>(), [0.0; 144]);
        }
    }

    #[test]
    fn values() {
        for groups in [1, 2] {
            let (x, kernel) = (waves(&[4, 6], 0.3), waves(&[6, 4 / groups, 3], 0.9));
            let y = conv(&x, &kernel, &[2], &[(1, 2)], &[2], &[3], groups);
            let expected = naive(&x, &kernel, groups);
            assert_eq!(y.len(), expected.len());
            for (a, b) in y.to_vec::<f64>().iter().zip(&expected) {
                assert!((a - b).abs() < 1e-12, "{a} and {b}");
            }
        }
    }

    #[test]
    fn dims() {
        let (x, kernel) = (waves(&[2, 3, 5, 6], 0.3), waves(&[4, 3, 2, 3], 0.9));
        assert_eq!(x.conv(&kernel).dims(), [2, 4, 4, 4]);
        assert_eq!(x.index(0, 0).conv(&kernel).dims(), [4, 4, 4]);
        assert_eq!(x.index(0, 1).conv(&kernel).to_vec::<f64>(), x.conv(&kernel).index(0, 1).to_vec::<f64>());
        assert_eq!(waves(&[3, 1, 1], 0.0).conv(&kernel).dims(), [4, 0, 0]);
        let depthwise = conv(&x, &waves(&[6, 1, 2, 2], 0.1), &[2, 1], &[(1, 1), (0, 0)], &[], &[], 3);
        assert_eq!(depthwise.dims(), [2, 6, 3, 5]);
    }

    #[test]
    fn one_two_and_three_dims() {
        let x = waves(&[2, 4, 4, 4], 0.3);
        let pad = (1, 1);
        assert_eq!(
            conv3d(&x, &waves(&[3, 2, 3, 3, 3], 0.9), [2; 3], [pad; 3], [1; 3], 1).dims(),
            [3, 2, 2, 2]
        );
        let planes = x.index(1, 0);
        assert_eq!(
            conv2d(&planes, &waves(&[4, 1, 2, 2], 0.9), [1; 2], [(0, 0); 2], [2; 2], 2).dims(),
            [4, 2, 2]
        );
        assert_eq!(conv1d(&planes.index(1, 0), &waves(&[3, 2, 3], 0.9), 1, pad, 1, 1).dims(), [3, 4]);
    }

    #[test]
    fn derivatives() {
        let (x, kernel) = (waves(&[2, 5], 0.3), waves(&[3, 2, 2], 0.9));
        check_grads(|x: &Tensor, k: &Tensor| x.conv(k).sin(), (&x, &kernel), 2);
        let (x, kernel) = (waves(&[2, 2, 3, 4], 0.3), waves(&[2, 1, 2, 2], 0.9));
        let f = |x: &Tensor, k: &Tensor| conv(x, k, &[1, 2], &[(1, 0), (1, 1)], &[2, 1], &[1, 2], 2).sin();
        check_grads(f, (&x, &kernel), 2);
    }

    #[test]
    fn lanes() {
        let (xs, kernels) = (waves(&[40, 2, 5, 5], 0.3), waves(&[40, 3, 2, 3, 3], 0.9));
        let kernel = waves(&[3, 2, 3, 3], 0.9);
        check_lanes(|x: &Tensor| x.conv(&kernel), &xs);
        check_lanes(|x: &Tensor, k: &Tensor| x.conv(k), (&xs, &kernels));
        let each = waves(&[4, 1, 3, 3], 0.2);
        check_lanes(|x: &Tensor| conv(x, &each, &[], &[(1, 1), (1, 1)], &[], &[], 2), &xs);
    }

    /// Of `f32`, with channels enough for Winograd's way.
    #[test]
    fn lanes_of_many_channels() {
        let rough = |dims: &[usize], seed| waves(dims, seed).cast(DType::F32);
        let (xs, kernel) = (rough(&[9, 16, 8, 11], 0.3), rough(&[18, 16, 3, 3], 0.9));
        let loss = |x: &Tensor, k: &Tensor| x.conv(k).sin().sum(());
        check_lanes(|x: &Tensor| x.conv(&kernel), &xs);
        check_lanes(|x: &Tensor| grad(loss).at((x, &kernel)), &xs);
        check_lanes(|x: &Tensor| grad(loss).argnum::<1>().at((x, &kernel)), &xs);
        check_lanes(|x: &Tensor, k: &Tensor| x.conv(k), (&xs, &rough(&[9, 16, 16, 3, 3], 0.2)));
    }

    #[test]
    #[should_panic(expected = "conv: there are 3 channels, and the kernel takes 1·2")]
    fn channels_fit() {
        waves(&[3, 5], 0.0).conv(&waves(&[4, 2, 3], 0.0));
    }

    #[test]
    #[should_panic(expected = "conv: 1 spatial dims need as many strides (or none), not 2")]
    fn settings_fit() {
        conv(&waves(&[2, 5], 0.0), &waves(&[4, 2, 3], 0.0), &[1, 1], &[], &[], &[], 1);
    }

    #[test]
    #[should_panic(expected = "conv: strides [0] must be 1 or more")]
    fn strides_move() {
        conv(&waves(&[2, 5], 0.0), &waves(&[4, 2, 3], 0.0), &[0], &[], &[], &[], 1);
    }
}
