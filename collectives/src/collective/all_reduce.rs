//! Partials of all members, joined along the one tree, for all.

use std::ops::Range;

use smallvec::SmallVec;

use super::across::{cross, everything};
use super::exchange::{Out, Task, exchange};
use super::tree::{Move, Node, Partial, Plan, evaluate};
use super::{Member, Step, Then, len_of, usage};
use crate::axis::share;
use crate::buffer::{Buffer, Canvas, Claim};
use crate::element::{Combine, Element, Reduction};
use crate::error::Result;
use crate::signature::{Call, Signature};
use crate::transport::window::Turns;
use crate::transport::{Arrival, Offer, Outgoing, Part, Parts, Reach};

/// Up to so many bytes every member reduces everything: one round fewer is worth more than shared work.
const SMALL: usize = 8 << 10;
/// Up to so many bytes threads of a rank exchange on their boards: copies that stay in the caches cost less than
/// another meeting.
const NEAR: usize = 16 << 10;
/// Elements that shares are cut at, so that no two of them meet in a cache line.
const GRAIN: u64 = 64;

/// What all members of a reduction agree on.
#[derive(Clone, Copy)]
pub(crate) struct Reduce<T> {
    pub(crate) leaves: u64,
    pub(crate) len: usize,
    pub(crate) combine: Combine<T>,
}

impl<T: Element> Reduce<T> {
    /// Checks a call, before anything is communicated.
    pub(crate) fn new(
        call: &Call,
        reduction: Reduction,
        leaves: u64,
        len: usize,
        partials: &[Partial],
    ) -> Result<Self> {
        let Some(combine) = T::combine(reduction) else {
            return Err(usage(call, format_args!("{} has no meaning for {}", reduction.name(), T::TYPE)));
        };
        if leaves == 0 && reduction != Reduction::Sum {
            return Err(usage(call, format_args!("the {} of nothing is not defined", reduction.name())));
        }
        if let Some(other) = partials.iter().map(|partial| len_of::<T>(&partial.data)).find(|&n| n != len) {
            return Err(usage(
                call,
                format_args!("a partial of {other} elements where {len} were announced"),
            ));
        }
        Ok(Self { leaves, len, combine })
    }

    pub(crate) fn sign(
        &self,
        member: &Member,
        call: &Call,
        name: &'static str,
        reduction: Reduction,
    ) -> Signature {
        let mut signature = member.signature::<T>(call, name);
        signature.reduction = Some(reduction);
        signature.len = Some(self.len as u64);
        signature.leaves = self.leaves;
        signature
    }

    /// Joins pieces as far as they go.
    pub(crate) fn join(&self, member: &Member, pieces: Pieces) -> Result<Pieces> {
        if pieces.nodes.len() < 2 {
            return Ok(pieces);
        }
        let plan = Plan::new(&pieces.nodes, self.leaves)?;
        let inputs: Vec<&[T]> = pieces.parts.iter().map(Part::as_slice).collect();
        let part = |moves: &[Move]| match moves {
            [Move::Input(only)] => pieces.parts[*only].clone(),
            _ => {
                let mut out = member.pool().alloc::<T>(inputs[0].len());
                evaluate(moves, &inputs, self.combine, out.as_mut_slice());
                Part::whole(out.freeze())
            }
        };
        let parts = plan.roots.iter().map(|(_, moves)| part(moves)).collect();
        Ok(Pieces { nodes: plan.nodes().collect(), parts })
    }

    /// Joins pieces to one value of `len` elements.
    pub(crate) fn total(&self, member: &Member, pieces: Pieces, len: usize) -> Result<Buffer> {
        if self.leaves == 0 {
            return Ok(member.pool().zeroed::<T>(len).freeze());
        }
        Plan::new(&pieces.nodes, self.leaves)?.complete(self.leaves)?;
        let mut joined = self.join(member, pieces)?;
        Ok(joined.parts.pop().expect("a complete plan has one root").into_buffer())
    }

    /// The same into memory that is there.
    fn total_into(&self, pieces: &Pieces, out: &mut [T]) -> Result<()> {
        if self.leaves == 0 {
            crate::buffer::clear(out);
            return Ok(());
        }
        let plan = Plan::new(&pieces.nodes, self.leaves)?;
        plan.complete(self.leaves)?;
        let inputs: Vec<&[T]> = pieces.parts.iter().map(Part::as_slice).collect();
        evaluate(&plan.roots[0].1, &inputs, self.combine, out);
        Ok(())
    }
}

/// Values of subtrees, or the same range of them.
#[derive(Clone, Default)]
pub(crate) struct Pieces {
    pub(crate) nodes: SmallVec<[Node; 2]>,
    pub(crate) parts: Parts,
}

impl Pieces {
    pub(crate) fn new(partials: Vec<Partial>) -> Self {
        let nodes = partials.iter().map(|partial| partial.node).collect();
        Self { nodes, parts: partials.into_iter().map(|partial| Part::whole(partial.data)).collect() }
    }

    /// Everything that arrived.
    pub(crate) fn arrived(arrivals: Vec<Arrival>) -> Self {
        let mut all = Self::default();
        for arrival in arrivals {
            all.nodes.extend(arrival.nodes);
            all.parts.extend(arrival.parts);
        }
        all
    }

    /// The only one, where it is all of a buffer that nobody else has; its subtree stays.
    fn take_sole(&mut self) -> Option<Buffer> {
        let [part] = &mut self.parts[..] else { return None };
        let sole = part.range == (0..part.buffer.bytes().len()) && part.buffer.is_sole();
        if sole { self.parts.pop().map(|part| part.buffer) } else { None }
    }

    /// The same range of elements of each.
    pub(crate) fn slice<T: Element>(&self, range: Range<usize>) -> Self {
        let size = size_of::<T>();
        let cut = |part: &Part| {
            let start = part.range.start;
            Part { buffer: part.buffer.clone(), range: start + range.start * size..start + range.end * size }
        };
        Self { nodes: self.nodes.clone(), parts: self.parts.iter().map(cut).collect() }
    }

    /// An offer of these to everyone in reach.
    pub(crate) fn offer(self, reach: Reach) -> Offer {
        Offer { nodes: self.nodes, ..Offer::new(reach, Outgoing::Same(self.parts)) }
    }

    /// An offer of one range of these to each in reach.
    pub(crate) fn offer_each<T: Element>(
        &self,
        reach: Reach,
        ranges: impl Iterator<Item = Range<usize>>,
    ) -> Offer {
        let parts = ranges.map(|range| self.slice::<T>(range).parts).collect();
        Offer { nodes: self.nodes.clone(), ..Offer::new(reach, Outgoing::Each(parts)) }
    }
}

/// Small operands: one round within a rank, one across. Large ones: every member reduces its own share of the
/// operand, straight into memory that all members on its rank then hold. Across ranks what is small goes by recursive
/// doubling, or straight to everybody where there are few; of what is large a share crosses once each way, and with
/// more than two ranks each reduces a part of the share. Ranks of one machine exchange through the memory that they
/// share, and so do threads of one rank what is not large.
pub(crate) fn all_reduce<T: Element>(
    member: &Member,
    call: &Call,
    reduction: Reduction,
    leaves: u64,
    len: usize,
    partials: Vec<Partial>,
) -> Result<(Signature, Step<Buffer>)> {
    let reduce = Reduce::<T>::new(call, reduction, leaves, len, &partials)?;
    let signature = reduce.sign(member, call, "all_reduce", reduction);
    let pieces = Pieces::new(partials);
    let (bytes, locals) = (len * size_of::<T>(), member.layout.rank.len());
    if member.size() == 1 {
        return Ok((signature, Step::Done(reduce.total(member, pieces, len)?)));
    }
    let near = locals == member.size();
    let turns = member.turns.as_ref().filter(|_| !near || bytes <= NEAR);
    if let Some(turns) = turns.filter(|_| near || locals == 1) {
        // What cannot be joined takes no turn: nobody would pass it on.
        let joined = reduce.join(member, pieces)?;
        return Ok((signature, on_boards(reduce, member, turns.take(), joined)));
    }
    let turn = turns.map(Turns::take);
    let mut offer = pieces.offer(member.near());
    let shared = near || member.across().is_some();
    if bytes <= SMALL || !shared {
        return Ok((signature, Step::post(offer, small(reduce, turn))));
    }
    if member.layout.rank[0] == member.index() {
        let lengths = (0..locals).map(|place| share_of(len, locals, place).len() * size_of::<T>());
        offer.canvas = Some(Canvas::new(member.pool().alloc::<T>(len), lengths));
    }
    Ok((signature, Step::post(offer, large(reduce, turn))))
}

/// The elements that one of `members` reduces.
pub(crate) fn share_of(len: usize, members: usize, place: usize) -> Range<usize> {
    let range = share(len as u64, GRAIN, members, place);
    range.start as usize..range.end as usize
}

fn small<T: Element>(reduce: Reduce<T>, turn: Option<u64>) -> Then<Buffer> {
    Box::new(move |member, arrivals| {
        let pieces = Pieces::arrived(arrivals);
        if member.across().is_none() {
            return Ok(Step::Done(reduce.total(member, pieces, reduce.len)?));
        }
        let joined = reduce.join(member, pieces)?;
        match turn {
            Some(turn) => Ok(on_boards(reduce, member, turn, joined)),
            None => Ok(whole(reduce, member, joined)),
        }
    })
}

/// Every member gets what all have, and reduces it.
fn whole<T: Element>(reduce: Reduce<T>, member: &Member, joined: Pieces) -> Step<Buffer> {
    everything(reduce, member, joined, move |member, pieces| {
        Ok(Step::Done(reduce.total(member, pieces, reduce.len)?))
    })
}

/// The ranges that those who meet on the boards reduce: the whole each for itself, or each a share.
fn targets<T>(member: &Member, len: usize) -> SmallVec<[Range<usize>; 2]> {
    let ranks = member.across().map_or(1, <[usize]>::len);
    // Of two, neither reads less of the other if they share the work.
    let whole = if ranks == 2 { 4 * SMALL } else { SMALL };
    if ranks == 1 || len * size_of::<T>() <= whole {
        return SmallVec::from_iter(Some(0..len));
    }
    (0..ranks).map(|rank| share_of(len, ranks, rank)).collect()
}

/// The whole is reduced on the boards, in place where nobody else holds what this member brings.
fn on_boards<T: Element>(reduce: Reduce<T>, member: &Member, turn: u64, mut joined: Pieces) -> Step<Buffer> {
    let targets = targets::<T>(member, reduce.len);
    let (out, parts) = match joined.take_sole() {
        Some(sole) => (sole, SmallVec::new()),
        None => {
            let parts = targets.iter().map(|target| joined.slice::<T>(target.clone()).parts).collect();
            (member.pool().alloc::<T>(reduce.len).freeze(), parts)
        }
    };
    let (gather, nodes) = (targets.len() > 1, joined.nodes.clone());
    let task = Task { reduce, turn, nodes, targets, parts, gather, out: Out::Sole(out) };
    exchange(member, task, move |member, reduced, task| {
        let Out::Sole(out) = task.out else { unreachable!("it was one") };
        if reduced {
            return Ok(Step::Done(out));
        }
        if task.parts.is_empty() {
            joined.parts.push(Part::whole(out));
        }
        Ok(whole(reduce, member, joined))
    })
}

/// A share is reduced on the boards, straight to the claim; the others on this rank fill the rest.
fn share_on_boards<T: Element>(
    reduce: Reduce<T>,
    member: &Member,
    turn: u64,
    joined: Pieces,
    mut claim: Claim,
    canvas: Canvas,
) -> Step<Buffer> {
    let targets = targets::<T>(member, claim.as_mut_slice::<T>().len());
    let parts = targets.iter().map(|target| joined.slice::<T>(target.clone()).parts).collect();
    let (gather, nodes) = (targets.len() > 1, joined.nodes.clone());
    let task = Task { reduce, turn, nodes, targets, parts, gather, out: Out::Share(claim) };
    exchange(member, task, move |member, reduced, task| {
        let Out::Share(claim) = task.out else { unreachable!("it was one") };
        if !reduced {
            return Ok(cross(reduce, member, joined, claim, canvas));
        }
        drop(claim);
        Ok(finish(canvas))
    })
}

fn large<T: Element>(reduce: Reduce<T>, turn: Option<u64>) -> Then<Buffer> {
    Box::new(move |member, arrivals| {
        let canvas = arrivals[0].canvas.clone().expect("the first on a rank brings the canvas");
        let place = member.layout.place(member.near());
        let range = share_of(reduce.len, arrivals.len(), place);
        let pieces = Pieces::arrived(arrivals).slice::<T>(range);
        let claim = canvas.claim(place);
        match member.across() {
            None => fill(reduce, &pieces, claim, canvas),
            Some(_) => {
                let joined = reduce.join(member, pieces)?;
                Ok(match turn {
                    Some(turn) => share_on_boards(reduce, member, turn, joined, claim, canvas),
                    None => cross(reduce, member, joined, claim, canvas),
                })
            }
        }
    })
}

/// Reduces one's share, and waits for the others on this rank to have done so.
pub(crate) fn fill<T: Element>(
    reduce: Reduce<T>,
    pieces: &Pieces,
    mut claim: Claim,
    canvas: Canvas,
) -> Result<Step<Buffer>> {
    reduce.total_into(pieces, claim.as_mut_slice())?;
    drop(claim);
    Ok(finish(canvas))
}

pub(crate) fn finish(canvas: Canvas) -> Step<Buffer> {
    Step::post(Offer::same(Reach::Rank, []), |_, _| Ok(Step::Done(canvas.freeze())))
}
