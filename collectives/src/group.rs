//! A worker's handle to a group: the collectives.

use std::fmt;
use std::sync::Arc;

use crate::buffer::{Buffer, Pool};
use crate::collective::pending::Pending;
use crate::collective::tree::{Node, Partial};
use crate::collective::{
    Member, all_gather, all_reduce, all_to_all, barrier, broadcast, len_of, permute, reduce_scatter,
};
use crate::element::{Element, Reduction};
use crate::error::Result;
use crate::signature::Call;
use crate::transport::{Part, Parts};

/// The workers that an axis (or set of axes) spans, seen from one of them. Cheap to clone.
///
/// Every member must make the same calls in the same order, with operands that agree in type, and in length
/// where it says so; each call is compared among all members, so that a mismatch is an error on all of them
/// and not a wrong number. Every call fails with that error, with `Timeout` when a member does not come, with
/// `Peer` when one has finished, and with the first cause when the run has failed elsewhere.
///
/// The results have the same bits however the members are placed on threads and ranks.
#[derive(Clone)]
pub struct Group(pub(crate) Arc<Member>);

impl Group {
    /// The names of the axes: `batch`, or `batch,model`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How many members there are.
    pub fn size(&self) -> usize {
        self.0.size()
    }

    /// Which member this worker is. Members are numbered by their coordinates along the axes, in mesh order.
    pub fn index(&self) -> usize {
        self.0.index()
    }

    /// The global index of each member.
    pub fn workers(&self) -> &[usize] {
        &self.0.workers
    }

    /// This worker's buffers.
    pub fn pool(&self) -> &Pool {
        self.0.pool()
    }

    /// Returns when every member has called it.
    pub fn barrier(&self, call: &Call) -> Result<()> {
        let (signature, first) = barrier::barrier(&self.0, call);
        self.0.call(signature, first)
    }

    /// The root's buffer; the others' only say the length, which must agree.
    ///
    /// `O(len)` bytes from the root to each other rank; threads of a rank share the memory.
    pub fn broadcast<T: Element>(&self, call: &Call, root: usize, buffer: Buffer) -> Result<Buffer> {
        let (signature, first) = broadcast::broadcast::<T>(&self.0, call, root, buffer)?;
        self.0.call(signature, first)
    }

    /// The members' buffers combined, element by element; members are the leaves of the tree.
    ///
    /// ```
    /// use axisgrad_collectives::{Call, Mesh, Reduction};
    /// let sums = Mesh::builder().axis("batch", 4).threads(4).build()?.run_all(|w| {
    ///     let mine = w.pool().copy_of(&[w.index() as f32, 1.0]);
    ///     let sum = w.group(&["batch"])?.all_reduce::<f32>(&Call::here("psum"), Reduction::Sum, mine)?;
    ///     Ok::<_, axisgrad_collectives::Error>(sum.as_slice::<f32>().to_vec())
    /// })?;
    /// assert_eq!(sums, vec![vec![6.0, 4.0]; 4]);
    /// # Ok::<(), axisgrad_collectives::Error>(())
    /// ```
    pub fn all_reduce<T: Element>(
        &self,
        call: &Call,
        reduction: Reduction,
        buffer: Buffer,
    ) -> Result<Buffer> {
        let len = len_of::<T>(&buffer);
        let (leaves, partials) = self.as_leaf(buffer);
        self.all_reduce_tree::<T>(call, reduction, leaves, len, partials)
    }

    /// [`all_reduce`](Self::all_reduce), finished later.
    pub fn start_all_reduce<T: Element>(
        &self,
        call: &Call,
        reduction: Reduction,
        buffer: Buffer,
    ) -> Result<Pending<Buffer>> {
        let len = len_of::<T>(&buffer);
        let (leaves, partials) = self.as_leaf(buffer);
        self.start_all_reduce_tree::<T>(call, reduction, leaves, len, partials)
    }

    /// The values of all `leaves` of the tree combined, where each member brings the partials of the leaves
    /// that it owns: any number of them, each `len` elements long. The sum over no leaves at all is zeros.
    ///
    /// Within a rank every member reads `len` elements of each partial for its share and nothing is copied;
    /// each rank sends and receives at most `2 len` elements for every joined partial, or `len` in each of `log2` ranks
    /// rounds where that takes less time.
    ///
    /// # Errors
    /// `Usage` where the reduction has no meaning for `T`, for a reduction other than the sum over no leaves,
    /// and where the members' partials do not make up the tree.
    pub fn all_reduce_tree<T: Element>(
        &self,
        call: &Call,
        reduction: Reduction,
        leaves: u64,
        len: usize,
        partials: Vec<Partial>,
    ) -> Result<Buffer> {
        let (signature, first) =
            all_reduce::all_reduce::<T>(&self.0, call, reduction, leaves, len, partials)?;
        self.0.call(signature, first)
    }

    /// [`all_reduce_tree`](Self::all_reduce_tree), finished later.
    pub fn start_all_reduce_tree<T: Element>(
        &self,
        call: &Call,
        reduction: Reduction,
        leaves: u64,
        len: usize,
        partials: Vec<Partial>,
    ) -> Result<Pending<Buffer>> {
        let (signature, first) =
            all_reduce::all_reduce::<T>(&self.0, call, reduction, leaves, len, partials)?;
        self.0.start(signature, first)
    }

    /// The members' buffers combined, of which member `i` gets `counts[i]` elements, in order.
    pub fn reduce_scatter<T: Element>(
        &self,
        call: &Call,
        reduction: Reduction,
        buffer: Buffer,
        counts: &[usize],
    ) -> Result<Buffer> {
        let (leaves, partials) = self.as_leaf(buffer);
        self.reduce_scatter_tree::<T>(call, reduction, leaves, partials, counts)
    }

    /// As [`all_reduce_tree`](Self::all_reduce_tree), but member `i` gets only its `counts[i]` elements of the
    /// result, in order. The counts must agree, and add up to the length of the partials.
    ///
    /// Each rank sends `len` elements for every joined partial.
    pub fn reduce_scatter_tree<T: Element>(
        &self,
        call: &Call,
        reduction: Reduction,
        leaves: u64,
        partials: Vec<Partial>,
        counts: &[usize],
    ) -> Result<Buffer> {
        let (signature, first) =
            reduce_scatter::reduce_scatter::<T>(&self.0, call, reduction, leaves, partials, counts)?;
        self.0.call(signature, first)
    }

    /// The members' buffers, in order; their lengths may differ.
    ///
    /// Threads of a rank read each other's memory; each buffer crosses once to every other rank.
    pub fn all_gather<T: Element>(&self, call: &Call, buffer: Buffer) -> Result<Vec<Part>> {
        let (signature, first) = all_gather::all_gather::<T>(&self.0, call, buffer);
        self.0.call(signature, first)
    }

    /// [`all_gather`](Self::all_gather), finished later.
    pub fn start_all_gather<T: Element>(&self, call: &Call, buffer: Buffer) -> Result<Pending<Vec<Part>>> {
        let (signature, first) = all_gather::all_gather::<T>(&self.0, call, buffer);
        self.0.start(signature, first)
    }

    /// Sends `parts[i]` to member `i`, and returns what each member sent to this one. Parts may be uneven,
    /// empty, or several for one destination.
    ///
    /// Threads of a rank read each other's memory; other parts cross once.
    pub fn all_to_all<T: Element>(&self, call: &Call, parts: Vec<Parts>) -> Result<Vec<Parts>> {
        let (signature, first) = all_to_all::all_to_all::<T>(&self.0, call, parts)?;
        self.0.call(signature, first)
    }

    /// Sends buffers along the pairs `(from, to)`, which all members give alike; `None` where nobody sends to
    /// this member. No member may send or receive twice.
    pub fn permute<T: Element>(
        &self,
        call: &Call,
        buffer: Buffer,
        perm: &[(usize, usize)],
    ) -> Result<Option<Buffer>> {
        let (signature, first) = permute::permute::<T>(&self.0, call, buffer, perm)?;
        self.0.call(signature, first)
    }

    fn as_leaf(&self, data: Buffer) -> (u64, Vec<Partial>) {
        let leaves = self.size() as u64;
        (leaves, vec![Partial { node: Node::leaf(self.index() as u64), data }])
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group({}: member {} of {})", self.name(), self.index(), self.size())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_cross_threads() {
        fn crosses<T: Send + Sync>() {}
        crosses::<Group>();
        crosses::<Pending<Buffer>>();
    }
}
