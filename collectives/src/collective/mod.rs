//! The collectives, one file each, and what they share: a `Member` of a group, and the steps it takes.
//!
//! A collective is a chain of rounds. `Member::start` posts the first offer; whenever a round
//! is complete the next step computes on what arrived, and either posts again or is done. Nothing in a step
//! waits, so a call that was started makes progress while its worker waits for any other.

pub(crate) mod across;
pub(crate) mod all_gather;
pub(crate) mod all_reduce;
pub(crate) mod all_to_all;
pub(crate) mod barrier;
pub(crate) mod broadcast;
pub(crate) mod exchange;
pub(crate) mod halving;
pub(crate) mod header;
pub(crate) mod pending;
pub(crate) mod permute;
pub(crate) mod reduce_scatter;
pub mod tree;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::buffer::{Buffer, Pool};
use crate::collective::exchange::Exchanging;
use crate::collective::pending::{Pending, Seat};
use crate::element::{Element, ElementType};
use crate::error::{Error, ErrorKind, Result};
use crate::mesh::AxisSet;
use crate::roster::LastCall;
use crate::signature::{Call, Signature};
use crate::sync::Mutex;
use crate::transport::window::Turns;
use crate::transport::{Arrival, Layout, Offer, Reach, Transport};

/// One worker's membership of a group.
pub(crate) struct Member {
    pub(crate) name: Arc<str>,
    pub(crate) axes: AxisSet,
    pub(crate) layout: Layout,
    /// Global index of each member.
    pub(crate) workers: Vec<usize>,
    /// Where those across the ranks exchange without messages, if all of them are on this machine; in a group on one
    /// rank, all of it.
    pub(crate) turns: Option<Turns>,
    pub(crate) transport: Box<dyn Transport>,
    pub(crate) seat: Arc<Seat>,
    /// Calls that this member has started.
    pub(crate) calls: AtomicU64,
    /// In a group over several ranks, the last call that this member has finished: all have made it, also those that it
    /// has not heard of.
    pub(crate) finished: Mutex<Option<LastCall>>,
}

/// What a collective does next.
pub(crate) enum Step<O> {
    Done(O),
    Post(Offer, Then<O>),
    Exchange(Box<dyn Exchanging<O>>),
}

/// What it does with what arrived.
pub(crate) type Then<O> = Box<dyn FnOnce(&Member, Vec<Arrival>) -> Result<Step<O>> + Send>;

impl<O> Step<O> {
    /// Posts an offer, and goes on with `then` when everyone in reach has.
    pub(crate) fn post(
        offer: Offer,
        then: impl FnOnce(&Member, Vec<Arrival>) -> Result<Self> + Send + 'static,
    ) -> Self {
        Self::Post(offer, Box::new(then))
    }
}

impl Member {
    pub(crate) fn size(&self) -> usize {
        self.workers.len()
    }

    pub(crate) fn index(&self) -> usize {
        self.layout.index
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.seat.pool
    }

    /// The members where this one is on all ranks, if the group lies evenly over several.
    pub(crate) fn across(&self) -> Option<&[usize]> {
        self.layout.across.as_deref()
    }

    /// The signature of a call, with the operand's type.
    pub(crate) fn signature<T: Element>(&self, call: &Call, collective: &'static str) -> Signature {
        Signature { element: Some(T::TYPE), ..Signature::new(call, self.seat.worker, collective) }
    }

    /// Begins a collective; every member must begin the same ones in the same order.
    pub(crate) fn start<O: Send + 'static>(
        self: &Arc<Self>,
        signature: Signature,
        first: Step<O>,
    ) -> Result<Pending<O>> {
        let (signature, number) = self.note(signature);
        Pending::start(self.clone(), signature, number, first)
    }

    /// A collective from its beginning to its end.
    pub(crate) fn call<O: Send>(self: &Arc<Self>, signature: Signature, first: Step<O>) -> Result<O> {
        let (signature, number) = self.note(signature);
        pending::call(self.clone(), signature, number, first)
    }

    /// Numbers a call, and notes it.
    fn note(&self, signature: Signature) -> (Arc<Signature>, u64) {
        let signature = Arc::new(signature);
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(
            target: "axisgrad::collective", number, worker = signature.worker, op = %signature.op, axis = %self.name,
            r#type = signature.element.map(ElementType::name), bytes = signature.bytes(), collective = %signature.collective,
        );
        self.seat.roster.record(LastCall { group: self.name.clone(), number, signature: signature.clone() });
        (signature, number)
    }

    /// Who meets on the boards.
    pub(crate) fn far(&self) -> Reach {
        if self.across().is_some() { Reach::Across } else { Reach::All }
    }

    /// Wakes the others after something has been posted on the boards; other ranks look by themselves.
    pub(crate) fn knock(&self) {
        if self.across().is_none() {
            let others = self.workers.iter().filter(|&&worker| worker != self.seat.worker);
            others.for_each(|&worker| self.seat.roster.knock(worker));
        }
    }

    /// The reach of a first round: local members where the group has two levels, else all of them.
    pub(crate) fn near(&self) -> Reach {
        if self.across().is_some() { Reach::Rank } else { Reach::All }
    }
}

/// The error of a call that no group could carry out.
pub(crate) fn usage(call: &Call, what: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Usage,
        format!("{}: {what}\n   at {}:{}", call.op, call.site.file(), call.site.line()),
    )
}

/// How many elements of type `T` a buffer holds.
pub(crate) fn len_of<T: Element>(buffer: &Buffer) -> usize {
    buffer.as_slice::<T>().len()
}
