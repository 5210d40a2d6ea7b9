//! The failure budget: every promise of `docs/reliability.md`, tried so many times, with the worst that was seen.
//!
//!     cargo test --release -p axisgrad-tests-mpi --features mpi --test reliability -- \
//!         [--long] [--seed N] [--jobs N] [ROW...]
//!
//! Prints how far a row is, one line for each row, the table, and last `N passed, N failed` (rows). With `--jobs`, so
//! many cases of a row run at the same time.

mod budget;
mod collectives;
mod price;
mod processes;
pub mod random;
mod saves;
mod simulations;
mod trainings;

use std::process::ExitCode;
use std::time::Instant;

use budget::{Budget, Tried};

/// What a row has shown.
pub struct Outcome {
    /// How often the property was tried.
    pub tried: usize,
    /// The worst that was seen, in words.
    pub worst: String,
    /// What went against the promise.
    pub wrong: Vec<String>,
}

impl Outcome {
    /// Of a row's cases; `worst` is of those that kept the promise.
    pub fn of<T>(tried: Tried<T>, worst: impl FnOnce(&[T]) -> String) -> Self {
        Self { tried: tried.count, worst: worst(&tried.seen), wrong: tried.wrong }
    }
}

struct Row {
    name: &'static str,
    property: &'static str,
    /// `None` for what is shown and can neither pass nor fail.
    passes: Option<&'static str>,
    run: fn(&mut Budget) -> Outcome,
}

impl Row {
    fn verdict(&self, outcome: &Outcome) -> String {
        match (self.passes, outcome.wrong.len()) {
            (None, _) => "shown".into(),
            (Some(_), 0) => "ok".into(),
            (Some(_), wrong) => format!("{wrong} WRONG"),
        }
    }
}

const ROWS: &[Row] = &[
    Row {
        name: "kill",
        property: "SIGKILL at a random point, 2-4 ranks; resumed on another number of workers",
        passes: Some(
            "all down <= 2 s, rank, step, operation and line named (in logs always, by the launcher but for one case), \
             nothing left; the same bits",
        ),
        run: trainings::kill_and_resume,
    },
    Row {
        name: "faults",
        property: "panic, error, non-finite on one worker",
        passes: Some("all down <= 0.5 s but for 1 % and one case, and <= 2 s; the first cause reported once"),
        run: trainings::faults,
    },
    Row {
        name: "stall",
        property: "stalled worker, deadline 3 s",
        passes: Some("fails by deadline + 1 s, names it and its last call"),
        run: trainings::stalls,
    },
    Row {
        name: "stop",
        property: "a rank that is stopped (SIGSTOP), deadline 3 s",
        passes: Some("fails by deadline + 1 s, names one of its workers and its last call"),
        run: trainings::stops,
    },
    Row {
        name: "slow",
        property: "a worker that is late by half the deadline",
        passes: Some("no failure, the same bits"),
        run: trainings::slow,
    },
    Row {
        name: "programs",
        property: "random collective programs against the oracle",
        passes: Some("bit-equal, no hang"),
        run: collectives::programs,
    },
    Row {
        name: "mismatches",
        property: "injected mismatches",
        passes: Some("all reported with both calls and lines, no wrong number"),
        run: collectives::mismatches,
    },
    Row {
        name: "layouts",
        property: "layouts over 1-8 workers",
        passes: Some("one hash of the model after every step"),
        run: trainings::layouts,
    },
    Row {
        name: "reshard",
        property: "saved on a, loaded on b",
        passes: Some("bit-exact"),
        run: saves::reshard,
    },
    Row {
        name: "torn",
        property: "SIGKILL during a save",
        passes: Some("the last whole checkpoint loads, and the run ends with the same bits"),
        run: trainings::kill_in_save,
    },
    Row {
        name: "damage",
        property: "bit flips and truncations",
        passes: Some("detected or irrelevant, no panic"),
        run: saves::damage,
    },
    Row {
        name: "simulation",
        property: "simulated schedules with delays, reordering and crashes",
        passes: Some("right results or a named failure, in time; a seed replays exactly"),
        run: simulations::seeds,
    },
    Row {
        name: "price",
        property: "price of the safety that is always on (the goal is < 3 % of a step)",
        passes: None,
        run: price::step,
    },
    Row {
        name: "reductions",
        property: "price of the same bits everywhere against `--reduction fast`, MLP 784-512-512-10",
        passes: None,
        run: price::reductions,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |flag: &str| -> Option<u64> {
        let at = args.iter().position(|arg| arg == flag)?;
        args.get(at + 1)?.parse().ok()
    };
    let seed = number("--seed").unwrap_or_else(|| std::process::id().into());
    let jobs = number("--jobs").unwrap_or(1).max(1) as usize;
    let long = args.iter().any(|arg| arg == "--long");
    println!("seed {seed}");
    let named = |row: &&Row| args.iter().any(|arg| arg == row.name);
    let any = ROWS.iter().any(|row| named(&row));
    let mut table = Vec::new();
    let (mut passed, mut failed) = (0, 0);
    for row in ROWS.iter().filter(|row| !any || named(row)) {
        let start = Instant::now();
        let outcome = (row.run)(&mut Budget { row: row.name, long, seed, jobs });
        let verdict = row.verdict(&outcome);
        let Outcome { tried, worst, wrong } = outcome;
        println!("{}: {tried} tried, {verdict}; {worst}; {:.0} s", row.name, start.elapsed().as_secs_f64());
        failed += usize::from(!wrong.is_empty());
        passed += usize::from(row.passes.is_some() && wrong.is_empty());
        let passes = row.passes.unwrap_or_default();
        table.push(format!("| {} | {tried} | {passes} | {worst} | {verdict} |", row.property));
    }
    println!("\n| property | tried | passes when | seen | |\n|---|---|---|---|---|");
    table.iter().for_each(|line| println!("{line}"));
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
