//! How often a property is tried, and how its cases are run.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::random::Random;

/// Time between two lines that say how far a row is.
const SAYING: Duration = Duration::from_secs(15);

/// How much to try of a row, and with which random numbers.
pub struct Budget {
    /// The row's name.
    pub row: &'static str,
    /// The long column rather than the quick one.
    pub long: bool,
    /// Where all choices come from: every case has its own numbers, whichever cases run beside it.
    pub seed: u64,
    /// Cases that run at the same time.
    pub jobs: usize,
}

/// How often a property is tried.
#[derive(Clone, Copy)]
pub enum Much {
    Times(usize),
    For(Duration),
}

/// What the cases of a property have shown.
pub struct Tried<T> {
    pub count: usize,
    /// Of each case that kept the promise.
    pub seen: Vec<T>,
    /// What went against it.
    pub wrong: Vec<String>,
}

impl Budget {
    /// How often, in a quick run and in a long one.
    pub fn times(&self, quick: usize, long: usize) -> usize {
        if self.long { long } else { quick }
    }

    /// Tries a property case by case, and says now and then how far it is. A panic is a promise that was not kept.
    pub fn each<T: Send>(
        &self,
        much: impl Into<Much>,
        case: impl Fn(usize, &mut Random) -> Result<T, String> + Sync,
    ) -> Tried<T> {
        let much = much.into();
        let (start, next) = (Instant::now(), AtomicUsize::new(0));
        let tried = Mutex::new((Tried { count: 0, seen: Vec::new(), wrong: Vec::new() }, start));
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if !much.has(number, start) {
                    return;
                }
                let mut random = Random::new(self.seed).part(number);
                let result = catch_unwind(AssertUnwindSafe(|| case(number, &mut random)));
                let result = result.unwrap_or_else(|payload| Err(text_of(&*payload)));
                let (tried, said) = &mut *tried.lock().expect("cases");
                tried.note(result.map_err(|why| format!("case {number}: {why}")));
                if said.elapsed() > SAYING {
                    *said = Instant::now();
                    println!("   {}: {}", self.row, tried.progress(much, start));
                }
            }
        };
        thread::scope(|scope| {
            (0..self.jobs).for_each(|_| drop(scope.spawn(work)));
        });
        tried.into_inner().expect("cases").0
    }
}

impl From<usize> for Much {
    fn from(times: usize) -> Self {
        Self::Times(times)
    }
}

impl Much {
    fn has(self, number: usize, start: Instant) -> bool {
        match self {
            Self::Times(times) => number < times,
            Self::For(time) => start.elapsed() < time,
        }
    }
}

impl<T> Tried<T> {
    fn note(&mut self, result: Result<T, String>) {
        self.count += 1;
        match result {
            Ok(seen) => self.seen.push(seen),
            Err(why) => {
                println!("   {why}");
                self.wrong.push(why);
            }
        }
    }

    fn progress(&self, much: Much, start: Instant) -> String {
        let total = match much {
            Much::Times(times) => times.to_string(),
            Much::For(time) => format!("as many as {} s allow", time.as_secs()),
        };
        format!("{} of {total}, {} wrong, {} s", self.count, self.wrong.len(), start.elapsed().as_secs())
    }
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic").into()
}
