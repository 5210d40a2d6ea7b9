//! Rows about checkpoints, within this process.

use std::fs;
use std::path::Path;

use axisgrad::io::checkpoint::RunArgs;
use axisgrad::prelude::*;
use axisgrad::random::normal;
use axisgrad::tree::Saved;

use crate::Outcome;
use crate::budget::Budget;
use crate::processes::Scratch;
use crate::random::Random;

/// Leaves that vary over no axis, over one, and over two; and plain state.
#[derive(Clone, Tree)]
struct State {
    weight: Tensor,
    experts: Tensor,
    both: Tensor,
    key: Saved<Key>,
}

impl State {
    fn new(w: &Worker, seed: i64) -> Self {
        let key = w.key(seed);
        let rows = normal(key, DType::F32, &[13, 6, 2]);
        let experts = w.unstack(&rows, "model");
        let both = w.unstack(&w.unstack(&rows, "batch"), "model");
        Self { weight: normal(key, DType::F64, &[17, 5]), experts, both, key: Saved(key) }
    }

    fn bits(&self) -> Vec<Vec<u8>> {
        let whole = |x: &Tensor| {
            let names: Vec<String> = x.axes().iter().map(|axis| axis.name().to_owned()).collect();
            names.iter().fold(x.clone(), |x, name| gather(&x, name))
        };
        self.leaves().iter().map(|leaf| whole(leaf).to_array().contiguous_buffer().bytes().to_vec()).collect()
    }
}

/// A mesh of one to eight workers.
fn mesh(random: &mut Random) -> Mesh {
    let (ranks, threads) = random.of(&[
        (1, 1),
        (1, 2),
        (1, 3),
        (1, 4),
        (1, 5),
        (1, 6),
        (1, 7),
        (1, 8),
        (2, 1),
        (2, 2),
        (2, 3),
        (2, 4),
        (3, 1),
        (3, 2),
        (4, 1),
        (4, 2),
    ]);
    let workers: usize = ranks * threads;
    let divisors: Vec<usize> = (1..=workers).filter(|n| workers.is_multiple_of(*n)).collect();
    let builder = Mesh::builder().axes(["batch"]).axis("model", random.of(&divisors)).threads(threads);
    let builder = if ranks > 1 { builder.simulated_ranks(ranks) } else { builder };
    builder.build().expect("a mesh")
}

fn args(folder: &Path, resume: Option<&str>) -> RunArgs {
    RunArgs {
        checkpoint_dir: Some(folder.to_owned()),
        resume: resume.map(str::to_owned),
        ..Default::default()
    }
}

fn save(mesh: &Mesh, folder: &Path, seed: i64) -> axisgrad::Result<Vec<Vec<u8>>> {
    mesh.run(|w| -> axisgrad::Result<_> {
        let (run, _) = args(folder, None).open(w, State::new(w, 0))?;
        let state = State::new(w, seed);
        run.finish(&state)?;
        Ok(state.bits())
    })
}

fn load(mesh: &Mesh, args: &RunArgs) -> axisgrad::Result<Vec<Vec<u8>>> {
    mesh.run(|w| -> axisgrad::Result<_> { Ok(args.open(w, State::new(w, -1))?.1.bits()) })
}

pub fn reshard(budget: &mut Budget) -> Outcome {
    let tried = budget.each(budget.times(16, 264), |_, random| {
        let scratch = Scratch::new();
        let (a, b) = (mesh(random), mesh(random));
        let saved = save(&a, &scratch.0, random.bits() as i64);
        let loaded = load(&b, &args(&scratch.0, Some("auto")));
        match (saved, loaded) {
            (Ok(saved), Ok(loaded)) if saved == loaded => Ok(()),
            (Ok(_), Ok(_)) => Err(format!("{a:?} to {b:?}: other bits")),
            (saved, loaded) => Err(format!("{a:?} to {b:?}: {:?}, {:?}", saved.err(), loaded.err())),
        }
    });
    Outcome::of(tried, |_| "bit-exact".into())
}

/// The most memory that this process has had, in MiB, where the system says so.
fn most_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0) / 1024
}

/// What a damaged checkpoint may make a process take more, in MiB: a size that is read from it and not checked would
/// take far more.
const MEMORY: u64 = 256;

pub fn damage(budget: &mut Budget) -> Outcome {
    let scratch = Scratch::new();
    let one = Mesh::builder().axes(["batch", "model"]).threads(1).build().expect("a mesh");
    let saved = save(&one, &scratch.0, 3).expect("saved");
    let whole = scratch.0.join("step-00000000");
    let files: Vec<_> =
        fs::read_dir(&whole).expect("files").map(|file| file.expect("a file").file_name()).collect();
    let before = most_memory();
    let mut tried = budget.each(budget.times(500, 20_000), |_, random| {
        let copy = Scratch::new();
        for file in &files {
            fs::copy(whole.join(file), copy.0.join(file)).expect("copied");
        }
        let file = copy.0.join(&files[random.below(files.len())]);
        let what = damaged(&file, random);
        let from_there = RunArgs { resume: Some(copy.0.display().to_string()), ..RunArgs::default() };
        match load(&one, &from_there) {
            Err(error) if error.to_string().contains("is damaged") => Ok(true),
            Ok(loaded) if loaded == saved => Ok(false),
            other => Err(format!("{} {what}: {:?}", file.display(), other.map(|_| "other bits"))),
        }
    });
    let more = most_memory() - before;
    if more > MEMORY {
        tried.wrong.push(format!("it took {more} MiB more"));
    }
    Outcome::of(tried, |seen| {
        let detected = seen.iter().filter(|detected| **detected).count();
        format!("{detected} detected, {} irrelevant; at most {more} MiB more in use", seen.len() - detected)
    })
}

/// Flips a bit of a file, or cuts it short; says which.
fn damaged(file: &Path, random: &mut Random) -> String {
    let mut bytes = fs::read(file).expect("a file");
    let at = random.below(bytes.len());
    let cut = random.below(4) == 0;
    if cut {
        bytes.truncate(at)
    } else {
        bytes[at] ^= 1 << random.below(8)
    }
    fs::write(file, bytes).expect("written");
    if cut { format!("cut at {at}") } else { format!("with another bit at {at}") }
}
