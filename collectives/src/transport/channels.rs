//! A link whose ranks are groups of threads of one process: messages are copied through channels, as MPI
//! would copy them through a network, so that programs for several ranks run in a plain test.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, unbounded};

use super::window::{Heap, Window};
use super::{Link, Message, Part};
use crate::buffer::Pool;
use crate::error::{Error, Result};

/// A message with its sender and tag, and when it arrives.
type Letter = (usize, u64, (Instant, Message));

/// Messages with the time of their arrival, by sender and tag.
type Inbox = HashMap<(usize, u64), VecDeque<(Instant, Message)>>;

/// What messages pass on their way: each rank's to each other one has its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire {
    pub(crate) latency: Duration,
    pub(crate) bytes_per_second: f64,
}

/// One rank's end.
struct Channels {
    rank: usize,
    network: Arc<Network>,
    pool: Pool,
    letters: Receiver<Letter>,
    /// Letters that nobody has asked for yet.
    inbox: Mutex<Inbox>,
    /// For each other rank, until when the wire to it carries what was sent before.
    busy: Mutex<Vec<Instant>>,
}

struct Network {
    ranks: Vec<Sender<Letter>>,
    failure: OnceLock<Error>,
    shared: OnceLock<Arc<Heap>>,
    wire: Option<Wire>,
}

/// So many ranks, each connected to all others, at once or by wires.
pub(crate) fn network(ranks: usize, wire: Option<Wire>) -> Vec<Arc<dyn Link>> {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..ranks).map(|_| unbounded()).unzip();
    let network =
        Arc::new(Network { ranks: senders, failure: OnceLock::new(), shared: OnceLock::new(), wire });
    let end = |(rank, letters)| {
        let network = network.clone();
        let busy = Mutex::new(vec![Instant::now(); ranks]);
        Arc::new(Channels { rank, network, pool: Pool::new(), letters, inbox: Mutex::default(), busy })
            as Arc<dyn Link>
    };
    receivers.into_iter().enumerate().map(end).collect()
}

impl Channels {
    fn check(&self) -> Result<()> {
        self.network.failure.get().map_or(Ok(()), |cause| Err(cause.clone()))
    }

    /// When so many bytes that are sent now arrive.
    fn arrival(&self, to: usize, bytes: usize) -> Instant {
        let Some(wire) = self.network.wire else { return Instant::now() };
        let until = &mut self.busy.lock().expect("wires")[to];
        *until = (*until).max(Instant::now()) + Duration::from_secs_f64(bytes as f64 / wire.bytes_per_second);
        *until + wire.latency
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
        let bytes = header.len() + parts.iter().map(|part| part.range.len()).sum::<usize>();
        let copies = parts.iter().map(|part| self.pool.copy_of(part.bytes())).collect();
        let letter = (self.arrival(to, bytes), (header.to_vec(), copies));
        // A rank that has ended needs no letters any more.
        let _ = self.network.ranks[to].send((self.rank, tag, letter));
        Ok(())
    }

    fn try_receive(&self, from: usize, tag: u64) -> Result<Option<Message>> {
        self.check()?;
        let mut inbox = self.inbox.lock().expect("inbox");
        for (from, tag, message) in self.letters.try_iter() {
            inbox.entry((from, tag)).or_default().push_back(message);
        }
        let Some(queue) = inbox.get_mut(&(from, tag)) else { return Ok(None) };
        let here = queue.front().is_some_and(|(arrival, _)| *arrival <= Instant::now());
        Ok(if here { queue.pop_front().map(|(_, message)| message) } else { None })
    }

    fn share(self: Arc<Self>, bytes: usize) -> Result<Option<Window>> {
        if self.network.wire.is_some() {
            return Ok(None);
        }
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
        let ends = network(2, None);
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
        let ends = network(3, None);
        ends[2].abort(&Error::new(ErrorKind::Peer, "gone"));
        assert_eq!(ends[0].try_receive(1, 0).unwrap_err().to_string(), "gone");
    }
}
