//! A link whose ranks are threads that run one at a time, in an order drawn from a seed: messages are late and
//! overtake each other, a rank may crash, time is counted in turns; and a seed gives the same run every time.
//!
//! Every call of a link is a turn. Whoever makes one waits until the others do too (or have ended), and then one of
//! them is drawn to go on. So between two turns only one rank runs, and nothing depends on the machine.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::{Link, Message, Part};
use crate::buffer::Pool;
use crate::error::{Error, ErrorKind, Result};

/// What passes in one turn.
const TURN: Duration = Duration::from_millis(1);

/// How the ranks of a run are scheduled.
///
/// ```
/// use axisgrad_collectives::{Call, Error, Mesh, Reduction};
/// use axisgrad_collectives::transport::simulation::Simulation;
///
/// let run = |simulation: &Simulation| {
///     let mesh = Mesh::builder().axis("batch", 3).simulation(simulation, 3).build()?;
///     mesh.run(|w| {
///         let mine = w.pool().copy_of(&[w.index() as i32]);
///         let sum = w.group(&["batch"])?.all_reduce::<i32>(&Call::here("psum"), Reduction::Sum, mine)?;
///         Ok::<_, Error>(sum.as_slice::<i32>()[0])
///     })
/// };
/// let (first, second) = (Simulation::new(7), Simulation::new(7));
/// assert_eq!(run(&first)?, 3);
/// assert_eq!(run(&second)?, 3);
/// assert_eq!(first.trace(), second.trace());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Simulation {
    seed: u64,
    latest: u64,
    crash: Option<(usize, u64)>,
    trace: Arc<Mutex<u64>>,
}

impl Simulation {
    /// The run of this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, latest: 20, crash: None, trace: Arc::default() }
    }

    /// Messages take up to so many turns; 20 by default.
    pub fn latest(mut self, turns: u64) -> Self {
        self.latest = turns;
        self
    }

    /// A rank falls silent after so many turns, as if its process was killed.
    pub fn crash(mut self, rank: usize, turns: u64) -> Self {
        self.crash = Some((rank, turns));
        self
    }

    /// A hash of all turns of the last run, in order: who made which.
    pub fn trace(&self) -> u64 {
        *self.trace.lock().expect("trace")
    }

    /// So many ranks, each connected to all others.
    pub(crate) fn network(&self, ranks: usize) -> Vec<Arc<dyn Link>> {
        *self.trace.lock().expect("trace") = 0;
        let world = World {
            plan: self.clone(),
            random: self.seed,
            turn: 0,
            running: None,
            ranks: vec![State::Busy; ranks],
            wires: HashMap::new(),
            failure: None,
        };
        let world = Arc::new((Mutex::new(world), Condvar::new()));
        let start = Instant::now();
        let end = |rank| {
            Arc::new(End { rank, ranks, start, pool: Pool::new(), world: world.clone() }) as Arc<dyn Link>
        };
        (0..ranks).map(end).collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Between two turns.
    Busy,
    /// Waits for its turn.
    Waits,
    Ended,
}

struct World {
    plan: Simulation,
    random: u64,
    turn: u64,
    running: Option<usize>,
    ranks: Vec<State>,
    /// Messages under way, by sender, receiver and tag, with the turn in which they arrive.
    wires: HashMap<(usize, usize, u64), VecDeque<(u64, Message)>>,
    failure: Option<Error>,
}

struct End {
    rank: usize,
    ranks: usize,
    start: Instant,
    pool: Pool,
    world: Arc<(Mutex<World>, Condvar)>,
}

impl World {
    /// SplitMix64 (Steele, Lea and Flood, 2014).
    fn draw(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % below.max(1)
    }

    /// Draws who goes on, when nobody is between two turns.
    fn pass_on(&mut self) {
        if self.running.is_some() || self.ranks.contains(&State::Busy) {
            return;
        }
        let waiting: Vec<usize> =
            (0..self.ranks.len()).filter(|&rank| self.ranks[rank] == State::Waits).collect();
        if !waiting.is_empty() {
            self.running = Some(waiting[self.draw(waiting.len() as u64) as usize]);
        }
    }

    fn has_crashed(&self, rank: usize) -> bool {
        self.plan.crash.is_some_and(|(victim, turns)| victim == rank && self.turn > turns)
    }

    fn check(&self, rank: usize) -> Result<()> {
        if self.has_crashed(rank) {
            return Err(Error::new(ErrorKind::Peer, format!("rank {rank} has crashed in the simulation")));
        }
        self.failure.clone().map_or(Ok(()), Err)
    }
}

impl End {
    /// Waits for a turn of this rank's; `what` it is for goes into the trace.
    fn turn(&self, what: u64) -> MutexGuard<'_, World> {
        let (world, changed) = &*self.world;
        let mut world = world.lock().expect("world");
        world.ranks[self.rank] = State::Waits;
        world.pass_on();
        changed.notify_all();
        let mut world = changed.wait_while(world, |world| world.running != Some(self.rank)).expect("world");
        (world.running, world.ranks[self.rank]) = (None, State::Busy);
        world.turn += 1;
        let mut trace = world.plan.trace.lock().expect("trace");
        let step = (self.rank as u64) << 56 ^ what;
        *trace = (*trace ^ step).wrapping_mul(0x100_0000_01b3).rotate_left(23);
        drop(trace);
        world
    }
}

impl Link for End {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.ranks
    }

    fn send(&self, to: usize, tag: u64, header: &[u8], parts: &[Part]) -> Result<()> {
        let mut world = self.turn(tag.rotate_left(8) ^ to as u64);
        world.check(self.rank)?;
        let copies = parts.iter().map(|part| self.pool.copy_of(part.bytes())).collect();
        let latest = world.plan.latest;
        let due = world.turn + world.draw(latest + 1);
        let wire = world.wires.entry((self.rank, to, tag)).or_default();
        wire.push_back((due, (header.to_vec(), copies)));
        Ok(())
    }

    fn try_receive(&self, from: usize, tag: u64) -> Result<Option<Message>> {
        let mut world = self.turn(!tag.rotate_left(8) ^ from as u64);
        world.check(self.rank)?;
        let now = world.turn;
        let Some(wire) = world.wires.get_mut(&(from, self.rank, tag)) else { return Ok(None) };
        Ok(if wire.front().is_some_and(|(due, _)| *due <= now) {
            wire.pop_front().map(|(_, message)| message)
        } else {
            None
        })
    }

    fn abort(&self, cause: &Error) {
        let mut world = self.world.0.lock().expect("world");
        if !world.has_crashed(self.rank) {
            world.failure.get_or_insert_with(|| cause.clone());
        }
    }

    fn now(&self) -> Instant {
        self.start + TURN * self.world.0.lock().expect("world").turn as u32
    }

    fn leave(&self) {
        let (world, changed) = &*self.world;
        let mut world = world.lock().expect("world");
        world.ranks[self.rank] = State::Ended;
        world.pass_on();
        changed.notify_all();
    }
}
