//! Progress of a long run, on stderr.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How long plain lines keep apart.
const EVERY: Duration = Duration::from_secs(2);

/// Progress through a known number of steps: a bar on a terminal, a line every two seconds elsewhere.
pub struct Progress {
    bar: Option<ProgressBar>,
    name: String,
    steps: u64,
    done: u64,
    started: Instant,
    last: Instant,
}

impl Progress {
    /// For `steps` steps; shows nothing where `shown` is false, as on all workers but one.
    pub fn new(name: &str, steps: usize, shown: bool) -> Self {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {elapsed} left {eta}");
        let bar = (shown && stderr().is_terminal())
            .then(|| ProgressBar::new(steps as u64).with_style(style.expect("a valid template")));
        let now = Instant::now();
        let steps = if shown { steps as u64 } else { 0 };
        Self { bar, name: name.to_owned(), steps, done: 0, started: now, last: now }
    }

    /// One more step is done; `message` is asked for only if it is to be shown.
    pub fn step(&mut self, message: impl FnOnce() -> String) {
        self.done += 1;
        let every = if self.bar.is_some() { EVERY / 20 } else { EVERY };
        if self.steps == 0 || self.done < self.steps && self.last.elapsed() < every {
            return;
        }
        self.last = Instant::now();
        match &self.bar {
            Some(bar) => {
                bar.set_message(format!("{} {}", self.name, message()));
                bar.set_position(self.done);
            }
            None => {
                let seconds = self.started.elapsed().as_secs_f64();
                eprintln!("{} {}/{} {seconds:.1} s  {}", self.name, self.done, self.steps, message());
            }
        }
    }

    /// Ends the bar and leaves it standing.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish();
        }
    }
}
