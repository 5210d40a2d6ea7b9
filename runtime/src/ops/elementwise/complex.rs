//! Parts of complex numbers. Transposes are plain ones: a gradient is ∂/∂re - *i* ∂/∂im.

use num_complex::Complex;

use super::{atan2, elementwise};
use crate::tensor::Tensor;

elementwise! {
    /// The number *a* + *ib*: `f32` parts make a `c64`, `f64` parts a `c128`.
    pub complex: Join [float -> complex] (a, b) = Complex::new(a, b); |ct, y| [real(ct), -imag(ct)]

    /// The real part of a complex number.
    part real_part: RealPart [complex -> real] (z) = z.re; |ct, y| [complex(ct, 0.0)]

    /// The imaginary part of a complex number.
    part imag_part: ImagPart [complex -> real] (z) = z.im; |ct, y| [complex(0.0, -ct)]

    /// The conjugate of a complex number.
    part conjugate: Conjugate [complex -> same] (z) = z.conj(); |ct, y| [conjugate(ct)]
}

/// The real part; a real number is its own.
///
/// `C[..] -> R[..]`, `c64` to `f32` and `c128` to `f64`.
#[track_caller]
pub fn real(x: &Tensor) -> Tensor {
    if x.dtype().is_complex() { real_part(x) } else { x.clone() }
}

/// The imaginary part; that of a real number is 0.
///
/// `C[..] -> R[..]`, `c64` to `f32` and `c128` to `f64`.
#[track_caller]
pub fn imag(x: &Tensor) -> Tensor {
    if x.dtype().is_complex() { imag_part(x) } else { x.zeros_like() }
}

/// The complex conjugate; a real number is its own.
///
/// `T[..] -> T[..]`
#[track_caller]
pub fn conj(x: &Tensor) -> Tensor {
    if x.dtype().is_complex() { conjugate(x) } else { x.clone() }
}

/// The angle of a number in the complex plane, from -π to π.
///
/// `C[..] -> R[..]`; integers become `f32`. The derivative at 0 is NaN.
#[track_caller]
pub fn angle(x: &Tensor) -> Tensor {
    atan2(imag(x), real(x))
}

impl Tensor {
    /// See [`ops::real`](crate::ops::real).
    #[track_caller]
    pub fn real(&self) -> Tensor {
        real(self)
    }

    /// See [`ops::imag`](crate::ops::imag).
    #[track_caller]
    pub fn imag(&self) -> Tensor {
        imag(self)
    }

    /// See [`ops::conj`](crate::ops::conj).
    #[track_caller]
    pub fn conj(&self) -> Tensor {
        conj(self)
    }

    /// See [`ops::angle`](crate::ops::angle).
    #[track_caller]
    pub fn angle(&self) -> Tensor {
        angle(self)
    }
}
