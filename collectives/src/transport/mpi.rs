//! Messages among ranks over MPI.
//!
//! A message is a **packet**, sent with MPI tag 0, that carries the 64-bit tag, the header, and whatever parts
//! are small; the large parts follow on their own, straight from and into their buffers. A packet says
//! which MPI tag its parts use, so that the parts of two messages are never mixed up, and all matching by our
//! own tag is done here: MPI's tags are too few.
//!
//! | | messages | copies of a large part |
//! |---|---|---|
//! | parts that fit a packet | 1 | – |
//! | each larger part | + 1 (one a GiB) | none of ours |
//!
//! Any worker may send or receive at any time. One at a time moves the mail, under a lock, and sorts what
//! arrives for all of them; MPI runs with `MPI_THREAD_MULTIPLE` nevertheless, since workers take turns and
//! [`Link::abort`] waits for nobody's turn to end. No call waits for a peer.
//!
//! **The end.** A link says goodbye when it is dropped, and waits until every peer has said goodbye too and
//! nothing is under way; MPI is finalised when the process ends. A rank that waits for a message from one that has said
//! goodbye gets an error, once it has had the time to read what the other may have said about it in letters. [`Link::abort`] tells the peers the cause, prints it, and ends all of them
//! with `MPI_Abort`; of several ranks that do so at once the lowest prints, the others keep quiet.

mod packet;
mod raw;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::SIGTERM;

use crate::buffer::{Buffer, BufferMut, Pool};
use crate::error::{Error, ErrorKind, Result};
use crate::signals::Signals;
use crate::signature::damaged;
use crate::transport::window::Window;
use crate::transport::{Link, Message, Part, is_letter};
use packet::{Kind, Packet, Payload};
use raw::{Comm, SharedMemory, Transfer};

/// The MPI tag of packets.
const PACKETS: i32 = 0;
/// Every MPI library has at least this many tags.
const TAGS: u64 = 32_767;
/// How long a rank that fails listens for a lower one that failed at the same moment.
const FIRST_CAUSE: Duration = Duration::from_millis(20);
/// How long a rank that waits for one that has left reads its letters first, which say more.
const READING: Duration = Duration::from_millis(250);
/// Time for the launcher to forward what was printed: some end a job with its last words still in the pipe.
const FORWARDING: Duration = Duration::from_millis(100);
/// How long a launcher may take to end the other ranks of one that has died.
const LAUNCHER: Duration = Duration::from_millis(1500);
/// How long a rank that a peer is ending waits for that, before it ends by itself: Open MPI's launcher, when it
/// is to end a job, may first sleep for a second.
const GRACE: Duration = Duration::from_millis(250);

/// Joins MPI, initialising it if nobody has, and connects this rank to all the others.
///
/// Every rank must call it, as often and in the same order as the others. Links that are alive together do
/// not mix their messages. `timeout` bounds the wait for the peers when the link is dropped.
///
/// # Errors
/// If the program has finalised MPI, or MPI cannot be called from several threads.
pub fn connect(timeout: Duration) -> Result<Arc<dyn Link>> {
    let comm = Comm::of_world()?;
    let (rank, ranks) = comm.rank_and_size();
    let post = Mutex::new(Post::new(ranks));
    let shared = OnceLock::new();
    Ok(Arc::new(Mpi { comm, rank, ranks, timeout, pool: Pool::new(), post, shared }))
}

struct Mpi {
    comm: Comm,
    rank: usize,
    ranks: usize,
    timeout: Duration,
    pool: Pool,
    post: Mutex<Post>,
    /// Freed last: that waits for the peers, who have said goodbye by then.
    shared: OnceLock<Arc<SharedMemory>>,
}

/// What is under way, to and from everyone.
struct Post {
    peers: Vec<Peer>,
    outgoing: Vec<Transfer<Part>>,
    inbox: HashMap<(usize, u64), VecDeque<Incoming>>,
    /// The failures that ranks have told us of; the lowest one's is the cause.
    failures: BTreeMap<usize, Error>,
}

#[derive(Default)]
struct Peer {
    packets: VecDeque<Transfer<BufferMut>>,
    sent: u64,
    received: u64,
    /// How many packets the peer has sent in all, once it has said that it is done, and when it did.
    goodbye: Option<(u64, Instant)>,
}

/// A packet that has arrived, with parts that may still be under way.
struct Incoming {
    header: Vec<u8>,
    parts: Vec<Piece>,
}

enum Piece {
    Here(Buffer),
    Coming(Transfer<BufferMut>),
}

impl Link for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.ranks
    }

    fn send(&self, to: usize, tag: u64, header: &[u8], parts: &[Part]) -> Result<()> {
        let mut post = self.lock();
        let parts_tag = 1 + (post.peers[to].sent % TAGS) as i32;
        let (packet, large) = packet::encode(&self.pool, Kind::Data, tag, parts_tag, header, parts);
        self.send_packet(&mut post, to, packet)?;
        for part in large {
            post.outgoing.push(self.comm.send(part, to, parts_tag)?);
        }
        Ok(())
    }

    fn try_receive(&self, from: usize, tag: u64) -> Result<Option<Message>> {
        let mut post = match self.post.try_lock() {
            Ok(post) => post,
            // Another worker is moving the mail, ours included.
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        };
        if let Some(message) = post.take(from, tag)? {
            return Ok(Some(message));
        }
        self.advance(&mut post)?;
        let message = post.take(from, tag)?;
        if message.is_none() {
            post.check_alive(from, tag)?;
        }
        Ok(message)
    }

    fn share(self: Arc<Self>, bytes: usize) -> Result<Option<Window>> {
        if self.shared.get().is_some() {
            return Ok(None);
        }
        let memory = self.comm.share(bytes)?;
        let window = memory.window(self.clone());
        let _ = self.shared.set(memory);
        Ok(Some(window))
    }

    fn abort(&self, cause: &Error) {
        self.end_everyone(cause)
    }

    fn last_words(&self, from: usize) -> Option<Error> {
        let mut post = self.lock();
        self.listen(&mut post);
        post.failures.get(&from).cloned()
    }
}

impl Mpi {
    fn lock(&self) -> MutexGuard<'_, Post> {
        self.post.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn peers(&self) -> impl Iterator<Item = usize> + use<> {
        let rank = self.rank;
        (0..self.ranks).filter(move |&peer| peer != rank)
    }

    fn send_packet(&self, post: &mut Post, to: usize, packet: Part) -> Result<()> {
        post.peers[to].sent += 1;
        post.outgoing.push(self.comm.send(packet, to, PACKETS)?);
        Ok(())
    }

    fn send_notice(&self, post: &mut Post, kind: Kind, text: &str) -> Result<()> {
        for peer in self.peers() {
            let count = post.peers[peer].sent + 1;
            let (packet, _) = packet::encode(&self.pool, kind, count, 0, text.as_bytes(), &[]);
            self.send_packet(post, peer, packet)?;
        }
        Ok(())
    }

    /// Moves the mail: finishes what was sent, takes in what has come.
    fn advance(&self, post: &mut Post) -> Result<()> {
        post.finish_sent()?;
        while let Some((from, packet)) = self.comm.receive_any(PACKETS, &self.pool)? {
            post.peers[from].packets.push_back(packet);
        }
        for from in 0..self.ranks {
            while let Some(packet) = post.next_packet(from)? {
                let packet = packet::decode(&self.pool, packet.bytes()).ok_or_else(damaged)?;
                self.deliver(post, from, packet)?;
            }
        }
        Ok(())
    }

    fn deliver(&self, post: &mut Post, from: usize, packet: Packet) -> Result<()> {
        post.peers[from].received += 1;
        match packet.kind {
            Kind::Data => {
                let receive = |payload| match payload {
                    Payload::Here(buffer) => Ok(Piece::Here(buffer)),
                    Payload::Follows(len) => {
                        let memory = self.pool.alloc::<u8>(len);
                        self.comm.receive(memory, from, packet.parts_tag).map(Piece::Coming)
                    }
                };
                let parts = packet.payloads.into_iter().map(receive).collect::<Result<_>>()?;
                let queue = post.inbox.entry((from, packet.tag)).or_default();
                queue.push_back(Incoming { header: packet.header, parts });
            }
            Kind::Goodbye => post.peers[from].goodbye = Some((packet.tag, Instant::now())),
            Kind::Failure => post.note_failure(from, &String::from_utf8_lossy(&packet.header)),
        }
        Ok(())
    }

    /// Says goodbye and waits until everyone has, and nothing is under way.
    fn close(&self) -> Result<()> {
        self.send_notice(&mut self.lock(), Kind::Goodbye, "")?;
        let deadline = Instant::now() + self.timeout;
        while !self.is_closed()? {
            if Instant::now() > deadline {
                return Err(self.still_running());
            }
            self.rest();
        }
        Ok(())
    }

    /// Lets others have the core: for longer while nothing is under way.
    fn rest(&self) {
        match self.lock().outgoing.is_empty() {
            true => thread::sleep(Duration::from_micros(100)),
            false => thread::yield_now(),
        }
    }

    fn is_closed(&self) -> Result<bool> {
        let mut post = self.lock();
        self.advance(&mut post)?;
        if let Some(error) = post.failures.values().next() {
            return Err(error.clone());
        }
        let left = self.peers().all(|peer| post.peers[peer].has_left());
        Ok(left && post.outgoing.is_empty() && post.finish_inbox()?)
    }

    fn still_running(&self) -> Error {
        let post = self.lock();
        let missing: Vec<_> = self.peers().filter(|&peer| post.peers[peer].goodbye.is_none()).collect();
        Error::new(
            ErrorKind::Timeout,
            format!(
                "rank {} is done, and has waited {} s for ranks {missing:?} to be done\n   \
                 help: raise --timeout if they have work of their own to finish",
                self.rank,
                self.timeout.as_secs_f64()
            ),
        )
    }

    fn end_everyone(&self, cause: &Error) -> ! {
        let first = !self.is_somebody_elses(cause);
        if first {
            eprintln!("axisgrad: rank {} of {} ends the run: {cause:?}", self.rank, self.ranks);
            thread::sleep(FORWARDING);
        }
        // The peer that has printed its cause is ending us, or the launcher is, which knows that a process has died
        // and would begin anew if another aborted; should they not, we do.
        let patience = if cause.kind() == ErrorKind::Lost { LAUNCHER } else { GRACE * u32::from(!first) };
        let until = Instant::now() + patience;
        while Signals::received() == 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(2));
        }
        let asked = Signals::received();
        Signals::obey(if asked == 0 && !first && cause.kind() != ErrorKind::Lost { SIGTERM } else { asked });
        self.comm.abort()
    }

    /// Tells the peers, unless one of them was first: then the cause is theirs to print.
    fn is_somebody_elses(&self, cause: &Error) -> bool {
        let mut post = self.lock();
        if self.failed_rank(&mut post).is_some() {
            return true;
        }
        // Errors on the way out have nobody to go to.
        let _ = self.send_notice(&mut post, Kind::Failure, &cause.to_string());
        let until = Instant::now() + FIRST_CAUSE;
        while Instant::now() < until {
            thread::yield_now();
            if self.failed_rank(&mut post).is_some_and(|rank| rank < self.rank) {
                return true;
            }
        }
        false
    }

    /// The lowest rank that has told us of its failure.
    fn failed_rank(&self, post: &mut Post) -> Option<usize> {
        self.listen(post);
        post.failures.keys().next().copied()
    }

    /// Takes in all that has come, on the way out, when errors have nobody to go to.
    fn listen(&self, post: &mut Post) {
        // What a library takes in during one call it may show only in a later one.
        for _ in 0..4 {
            let _ = self.advance(post);
        }
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        if thread::panicking() {
            self.end_everyone(&Error::new(ErrorKind::Panic, "a panic outside of the mesh's run"));
        }
        if let Err(error) = self.close() {
            self.end_everyone(&error);
        }
    }
}

impl Post {
    fn new(ranks: usize) -> Self {
        let peers = (0..ranks).map(|_| Peer::default()).collect();
        Self { peers, outgoing: Vec::new(), inbox: HashMap::new(), failures: BTreeMap::new() }
    }

    fn finish_sent(&mut self) -> Result<()> {
        let mut index = 0;
        while index < self.outgoing.len() {
            if self.outgoing[index].test()? {
                self.outgoing.swap_remove(index);
            } else {
                index += 1;
            }
        }
        Ok(())
    }

    fn next_packet(&mut self, from: usize) -> Result<Option<Buffer>> {
        let packets = &mut self.peers[from].packets;
        let Some(first) = packets.front_mut() else { return Ok(None) };
        if !first.test()? {
            return Ok(None);
        }
        Ok(packets.pop_front().map(|packet| packet.into_memory().freeze()))
    }

    /// The oldest message with this tag, if it has arrived whole.
    fn take(&mut self, from: usize, tag: u64) -> Result<Option<Message>> {
        let Some(queue) = self.inbox.get_mut(&(from, tag)) else { return Ok(None) };
        let Some(first) = queue.front_mut() else { return Ok(None) };
        if !first.is_whole()? {
            return Ok(None);
        }
        Ok(queue
            .pop_front()
            .map(|message| (message.header, message.parts.into_iter().map(Piece::take).collect())))
    }

    fn finish_inbox(&mut self) -> Result<bool> {
        for message in self.inbox.values_mut().flatten() {
            if !message.is_whole()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn note_failure(&mut self, rank: usize, text: &str) {
        let error = || Error::new(ErrorKind::Peer, format!("rank {rank} has failed: {text}"));
        self.failures.entry(rank).or_insert_with(error);
    }

    fn check_alive(&self, from: usize, tag: u64) -> Result<()> {
        if let Some(error) = self.failures.values().next() {
            return Err(error.clone());
        }
        let pending = self.inbox.get(&(from, tag)).is_some_and(|queue| !queue.is_empty());
        let peer = &self.peers[from];
        let read = peer.goodbye.is_some_and(|(_, at)| at.elapsed() > READING);
        if peer.has_left() && read && !pending && !is_letter(tag) {
            let text = format!("rank {from} has finished, and will send nothing more");
            return Err(Error::new(ErrorKind::Peer, text));
        }
        Ok(())
    }
}

impl Peer {
    /// Whether it has said goodbye and everything that it sent before has come.
    fn has_left(&self) -> bool {
        self.goodbye.is_some_and(|(sent, _)| sent == self.received)
    }
}

impl Incoming {
    fn is_whole(&mut self) -> Result<bool> {
        for part in &mut self.parts {
            if let Piece::Coming(transfer) = part
                && !transfer.test()?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Piece {
    fn take(self) -> Buffer {
        match self {
            Self::Here(buffer) => buffer,
            Self::Coming(transfer) => transfer.into_memory().freeze(),
        }
    }
}
