//! From sizes and options to a mesh that fits the machine.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use super::agree::agree;
use super::env::{Launcher, detect};
use super::peers::Peers;
use crate::error::Result;
use crate::mesh::{Shape, config};
use crate::transport::channels::Wire;
use crate::transport::simulation::Simulation;
use crate::transport::window::{Plan, Window};
use crate::transport::{Link, channels};

/// How long a collective waits for its members, unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A mesh of workers, ready to run programs. Cheap to clone.
///
/// ```
/// use axisgrad_collectives::{Error, Mesh};
/// let mesh = Mesh::builder().axis("batch", 2).axis("model", 2).build()?;
/// let places = mesh.run_all(|w| Ok::<_, Error>((w.coordinate("batch")?, w.coordinate("model")?)))?;
/// assert_eq!(places, [(0, 0), (0, 1), (1, 0), (1, 1)]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Mesh(Arc<Inner>);

struct Inner {
    shape: Shape,
    options: Options,
    /// Cores that this rank may use.
    cores: usize,
    /// Whether this machine has more workers than cores.
    crowded: bool,
    link: Option<Arc<dyn Link>>,
    peers: Option<Peers>,
    window: Option<Window>,
    runs: AtomicU64,
    running: Mutex<()>,
}

#[derive(Clone)]
struct Options {
    timeout: Duration,
    block: u64,
    fast: bool,
    simulated: bool,
    simulation: Option<Simulation>,
    ends_process: bool,
    shared_memory: bool,
    wire: Option<Wire>,
}

impl Mesh {
    /// A mesh to be described.
    pub fn builder() -> MeshBuilder {
        MeshBuilder::default()
    }

    /// The axes and the workers along them.
    pub fn shape(&self) -> &Shape {
        &self.0.shape
    }

    /// How long a collective waits for its members.
    pub fn timeout(&self) -> Duration {
        self.0.options.timeout
    }

    /// Positions of an axis that are reduced together.
    pub fn block(&self) -> u64 {
        self.0.options.block
    }

    /// Whether reductions may take any order that is fast.
    pub fn is_fast(&self) -> bool {
        self.0.options.fast
    }

    /// The other ranks on this machine, where ranks are processes.
    pub(super) fn peers(&self) -> Option<&Peers> {
        self.0.peers.as_ref()
    }

    /// Cores that this rank may use.
    pub fn cores(&self) -> usize {
        self.0.cores
    }

    /// Whether workers have to make room for each other.
    pub(super) fn is_crowded(&self) -> bool {
        self.0.crowded
    }

    /// Whether the ranks are groups of threads of this process.
    pub(super) fn simulated(&self) -> bool {
        self.0.options.simulated
    }

    /// Whether the process ends when a run has failed and a worker does not come back.
    pub(super) fn ends_process(&self) -> bool {
        self.0.options.ends_process
    }

    /// What the ranks of this machine share, where they are processes.
    pub(super) fn window(&self) -> Option<&Window> {
        self.0.window.as_ref()
    }

    /// How the memory that ranks share is laid out, where they are to share any.
    pub(super) fn plan(&self) -> Option<Plan> {
        Plan::new(self.shape()).filter(|_| self.0.options.shared_memory)
    }

    /// Connects the ranks that live in this process.
    pub(super) fn network(&self) -> Vec<Arc<dyn Link>> {
        match &self.0.options.simulation {
            Some(simulation) => simulation.network(self.shape().ranks()),
            None => channels::network(self.shape().ranks(), self.0.options.wire),
        }
    }

    /// Numbers the runs, alike on all ranks.
    pub(super) fn next_run(&self) -> u64 {
        self.0.runs.fetch_add(1, Ordering::Relaxed)
    }

    /// What a run over ranks holds while it goes on: they take their runs in order, and share memory for one.
    ///
    /// # Errors
    /// If another one goes on.
    pub(super) fn only_run(&self) -> Result<Option<MutexGuard<'_, ()>>> {
        match (self.link(), self.0.running.try_lock()) {
            (None, _) => Ok(None),
            (_, Ok(only)) => Ok(Some(only)),
            (_, Err(TryLockError::Poisoned(poisoned))) => Ok(Some(poisoned.into_inner())),
            (_, Err(TryLockError::WouldBlock)) => {
                Err(config("this mesh runs a program already: over ranks, one runs after another"))
            }
        }
    }

    /// What connects this rank to the others.
    pub(super) fn link(&self) -> Option<&Arc<dyn Link>> {
        self.0.link.as_ref()
    }
}

impl fmt::Debug for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mesh({})", self.summary())
    }
}

/// Describes a [`Mesh`].
#[derive(Clone, Default, Debug)]
pub struct MeshBuilder {
    axes: Vec<(String, Option<usize>)>,
    threads: Option<usize>,
    simulated_ranks: Option<usize>,
    simulation: Option<Simulation>,
    timeout: Option<Duration>,
    block: Option<u64>,
    fast: bool,
    announce: bool,
    messages_only: bool,
    wire: Option<Wire>,
}

impl MeshBuilder {
    /// Adds axes, in order, whose sizes are found: the first gets all workers that are left, the others one.
    pub fn axes<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.axes.extend(names.into_iter().map(|name| (name.into(), None)));
        self
    }

    /// Adds an axis with so many workers along it, or gives one that was added its size.
    pub fn axis(mut self, name: impl Into<String>, size: usize) -> Self {
        let name = name.into();
        match self.axes.iter_mut().find(|(axis, _)| *axis == name) {
            Some((_, old)) => *old = Some(size),
            None => self.axes.push((name, Some(size))),
        }
        self
    }

    /// The names so far.
    pub(super) fn has_axis(&self, name: &str) -> bool {
        self.axes.iter().any(|(axis, _)| axis == name)
    }

    /// Workers in each process. By default what the sizes ask for, else one for each core of this rank.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Plays so many ranks by groups of threads of this process, which exchange messages instead of sharing
    /// memory: programs for several ranks can be tested without MPI.
    pub fn simulated_ranks(mut self, ranks: usize) -> Self {
        self.simulated_ranks = Some(ranks);
        self
    }

    /// Simulated ranks are on machines of their own: what one sends another takes this long, plus the time that all it
    /// has sent it takes at this rate.
    pub fn simulated_network(mut self, latency: Duration, bytes_per_second: f64) -> Self {
        self.wire = Some(Wire { latency, bytes_per_second });
        self
    }

    /// Plays so many ranks, of one worker each, that run one at a time in an order drawn from a seed; see
    /// [`Simulation`]. Deadlines count a millisecond for each turn.
    pub fn simulation(mut self, simulation: &Simulation, ranks: usize) -> Self {
        self.simulation = Some(simulation.clone());
        self.threads(1).simulated_ranks(ranks)
    }

    /// How long a collective waits for its members; 60 s by default, and a hundred years at most.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        // So that a moment can be reckoned that far ahead.
        self.timeout = Some(timeout.min(Duration::from_secs(100 * 365 * 24 * 3600)));
        self
    }

    /// Positions of an axis that are reduced together; 32 by default. Results depend on it.
    pub fn block(mut self, block: u64) -> Self {
        self.block = Some(block);
        self
    }

    /// Lets reductions take any order that is fast: each worker sums all of its positions at once, so the bits
    /// depend on the number of workers.
    pub fn fast(mut self, fast: bool) -> Self {
        self.fast = fast;
        self
    }

    /// Whether ranks of one machine reduce through memory that they share, as they do by default; otherwise all they
    /// have for each other goes as messages. Results are the same.
    pub fn shared_memory(mut self, shared: bool) -> Self {
        self.messages_only = !shared;
        self
    }

    /// For a program of its own, rather than a part of another: says on stderr what runs where; and when a run has
    /// failed and a worker is stuck in its own code, ends the process, since nothing else can end a thread.
    pub fn announce(mut self) -> Self {
        self.announce = true;
        self
    }

    /// The mesh, connected to the other ranks where there are any.
    ///
    /// # Errors
    /// If the sizes do not fit the workers, something is zero, or this process is one of several ranks and
    /// cannot talk to the others.
    pub fn build(self) -> Result<Mesh> {
        let launcher = detect(|name| std::env::var(name).ok());
        let link = match self.simulated_ranks {
            Some(_) => None,
            None => connect(launcher.as_ref(), self.wait())?,
        };
        let ranks = self.simulated_ranks.unwrap_or_else(|| link.as_ref().map_or(1, |link| link.ranks()));
        let local_ranks = match self.simulated_ranks {
            Some(ranks) => ranks,
            None => launcher.and_then(|launcher| launcher.local_ranks).unwrap_or(ranks),
        };
        let peers = link.as_ref().map(|link| Peers::meet(&**link, self.wait())).transpose()?;
        let all_cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let share = peers
            .as_ref()
            .and_then(Peers::share_of_cores)
            .unwrap_or(all_cores / local_ranks.max(1) as f64)
            .min(all_cores);
        let mut mesh = self.fit(ranks, (share as usize).max(1), link)?;
        let crowded = mesh.shape().threads() as f64 > share;
        let mut window = None;
        if let Some(link) = mesh.link() {
            agree(&**link, &mesh.summary(), mesh.timeout())?;
            window = mesh.plan().map(|plan| link.clone().share(plan.bytes())).transpose()?.flatten();
        }
        let inner = Arc::get_mut(&mut mesh.0).expect("a mesh that nobody else has");
        (inner.crowded, inner.peers, inner.window) = (crowded, peers, window);
        if self.announce && mesh.link().is_none_or(|link| link.rank() == 0) {
            eprintln!("axisgrad: {}", mesh.summary());
        }
        Ok(mesh)
    }

    fn wait(&self) -> Duration {
        self.timeout.unwrap_or(TIMEOUT)
    }

    fn fit(&self, ranks: usize, cores: usize, link: Option<Arc<dyn Link>>) -> Result<Mesh> {
        let options = Options {
            timeout: self.wait(),
            block: self.block.unwrap_or(32),
            fast: self.fast,
            simulated: self.simulated_ranks.is_some(),
            simulation: self.simulation.clone(),
            ends_process: self.announce,
            shared_memory: !self.messages_only,
            wire: self.wire,
        };
        if options.timeout.is_zero() || options.block == 0 || ranks == 0 || self.threads == Some(0) {
            return Err(config(
                "--threads, --block and the number of ranks must be at least 1, and --timeout at least 1e-9",
            ));
        }
        let threads = self.threads.unwrap_or_else(|| self.threads_asked(ranks).unwrap_or(cores));
        let shape = Shape::new(self.sizes(ranks * threads), ranks, threads)?;
        Ok(Mesh(Arc::new(Inner {
            shape,
            options,
            cores,
            crowded: false,
            link,
            peers: None,
            window: None,
            runs: AtomicU64::new(0),
            running: Mutex::new(()),
        })))
    }

    /// Threads that make up the sizes, where all of them are given.
    fn threads_asked(&self, ranks: usize) -> Option<usize> {
        let product = self.axes.iter().map(|(_, size)| *size).product::<Option<usize>>()?;
        (!self.axes.is_empty() && product.is_multiple_of(ranks)).then(|| (product / ranks).max(1))
    }

    fn sizes(&self, workers: usize) -> Vec<(String, usize)> {
        let given: usize = self.axes.iter().filter_map(|(_, size)| *size).product();
        let mut left = Some((workers / given.max(1)).max(1));
        let size = |size: Option<usize>| size.unwrap_or_else(|| left.take().unwrap_or(1));
        let sizes: Vec<usize> = self.axes.iter().map(|(_, size)| *size).map(size).collect();
        self.axes.iter().map(|(name, _)| name.clone()).zip(sizes).collect()
    }
}

impl Mesh {
    /// `2 ranks x 4 threads = 8 workers; mesh batch=8; block 32`
    pub fn summary(&self) -> String {
        let count = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        let shape = self.shape();
        format!(
            "{} x {} = {}; mesh {shape}; {}{}",
            count(shape.ranks(), if self.simulated() { "simulated rank" } else { "rank" }),
            count(shape.threads(), "thread"),
            count(shape.workers(), "worker"),
            if self.is_fast() { "fast reductions".into() } else { format!("block {}", self.block()) },
            if self.0.options.shared_memory || shape.ranks() == 1 { "" } else { "; messages only" },
        )
    }
}

#[cfg(feature = "mpi")]
fn connect(launcher: Option<&Launcher>, timeout: Duration) -> Result<Option<Arc<dyn Link>>> {
    match launcher {
        Some(launcher) if launcher.ranks > 1 => crate::transport::mpi::connect(timeout).map(Some),
        _ => Ok(None),
    }
}

#[cfg(not(feature = "mpi"))]
fn connect(launcher: Option<&Launcher>, _: Duration) -> Result<Option<Arc<dyn Link>>> {
    match launcher {
        Some(launcher) if launcher.ranks > 1 => Err(config(format!(
            "this program was started as {} ranks by {}, but built without MPI: it would run as {0} separate \
             copies\n   build it with `cargo build --features mpi`, or start it without {1}",
            launcher.ranks, launcher.name
        ))),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(builder: MeshBuilder, ranks: usize, cores: usize) -> String {
        builder.fit(ranks, cores, None).map_or_else(|error| error.to_string(), |mesh| mesh.summary())
    }

    #[test]
    fn sizes_are_found() {
        let axes = || Mesh::builder().axes(["batch", "model"]);
        assert_eq!(fit(axes(), 2, 4), "2 ranks x 4 threads = 8 workers; mesh batch=8,model=1; block 32");
        assert_eq!(
            fit(axes().axis("model", 2), 1, 4),
            "1 rank x 4 threads = 4 workers; mesh batch=2,model=2; block 32"
        );
        assert_eq!(
            fit(axes().axis("batch", 2), 2, 4),
            "2 ranks x 4 threads = 8 workers; mesh batch=2,model=4; block 32"
        );
        assert_eq!(
            fit(Mesh::builder().axis("batch", 6), 2, 8),
            "2 ranks x 3 threads = 6 workers; mesh batch=6; block 32"
        );
    }

    #[test]
    fn what_does_not_fit_says_so() {
        let model = fit(Mesh::builder().axes(["batch"]).axis("model", 2), 1, 1);
        assert!(
            model.starts_with("mesh batch=1,model=2 is 2 workers, but there are 1 ranks x 1 threads = 1"),
            "{model}"
        );
        assert!(fit(Mesh::builder().axis("batch", 0), 1, 1).contains("axis `batch` has no workers"));
        assert!(fit(Mesh::builder().axes(["batch"]).threads(0), 1, 1).contains("--threads"));
        let half = usize::MAX / 2 + 1;
        assert!(fit(Mesh::builder().axis("batch", 2).axis("model", half), 1, 1).contains("but there are 1"));
    }

    #[test]
    #[cfg(not(feature = "mpi"))]
    fn ranks_without_mpi_are_refused() {
        let launcher = Launcher { name: "Slurm's srun", ranks: 4, local_ranks: None };
        let error = connect(Some(&launcher), Duration::ZERO).err().unwrap().to_string();
        assert!(
            error.contains("started as 4 ranks by Slurm's srun") && error.contains("--features mpi"),
            "{error}"
        );
    }
}
