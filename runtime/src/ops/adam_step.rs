//! `adam_step`: one parameter, moved by Adam.

use std::panic::Location;

use crate::array::kernels::{self, AdamRates};
use crate::dtype::DType;
use crate::error::violation;
use crate::tensor::Tensor;

/// The settings of [`adam_step`].
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    /// The learning rate.
    pub rate: f64,
    /// How much of the mean of the gradients stays in a step.
    pub beta1: f64,
    /// How much of the mean of their squares stays.
    pub beta2: f64,
    /// What keeps small moments from being divided by.
    pub epsilon: f64,
    /// The part of the parameter that decays in a step of rate 1.
    pub weight_decay: f64,
    /// The number of this step: 1 for the first.
    pub number: i32,
}

impl AdamStep {
    fn rates(self) -> AdamRates {
        // The moments start at zero; dividing by what they have seen so far takes the bias out.
        let scale = [self.beta1, self.beta2].map(|beta| 1.0 / (1.0 - beta.powi(self.number)));
        let step = [1.0 - self.rate * self.weight_decay, self.rate];
        AdamRates { keep: [self.beta1, self.beta2], scale, epsilon: self.epsilon, step }
    }
}

/// A parameter and the means of its gradients and of their squares after one step of Adam with decoupled weight
/// decay: `T[..], [T[..], T[..]], T[..] -> [T[..], T[..], T[..]]` (Kingma and Ba, *Adam*, 2015; Loshchilov and
/// Hutter, *Decoupled weight decay regularization*, 2019).
///
/// One pass over memory; where something depends on an argument of `grad`, it is made of ops, and a gradient flows
/// through the step. Both give the same bits.
///
/// # Panics
/// If the four differ in type or dims.
#[track_caller]
pub fn adam_step(
    parameter: &Tensor,
    moments: [&Tensor; 2],
    gradient: &Tensor,
    step: AdamStep,
) -> [Tensor; 3] {
    let all = [parameter, moments[0], moments[1], gradient];
    if all.iter().any(|x| x.dtype() != parameter.dtype() || x.dims() != parameter.dims()) {
        let rule = "a parameter, its moments and its gradient have one type";
        violation("adam_step", rule, &all, Location::caller());
    }
    let plain = all.iter().all(|x| x.tape().is_none() && x.axes() == parameter.axes());
    let fits = plain && matches!(parameter.dtype(), DType::F32 | DType::F64);
    if fits { in_one_pass(all, step.rates()) } else { made_of_ops(all, step.rates()) }
}

fn in_one_pass(all: [&Tensor; 4], rates: AdamRates) -> [Tensor; 3] {
    let [parameter, mean, square, gradient] = all.map(Tensor::array);
    let moved = kernels::adam(parameter, [mean, square], gradient, rates);
    moved.map(|array| Tensor::ground(array, all[0].axes().clone()))
}

#[track_caller]
fn made_of_ops([parameter, mean, square, gradient]: [&Tensor; 4], rates: AdamRates) -> [Tensor; 3] {
    let AdamRates { keep, scale, epsilon, step } = rates;
    let mean = mean * keep[0] + gradient * (1.0 - keep[0]);
    let square = square * keep[1] + gradient * gradient * (1.0 - keep[1]);
    let towards = &mean * scale[0] / ((&square * scale[1]).sqrt() + epsilon);
    [parameter * step[0] - towards * step[1], mean, square]
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::check::{check_grads, same_bits};

    const STEP: AdamStep =
        AdamStep { rate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weight_decay: 0.1, number: 3 };

    fn operands(dtype: DType) -> [Tensor; 4] {
        let square = waves(&[37, 3], 0.9).square();
        [waves(&[37, 3], 0.1), waves(&[37, 3], 0.5), square, waves(&[3, 37], 0.7).t()].map(|x| x.cast(dtype))
    }

    #[test]
    fn one_pass_has_the_bits_of_the_formula() {
        for dtype in [DType::F32, DType::F64] {
            // The numbers once: `powi` need not give the same bits in two places of a program.
            let (all, rates) = (operands(dtype), STEP.rates());
            let fused = in_one_pass(all.each_ref(), rates);
            let formula = made_of_ops(all.each_ref(), rates);
            for (fused, formula) in fused.iter().zip(&formula) {
                assert!(same_bits(&fused.to_array(), &formula.to_array()), "{fused} and {formula}");
            }
        }
    }

    #[test]
    fn gradients_flow_through_a_step() {
        let [p, m, s, g] = operands(DType::F64);
        let moved = |p: &Tensor, g: &Tensor| adam_step(p, [&m, &s], g, STEP)[0].clone();
        check_grads(moved, (&p, &g), 1);
    }

    #[test]
    #[should_panic(expected = "adam_step: a parameter, its moments and its gradient have one type")]
    fn operands_fit() {
        let [p, m, s, _] = operands(DType::F32);
        adam_step(&p, [&m, &s], &waves(&[3], 0.0).cast(DType::F32), STEP);
    }
}
