//! A large reduction among many ranks that share no memory: halving, and doubling back.
//!
//! Whoever meets (`transport::halving` says who) has the same part of the data; each keeps a half of it, gives the other
//! half away, and joins what it gets with what it has. The nearest meet first: so where the members are a power of two,
//! they join siblings of the tree. What does not join yet goes along until it does. Then the same members meet the other
//! way round, and each gets what the other has.

use std::ops::Range;

use smallvec::SmallVec;

use super::all_reduce::{Pieces, Reduce, share_of};
use super::{Member, Step};
use crate::buffer::Buffer;
use crate::element::Element;
use crate::error::Result;
use crate::transport::halving::{Stand, common};
use crate::transport::{Arrival, Offer, Outgoing, Part, Parts, Reach};

/// How it goes on with the sums of both strands, of which each is one part.
pub(crate) trait Summed: FnOnce([Parts; 2]) -> Result<Step<Buffer>> + Send + 'static {}
impl<F: FnOnce([Parts; 2]) -> Result<Step<Buffer>> + Send + 'static> Summed for F {}

/// The sum of `len` elements among all across the ranks, in two strands: [`strand`] says which elements they have.
pub(crate) fn halve<T: Element>(
    reduce: Reduce<T>,
    member: &Member,
    len: usize,
    joined: Pieces,
    then: impl Summed,
) -> Step<Buffer> {
    let mine = stand(member, member.index());
    Halving { reduce, len, mine, round: 0, then }.halve(member, [joined.clone(), joined])
}

/// The elements of a strand.
pub(crate) fn strand(len: usize, strand: usize) -> Range<usize> {
    share_of(len, 2, strand)
}

/// Where one of those across the ranks stands.
fn stand(member: &Member, other: usize) -> Stand {
    let across = member.layout.members(Reach::Across);
    Stand::of(across.binary_search(&other).expect("a member across the ranks"), across.len())
}

struct Halving<T, F> {
    reduce: Reduce<T>,
    len: usize,
    mine: Stand,
    round: usize,
    then: F,
}

/// Whom a member meets.
type Met = SmallVec<[Stand; 4]>;

impl<T: Element, F: Summed> Halving<T, F> {
    /// The rounds from this one on, of a member that has `held` of the strands: before the first round all of both, and
    /// then a part of its own.
    fn halve(self, member: &Member, held: [Pieces; 2]) -> Step<Buffer> {
        let met = self.met(member);
        let give = |to: &Stand, strand: usize| {
            let (before, wanted) = (self.before(&self.mine, strand), self.after(to, strand));
            held[strand].slice::<T>(wanted.start - before.start..wanted.end - before.start).parts
        };
        let offer = self.offer(&met, |to| self.there(&self.mine, to), give);
        let nodes = held[self.mine.strands.start].nodes.clone();
        Step::post(Offer { nodes, ..offer }, move |member, arrivals| self.keep(member, &met, &arrivals))
    }

    /// Joins what others give with what this member keeps.
    fn keep(mut self, member: &Member, met: &Met, arrivals: &[Arrival]) -> Result<Step<Buffer>> {
        let pieces = |strand| {
            let mut pieces = Pieces::default();
            for (arrival, from) in arrivals.iter().zip(met) {
                let parts = of_strand(arrival, self.there(from, &self.mine), strand);
                pieces.nodes.extend(parts.iter().zip(&arrival.nodes).map(|(_, node)| *node));
                pieces.parts.extend(parts.iter().cloned());
            }
            pieces
        };
        let is_last = self.round + 1 == member.layout.halving.len();
        let (mut held, mut sums) = <([Pieces; 2], [Parts; 2])>::default();
        for strand in self.mine.strands.clone() {
            if is_last {
                let len = self.after(&self.mine, strand).len();
                sums[strand].push(Part::whole(self.reduce.total(member, pieces(strand), len)?));
            } else {
                held[strand] = self.reduce.join(member, pieces(strand))?;
            }
        }
        if is_last {
            return Ok(self.double(member, sums));
        }
        self.round += 1;
        Ok(self.halve(member, held))
    }

    /// The rounds from this one back to the first, of a member that has the sums of what it kept in this one.
    fn double(self, member: &Member, sums: [Parts; 2]) -> Step<Buffer> {
        let met = self.met(member);
        let offer = self.offer(&met, |to| self.back(&self.mine, to), |_, strand| sums[strand].clone());
        Step::post(offer, move |member, arrivals| self.gather(member, &met, &arrivals))
    }

    /// Puts side by side what others have and what this member has.
    fn gather(mut self, member: &Member, met: &Met, arrivals: &[Arrival]) -> Result<Step<Buffer>> {
        let mut sums = <[Parts; 2]>::default();
        if self.round == 0 {
            for (strand, sum) in sums.iter_mut().enumerate() {
                let came = self.came_back(met, arrivals, strand);
                sum.extend(came.flat_map(|(_, parts)| parts.iter().cloned()));
            }
            return (self.then)(sums);
        }
        for strand in self.mine.strands.clone() {
            let whole = self.before(&self.mine, strand);
            let mut memory = member.pool().alloc::<T>(whole.len());
            for (from, parts) in self.came_back(met, arrivals, strand) {
                let at = self.after(from, strand);
                let memory = &mut memory.as_mut_slice::<T>()[at.start - whole.start..at.end - whole.start];
                parts.iter().for_each(|part| memory.copy_from_slice(part.as_slice()));
            }
            sums[strand].push(Part::whole(memory.freeze()));
        }
        self.round -= 1;
        Ok(self.double(member, sums))
    }

    /// What each of those who were met has given back of a strand.
    fn came_back<'a>(
        &self,
        met: &'a Met,
        arrivals: &'a [Arrival],
        strand: usize,
    ) -> impl Iterator<Item = (&'a Stand, &'a [Part])> {
        let of = move |arrival, from| of_strand(arrival, self.back(from, &self.mine), strand);
        arrivals.iter().zip(met).map(move |(arrival, from)| (from, of(arrival, from)))
    }

    /// Whom this member meets in this round.
    fn met(&self, member: &Member) -> Met {
        member.layout.members(Reach::Halving(self.round)).iter().map(|&other| stand(member, other)).collect()
    }

    /// What is given to each of those who are met: of so many strands, one after the other.
    fn offer(
        &self,
        met: &Met,
        strands: impl Fn(&Stand) -> Range<usize>,
        give: impl Fn(&Stand, usize) -> Parts,
    ) -> Offer {
        let to = |other: &Stand| strands(other).flat_map(|strand| give(other, strand)).collect();
        Offer::new(Reach::Halving(self.round), Outgoing::Each(met.iter().map(to).collect()))
    }

    /// The strands that one member gives to another on the way there.
    fn there(&self, from: &Stand, to: &Stand) -> Range<usize> {
        common(&self.had(from), &to.strands)
    }

    /// The same on the way back.
    fn back(&self, from: &Stand, to: &Stand) -> Range<usize> {
        common(&from.strands, &self.had(to))
    }

    /// The strands that a member has something of before this round: in the first, both.
    fn had(&self, stand: &Stand) -> Range<usize> {
        if self.round == 0 { 0..2 } else { stand.strands.clone() }
    }

    /// The elements of a strand that a member has before this round: in the first, all.
    fn before(&self, stand: &Stand, strand: usize) -> Range<usize> {
        if self.round == 0 { 0..self.len } else { self.halved(stand, strand, self.round - 1) }
    }

    /// Those that it keeps in this round: in the first, the strand.
    fn after(&self, stand: &Stand, strand: usize) -> Range<usize> {
        self.halved(stand, strand, self.round)
    }

    fn halved(&self, stand: &Stand, number: usize, times: usize) -> Range<usize> {
        (0..times).fold(strand(self.len, number), |range, bit| {
            let half = share_of(range.len(), 2, stand.cell >> bit & 1);
            range.start + half.start..range.start + half.end
        })
    }
}

/// What has come of a strand, where so many strands have.
fn of_strand(arrival: &Arrival, mut came: Range<usize>, strand: usize) -> &[Part] {
    let count = arrival.parts.len() / came.len();
    came.position(|came| came == strand).map_or(&[], |at| &arrival.parts[at * count..][..count])
}
