//! A reduction among ranks that share no memory: each has pieces, and all get the whole.
//!
//! | | rounds | messages of a rank | bytes that a rank sends, of `n` |
//! |---|---|---|---|
//! | everything to everybody | 1 | `P - 1` | `(P - 1) n` |
//! | recursive doubling | `log2 P` | `log2 P` | `log2 P · n` |
//! | cut for all: a part is reduced by each, and then sent to all | 2 | `2 (P - 1)` | `2 n` |
//! | recursive halving, and doubling back | `2 log2 P` | `2 log2 P` | `2 n` |
//!
//! The last joins and copies on the way what the one before it does once. Pieces that do not join yet go along until they
//! do, so the bits do not depend on the way.

use super::all_reduce::{Pieces, Reduce, fill, finish, share_of};
use super::halving::{halve, strand};
use super::{Member, Step};
use crate::buffer::{Buffer, Canvas, Claim};
use crate::element::Element;
use crate::error::Result;
use crate::transport::{Offer, Part, Reach};

/// Among so many ranks everybody sends to everybody: a round fewer is worth more than a few messages.
const FEW: usize = 6;
/// Bytes that cross in the time that a message takes the processors.
const MESSAGE: usize = 16 << 10;

/// How an exchange of everything goes on.
pub(crate) trait Gathered: FnOnce(&Member, Pieces) -> Result<Step<Buffer>> + Send + 'static {}
impl<F: FnOnce(&Member, Pieces) -> Result<Step<Buffer>> + Send + 'static> Gathered for F {}

/// Every member gets what all have.
pub(crate) fn everything<T: Element>(
    reduce: Reduce<T>,
    member: &Member,
    joined: Pieces,
    then: impl Gathered,
) -> Step<Buffer> {
    if member.across().is_some_and(|across| across.len() > FEW) {
        return double(reduce, joined, 0, then);
    }
    Step::post(joined.offer(member.far()), |member, arrivals| then(member, Pieces::arrived(arrivals)))
}

/// The rounds of recursive doubling from this one on; what is on the way is joined as far as it goes.
fn double<T: Element>(reduce: Reduce<T>, joined: Pieces, round: usize, then: impl Gathered) -> Step<Buffer> {
    Step::post(joined.offer(Reach::Doubling(round)), move |member, mut arrivals| {
        if arrivals.len() == 3 {
            // The middle one is in the same half as the first, and has the same.
            arrivals.remove(1);
        }
        let pieces = Pieces::arrived(arrivals);
        if round + 1 == member.layout.doubling.len() {
            return then(member, pieces);
        }
        Ok(double(reduce, reduce.join(member, pieces)?, round + 1, then))
    })
}

/// Reduces one's share with its counterparts on the other ranks.
pub(crate) fn cross<T: Element>(
    reduce: Reduce<T>,
    member: &Member,
    joined: Pieces,
    claim: Claim,
    canvas: Canvas,
) -> Step<Buffer> {
    let ranks = member.layout.members(Reach::Across).len();
    // Of a share as all on this rank have it, who must go the same way.
    let bytes = reduce.len / member.layout.rank.len() * size_of::<T>();
    match way(ranks, bytes) {
        Way::Everything => {
            everything(reduce, member, joined, move |_, pieces| fill(reduce, &pieces, claim, canvas))
        }
        Way::CutForAll => cut_for_all(reduce, ranks, joined, claim, canvas),
        Way::Halving => in_halves(reduce, member, joined, claim, canvas),
    }
}

/// How what is large crosses.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// To everybody, or by recursive doubling.
    Everything,
    CutForAll,
    Halving,
}

/// The way that costs least, in bytes that cross in the same time. A round that waits for another costs a message more,
/// and what halving joins and copies on the way as much as the bytes once more: so it is measured (`scripts/bench latency`).
fn way(ranks: usize, bytes: usize) -> Way {
    let rounds = ranks.next_power_of_two().ilog2() as usize;
    match ranks {
        2 => Way::Everything,
        ..=FEW => Way::CutForAll,
        _ => {
            let everything = rounds * (bytes + 2 * MESSAGE);
            let cut_for_all = 2 * (bytes + (ranks - 1) * MESSAGE);
            let halving = 3 * bytes + 4 * rounds * MESSAGE;
            let costs =
                [(everything, Way::Everything), (cut_for_all, Way::CutForAll), (halving, Way::Halving)];
            costs.into_iter().min_by_key(|(cost, _)| *cost).expect("three ways").1
        }
    }
}

/// By recursive halving.
fn in_halves<T: Element>(
    reduce: Reduce<T>,
    member: &Member,
    joined: Pieces,
    mut claim: Claim,
    canvas: Canvas,
) -> Step<Buffer> {
    let len = claim.as_mut_slice::<T>().len();
    halve(reduce, member, len, joined, move |sums| {
        for (number, sum) in sums.iter().enumerate() {
            claim.as_mut_slice::<T>()[strand(len, number)].copy_from_slice(sum[0].as_slice());
        }
        drop(claim);
        Ok(finish(canvas))
    })
}

/// Each rank reduces a part of the share, and then all exchange what they have.
fn cut_for_all<T: Element>(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_sums_go_the_way_that_was_measured_to_be_fastest() {
        use Way::*;
        for (ranks, kib, fastest) in [
            (8, 64, Everything),
            (8, 1024, CutForAll),
            (16, 64, Everything),
            (16, 1024, CutForAll),
            (32, 64, Everything),
            (32, 256, Halving),
            (32, 1024, CutForAll),
            (64, 256, Halving),
            (64, 1024, Halving),
        ] {
            assert_eq!(way(ranks, kib << 10), fastest, "{ranks} ranks, {kib} KiB");
        }
        assert_eq!(way(2, 1 << 20), Everything, "one round instead of two");
        assert_eq!(way(FEW, 1 << 10), CutForAll);
    }
}
