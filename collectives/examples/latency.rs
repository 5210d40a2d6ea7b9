//! Microseconds of a barrier and of all-reduces of several sizes, on threads or under `mpirun`:
//! `cargo run --release -p axisgrad-collectives --example latency -- --threads 2`.

use std::time::Instant;

use axisgrad_collectives::{Call, Error, Group, Mesh, Reduction, Worker};

/// The median of several averages, in microseconds.
fn measure(group: &Group, repeats: usize, mut act: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    let mut averages = Vec::new();
    for _ in 0..9 {
        group.barrier(&Call::here("barrier"))?;
        let start = Instant::now();
        (0..repeats).try_for_each(|_| act())?;
        averages.push(start.elapsed().as_secs_f64() * 1e6 / repeats as f64);
    }
    averages.sort_by(f64::total_cmp);
    Ok(averages[averages.len() / 2])
}

fn report(w: &Worker) -> Result<(), Error> {
    let group = w.group(&["batch"])?;
    let barrier = measure(&group, 2000, || group.barrier(&Call::here("barrier")))?;
    if w.is_root() {
        println!("{:>10}  {barrier:>10.2} us", "barrier");
    }
    for bytes in [64, 4 << 10, 8 << 10, 64 << 10, 1 << 20, 16 << 20] {
        let mine = w.pool().copy_of(&vec![w.index() as f32; bytes / 4]);
        let call = Call::here("psum");
        let reduce = || group.all_reduce::<f32>(&call, Reduction::Sum, mine.clone()).map(drop);
        let time = measure(&group, (4 << 20) / (bytes + 2000) + 1, reduce)?;
        if w.is_root() {
            println!("{bytes:>10}  {time:>10.2} us");
        }
    }
    Ok(())
}

fn main() -> Result<(), Error> {
    Mesh::from_args(["batch"])?.run(report)
}
