//! `group_norm`: the channels of one example brought to one scale, group by group.

use std::panic::Location;

use super::layer_norm::standardized;
use crate::error::violation;
use crate::tensor::Tensor;

/// Each of `groups` parts of the channels, with all their places, less its mean and over the root of its variance
/// and `epsilon`; then times `scale` and plus `bias`, which have an element for each channel:
/// `f32[c,n1,n2], f32[c], f32[c] -> f32[c,n1,n2]` (Wu and He, *Group normalization*, 2018).
///
/// With as many groups as channels this is instance normalization.
///
/// # Panics
/// If `x` has no dims, the channels do not divide into the groups, or `scale` and `bias` do not have them.
///
/// ```
/// use axisgrad::{Tensor, ops::group_norm};
/// let (x, one, zero) = (Tensor::from([[1.0, 3.0], [0.0, 8.0]]), Tensor::from([1.0; 2]), Tensor::from([0.0; 2]));
/// assert_eq!(group_norm(&x, 2, &one, &zero, 0.0).to_vec::<f64>(), [-1.0, 1.0, -1.0, 1.0]);
/// ```
#[track_caller]
pub fn group_norm(x: &Tensor, groups: usize, scale: &Tensor, bias: &Tensor, epsilon: f64) -> Tensor {
    let channels = x.dims().first().copied().unwrap_or(0);
    if groups == 0 || x.ndim() == 0 || !channels.is_multiple_of(groups) {
        let rule = format!("{channels} channels do not divide into {groups} groups");
        violation("group_norm", &rule, &[x], Location::caller());
    }
    let row = x.len() / groups;
    let rows = standardized(&x.reshape([groups as isize, row as isize]), epsilon);
    let dims: Vec<isize> = x.dims().iter().map(|&n| n as isize).collect();
    rows.reshape(dims) * along_channels("group_norm", x, scale, 0) + along_channels("group_norm", x, bias, 0)
}

/// One number for each channel, as it broadcasts against `x` with its channels in dim `dim`.
#[track_caller]
pub(super) fn along_channels(op: &str, x: &Tensor, each: &Tensor, dim: usize) -> Tensor {
    if each.dims() != &x.dims()[dim..=dim] {
        let rule = format!("there are {} channels, and numbers for {:?}", x.dims()[dim], each.dims());
        violation(op, &rule, &[x, each], Location::caller());
    }
    (dim + 1..x.ndim()).fold(each.clone(), |each, _| each.expand_dims(-1))
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, check_lanes};

    #[test]
    fn values() {
        let (x, scale, bias) = (waves(&[4, 3, 2], 0.2), waves(&[4], 0.4), waves(&[4], 0.9));
        let ours = group_norm(&x, 2, &scale, &bias, 1e-5).to_vec::<f64>();
        let data = x.to_vec::<f64>();
        let (scale, bias) = (scale.to_vec::<f64>(), bias.to_vec::<f64>());
        for (i, ours) in ours.iter().enumerate() {
            let group = &data[i / 12 * 12..][..12];
            let mean = group.iter().sum::<f64>() / 12.0;
            let var = group.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 12.0;
            let naive = (data[i] - mean) / (var + 1e-5).sqrt() * scale[i / 6] + bias[i / 6];
            assert!((ours - naive).abs() < 1e-13, "{ours} and {naive}");
        }
    }

    #[test]
    fn derivatives_and_lanes() {
        let (x, scale, bias) = (waves(&[4, 3], 0.2), waves(&[4], 0.4), waves(&[4], 0.9));
        let f = |x: &Tensor, scale: &Tensor, bias: &Tensor| group_norm(x, 2, scale, bias, 0.1).sin();
        check_grads(f, (&x, &scale, &bias), 2);
        check_lanes(|x: &Tensor| group_norm(x, 2, &scale, &bias, 1e-5), &waves(&[5, 4, 3, 2], 0.3));
    }

    #[test]
    #[should_panic(expected = "group_norm: 4 channels do not divide into 3 groups")]
    fn channels_divide() {
        group_norm(&waves(&[4, 3], 0.0), 3, &waves(&[4], 0.0), &waves(&[4], 0.0), 1e-5);
    }

    #[test]
    #[should_panic(expected = "group_norm: there are 4 channels, and numbers for [3]")]
    fn scales_fit() {
        group_norm(&waves(&[4, 3], 0.0), 2, &waves(&[3], 0.0), &waves(&[4], 0.0), 1e-5);
    }
}
