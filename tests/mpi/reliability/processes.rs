//! Trainings as processes of their own: started, killed, waited for, and nothing of them left.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const TRAINER: &str = env!("CARGO_BIN_EXE_trainer");
/// No run may take longer, whatever happens.
const LIMIT: Duration = Duration::from_secs(120);

/// A directory of one try, which goes with the value.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("reliability-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    /// The path of a file in it, as a flag's value.
    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a path of letters").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A training: in this many ranks under `mpirun`, or in one process without it (0).
pub struct Training {
    child: Child,
    ranks: usize,
    folder: Scratch,
}

/// How it ended.
pub struct End {
    pub status: ExitStatus,
    /// What it has said, as far as its launcher passed it on.
    pub text: String,
    /// What its processes have logged of failures.
    pub logs: String,
    /// When all of its ranks were gone.
    pub ranks_at: SystemTime,
    /// When its launcher was gone, too.
    pub at: SystemTime,
    /// What it has left behind.
    pub left: Vec<String>,
    /// When a worker went wrong, if it said so.
    pub fault: Option<SystemTime>,
}

impl Training {
    pub fn start(ranks: usize, threads: usize, args: &[&str]) -> Self {
        let folder = Scratch::new();
        let log = File::create(folder.0.join("text")).expect("a log file");
        for name in ["steps", "shared", "session"] {
            fs::create_dir_all(folder.0.join(name)).expect("a directory");
        }
        let mut command = if ranks == 0 {
            Command::new(TRAINER)
        } else {
            let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/mpirun"));
            script.args(["-n", &ranks.to_string(), "--bin", TRAINER, "--"]);
            script
        };
        command.args(args).args(["--threads", &threads.to_string()]);
        command.env("RUST_BACKTRACE", "0").env("AXISGRAD_TEST_STEPS", folder.0.join("steps"));
        // Whatever Open MPI shares among ranks lies where it can be seen that it is gone.
        command.env("OMPI_MCA_btl_vader_backing_directory", folder.0.join("shared"));
        command.env("OMPI_MCA_orte_tmpdir_base", folder.0.join("session"));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log file")).stderr(log);
        let child = command.spawn().expect("it starts");
        Self { child, ranks, folder }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.0.join("text")).expect("the log")).into_owned()
    }

    fn logs(&self) -> String {
        let mut files = Vec::new();
        files_in(&self.folder.0.join("steps"), &mut files);
        files.retain(|file| file.contains("/log-"));
        files.into_iter().map(|file| fs::read_to_string(file).expect("a log")).collect()
    }

    fn told(&self, name: &str) -> Option<u64> {
        fs::read_to_string(self.folder.0.join("steps").join(name)).ok()?.parse().ok()
    }

    /// The processes of the ranks that have begun to train.
    fn processes(&self) -> Vec<u32> {
        (0..self.ranks.max(1)).filter_map(|rank| Some(self.told(&rank.to_string())? as u32)).collect()
    }

    /// Waits until all ranks train; returns their processes.
    pub fn wait_for_start(&mut self) -> Vec<u32> {
        let ranks = self.ranks.max(1);
        let began = within(LIMIT, || {
            self.processes().len() == ranks || self.child.try_wait().expect("a child").is_some()
        });
        assert!(began && self.processes().len() == ranks, "it does not begin:\n{}", self.text());
        self.processes()
    }

    /// Waits until it has ended and all of its processes are gone.
    pub fn end(mut self) -> End {
        let (mut status, mut ranks_at) = (None, None);
        let ended = within(LIMIT, || {
            status = self.child.try_wait().expect("a child");
            let processes = self.processes();
            if ranks_at.is_none() && (status.is_some() || processes.len() == self.ranks.max(1)) {
                ranks_at = processes.into_iter().all(is_gone).then(SystemTime::now);
            }
            status.is_some() && ranks_at.is_some()
        });
        let at = SystemTime::now();
        let (text, logs) = (self.text(), self.logs());
        assert!(ended, "it has not ended after {LIMIT:?}:\n{text}");
        let fault = self.told("fault").map(|micros| UNIX_EPOCH + Duration::from_micros(micros));
        let mut left = Vec::new();
        for name in ["shared", "session"] {
            files_in(&self.folder.0.join(name), &mut left);
        }
        let ranks_at = ranks_at.expect("ended");
        End { status: status.expect("ended"), text, logs, ranks_at, at, left, fault }
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // The script ends its own children when it is asked to.
            signal("TERM", self.child.id());
            let _ = self.child.wait();
        }
    }
}

impl End {
    /// The hash of the trained model.
    pub fn hash(&self) -> Option<&str> {
        self.text.split("params_hash ").nth(1)?.split_whitespace().next()
    }

    /// The step from which it went on; 0 where it began anew.
    pub fn resumed_from(&self) -> u64 {
        let number = self.text.split("going on from step ").nth(1).and_then(|rest| rest.split(' ').next());
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    }
}

pub fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() > limit {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

/// Whether the signal could be sent.
pub fn signal(name: &str, process: u32) -> bool {
    let sent =
        Command::new("kill").args([&format!("-{name}"), &process.to_string()]).stderr(Stdio::null()).status();
    sent.expect("kill runs").success()
}

/// Whether a process has ended; its number may belong to another by now.
fn is_gone(process: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat"));
    state.map_or(true, |state| state.contains(") Z ") || !state.contains("(trainer)"))
}

fn files_in(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            files_in(&entry.path(), found);
        } else {
            found.push(entry.path().display().to_string());
        }
    }
}
