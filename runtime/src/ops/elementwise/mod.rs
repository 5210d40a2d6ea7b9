//! The elementwise ops: one row of a table each.
//!
//! A row gives an op's documentation, its name, its struct, the class of elements that it takes and what comes
//! out of them, its value at one element, and the cotangents of its operands, written in ops:
//!
//! ```text
//! /// The natural logarithm.
//! pub log: Log [inexact -> same] (x) = x.logarithm(); |ct, y| [ct / x]
//! ```
//!
//! Operands after the last cotangent have none. A row marked `pub` becomes a function and a method of [`Tensor`];
//! one marked `part` is what other rows' cotangents are made of: a function that is called often in
//! backward is one pass over memory as a row of its own.

mod activation;
mod binary;
mod bitwise;
mod compare;
mod complex;
mod composed;
mod gate;
mod special;
#[cfg(test)]
mod tests;
mod unary;

pub use activation::*;
pub use binary::*;
pub use bitwise::*;
pub use compare::*;
pub use complex::*;
pub use composed::*;
pub(crate) use gate::*;
pub use special::*;
pub use unary::*;

use super::operand::{Kind, Side};
use super::{broadcast_to, cast};
use crate::array::Dims;
use crate::dtype::{DType, promote, promote_weak};
use crate::error::violation;
use crate::tensor::Tensor;
use crate::types::TensorType;
use std::panic::Location;

/// Makes ops of rows: see the module's documentation.
macro_rules! elementwise {
    ($($(#[$doc:meta])*
        $vis:ident $name:ident: $op:ident $({ $($field:ident: $type:ty),+ })?
        [$class:ident -> $result:ident] ($($x:ident),+) = $value:expr; |$ct:ident, $y:ident| [$($vjp:expr),*]
    )*) => {$(
        $crate::ops::elementwise::elementwise!(@function $vis $(#[$doc])*
            $name: $op { $($($field: $type),+)? } [$class -> $result] ($($x),+));

        struct $op { $($($field: $type),+)? }

        impl $crate::op::Op for $op {
            fn name(&self) -> &'static str {
                stringify!($name)
            }

            fn infer(
                &self,
                inputs: &[&$crate::types::TensorType],
            ) -> Result<($crate::dtype::DType, $crate::array::Dims), String> {
                use $crate::ops::elementwise::{Class, Outcome};
                $crate::ops::elementwise::infer(Class::$class, Outcome::$result, inputs)
            }

            fn eval(
                &self,
                inputs: &[$crate::array::Array],
                _: &$crate::types::AxisSet,
            ) -> $crate::array::Array {
                $crate::ops::elementwise::elementwise!(
                    @eval self inputs $class -> $result { $($($field: $type),+)? } ($($x),+) $value)
            }

            #[allow(unused_variables, unused_mut)]
            fn vjp(&self, wrt: usize, $ct: &Tensor, inputs: &[Tensor], $y: &Tensor) -> Option<Tensor> {
                $(let Self { $($field),+ } = *self;)?
                let [$($x),+] = inputs else { unreachable!("as many operands as the op has") };
                let mut operand = 0..;
                $(if operand.next() == Some(wrt) {
                    return Some($vjp);
                })*
                None
            }
        }
    )*};

    // One operand: a reference. Several: tensors or numbers.
    (@function pub $(#[$doc:meta])*
        $name:ident: $op:ident { $($field:ident: $type:ty),* } [$class:ident -> $result:ident] ($x:ident)
    ) => {
        $(#[$doc])*
        #[doc = concat!("\n\n`T[..] -> ", $crate::ops::elementwise::elementwise!(@type $result), "[..]`, where T is ",
            $crate::ops::elementwise::elementwise!(@class $class), ".")]
        #[doc = "\n\n# Panics\nIf the elements are of another type."]
        #[track_caller]
        pub fn $name($x: &Tensor $(, $field: $type)*) -> Tensor {
            use $crate::ops::elementwise::{Class, prepare};
            let [$x] = prepare(stringify!($name), Class::$class, [$crate::ops::Operand::side($x)]);
            $crate::bind::bind($op { $($field),* }, &[&$x])
        }

        impl Tensor {
            #[doc = concat!("See [`ops::", stringify!($name), "`](crate::ops::", stringify!($name), ").")]
            #[track_caller]
            pub fn $name(&self $(, $field: $type)*) -> Tensor {
                $name(self $(, $field)*)
            }
        }
    };
    (@function pub $(#[$doc:meta])*
        $name:ident: $op:ident {} [$class:ident -> $result:ident] ($a:ident, $b:ident)
    ) => {
        $(#[$doc])*
        #[doc = concat!("\n\n`T[..], T[..] -> ", $crate::ops::elementwise::elementwise!(@type $result),
            "[..]`, where T is ", $crate::ops::elementwise::elementwise!(@class $class),
            "; operands are promoted to one type and broadcast.")]
        #[doc = "\n\n# Panics\nIf the elements are of another type, or the dims do not broadcast."]
        #[track_caller]
        pub fn $name($a: impl $crate::ops::Operand, $b: impl $crate::ops::Operand) -> Tensor {
            use $crate::ops::elementwise::{Class, prepare};
            let [$a, $b] = prepare(stringify!($name), Class::$class, [$a.side(), $b.side()]);
            $crate::bind::bind($op {}, &[&$a, &$b])
        }

        impl Tensor {
            #[doc = concat!("See [`ops::", stringify!($name), "`](crate::ops::", stringify!($name), ").")]
            #[track_caller]
            pub fn $name(&self, $b: impl $crate::ops::Operand) -> Tensor {
                $name(self, $b)
            }
        }
    };
    (@function part $(#[$doc:meta])*
        $name:ident: $op:ident { $($field:ident: $type:ty),* } $class:tt ($($x:ident),+)
    ) => {
        $(#[$doc])*
        #[track_caller]
        pub(crate) fn $name($($x: &Tensor,)+ $($field: $type),*) -> Tensor {
            $crate::bind::bind($op { $($field),* }, &[$($x),+])
        }
    };

    (@eval $op:ident $inputs:ident bool -> $result:ident $fields:tt ($($x:ident),+) $value:expr) => {{
        type T = bool;
        $crate::ops::elementwise::elementwise!(@map $op $inputs $result $fields ($($x),+) $value)
    }};
    (@eval $op:ident $inputs:ident $class:ident -> $result:ident $fields:tt ($($x:ident),+) $value:expr) => {
        $crate::dtype::dispatch!(($inputs[0].dtype()) in [$class], T => {
            $crate::ops::elementwise::elementwise!(@map $op $inputs $result $fields ($($x),+) $value)
        })
    };
    // A type rather than a closure, since only a method can be made to be inlined into the loop.
    (@map $op:ident $inputs:ident $result:ident { $($field:ident: $type:ty),* } ($($x:ident),+) $value:expr) => {{
        #[derive(Clone, Copy)]
        struct Value {
            $($field: $type),*
        }

        impl $crate::array::kernels::Each<($($crate::ops::elementwise::elementwise!(@one $x T),)+)> for Value {
            type To = $crate::ops::elementwise::elementwise!(@to $result);
            #[inline(always)]
            fn at(&self, ($($x,)+): ($($crate::ops::elementwise::elementwise!(@one $x T),)+)) -> Self::To {
                let Self { $($field),* } = *self;
                $value
            }
        }

        let value = Value { $($field: $op.$field),* };
        $crate::ops::elementwise::elementwise!(@call $inputs value ($($x),+))
    }};
    (@one $x:ident $type:ident) => { $type };
    (@call $inputs:ident $value:ident ($a:ident)) => {
        $crate::array::kernels::map1::<T, _>(&$inputs[0], $value)
    };
    (@call $inputs:ident $value:ident ($a:ident, $b:ident)) => {
        $crate::array::kernels::map2::<T, T, _>(&$inputs[0], &$inputs[1], $value)
    };
    (@call $inputs:ident $value:ident ($a:ident, $b:ident, $c:ident)) => {
        $crate::array::kernels::map3::<T, T, T, _>(&$inputs[0], &$inputs[1], &$inputs[2], $value)
    };

    (@to same) => { T };
    (@to bool) => { bool };
    (@to real) => { <T as $crate::array::number::Number>::Size };
    (@to complex) => { $crate::dtype::Complex<T> };

    (@type same) => { "T" };
    (@type bool) => { "bool" };
    (@type real) => { "R" };
    (@type complex) => { "C" };

    (@class any) => { "any type" };
    (@class numeric) => { "an integer, float or complex type" };
    (@class ordered) => { "a type but a complex one" };
    (@class real) => { "an integer or float type" };
    (@class inexact) => { "a float or complex type (integers become `f32`)" };
    (@class float) => { "a float type (integers become `f32`)" };
    (@class complex) => { "a complex type" };
    (@class integer) => { "an integer type" };
    (@class bool) => { "`bool` (numbers count as true unless they are 0)" };
}
pub(crate) use elementwise;

/// The elements that an op takes. The names are those of `dispatch!`.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Class {
    any,
    numeric,
    ordered,
    real,
    integer,
    inexact,
    float,
    complex,
    bool,
}

impl Class {
    fn has(self, dtype: DType) -> bool {
        match self {
            Self::any => dtype != DType::Float0,
            Self::numeric => dtype.is_integer() || dtype.is_inexact(),
            Self::ordered => dtype.is_bool() || dtype.is_integer() || dtype.is_float(),
            Self::real => dtype.is_integer() || dtype.is_float(),
            Self::integer => dtype.is_integer(),
            Self::inexact => dtype.is_inexact(),
            Self::float => dtype.is_float(),
            Self::complex => dtype.is_complex(),
            Self::bool => dtype.is_bool(),
        }
    }

    /// The type in which an op of this class computes with elements of type `dtype`.
    fn lift(self, dtype: DType) -> DType {
        match self {
            Self::inexact | Self::float if Self::ordered.has(dtype) => promote_weak(dtype, DType::F32),
            Self::bool if Self::any.has(dtype) => DType::Bool,
            _ => dtype,
        }
    }

    fn says(self) -> &'static str {
        match self {
            Self::any => "must hold values",
            Self::numeric => "must be numbers",
            Self::ordered => "must have an order, which complex numbers have not",
            Self::real => "must be integers or floats",
            Self::integer => "must be integers",
            Self::inexact => "must be floats or complex",
            Self::float => "must be floats",
            Self::complex => "must be complex",
            Self::bool => "must be bool",
        }
    }
}

/// What comes out: elements of the type that went in, or of one that follows from it.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    same,
    bool,
    real,
    complex,
}

/// The type of an elementwise op's result; its operands are of one type already.
pub(crate) fn infer(class: Class, outcome: Outcome, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
    let first = inputs[0];
    if !class.has(first.dtype) {
        return Err(format!("its elements {}, and they are {}", class.says(), first.dtype));
    }
    if let Some(other) = inputs.iter().find(|x| x.dtype != first.dtype || x.dims != first.dims) {
        return Err(format!("{}{:?} and {}{:?} differ", first.dtype, first.dims, other.dtype, other.dims));
    }
    let dtype = match outcome {
        Outcome::same => first.dtype,
        Outcome::bool => DType::Bool,
        Outcome::real => first.dtype.real(),
        Outcome::complex => first.dtype.complex(),
    };
    Ok((dtype, Dims::from_slice(&first.dims)))
}

/// The operands promoted to one type that is of `class`, and broadcast to common dims.
#[track_caller]
pub(crate) fn prepare<const N: usize>(op: &str, class: Class, sides: [Side; N]) -> [Tensor; N] {
    if let Some(tensors) = as_they_are(class, &sides) {
        return tensors;
    }
    let dtype = class.lift(common_dtype(&sides));
    let beside = sides.iter().find_map(tensor_of).cloned();
    if let Some(number) = sides.iter().find_map(|side| side.beyond(dtype)) {
        let rule = format!("{dtype} does not hold {number}\n   help: cast the tensor to a type that does");
        violation(op, &rule, &beside.iter().collect::<Vec<_>>(), Location::caller());
    }
    let mut tensors = sides.map(|side| side.into_tensor(dtype, beside.as_ref()));
    if !class.has(dtype) {
        let rule = format!("its elements {}, and they are {dtype}", class.says());
        violation(op, &rule, &tensors.each_ref(), Location::caller());
    }
    let dims = common_dims(op, &tensors.each_ref());
    for x in &mut tensors {
        if x.dtype() != dtype {
            *x = cast(x, dtype);
        }
        if x.dims() != &dims[..] {
            *x = broadcast_to(x, &dims);
        }
    }
    tensors
}

/// The operands, if all of them are tensors of one type and dims that the class takes.
fn as_they_are<const N: usize>(class: Class, sides: &[Side; N]) -> Option<[Tensor; N]> {
    let first = tensor_of(&sides[0])?;
    let fits = |x: &Tensor| x.dtype() == first.dtype() && x.dims() == first.dims();
    let alike = sides[1..].iter().all(|side| tensor_of(side).is_some_and(fits));
    let taken = class.has(first.dtype()) && class.lift(first.dtype()) == first.dtype();
    let tensor = |side: &Side| tensor_of(side).expect("a tensor, as the first is").clone();
    (alike && taken).then(|| sides.each_ref().map(tensor))
}

fn tensor_of(side: &Side) -> Option<&Tensor> {
    match &side.0 {
        Kind::Tensor(x) => Some(x),
        Kind::Number(..) => None,
    }
}

/// Tensors promote; numbers then follow them, or one another where there is no tensor.
fn common_dtype(sides: &[Side]) -> DType {
    let numbers = sides.iter().filter_map(|side| match side.0 {
        Kind::Number(_, dtype) => Some(dtype),
        Kind::Tensor(_) => None,
    });
    match sides.iter().filter_map(tensor_of).map(Tensor::dtype).reduce(promote_or_first) {
        Some(dtype) => numbers.fold(dtype, promote_weak),
        None => numbers.reduce(promote).expect("an operand"),
    }
}

/// `float0` mixes with nothing; the class then refuses it.
fn promote_or_first(a: DType, b: DType) -> DType {
    if a == DType::Float0 || b == DType::Float0 { DType::Float0 } else { promote(a, b) }
}

/// The dims that all operands broadcast to.
#[track_caller]
pub(crate) fn common_dims(op: &str, tensors: &[&Tensor]) -> Dims {
    let ndim = tensors.iter().map(|x| x.ndim()).max().unwrap_or(0);
    let mut dims: Dims = std::iter::repeat_n(1, ndim).collect();
    for x in tensors {
        for (dim, &size) in dims[ndim - x.ndim()..].iter_mut().zip(x.dims()) {
            if *dim != size && *dim != 1 && size != 1 {
                let rule = format!("dims {dim} and {size} do not broadcast");
                violation(op, &rule, tensors, Location::caller());
            }
            if *dim == 1 {
                *dim = size;
            }
        }
    }
    dims
}
