//! `expm`: the exponential of a matrix.

use super::{check_square, transposed};
use crate::array::kernels;
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::op::Op;
use crate::ops::{complex, concat, imag, real, slice};
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// The exponential I + A + A²/2 + A³/6 + …, by scaling and squaring.
///
/// `T[..,n,n] -> T[..,n,n]`, for floats and complex.
///
/// # Panics
/// If the operand is no square matrix of floats or complex numbers.
///
/// ```
/// use axisgrad::{Tensor, ops::linalg::expm};
/// // The generator of a rotation by a right angle.
/// let angle = std::f64::consts::FRAC_PI_2;
/// let turn = expm(&Tensor::from([[0.0, -angle], [angle, 0.0]])).to_vec::<f64>();
/// turn.iter().zip([0.0, -1.0, 1.0, 0.0]).for_each(|(a, b)| assert!((a - b).abs() < 1e-12));
/// ```
#[track_caller]
pub fn expm(x: &Tensor) -> Tensor {
    check_square("expm", x);
    if !x.dtype().is_complex() {
        return bind(Exponential, &[x]);
    }
    // A complex matrix is a real one of twice the size: [[re, -im], [im, re]].
    let (n, re, im) = (x.dim(-1), real(x), imag(x));
    let whole = bind(Exponential, &[&blocks(&re, &-&im, &im, &re)]);
    let column = slice(&whole, -1, ..n);
    complex(slice(&column, -2, ..n), slice(&column, -2, n..))
}

/// The matrix of four.
#[track_caller]
fn blocks(a: &Tensor, b: &Tensor, c: &Tensor, d: &Tensor) -> Tensor {
    concat(&[&concat(&[a, b], -1), &concat(&[c, d], -1)], -2)
}

/// See [`expm`]; of floats.
struct Exponential;

impl Op for Exponential {
    fn name(&self) -> &'static str {
        "expm"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[0].dtype, inputs[0].dims.clone()))
    }

    fn eval(&self, inputs: &[Array], _: &AxisSet) -> Array {
        kernels::exponential(&inputs[0])
    }

    /// The derivative along Ā of the exponential at Aᵀ, which is the upper right block of the exponential of
    /// [[Aᵀ, Ā], [0, Aᵀ]]: R. Mathias, "A chain rule for matrix functions and applications", 1996.
    fn vjp(&self, _: usize, ct: &Tensor, inputs: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let (n, side) = (ct.dim(-1), transposed(&inputs[0]));
        let whole = bind(Exponential, &[&blocks(&side, ct, &side.zeros_like(), &side)]);
        Some(slice(&slice(&whole, -2, ..n), -1, n..))
    }
}

#[cfg(test)]
mod tests {
    use super::super::close;
    use super::*;
    use crate::check::{check_grads, check_lanes};
    use crate::ops::diag;
    use crate::ops::matmul;
    use crate::ops::waves::waves;

    #[test]
    fn values() {
        let x = waves(&[2, 3, 3], 0.3);
        close(&matmul(&expm(&x), &expm(&x)), &expm(&(&x * 2.0)));
        let d = Tensor::from([0.5, -1.0, 9.0]);
        close(&(expm(&diag(&d)) / 1000.0), &(diag(&d.exp()) / 1000.0));
        let z = complex(waves(&[2, 2], 0.1), waves(&[2, 2], 0.7));
        let half = expm(&(&z * 0.5));
        close(&matmul(&half, &half).real(), &expm(&z).real());
        close(&matmul(&half, &half).imag(), &expm(&z).imag());
    }

    #[test]
    fn derivatives_and_lanes() {
        check_grads(|x: &Tensor| expm(x).sin(), &waves(&[3, 3], 0.3), 2);
        check_grads(expm, &complex(waves(&[2, 2], 0.1), waves(&[2, 2], 0.7)), 2);
        check_lanes(expm, &waves(&[5, 3, 3], 0.3));
    }

    #[test]
    #[should_panic(expected = "expm: elements must be floats or complex, and these are i32; cast them first")]
    fn integers_have_no_exponential() {
        expm(&Tensor::from([[1, 2], [3, 4]]));
    }
}
