//! Rows about random programs of collectives, run by threads and by ranks that threads play.

use std::time::Duration;

use axisgrad_collectives::{Call, Error, ErrorKind, Group, Mesh, Reduction, Worker};

use crate::Outcome;
use crate::budget::Budget;
use crate::random::Random;

/// A collective with all that its members must agree on.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    kind: Kind,
    axes: usize,
    len: usize,
    reduction: usize,
    shift: usize,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    AllReduce,
    AllReduceIntegers,
    AllGather,
    ReduceScatter,
    AllToAll,
    Broadcast,
    Permute,
    Barrier,
}

const KINDS: [Kind; 8] = [
    Kind::AllReduce,
    Kind::AllReduceIntegers,
    Kind::AllGather,
    Kind::ReduceScatter,
    Kind::AllToAll,
    Kind::Broadcast,
    Kind::Permute,
    Kind::Barrier,
];
const AXES: [&[&str]; 3] = [&["batch"], &["model"], &["batch", "model"]];
const REDUCTIONS: [Reduction; 4] = [Reduction::Sum, Reduction::Max, Reduction::Min, Reduction::Prod];

/// A program of up to eight collectives.
pub fn program(random: &mut Random) -> Vec<Step> {
    let step = |random: &mut Random| Step {
        kind: random.of(&KINDS),
        axes: random.below(3),
        len: random.of(&[0, 1, 2, 7, 33, 100, 3000]),
        reduction: random.below(4),
        shift: random.below(3),
    };
    (0..1 + random.below(8)).map(|_| step(random)).collect()
}

fn mesh(random: &mut Random) -> Mesh {
    let (ranks, threads) = (1 + random.below(3), 1 + random.below(3));
    let workers = ranks * threads;
    let divisors: Vec<usize> = (1..=workers).filter(|n| workers.is_multiple_of(*n)).collect();
    let builder = Mesh::builder().axes(["batch"]).axis("model", random.of(&divisors)).threads(threads);
    let builder = if ranks > 1 { builder.simulated_ranks(ranks) } else { builder };
    builder.timeout(Duration::from_secs(30)).build().expect("a mesh")
}

/// What a worker brings to a step: numbers of both signs whose sums depend on their order.
fn brings(seed: u64, step: usize, worker: usize, len: usize) -> Vec<f32> {
    let mut random = Random::new(seed ^ (step as u64) << 32 ^ (worker as u64) << 48);
    (0..len).map(|_| (random.bits() >> 40) as f32 / 16_777_216.0 * 3.0 - 1.5).collect()
}

/// Checks a worker's result of a step against what all its group's members bring.
fn wrong(step: usize, what: &str, got: &[f32], expected: &[f32]) -> Result<(), String> {
    let same =
        got.len() == expected.len() && got.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits());
    if same { Ok(()) } else { Err(format!("step {step}, {what}: {got:?} and not {expected:?}")) }
}

/// Joined along the one tree, whose leaves are the members: by its definition.
fn tree(leaves: &[Vec<f32>], reduction: Reduction) -> Vec<f32> {
    if let [only] = leaves {
        return only.clone();
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (left, right) = (tree(left, reduction), tree(right, reduction));
    let join = |(a, b): (&f32, &f32)| match reduction {
        Reduction::Sum => a + b,
        Reduction::Prod => a * b,
        Reduction::Max => a.max(*b),
        _ => a.min(*b),
    };
    left.iter().zip(&right).map(join).collect()
}

/// Makes one call and checks its result.
pub fn make(
    w: &Worker,
    seed: u64,
    number: usize,
    step: Step,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let group = w.group(AXES[step.axes])?;
    let (len, size) = (step.len, group.size());
    let reduction = REDUCTIONS[step.reduction];
    let mine = brings(seed, number, w.index(), len);
    let all: Vec<Vec<f32>> =
        group.workers().iter().map(|&worker| brings(seed, number, worker, len)).collect();
    let buffer = w.pool().copy_of(&mine);
    match step.kind {
        Kind::AllReduce => {
            let got = group.all_reduce::<f32>(&Call::here("psum"), reduction, buffer)?;
            wrong(number, "all_reduce", got.as_slice(), &tree(&all, reduction))?;
        }
        Kind::AllReduceIntegers => {
            let integers = w.pool().copy_of(&vec![number as i64 + w.index() as i64; len]);
            let got = group.all_reduce::<i64>(&Call::here("psum"), Reduction::Sum, integers)?;
            let expected: i64 = group.workers().iter().map(|&worker| (number + worker) as i64).sum();
            if got.as_slice::<i64>() != vec![expected; len] {
                return Err(format!("step {number}: {:?} and not {expected}", got.as_slice::<i64>()).into());
            }
        }
        Kind::AllGather => {
            let got = group.all_gather::<f32>(&Call::here("all_gather"), buffer)?;
            for (got, expected) in got.iter().zip(&all) {
                wrong(number, "all_gather", got.as_slice(), expected)?;
            }
        }
        Kind::ReduceScatter => reduce_scatter(w, &group, number, reduction, buffer, &all)?,
        Kind::AllToAll => all_to_all(&group, number, buffer, &all)?,
        Kind::Broadcast => {
            let root = step.shift % size;
            let got = group.broadcast::<f32>(&Call::here("broadcast"), root, buffer)?;
            wrong(number, "broadcast", got.as_slice(), &all[root])?;
        }
        Kind::Permute => {
            let perm: Vec<(usize, usize)> =
                (0..size).map(|from| (from, (from + step.shift) % size)).collect();
            let got = group.permute::<f32>(&Call::here("ppermute"), buffer, &perm)?.ok_or("nothing came")?;
            let from = (group.index() + size - step.shift % size) % size;
            wrong(number, "permute", got.as_slice(), &all[from])?;
        }
        Kind::Barrier => group.barrier(&Call::here("barrier"))?,
    }
    Ok(())
}

type Outcomes = Result<(), Box<dyn std::error::Error + Send + Sync>>;

fn reduce_scatter(
    _: &Worker,
    group: &Group,
    number: usize,
    reduction: Reduction,
    buffer: axisgrad_collectives::Buffer,
    all: &[Vec<f32>],
) -> Outcomes {
    let (len, size, index) = (all[0].len(), group.size(), group.index());
    let cut = |member: usize| len * member / size..len * (member + 1) / size;
    let counts: Vec<usize> = (0..size).map(|member| cut(member).len()).collect();
    let got = group.reduce_scatter::<f32>(&Call::here("psum_scatter"), reduction, buffer, &counts)?;
    Ok(wrong(number, "reduce_scatter", got.as_slice(), &tree(all, reduction)[cut(index)])?)
}

fn all_to_all(
    group: &Group,
    number: usize,
    buffer: axisgrad_collectives::Buffer,
    all: &[Vec<f32>],
) -> Outcomes {
    let (len, size, index) = (all[0].len(), group.size(), group.index());
    let cut = |to: usize| len * to / size..len * (to + 1) / size;
    let part = |to: usize| axisgrad_collectives::Part::elements::<f32>(&buffer, cut(to));
    let parts = (0..size).map(|to| [part(to)].into_iter().collect()).collect();
    let got = group.all_to_all::<f32>(&Call::here("all_to_all"), parts)?;
    for (got, from) in got.iter().zip(all) {
        let got: Vec<f32> = got.iter().flat_map(|part| part.as_slice::<f32>()).copied().collect();
        wrong(number, "all_to_all", &got, &from[cut(index)])?;
    }
    Ok(())
}

pub fn programs(budget: &mut Budget) -> Outcome {
    let tried = budget.each(budget.times(2200, 55_000), |_, random| {
        let seed = random.bits();
        let (mesh, program) = (mesh(random), program(random));
        let run = |w: &Worker| program.iter().enumerate().try_for_each(|(i, &step)| make(w, seed, i, step));
        mesh.run(run).map_err(|error| format!("on {mesh:?}: {error}"))?;
        Ok(program.len())
    });
    let calls: usize = tried.seen.iter().sum();
    Outcome::of(tried, |_| format!("{calls} calls, all of them right"))
}

/// What one worker does instead of a call.
const OTHERS: [&str; 6] = ["operation", "type", "length", "reduction", "order", "missing"];

pub fn mismatches(budget: &mut Budget) -> Outcome {
    let tried = budget.each(budget.times(500, 10_000), |_, random| {
        let mesh = std::iter::repeat_with(|| mesh(random)).find(|mesh| mesh.shape().workers() > 1);
        let mesh = mesh.expect("endless");
        let (seed, program) = (random.bits(), program(random));
        let (at, victim) = (random.below(program.len()), random.below(mesh.shape().workers()));
        let other = random.of(&OTHERS);
        let run = |w: &Worker| -> Outcomes {
            for (i, &step) in program.iter().enumerate() {
                if i == at && deviate(w, other, w.index() == victim)? {
                    return Ok(());
                }
                make(w, seed, i, step)?;
            }
            Ok(())
        };
        let why = judge(mesh.run(run), other, victim);
        why.map_or(Ok(()), |why| Err(format!("another {other} on worker {victim} of {mesh:?}: {why}")))
    });
    Outcome::of(tried, |_| "all of them reported".into())
}

/// A call of all workers that one of them makes otherwise; true where that one ends its program instead.
fn deviate(w: &Worker, other: &str, otherwise: bool) -> Result<bool, Error> {
    let group = w.group(&["batch", "model"])?;
    let floats = |len: usize| w.pool().copy_of(&vec![1f32; len]);
    let max = || group.all_reduce::<f32>(&Call::here("pmax"), Reduction::Max, floats(4)).map(drop);
    if !otherwise {
        group.all_reduce::<f32>(&Call::here("psum"), Reduction::Sum, floats(4))?;
        max()?;
        return Ok(false);
    }
    match other {
        "operation" => group.all_gather::<f32>(&Call::here("all_gather"), floats(4)).map(drop)?,
        "type" => {
            let integers = w.pool().copy_of(&[1i32; 4]);
            group.all_reduce::<i32>(&Call::here("psum"), Reduction::Sum, integers).map(drop)?;
        }
        "length" => group.all_reduce::<f32>(&Call::here("psum"), Reduction::Sum, floats(5)).map(drop)?,
        "reduction" => group.all_reduce::<f32>(&Call::here("psum"), Reduction::Min, floats(4)).map(drop)?,
        "order" => {
            max()?;
            group.all_reduce::<f32>(&Call::here("psum"), Reduction::Sum, floats(4))?;
        }
        _ => return Ok(true),
    }
    Ok(false)
}

/// What is wrong with how the run has ended.
fn judge(result: Result<(), Error>, other: &str, victim: usize) -> Option<String> {
    let Err(error) = result else { return Some("it was not noticed".into()) };
    let text = error.to_string();
    let expected = if other == "missing" { ErrorKind::Peer } else { ErrorKind::Mismatch };
    let lines = text.matches("(collectives.rs:").count();
    // One that has ended without any call before has no line to show.
    let named =
        text.contains(&format!("worker {victim} ")) && (lines >= 2 || other == "missing" && lines == 1);
    (error.kind() != expected || !named).then_some(text)
}
