//! The table in `docs/behaviours.md` against the catalogue and against these tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::probe::entries;

const TABLE: &str = include_str!("../../docs/behaviours.md");

/// The cells of each row: probe, what the reference does, what axisgrad does, the test that holds it.
fn rows() -> Vec<Vec<&'static str>> {
    let rows = TABLE.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn every_probe_has_a_row() {
    let rows: BTreeSet<String> = rows().iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    let name = |part: &serde_json::Value| part.as_str().unwrap().to_owned();
    let probes: BTreeSet<String> =
        entries().iter().map(|entry| format!("{}::{}", name(&entry["group"]), name(&entry["id"]))).collect();
    assert_eq!(rows, probes);
}

#[test]
fn every_row_names_a_test_that_is_there() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for row in rows() {
        let [_, _, _, holder] = row[..] else { panic!("{row:?} has not four cells") };
        let holder = holder.trim_matches('`');
        let (file, function) = match holder.split_once("::") {
            Some((module, test)) => (format!("behaviours/{module}.rs"), format!("fn {test}()")),
            None if holder == "–" => continue,
            None => ("does_not_compile.rs".into(), format!("/// `{holder}`")),
        };
        let source = fs::read_to_string(here.join(&file)).unwrap_or_default();
        assert!(source.contains(&function), "{}: `{function}` is not in {file}", row[0]);
    }
}

#[test]
fn only_what_has_no_counterpart_is_without_a_test() {
    for row in rows().iter().filter(|row| row[3] == "–") {
        assert!(row[2].starts_with("no counterpart: "), "{row:?}");
    }
}
