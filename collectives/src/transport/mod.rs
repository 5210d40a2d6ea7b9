//! Moving bytes among workers.
//!
//! A [`Link`] carries point-to-point messages among ranks; that is all that a new interconnect must provide.
//! A `Transport` lets the members of one group exchange offers in numbered rounds, and is what collectives
//! are written on: `threads` through shared memory, `hybrid` through shared memory and a link.

pub(crate) mod channels;
pub(crate) mod doubling;
pub(crate) mod halving;
pub(crate) mod hybrid;
pub mod simulation;
pub(crate) mod threads;

#[cfg(feature = "mpi")]
pub mod mpi;
pub mod window;

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use crate::buffer::{Buffer, Canvas};
use crate::collective::tree::Node;
use crate::element::Element;
use crate::error::{Error, Result};
use crate::signature::Signature;
use window::Window;

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

    /// So many elements from the `start`th on.
    pub fn elements<T: Element>(buffer: &Buffer, range: Range<usize>) -> Self {
        let size = size_of::<T>();
        Self { buffer: buffer.clone(), range: range.start * size..range.end * size }
    }

    /// The contents, as elements.
    ///
    /// # Panics
    /// If they are not a whole number of elements.
    pub fn as_slice<T: Element>(&self) -> &[T] {
        crate::buffer::cast(self.bytes())
    }

    /// The contents as a buffer of their own: the same memory where the part is all of it, else a copy.
    pub fn into_buffer(self) -> Buffer {
        if self.range == (0..self.buffer.bytes().len()) {
            return self.buffer;
        }
        self.buffer.pool().copy_of(self.bytes())
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer.bytes()[self.range.clone()]
    }
}

/// A message as it arrived: its header, and one buffer for each part that was sent.
pub type Message = (Vec<u8>, Vec<Buffer>);

/// The tag of what ranks tell each other about a run, before it is [`of_run`]. They listen for it without waiting: a
/// rank that has left owes nobody a letter, while waiting for any other message of its is an error.
pub const LETTERS: u64 = u64::MAX;
/// The bits of a tag that tell the runs of a mesh apart.
const RUNS: u64 = 0x7fff << 48;
/// The tag of what ranks compare before the first run.
pub(crate) const AGREEMENT: u64 = u64::MAX - 1;
/// The tag of what ranks tell each other about their processes.
pub(crate) const PLACES: u64 = u64::MAX - 2;

/// The tag of the same messages in one of the runs of a mesh: a rank that has come to its end sends for the next one
/// while others still receive.
pub fn of_run(tag: u64, run: u64) -> u64 {
    tag ^ (run << 48 & RUNS)
}

/// Whether a message with this tag is what ranks tell each other about a run.
#[cfg(feature = "mpi")]
pub(crate) fn is_letter(tag: u64) -> bool {
    tag | RUNS == LETTERS
}

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

    /// What a rank that has failed has told this one of the cause, if it has.
    fn last_words(&self, _from: usize) -> Option<Error> {
        None
    }

    /// The time by which deadlines go: that of the clock, except in a simulation.
    fn now(&self) -> Instant {
        Instant::now()
    }

    /// Memory that the ranks of this machine share, so many bytes of each; `None` where there is none, or it has been
    /// given out already. Every rank must call it alike, before the first message that depends on it.
    fn share(self: Arc<Self>, _bytes: usize) -> Result<Option<Window>> {
        Ok(None)
    }

    /// This rank's program has ended, and the link is not used any more in this run.
    fn leave(&self) {}
}

/// Rounds that every call may use: halving and doubling back take two for each bit of the number of ranks.
pub(crate) const ROUNDS: u64 = 64;

/// Which members a round goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// Every member of the group.
    All,
    /// The members on this rank.
    Rank,
    /// On every rank the member that is where this one is, itself included.
    Across,
    /// Of those across, the ones that this one meets in so many-th round of recursive doubling, itself included.
    Doubling(usize),
    /// The same of recursive halving.
    Halving(usize),
}

/// Who the members of a group are to each other, seen from one of them.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) index: usize,
    pub(crate) all: Vec<usize>,
    pub(crate) rank: Vec<usize>,
    /// Only where every rank has equally many members, and there are several ranks.
    pub(crate) across: Option<Vec<usize>>,
    /// Those across whom this one meets, for each round of recursive doubling.
    pub(crate) doubling: Vec<Vec<usize>>,
    /// The same for each round of recursive halving.
    pub(crate) halving: Vec<Vec<usize>>,
}

impl Layout {
    /// The members in reach, in order.
    pub(crate) fn members(&self, reach: Reach) -> &[usize] {
        match reach {
            Reach::All => &self.all,
            Reach::Rank => &self.rank,
            Reach::Across => self.across.as_deref().unwrap_or_default(),
            Reach::Doubling(round) => &self.doubling[round],
            Reach::Halving(round) => &self.halving[round],
        }
    }

    /// Where this member stands among those in reach.
    pub(crate) fn place(&self, reach: Reach) -> usize {
        let place = self.members(reach).iter().position(|&member| member == self.index);
        place.expect("a member reaches itself")
    }
}

/// What a member gives to each of those in reach.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// The same to all.
    Same(Parts),
    /// To each its own.
    Each(Vec<Parts>),
}

/// What a member lays down in a round.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) reach: Reach,
    pub(crate) parts: Outgoing,
    /// For partial reductions: the subtree that each part is the value of.
    pub(crate) nodes: SmallVec<[Node; 2]>,
    /// Memory for the result, shared with the members on this rank.
    pub(crate) canvas: Option<Canvas>,
}

impl Offer {
    pub(crate) fn new(reach: Reach, parts: Outgoing) -> Self {
        Self { reach, parts, nodes: SmallVec::new(), canvas: None }
    }

    pub(crate) fn same(reach: Reach, parts: impl IntoIterator<Item = Part>) -> Self {
        Self::new(reach, Outgoing::Same(parts.into_iter().collect()))
    }
}

/// What one member's offer is to another.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) signature: Arc<Signature>,
    pub(crate) parts: Parts,
    pub(crate) nodes: SmallVec<[Node; 2]>,
    pub(crate) canvas: Option<Canvas>,
}

/// Exchanges offers among the members of one group, round by round.
///
/// A member posts at most one offer per round and takes once from every round that it posted in; rounds may
/// overlap. All members of a round must give the same reach.
pub(crate) trait Transport: Send + Sync {
    /// Lays down an offer. Never blocks.
    fn post(&self, round: u64, signature: &Arc<Signature>, offer: Offer) -> Result<()>;

    /// What those in reach offer to this member, in their order, if all have posted; their signatures may
    /// differ. Makes progress, never blocks. An error if it is clear before that another member makes another
    /// call than `mine`.
    fn collect(&self, round: u64, reach: Reach, mine: &Signature) -> Result<Option<Vec<Arrival>>>;

    /// For a call that posts nothing here: an error if it is clear that another member makes another call of this
    /// number than `mine`, which the others can see from now on.
    fn compare(&self, call: u64, mine: &Arc<Signature>) -> Result<()>;

    /// Members in reach who have not posted yet.
    fn missing(&self, round: u64, reach: Reach) -> Vec<usize>;
}
