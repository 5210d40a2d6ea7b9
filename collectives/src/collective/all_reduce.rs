//! Partials of all members, joined along the one tree, for all.

use std::ops::Range;

use smallvec::SmallVec;

use super::exchange::{Task, exchange};
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
/// operand, straight into memory that all members on its rank then hold; across ranks a share crosses once
/// each way, and with more than two ranks each reduces a part of the share. Ranks of one machine exchange
/// through the memory that they share.
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
    let turn = member.turns.as_ref().map(Turns::take);
    let locals = member.layout.rank.len();
    if let (1, Some(turn)) = (locals, turn) {
        // Nobody else on this rank to join with.
        let joined = reduce.join(member, pieces)?;
        if len * size_of::<T>() <= SMALL {
            return Ok((signature, small_among_ranks(reduce, member, turn, joined)));
        }
        let canvas = Canvas::new(member.pool().alloc::<T>(len), [len * size_of::<T>()]);
        let claim = canvas.claim(0);
        return Ok((signature, large_among_ranks(reduce, member, turn, joined, claim, canvas)));
    }
    let mut offer = pieces.offer(member.near());
    let shared = locals == member.size() && member.size() > 1 || member.across().is_some();
    if len * size_of::<T>() <= SMALL || !shared {
        return Ok((signature, Step::post(offer, small(reduce, turn))));
    }
    if member.layout.rank[0] == member.index() {
        let lengths = (0..locals).map(|place| share_of(len, locals, place).len() * size_of::<T>());
        offer.canvas = Some(Canvas::new(member.pool().alloc::<T>(len), lengths));
    }
    Ok((signature, Step::post(offer, large(reduce, turn))))
}

/// The elements that one of `members` reduces.
fn share_of(len: usize, members: usize, place: usize) -> Range<usize> {
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
            Some(turn) => Ok(small_among_ranks(reduce, member, turn, joined)),
            None => Ok(small_across(reduce, joined)),
        }
    })
}

fn small_across<T: Element>(reduce: Reduce<T>, joined: Pieces) -> Step<Buffer> {
    Step::post(joined.offer(Reach::Across), move |member, arrivals| {
        Ok(Step::Done(reduce.total(member, Pieces::arrived(arrivals), reduce.len)?))
    })
}

/// The whole is reduced by every rank.
fn small_among_ranks<T: Element>(
    reduce: Reduce<T>,
    member: &Member,
    turn: u64,
    joined: Pieces,
) -> Step<Buffer> {
    let canvas = Canvas::new(member.pool().alloc::<T>(reduce.len), [reduce.len * size_of::<T>()]);
    let (targets, claim) = (Vec::from_iter(Some(0..reduce.len)), canvas.claim(0));
    let task = Task {
        reduce,
        turn,
        nodes: joined.nodes.clone(),
        targets,
        parts: vec![joined.parts.clone()],
        gather: false,
        claim,
    };
    let ended = move |_: &Member, reduced: bool, claim: Claim| {
        drop(claim);
        Ok(if reduced { Step::Done(canvas.freeze()) } else { small_across(reduce, joined) })
    };
    exchange(member, task, Box::new(ended))
}

/// Each rank reduces its target, and all take the others' results, straight to the claim.
fn large_among_ranks<T: Element>(
    reduce: Reduce<T>,
    member: &Member,
    turn: u64,
    joined: Pieces,
    mut claim: Claim,
    canvas: Canvas,
) -> Step<Buffer> {
    let (len, ranks) = (claim.as_mut_slice::<T>().len(), member.layout.members(Reach::Across).len());
    let targets: Vec<_> = (0..ranks).map(|rank| share_of(len, ranks, rank)).collect();
    let parts = targets.iter().map(|target| joined.slice::<T>(target.clone()).parts).collect();
    let task = Task { reduce, turn, nodes: joined.nodes.clone(), targets, parts, gather: true, claim };
    let ended = move |member: &Member, reduced: bool, claim: Claim| {
        if !reduced {
            return Ok(cross(reduce, ranks, joined, claim, canvas));
        }
        drop(claim);
        // The others on this rank fill the rest.
        let alone = member.layout.rank.len() == 1;
        Ok(if alone { Step::Done(canvas.freeze()) } else { finish(canvas) })
    };
    exchange(member, task, Box::new(ended))
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
            Some(across) => {
                let joined = reduce.join(member, pieces)?;
                Ok(match turn {
                    Some(turn) => large_among_ranks(reduce, member, turn, joined, claim, canvas),
                    None => cross(reduce, across.len(), joined, claim, canvas),
                })
            }
        }
    })
}

/// Reduces one's share, and waits for the others on this rank to have done so.
fn fill<T: Element>(
    reduce: Reduce<T>,
    pieces: &Pieces,
    mut claim: Claim,
    canvas: Canvas,
) -> Result<Step<Buffer>> {
    reduce.total_into(pieces, claim.as_mut_slice())?;
    drop(claim);
    Ok(finish(canvas))
}

fn finish(canvas: Canvas) -> Step<Buffer> {
    Step::post(Offer::same(Reach::Rank, []), |_, _| Ok(Step::Done(canvas.freeze())))
}

/// Reduces one's share with its counterparts on the other ranks.
fn cross<T: Element>(
    reduce: Reduce<T>,
    ranks: usize,
    joined: Pieces,
    claim: Claim,
    canvas: Canvas,
) -> Step<Buffer> {
    if ranks == 2 {
        let offer = joined.offer(Reach::Across);
        return Step::post(offer, move |_, arrivals| fill(reduce, &Pieces::arrived(arrivals), claim, canvas));
    }
    halves(reduce, ranks, joined, claim, canvas)
}

/// Each rank reduces a part of the share, and then all exchange what they have.
fn halves<T: Element>(
    reduce: Reduce<T>,
    ranks: usize,
    joined: Pieces,
    mut claim: Claim,
    canvas: Canvas,
) -> Step<Buffer> {
    let len = claim.as_mut_slice::<T>().len();
    let offer = joined.offer_each::<T>(Reach::Across, (0..ranks).map(move |rank| share_of(len, ranks, rank)));
    Step::post(offer, move |member, arrivals| {
        let mine = share_of(len, ranks, member.layout.place(Reach::Across)).len();
        let part = Part::whole(reduce.total(member, Pieces::arrived(arrivals), mine)?);
        Ok(Step::post(Offer::same(Reach::Across, [part]), move |_, arrivals| {
            for (rank, arrival) in arrivals.iter().enumerate() {
                let range = share_of(len, ranks, rank);
                claim.as_mut_slice::<T>()[range].copy_from_slice(arrival.parts[0].as_slice());
            }
            drop(claim);
            Ok(finish(canvas))
        }))
    })
}
