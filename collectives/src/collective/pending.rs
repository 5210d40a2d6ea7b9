//! A collective under way, and the one place where workers wait.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::exchange::Exchanging;
use super::{Member, Step, Then};
use crate::buffer::Pool;
use crate::error::{Error, Result};
use crate::roster::{LastCall, Roster};
use crate::signature::{Signature, disagreement};
use crate::sync::Mutex;
use crate::transport::{Arrival, ROUNDS, Reach};

/// A collective that has been started and not been finished.
///
/// It makes progress whenever its worker waits in any other collective, or calls [`test`](Self::test). One
/// that is dropped unfinished still takes part in its remaining rounds, for the others' sake; its result is lost.
#[must_use = "a started collective must be finished to get its result"]
pub struct Pending<O>(Arc<Running<O>>);

struct Running<O> {
    member: Arc<Member>,
    signature: Arc<Signature>,
    /// Which of the group's calls this is.
    number: u64,
    state: Mutex<State<O>>,
}

enum State<O> {
    Posted {
        round: u64,
        reach: Reach,
        then: Then<O>,
    },
    /// A round without messages; the number is the next round's.
    Exchanging(u64, Box<dyn Exchanging<O>>),
    Done(Result<O>),
    /// While a step computes, and after the result has been taken.
    Empty,
}

impl<O> State<O> {
    fn is_under_way(&self) -> bool {
        matches!(self, Self::Posted { .. } | Self::Exchanging(..))
    }
}

impl<O: Send + 'static> Pending<O> {
    pub(crate) fn start(
        member: Arc<Member>,
        signature: Arc<Signature>,
        number: u64,
        first: Step<O>,
    ) -> Result<Self> {
        let seat = member.seat.clone();
        let running = Arc::new(Running::start(member, signature, number, first)?);
        seat.board(running.clone());
        Ok(Self(running))
    }

    /// Whether [`finish`](Self::finish) would return at once. Makes progress, never blocks.
    pub fn test(&self) -> bool {
        self.0.advance(0)
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// If members disagree on the call, one does not arrive before the deadline, or the run has failed.
    pub fn finish(self) -> Result<O> {
        self.0.result()
    }
}

/// A collective from its beginning to its end: its worker does nothing else meanwhile.
pub(crate) fn call<O: Send>(
    member: Arc<Member>,
    signature: Arc<Signature>,
    number: u64,
    first: Step<O>,
) -> Result<O> {
    Running::start(member, signature, number, first)?.result()
}

impl<O: Send> Running<O> {
    /// Waits for the result, and takes it.
    fn result(&self) -> Result<O> {
        self.member.seat.wait(self);
        match mem::replace(&mut *self.state.lock().expect("state"), State::Empty) {
            State::Done(result) => result,
            _ => unreachable!("a wait ends when the state is done"),
        }
    }
}

impl<O> Running<O> {
    fn start(member: Arc<Member>, signature: Arc<Signature>, number: u64, first: Step<O>) -> Result<Self> {
        let running = Self { member, signature, number, state: Mutex::new(State::Empty) };
        let state = running.enter(number * ROUNDS, first);
        if let State::Done(Err(error)) = state {
            return Err(error);
        }
        *running.state.lock().expect("state") = state;
        Ok(running)
    }

    /// Posts what a step offers; errors end the run.
    fn enter(&self, round: u64, step: Step<O>) -> State<O> {
        match step {
            Step::Done(output) => State::Done(Ok(output)),
            Step::Exchange(exchange) => State::Exchanging(round, exchange),
            Step::Post(offer, then) => {
                let reach = offer.reach;
                match self.member.transport.post(round, &self.signature, offer) {
                    Ok(()) => State::Posted { round, reach, then },
                    Err(error) => self.failed(error),
                }
            }
        }
    }

    fn failed(&self, error: Error) -> State<O> {
        State::Done(Err(self.member.seat.roster.fail(error)))
    }

    /// Takes one step if its round is complete; whether it was.
    fn step(&self, state: &mut State<O>, looks: u32) -> bool {
        if matches!(state, State::Done(_) | State::Empty) {
            return false;
        }
        let (next, stepped) = match self.member.seat.roster.failure() {
            Some(error) => (State::Done(Err(error.clone())), true),
            None => match mem::replace(state, State::Empty) {
                State::Posted { round, reach, then } => self.collect(round, reach, then),
                State::Exchanging(round, exchange) => self.exchange(round, exchange, looks),
                ended => (ended, false),
            },
        };
        *state = next;
        if matches!(state, State::Done(Ok(_))) {
            tracing::debug!(target: "axisgrad::done", worker = self.signature.worker, number = self.number);
            if self.member.across().is_some() {
                *self.member.finished.lock().expect("finished") = Some(self.as_last());
            }
        }
        stepped
    }

    fn as_last(&self) -> LastCall {
        let (group, signature) = (self.member.name.clone(), self.signature.clone());
        LastCall { group, number: self.number, signature }
    }

    fn exchange(&self, round: u64, mut exchange: Box<dyn Exchanging<O>>, looks: u32) -> (State<O>, bool) {
        match exchange.advance(&self.member, self.number, &self.signature, looks) {
            Ok(None) => (State::Exchanging(round, exchange), false),
            Ok(Some(step)) => (self.enter(round, step), true),
            Err(error) => (self.failed(error), true),
        }
    }

    fn collect(&self, round: u64, reach: Reach, then: Then<O>) -> (State<O>, bool) {
        let next = match self.member.transport.collect(round, reach, &self.signature) {
            Ok(None) => return (State::Posted { round, reach, then }, false),
            Ok(Some(arrivals)) => match self.arrive(arrivals, then) {
                Ok(step) => self.enter(round + 1, step),
                Err(error) => self.failed(error),
            },
            Err(error) => self.failed(error),
        };
        (next, true)
    }

    fn arrive(&self, arrivals: Vec<Arrival>, then: Then<O>) -> Result<Step<O>> {
        let calls = arrivals.iter().map(|arrival| &*arrival.signature);
        match disagreement(&self.member.name, calls) {
            Some(error) => Err(error),
            None => then(&self.member, arrivals),
        }
    }
}

/// What a waiting worker asks of a call under way.
trait Advance: Send + Sync {
    /// Takes the steps whose rounds are complete, looking so often at a board whether others have come; whether it is
    /// done.
    fn advance(&self, looks: u32) -> bool;
    /// Whether it waits for what others post on a board, which rings no bell.
    fn is_on_board(&self) -> bool;
    /// An error if another member is known to have made another call.
    fn compare(&self) -> Result<()>;
    /// Workers that have not posted in its round.
    fn missing(&self) -> Vec<usize>;
    fn fail(&self, error: Error);
    fn group(&self) -> &Member;
    fn as_last(&self) -> LastCall;
}

impl<O: Send> Advance for Running<O> {
    fn advance(&self, looks: u32) -> bool {
        // Another thread that holds the lock is making the progress already.
        let Ok(mut state) = self.state.try_lock() else { return false };
        while self.step(&mut state, looks) {}
        !state.is_under_way()
    }

    fn is_on_board(&self) -> bool {
        matches!(*self.state.lock().expect("state"), State::Exchanging(..))
    }

    fn compare(&self) -> Result<()> {
        match *self.state.lock().expect("state") {
            State::Exchanging(..) => self.member.transport.compare(self.number, &self.signature),
            _ => Ok(()),
        }
    }

    fn missing(&self) -> Vec<usize> {
        let missing = match &*self.state.lock().expect("state") {
            State::Posted { round, reach, .. } => self.member.transport.missing(*round, *reach),
            State::Exchanging(_, exchange) => exchange.missing(&self.member),
            _ => Vec::new(),
        };
        missing.into_iter().map(|member| self.member.workers[member]).collect()
    }

    fn fail(&self, error: Error) {
        *self.state.lock().expect("state") = self.failed(error);
    }

    fn group(&self) -> &Member {
        &self.member
    }

    fn as_last(&self) -> LastCall {
        Self::as_last(self)
    }
}

/// A worker's place in a run: what all its groups share.
pub(crate) struct Seat {
    pub(crate) worker: usize,
    pub(crate) roster: Arc<Roster>,
    pub(crate) pool: Pool,
    pub(crate) timeout: Duration,
    under_way: Mutex<Vec<Arc<dyn Advance>>>,
}

/// How often a worker with a core of its own looks for what others have posted before it looks at anything else, and
/// then sleeps.
const QUICK_LOOKS: u32 = 1000;
/// Looks at a board each time.
const BOARD_LOOKS: u32 = 16;
/// Looks at a link before its poller begins to sleep.
const LINK_LOOKS: u32 = 200;
/// How long before its deadline a worker asks the other ranks where theirs are.
const TIME_TO_ANSWER: Duration = Duration::from_millis(200);
/// Sleep between looks at a link.
const LINK_NAP: Duration = Duration::from_micros(50);
/// Sleep between looks at a board, for those who make another call and do not know that somebody sleeps there.
const BOARD_NAP: Duration = Duration::from_millis(5);

impl Seat {
    pub(crate) fn new(worker: usize, roster: Arc<Roster>, pool: Pool, timeout: Duration) -> Self {
        Self { worker, roster, pool, timeout, under_way: Mutex::default() }
    }

    /// Has a call advanced from now on whenever this worker waits.
    fn board(&self, call: Arc<dyn Advance>) {
        self.under_way.lock().expect("calls under way").push(call);
    }

    /// Advances every call under way, and forgets those that are done.
    fn advance_all(&self) {
        if let Ok(mut calls) = self.under_way.try_lock() {
            calls.retain(|call| !call.advance(0));
        }
    }

    /// Advances everything, this call last; whether it is done.
    fn advance(&self, call: &dyn Advance, looks: u32) -> bool {
        self.advance_all();
        call.advance(looks)
    }

    /// Returns when the call is done, well or badly.
    fn wait(&self, call: &dyn Advance) {
        self.roster.note_wait(self.worker, true);
        self.wait_for(call);
        self.roster.note_wait(self.worker, false);
    }

    fn wait_for(&self, call: &dyn Advance) {
        let (bell, spins) = (self.roster.bell(self.worker), self.roster.spins());
        let (mut deadline, mut asked) = (None, false);
        // Messages over a link ring no bell: look for them often at first.
        let mut looks = if self.roster.has_link() { LINK_LOOKS } else { 0 };
        let (mut quick, patience) = if spins > 0 { (QUICK_LOOKS, BOARD_LOOKS) } else { (0, 0) };
        loop {
            let heard = bell.count();
            if self.advance(call, patience) {
                return;
            }
            let on_board = call.is_on_board();
            if !on_board && bell.spin(heard, spins) {
                continue;
            }
            if quick > 0 {
                quick -= 1;
                continue;
            }
            // Nobody asks the clock before it has waited a while.
            let deadline = *deadline.get_or_insert_with(|| self.roster.now() + self.timeout);
            let left = self.left(deadline, &mut asked);
            if let Some(error) = self.hopeless(call, left) {
                return call.fail(error);
            }
            if looks > 0 {
                looks -= 1;
                std::thread::yield_now();
            } else {
                let nap = if self.roster.has_link() { LINK_NAP } else { BOARD_NAP };
                let nap = if on_board || self.roster.has_link() { left.min(nap) } else { left };
                bell.sleep(heard, nap, || self.advance(call, 0));
            }
        }
    }

    /// Time left until the deadline; just before it, other ranks are asked where their workers are.
    fn left(&self, deadline: Instant, asked: &mut bool) -> Duration {
        let left = deadline.saturating_duration_since(self.roster.now());
        if left < (self.timeout / 4).min(TIME_TO_ANSWER) && !mem::replace(asked, true) {
            self.roster.ask();
        }
        left
    }

    /// Takes part in what was started and never finished, for the others' sake.
    pub(crate) fn drain(&self) {
        let calls = self.under_way.lock().expect("calls under way").clone();
        calls.iter().for_each(|call| self.wait(&**call));
    }

    /// Forgets what is under way, at the end of a run that has failed: a call keeps its member alive, and so this.
    pub(crate) fn leave(&self) {
        let left = self.under_way.lock().map(|mut calls| mem::take(&mut *calls));
        drop(left);
    }

    /// An error if a call under way is known to be another one for another member.
    fn compare_all(&self) -> Result<()> {
        self.under_way.try_lock().map_or(Ok(()), |calls| calls.iter().try_for_each(|call| call.compare()))
    }

    /// Why waiting on makes no sense, if it does not.
    fn hopeless(&self, call: &dyn Advance, left: Duration) -> Option<Error> {
        let compared = || self.compare_all().and_then(|()| call.compare());
        if let Err(error) = self.roster.listen().and_then(|()| compared()) {
            return Some(error);
        }
        let (group, this) = (call.group(), call.as_last());
        let mut missing = call.missing().into_iter();
        if let Some(gone) = missing.find(|&worker| self.roster.has_left(worker, group.axes, this.number)) {
            return Some(self.roster.finished_early(&this.group, &this.signature, gone));
        }
        left.is_zero().then(|| {
            let finished = group.finished.lock().expect("finished");
            self.roster.late(&this, finished.as_ref(), &group.workers, self.timeout)
        })
    }
}
