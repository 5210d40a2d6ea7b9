//! A link whose ranks are groups of threads of one process: messages are copied through channels, as MPI
//! would copy them through a network, so that programs for several ranks run in a plain test.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock};

use crossbeam::channel::{Receiver, Sender, unbounded};

use super::window::{Heap, Window};
use super::{Link, Message, Part};
use crate::buffer::Pool;
use crate::error::{Error, Result};

/// A message with its sender and tag.
type Letter = (usize, u64, Message);

/// One rank's end.
struct Channels {
    rank: usize,
    network: Arc<Network>,
    pool: Pool,
    letters: Receiver<Letter>,
    /// Letters that nobody has asked for yet.
    inbox: Mutex<HashMap<(usize, u64), VecDeque<Message>>>,
}

struct Network {
    ranks: Vec<Sender<Letter>>,
    failure: OnceLock<Error>,
    shared: OnceLock<Arc<Heap>>,
}

/// So many ranks, each connected to all others.
pub(crate) fn network(ranks: usize) -> Vec<Arc<dyn Link>> {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..ranks).map(|_| unbounded()).unzip();
    let network = Arc::new(Network { ranks: senders, failure: OnceLock::new(), shared: OnceLock::new() });
    let end = |(rank, letters)| {
        let network = network.clone();
        Arc::new(Channels { rank, network, pool: Pool::new(), letters, inbox: Mutex::default() })
            as Arc<dyn Link>
    };
    receivers.into_iter().enumerate().map(end).collect()
}

impl Channels {
    fn check(&self) -> Result<()> {
        self.network.failure.get().map_or(Ok(()), |cause| Err(cause.clone()))
    }
}

impl Link for Channels {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.network.ranks.len()
    }

    fn send(&self, to: usize, tag: u64, header: &[u8], parts: &[Part]) -> Result<()> {
        self.check()?;
        let copies = parts.iter().map(|part| self.pool.copy_of(part.bytes())).collect();
        // A rank that has ended needs no letters any more.
        let _ = self.network.ranks[to].send((self.rank, tag, (header.to_vec(), copies)));
        Ok(())
    }

    fn try_receive(&self, from: usize, tag: u64) -> Result<Option<Message>> {
        self.check()?;
        let mut inbox = self.inbox.lock().expect("inbox");
        for (from, tag, message) in self.letters.try_iter() {
            inbox.entry((from, tag)).or_default().push_back(message);
        }
        Ok(inbox.get_mut(&(from, tag)).and_then(VecDeque::pop_front))
    }

    fn share(self: Arc<Self>, bytes: usize) -> Result<Option<Window>> {
        let heap = self.network.shared.get_or_init(|| Arc::new(Heap::new(self.ranks(), bytes)));
        Ok(heap.clone().window(self.rank))
    }

    fn abort(&self, cause: &Error) {
        let _ = self.network.failure.set(cause.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn letters_arrive_in_order_by_tag() {
        let ends = network(2);
        for (tag, text) in [(7, "a"), (8, "b"), (7, "c")] {
            let part = Part::whole(Pool::new().copy_of(&[tag as i64]));
            ends[0].send(1, tag, text.as_bytes(), &[part]).unwrap();
        }
        let receive = |tag| ends[1].try_receive(0, tag).unwrap();
        assert_eq!(receive(8).unwrap().0, b"b");
        let (header, parts) = receive(7).unwrap();
        assert_eq!((&header[..], parts[0].as_slice::<i64>()), (&b"a"[..], &[7][..]));
        assert_eq!(receive(7).unwrap().0, b"c");
        assert!(receive(7).is_none());
    }

    #[test]
    fn a_failure_reaches_everyone() {
        let ends = network(3);
        ends[2].abort(&Error::new(ErrorKind::Peer, "gone"));
        assert_eq!(ends[0].try_receive(1, 0).unwrap_err().to_string(), "gone");
    }
}
