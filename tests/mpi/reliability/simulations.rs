//! The row about simulated schedules.

use std::time::{Duration, Instant};

use axisgrad_collectives::transport::simulation::Simulation;
use axisgrad_collectives::{Error, ErrorKind, Mesh, Worker};

use crate::Outcome;
use crate::budget::{Budget, Much};
use crate::collectives::{make, program};
use crate::random::Random;

/// The run of a seed: what it ends with, its trace, and what should have come of it.
fn run(seed: u64) -> (Result<(), Error>, u64, bool) {
    let mut random = Random::new(seed);
    let ranks = 2 + random.below(4);
    let program = program(&mut random);
    let mut simulation = Simulation::new(seed).latest(random.of(&[0, 3, 20, 60]));
    let crashes = random.below(4) == 0;
    if crashes {
        simulation = simulation.crash(random.below(ranks), random.below(200) as u64);
    }
    let mesh = Mesh::builder().axes(["batch", "model"]).timeout(Duration::from_millis(1500));
    let mesh = mesh.simulation(&simulation, ranks).build().expect("a mesh");
    let run = |w: &Worker| program.iter().enumerate().try_for_each(|(i, &step)| make(w, seed, i, step));
    (mesh.run(run), simulation.trace(), crashes)
}

pub fn seeds(budget: &mut Budget) -> Outcome {
    // The quick run counts seeds, the long one time.
    let much = if budget.long { Much::For(Duration::from_secs(20 * 60)) } else { Much::Times(2000) };
    let tried = budget.each(much, |number, random| {
        let seed = random.bits();
        let began = Instant::now();
        let (result, trace, crashes) = run(seed);
        let took = began.elapsed().as_secs_f64();
        let failed = result.is_err();
        if let Err(error) = &result
            && !(crashes && matches!(error.kind(), ErrorKind::Peer | ErrorKind::Timeout))
        {
            return Err(format!("seed {seed}: {error}"));
        }
        // Every tenth is run again: it must be the same run.
        if number.is_multiple_of(10) {
            let (again, trace_again, _) = run(seed);
            let text = |result: Result<(), Error>| result.map_err(|error| error.to_string());
            if (text(again), trace_again) != (text(result), trace) {
                return Err(format!("seed {seed} is not the same run again"));
            }
        }
        Ok((failed, took))
    });
    Outcome::of(tried, |seen| {
        let failed = seen.iter().filter(|(failed, _)| *failed).count();
        let slowest = seen.iter().map(|(_, took)| *took).fold(0.0, f64::max);
        format!(
            "{failed} ended by a crash, all others right; {slowest:.2} s at most for one; every tenth replayed alike"
        )
    })
}
