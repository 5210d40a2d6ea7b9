//! Everybody's buffer for everybody.

use super::{Member, Step};
use crate::buffer::Buffer;
use crate::element::Element;
use crate::signature::{Call, Signature};
use crate::transport::{Offer, Part, Reach};

/// One round within a rank (no copy). Over ranks two: threads that are in the same place on their ranks
/// exchange buffers, so that each crosses once to every rank, and then share what they got.
pub(crate) fn all_gather<T: Element>(
    member: &Member,
    call: &Call,
    buffer: Buffer,
) -> (Signature, Step<Vec<Part>>) {
    let signature = member.signature::<T>(call, "all_gather");
    let mine = Part::whole(buffer);
    let first = match member.across() {
        None => Step::post(Offer::same(Reach::All, [mine]), |_, arrivals| {
            Ok(Step::Done(arrivals.into_iter().flat_map(|arrival| arrival.parts).collect()))
        }),
        Some(_) => Step::post(Offer::same(Reach::Across, [mine]), |_, arrivals| {
            let mine = arrivals.into_iter().flat_map(|arrival| arrival.parts);
            Ok(Step::post(Offer::same(Reach::Rank, mine), |member, arrivals| {
                let ranks = member.across().map_or(1, <[_]>::len);
                // Members are numbered rank by rank.
                let of_rank = |rank| arrivals.iter().map(move |arrival: &_| part(arrival, rank));
                Ok(Step::Done((0..ranks).flat_map(of_rank).collect()))
            }))
        }),
    };
    (signature, first)
}

fn part(arrival: &crate::transport::Arrival, rank: usize) -> Part {
    arrival.parts[rank].clone()
}
