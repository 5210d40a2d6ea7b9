//! What stands on either side of a binary op, and the operators `+ - * / %` and unary `-`.

use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

use num_complex::Complex;

use super::{add, div, mul, neg, rem, sub};
use crate::array::Array;
use crate::dtype::{DType, Scalar, Wide, bf16, dispatch};
use crate::tensor::Tensor;

/// A tensor, or a plain number.
///
/// A number has no dtype of its own: in `&x * 2.0` it takes that of `x`, if `x` can hold that *kind* of value
/// (an integer with `2.0` becomes `f32`; see [`promote_weak`](crate::dtype::promote_weak)). An integer that its type
/// does not hold, `&x + 256` for `u8`, is refused: `x` must be cast first.
pub trait Operand {
    /// The operand as it enters an op.
    fn side(self) -> Side;
}

/// See [`Operand`].
#[derive(Clone, Debug)]
pub struct Side(pub(super) Kind);

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Tensor(Tensor),
    /// A number, and its type as Rust sees it.
    Number(Wide, DType),
}

impl Side {
    /// The integer that this is, where `dtype` is a type of integers and does not hold it.
    pub(super) fn beyond(&self, dtype: DType) -> Option<String> {
        let Kind::Number(value, _) = self.0 else { return None };
        let (want, got) =
            (whole(value)?, dispatch!(dtype in [stored], T => whole(T::from_wide(value).wide()))?);
        (dtype != DType::Bool && want != got).then(|| want.to_string())
    }

    /// As a tensor: a number becomes one of type `dtype`, near the operand `beside` in memory.
    pub(super) fn into_tensor(self, dtype: DType, beside: Option<&Tensor>) -> Tensor {
        match self.0 {
            Kind::Tensor(tensor) => tensor,
            Kind::Number(value, _) => dispatch!(dtype in [stored], T => {
                let value = T::from_wide(value);
                beside.map_or_else(|| Array::scalar(value), |x| Array::scalar_in(x.array().pool(), value)).into()
            }),
        }
    }
}

fn whole(value: Wide) -> Option<i128> {
    match value {
        Wide::Integer(value) => Some(value.into()),
        Wide::Unsigned(value) => Some(value.into()),
        Wide::Inexact(_) => None,
    }
}

impl Operand for &Tensor {
    fn side(self) -> Side {
        Side(Kind::Tensor(self.clone()))
    }
}

impl Operand for Tensor {
    fn side(self) -> Side {
        Side(Kind::Tensor(self))
    }
}

macro_rules! numbers {
    ($($t:ty),*) => {$(
        impl Operand for $t {
            fn side(self) -> Side {
                Side(Kind::Number(self.wide(), <$t>::DTYPE))
            }
        }
    )*};
}
numbers!(f32, f64, Complex<f32>, Complex<f64>, i32, i64, u8, u32, u64, bf16, bool);

macro_rules! operators {
    ($($Trait:ident::$method:ident for $($number:ty),*;)*) => {$(
        impl<R: Operand> $Trait<R> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, right: R) -> Tensor {
                $method(self, right)
            }
        }
        impl<R: Operand> $Trait<R> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, right: R) -> Tensor {
                $method(self, right)
            }
        }
        $(
            impl $Trait<&Tensor> for $number {
                type Output = Tensor;
                #[track_caller]
                fn $method(self, right: &Tensor) -> Tensor {
                    $method(self, right)
                }
            }
            impl $Trait<Tensor> for $number {
                type Output = Tensor;
                #[track_caller]
                fn $method(self, right: Tensor) -> Tensor {
                    $method(self, right)
                }
            }
        )*
    )*};
}
// One float and one integer type on the left: with more, the type of `2.0 * &x` would be open.
operators! {
    Add::add for f64, i32, Complex<f64>;
    Sub::sub for f64, i32, Complex<f64>;
    Mul::mul for f64, i32, Complex<f64>;
    Div::div for f64, i32, Complex<f64>;
    Rem::rem for f64, i32;
}

impl Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        neg(self)
    }
}

impl Neg for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        neg(&self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_the_tensors_type() {
        let x = Tensor::from([1.0f32, 3.0]);
        assert_eq!((2.0 - &x * 2 + 1.5f32).to_vec::<f32>(), [1.5, -2.5]);
        assert_eq!((1 / &x).dtype(), DType::F32);
        assert_eq!((&x * Complex::new(0.0, 1.0)).dtype(), DType::C64);
        let n = Tensor::from([1u8, 3]);
        assert_eq!((&n + 254).to_vec::<u8>(), [255, 1]);
        assert_eq!((-(&n * 0.5)).to_vec::<f32>(), [-0.5, -1.5]);
        assert_eq!((Tensor::from([true, false]) + 1).to_vec::<i32>(), [2, 1]);
    }

    #[test]
    fn numbers_beyond_the_tensors_type_are_refused() {
        let refused = |f: &dyn Fn() -> Tensor| {
            let payload =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).expect_err("it is accepted");
            payload.downcast_ref::<String>().expect("a message").clone()
        };
        let n = Tensor::from([100u8, 200]);
        let message = refused(&|| n.clip(0, 300));
        assert!(message.contains("u8 does not hold 300"), "{message}");
        refused(&|| n.lt(-1));
        refused(&|| Tensor::from([1]).lt(3_000_000_000i64));
        refused(&|| Tensor::from([1i64]).add(u64::MAX));
        assert_eq!(n.clip(0, 150.5).to_vec::<f32>(), [100.0, 150.5]);
        assert_eq!((Tensor::from([u64::MAX]) - u64::MAX).to_vec::<u64>(), [0]);
        assert_eq!(Tensor::from([true]).logical_and(true).to_vec::<bool>(), [true]);
    }

    #[test]
    fn tensors_promote() {
        let (x, n) = (Tensor::from([1.0f32, 3.0]), Tensor::from(2i64));
        assert_eq!((&x * &n).to_vec::<f32>(), [2.0, 6.0]);
        assert_eq!((x + Tensor::from(0.5f64)).to_vec::<f64>(), [1.5, 3.5]);
        assert_eq!((&n / Tensor::from(4i32)).dtype(), DType::F32);
        assert_eq!((n % -3).item::<i64>(), -1);
    }
}
