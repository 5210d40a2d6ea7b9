//! The directory of a run's checkpoints: names, what is whole, and what may go.
//!
//! | name | is |
//! |---|---|
//! | `step-00000120` | a whole checkpoint: it got this name when everything in it was on the disk |
//! | `step-00000120.1` | one more of the same step, by a run that has come by there again: it counts |
//! | `damaged-…` | one that was damaged when a run was resumed |
//! | `partial-…` | one that is being written or removed; the next run removes it |
//! | `lock` | held by the run that writes here |

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{Error, Result};
use std::path::{Path, PathBuf};

use super::disk::Disk;

/// A directory of checkpoints, and which of them are kept.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) disk: Box<dyn Disk>,
    pub(super) keep_last: usize,
    pub(super) keep_every: Option<u64>,
    /// In the names of what this run has not finished.
    pub(super) run: u64,
}

impl Folder {
    /// Where what belongs to a step lies while it is not whole.
    pub(super) fn partial(&self, step: u64) -> PathBuf {
        self.path.join(format!("partial-{:08x}-{step:08}", self.run))
    }

    /// Makes what lies in a directory the checkpoint of a step, at once and for good.
    pub(super) fn publish(&self, from: &Path, step: u64) -> Result<()> {
        self.disk.sync_dir(from)?;
        let mut whole = Whole { step, again: 0 };
        while self.path.join(whole.to_string()).exists() {
            whole.again += 1;
        }
        self.disk.rename(from, &self.path.join(whole.to_string()))?;
        self.disk.sync_dir(&self.path)
    }

    /// Removes the checkpoints that are no longer kept.
    pub(super) fn prune(&self) -> Result<()> {
        let mut last = 0;
        let mut newer = None;
        for whole in list(&self.path)?.into_iter().rev() {
            let superseded = newer.replace(whole.step) == Some(whole.step);
            last += usize::from(!superseded);
            let every = self.keep_every.is_some_and(|every| every > 0 && whole.step.is_multiple_of(every));
            if superseded || last > self.keep_last.max(1) && !every {
                let out = self.path.join(format!("partial-{:08x}-{whole}", self.run));
                self.disk.rename(&self.path.join(whole.to_string()), &out)?;
                self.disk.remove_dir(&out)?;
            }
        }
        Ok(())
    }

    /// Gives the checkpoints after a step, all damaged, another name: they are not to be counted among those that
    /// are kept.
    pub(super) fn set_aside(&self, after: u64) -> Result<()> {
        for whole in list(&self.path)?.into_iter().filter(|whole| whole.step > after) {
            let name = format!("damaged-{:08x}-{whole}", self.run);
            self.disk.rename(&self.path.join(whole.to_string()), &self.path.join(name))?;
        }
        Ok(())
    }

    /// Removes what earlier runs have not finished.
    pub(super) fn sweep(&self) -> Result<()> {
        for name in names(&self.path)?.iter().filter(|name| name.starts_with("partial-")) {
            self.disk.remove_dir(&self.path.join(name))?;
        }
        Ok(())
    }
}

/// Makes sure that one run writes to a directory, for as long as the file lives.
///
/// # Errors
/// If another run does, or the system cannot tell.
pub(super) fn lock(path: &Path) -> Result<File> {
    fs::create_dir_all(path)?;
    let file = File::create(path.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::other("another run writes its checkpoints there")),
        Err(TryLockError::Error(error)) => {
            Err(Error::new(error.kind(), format!("its file `lock` cannot be locked: {error}")))
        }
    }
}

/// A checkpoint by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Whole {
    pub(super) step: u64,
    again: u32,
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step-{:08}", self.step)?;
        if self.again > 0 { write!(f, ".{}", self.again) } else { Ok(()) }
    }
}

impl Whole {
    fn parse(name: &str) -> Option<Self> {
        let (step, again) = name.strip_prefix("step-")?.split_once('.').unwrap_or((&name[5..], "0"));
        Some(Self { step: step.parse().ok()?, again: again.parse().ok()? })
    }
}

/// The checkpoints in a directory, the oldest first.
pub(super) fn list(path: &Path) -> Result<Vec<Whole>> {
    let mut all: Vec<Whole> = names(path)?.iter().filter_map(|name| Whole::parse(name)).collect();
    all.sort_unstable();
    Ok(all)
}

fn names(path: &Path) -> Result<Vec<String>> {
    let names = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
    names.collect()
}
