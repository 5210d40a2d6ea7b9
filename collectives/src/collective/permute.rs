//! Each member's buffer to at most one other.

use super::{Member, Step, usage};
use crate::buffer::Buffer;
use crate::element::Element;
use crate::error::Result;
use crate::signature::{Call, Signature};
use crate::transport::{Offer, Outgoing, Part, Parts, Reach};

/// One round: every buffer goes to its destination once, within a rank without a copy.
pub(crate) fn permute<T: Element>(
    member: &Member,
    call: &Call,
    buffer: Buffer,
    perm: &[(usize, usize)],
) -> Result<(Signature, Step<Option<Buffer>>)> {
    check(member, call, perm)?;
    let mut signature = member.signature::<T>(call, "permute");
    signature.rest.extend(perm.iter().flat_map(|&(from, to)| [from as u64, to as u64]));
    let mut parts = vec![Parts::new(); member.size()];
    if let Some((_, to)) = perm.iter().find(|(from, _)| *from == member.index()) {
        parts[*to].push(Part::whole(buffer));
    }
    let first = Step::post(Offer::new(Reach::All, Outgoing::Each(parts)), |_, arrivals| {
        let mut parts = arrivals.into_iter().flat_map(|arrival| arrival.parts);
        Ok(Step::Done(parts.next().map(Part::into_buffer)))
    });
    Ok((signature, first))
}

fn check(member: &Member, call: &Call, perm: &[(usize, usize)]) -> Result<()> {
    for (i, &(from, to)) in perm.iter().enumerate() {
        if from.max(to) >= member.size() {
            let what = format!("({from}, {to}) in a permutation of {} members", member.size());
            return Err(usage(call, what));
        }
        if perm[..i].iter().any(|&(other, target)| other == from || target == to) {
            return Err(usage(call, format!("sources and destinations must be unique, got {perm:?}")));
        }
    }
    Ok(())
}
