//! Where the threads of a group lay down what they have for each other, round by round.

use crate::sync::Mutex;

/// Rounds of one group; each member posts once and takes once in every round. Rounds may overlap, and members
/// may be any number of rounds ahead of each other.
pub(crate) struct Rendezvous<T> {
    members: usize,
    rounds: Mutex<Vec<Round<T>>>,
}

struct Round<T> {
    number: u64,
    slots: Vec<Option<T>>,
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

    /// Whether everybody has posted in this round.
    pub(crate) fn complete(&self, number: u64) -> bool {
        let rounds = self.rounds.lock().expect("rendezvous");
        rounds.iter().any(|round| round.number == number && round.arrived == self.members)
    }

    /// Reads what every member posted, once per member and round; the last reader frees the round.
    ///
    /// # Panics
    /// If the round is not complete.
    pub(crate) fn take<R>(&self, number: u64, read: impl FnMut(&T) -> R) -> Vec<R> {
        let mut rounds = self.rounds.lock().expect("rendezvous");
        let at = rounds.iter().position(|round| round.number == number).expect("a round that was posted");
        let round = &mut rounds[at];
        let items =
            round.slots.iter().map(|slot| slot.as_ref().expect("a complete round")).map(read).collect();
        round.taken += 1;
        let finished = (round.taken == self.members).then(|| rounds.swap_remove(at));
        drop(rounds);
        // What the members posted is dropped outside the lock: it may be large.
        drop(finished);
        items
    }

    /// Who has not posted in this round.
    pub(crate) fn missing(&self, number: u64) -> Vec<usize> {
        let rounds = self.rounds.lock().expect("rendezvous");
        let round = rounds.iter().find(|round| round.number == number);
        (0..self.members).filter(|&member| round.is_none_or(|round| round.slots[member].is_none())).collect()
    }
}
