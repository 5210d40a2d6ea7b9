//! `associative_scan`: all prefixes of an associative operation, in logarithmically many steps.

use std::panic::Location;

use super::scan::row_count;
use crate::error::violation;
use crate::function::{Arguments, Function};
use crate::ops::flip;
use crate::ops::scan::prefixes_of;
use crate::tree::Tree;
use crate::vmap::vmap;

/// `x0`, `f(x0, x1)`, `f(f(x0, x1), x2)`, …, for rows along the first dim of every leaf and an associative `f` of two
/// rows. All pairs of one level are combined at once, and there are about 2·log₂ n levels.
///
/// ```
/// use axisgrad::{Tensor, control::associative_scan};
/// let x = Tensor::from([1.0, 2.0, 3.0, 4.0]);
/// let products = associative_scan(|a: &Tensor, b: &Tensor| a * b).at(&x);
/// assert_eq!(products.to_vec::<f64>(), [1.0, 2.0, 6.0, 24.0]);
/// ```
pub fn associative_scan<F>(f: F) -> AssociativeScan<F> {
    AssociativeScan { f, reverse: false }
}

/// See [`associative_scan`].
#[derive(Clone, Debug)]
#[must_use = "a transform does nothing until it is called with `at`"]
pub struct AssociativeScan<F> {
    f: F,
    reverse: bool,
}

impl<F> AssociativeScan<F> {
    /// From the last row to the first: `xₙ`, `f(xₙ, xₙ₋₁)`, …; the results stay in the order of the rows.
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// Combines the rows of `&xs`.
    ///
    /// # Panics
    /// If the leaves differ in their first dim, or there are none.
    #[track_caller]
    pub fn at<X: Arguments>(&self, args: X) -> <Self as Function<X::Args>>::Output
    where
        Self: Function<X::Args>,
    {
        Function::call(self, &args.to_args())
    }
}

impl<F, X> Function<(X,)> for AssociativeScan<F>
where
    F: Function<(X, X), Output = X>,
    X: Tree,
{
    type Output = X;

    #[track_caller]
    fn call(&self, (xs,): &(X,)) -> X {
        let site = Location::caller();
        let turned = |xs: &X| if self.reverse { xs.map_leaves(|x| flip(x, 0)) } else { xs.clone() };
        let Some(rows) = row_count("associative_scan", xs, site) else {
            violation("associative_scan", "there is nothing to scan over", &[], site)
        };
        let both = vmap(|a: &X, b: &X| self.f.call(&(a.clone(), b.clone())));
        turned(&prefixes_of(&turned(xs), rows, 0, &|a: &X, b: &X| both.at((a, b))))
    }
}
