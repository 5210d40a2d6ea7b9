//! Partials of all members, joined along the one tree; to each member its range of the result.

use std::ops::Range;

use smallvec::SmallVec;

use super::all_reduce::{Pieces, Reduce};
use super::exchange::{Out, Task, exchange};
use super::tree::{Node, Partial};
use super::{Member, Step, usage};
use crate::buffer::Buffer;
use crate::element::{Element, Reduction};
use crate::error::Result;
use crate::signature::{Call, Signature};
use crate::transport::window::Turns;
use crate::transport::{Arrival, Offer, Outgoing, Parts, Reach};

/// One round within a rank (each member reads its range of everybody's partials in place). Over ranks two:
/// what is on a rank is joined first, so that a range crosses once from every rank.
pub(crate) fn reduce_scatter<T: Element>(
    member: &Member,
    call: &Call,
    reduction: Reduction,
    leaves: u64,
    partials: Vec<Partial>,
    counts: &[usize],
) -> Result<(Signature, Step<Buffer>)> {
    if counts.len() != member.size() {
        let what = format!("{} counts for a group of {} members", counts.len(), member.size());
        return Err(usage(call, what));
    }
    let reduce = Reduce::<T>::new(call, reduction, leaves, counts.iter().sum(), &partials)?;
    let mut signature = reduce.sign(member, call, "reduce_scatter", reduction);
    signature.rest = counts.iter().map(|&count| count as u64).chain(call.also).collect();
    let (pieces, ranges) = (Pieces::new(partials), ranges(counts));
    let turn = member.turns.as_ref().filter(|_| member.across().is_some()).map(Turns::take);
    let first = match member.across() {
        None => {
            let offer = pieces.offer_each::<T>(Reach::All, ranges.into_iter());
            Step::post(offer, move |member, arrivals| total(reduce, member, arrivals))
        }
        Some(across) => {
            let ranges: Vec<_> = across.iter().map(|&other| ranges[other].clone()).collect();
            let targets = ranges.clone();
            Step::post(pieces.offer(Reach::Rank), move |member, arrivals| {
                let (nodes, parts) = joined(reduce, member, &Pieces::arrived(arrivals), ranges)?;
                Ok(match turn {
                    Some(turn) => among_ranks(reduce, member, turn, nodes, parts, targets),
                    None => across_ranks(reduce, nodes, parts),
                })
            })
        }
    };
    Ok((signature, first))
}

/// Each member's range of the result.
fn ranges(counts: &[usize]) -> Vec<Range<usize>> {
    let mut end = 0;
    let next = |&count| {
        end += count;
        end - count..end
    };
    counts.iter().map(next).collect()
}

/// What this rank has for each of this member's counterparts, joined as far as it goes.
fn joined<T: Element>(
    reduce: Reduce<T>,
    member: &Member,
    pieces: &Pieces,
    ranges: Vec<Range<usize>>,
) -> Result<(SmallVec<[Node; 2]>, Vec<Parts>)> {
    let mut nodes = SmallVec::new();
    let mut parts = Vec::new();
    for range in ranges {
        let joined = reduce.join(member, pieces.slice::<T>(range))?;
        // The nodes are the same for every range.
        nodes = joined.nodes;
        parts.push(joined.parts);
    }
    Ok((nodes, parts))
}

fn across_ranks<T: Element>(
    reduce: Reduce<T>,
    nodes: SmallVec<[Node; 2]>,
    parts: Vec<Parts>,
) -> Step<Buffer> {
    let offer = Offer { nodes, ..Offer::new(Reach::Across, Outgoing::Each(parts)) };
    Step::post(offer, move |member, arrivals| total(reduce, member, arrivals))
}

/// Ranks of one machine exchange through the memory that they share.
fn among_ranks<T: Element>(
    reduce: Reduce<T>,
    member: &Member,
    turn: u64,
    nodes: SmallVec<[Node; 2]>,
    parts: Vec<Parts>,
    targets: Vec<Range<usize>>,
) -> Step<Buffer> {
    let mine = targets[member.layout.place(Reach::Across)].len();
    let out = Out::Sole(member.pool().alloc::<T>(mine).freeze());
    let (targets, parts) = (SmallVec::from_vec(targets), SmallVec::from_vec(parts));
    let task = Task { reduce, turn, nodes, targets, parts, gather: false, out };
    exchange(member, task, move |_, reduced, task| {
        let Out::Sole(out) = task.out else { unreachable!("it was one") };
        Ok(if reduced { Step::Done(out) } else { across_ranks(reduce, task.nodes, task.parts.into_vec()) })
    })
}

fn total<T: Element>(reduce: Reduce<T>, member: &Member, arrivals: Vec<Arrival>) -> Result<Step<Buffer>> {
    let mine = arrivals[0].signature.rest[member.index()] as usize;
    Ok(Step::Done(reduce.total(member, Pieces::arrived(arrivals), mine)?))
}
