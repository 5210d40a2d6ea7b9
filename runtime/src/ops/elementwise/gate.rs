//! Parts that the cotangents of other ops are made of, each one pass over memory.

use super::{elementwise, log, pow};
use crate::array::number::Number;
use crate::dtype::Scalar;
use crate::ops::where_;
use crate::tensor::Tensor;

elementwise! {
    /// *ct* where *a* is larger than *b*, half of it where they are equal, else 0.
    part larger_share: LargerShare [float -> same] (ct, a, b) =
        if a > b { ct } else if a == b { 0.5 * ct } else { 0.0 };
        |bar, y| [larger_share(bar, a, b)]

    /// *ct* where *x* is positive, else 0.
    part where_positive: WherePositive [float -> same] (ct, x) = if x > 0.0 { ct } else { 0.0 };
        |bar, y| [where_positive(bar, x)]

    /// *ct* (1 - *t²*): *t* is a hyperbolic tangent.
    part tanh_pull: TanhPull [inexact -> same] (ct, t) = ct * (T::ONE - t * t);
        |bar, y| [tanh_pull(bar, t), bar * ct * t * -2.0]

    /// *ct s* (1 - *s*): *s* is a sigmoid.
    part sigmoid_pull: SigmoidPull [inexact -> same] (ct, s) = ct * s * (T::ONE - s);
        |bar, y| [sigmoid_pull(bar, s), bar * ct * (1.0 - s * 2.0)]

    /// *b a^(b-1)*: the derivative of a power by its base.
    part pow_base_slope: PowBaseSlope [inexact -> same] (a, b) = b * a.to_the(b - T::ONE); |bar, y| [
        bar * b * pow_base_slope(a, &(b - 1.0)),
        bar * (pow(a, b - 1.0) + y * log(&where_(a.eq(0.0), 1.0, a)))
    ]
}
