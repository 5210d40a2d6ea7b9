//! `golden [DIR]`: runs the golden cases of a directory, by default those beside this file.
//!
//! Prints a line for each family, the cases that failed (with the first value that differs) and those that were
//! skipped (with what axisgrad lacks), and last `N passed, N failed, N skipped`. Fails if a case does.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use axisgrad_tests::program::record::Family;
use axisgrad_tests::program::run::{Verdict, run};
use axisgrad_tests::program::streams;
use serde_json::Value as Json;

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
    /// How often a case was run under some placement.
    runs: usize,
}

impl Tally {
    fn count(&mut self, name: &str, verdict: Verdict) {
        match verdict {
            Verdict::Passed(placements) => {
                self.passed += 1;
                self.runs += placements;
            }
            Verdict::Failed(why) => {
                self.failed += 1;
                println!("  failed  {name}: {why}");
            }
            Verdict::Skipped(lacks) => {
                self.skipped += 1;
                println!("  skipped {name}: lacks {lacks}");
            }
        }
    }

    fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.runs += other.runs;
    }

    fn line(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

fn main() -> ExitCode {
    // A test harness's own flags, such as `--nocapture`, have no meaning here.
    let directory = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let directory = directory.map_or(Path::new(env!("CARGO_MANIFEST_DIR")).join("golden"), PathBuf::from);
    match run_directory(&directory) {
        Ok(tally) => {
            println!("{} runs of cases under placements", tally.runs);
            println!("{}", tally.line());
            ExitCode::from(u8::from(tally.failed > 0))
        }
        Err(error) => {
            eprintln!("{}: {error}", directory.display());
            ExitCode::from(2)
        }
    }
}

fn run_directory(directory: &Path) -> Result<Tally, Box<dyn Error>> {
    let entries =
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>();
    let mut files: Vec<PathBuf> =
        entries?.into_iter().filter(|path| path.extension() == Some("json".as_ref())).collect();
    files.sort();
    let mut total = Tally::default();
    for file in files {
        if let Some((family, tally)) =
            run_file(&file).map_err(|error| format!("{}: {error}", file.display()))?
        {
            println!("{family}: {}", tally.line());
            total.add(&tally);
        }
    }
    if total.passed + total.failed + total.skipped == 0 {
        return Err("there are no golden cases here".into());
    }
    Ok(total)
}

/// A family, or the random streams; `None` for the catalogue of behaviours, which is prose.
fn run_file(file: &Path) -> Result<Option<(String, Tally)>, Box<dyn Error>> {
    let document: Json = serde_json::from_str(&fs::read_to_string(file)?)?;
    let mut tally = Tally::default();
    if document.get("streams").is_some() {
        run_streams(&document, &mut tally);
        return Ok(Some(("threefry".into(), tally)));
    }
    if document.get("cases").is_none() {
        return Ok(None);
    }
    let family: Family = serde_json::from_value(document)?;
    for case in &family.cases {
        tally.count(&case.name, run(case));
    }
    Ok(Some((family.family, tally)))
}

fn run_streams(document: &Json, tally: &mut Tally) {
    let list = |name: &str| document[name].as_array().cloned().unwrap_or_default();
    for (i, block) in list("block").iter().enumerate() {
        let right = streams::block_is_right(block);
        let verdict = if right { Verdict::Passed(1) } else { Verdict::Failed("another output".into()) };
        tally.count(&format!("block {i}"), verdict);
    }
    for stream in list("streams").iter().filter_map(Json::as_object) {
        let name = format!("stream of seed {}, partitionable {}", stream["seed"], stream["partitionable"]);
        let verdict = match streams::differences(stream) {
            differences if differences.is_empty() => Verdict::Passed(1),
            differences => Verdict::Failed(differences.join("; ")),
        };
        tally.count(&name, verdict);
    }
}
