//! Adam with decoupled weight decay.

use std::panic::Location;

use super::check::gradient_fits;
use crate::Tree;
use crate::tree::Saved;

/// The settings of AdamW (Loshchilov and Hutter, *Decoupled weight decay regularization*, 2019).
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    rate: f64,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    decay: f64,
}

/// AdamW with the usual β₁ = 0.9, β₂ = 0.999, ε = 10⁻⁸ and a weight decay of 10⁻⁴.
pub fn adamw(rate: f64) -> AdamW {
    AdamW { rate, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 1e-4 }
}

impl AdamW {
    /// The decay rates of the two moments.
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        (self.beta1, self.beta2) = (beta1, beta2);
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
        *self.steps += 1;
        let AdamW { rate, beta1, beta2, epsilon, decay } = self.settings;
        self.mean = self.mean.zip_leaves(gradient, |_, mean, g| mean * beta1 + g * (1.0 - beta1));
        self.square =
            self.square.zip_leaves(gradient, |_, square, g| square * beta2 + (g * g) * (1.0 - beta2));
        // The moments start at zero; dividing by what they have seen so far takes the bias out.
        let mean_scale = 1.0 / (1.0 - beta1.powi(*self.steps));
        let square_scale = 1.0 / (1.0 - beta2.powi(*self.steps));
        let step = self.mean.zip_leaves(&self.square, |_, mean, square| {
            mean * mean_scale / ((square * square_scale).sqrt() + epsilon)
        });
        *model = model.zip_leaves(&step, |_, parameter, step| parameter * (1.0 - rate * decay) - step * rate);
    }
}
