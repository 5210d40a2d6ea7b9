//! Comparisons and logic: what is not a number has no derivative.

// One formula serves every type, `bool` among them.
#![allow(clippy::bool_comparison)]

use super::elementwise;
use crate::tensor::Tensor;

elementwise! {
    /// Whether two elements are equal; NaN equals nothing.
    pub eq: Equal [any -> bool] (a, b) = a == b; |ct, y| []

    /// Whether two elements differ; NaN differs from everything.
    pub ne: NotEqual [any -> bool] (a, b) = a != b; |ct, y| []

    /// Whether *a* < *b*; of NaN, false.
    pub lt: Less [ordered -> bool] (a, b) = a < b; |ct, y| []

    /// Whether *a* ≤ *b*; of NaN, false.
    pub le: LessEqual [ordered -> bool] (a, b) = a <= b; |ct, y| []

    /// Whether *a* > *b*; of NaN, false.
    pub gt: Greater [ordered -> bool] (a, b) = a > b; |ct, y| []

    /// Whether *a* ≥ *b*; of NaN, false.
    pub ge: GreaterEqual [ordered -> bool] (a, b) = a >= b; |ct, y| []

    /// Whether both are true.
    pub logical_and: And [bool -> bool] (a, b) = a & b; |ct, y| []

    /// Whether one or both are true.
    pub logical_or: Or [bool -> bool] (a, b) = a | b; |ct, y| []

    /// Whether just one of two is true.
    pub logical_xor: Xor [bool -> bool] (a, b) = a ^ b; |ct, y| []

    /// Whether it is false.
    pub logical_not: Not [bool -> bool] (x) = !x; |ct, y| []

    /// Whether it is NaN, or has a part that is.
    pub isnan: IsNan [inexact -> bool] (x) = x.is_nan(); |ct, y| []

    /// Whether it is infinite, or has a part that is.
    pub isinf: IsInf [inexact -> bool] (x) = x.is_infinite(); |ct, y| []

    /// Whether it is neither NaN nor infinite.
    pub isfinite: IsFinite [inexact -> bool] (x) = x.is_finite(); |ct, y| []
}
