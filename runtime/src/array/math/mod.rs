//! Elementary functions of one number, written so that a loop over them becomes vector code.
//!
//! No branches, no tables, and every sum of a product is one fused multiply-add: so the compiler can put as many
//! numbers side by side as the machine's vectors hold, and the bits of a result do not depend on how many these
//! are. (Where the processor has no fused multiply-add it is emulated: slow, and the same bits.) Ranges are reduced
//! as in Muller, *Elementary Functions* (3rd edition, chapters 10 and 11); the polynomials are minimax ones, found
//! with Remez' algorithm and rounded coefficient by coefficient.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

pub(crate) mod double;
pub(crate) mod single;
#[cfg(test)]
mod tests;

/// What the tanh form of GELU (Hendrycks and Gimpel 2016, arXiv:1606.08415) takes the tanh of is *x* times the first plus
/// *x³* times the product of both: √(2/π)(*x* + 0.044715*x³*).
pub(crate) const GELU: [f64; 2] = [FRAC_2_SQRT_PI * FRAC_1_SQRT_2, 0.044_715];
/// 1/√(2π), the density of the normal distribution at zero.
const PEAK: f64 = 0.5 * GELU[0];
