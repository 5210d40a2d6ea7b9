//! Shared memory: members leave offers in one place and read each other's buffers there, without copies.
//!
//! A group of one is the same thing with nobody to wait for.

use std::sync::Arc;

use super::{Arrival, Offer, Outgoing, Reach, Transport};
use crate::error::Result;
use crate::rendezvous::Rendezvous;
use crate::roster::Roster;
use crate::signature::Signature;

/// Where the threads of one group meet.
pub(crate) struct Hub {
    rendezvous: Rendezvous<(Arc<Signature>, Offer)>,
    roster: Arc<Roster>,
    workers: Vec<usize>,
}

impl Hub {
    /// A meeting place for these workers of this process.
    pub(crate) fn new(roster: Arc<Roster>, workers: Vec<usize>) -> Self {
        Self { rendezvous: Rendezvous::new(workers.len()), roster, workers }
    }
}

/// One member's access to the hub.
pub(crate) struct Threads {
    hub: Arc<Hub>,
    member: usize,
}

impl Threads {
    pub(crate) fn new(hub: Arc<Hub>, member: usize) -> Self {
        Self { hub, member }
    }
}

impl Transport for Threads {
    fn post(&self, round: u64, signature: &Arc<Signature>, offer: Offer) -> Result<()> {
        if self.hub.rendezvous.post(round, self.member, (signature.clone(), offer)) {
            let others = self.hub.workers.iter().enumerate().filter(|(member, _)| *member != self.member);
            others.for_each(|(_, worker)| self.hub.roster.ring(*worker));
        }
        Ok(())
    }

    fn collect(&self, round: u64, _: Reach, _: &Signature) -> Result<Option<Vec<Arrival>>> {
        Ok(self.hub.rendezvous.take(round, |(signature, offer)| Arrival {
            signature: signature.clone(),
            parts: match &offer.parts {
                Outgoing::Same(parts) => parts.clone(),
                Outgoing::Each(parts) => parts[self.member].clone(),
            },
            nodes: offer.nodes.clone(),
            canvas: offer.canvas.clone(),
        }))
    }

    fn compare(&self, _: u64, _: &Signature) -> Result<()> {
        Ok(())
    }

    fn missing(&self, round: u64, _: Reach) -> Vec<usize> {
        self.hub.rendezvous.missing(round)
    }
}
