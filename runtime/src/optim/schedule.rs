//! Learning rates that change as training goes on.

use std::f64::consts::PI;

/// A learning rate for each step; a number is the same rate for all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule(Kind);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Constant(f64),
    WarmupCosine { peak: f64, warmup: usize, steps: usize, end: f64 },
    Steps { rate: f64, factor: f64, every: usize },
}

/// The same rate for all steps.
pub fn constant(rate: f64) -> Schedule {
    Schedule(Kind::Constant(rate))
}

/// From near 0 to `peak` on a line in `warmup` steps, then along half a cosine to `end` at step `steps`, where it
/// stays (Loshchilov and Hutter, *SGDR*, 2017).
///
/// ```
/// use axisgrad::optim::warmup_cosine;
/// let rate = warmup_cosine(1.0, 2, 10, 0.0);
/// assert_eq!([0, 1, 2, 6, 10].map(|step| rate.at(step)), [0.5, 1.0, 1.0, 0.5, 0.0]);
/// ```
pub fn warmup_cosine(peak: f64, warmup: usize, steps: usize, end: f64) -> Schedule {
    Schedule(Kind::WarmupCosine { peak, warmup, steps, end })
}

/// `rate`, multiplied by `factor` after every `every` steps.
///
/// ```
/// use axisgrad::optim::step_decay;
/// assert_eq!([0, 9, 10, 20].map(|step| step_decay(8.0, 0.5, 10).at(step)), [8.0, 8.0, 4.0, 2.0]);
/// ```
///
/// # Panics
/// If `every` is 0.
#[track_caller]
pub fn step_decay(rate: f64, factor: f64, every: usize) -> Schedule {
    assert!(every > 0, "step_decay: the rate must last for 1 step or more");
    Schedule(Kind::Steps { rate, factor, every })
}

impl Schedule {
    /// The rate at a step, counted from 0.
    pub fn at(self, step: usize) -> f64 {
        match self.0 {
            Kind::Constant(rate) => rate,
            Kind::WarmupCosine { peak, warmup, .. } if step < warmup => {
                peak * (step + 1) as f64 / warmup as f64
            }
            Kind::WarmupCosine { peak, warmup, steps, end } => {
                let all = steps.saturating_sub(warmup).max(1);
                let part = (step - warmup).min(all) as f64 / all as f64;
                end + (peak - end) * 0.5 * (1.0 + (PI * part).cos())
            }
            Kind::Steps { rate, factor, every } => rate * factor.powi((step / every) as i32),
        }
    }
}

impl From<f64> for Schedule {
    fn from(rate: f64) -> Self {
        constant(rate)
    }
}
