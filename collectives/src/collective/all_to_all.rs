//! From each member something of its own for each other one.

use super::{Member, Step, usage};
use crate::element::Element;
use crate::error::Result;
use crate::signature::{Call, Signature};
use crate::transport::{Offer, Outgoing, Parts, Reach};

/// One round: every part goes to its destination once, within a rank without a copy.
pub(crate) fn all_to_all<T: Element>(
    member: &Member,
    call: &Call,
    parts: Vec<Parts>,
) -> Result<(Signature, Step<Vec<Parts>>)> {
    if parts.len() != member.size() {
        let what = format!("{} destinations for a group of {} members", parts.len(), member.size());
        return Err(usage(call, what));
    }
    let signature = member.signature::<T>(call, "all_to_all");
    let first = Step::post(Offer::new(Reach::All, Outgoing::Each(parts)), |_, arrivals| {
        Ok(Step::Done(arrivals.into_iter().map(|arrival| arrival.parts).collect()))
    });
    Ok((signature, first))
}
