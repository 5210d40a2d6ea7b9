//! Collectives over named groups of workers: threads of one process, MPI ranks, and threads under ranks.
//!
//! The crate knows elements and bytes; it has never heard of tensors.

pub mod axis;
pub mod buffer;
pub mod collective;
pub mod element;
pub mod error;
pub mod group;
pub mod launch;
pub mod mesh;
pub(crate) mod rendezvous;
pub(crate) mod roster;
pub mod signature;
pub(crate) mod sync;
pub mod transport;

pub use buffer::{Buffer, BufferMut, Pool};
pub use collective::pending::Pending;
pub use collective::tree::{Node, Partial};
pub use element::{Element, ElementType, Reduction};
pub use error::{Error, ErrorKind, Result};
pub use group::Group;
pub use launch::{Mesh, MeshArgs, MeshBuilder, Worker, interrupt};
pub use mesh::Shape;
pub use signature::Call;
pub use transport::{Part, Parts};
