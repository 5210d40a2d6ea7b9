//! The page: a table for each group, and under all of them why some cells say no.

use std::fmt::Write;

use super::measure::{Cell, Measured};
use super::row::Group;

const HEAD: &str = "| op | vjp | jvp | lanes | complex | order 2 | fuses |\n|---|---|---|---|---|---|---|\n";

/// What was measured.
pub fn page(groups: &[Group], measured: &[Vec<Measured>], command: &str) -> String {
    let mut notes: Vec<String> = Vec::new();
    let mut tables = String::new();
    for (group, cells) in groups.iter().zip(measured) {
        let _ = write!(tables, "\n## {}\n\n{HEAD}", group.title);
        for (row, measured) in group.rows.iter().zip(cells) {
            let cells = measured.cells().map(|cell| shown(cell, &mut notes));
            let _ = writeln!(tables, "| `{}` | {} |", row.name, cells.join(" | "));
        }
    }
    let count: usize = groups.iter().map(|group| group.rows.len()).sum();
    let mut page = intro(count, command) + &tables + "\n## Why not\n\n";
    for (i, note) in notes.iter().enumerate() {
        let _ = writeln!(page, "{}. {note}", i + 1);
    }
    page
}

fn intro(count: usize, command: &str) -> String {
    format!(
        "# The ops\n\n{count} ops, and what each was seen to do at sample arguments: every cell is measured. The table is \
         written by\n`{command}`, and a test fails where it is not what the code does.\n\n\
         - **vjp**: the derivative agrees with differences. **order 2**: so does the second.\n\
         - **jvp**: pushing a tangent forward agrees with pulling a cotangent back.\n\
         - **lanes**: all examples at once give the bits of one at a time, and operands in another order of memory the\n  \
         same; no examples at all are no mistake.\n\
         - **complex**: the derivative at complex arguments agrees with differences.\n\
         - **fuses**: where a cotangent is to be summed over examples and is larger than the operands (the outer\n  \
         products behind a weight), the sum is taken while it is computed.\n\n\
         A number says why not, below.\n"
    )
}

fn shown(cell: &Cell, notes: &mut Vec<String>) -> String {
    let Err(why) = cell else { return "yes".to_owned() };
    let number = notes.iter().position(|note| note == why).unwrap_or_else(|| {
        notes.push(why.clone());
        notes.len() - 1
    });
    format!("{}", number + 1)
}

impl Measured {
    fn cells(&self) -> [&Cell; 6] {
        [&self.vjp, &self.jvp, &self.lanes, &self.complex, &self.order_2, &self.fuses]
    }
}
