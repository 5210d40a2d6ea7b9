//! Threads under ranks: members on the same rank meet in shared memory, the others over a link.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::threads::Threads;
use super::{Arrival, Layout, Link, Offer, Outgoing, Part, Parts, ROUNDS, Reach, Transport, of_run};
use crate::collective::tree::Node;
use crate::error::Result;
use crate::roster::{LastCall, Roster};
use crate::signature::{Signature, disagreement, take};

/// One member's access to a group that lies over several ranks.
pub(crate) struct Hybrid {
    pub(crate) name: Arc<str>,
    pub(crate) layout: Layout,
    pub(crate) local: Threads,
    pub(crate) link: Arc<dyn Link>,
    pub(crate) roster: Arc<Roster>,
    /// Of each member.
    pub(crate) addresses: Vec<Address>,
    /// Number of the run: messages that an earlier one has left behind are dropped.
    pub(crate) run: u64,
    /// Offers of other ranks' members that have arrived, and in rounds across the ranks this member's own.
    pub(crate) inbox: Mutex<Inbox>,
}

/// Offers that have arrived, by member and round.
type Inbox = BTreeMap<(usize, u64), Arrival>;

/// Where messages from and to a member go.
#[derive(Clone, Copy)]
pub(crate) struct Address {
    pub(crate) rank: usize,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// The tag of messages of a group from one thread to another in a run. Between two ranks it names the group too: the
/// sender's place determines which of the groups along these axes it is.
pub(crate) fn tag(run: u64, axes: u32, from: usize, to: usize) -> u64 {
    of_run(u64::from(axes) << 32 | (from as u64) << 16 | to as u64, run)
}

impl Hybrid {
    fn is_remote(&self, member: usize) -> bool {
        self.addresses[member].rank != self.link.rank()
    }

    /// Brings what has arrived from a member to the inbox.
    fn pull(&self, member: usize, inbox: &mut Inbox) -> Result<()> {
        let address = self.addresses[member];
        while let Some((header, buffers)) = self.link.try_receive(address.rank, address.from)? {
            let mut header = &header[..];
            if take(&mut header)? != self.run {
                continue;
            }
            let round = take(&mut header)?;
            let signature = Arc::new(Signature::decode(&mut header)?);
            self.roster.check(&signature)?;
            let (group, number) = (self.name.clone(), round / ROUNDS);
            self.roster.record(LastCall { group, number, signature: signature.clone() });
            let nodes = decode_nodes(&mut header)?;
            let parts = buffers.into_iter().map(Part::whole).collect();
            inbox.insert((member, round), Arrival { signature, parts, nodes, canvas: None });
        }
        Ok(())
    }

    /// Looks whether a member that has not come to this round has taken another way through the same call:
    /// then it is another call.
    fn compare_with(&self, member: usize, round: u64, mine: &Signature, inbox: &Inbox) -> Result<()> {
        let call = round / ROUNDS * ROUNDS;
        let mut others = inbox.range((member, call)..(member, call + ROUNDS)).map(|(_, other)| other);
        let Some(other) = others.find(|other| !other.signature.agrees(mine)) else { return Ok(()) };
        let mut pair = [mine, &*other.signature];
        pair.sort_by_key(|signature| signature.worker);
        Err(disagreement(&self.name, pair.into_iter()).expect("they do not agree"))
    }

    /// Whether the members on other ranks have posted.
    fn far_ready(&self, round: u64, reach: Reach, mine: &Signature, inbox: &mut Inbox) -> Result<bool> {
        let mut ready = true;
        for &member in self.layout.members(reach).iter().filter(|&&member| self.is_remote(member)) {
            if !inbox.contains_key(&(member, round)) {
                self.pull(member, inbox)?;
            }
            if !inbox.contains_key(&(member, round)) {
                self.compare_with(member, round, mine, inbox)?;
                ready = false;
            }
        }
        Ok(ready)
    }

    fn header(&self, round: u64, signature: &Signature, nodes: &[Node]) -> Vec<u8> {
        let mut header = Vec::with_capacity(192);
        header.extend_from_slice(&self.run.to_le_bytes());
        header.extend_from_slice(&round.to_le_bytes());
        signature.encode(&mut header);
        for number in nodes.iter().flat_map(|node| [u64::from(node.level), node.index]) {
            header.extend_from_slice(&number.to_le_bytes());
        }
        header
    }

    /// What the members on this rank get.
    fn post_near(&self, round: u64, signature: &Arc<Signature>, offer: Offer) -> Result<()> {
        let reach = offer.reach;
        if !is_near(reach) {
            let parts = parts_for(&offer.parts, self.layout.place(reach)).clone();
            let mine = Arrival { signature: signature.clone(), parts, nodes: offer.nodes, canvas: None };
            self.inbox.lock().expect("inbox").insert((self.layout.index, round), mine);
            return Ok(());
        }
        let parts = match offer.parts {
            Outgoing::Each(mut parts) if reach == Reach::All => {
                let near = self.layout.rank.iter();
                Outgoing::Each(near.map(|&member| std::mem::take(&mut parts[member])).collect())
            }
            parts => parts,
        };
        self.local.post(round, signature, Offer { parts, ..offer })
    }
}

impl Transport for Hybrid {
    fn post(&self, round: u64, signature: &Arc<Signature>, offer: Offer) -> Result<()> {
        if offer.reach != Reach::Rank {
            let header = self.header(round, signature, &offer.nodes);
            for (place, &member) in self.layout.members(offer.reach).iter().enumerate() {
                if self.is_remote(member) {
                    let Address { rank, to, .. } = self.addresses[member];
                    self.link.send(rank, to, &header, parts_for(&offer.parts, place))?;
                }
            }
        }
        self.post_near(round, signature, offer)
    }

    fn collect(&self, round: u64, reach: Reach, mine: &Signature) -> Result<Option<Vec<Arrival>>> {
        if reach == Reach::Rank {
            return self.local.collect(round, reach, mine);
        }
        let mut inbox = self.inbox.lock().expect("inbox");
        if !self.far_ready(round, reach, mine, &mut inbox)? {
            return Ok(None);
        }
        let near =
            if reach == Reach::All { self.local.collect(round, reach, mine)? } else { Some(Vec::new()) };
        let Some(near) = near else { return Ok(None) };
        let mut near = near.into_iter();
        let arrived = |member: &usize| inbox.remove(&(*member, round)).or_else(|| near.next());
        Ok(self.layout.members(reach).iter().map(arrived).collect())
    }

    fn compare(&self, call: u64, mine: &Arc<Signature>) -> Result<()> {
        let mut inbox = self.inbox.lock().expect("inbox");
        for member in self.layout.all.iter().copied().filter(|&member| self.is_remote(member)) {
            self.pull(member, &mut inbox)?;
            self.compare_with(member, call * ROUNDS, mine, &inbox)?;
        }
        Ok(())
    }

    fn missing(&self, round: u64, reach: Reach) -> Vec<usize> {
        let near = if is_near(reach) { self.local.missing(round, reach) } else { Vec::new() };
        let mut missing: Vec<usize> = near.into_iter().map(|place| self.layout.rank[place]).collect();
        if reach != Reach::Rank {
            let inbox = self.inbox.lock().expect("inbox");
            let far = self.layout.members(reach).iter().copied().filter(|&member| self.is_remote(member));
            missing.extend(far.filter(|&member| !inbox.contains_key(&(member, round))));
        }
        missing
    }
}

/// Whether members on this rank meet in the round, and not only one of them those on the others.
fn is_near(reach: Reach) -> bool {
    matches!(reach, Reach::All | Reach::Rank)
}

fn parts_for(parts: &Outgoing, place: usize) -> &Parts {
    match parts {
        Outgoing::Same(parts) => parts,
        Outgoing::Each(parts) => &parts[place],
    }
}

fn decode_nodes(header: &mut &[u8]) -> Result<smallvec::SmallVec<[Node; 2]>> {
    let mut nodes = smallvec::SmallVec::new();
    while !header.is_empty() {
        nodes.push(Node { level: take(header)? as u32, index: take(header)? });
    }
    Ok(nodes)
}
