//! Rows about whole trainings, in processes of their own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::processes::{End, Scratch, Training, signal};
use crate::random::Random;
use crate::{Budget, Outcome};

/// Steps of a training that is killed: 12 epochs of 5 batches.
const EPOCHS: &str = "12";
/// Steps between two checkpoints.
const EVERY: u64 = 10;

/// The model's hash after each step.
type Hashes = BTreeMap<u64, String>;

fn hashes(log: &Path) -> Hashes {
    let text = fs::read_to_string(log).unwrap_or_default();
    let line = |line: &str| {
        let (step, hash) = line.split_once(' ')?;
        // The last line of a run that was killed may be cut short.
        (hash.len() == 16).then_some((step.parse().ok()?, hash.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

/// A training that nothing happens to: its hash, and those after each step.
fn undisturbed(epochs: &str, ranks: usize, threads: usize) -> (String, Hashes) {
    let scratch = Scratch::new();
    let log = scratch.0.join("log");
    let end =
        Training::start(ranks, threads, &["--epochs", epochs, "--log", log.to_str().expect("a path")]).end();
    let hash = end.hash().unwrap_or_else(|| panic!("it fails:\n{}", end.text)).to_owned();
    (hash, hashes(&log))
}

/// A place with one to eight workers: ranks (0: no `mpirun`) and threads of each.
fn place(random: &mut Random) -> (usize, usize) {
    if random.below(4) > 0 {
        return (0, 1 + random.below(8));
    }
    random.of(&[(1, 1), (2, 1), (2, 2), (3, 1), (2, 3), (4, 1), (4, 2)])
}

fn seconds(from: SystemTime, to: SystemTime) -> f64 {
    to.duration_since(from).unwrap_or_default().as_secs_f64()
}

pub fn kill_and_resume(budget: &mut Budget) -> Outcome {
    let (reference, steps) = undisturbed(EPOCHS, 0, 1);
    let (mut wrong, mut slowest, mut repeated, mut tried) = (Vec::new(), 0f64, 0, 0);
    while tried < budget.times(25, 300) {
        let scratch = Scratch::new();
        let (folder, log) = (scratch.0.join("checkpoints"), scratch.0.join("log"));
        let every = EVERY.to_string();
        let common = [
            "--epochs",
            EPOCHS,
            "--save-every",
            &every,
            "--checkpoint-dir",
            folder.to_str().expect("a path"),
        ];
        let random = &mut budget.random;
        let (ranks, threads) = (2 + random.below(3), 1 + random.below(2));
        let slow = ["--pace", "10", "--log", log.to_str().expect("a path")];
        let mut training = Training::start(ranks, threads, &[&common[..], &slow].concat());
        let processes = training.wait_for_start();
        thread::sleep(Duration::from_millis(random.below(700) as u64));
        let victim = random.below(ranks);
        let killed = SystemTime::now();
        let was_running = signal("KILL", processes[victim]);
        let end = training.end();
        if !was_running || end.hash().is_some() {
            continue; // It was over before.
        }
        tried += 1;
        slowest = slowest.max(seconds(killed, end.at));
        wrong.extend(judge_kill(&end, killed, victim, processes[victim]));
        let before = hashes(&log);
        let (ranks, threads) = place(random);
        let resumed =
            Training::start(ranks, threads, &[&common[..], &["--resume", "--log", slow[3]]].concat()).end();
        let last = before.keys().next_back().copied().unwrap_or(0);
        repeated = repeated.max(last.saturating_sub(resumed.resumed_from()));
        let all = before.iter().chain(&hashes(&log)).all(|(step, hash)| steps.get(step) == Some(hash));
        if resumed.hash() != Some(&reference) || !all {
            wrong.push(format!("other bits on {ranks} ranks x {threads} threads: {}", resumed.text));
        }
    }
    // A save goes on in the background while training does, so a few steps of the next interval may be lost with it.
    if repeated >= 2 * EVERY {
        wrong.push(format!("{repeated} steps were repeated"));
    }
    let worst =
        format!("down after {slowest:.2} s at most; at most {repeated} steps repeated, saving every {EVERY}");
    Outcome { tried, worst, wrong }
}

fn judge_kill(end: &End, killed: SystemTime, victim: usize, process: u32) -> Option<String> {
    let died = format!("rank {victim} (process {process}) has died");
    let where_ =
        |line: &str| line.starts_with("   worker ") && line.contains("in step ") && line.contains(".rs:");
    let late = seconds(killed, end.at) > 2.0;
    let silent = !end.text.contains(&died) || !end.text.lines().any(where_);
    let left = !end.left.is_empty();
    (late || silent || left || end.status.success()).then(|| {
        format!("late {late}, silent {silent}, left behind {:?}, {}: {}", end.left, end.status, end.text)
    })
}

pub fn faults(budget: &mut Budget) -> Outcome {
    let (mut wrong, mut times) = (Vec::new(), Vec::new());
    let tried = budget.times(20, 200);
    for i in 0..tried {
        let random = &mut budget.random;
        let (ranks, threads) =
            if i % 2 == 0 { (0, 1 + random.below(6)) } else { (2 + random.below(2), 1 + random.below(2)) };
        let on = random.below(ranks.max(1) * threads);
        let (fault, says) = random.of(&[
            ("panic", "panicked at "),
            ("error", "failed: no such file: batch.bin"),
            ("nan", "is not finite in step 7\n   it comes from "),
        ]);
        let on = on.to_string();
        let end = Training::start(ranks, threads, &["--fault", fault, "--on", &on, "--pace", "2"]).end();
        let took = end.fault.map_or(f64::INFINITY, |fault| seconds(fault, end.at));
        times.push(took);
        let causes = end.text.matches(" ends the run: ").count() + end.text.matches("Error: ").count();
        let named = match fault {
            "nan" => {
                end.text.contains(&format!(", on worker {on}, batch ")) && end.text.contains("trainer.rs:")
            }
            _ => end.text.contains(&format!("worker {on} {says}")),
        };
        // A number of examples that leaves this worker without any cannot make it go wrong.
        if end.status.success() || causes != 1 || !named || !end.text.contains(says) {
            wrong.push(format!("{fault} on worker {on} of {ranks} ranks x {threads} threads: {}", end.text));
        }
    }
    times.sort_by(f64::total_cmp);
    let p99 = times[(tried * 99).div_ceil(100) - 1];
    if p99 > 0.5 {
        wrong.push(format!("p99 is {p99:.2} s"));
    }
    let worst = format!("down after {:.2} s in the median, {p99:.2} s at p99", times[tried / 2]);
    Outcome { tried, worst, wrong }
}

pub fn stalls(budget: &mut Budget) -> Outcome {
    let (mut wrong, mut slowest) = (Vec::new(), 0f64);
    let tried = budget.times(5, 50);
    for i in 0..tried {
        let (ranks, threads) = [(0, 3), (2, 2), (3, 1), (0, 6), (4, 1)][i % 5];
        let on = budget.random.below(ranks.max(1) * threads).to_string();
        let end = Training::start(ranks, threads, &["--fault", "stall", "--on", &on, "--timeout", "3"]).end();
        let took = end.fault.map_or(f64::INFINITY, |fault| seconds(fault, end.at));
        slowest = slowest.max(took);
        let says = ["timed out after 3 s", &format!("worker {on} is missing; its last call was "), ".rs:"];
        if took > 4.0 || end.status.success() || says.iter().any(|said| !end.text.contains(said)) {
            wrong.push(format!("after {took:.2} s, worker {on} of {ranks} ranks x {threads}: {}", end.text));
        }
    }
    Outcome { tried, worst: format!("down after {slowest:.2} s at most"), wrong }
}

pub fn layouts(budget: &mut Budget) -> Outcome {
    let all: Vec<(usize, usize)> = (1..=8)
        .map(|threads| (0, threads))
        .chain([(2, 1), (3, 1), (2, 2), (4, 2)])
        .chain((1..=8).map(|ranks| (ranks, 1)))
        .chain([(1, 8), (2, 3), (2, 4), (3, 2), (4, 1), (1, 5), (1, 7), (2, 2), (1, 3), (1, 2)])
        .take(budget.times(12, 30))
        .collect();
    let reference = undisturbed("4", 0, 1).1;
    let mut wrong = Vec::new();
    for &(ranks, threads) in &all {
        if undisturbed("4", ranks, threads).1 != reference {
            wrong.push(format!("{ranks} ranks x {threads} threads"));
        }
    }
    Outcome { tried: all.len(), worst: format!("{} steps each", reference.len()), wrong }
}

pub fn kill_in_save(budget: &mut Budget) -> Outcome {
    let reference = undisturbed("8", 0, 1).0;
    let (mut wrong, mut repeated, mut tried) = (Vec::new(), 0, 0);
    while tried < budget.times(40, 1000) {
        let scratch = Scratch::new();
        let (folder, log) = (scratch.0.join("checkpoints"), scratch.0.join("log"));
        let common = ["--epochs", "8", "--checkpoint-dir", folder.to_str().expect("a path")];
        let logged = ["--save-every", "1", "--log", log.to_str().expect("a path")];
        let mut training = Training::start(0, 1 + budget.random.below(3), &[&common[..], &logged].concat());
        let processes = training.wait_for_start();
        thread::sleep(Duration::from_millis(budget.random.below(250) as u64));
        if !signal("KILL", processes[0]) || training.end().hash().is_some() {
            continue; // It was over before.
        }
        tried += 1;
        let last = hashes(&log).keys().next_back().copied().unwrap_or(0);
        let resumed =
            Training::start(0, 1 + budget.random.below(4), &[&common[..], &["--resume"]].concat()).end();
        repeated = repeated.max(last.saturating_sub(resumed.resumed_from()));
        if resumed.hash() != Some(&reference) || resumed.text.contains("is damaged") {
            wrong.push(resumed.text.clone());
        }
    }
    Outcome { tried, worst: format!("at most {repeated} steps repeated, saving every step"), wrong }
}
