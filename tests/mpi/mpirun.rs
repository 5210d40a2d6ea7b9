//! Runs the programs of this package under `mpirun`: what must work, and what must fail fast, say why, and
//! leave nothing behind.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const LINK: &str = env!("CARGO_BIN_EXE_mpi-link");
const SUITE: &str = env!("CARGO_BIN_EXE_mpi-suite");
const TRAINER: &str = env!("CARGO_BIN_EXE_trainer");
const VICTIM: &str = env!("CARGO_BIN_EXE_mpi-victim");

/// No run may take longer, whatever happens.
const LIMIT: Duration = Duration::from_secs(240);
/// Far below the deadline of collectives (60 s), far above what a loaded machine needs to fail.
const SOON: Duration = Duration::from_secs(20);

/// A run under `mpirun`, which is ended with the value.
struct Run {
    child: Child,
    /// What is printed, on stdout and stderr: a file, which no process that is left over keeps from ending.
    log: PathBuf,
    /// Where each rank says that it has made its first step, and which process it is.
    steps: PathBuf,
    start: Instant,
}

struct End {
    status: ExitStatus,
    text: String,
    took: Duration,
}

impl Run {
    fn start(ranks: usize, program: &str, args: &[&str]) -> Self {
        Self::start_logging(ranks, program, args, "")
    }

    /// With `RUST_LOG`.
    fn start_logging(ranks: usize, program: &str, args: &[&str], log_what: &str) -> Self {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("run-{}-{run}", std::process::id()));
        let file = File::create(&log).expect("a log file");
        let steps = log.with_extension("steps");
        fs::create_dir_all(&steps).expect("a folder");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/mpirun");
        let mut command = Command::new(script);
        command.args(["-n", &ranks.to_string(), "--bin", program, "--"]).args(args);
        // Backtraces would stand between what tests look for.
        command.env("RUST_BACKTRACE", "0").env("AXISGRAD_TEST_STEPS", &steps).stdin(Stdio::null());
        if !log_what.is_empty() {
            command.env("RUST_LOG", log_what);
        }
        command.stdout(file.try_clone().expect("a log file")).stderr(file);
        let child = command.spawn().expect("scripts/mpirun starts");
        Self { child, log, steps, start: Instant::now() }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).expect("the log")).into_owned()
    }

    /// The processes of the ranks that have made their first step.
    fn processes(&self) -> Vec<(usize, u32)> {
        let files = fs::read_dir(&self.steps).expect("the folder").filter_map(|file| Some(file.ok()?.path()));
        let process = |file: PathBuf| {
            let rank = file.file_name()?.to_str()?.parse().ok()?;
            Some((rank, fs::read_to_string(file).ok()?.parse().ok()?))
        };
        files.filter_map(process).collect()
    }

    /// Waits until so many ranks have made their first step; returns their processes by rank.
    fn wait_for_steps(&mut self, ranks: usize) -> Vec<u32> {
        assert!(within(LIMIT, || self.processes().len() == ranks), "{}", self.text());
        let mut processes = self.processes();
        processes.sort_unstable();
        processes.into_iter().map(|(_, process)| process).collect()
    }

    /// Waits for the end, within the limit, and for every process of the run to be gone.
    fn end(mut self) -> End {
        assert!(within(LIMIT, || self.status().is_some()), "no end after {LIMIT:?}\n{}", self.text());
        let (took, text) = (self.start.elapsed(), self.text());
        for (_, process) in self.processes() {
            assert!(within(SOON, || is_gone(process)), "process {process} is left over\n{text}");
        }
        End { status: self.status().expect("ended"), text, took }
    }

    fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.status().is_none() {
            // The script ends its own children when it is asked to.
            signal("TERM", self.child.id());
            let _ = self.child.wait();
        }
        let _ = fs::remove_file(&self.log);
        let _ = fs::remove_dir_all(&self.steps);
    }
}

impl End {
    fn succeeds(&self) -> &str {
        assert!(self.status.success(), "{}\n{}", self.status, self.text);
        &self.text
    }

    /// Fails within the time, and says all of these.
    fn fails(&self, within: Duration, says: &[&str]) {
        assert!(!self.status.success(), "{}", self.text);
        assert!(self.took < within, "took {:?}\n{}", self.took, self.text);
        for said in says {
            assert!(self.text.contains(said), "it does not say {said:?}:\n{}", self.text);
        }
        let causes = self.text.matches(" ends the run: ").count();
        assert!(causes <= 1, "{causes} causes are reported:\n{}", self.text);
    }
}

fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() > limit {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(sent.expect("kill runs").success(), "kill -{name} {process}");
}

/// Whether a process has ended; its number may belong to another by now, or nobody may have asked yet how
/// it ended.
fn is_gone(process: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat"));
    state.map_or(true, |state| state.contains(") Z ") || !state.contains("mpi-victim"))
}

fn victim(fault: &str, more: &[&str]) -> End {
    Run::start(3, VICTIM, &[&[fault, "--threads", "2"], more].concat()).end()
}

#[test]
fn messages_arrive_whole_and_in_order() {
    for (ranks, threads, rounds) in [(1, 2, 5), (2, 1, 40), (3, 2, 20), (4, 1, 20), (2, 4, 20)] {
        let end = Run::start(ranks, LINK, &[&threads.to_string(), &rounds.to_string()]).end();
        assert_eq!(end.succeeds().matches("messages arrived whole").count(), ranks, "{}", end.text);
    }
}

#[test]
fn every_collective_on_one_to_four_ranks() {
    let runs = (1..=4)
        .map(|ranks| (ranks, &[][..]))
        .chain([(2, &["--messages-only"][..]), (3, &["--messages-only"])]);
    for (ranks, args) in runs {
        let end = Run::start(ranks, SUITE, args).end();
        let said = end.succeeds().lines().find(|line| line.contains(" checks on ")).expect("a count");
        println!("{said}");
    }
}

/// From seven ranks on small sums go by recursive doubling; here threads play them.
#[test]
fn every_collective_on_seven_ranks() {
    let end = Run::start(1, SUITE, &["--simulate", "7", "--messages-only"]).end();
    assert!(end.succeeds().contains(" checks on "), "{}", end.text);
}

#[test]
fn nothing_goes_wrong() {
    let end = victim("none", &[]);
    assert_eq!(end.succeeds().matches("done").count(), 3);
}

#[test]
fn a_rank_is_killed() {
    let mut run = Run::start(3, VICTIM, &["long", "--threads", "2"]);
    let processes = run.wait_for_steps(3);
    signal("KILL", processes[1]);
    // The launcher ends the other ranks at once; they say first why. MPICH's does not let them.
    if std::env::var("AXISGRAD_MPI").is_ok_and(|mpi| mpi == "mpich") {
        return run.end().fails(SOON, &["Killed (signal 9)"]);
    }
    let died = format!("rank 1 (process {}) has died without a word", processes[1]);
    run.end().fails(SOON, &[&died, "waits in any bool[1] (victim.rs:"]);
}

#[test]
fn a_rank_is_stopped() {
    let mut run = Run::start(3, VICTIM, &["long", "--threads", "2", "--timeout", "3"]);
    let processes = run.wait_for_steps(3);
    signal("STOP", processes[1]);
    run.end().fails(SOON, &["timed out after 3 s in group `batch`", "is missing", "any bool[1] (victim.rs:"]);
}

#[test]
fn the_launcher_is_ended() {
    let mut run = Run::start(3, VICTIM, &["long", "--threads", "2"]);
    run.wait_for_steps(3);
    signal("TERM", run.child.id());
    run.end().fails(SOON, &[]);
}

#[test]
fn a_worker_panics() {
    victim("panic", &[]).fails(SOON, &["worker 3 panicked at ", "victim.rs:", "the victim panics"]);
}

#[test]
fn a_rank_panics_after_the_run() {
    victim("panic-after", &[]).fails(SOON, &["the run was over", "rank 1 of 3 ends the run"]);
}

#[test]
fn a_worker_returns_an_error() {
    victim("error", &[]).fails(SOON, &["worker 3 failed: no such file: digits.csv"]);
}

#[test]
fn a_worker_returns_early() {
    let says = ["worker 3 has finished", "calls psum f32[10] (victim.rs:"];
    victim("return", &[]).fails(SOON, &says);
}

#[test]
fn a_rank_exits() {
    victim("exit", &[]).fails(SOON, &[]);
}

#[test]
fn a_worker_calls_another_collective() {
    let says = [
        "collective mismatch in group `batch`",
        "calls psum f32[10] (victim.rs:",
        "worker 3 calls all_gather",
    ];
    victim("other-collective", &[]).fails(SOON, &says);
}

#[test]
fn a_worker_brings_another_type() {
    let says =
        ["collective mismatch in group `batch`", "psum f32[10] (victim.rs:", "worker 3 calls psum i32[10]"];
    victim("other-type", &[]).fails(SOON, &says);
}

#[test]
fn a_worker_brings_other_dims() {
    let says =
        ["collective mismatch in group `batch`", "psum f32[10] (victim.rs:", "worker 3 calls psum f32[11]"];
    victim("other-dims", &[]).fails(SOON, &says);
}

#[test]
fn a_worker_sleeps_past_the_deadline() {
    let says = [
        "timed out after 3 s in group `batch`",
        "worker 3 is missing; its last call was psum f32[10] (victim.rs:",
    ];
    victim("sleep", &["--timeout", "3"]).fails(SOON, &says);
}

#[test]
fn log_lines_name_the_rank_and_the_worker() {
    let run = Run::start_logging(2, TRAINER, &["--threads", "2", "--epochs", "1"], "axisgrad=debug");
    let end = run.end();
    let text = end.succeeds();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("axisgrad::collective")).collect();
    for worker in 0..4 {
        let prefix = format!("worker{{rank={} worker={worker}}}:", worker / 2);
        let of_it = || lines.iter().filter(|line| line.contains(&prefix));
        assert!(
            of_it().any(|line| line.contains("step{number=3}")),
            "nothing in step 3 of worker {worker}:\n{text}"
        );
        assert!(of_it().all(|line| line.contains("op=") && line.contains("bytes=")), "{text}");
    }
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains("worker{rank=")), "{text}");
}
