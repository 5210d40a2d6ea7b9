//! Where the threads of a group lay down what they have for each other, round by round.

use std::ops::Range;

use smallvec::SmallVec;

use crate::sync::Mutex;

/// Rounds of one group; each member posts once and takes once in every round. Rounds may overlap, and members
/// may be any number of rounds ahead of each other.
pub(crate) struct Rendezvous<T> {
    members: usize,
    rounds: Mutex<Vec<Round<T>>>,
}

struct Round<T> {
    number: u64,
    slots: SmallVec<[Option<T>; 2]>,
    arrived: usize,
    taken: usize,
}

impl<T> Rendezvous<T> {
    /// A meeting point of so many members.
    pub(crate) fn new(members: usize) -> Self {
        Self { members, rounds: Mutex::new(Vec::new()) }
    }

    /// Lays down what `member` has in a round. True for the last to arrive, who wakes the others.
    pub(crate) fn post(&self, number: u64, member: usize, item: T) -> bool {
        let mut rounds = self.rounds.lock().expect("rendezvous");
        let at = rounds.iter().position(|round| round.number == number).unwrap_or_else(|| {
            let slots = (0..self.members).map(|_| None).collect();
            rounds.push(Round { number, slots, arrived: 0, taken: 0 });
            rounds.len() - 1
        });
        let round = &mut rounds[at];
        debug_assert!(round.slots[member].is_none(), "member {member} posted twice in round {number}");
        round.slots[member] = Some(item);
        round.arrived += 1;
        round.arrived == self.members
    }

    /// Reads what every member posted, if everybody has; once per member and round. The last reader frees it.
    pub(crate) fn take<R>(&self, number: u64, read: impl FnMut(&T) -> R) -> Option<Vec<R>> {
        let mut rounds = self.rounds.lock().expect("rendezvous");
        let complete = |round: &Round<T>| round.number == number && round.arrived == self.members;
        let at = rounds.iter().position(complete)?;
        let round = &mut rounds[at];
        let items = round.slots.iter().flatten().map(read).collect();
        round.taken += 1;
        let finished = (round.taken == self.members).then(|| rounds.swap_remove(at));
        drop(rounds);
        // What the members posted is dropped outside the lock: it may be large.
        drop(finished);
        Some(items)
    }

    /// Reads what a member has posted in one of these rounds, if that is still here.
    pub(crate) fn peek<R>(&self, rounds: Range<u64>, member: usize, read: impl FnMut(&T) -> R) -> Option<R> {
        let all = self.rounds.lock().expect("rendezvous");
        let mut these = all.iter().filter(|round| rounds.contains(&round.number));
        these.find_map(|round| round.slots[member].as_ref()).map(read)
    }

    /// Who has not posted in this round.
    pub(crate) fn missing(&self, number: u64) -> Vec<usize> {
        let rounds = self.rounds.lock().expect("rendezvous");
        let round = rounds.iter().find(|round| round.number == number);
        (0..self.members).filter(|&member| round.is_none_or(|round| round.slots[member].is_none())).collect()
    }
}

#[cfg(all(test, loom))]
mod model {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::sync::Bell;

    struct Meeting {
        rendezvous: Rendezvous<usize>,
        bells: [Bell; 2],
        failed: AtomicBool,
    }

    fn meeting() -> Arc<Meeting> {
        let bells = [Bell::default(), Bell::default()];
        Arc::new(Meeting { rendezvous: Rendezvous::new(2), bells, failed: AtomicBool::new(false) })
    }

    impl Meeting {
        fn post(&self, round: u64, me: usize) {
            if self.rendezvous.post(round, me, me * 10) {
                self.bells[1 - me].ring();
            }
        }

        /// Waits as workers do; what arrived, or nothing after a failure.
        fn wait(&self, round: u64, me: usize) -> Option<Vec<usize>> {
            loop {
                let heard = self.bells[me].count();
                if self.failed.load(Ordering::Acquire) {
                    return None;
                }
                if let Some(items) = self.rendezvous.take(round, |item| *item) {
                    return Some(items);
                }
                self.bells[me].sleep(heard, Duration::MAX, || false);
            }
        }
    }

    #[test]
    fn nobody_sleeps_through_a_round() {
        loom::model(|| {
            let meeting = meeting();
            let other = meeting.clone();
            let thread = loom::thread::spawn(move || {
                other.post(0, 1);
                assert_eq!(other.wait(0, 1), Some(vec![0, 10]));
            });
            meeting.post(0, 0);
            assert_eq!(meeting.wait(0, 0), Some(vec![0, 10]));
            thread.join().unwrap();
            assert!(meeting.rendezvous.rounds.lock().unwrap().is_empty());
        });
    }

    #[test]
    fn rounds_may_overlap() {
        loom::model(|| {
            let meeting = meeting();
            let other = meeting.clone();
            let thread = loom::thread::spawn(move || {
                other.post(0, 1);
                other.post(4, 1);
                assert_eq!(other.wait(4, 1), Some(vec![0, 10]));
            });
            meeting.post(4, 0);
            assert_eq!(meeting.wait(4, 0), Some(vec![0, 10]));
            thread.join().unwrap();
            assert_eq!(meeting.rendezvous.missing(0), [0]);
        });
    }

    #[test]
    fn a_failure_wakes_who_waits() {
        loom::model(|| {
            let meeting = meeting();
            let other = meeting.clone();
            let thread = loom::thread::spawn(move || {
                other.failed.store(true, Ordering::Release);
                other.bells.iter().for_each(Bell::ring);
            });
            meeting.post(0, 0);
            assert_eq!(meeting.wait(0, 0), None);
            thread.join().unwrap();
        });
    }
}
