//! Nobody leaves before everybody has come.

use super::{Member, Step};
use crate::signature::{Call, Signature};
use crate::transport::{Offer, Reach};

/// One round; two where the group lies over several ranks. No bytes.
pub(crate) fn barrier(member: &Member, call: &Call) -> (Signature, Step<()>) {
    let signature = Signature::new(call, member.seat.worker, "barrier");
    let first = Step::post(Offer::same(member.near(), []), |member, _| {
        Ok(match member.across() {
            // Whoever this one meets across the ranks has met everybody on its own.
            Some(_) => Step::post(Offer::same(Reach::Across, []), |_, _| Ok(Step::Done(()))),
            None => Step::Done(()),
        })
    });
    (signature, first)
}
