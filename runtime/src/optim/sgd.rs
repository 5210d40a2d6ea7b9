//! Stochastic gradient descent.

use std::panic::Location;

use super::check::gradient_fits;
use crate::Tree;
use crate::ops::sgd_step;
use crate::tree::zip_same;

/// Steps of `rate` against the gradient.
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    rate: f64,
}

/// Stochastic gradient descent with a constant rate.
pub fn sgd(rate: f64) -> Sgd {
    Sgd { rate }
}

impl Sgd {
    /// Moves the model one step against the gradient.
    ///
    /// # Panics
    /// If the gradient does not have the model's structure and types.
    #[track_caller]
    pub fn update<M: Tree>(&self, model: &mut M, gradient: &M) {
        gradient_fits("sgd", model, gradient, Location::caller());
        *model = zip_same(model, gradient, |_, parameter, gradient| sgd_step(parameter, gradient, self.rate));
    }
}
