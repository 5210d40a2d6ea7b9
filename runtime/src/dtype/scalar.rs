//! Element types as Rust types, and conversions between them.

use axisgrad_collectives::element::Element;

use super::DType::{self, *};
use super::{Complex, bf16};

/// A value of any element type, wide enough to lose nothing: what conversions between two types pass through.
#[derive(Clone, Copy, Debug)]
pub enum Wide {
    /// An integer or `bool`.
    Integer(i64),
    /// A `u64`.
    Unsigned(u64),
    /// A float or complex number.
    Inexact(Complex<f64>),
}

/// A Rust type that is the type of an array's elements.
pub trait Scalar: Element + Default {
    /// This type, as data.
    const DTYPE: DType;
    /// Nothing: `0` or `false`.
    const ZERO: Self;
    /// One: `1` or `true`.
    const ONE: Self;

    /// The value of this type nearest to `wide`: floats round (to integers: towards zero, and
    /// saturating), integers keep their low bits, a complex number gives a real type its real part, and `bool` tells whether it is not zero.
    fn from_wide(wide: Wide) -> Self;

    /// This value, without loss.
    fn wide(self) -> Wide;

    /// The sum; integers wrap, `bool` is `or`.
    fn plus(self, other: Self) -> Self;

    /// The product; integers wrap, `bool` is `and`.
    fn times(self, other: Self) -> Self;

    /// The value nearest to `value`, as [`from_wide`](Self::from_wide) does it.
    #[inline]
    fn from_f64(value: f64) -> Self {
        Self::from_wide(Wide::Inexact(Complex::new(value, 0.0)))
    }

    /// The value as `f64`: integers beyond 2^53 round, complex numbers give their real part.
    fn to_f64(self) -> f64 {
        f64::from_wide(self.wide())
    }
}

macro_rules! floats {
    ($($t:ident => $d:ident),*) => {$(
        impl Scalar for $t {
            const DTYPE: DType = $d;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            #[inline]
            fn from_wide(wide: Wide) -> Self {
                match wide {
                    Wide::Integer(i) => i as $t,
                    Wide::Unsigned(u) => u as $t,
                    Wide::Inexact(z) => z.re as $t,
                }
            }
            #[inline]
            fn wide(self) -> Wide {
                Wide::Inexact(Complex::new(self as f64, 0.0))
            }
            #[inline]
            fn plus(self, other: Self) -> Self {
                self + other
            }
            #[inline]
            fn times(self, other: Self) -> Self {
                self * other
            }
        }

        impl Scalar for Complex<$t> {
            const DTYPE: DType = $d.complex();
            const ZERO: Self = Complex { re: 0.0, im: 0.0 };
            const ONE: Self = Complex { re: 1.0, im: 0.0 };
            #[inline]
            fn from_wide(wide: Wide) -> Self {
                match wide {
                    Wide::Integer(i) => Complex::new(i as $t, 0.0),
                    Wide::Unsigned(u) => Complex::new(u as $t, 0.0),
                    Wide::Inexact(z) => Complex::new(z.re as $t, z.im as $t),
                }
            }
            #[inline]
            fn wide(self) -> Wide {
                Wide::Inexact(Complex::new(self.re as f64, self.im as f64))
            }
            #[inline]
            fn plus(self, other: Self) -> Self {
                self + other
            }
            #[inline]
            fn times(self, other: Self) -> Self {
                self * other
            }
        }
    )*};
}
floats!(f32 => F32, f64 => F64);

macro_rules! integers {
    ($($t:ident => $d:ident $wide:ident $as:ident),*) => {$(
        impl Scalar for $t {
            const DTYPE: DType = $d;
            const ZERO: Self = 0;
            const ONE: Self = 1;
            #[inline]
            fn from_wide(wide: Wide) -> Self {
                match wide {
                    Wide::Integer(i) => i as $t,
                    Wide::Unsigned(u) => u as $t,
                    Wide::Inexact(z) => z.re as $t,
                }
            }
            #[inline]
            fn wide(self) -> Wide {
                Wide::$wide(self as $as)
            }
            #[inline]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline]
            fn times(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
        }
    )*};
}
integers!(
    i32 => I32 Integer i64, i64 => I64 Integer i64, u8 => U8 Integer i64, u32 => U32 Integer i64,
    u64 => U64 Unsigned u64
);

impl Scalar for bf16 {
    const DTYPE: DType = BF16;
    const ZERO: Self = bf16::ZERO;
    const ONE: Self = bf16::ONE;
    #[inline]
    fn from_wide(wide: Wide) -> Self {
        match wide {
            Wide::Integer(i) => bf16::from_f32(i as f32),
            Wide::Unsigned(u) => bf16::from_f32(u as f32),
            Wide::Inexact(z) => bf16::from_f64(z.re),
        }
    }
    #[inline]
    fn wide(self) -> Wide {
        Wide::Inexact(Complex::new(self.to_f64(), 0.0))
    }
    #[inline]
    fn plus(self, other: Self) -> Self {
        bf16::from_f32(self.to_f32() + other.to_f32())
    }
    #[inline]
    fn times(self, other: Self) -> Self {
        bf16::from_f32(self.to_f32() * other.to_f32())
    }
}

impl Scalar for bool {
    const DTYPE: DType = Bool;
    const ZERO: Self = false;
    const ONE: Self = true;
    #[inline]
    fn from_wide(wide: Wide) -> Self {
        match wide {
            Wide::Integer(i) => i != 0,
            Wide::Unsigned(u) => u != 0,
            Wide::Inexact(z) => z != Complex::new(0.0, 0.0),
        }
    }
    #[inline]
    fn wide(self) -> Wide {
        Wide::Integer(self as i64)
    }
    #[inline]
    fn plus(self, other: Self) -> Self {
        self | other
    }
    #[inline]
    fn times(self, other: Self) -> Self {
        self & other
    }
}

/// A float, for kernels that need the functions of real analysis: `exp`, `ln`, `tanh`, ….
pub trait Real: Scalar + num_traits::Float {}
impl Real for f32 {}
impl Real for f64 {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_round_and_saturate() {
        assert_eq!(f32::from_wide(16_777_217i64.wide()), 16_777_216.0);
        assert_eq!(i64::from_wide(i64::MAX.wide()), i64::MAX);
        assert_eq!((u8::from_f64(300.0), u8::from_wide(300i64.wide())), (255, 44));
        assert_eq!((u64::from_wide(u64::MAX.wide()), u32::from_wide((-1i32).wide())), (u64::MAX, u32::MAX));
        assert_eq!(f64::from_wide(u64::MAX.wide()), 18_446_744_073_709_551_615.0);
        assert_eq!(bf16::from_f64(1.0 + 1.0 / 256.0).to_f64(), 1.0);
        assert_eq!(i32::from_wide(Complex::new(2.5f32, 9.0).wide()), 2);
        assert!(bool::from_wide(Complex::new(0.0f64, 1.0).wide()) && bool::from_f64(f64::NAN));
        assert!(!bool::from_f64(-0.0));
    }
}
