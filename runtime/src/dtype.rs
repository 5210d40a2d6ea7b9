//! The types of elements: as data ([`DType`]), as Rust types ([`Scalar`], [`Real`]), and the bridge from one to
//! the other (`dispatch!`).

use std::fmt;

use axisgrad_collectives::element::ElementType;
pub use half::bf16;
pub use num_complex::Complex;

mod scalar;

pub use scalar::{Real, Scalar, Wide};

/// The type of an array's elements.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum DType {
    /// Kept in 16 bits; ops compute in `f32` and round each result (see [`DType::compute`]).
    BF16,
    F32,
    F64,
    C64,
    C128,
    I32,
    I64,
    U8,
    /// Kept in 32 bits; ops compute in `u64` and keep the low bits.
    U32,
    U64,
    Bool,
    /// The type of a derivative with respect to integers: no information, no memory.
    Float0,
}

use DType::*;

impl DType {
    /// The name as types show it: `f32`, `c64`, `float0`, ….
    pub const fn name(self) -> &'static str {
        match self.element() {
            Some(element) => element.name(),
            None => "float0",
        }
    }

    /// Bytes of one element; nothing for `float0`.
    pub const fn size(self) -> usize {
        match self.element() {
            Some(element) => element.size(),
            None => 0,
        }
    }

    /// The element type that collectives carry; `None` for `float0`, which is never sent.
    pub const fn element(self) -> Option<ElementType> {
        Some(match self {
            F32 => ElementType::F32,
            F64 => ElementType::F64,
            C64 => ElementType::C64,
            C128 => ElementType::C128,
            I32 => ElementType::I32,
            I64 => ElementType::I64,
            U8 => ElementType::U8,
            BF16 => ElementType::BF16,
            U32 => ElementType::U32,
            U64 => ElementType::U64,
            Bool => ElementType::Bool,
            Float0 => return None,
        })
    }

    /// The type in which ops compute: `f32` for `bf16`, `u64` for `u32`, and every other type itself. Kernels exist
    /// for these alone.
    pub const fn compute(self) -> Self {
        match self {
            BF16 => F32,
            U32 => U64,
            other => other,
        }
    }

    /// Whether it is `bf16`, `f32` or `f64`.
    pub const fn is_float(self) -> bool {
        matches!(self, BF16 | F32 | F64)
    }

    /// Whether it is `c64` or `c128`.
    pub const fn is_complex(self) -> bool {
        matches!(self, C64 | C128)
    }

    /// Whether it is a float or complex: the types that have derivatives.
    pub const fn is_inexact(self) -> bool {
        self.is_float() || self.is_complex()
    }

    /// Whether it is `i32`, `i64`, `u8`, `u32` or `u64`.
    pub const fn is_integer(self) -> bool {
        matches!(self, I32 | I64 | U8 | U32 | U64)
    }

    /// Whether it is `bool`.
    pub const fn is_bool(self) -> bool {
        matches!(self, Bool)
    }

    /// The type of a complex number's parts; a real type is its own.
    pub const fn real(self) -> Self {
        match self {
            C64 => F32,
            C128 => F64,
            other => other,
        }
    }

    /// The complex type whose parts hold this type's values: `c128` for `f64`, `c64` for all smaller ones.
    pub const fn complex(self) -> Self {
        match self {
            F64 | C128 => C128,
            _ => C64,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<ElementType> for DType {
    fn from(element: ElementType) -> Self {
        match element {
            ElementType::F32 => F32,
            ElementType::F64 => F64,
            ElementType::C64 => C64,
            ElementType::C128 => C128,
            ElementType::I32 => I32,
            ElementType::I64 => I64,
            ElementType::U8 => U8,
            ElementType::BF16 => BF16,
            ElementType::U32 => U32,
            ElementType::U64 => U64,
            ElementType::Bool => Bool,
        }
    }
}

/// The type that holds values of both, by the order `bool < u8 < i32 < i64 < bf16 < f32 < f64`, with `c64` above
/// `f32` and `c128` on top (so `f64` with `c64` is `c128`, and an integer with any float is that float), and
/// `u8 < u32 < u64 < i64` beside it (`u32` with `i32` is `i64`; the values of a `u64` from 2^63 wrap there).
///
/// This is the order of JAX's promotion, but for `u64` with a signed type, which is a float there. `float0`
/// promotes with itself only.
///
/// # Panics
/// If one of the two is `float0` and the other is not.
pub fn promote(a: DType, b: DType) -> DType {
    assert!((a == Float0) == (b == Float0), "{a} and {b} have no common type: float0 holds no values");
    match (a.is_complex(), b.is_complex()) {
        (true, false) | (false, true) if a == F64 || b == F64 => C128,
        _ if matches!((a, b), (U32 | U64, I32) | (I32, U32 | U64)) => I64,
        _ if rank(a) >= rank(b) => a,
        _ => b,
    }
}

/// The place in the order of promotion.
fn rank(dtype: DType) -> usize {
    let order = [Float0, Bool, U8, U32, U64, I32, I64, BF16, F32, F64, C64, C128];
    order.iter().position(|d| *d == dtype).expect("listed")
}

/// The type of an operation between an array of type `strong` and a plain number of type `weak`.
///
/// A number changes the array's type only where the array cannot hold that *kind* of value: a float keeps floats
/// and makes integers `f32`; an integer keeps everything but `bool`, which becomes `i32`; a complex
/// number makes `c64`, or `c128` of `f64`.
pub fn promote_weak(strong: DType, weak: DType) -> DType {
    match weak {
        BF16 | F32 | F64 if strong.is_inexact() => strong,
        BF16 | F32 | F64 => F32,
        C64 | C128 => strong.complex(),
        I32 | I64 | U8 | U32 | U64 if strong.is_bool() => I32,
        _ => strong,
    }
}

/// Runs an expression with a type name bound to the Rust type of a [`DType`]: `dispatch!(d, T => …)`.
///
/// A class in brackets limits (and so compiles) the expression to those types, `dispatch!(d in [float], T => …)`:
/// `float`, `complex`, `inexact`, `integer`, `ordered` (floats, integers and bool), `real` (floats and integers),
/// `numeric` (all but bool), `any`; and `stored`, which has the types too that ops compute in another one. Which types an operation takes is checked where its type is inferred; a type
/// that gets here all the same is a mistake in the caller, and panics.
macro_rules! dispatch {
    // An expression cannot stand before `in`, so names, fields and method calls are spelled out; put others in
    // parentheses.
    ($head:tt $(.$part:ident $(($($arg:tt)*))?)* in [$class:ident], $T:ident => $body:expr) => {
        $crate::dtype::dispatch!(@$class $head $(.$part $(($($arg)*))?)*, $T => $body)
    };
    (@float $dtype:expr, $T:ident => $body:expr) => {
        $crate::dtype::dispatch!(@match $dtype, $T => $body; F32 f32, F64 f64)
    };
    (@complex $dtype:expr, $T:ident => $body:expr) => {
        $crate::dtype::dispatch!(@match $dtype, $T => $body;
            C64 $crate::dtype::Complex<f32>, C128 $crate::dtype::Complex<f64>)
    };
    (@inexact $dtype:expr, $T:ident => $body:expr) => {
        $crate::dtype::dispatch!(@match $dtype, $T => $body; F32 f32, F64 f64,
            C64 $crate::dtype::Complex<f32>, C128 $crate::dtype::Complex<f64>)
    };
    (@integer $dtype:expr, $T:ident => $body:expr) => {
        $crate::dtype::dispatch!(@match $dtype, $T => $body; I32 i32, I64 i64, U8 u8, U64 u64)
    };
    (@real $dtype:expr, $T:ident => $body:expr) => {
        $crate::dtype::dispatch!(@match $dtype, $T => $body; F32 f32, F64 f64, I32 i32, I64 i64, U8 u8, U64 u64)
    };
    (@ordered $dtype:expr, $T:ident => $body:expr) => {
        $crate::dtype::dispatch!(@match $dtype, $T => $body; F32 f32, F64 f64, I32 i32, I64 i64, U8 u8, U64 u64,
            Bool bool)
    };
    (@numeric $dtype:expr, $T:ident => $body:expr) => {
        $crate::dtype::dispatch!(@match $dtype, $T => $body; F32 f32, F64 f64, I32 i32, I64 i64, U8 u8,
            U64 u64, C64 $crate::dtype::Complex<f32>, C128 $crate::dtype::Complex<f64>)
    };
    (@any $dtype:expr, $T:ident => $body:expr) => {
        $crate::dtype::dispatch!(@match $dtype, $T => $body; F32 f32, F64 f64, I32 i32, I64 i64, U8 u8,
            U64 u64, Bool bool, C64 $crate::dtype::Complex<f32>, C128 $crate::dtype::Complex<f64>)
    };
    (@stored $dtype:expr, $T:ident => $body:expr) => {
        $crate::dtype::dispatch!(@match $dtype, $T => $body; F32 f32, F64 f64, I32 i32, I64 i64, U8 u8,
            U64 u64, Bool bool, C64 $crate::dtype::Complex<f32>, C128 $crate::dtype::Complex<f64>,
            BF16 $crate::dtype::bf16, U32 u32)
    };
    (@match $dtype:expr, $T:ident => $body:expr; $($variant:ident $type:ty),*) => {
        match $dtype {
            $($crate::dtype::DType::$variant => {
                type $T = $type;
                $body
            })*
            other => panic!("no kernel here for elements of type {other}"),
        }
    };
    ($dtype:expr, $T:ident => $body:expr) => {
        $crate::dtype::dispatch!(@any $dtype, $T => $body)
    };
}
pub(crate) use dispatch;

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [DType; 11] = [BF16, F32, F64, C64, C128, I32, I64, U8, U32, U64, Bool];

    #[test]
    fn promotion_is_a_least_upper_bound() {
        for a in ALL {
            assert_eq!(promote(a, a), a);
            for b in ALL {
                assert_eq!(promote(a, b), promote(b, a));
                assert_eq!(promote(promote(a, b), b), promote(a, b));
                for c in ALL {
                    assert_eq!(promote(promote(a, b), c), promote(a, promote(b, c)), "{a} {b} {c}");
                }
            }
        }
        assert_eq!(promote(F64, C64), C128);
        assert_eq!(promote(I64, F32), F32);
        assert_eq!(promote(U8, Bool), U8);
        assert_eq!((promote(U32, I32), promote(U64, I32), promote(BF16, I64)), (I64, I64, BF16));
    }

    #[test]
    fn plain_numbers_keep_the_arrays_type() {
        assert_eq!(promote_weak(F32, F64), F32);
        assert_eq!(promote_weak(I64, F64), F32);
        assert_eq!(promote_weak(Bool, I64), I32);
        assert_eq!(promote_weak(U8, I64), U8);
        assert_eq!(promote_weak(F32, C128), C64);
        assert_eq!(promote_weak(F64, C64), C128);
        assert_eq!(promote_weak(C64, F64), C64);
        assert_eq!(promote_weak(F32, Bool), F32);
    }

    #[test]
    fn dispatch_binds_the_type() {
        for dtype in ALL {
            dispatch!(dtype in [stored], T => assert_eq!((T::DTYPE, size_of::<T>()), (dtype, dtype.size())));
            assert_eq!(DType::from(dtype.element().unwrap()), dtype);
        }
        assert_eq!((Float0.size(), Float0.element(), Float0.name()), (0, None, "float0"));
    }

    #[test]
    #[should_panic(expected = "no kernel here for elements of type c64")]
    fn dispatch_refuses_other_classes() {
        dispatch!(C64 in [float], T => assert_eq!(T::ZERO, T::default()));
    }
}
