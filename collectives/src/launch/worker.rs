//! What a program sees of the worker that runs it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::builder::Mesh;
use crate::buffer::Pool;
use crate::collective::Member;
use crate::collective::pending::Seat;
use crate::error::Result;
use crate::group::Group;
use crate::mesh::AxisSet;
use crate::roster::Roster;
use crate::signals::Signals;
use crate::sync::Mutex;
use crate::transport::hybrid::{Address, Hybrid, tag};
use crate::transport::threads::{Hub, Threads};
use crate::transport::window::{Turns, Window};
use crate::transport::{Layout, Link, Reach, Transport};
use crate::transport::{doubling, halving};

/// One worker of a mesh: a thread of a rank, running the program.
pub struct Worker {
    index: usize,
    mesh: Mesh,
    process: Arc<Process>,
    pub(super) seat: Arc<Seat>,
    groups: Mutex<HashMap<AxisSet, Group>>,
}

/// Looks at the bell before sleeping, where every worker has a core of its own; a model checker need not try them.
const SPINS: u32 = if cfg!(loom) { 0 } else { 50 };
/// The same where there is a link to be looked at too, whose messages ring no bell.
const LINK_SPINS: u32 = 4;

/// What the workers of one rank share during a run.
pub(crate) struct Process {
    pub(crate) rank: usize,
    pub(crate) roster: Arc<Roster>,
    link: Option<Arc<dyn Link>>,
    window: Option<Window>,
    run: u64,
    /// Meeting places, by set of axes and first worker.
    hubs: Mutex<HashMap<(AxisSet, usize), Arc<Hub>>>,
}

impl Process {
    /// One rank in a run.
    pub(super) fn new(mesh: &Mesh, link: Option<Arc<dyn Link>>, window: Option<Window>, run: u64) -> Self {
        let spins = match &link {
            _ if mesh.is_crowded() => 0,
            Some(_) => LINK_SPINS,
            None => SPINS,
        };
        let rank = link.as_ref().map_or(0, |link| link.rank());
        let roster = Arc::new(Roster::new(mesh.shape(), spins, link.clone(), run));
        Self { rank, roster, link, window, run, hubs: Mutex::default() }
    }

    /// What connects this rank to the others.
    pub(super) fn link(&self) -> Option<&Arc<dyn Link>> {
        self.link.as_ref()
    }

    fn hub(&self, axes: AxisSet, name: &Arc<str>, workers: Vec<usize>) -> Arc<Hub> {
        let mut hubs = self.hubs.lock().expect("hubs");
        let hub = || Arc::new(Hub::new(self.roster.clone(), name.clone(), workers.clone()));
        hubs.entry((axes, workers[0])).or_insert_with(hub).clone()
    }
}

impl Worker {
    pub(super) fn new(mesh: &Mesh, process: &Arc<Process>, index: usize) -> Self {
        let seat = Seat::new(index, process.roster.clone(), Pool::new(), mesh.timeout());
        Self {
            index,
            mesh: mesh.clone(),
            process: process.clone(),
            seat: Arc::new(seat),
            groups: Mutex::default(),
        }
    }

    /// Which worker this is, of all; workers are numbered rank by rank.
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.mesh.shape().workers()
    }

    /// The rank that this worker belongs to.
    pub fn rank(&self) -> usize {
        self.process.rank
    }

    /// How many ranks there are.
    pub fn ranks(&self) -> usize {
        self.mesh.shape().ranks()
    }

    /// Which thread of its rank this is.
    pub fn thread(&self) -> usize {
        self.index % self.threads()
    }

    /// How many threads each rank has.
    pub fn threads(&self) -> usize {
        self.mesh.shape().threads()
    }

    /// Cores that this worker may keep busy.
    pub fn cores(&self) -> usize {
        (self.mesh.cores() / self.threads()).max(1)
    }

    /// Whether this is worker 0, who speaks for all.
    pub fn is_root(&self) -> bool {
        self.index == 0
    }

    /// Names and sizes of the axes, in mesh order.
    pub fn axes(&self) -> &[(String, usize)] {
        self.mesh.shape().axes()
    }

    /// Where this worker is along an axis.
    ///
    /// # Errors
    /// If the mesh has no such axis.
    pub fn coordinate(&self, axis: &str) -> Result<usize> {
        let shape = self.mesh.shape();
        Ok(shape.coordinates(self.index)[shape.axis(axis)?])
    }

    /// The group that these axes span through this worker. The order of the names does not matter; without
    /// names it is this worker alone.
    ///
    /// # Errors
    /// If the mesh has no such axis, or a name is repeated.
    pub fn group(&self, axes: &[&str]) -> Result<Group> {
        let axes = self.mesh.shape().axis_set(axes)?;
        let mut groups = self.groups.lock().expect("groups");
        Ok(groups.entry(axes).or_insert_with(|| self.join(axes)).clone())
    }

    fn join(&self, axes: AxisSet) -> Group {
        let shape = self.mesh.shape();
        let workers = shape.members(self.index, axes);
        let layout = layout(&workers, self.index, shape.threads());
        let name: Arc<str> = shape.names(axes).into();
        let near: Vec<usize> = layout.rank.iter().map(|&member| workers[member]).collect();
        let hub = self.process.hub(axes, &name, near);
        Group(Arc::new(Member {
            turns: self.turns(axes, &workers, &layout, &hub),
            transport: self.transport(&name, axes, &workers, &layout, hub),
            name,
            axes,
            layout,
            workers,
            seat: self.seat.clone(),
            calls: AtomicU64::new(0),
            finished: Mutex::new(None),
        }))
    }

    /// Where the members across the ranks meet, if this machine has all of them; or those of a group on one rank.
    fn turns(&self, axes: AxisSet, workers: &[usize], layout: &Layout, hub: &Hub) -> Option<Turns> {
        if layout.rank.len() == workers.len() {
            return hub.board(layout.index);
        }
        let (window, plan) = (self.process.window.as_ref()?, self.mesh.plan()?);
        layout.across.as_ref()?;
        let place = |&member: &usize| (workers[member] / self.threads(), workers[member] % self.threads());
        let members: Vec<_> = layout.members(Reach::Across).iter().map(place).collect();
        window.board(plan, axes, &members, layout.place(Reach::Across))
    }

    fn transport(
        &self,
        name: &Arc<str>,
        axes: AxisSet,
        workers: &[usize],
        layout: &Layout,
        hub: Arc<Hub>,
    ) -> Box<dyn Transport> {
        let local = Threads::new(hub, layout.place(Reach::Rank));
        let link = self.process.link.as_ref().filter(|_| layout.rank.len() < workers.len());
        let Some(link) = link else { return Box::new(local) };
        let (run, threads, me) = (self.process.run, self.threads(), self.thread());
        let address = |worker: &usize| Address {
            rank: worker / threads,
            from: tag(run, axes, worker % threads, me),
            to: tag(run, axes, me, worker % threads),
        };
        Box::new(Hybrid {
            name: name.clone(),
            layout: layout.clone(),
            local,
            link: link.clone(),
            roster: self.process.roster.clone(),
            addresses: workers.iter().map(address).collect(),
            run,
            inbox: Default::default(),
        })
    }

    /// How many calls this worker has made in each of its groups.
    pub(super) fn calls(&self) -> Vec<(AxisSet, u64)> {
        let groups = self.groups.lock().expect("groups");
        groups.iter().map(|(axes, group)| (*axes, group.0.calls.load(Ordering::Relaxed))).collect()
    }

    /// Positions of an axis that are reduced together: the leaves of the tree are blocks of so many.
    pub fn block(&self) -> u64 {
        self.mesh.block()
    }

    /// This worker's buffers.
    pub fn pool(&self) -> &Pool {
        &self.seat.pool
    }

    /// Listens to the signals that ask the process to end, which from now on the program deals with.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn signals(&self) -> std::io::Result<Signals> {
        let signals = Signals::listen()?;
        self.process.roster.hear_signals();
        Ok(signals)
    }

    /// Notes the step that the program is in: if the run fails, its report says so.
    pub fn note_step(&self, step: u64) {
        self.process.roster.note_step(self.index, step);
    }

    /// Whether reductions may take any order that is fast, and so may give other bits on other meshes.
    pub fn is_fast(&self) -> bool {
        self.mesh.is_fast()
    }

    /// How long a collective waits for its members.
    pub fn timeout(&self) -> Duration {
        self.seat.timeout
    }
}

/// Who the members of a group are to worker `me`.
fn layout(workers: &[usize], me: usize, threads: usize) -> Layout {
    let rank_of = |member: &usize| workers[*member] / threads;
    let all: Vec<usize> = (0..workers.len()).collect();
    let index = workers.iter().position(|&worker| worker == me).expect("a member of its group");
    let rank: Vec<usize> = all.iter().copied().filter(|member| rank_of(member) == me / threads).collect();
    let on_rank = |other: usize| all.iter().filter(|member| rank_of(member) == other).count();
    let even = all.iter().all(|member| on_rank(rank_of(member)) == rank.len());
    let across: Option<Vec<usize>> = (even && rank.len() < all.len())
        .then(|| all.iter().copied().filter(|member| member % rank.len() == index % rank.len()).collect());
    let members = across.as_deref().unwrap_or_default();
    let (doubling, halving) = (doubling::meetings(members, index), halving::meetings(members, index));
    Layout { index, all, rank, across, doubling, halving }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::Call;
    use crate::transport::channels::network;

    #[test]
    fn a_group_on_one_rank_has_one_level() {
        let flat = layout(&[4, 6], 6, 4);
        assert_eq!((flat.index, flat.rank, flat.across), (1, vec![0, 1], None));
    }

    #[test]
    fn a_group_over_ranks_has_two_levels_where_it_lies_evenly() {
        let even = layout(&[0, 2, 4, 6], 6, 4);
        assert_eq!((even.index, even.rank, even.across), (3, vec![2, 3], Some(vec![1, 3])));
        let uneven = layout(&[3, 4, 5], 5, 2);
        assert_eq!((uneven.index, uneven.rank, uneven.across), (2, vec![1, 2], None));
        assert_eq!(layout(&[3, 4, 5], 3, 2).across, None);
    }

    #[test]
    fn a_rank_may_be_ahead_by_a_run() {
        let builder = Mesh::builder().axes(["batch"]).threads(1).simulated_ranks(2);
        let mesh = builder.timeout(Duration::from_secs(10)).build().unwrap();
        let links = network(2, None);
        let program = &|rank: usize| {
            for run in 0..2 {
                let process = Arc::new(Process::new(&mesh, Some(links[rank].clone()), None, run));
                let worker = Worker::new(&mesh, &process, rank);
                let mine = worker.pool().copy_of(&[rank as u64]);
                let group = worker.group(&["batch"]).unwrap();
                let all = group.start_all_gather::<u64>(&Call::here("all_gather"), mine).unwrap();
                if (rank, run) == (1, 0) {
                    // The other is in the next run by then.
                    std::thread::sleep(Duration::from_millis(50));
                }
                assert_eq!(all.finish().unwrap().len(), 2, "run {run}");
                process.roster.finish(rank, worker.calls());
            }
        };
        std::thread::scope(|scope| (0..2).for_each(|rank| drop(scope.spawn(move || program(rank)))));
    }
}
