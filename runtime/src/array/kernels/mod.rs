//! The loops: functions from arrays to arrays.
//!
//! Operands are strided views in any layout, and broadcast by NumPy's rule; results are contiguous and come from
//! the pool of the largest operand. Types and dims are checked where an operation infers its result, so a kernel
//! that is given nonsense panics shortly. The value of an element never depends on the layout of the operands,
//! on the other elements, or on the number of threads.

mod dot;
mod gemm;
mod join;
mod map;
mod nest;
mod reduce;

pub use dot::{DotDims, dot};
pub use join::concat;
pub use map::{cast, copy, map1, map2, map3};
pub use reduce::{all, any, max, min, prod, reduce, sum};
