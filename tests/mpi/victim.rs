//! A program that goes wrong on one worker, in the way that its first argument says.
//!
//! Prints `rank R is process P` on every rank, then `step` on each rank after the first collective, so that a
//! test can kill or stop a rank in the middle of a run.

use std::time::{Duration, Instant};

use axisgrad_collectives::{Call, Error, Mesh, MeshArgs, Reduction, Worker};
use clap::{Parser, ValueEnum};

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
struct Flags {
    fault: Fault,
    #[command(flatten)]
    mesh: MeshArgs,
}

#[derive(Clone, Copy, PartialEq, Debug, ValueEnum)]
enum Fault {
    /// Nothing goes wrong.
    None,
    /// Goes on for long enough to be killed or stopped from outside.
    Long,
    Panic,
    Error,
    Return,
    Exit,
    OtherCollective,
    OtherType,
    OtherDims,
    Sleep,
    PanicAfter,
}

fn main() -> Result<(), Error> {
    let flags = Flags::parse();
    let mesh = flags.mesh.mesh(["batch"])?;
    mesh.run(|w| run(w, flags.fault))?;
    if flags.fault == Fault::PanicAfter && is_victim_rank(&mesh)? {
        panic!("the run was over");
    }
    println!("done");
    Ok(())
}

fn is_victim_rank(mesh: &Mesh) -> Result<bool, Error> {
    mesh.run(|w| Ok::<_, Error>(w.rank() == 1))
}

fn run(w: &Worker, fault: Fault) -> Outcome {
    if w.thread() == 0 {
        println!("rank {} is process {}", w.rank(), std::process::id());
    }
    sum(w, 10)?;
    if w.thread() == 0 {
        note_step(w.rank())?;
    }
    if fault == Fault::Long {
        return go_on(w);
    }
    // The last thread of rank 1.
    if w.index() == 2 * w.threads() - 1 {
        go_wrong(w, fault)?;
        if fault == Fault::Return {
            return Ok(());
        }
    }
    sum(w, 10)
}

/// Tells the test, through a file of the rank's, that the first step is made, and in which process: a launcher
/// forwards what is printed when it likes.
fn note_step(rank: usize) -> Outcome {
    let Some(folder) = std::env::var_os("AXISGRAD_TEST_STEPS").map(std::path::PathBuf::from) else {
        return Ok(());
    };
    let (file, whole) = (folder.join(format!("new-{rank}")), folder.join(format!("{rank}")));
    std::fs::write(&file, std::process::id().to_string())?;
    std::fs::rename(file, whole)?;
    Ok(())
}

fn sum(w: &Worker, len: usize) -> Outcome {
    let mine = w.pool().copy_of(&vec![1.0f32; len]);
    let sum = w.group(&["batch"])?.all_reduce::<f32>(&Call::here("psum"), Reduction::Sum, mine)?;
    assert!(sum.as_slice::<f32>().iter().all(|&x| x == w.workers() as f32));
    Ok(())
}

fn go_on(w: &Worker) -> Outcome {
    let start = Instant::now();
    loop {
        let late = w.pool().copy_of(&[start.elapsed() > Duration::from_secs(30)]);
        let call = Call::here("any");
        let late = w.group(&["batch"])?.all_reduce::<bool>(&call, Reduction::Or, late)?;
        if late.as_slice::<bool>()[0] {
            return Ok(());
        }
    }
}

fn go_wrong(w: &Worker, fault: Fault) -> Outcome {
    let group = w.group(&["batch"])?;
    match fault {
        Fault::Panic => panic!("the victim panics"),
        Fault::Error => return Err("no such file: digits.csv".into()),
        Fault::Exit => std::process::exit(7),
        Fault::OtherCollective => {
            group.all_gather::<f32>(&Call::here("all_gather"), w.pool().copy_of(&[1f32; 10]))?;
        }
        Fault::OtherType => {
            let mine = w.pool().copy_of(&[1i32; 10]);
            group.all_reduce::<i32>(&Call::here("psum"), Reduction::Sum, mine)?;
        }
        Fault::OtherDims => sum(w, 11)?,
        Fault::Sleep => std::thread::sleep(Duration::from_secs(60)),
        Fault::None | Fault::Long | Fault::Return | Fault::PanicAfter => {}
    }
    Ok(())
}
