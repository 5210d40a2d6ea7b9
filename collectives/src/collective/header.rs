//! What a member says of its call on a board, before its data.
//!
//! Headers that are byte for byte the same make the same call; only others are taken apart.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Member;
use super::tree::Node;
use crate::error::Result;
use crate::roster::LastCall;
use crate::signature::{Signature, disagreement, take};
use crate::transport::window::Slots;

/// Room for what a call says of itself.
pub(super) const HEADER: usize = 4 << 10;
/// In place of a number of subtrees that do not fit.
const TOO_MANY: u64 = u64::MAX;
/// Where a header has the worker, in which all differ, and where what it calls begins.
const WORKER: usize = 8;
const CALLED: usize = 16;

/// The number of the call, what it says of itself, and the subtrees; gives where those begin.
pub(super) fn write(header: &mut [u8], number: u64, nodes: &[Node], signature: &Signature) -> usize {
    let mut bytes = Vec::with_capacity(512);
    let put = |bytes: &mut Vec<u8>, word: u64| bytes.extend_from_slice(&word.to_le_bytes());
    put(&mut bytes, number);
    signature.encode(&mut bytes);
    let mut signed = bytes.len();
    put(&mut bytes, nodes.len() as u64);
    nodes.iter().for_each(|node| {
        put(&mut bytes, u64::from(node.level));
        put(&mut bytes, node.index);
    });
    if bytes.len() > header.len() {
        bytes.clear();
        put(&mut bytes, number);
        Signature { rest: SmallVec::new(), ..signature.clone() }.encode(&mut bytes);
        signed = bytes.len();
        put(&mut bytes, TOO_MANY);
    }
    header[..bytes.len()].copy_from_slice(&bytes);
    signed
}

/// What the headers of all members say.
pub(super) struct Heard {
    /// How many subtrees each member has.
    pub(super) parts: SmallVec<[usize; 8]>,
    /// Those of all; `None` where somebody's do not fit.
    pub(super) nodes: Option<SmallVec<[Node; 8]>>,
}

impl Default for Heard {
    fn default() -> Self {
        Self { parts: SmallVec::new(), nodes: Some(SmallVec::new()) }
    }
}

impl Heard {
    /// Reads everybody's header; nothing if somebody is in another call of the group. That at the place `own` is this
    /// member's, whose subtrees begin at `signed`.
    ///
    /// # Errors
    /// If they do not make the same call.
    pub(super) fn of_all(
        member: &Member,
        slots: Slots,
        own: usize,
        number: u64,
        mine: &Arc<Signature>,
        signed: usize,
    ) -> Result<Option<Self>> {
        let own = slots.of(own);
        let alike =
            |slot: &[u8]| slot[..WORKER] == own[..WORKER] && slot[CALLED..signed] == own[CALLED..signed];
        let mut heard = Self::default();
        if (0..slots.len()).all(|place| alike(slots.of(place))) {
            for place in 0..slots.len() {
                heard.read_nodes(&slots.of(place)[signed..HEADER])?;
            }
            // Threads note their own calls.
            for &other in member.across().unwrap_or_default().iter().filter(|&&other| other != member.index())
            {
                let call = LastCall { group: member.name.clone(), number, signature: mine.clone() };
                member.seat.roster.record_of(member.workers[other], call);
            }
            return Ok(Some(heard));
        }
        let mut calls = SmallVec::<[Signature; 4]>::new();
        for place in 0..slots.len() {
            let Some(call) = heard.read(slots.of(place), number)? else { return Ok(None) };
            member.seat.roster.check(&call)?;
            let (group, signature) = (member.name.clone(), Arc::new(call.clone()));
            member.seat.roster.record(LastCall { group, number, signature });
            calls.push(call);
        }
        disagreement(&member.name, calls.iter()).map_or(Ok(Some(heard)), Err)
    }

    /// Reads a member's header; nothing if it is in another call of the group.
    fn read(&mut self, mut header: &[u8], number: u64) -> Result<Option<Signature>> {
        if take(&mut header)? != number {
            return Ok(None);
        }
        let signature = Signature::decode(&mut header)?;
        self.read_nodes(header)?;
        Ok(Some(signature))
    }

    /// Reads the subtrees in a header.
    fn read_nodes(&mut self, mut header: &[u8]) -> Result<()> {
        match take(&mut header)? {
            TOO_MANY => self.nodes = None,
            count => {
                self.parts.push(count as usize);
                for _ in 0..count {
                    let node = Node { level: take(&mut header)? as u32, index: take(&mut header)? };
                    self.nodes.iter_mut().for_each(|nodes| nodes.push(node));
                }
            }
        }
        Ok(())
    }
}
