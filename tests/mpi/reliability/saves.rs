//! Rows about checkpoints, within this process.

use std::fs;
use std::path::Path;

use axisgrad::io::checkpoint::RunArgs;
use axisgrad::prelude::*;
use axisgrad::random::normal;
use axisgrad::tree::Saved;

use crate::processes::Scratch;
use crate::random::Random;
use crate::{Budget, Outcome};

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
    let mut wrong = Vec::new();
    let tried = budget.times(16, 264);
    for _ in 0..tried {
        let scratch = Scratch::new();
        let (a, b) = (mesh(&mut budget.random), mesh(&mut budget.random));
        let saved = save(&a, &scratch.0, budget.random.bits() as i64);
        let loaded = load(&b, &args(&scratch.0, Some("auto")));
        match (saved, loaded) {
            (Ok(saved), Ok(loaded)) if saved == loaded => {}
            (saved, loaded) => wrong.push(format!(
                "{a:?} to {b:?}: {:?}, {:?}",
                saved.map(|_| "saved"),
                loaded.map(|_| "but with other bits")
            )),
        }
    }
    Outcome { tried, worst: "bit-exact".into(), wrong }
}

pub fn damage(budget: &mut Budget) -> Outcome {
    let scratch = Scratch::new();
    let one = Mesh::builder().axes(["batch", "model"]).threads(1).build().expect("a mesh");
    let saved = save(&one, &scratch.0, 3).expect("saved");
    let whole = scratch.0.join("step-00000000");
    let from_there = RunArgs { resume: Some(whole.display().to_string()), ..RunArgs::default() };
    let files: Vec<_> =
        fs::read_dir(&whole).expect("files").map(|file| file.expect("a file").path()).collect();
    let (mut wrong, mut detected) = (Vec::new(), 0);
    let tried = budget.times(500, 20_000);
    for _ in 0..tried {
        let random = &mut budget.random;
        let file = &files[random.below(files.len())];
        let good = fs::read(file).expect("a file");
        let mut bytes = good.clone();
        let at = random.below(bytes.len());
        let cut = random.below(4) == 0;
        if cut {
            bytes.truncate(at)
        } else {
            bytes[at] ^= 1 << random.below(8)
        }
        fs::write(file, bytes).expect("written");
        match load(&one, &from_there) {
            Err(error) if error.to_string().contains("is damaged") => detected += 1,
            Ok(loaded) if loaded == saved => {}
            other => wrong.push(format!(
                "{} at {at}, cut {cut}: {:?}",
                file.display(),
                other.map(|_| "other bits")
            )),
        }
        fs::write(file, good).expect("written");
    }
    Outcome {
        tried,
        worst: format!("{detected} detected, {} irrelevant", tried - detected - wrong.len()),
        wrong,
    }
}
