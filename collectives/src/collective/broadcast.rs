//! One member's buffer for all.

use super::{Member, Step, len_of, usage};
use crate::buffer::Buffer;
use crate::element::Element;
use crate::error::Result;
use crate::signature::{Call, Signature};
use crate::transport::{Arrival, Offer, Part, Reach};

/// One round within a rank (no copy), one across ranks (each receives the buffer once).
pub(crate) fn broadcast<T: Element>(
    member: &Member,
    call: &Call,
    root: usize,
    buffer: Buffer,
) -> Result<(Signature, Step<Buffer>)> {
    if root >= member.size() {
        return Err(usage(call, format_args!("root {root} of a group of {} members", member.size())));
    }
    let mut signature = member.signature::<T>(call, "broadcast");
    signature.len = Some(len_of::<T>(&buffer) as u64);
    signature.rest.push(root as u64);
    let mine = (root == member.index()).then(|| Part::whole(buffer));
    let first = match member.across() {
        None => Step::post(Offer::same(Reach::All, mine), move |_, arrivals| Ok(received(arrivals, root))),
        Some(across) => {
            let from = across.iter().position(|&other| other == root);
            let local = root % member.layout.rank.len();
            Step::post(Offer::same(Reach::Across, mine), move |_, mut arrivals| {
                let part = from.and_then(|from| arrivals[from].parts.pop());
                Ok(Step::post(Offer::same(Reach::Rank, part), move |_, arrivals| {
                    Ok(received(arrivals, local))
                }))
            })
        }
    };
    Ok((signature, first))
}

fn received(mut arrivals: Vec<Arrival>, from: usize) -> Step<Buffer> {
    let part = arrivals[from].parts.pop().expect("the root offers its buffer");
    Step::Done(part.into_buffer())
}
