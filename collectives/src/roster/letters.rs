//! What ranks tell each other besides the collectives: who has finished, and, when one asks, who is where.

use std::sync::Arc;

use super::{Farewell, LastCall, Roster};
use crate::error::Result;
use crate::mesh::AxisSet;
use crate::signature::{Signature, damaged, take, take_text};
use crate::transport::{LETTERS, of_run};

/// A worker has finished: its number, then the calls it has made in each of its groups.
const FAREWELL: u64 = 0;
/// Which calls have your workers made last?
const QUESTION: u64 = 1;
/// One of them: the group's name, the call's number, and its signature.
const ANSWER: u64 = 2;

impl Roster {
    pub(super) fn send_farewell(&self, worker: usize, calls: &Farewell) {
        let calls = calls.iter().flat_map(|&(axes, count)| [u64::from(axes), count]);
        let body: Vec<u8> = [worker as u64].into_iter().chain(calls).flat_map(u64::to_le_bytes).collect();
        self.send_to_all(FAREWELL, &body);
    }

    /// Asks the other ranks where their workers are. Whoever waits there answers.
    pub(crate) fn ask(&self) {
        self.send_to_all(QUESTION, &[]);
    }

    /// Reads the letters of other ranks.
    ///
    /// # Errors
    /// If another rank has failed.
    pub(crate) fn listen(&self) -> Result<()> {
        for rank in self.other_ranks() {
            let link = self.link.as_ref().expect("other ranks have a link");
            while let Some((letter, _)) = link.try_receive(rank, of_run(LETTERS, self.run))? {
                self.read(rank, &letter)?;
            }
        }
        Ok(())
    }

    fn read(&self, rank: usize, mut letter: &[u8]) -> Result<()> {
        if take(&mut letter)? != self.run {
            return Ok(());
        }
        match take(&mut letter)? {
            FAREWELL => self.note_farewell(letter),
            QUESTION => self.answer(rank),
            _ => self.note_answer(letter),
        }
    }

    fn note_farewell(&self, mut body: &[u8]) -> Result<()> {
        let worker = take(&mut body)? as usize;
        let mut calls = Farewell::new();
        while !body.is_empty() {
            calls.push((take(&mut body)? as AxisSet, take(&mut body)?));
        }
        let _ = self.entries.get(worker).ok_or_else(damaged)?.farewell.set(calls);
        Ok(())
    }

    fn note_answer(&self, mut body: &[u8]) -> Result<()> {
        let group = Arc::from(take_text(&mut body)?.as_ref());
        let number = take(&mut body)?;
        let signature = Arc::new(Signature::decode(&mut body)?);
        self.check(&signature)?;
        self.record(LastCall { group, number, signature });
        Ok(())
    }

    /// Says what this rank's workers have called last, as far as they have called anything.
    fn answer(&self, rank: usize) -> Result<()> {
        for LastCall { group, number, signature } in
            self.workers.clone().filter_map(|worker| self.last_call(worker))
        {
            let mut body = (group.len() as u64).to_le_bytes().to_vec();
            body.extend_from_slice(group.as_bytes());
            body.extend_from_slice(&number.to_le_bytes());
            signature.encode(&mut body);
            self.send(rank, ANSWER, &body)?;
        }
        Ok(())
    }

    fn other_ranks(&self) -> impl Iterator<Item = usize> + use<> {
        let (rank, ranks) = self.link.as_ref().map_or((0, 1), |link| (link.rank(), link.ranks()));
        (0..ranks).filter(move |&other| other != rank)
    }

    fn send_to_all(&self, kind: u64, body: &[u8]) {
        for rank in self.other_ranks() {
            // One that cannot be reached will be missed at the deadline.
            let _ = self.send(rank, kind, body);
        }
    }

    fn send(&self, rank: usize, kind: u64, body: &[u8]) -> Result<()> {
        let Some(link) = &self.link else { return Ok(()) };
        let letter = [&self.run.to_le_bytes(), &kind.to_le_bytes(), body].concat();
        link.send(rank, of_run(LETTERS, self.run), &letter, &[])
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop, proptest};

    use super::*;
    use crate::mesh::Shape;
    use crate::transport::channels::network;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_letter_of_any_bytes_is_read_or_refused(kind in 0u64..4, words in prop::collection::vec(0u64..4, 0..6), rest in prop::collection::vec(any::<u8>(), 0..100)) {
            let shape = Shape::new(vec![("batch".into(), 2)], 2, 1).expect("a shape");
            let roster = Roster::new(&shape, 0, network(2, None).pop(), 0);
            let words: Vec<u8> = [0, kind].into_iter().chain(words).flat_map(u64::to_le_bytes).collect();
            let _ = roster.read(0, &[&words[..], &rest].concat());
        }
    }
}
