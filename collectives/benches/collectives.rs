//! What an all-reduce costs, for sizes and placements, beside MPI's own in the same run: the best of some rounds, and ratios.
//!
//!     scripts/bench collectives
//!     cargo bench -p axisgrad-collectives --features mpi --bench collectives
//!
//! Without MPI only threads are measured. With it, the program starts itself on several ranks.

use std::process::{Command, ExitCode};
use std::time::Instant;

use axisgrad_collectives::{Call, Error, Group, Mesh, Reduction, Worker};

const SIZES: [usize; 8] = [64, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 16 << 20, 64 << 20];
/// Rounds, in which everything is measured in turn.
const ROUNDS: usize = 21;

type Outcome = Result<(), Error>;

/// What the measured calls work on.
struct Bench<'w> {
    w: &'w Worker,
    group: Group,
    len: usize,
}

impl Bench<'_> {
    fn all_reduce(&self) -> Outcome {
        let mine = self.w.pool().alloc::<f32>(self.len).freeze();
        self.group.all_reduce::<f32>(&Call::here("psum"), Reduction::Sum, mine).map(drop)
    }

    fn reduce_scatter(&self) -> Outcome {
        let (mine, members) = (self.w.pool().alloc::<f32>(self.len).freeze(), self.group.size());
        let counts = vec![self.len / members; members];
        let call = Call::here("psum_scatter");
        self.group.reduce_scatter::<f32>(&call, Reduction::Sum, mine, &counts).map(drop)
    }
}

/// The fewest microseconds of each of these, run in turn, each so often that it takes a while.
fn best(group: &Group, bytes: usize, runs: &mut [&mut dyn FnMut() -> Outcome]) -> Result<Vec<f64>, Error> {
    let repeats = (2 << 20) / (bytes + 4000) + 1;
    let mut times = vec![Vec::new(); runs.len()];
    for round in 0..ROUNDS + 1 {
        for (run, times) in runs.iter_mut().zip(&mut times) {
            group.barrier(&Call::here("barrier"))?;
            let start = Instant::now();
            (0..repeats).try_for_each(|_| run())?;
            if round > 0 {
                times.push(start.elapsed().as_secs_f64() * 1e6 / repeats as f64);
            }
        }
    }
    Ok(times.into_iter().map(|times| times.into_iter().fold(f64::INFINITY, f64::min)).collect())
}

fn shown(bytes: usize) -> String {
    match bytes {
        _ if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        _ if bytes >= 1 << 10 => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} B"),
    }
}

fn on_threads(threads: usize) -> Outcome {
    println!("\n{threads} threads, one process, f32: microseconds\n");
    println!("| bytes | all_reduce | reduce_scatter |\n|---|---|---|");
    Mesh::builder().axis("batch", threads).threads(threads).build()?.run(|w| {
        for bytes in SIZES {
            let bench = Bench { w, group: w.group(&["batch"])?, len: bytes / 4 };
            let (mut reduce, mut scatter) = (|| bench.all_reduce(), || bench.reduce_scatter());
            let times = best(&bench.group, bytes, &mut [&mut reduce, &mut scatter])?;
            if w.is_root() {
                println!("| {} | {:.2} | {:.2} |", shown(bytes), times[0], times[1]);
            }
        }
        Ok::<_, Error>(())
    })
}

#[cfg(feature = "mpi")]
mod ranks {
    use axisgrad_collectives::{Mesh, MeshBuilder, Worker};
    use mpi::collective::SystemOperation;
    use mpi::topology::SimpleCommunicator;
    use mpi::traits::{Communicator, CommunicatorCollectives};

    use super::{Bench, Outcome, SIZES, best, shown};

    /// MPI's own, on the same data.
    struct Peer {
        world: SimpleCommunicator,
        mine: Vec<f32>,
        sum: Vec<f32>,
    }

    impl Peer {
        fn new(len: usize) -> Self {
            Self { world: SimpleCommunicator::world(), mine: vec![0.0; len], sum: vec![0.0; len] }
        }

        fn all_reduce(&mut self) -> Outcome {
            self.world.all_reduce_into(&self.mine[..], &mut self.sum[..], SystemOperation::sum());
            Ok(())
        }

        fn reduce_scatter(&mut self) -> Outcome {
            let share = self.mine.len() / self.world.size() as usize;
            let (mine, sum) = (&self.mine[..], &mut self.sum[..share]);
            self.world.reduce_scatter_block_into(mine, sum, SystemOperation::sum());
            Ok(())
        }
    }

    pub fn on_ranks(builder: MeshBuilder, what: &str) -> Outcome {
        let mesh = builder.axes(["batch"]).threads(1).build()?;
        mesh.run(|w| {
            if w.is_root() {
                println!("\n{} ranks, {what}, f32: microseconds, and MPI's time over ours\n", w.ranks());
                println!("| bytes | all_reduce | MPI's own | ratio | reduce_scatter | MPI's own | ratio |\n|---|---|---|---|---|---|---|");
            }
            SIZES.into_iter().try_for_each(|bytes| row(w, bytes))
        })
    }

    fn row(w: &Worker, bytes: usize) -> Outcome {
        let bench = Bench { w, group: w.group(&["batch"])?, len: bytes / 4 };
        let (mut peer, mut other) = (Peer::new(bytes / 4), Peer::new(bytes / 4));
        let (mut reduce, mut scatter) = (|| bench.all_reduce(), || bench.reduce_scatter());
        let (mut theirs, mut their_scatter) = (|| peer.all_reduce(), || other.reduce_scatter());
        let runs: &mut [&mut dyn FnMut() -> Outcome] =
            &mut [&mut reduce, &mut theirs, &mut scatter, &mut their_scatter];
        let t = best(&bench.group, bytes, runs)?;
        if w.is_root() {
            print!("| {} | {:.2} | {:.2} | {:.1} ", shown(bytes), t[0], t[1], t[1] / t[0]);
            println!("| {:.2} | {:.2} | {:.1} |", t[2], t[3], t[3] / t[2]);
        }
        Ok(())
    }

    pub fn both() -> Outcome {
        on_ranks(Mesh::builder(), "shared memory")?;
        on_ranks(Mesh::builder().shared_memory(false), "messages only")
    }
}

/// Under `mpirun`, one of the ranks; else threads here, and ranks of this very program.
fn main() -> Result<ExitCode, Error> {
    #[cfg(feature = "mpi")]
    if std::env::args().any(|arg| arg == "--ranks") {
        ranks::both()?;
        return Ok(ExitCode::SUCCESS);
    }
    for threads in [2, 4] {
        on_threads(threads)?;
    }
    if !cfg!(feature = "mpi") {
        println!(
            "
built without MPI: no ranks are measured"
        );
        return Ok(ExitCode::SUCCESS);
    }
    let program = std::env::current_exe()?;
    for ranks in ["2", "4"] {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/mpirun");
        let mut run = Command::new(script);
        let status = run.args(["-n", ranks, "--bin"]).arg(&program).args(["--", "--ranks"]).status()?;
        if !status.success() {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
