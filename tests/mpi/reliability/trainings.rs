//! Rows about whole trainings, in processes of their own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::Outcome;
use crate::budget::Budget;
use crate::processes::{End, Scratch, Training, signal};
use crate::random::Random;

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

/// Where a training runs: ranks (0: no `mpirun`), threads of each, and workers along an axis that the model does not
/// know.
#[derive(Clone, Copy, Debug)]
struct Place {
    ranks: usize,
    threads: usize,
    model: usize,
}

impl Place {
    fn new(ranks: usize, threads: usize) -> Self {
        Self { ranks, threads, model: 1 }
    }

    fn workers(self) -> usize {
        self.ranks.max(1) * self.threads
    }

    /// A place with one to eight workers, and not with so many.
    fn other_than(workers: usize, random: &mut Random) -> Self {
        let any = |random: &mut Random| {
            if random.below(4) > 0 {
                return (0, 1 + random.below(8));
            }
            random.of(&[(1, 1), (2, 1), (2, 2), (3, 1), (2, 3), (4, 1), (4, 2)])
        };
        let mut places =
            std::iter::repeat_with(|| any(random)).map(|(ranks, threads)| Self::new(ranks, threads));
        places.find(|place| place.workers() != workers).expect("endless")
    }
}

/// A training that nothing happens to: its hash, and those after each step.
fn undisturbed(epochs: &str, place: Place) -> (String, Hashes) {
    let scratch = Scratch::new();
    let (log, mesh) = (scratch.0.join("log"), format!("model={}", place.model));
    let args = ["--epochs", epochs, "--mesh", &mesh, "--log", log.to_str().expect("a path")];
    let end = Training::start(place.ranks, place.threads, &args).end();
    let hash = end.hash().unwrap_or_else(|| panic!("it fails:\n{}", end.text)).to_owned();
    (hash, hashes(&log))
}

fn seconds(from: SystemTime, to: SystemTime) -> f64 {
    to.duration_since(from).unwrap_or_default().as_secs_f64()
}

/// What is wrong, if any of it is.
fn none_of(wrong: &[(bool, &str)], text: impl FnOnce() -> String) -> Result<(), String> {
    let wrong: Vec<&str> = wrong.iter().filter(|(is, _)| *is).map(|(_, what)| *what).collect();
    if wrong.is_empty() { Ok(()) } else { Err(format!("{}: {}", wrong.join(", "), text())) }
}

/// The flags of a training that saves in a directory.
fn saving<'a>(folder: &'a str, every: &'a str) -> [&'a str; 6] {
    ["--epochs", EPOCHS, "--save-every", every, "--checkpoint-dir", folder]
}

pub fn kill_and_resume(budget: &mut Budget) -> Outcome {
    let (reference, steps) = undisturbed(EPOCHS, Place::new(0, 1));
    let case = |_, random: &mut Random| {
        loop {
            // One that was over before it could be killed does not count.
            if let Some(seen) = kill_once(random, &reference, &steps)? {
                return Ok(seen);
            }
        }
    };
    let mut tried = budget.each(budget.times(25, 300), case);
    // A launcher that is ending does not always pass on what the survivors have said.
    let swallowed = tried.seen.iter().filter(|seen| !seen.passed_on).count();
    if swallowed > 1 {
        tried
            .wrong
            .push(format!("in {swallowed} cases the launcher has not passed on what the survivors said"));
    }
    Outcome::of(tried, |seen| {
        let slowest = seen.iter().map(|kill| kill.took).fold(0.0, f64::max);
        let repeated = seen.iter().map(|kill| kill.repeated).max().unwrap_or(0);
        let more = seen.iter().filter(|kill| kill.repeated > EVERY).count();
        format!(
            "down after {slowest:.2} s at most, {swallowed} times with the survivors' words in their logs only; \
             saving every {EVERY} steps, at most {repeated} repeated, \
             and more than {EVERY} in {more} cases, killed while a checkpoint was being written"
        )
    })
}

/// What came of a kill.
struct Kill {
    /// Seconds until all was down.
    took: f64,
    /// Whether the launcher has passed on what the survivors said.
    passed_on: bool,
    /// Steps that were made again.
    repeated: u64,
}

/// Kills a rank at a random moment and resumes elsewhere.
fn kill_once(random: &mut Random, reference: &str, steps: &Hashes) -> Result<Option<Kill>, String> {
    let scratch = Scratch::new();
    let (folder, log) = (scratch.path("checkpoints"), scratch.path("log"));
    let every = EVERY.to_string();
    let common = saving(&folder, &every);
    let (ranks, threads) = (2 + random.below(3), 1 + random.below(2));
    let mut training =
        Training::start(ranks, threads, &[&common[..], &["--pace", "10", "--log", &log]].concat());
    let processes = training.wait_for_start();
    thread::sleep(Duration::from_millis(random.below(700) as u64));
    let victim = random.below(ranks);
    let killed = SystemTime::now();
    let was_running = signal("KILL", processes[victim]);
    let end = training.end();
    if !was_running || end.hash().is_some() {
        return Ok(None);
    }
    let passed_on = judge_kill(&end, killed, victim, processes[victim])?;
    let before = hashes(Path::new(&log));
    let place = Place::other_than(ranks * threads, random);
    let resume = [&common[..], &["--resume", "--log", &log]].concat();
    let resumed = Training::start(place.ranks, place.threads, &resume).end();
    let last = before.keys().next_back().copied().unwrap_or(0);
    let repeated = last.saturating_sub(resumed.resumed_from());
    let same =
        before.iter().chain(&hashes(Path::new(&log))).all(|(step, hash)| steps.get(step) == Some(hash));
    let wrong = [
        (resumed.hash() != Some(reference) || !same, "other bits"),
        // A save goes on in the background while training does, at most until the next one is due: what is lost with it
        // is the interval that it was to save, and as much as was made of the next.
        (repeated > 2 * EVERY, "more than two save intervals repeated"),
    ];
    none_of(&wrong, || format!("{repeated} steps repeated, resumed on {place:?}: {}", resumed.text))?;
    Ok(Some(Kill { took: seconds(killed, end.at), passed_on, repeated }))
}

/// Whether the launcher has passed on what the survivors have said.
fn judge_kill(end: &End, killed: SystemTime, victim: usize, process: u32) -> Result<bool, String> {
    let died = format!("rank {victim} (process {process}) has died");
    let where_ =
        |line: &str| line.starts_with("   worker ") && line.contains("in step ") && line.contains(".rs:");
    let (rank, place) = (|text: &str| text.contains(&died), |text: &str| text.lines().any(where_));
    let took = seconds(killed, end.at);
    let wrong = [
        (took > 2.0, "late"),
        (!rank(&end.logs), "the rank is not named"),
        (!place(&end.logs), "step, operation or line are not named"),
        (!end.left.is_empty(), "something is left behind"),
        (end.status.success(), "a success"),
    ];
    none_of(&wrong, || {
        format!("after {took:.2} s, left {:?}, {}: {}\nlogged: {}", end.left, end.status, end.text, end.logs)
    })?;
    Ok(rank(&end.text) && place(&end.text))
}

/// Seconds after which a run with a fault is to be down: nearly always, and always.
const SOON: f64 = 0.5;
const LATE: f64 = 2.0;

pub fn faults(budget: &mut Budget) -> Outcome {
    let mut tried = budget.each(budget.times(20, 200), |number, random| {
        let (ranks, threads) = if number.is_multiple_of(2) {
            (0, 1 + random.below(6))
        } else {
            (2 + random.below(2), 1 + random.below(2))
        };
        let on = random.below(ranks.max(1) * threads).to_string();
        let (name, says) = random.of(&[
            ("panic", "panicked at "),
            ("error", "failed: no such file: batch.bin"),
            ("nan", "is not finite in step 7\n   it comes from "),
        ]);
        let end = Training::start(ranks, threads, &["--fault", name, "--on", &on, "--pace", "2"]).end();
        let causes = end.text.matches(" ends the run: ").count() + end.text.matches("Error: ").count();
        let named = match name {
            "nan" => end.text.lines().any(|line| {
                line.contains("it comes from argument 1: f32[12]{batch} at ")
                    && line.contains("trainer.rs:")
                    && line.contains(&format!(", on worker {on}, batch "))
            }),
            _ => end.text.contains(&format!("worker {on} {says}")),
        };
        let wrong = [
            (end.status.success(), "a success"),
            (causes != 1, "not one cause"),
            (!named || !end.text.contains(says), "the cause is not named"),
        ];
        none_of(&wrong, || format!("{name} on worker {on} of {ranks} ranks x {threads}: {}", end.text))?;
        let fault = end.fault.ok_or("nothing went wrong")?;
        let (took, whole) = (seconds(fault, end.ranks_at), seconds(fault, end.at));
        if took > SOON {
            println!("   {took:.2} s after {name} on worker {on} of {ranks} ranks x {threads}: {}", end.text);
        }
        Ok((took, whole))
    });
    let of = |times: &mut dyn Iterator<Item = f64>| {
        let mut times: Vec<f64> = times.collect();
        times.sort_by(f64::total_cmp);
        let at = |part: usize| times.get((times.len() * part).div_ceil(100).max(1) - 1).copied();
        [50, 99, 100].map(|part| at(part).unwrap_or(f64::INFINITY))
    };
    let ranks = of(&mut tried.seen.iter().map(|(ranks, _)| *ranks));
    let whole = of(&mut tried.seen.iter().map(|(_, whole)| *whole));
    // One case in a hundred, and one that the machine itself has held up.
    let late = tried.seen.iter().filter(|(ranks, _)| *ranks > SOON).count();
    if late > tried.seen.len() / 100 + 1 || ranks[2] > LATE {
        tried
            .wrong
            .push(format!("{late} are down after more than {SOON} s, the last after {:.2} s", ranks[2]));
    }
    let words = |[median, p99, worst]: [f64; 3]| {
        format!("{median:.2} s in the median, {p99:.2} s at p99, {worst:.2} s at most")
    };
    Outcome::of(tried, |_| format!("down after {}; the launcher, too, after {}", words(ranks), words(whole)))
}

/// Places that trainings stall on.
const STALLS: [(usize, usize); 5] = [(0, 3), (2, 2), (3, 1), (0, 6), (4, 1)];

pub fn stalls(budget: &mut Budget) -> Outcome {
    let tried = budget.each(budget.times(5, 50), |number, random| {
        let (ranks, threads) = STALLS[number % 5];
        let on = random.below(ranks.max(1) * threads).to_string();
        let end = Training::start(ranks, threads, &["--fault", "stall", "--on", &on, "--timeout", "3"]).end();
        let took = end.fault.map_or(f64::INFINITY, |fault| seconds(fault, end.at));
        judge_stall(&end, took, &format!("worker {on} is missing; its last call was "))?;
        Ok(took)
    });
    Outcome::of(tried, |seen| format!("down after {:.2} s at most", seen.iter().copied().fold(0.0, f64::max)))
}

fn judge_stall(end: &End, took: f64, names: &str) -> Result<(), String> {
    let wrong = [
        (took > 4.0, "late"),
        (end.status.success(), "a success"),
        (!end.text.contains("timed out after 3 s"), "no deadline"),
        (!end.text.contains(names) || !end.text.contains(".rs:"), "the worker is not named"),
        (!end.left.is_empty(), "something is left behind"),
    ];
    none_of(&wrong, || format!("after {took:.2} s, left {:?}, {}: {}", end.left, end.status, end.text))
}

/// A rank that is stopped (SIGSTOP) answers nobody, and cannot even end.
pub fn stops(budget: &mut Budget) -> Outcome {
    let tried = budget.each(budget.times(5, 50), |_, random| {
        let (ranks, threads) = (2 + random.below(3), 1 + random.below(2));
        let args = ["--epochs", "1000", "--pace", "10", "--timeout", "3"];
        let mut training = Training::start(ranks, threads, &args);
        let processes = training.wait_for_start();
        thread::sleep(Duration::from_millis(100 + random.below(400) as u64));
        let victim = random.below(ranks);
        let stopped = SystemTime::now();
        assert!(signal("STOP", processes[victim]), "it does not run:\n{}", training.text());
        let end = training.end();
        let took = seconds(stopped, end.at);
        // Each of its workers is as good as any to be named.
        let mut workers = victim * threads..(victim + 1) * threads;
        let name = |worker| format!("worker {worker} is missing; its last call was ");
        let names = workers.clone().map(name).find(|name| end.text.contains(name));
        judge_stall(&end, took, &names.unwrap_or_else(|| name(workers.next().expect("a worker"))))?;
        Ok(took)
    });
    Outcome::of(tried, |seen| format!("down after {:.2} s at most", seen.iter().copied().fold(0.0, f64::max)))
}

/// One that is late, and not too late, is waited for.
pub fn slow(budget: &mut Budget) -> Outcome {
    let reference = undisturbed("4", Place::new(0, 1)).0;
    let tried = budget.each(budget.times(5, 50), |number, random| {
        let (ranks, threads) = STALLS[number % 5];
        let on = random.below(ranks.max(1) * threads).to_string();
        let args = ["--epochs", "4", "--fault", "slow", "--on", &on, "--timeout", "3"];
        let end = Training::start(ranks, threads, &args).end();
        let wrong = [
            (end.fault.is_none(), "nobody was late"),
            (!end.status.success(), "a failure"),
            (end.hash() != Some(&reference), "other bits"),
        ];
        none_of(&wrong, || format!("worker {on} of {ranks} ranks x {threads}: {}", end.text))
    });
    Outcome::of(tried, |_| "waited for, and the same bits".into())
}

/// Places with one to eight workers, those of a quick run first.
fn places() -> Vec<Place> {
    let threads = (1..=8).map(|threads| (0, threads, 1));
    let quick = [(2, 1, 1), (3, 1, 1), (4, 2, 1), (2, 2, 2)];
    let one_rank = (1..=8).map(|threads| (1, threads, 1));
    let more = [
        (2, 2, 1),
        (2, 3, 1),
        (2, 4, 1),
        (3, 2, 1),
        (4, 1, 1),
        (5, 1, 1),
        (6, 1, 1),
        (7, 1, 1),
        (8, 1, 1),
        (0, 6, 3),
    ];
    let all = threads.chain(quick).chain(one_rank).chain(more);
    all.map(|(ranks, threads, model)| Place { ranks, threads, model }).collect()
}

pub fn layouts(budget: &mut Budget) -> Outcome {
    let reference = undisturbed("4", Place::new(0, 1)).1;
    let places = places();
    let tried = budget.each(budget.times(12, 30), |number, _| {
        let place = places[number];
        if undisturbed("4", place).1 == reference { Ok(()) } else { Err(format!("other bits on {place:?}")) }
    });
    Outcome::of(tried, |_| format!("{} steps each", reference.len()))
}

pub fn kill_in_save(budget: &mut Budget) -> Outcome {
    let reference = undisturbed("8", Place::new(0, 1)).0;
    let tried = budget.each(budget.times(40, 1000), |_, random| {
        loop {
            if let Some(repeated) = kill_save(random, &reference)? {
                return Ok(repeated);
            }
        }
    });
    Outcome::of(tried, |seen| {
        format!("at most {} steps repeated, saving every step", seen.iter().max().unwrap_or(&0))
    })
}

/// Kills a training that saves after every step, and resumes it: the steps that were repeated.
fn kill_save(random: &mut Random, reference: &str) -> Result<Option<u64>, String> {
    let scratch = Scratch::new();
    let (folder, log) = (scratch.path("checkpoints"), scratch.path("log"));
    let common = ["--epochs", "8", "--checkpoint-dir", &folder];
    let logged = ["--save-every", "1", "--log", &log];
    let mut training = Training::start(0, 1 + random.below(3), &[&common[..], &logged].concat());
    let processes = training.wait_for_start();
    thread::sleep(Duration::from_millis(random.below(250) as u64));
    if !signal("KILL", processes[0]) || training.end().hash().is_some() {
        return Ok(None); // It was over before.
    }
    let last = hashes(Path::new(&log)).keys().next_back().copied().unwrap_or(0);
    let resumed = Training::start(0, 1 + random.below(4), &[&common[..], &["--resume"]].concat()).end();
    let wrong = [
        (resumed.hash() != Some(reference), "other bits"),
        (resumed.text.contains("is damaged"), "a checkpoint that is not whole has the name of one"),
    ];
    none_of(&wrong, || resumed.text.clone())?;
    Ok(Some(last.saturating_sub(resumed.resumed_from())))
}
