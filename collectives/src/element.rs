//! The element types that collectives carry, and how two of them are combined.

use std::fmt;

use half::bf16;
use num_complex::Complex;

/// The type of an element, as data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum ElementType {
    F32,
    F64,
    C64,
    C128,
    I32,
    I64,
    U8,
    Bool,
    BF16,
    U32,
    U64,
}

impl ElementType {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 11] = [
        Self::F32,
        Self::F64,
        Self::C64,
        Self::C128,
        Self::I32,
        Self::I64,
        Self::U8,
        Self::Bool,
        Self::BF16,
        Self::U32,
        Self::U64,
    ];

    /// The name as types show it: `f32`, `c64`, ….
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::C64 => "c64",
            Self::C128 => "c128",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U8 => "u8",
            Self::Bool => "bool",
            Self::BF16 => "bf16",
            Self::U32 => "u32",
            Self::U64 => "u64",
        }
    }

    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::U8 | Self::Bool => 1,
            Self::BF16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 | Self::C64 => 8,
            Self::C128 => 16,
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a reduction combines two elements.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Reduction {
    Sum,
    Prod,
    Max,
    Min,
    And,
    Or,
}

impl Reduction {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 6] = [Self::Sum, Self::Prod, Self::Max, Self::Min, Self::And, Self::Or];

    /// The name as errors show it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Prod => "prod",
            Self::Max => "max",
            Self::Min => "min",
            Self::And => "and",
            Self::Or => "or",
        }
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A plain number (or `bool`) that collectives can carry. Sealed: the list is in [`ElementType`].
pub trait Element: sealed::Sealed + Copy + Send + Sync + PartialEq + fmt::Debug + 'static {
    /// This type, as data.
    const TYPE: ElementType;

    /// Two slices made one, element by element; `None` where the reduction has no meaning for the type (the
    /// maximum of complex numbers, the conjunction of floats). Integers wrap. A NaN on either side of `Max` or
    /// `Min` stays NaN, and -0 is less than 0, so that any order of combining gives the same bits.
    fn combine(reduction: Reduction) -> Option<Combine<Self>>;
}

/// Writes the combination of the second and the third slice to the first; all have the same length.
pub type Combine<T> = fn(&mut [T], &[T], &[T]);

/// One loop for each combination, so that the compiler can vectorise it.
fn zip<T: Copy>(out: &mut [T], left: &[T], right: &[T], combine: impl Fn(T, T) -> T) {
    for ((out, left), right) in out.iter_mut().zip(left).zip(right) {
        *out = combine(*left, *right);
    }
}

macro_rules! floats {
    ($($t:ty => $e:ident),*) => {$(
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const TYPE: ElementType = ElementType::$e;
            fn combine(reduction: Reduction) -> Option<Combine<Self>> {
                Some(match reduction {
                    Reduction::Sum => |o, l, r| zip(o, l, r, |a, b| a + b),
                    Reduction::Prod => |o, l, r| zip(o, l, r, |a, b| a * b),
                    Reduction::Max => |o, l, r| zip(o, l, r, |a, b| {
                        if a > b || a.is_nan() || a == b && a.is_sign_positive() { a } else { b }
                    }),
                    Reduction::Min => |o, l, r| zip(o, l, r, |a, b| {
                        if a < b || a.is_nan() || a == b && a.is_sign_negative() { a } else { b }
                    }),
                    Reduction::And | Reduction::Or => return None,
                })
            }
        }
    )*};
}
floats!(f32 => F32, f64 => F64);

macro_rules! complexes {
    ($($t:ty => $e:ident),*) => {$(
        impl sealed::Sealed for Complex<$t> {}
        impl Element for Complex<$t> {
            const TYPE: ElementType = ElementType::$e;
            fn combine(reduction: Reduction) -> Option<Combine<Self>> {
                Some(match reduction {
                    Reduction::Sum => |o, l, r| zip(o, l, r, |a, b| a + b),
                    Reduction::Prod => |o, l, r| zip(o, l, r, |a, b| a * b),
                    _ => return None,
                })
            }
        }
    )*};
}
complexes!(f32 => C64, f64 => C128);

macro_rules! integers {
    ($($t:ty => $e:ident),*) => {$(
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const TYPE: ElementType = ElementType::$e;
            fn combine(reduction: Reduction) -> Option<Combine<Self>> {
                Some(match reduction {
                    Reduction::Sum => |o, l, r| zip(o, l, r, |a, b| a.wrapping_add(b)),
                    Reduction::Prod => |o, l, r| zip(o, l, r, |a, b| a.wrapping_mul(b)),
                    Reduction::Max => |o, l, r| zip(o, l, r, |a, b| a.max(b)),
                    Reduction::Min => |o, l, r| zip(o, l, r, |a, b| a.min(b)),
                    Reduction::And => |o, l, r| zip(o, l, r, |a, b| a & b),
                    Reduction::Or => |o, l, r| zip(o, l, r, |a, b| a | b),
                })
            }
        }
    )*};
}
integers!(i32 => I32, i64 => I64, u8 => U8, u32 => U32, u64 => U64);

impl sealed::Sealed for bf16 {}
/// Each combination is rounded; whoever wants one rounding for a whole sum sends `f32`.
impl Element for bf16 {
    const TYPE: ElementType = ElementType::BF16;
    fn combine(reduction: Reduction) -> Option<Combine<Self>> {
        Some(match reduction {
            Reduction::Sum => |o, l, r| zip(o, l, r, |a, b| bf16::from_f32(a.to_f32() + b.to_f32())),
            Reduction::Prod => |o, l, r| zip(o, l, r, |a, b| bf16::from_f32(a.to_f32() * b.to_f32())),
            Reduction::Max => |o, l, r| {
                zip(o, l, r, |a, b| if a > b || a.is_nan() || a == b && a.is_sign_positive() { a } else { b })
            },
            Reduction::Min => |o, l, r| {
                zip(o, l, r, |a, b| if a < b || a.is_nan() || a == b && a.is_sign_negative() { a } else { b })
            },
            Reduction::And | Reduction::Or => return None,
        })
    }
}

impl sealed::Sealed for bool {}
impl Element for bool {
    const TYPE: ElementType = ElementType::Bool;
    fn combine(reduction: Reduction) -> Option<Combine<Self>> {
        Some(match reduction {
            Reduction::Max | Reduction::Or => |o, l, r| zip(o, l, r, |a, b| a | b),
            Reduction::Min | Reduction::And => |o, l, r| zip(o, l, r, |a, b| a & b),
            Reduction::Sum | Reduction::Prod => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair<T: Element>(reduction: Reduction, a: T, b: T) -> T {
        let mut out = [a];
        T::combine(reduction).unwrap()(&mut out, &[a], &[b]);
        out[0]
    }

    #[test]
    fn nan_stays_and_integers_wrap() {
        assert!(pair(Reduction::Max, f32::NAN, 1.0).is_nan() && pair(Reduction::Max, 1.0, f32::NAN).is_nan());
        assert!(pair(Reduction::Min, f64::NAN, 1.0).is_nan() && pair(Reduction::Min, 1.0, f64::NAN).is_nan());
        assert_eq!(pair(Reduction::Sum, i32::MAX, 1), i32::MIN);
        assert_eq!(
            pair(Reduction::Prod, Complex::new(0.0f32, 1.0), Complex::new(0.0, 1.0)),
            Complex::new(-1.0, 0.0)
        );
        assert!(pair(Reduction::Or, false, true) && !pair(Reduction::And, false, true));
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        assert!(bool::combine(Reduction::Sum).is_none() && f32::combine(Reduction::And).is_none());
        assert!(Complex::<f64>::combine(Reduction::Max).is_none());
    }
}
