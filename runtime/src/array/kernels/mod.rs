//! The loops: functions from arrays to arrays.
//!
//! Operands are strided views in any layout, and broadcast by NumPy's rule; results are contiguous and come from
//! the pool of the largest operand, or of one whose pool has threads. Large results are cut in ranges among those
//! threads; nothing is summed across a cut. Types and dims are checked where an operation infers its result, so a kernel
//! that is given nonsense panics shortly. The value of an element never depends on the layout of the operands,
//! on the other elements, or on the number of threads.

mod adam;
mod attention;
mod bias;
mod conv;
mod dot;
mod dot_lanes;
mod gather;
mod gemm;
mod heads;
mod join;
mod lanes;
mod linalg;
mod map;
mod nest;
mod normalize;
mod pack;
mod pool;
mod product;
mod reduce;
mod rows;
mod small_product;
mod softmax;
mod tile;
mod tree_product;
pub(crate) mod vectors;
mod winograd;

pub use adam::{AdamRates, adam};
pub use attention::Attend;
pub use bias::add_bias;
pub use conv::{Convolution, Window};
pub use dot::{DotDims, Pairs, dot};
pub use dot_lanes::{dot_block_partials, dot_tree_partials};
pub use gather::{gather_rows, scatter_add_rows};
pub use join::concat;
pub use lanes::{LaneBlocks, add_into, block_reduce, block_sums, combine_into, tree_sums};
pub use linalg::{
    Triangle, cholesky, cofactors, determinant, eigenvalues, eigenvectors, exponential, inverse, lu,
    lu_permutation, orthonormal, pseudoinverse, sign_and_log, singular_vectors, solve, triangular_solve,
};
pub use map::{Each, cast, copy, map1, map2, map3};
pub use normalize::Normalize;
pub use pool::{window_put, window_take};
pub use reduce::{all, any, max, min, prod, reduce, square_sum, sum};
pub use rows::{Fold, RowDims, add_rows, fold_rows, missing, take_rows};
pub use softmax::{
    causal_softmax, cross_entropy, cross_entropy_ct, log_softmax, logsumexp, softmax, softmax_ct,
};
