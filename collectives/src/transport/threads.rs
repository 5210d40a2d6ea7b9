//! Shared memory: members leave offers in one place and read each other's buffers there, without copies.
//!
//! A group of one is the same thing with nobody to wait for.

use std::sync::Arc;

use super::window::{Heap, Plan, Turns};
use super::{Arrival, Offer, Outgoing, ROUNDS, Reach, Transport};
use crate::error::Result;
use crate::rendezvous::Rendezvous;
use crate::roster::Roster;
use crate::signature::{Signature, disagreement};
use crate::sync::Mutex;

type Waiting = (u64, Arc<Signature>);

/// Where the threads of one group meet.
pub(crate) struct Hub {
    rendezvous: Rendezvous<(Arc<Signature>, Offer)>,
    roster: Arc<Roster>,
    workers: Vec<usize>,
    name: Arc<str>,
    /// Memory for the members' boards.
    heap: Arc<Heap>,
    /// The call that each member has waited for long on its board, by number.
    waiting: Mutex<Vec<Option<Waiting>>>,
}

impl Hub {
    /// A meeting place for these workers of this process.
    pub(crate) fn new(roster: Arc<Roster>, name: Arc<str>, workers: Vec<usize>) -> Self {
        let members = workers.len();
        Self {
            rendezvous: Rendezvous::new(members),
            roster,
            workers,
            name,
            heap: Arc::new(Heap::new(members, Plan::near().bytes())),
            waiting: Mutex::new(vec![None; members]),
        }
    }

    /// A member's access to the boards of all, once.
    pub(crate) fn board(&self, member: usize) -> Option<Turns> {
        let members: Vec<_> = (0..self.workers.len()).map(|member| (member, 0)).collect();
        self.heap.clone().window(member)?.board(Plan::near(), 1, &members, member)
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

    fn compare(&self, call: u64, mine: &Arc<Signature>) -> Result<()> {
        let mut waiting = self.hub.waiting.lock().expect("waiting");
        waiting[self.member] = Some((call, mine.clone()));
        let rounds = call * ROUNDS..(call + 1) * ROUNDS;
        let known = |member: usize| {
            let waits = waiting[member].as_ref().filter(|(number, _)| *number == call);
            let posted =
                || self.hub.rendezvous.peek(rounds.clone(), member, |(signature, _)| signature.clone());
            waits.map(|(_, signature)| signature.clone()).or_else(posted)
        };
        // Who is named does not depend on who looks: all are known, or nothing is said.
        let calls: Option<Vec<_>> = (0..waiting.len()).map(known).collect();
        let names =
            |calls: Vec<Arc<Signature>>| disagreement(&self.hub.name, calls.iter().map(|call| &**call));
        calls.and_then(names).map_or(Ok(()), Err)
    }

    fn missing(&self, round: u64, _: Reach) -> Vec<usize> {
        self.hub.rendezvous.missing(round)
    }
}
