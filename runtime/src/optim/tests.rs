//! Optimizers against their definitions, one number at a time.

use super::*;
use crate::{DType, Tensor};

fn slope(x: f64) -> f64 {
    2.0 * (x - 3.0)
}

/// Where five steps from 1 lead, for a state and for the definition.
#[track_caller]
fn same_way<S>(
    mut state: S,
    update: impl Fn(&mut S, &mut Tensor, &Tensor),
    mut definition: impl FnMut(f64, f64) -> f64,
) {
    let (mut ours, mut theirs) = (Tensor::from([1.0]), 1.0);
    for _ in 0..5 {
        let gradient = Tensor::from([slope(ours.item::<f64>())]);
        update(&mut state, &mut ours, &gradient);
        theirs = definition(theirs, slope(theirs));
        assert!((ours.item::<f64>() - theirs).abs() < 1e-14, "{ours} and {theirs}");
    }
}

#[test]
fn momentum_and_nesterov() {
    for (nesterov, decay) in [(false, 0.0), (true, 0.0), (true, 0.1)] {
        let settings = momentum(step_decay(0.1, 0.5, 2), 0.9).weight_decay(decay);
        let settings = if nesterov { settings.nesterov() } else { settings };
        let (mut velocity, mut step) = (0.0, 0);
        same_way(settings.init(&Tensor::from([1.0])), MomentumState::update, |x, g| {
            let g = g + decay * x;
            velocity = 0.9 * velocity + g;
            let rate = 0.1 * 0.5f64.powi(step / 2);
            step += 1;
            x - rate * if nesterov { g + 0.9 * velocity } else { velocity }
        });
    }
}

#[test]
fn adam_with_and_without_decay() {
    for decay in [0.0, 0.1] {
        let (mut m, mut s, mut t) = (0.0, 0.0, 0);
        let settings = adam(0.01).weight_decay(decay).betas(0.8, 0.9).epsilon(1e-6);
        same_way(settings.init(&Tensor::from([1.0])), AdamWState::update, |x, g| {
            t += 1;
            m = 0.8 * m + 0.2 * g;
            s = 0.9 * s + 0.1 * g * g;
            let (mean, square): (f64, f64) = (m / (1.0 - 0.8f64.powi(t)), s / (1.0 - 0.9f64.powi(t)));
            x - 0.01 * decay * x - 0.01 * mean / (square.sqrt() + 1e-6)
        });
    }
}

#[test]
fn large_gradients_are_scaled_down() {
    let gradient = vec![Tensor::from([3.0]), Tensor::from([0.0, 4.0])];
    let (clipped, size) = clip_by_global_norm(&gradient, 1.0);
    assert_eq!(size.item::<f64>(), 5.0);
    assert!((global_norm(&clipped).item::<f64>() - 1.0).abs() < 1e-15);
    assert_eq!(clip_by_global_norm(&gradient, 6.0).0[1].to_vec::<f64>(), [0.0, 4.0]);
    let mixed = (Tensor::from([3.0f32]), Tensor::from([0.0, 4.0]).cast(DType::BF16), Tensor::from(0.0f64));
    let clipped = clip_by_global_norm(&mixed, 1.0).0;
    assert_eq!(
        [clipped.0.dtype(), clipped.1.dtype(), clipped.2.dtype()],
        [DType::F32, DType::BF16, DType::F64]
    );
    assert_eq!(clip_by_global_norm(&Tensor::from([0.0, 0.0]), 0.0).0.to_vec::<f64>(), [0.0, 0.0]);
}

#[test]
#[should_panic(expected = "no norm is at most -1")]
fn a_norm_is_not_negative() {
    clip_by_global_norm(&Tensor::from([3.0]), -1.0);
}

#[test]
#[should_panic(expected = "sgd: the parameter at `` is no real number: c128[1]")]
fn complex_parameters_have_no_downhill() {
    let z = crate::ops::complex(Tensor::from([1.0]), Tensor::from([1.0]));
    sgd(0.1).update(&mut z.clone(), &z);
}
