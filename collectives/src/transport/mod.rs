//! Moving bytes among workers.
//!
//! A [`Link`] carries point-to-point messages among ranks; that is all that a new interconnect must provide.

#[cfg(feature = "mpi")]
pub mod mpi;

use std::ops::Range;

use smallvec::SmallVec;

use crate::buffer::Buffer;
use crate::error::{Error, Result};

/// A byte range of a shared buffer.
#[derive(Clone, Debug)]
pub struct Part {
    /// The memory.
    pub buffer: Buffer,
    /// Which bytes of it.
    pub range: Range<usize>,
}

/// Pieces of a message, in order.
pub type Parts = SmallVec<[Part; 1]>;

impl Part {
    /// All of a buffer.
    pub fn whole(buffer: Buffer) -> Self {
        let range = 0..buffer.bytes().len();
        Self { buffer, range }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer.bytes()[self.range.clone()]
    }
}

/// A message as it arrived: its header, and one buffer for each part that was sent.
pub type Message = (Vec<u8>, Vec<Buffer>);

/// Point-to-point messages among ranks.
///
/// Messages with the same `(from, to, tag)` arrive in the order in which they were sent, whole, once; among
/// different tags there is no order. Any thread may call any method at any time.
pub trait Link: Send + Sync {
    /// This rank.
    fn rank(&self) -> usize;

    /// How many ranks there are.
    fn ranks(&self) -> usize;

    /// Hands a message over for delivery and returns at once, however large it is. The parts stay alive until
    /// they have been sent. Empty headers, no parts, and empty parts are all legal. `to` is never this rank.
    fn send(&self, to: usize, tag: u64, header: &[u8], parts: &[Part]) -> Result<()>;

    /// The next message with this tag from that rank, if one has arrived whole. Never blocks: whoever waits
    /// calls it in a loop, and it makes progress with earlier sends too.
    fn try_receive(&self, from: usize, tag: u64) -> Result<Option<Message>>;

    /// Tells every other rank that this one has failed, as well as it can; over MPI it prints the cause and
    /// ends all processes.
    fn abort(&self, cause: &Error);
}
