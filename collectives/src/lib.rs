//! Collectives over named groups of workers: threads of one process, MPI ranks, and threads under ranks.
//!
//! The crate knows elements and bytes; it has never heard of tensors. A program is a closure that every
//! [`Worker`] of a [`Mesh`] runs; workers talk in [`Group`]s, one for each axis or set of axes.
//!
//! ```
//! use axisgrad_collectives::{Call, Error, Mesh, Reduction};
//!
//! let mesh = Mesh::builder().axis("batch", 2).axis("model", 2).build()?;
//! let sum = mesh.run(|w| {
//!     let mine = w.pool().copy_of(&[10 * w.index() as i32]);
//!     let sum = w.group(&["batch"])?.all_reduce::<i32>(&Call::here("psum"), Reduction::Sum, mine)?;
//!     Ok::<_, Error>(sum.as_slice::<i32>()[0])
//! })?;
//! assert_eq!(sum, 20); // workers 0 and 2 are in the same place along `model`
//! # Ok::<(), Error>(())
//! ```

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
pub mod signals;
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
pub use signals::Signals;
pub use signature::Call;
pub use transport::{Part, Parts};
