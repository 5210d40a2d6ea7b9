//! `batch_norm`: channels brought to one scale by statistics over examples.

use super::group_norm::along_channels;
use super::names::Names;
use super::{keep, pmean, rsqrt};
use crate::tensor::Tensor;
use crate::tree::{Path, Tree};

/// The mean and variance of each channel: what [`batch_norm`] normalizes by, and what a model keeps a running
/// estimate of.
#[derive(Clone, Debug)]
pub struct Moments {
    /// `f32[c]`
    pub mean: Tensor,
    /// `f32[c]`
    pub var: Tensor,
}

impl Moments {
    /// Moved towards `new` by the part `rate` of the way, and off all tapes: the running estimate after a step.
    ///
    /// # Panics
    /// If the two differ in channels or type.
    #[track_caller]
    pub fn towards(&self, new: &Moments, rate: f64) -> Moments {
        let step = |old: &Tensor, new: &Tensor| old * (1.0 - rate) + new.stop_gradient() * rate;
        Moments { mean: step(&self.mean, &new.mean), var: step(&self.var, &new.var) }
    }
}

impl Tree for Moments {
    fn visit(&self, path: &Path<'_>, visit: &mut dyn FnMut(&Path<'_>, &Tensor)) {
        visit(&path.field("mean"), &self.mean);
        visit(&path.field("var"), &self.var);
    }

    fn map(&self, path: &Path<'_>, map: &mut dyn FnMut(&Path<'_>, &Tensor) -> Tensor) -> Self {
        Self { mean: map(&path.field("mean"), &self.mean), var: map(&path.field("var"), &self.var) }
    }
}

/// The mean and variance of each channel, over all dims of `x` but `dim` and over the named axes, through `pmean`:
/// `f32[c,n1,n2]{batch} -> f32[c], f32[c]` for dim 0 and `["batch"]`; over no axes, `&[] as &[&str]`, those of each
/// example alone.
///
/// # Panics
/// If there is no such dim, or `x` does not vary over one of the axes.
#[track_caller]
pub fn batch_moments(x: &Tensor, dim: isize, axes: impl Names + Copy) -> Moments {
    let dim = x.dim_index("batch_moments", dim);
    let others: Vec<isize> = (0..x.ndim() as isize).filter(|&other| other != dim as isize).collect();
    let over_axes = |x: Tensor| {
        let mut any = false;
        axes.each(&mut |_| any = true);
        if any { pmean(&x, axes) } else { x }
    };
    let mean = over_axes(x.mean(keep(&others)));
    let var = over_axes((x - &mean).square().mean(&others));
    let channels = [x.dims()[dim] as isize];
    Moments { mean: mean.reshape(channels), var }
}

/// `(x - mean)/√(var + epsilon)·scale + bias` of each channel, the channels being dim `dim`:
/// `f32[c,n1,n2], f32[c].. -> f32[c,n1,n2]` (Ioffe and Szegedy, *Batch normalization*, 2015).
///
/// In training the statistics are those of the batch, [`batch_moments`], through which gradients flow; afterwards
/// the running estimate ([`Moments::towards`]), which the caller keeps.
///
/// # Panics
/// If there is no such dim, or the others do not have an element for each channel.
///
/// ```
/// use axisgrad::{Tensor, ops::{batch_moments, batch_norm}};
/// let x = Tensor::from([[1.0, 3.0], [0.0, 8.0]]);
/// let moments = batch_moments(&x, 1, &[] as &[&str]);
/// let y = batch_norm(&x, 1, &moments, &Tensor::from([1.0, 1.0]), &Tensor::from([0.0, 0.0]), 0.0);
/// assert_eq!(y.to_vec::<f64>(), [1.0, -1.0, -1.0, 1.0]);
/// ```
#[track_caller]
pub fn batch_norm(
    x: &Tensor,
    dim: isize,
    moments: &Moments,
    scale: &Tensor,
    bias: &Tensor,
    epsilon: f64,
) -> Tensor {
    let dim = x.dim_index("batch_norm", dim);
    let each = |channels: &Tensor| along_channels("batch_norm", x, channels, dim);
    let gain = rsqrt(&(&moments.var + epsilon)) * scale;
    (x - each(&moments.mean)) * each(&gain) + each(bias)
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::check_grads;
    use crate::grad;

    fn normed(x: &Tensor, scale: &Tensor, bias: &Tensor, axes: &[&str]) -> Tensor {
        batch_norm(x, 0, &batch_moments(x, 0, axes), scale, bias, 1e-3)
    }

    /// The same with the axis as the first dim.
    fn positional(x: &Tensor, scale: &Tensor, bias: &Tensor) -> Tensor {
        batch_norm(x, 1, &batch_moments(x, 1, &[] as &[&str]), scale, bias, 1e-3)
    }

    fn close(a: &Tensor, b: &Tensor) {
        assert_eq!(a.dims(), b.dims());
        let pairs = a.to_vec::<f64>().into_iter().zip(b.to_vec::<f64>());
        pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-12, "{a} and {b}"));
    }

    #[test]
    fn an_axis_is_as_good_as_a_dim() {
        let (x, scale, bias) = (waves(&[40, 3, 2], 0.2), waves(&[3], 0.4), waves(&[3], 0.9));
        let batch = x.unstack("batch", 0);
        let ours = normed(&batch, &scale, &bias, &["batch"]);
        close(&crate::ops::gather(&ours, "batch"), &positional(&x, &scale, &bias));
        let slope = grad(|x: &Tensor, s: &Tensor, b: &Tensor| {
            let rows = normed(&x.unstack("batch", 0), s, b, &["batch"]).sin();
            crate::ops::psum(&rows.sum(()), "batch")
        });
        let expected = grad(|x: &Tensor, s: &Tensor, b: &Tensor| positional(x, s, b).sin().sum(()));
        close(&slope.at((&x, &scale, &bias)), &expected.at((&x, &scale, &bias)));
    }

    #[test]
    fn derivatives() {
        let (x, scale, bias) = (waves(&[3, 4], 0.2), waves(&[3], 0.4), waves(&[3], 0.9));
        let f = |x: &Tensor, s: &Tensor, b: &Tensor| normed(x, s, b, &[]).sin();
        check_grads(f, (&x, &scale, &bias), 2);
    }

    #[test]
    fn the_estimate_moves_and_is_a_tree() {
        let [old, new] =
            [0.0, 1.0].map(|at| Moments { mean: Tensor::from([at]), var: Tensor::from([at + 1.0]) });
        let moved = old.towards(&new, 0.25);
        assert_eq!((moved.mean.item::<f64>(), moved.var.item::<f64>()), (0.25, 1.25));
        assert_eq!(moved.leaf_paths(), ["mean", "var"]);
    }
}
