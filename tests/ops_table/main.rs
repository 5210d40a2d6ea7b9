//! `ops_table [--write]`: measures what every op can do, and compares with `docs/ops.md`, or writes it.
//!
//! Each op stands in one of the lists of rows, with arguments to try it at. A function of `axisgrad::ops` that is in
//! none of them is an error, and so is a derivative that is missing or wrong (see `proof.rs`), and a cell of the page that
//! says something else than what was measured.

mod activations;
mod arithmetic;
mod collectives;
mod layers;
mod linalg;
mod measure;
mod names;
mod page;
mod proof;
mod reductions;
mod row;
mod shapes;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use measure::Measured;
use row::{Group, Row};

const COMMAND: &str = "cargo test -p axisgrad-tests --test ops_table -- --write";

fn groups() -> Vec<Group> {
    vec![
        arithmetic::unary(),
        activations::rows(),
        arithmetic::binary(),
        reductions::rows(),
        linalg::rows(),
        shapes::rows(),
        layers::rows(),
        collectives::rows(),
    ]
}

fn main() -> ExitCode {
    // Ops that refuse arguments say so in a cell, and need not on the screen.
    std::panic::set_hook(Box::new(|_| {}));
    let groups = groups();
    let missing = names::missing(groups.iter().flat_map(|group| &group.rows).map(|row| row.name));
    let measured = |group: &Group| group.rows.iter().map(Row::measure).collect::<Vec<Measured>>();
    let measured: Vec<Vec<Measured>> = groups.iter().map(measured).collect();
    let page = page::page(&groups, &measured, COMMAND);
    let rows = groups.iter().flat_map(|group| &group.rows);
    let complaints: Vec<String> =
        rows.zip(measured.iter().flatten()).flat_map(|(row, cells)| proof::complaints(row, cells)).collect();
    let count: usize = groups.iter().map(|group| group.rows.len()).sum();
    let named = if missing.is_empty() { Ok(()) } else { Err(names::complaint(&missing)) };
    let proved = if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) };
    match named.and(proved).and_then(|()| settle(&page)) {
        Ok(()) => {
            println!("{count} ops in the table\n1 passed, 0 failed");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("{why}\n0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

/// Writes the page, or tells where the one that is there differs.
fn settle(page: &str) -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ops.md");
    if std::env::args().any(|arg| arg == "--write") {
        return fs::write(&path, page).map_err(|error| format!("{}: {error}", path.display()));
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    let pairs = there.lines().chain(std::iter::repeat("")).zip(page.lines());
    match pairs.into_iter().find(|(a, b)| a != b) {
        None if there.lines().count() == page.lines().count() => Ok(()),
        other => {
            let (there, here) = other.unwrap_or(("more lines", ""));
            Err(format!(
                "docs/ops.md says\n  {there}\nand measured is\n  {here}\nto write it anew: {COMMAND}"
            ))
        }
    }
}
