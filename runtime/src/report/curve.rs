//! Numbers over the steps of a run, as a file.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Result, Write};
use std::path::Path;

/// A file with a line `step,value` for each step, to be plotted. What an earlier run has written stays, so that a
/// run that was interrupted goes on in the same file.
pub struct Curve(Option<BufWriter<File>>);

impl Curve {
    /// Appends to a file, or does nothing without one.
    ///
    /// ```
    /// use axisgrad::report::Curve;
    /// let path = std::env::temp_dir().join(format!("curve-{}.csv", std::process::id()));
    /// Curve::append(Some(&path))?.point(7, 0.5)?;
    /// assert_eq!(std::fs::read_to_string(&path)?, "7,0.5\n");
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn append(path: Option<&Path>) -> Result<Self> {
        let open = |path| OpenOptions::new().create(true).append(true).open(path);
        Ok(Self(path.map(open).transpose()?.map(BufWriter::new)))
    }

    /// The value after a step.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn point(&mut self, step: u64, value: f64) -> Result<()> {
        let Some(file) = &mut self.0 else { return Ok(()) };
        writeln!(file, "{step},{value}")?;
        file.flush()
    }
}
