//! The few things that a save asks of the file system, each done for good when it returns.

use std::fs::{self, File};
use std::io::{Result, Write};
use std::path::Path;

/// A file system; tests put one that fails in its place.
pub(super) trait Disk: Send + Sync {
    /// Makes a directory, and those above it.
    fn create_dir(&self, path: &Path) -> Result<()>;
    /// Writes a new file whole, and returns when it is on the disk.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()>;
    /// Gives a file or a directory another name, at once.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;
    /// Returns when the names in a directory are on the disk.
    fn sync_dir(&self, path: &Path) -> Result<()>;
    /// Removes a directory and what is in it.
    fn remove_dir(&self, path: &Path) -> Result<()>;
}

/// The one of the operating system.
pub(super) struct System;

impl Disk for System {
    fn create_dir(&self, path: &Path) -> Result<()> {
        fs::create_dir_all(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        File::open(path)?.sync_all()
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        fs::remove_dir_all(path)
    }
}
