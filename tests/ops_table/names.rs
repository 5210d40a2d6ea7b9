//! The functions that `axisgrad::ops` has, read from its source, so that none is left out of the table.

use std::fs;
use std::path::Path;

/// What is public there and takes no part: tensors from nothing, other names of an op, and questions.
const LEFT_OUT: &[&str] = &[
    "arange",
    "axis_size",
    "call_at",
    "eye",
    "full",
    "index_along",
    "iota",
    "keep",
    "linspace",
    "ones",
    "tri",
    "zeros",
];

/// The functions that are in no row.
pub fn missing<'a>(rows: impl Iterator<Item = &'a str>) -> Vec<String> {
    let known: Vec<&str> = rows.collect();
    let mut missing = functions(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/src/ops"));
    missing.retain(|name| !known.contains(&name.as_str()) && !LEFT_OUT.contains(&name.as_str()));
    missing.sort();
    missing.dedup();
    missing
}

/// What to do about them.
pub fn complaint(missing: &[String]) -> String {
    format!("these ops are in no row of tests/ops_table: {}\nadd a row for each", missing.join(", "))
}

/// Public functions that stand at the left margin, and public rows of the elementwise tables.
fn functions(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).expect("the source of the ops").flatten() {
        let path = entry.path();
        if path.is_dir() {
            names.extend(functions(&path));
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        names.extend(text.lines().filter_map(name_in));
    }
    names
}

fn name_in(line: &str) -> Option<String> {
    let name: String = match line.strip_prefix("pub fn ") {
        Some(rest) => rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect(),
        None => line
            .strip_prefix("    pub ")?
            .split_once(": ")
            .filter(|(_, rest)| rest.contains("] ("))?
            .0
            .to_owned(),
    };
    Some(name)
}
