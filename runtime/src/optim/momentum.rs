//! Stochastic gradient descent with momentum.

use std::panic::Location;

use super::Schedule;
use super::check::gradient_fits;
use crate::Tree;
use crate::tree::Saved;

/// The settings of gradient descent with momentum.
#[derive(Clone, Copy, Debug)]
pub struct Momentum {
    rate: Schedule,
    keep: f64,
    nesterov: bool,
    decay: f64,
}

/// Gradient descent along a velocity, of which the part `keep` stays in each step (Polyak, 1964); the rate is a
/// number or a [`Schedule`].
pub fn momentum(rate: impl Into<Schedule>, keep: f64) -> Momentum {
    Momentum { rate: rate.into(), keep, nesterov: false, decay: 0.0 }
}

impl Momentum {
    /// Looks ahead along the velocity (Nesterov, 1983; in the form of Sutskever et al., *On the importance of
    /// initialization and momentum in deep learning*, 2013).
    pub fn nesterov(mut self) -> Self {
        self.nesterov = true;
        self
    }

    /// What part of a parameter is added to its gradient.
    pub fn weight_decay(mut self, decay: f64) -> Self {
        self.decay = decay;
        self
    }

    /// The state for training `model`: at rest.
    pub fn init<M: Tree>(self, model: &M) -> MomentumState<M> {
        MomentumState {
            settings: self,
            steps: Saved(0),
            velocity: model.map_leaves(|leaf| leaf.zeros_like()),
        }
    }
}

/// Momentum at work: the settings, and the velocity.
#[derive(Clone, Debug, Tree)]
pub struct MomentumState<M> {
    #[tree(skip)]
    settings: Momentum,
    steps: Saved<i32>,
    velocity: M,
}

impl<M: Tree> MomentumState<M> {
    /// Moves the model one step.
    ///
    /// # Panics
    /// If the gradient does not have the model's structure and types.
    #[track_caller]
    pub fn update(&mut self, model: &mut M, gradient: &M) {
        gradient_fits("momentum", model, gradient, Location::caller());
        let Momentum { rate, keep, nesterov, decay } = self.settings;
        let rate = rate.at(*self.steps as usize);
        *self.steps += 1;
        let gradient = if decay == 0.0 {
            gradient.clone()
        } else {
            gradient.zip_leaves(model, |_, gradient, parameter| gradient + parameter * decay)
        };
        self.velocity =
            self.velocity.zip_leaves(&gradient, |_, velocity, gradient| velocity * keep + gradient);
        let along = if nesterov {
            gradient.zip_leaves(&self.velocity, |_, gradient, velocity| gradient + velocity * keep)
        } else {
            self.velocity.clone()
        };
        *model = model.zip_leaves(&along, |_, parameter, along| parameter - along * rate);
    }
}
