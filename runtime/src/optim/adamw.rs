//! Adam with decoupled weight decay.

use std::panic::Location;

use super::Schedule;
use super::check::gradient_fits;
use crate::Tree;
use crate::ops::{AdamStep, adam_step};
use crate::tree::Saved;

/// The settings of AdamW (Loshchilov and Hutter, *Decoupled weight decay regularization*, 2019).
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    rate: Schedule,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    decay: f64,
}

/// AdamW with the usual β₁ = 0.9, β₂ = 0.999, ε = 10⁻⁸ and a weight decay of 10⁻⁴; the rate is a number or a
/// [`Schedule`].
pub fn adamw(rate: impl Into<Schedule>) -> AdamW {
    AdamW { rate: rate.into(), beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 1e-4 }
}

/// Adam (Kingma and Ba, *Adam: a method for stochastic optimization*, 2015): [`adamw`] without decay.
pub fn adam(rate: impl Into<Schedule>) -> AdamW {
    adamw(rate).weight_decay(0.0)
}

impl AdamW {
    /// The decay rates of the two moments.
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        (self.beta1, self.beta2) = (beta1, beta2);
        self
    }

    /// What is added to the root of the second moment.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// The part of a parameter that decays in a step of rate 1.
    pub fn weight_decay(mut self, decay: f64) -> Self {
        self.decay = decay;
        self
    }

    /// The state for training `model`: both moments zero.
    pub fn init<M: Tree>(self, model: &M) -> AdamWState<M> {
        let zeros = model.map_leaves(|leaf| leaf.zeros_like());
        AdamWState { settings: self, steps: Saved(0), mean: zeros.clone(), square: zeros }
    }
}

/// AdamW at work: the settings, and the moments of the gradients so far.
#[derive(Clone, Debug, Tree)]
pub struct AdamWState<M> {
    #[tree(skip)]
    settings: AdamW,
    steps: Saved<i32>,
    mean: M,
    square: M,
}

impl<M: Tree> AdamWState<M> {
    /// Moves the model one step.
    ///
    /// # Panics
    /// If the gradient does not have the model's structure and types.
    #[track_caller]
    pub fn update(&mut self, model: &mut M, gradient: &M) {
        gradient_fits("adamw", model, gradient, Location::caller());
        let AdamW { rate, beta1, beta2, epsilon, decay: weight_decay } = self.settings;
        let rate = rate.at(*self.steps as usize);
        *self.steps += 1;
        let step = AdamStep { rate, beta1, beta2, epsilon, weight_decay, number: *self.steps };
        let moments = self.mean.leaves().into_iter().zip(self.square.leaves());
        let mut pairs = moments.zip(gradient.leaves());
        let (mut means, mut squares) = (Vec::new(), Vec::new());
        *model = model.map_leaves(|parameter| {
            let ((mean, square), gradient) = pairs.next().expect("the same structure");
            let [parameter, mean, square] = adam_step(parameter, [&mean, &square], &gradient, step);
            means.push(mean);
            squares.push(square);
            parameter
        });
        let (mut means, mut squares) = (means.into_iter(), squares.into_iter());
        self.mean = self.mean.map_leaves(|_| means.next().expect("a mean for each leaf"));
        self.square = self.square.map_leaves(|_| squares.next().expect("a square for each leaf"));
    }
}
