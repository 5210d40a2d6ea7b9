//! The ops: differentiable primitives, one file each, and functions made of them.

pub mod all_gather;
pub mod all_to_all;
pub mod axis_index;
pub mod gather;
pub(crate) mod lanes;
pub mod names;
pub mod pmax;
pub mod pmean;
pub mod ppermute;
pub mod psum;
pub mod pvary;

pub use all_gather::{all_gather, psum_scatter};
pub use all_to_all::{all_to_all, pswapaxes};
pub use axis_index::axis_index;
pub use gather::gather;
pub use pmax::{pmax, pmin};
pub use pmean::{axis_size, pmean};
pub use ppermute::{ppermute, pshuffle};
pub use psum::psum;
pub(crate) use psum::psum_of;
pub use pvary::pvary;
