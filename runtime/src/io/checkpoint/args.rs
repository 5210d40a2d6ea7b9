//! The flags of a program that saves its state.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axisgrad_collectives::{Call, Group};
use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::disk::System;
use super::folder::{Folder, list, lock};
use super::load::{Loaded, hand_out, last_whole};
use super::root::at_root;
use super::run::{NonFinite, Run, Saver};
use crate::error::{Error, ErrorKind, Result};
use crate::tree::Tree;
use crate::worker::Worker;

fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// Where a program saves its state, how often, and whether it goes on from there; flatten it into the program's own
/// flags.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Checkpoints")]
pub struct RunArgs {
    /// Directory to save the state of the run in, which all ranks see; SIGTERM, SIGINT and SIGUSR1 then end the run
    /// after a step, saved, with exit status 75
    #[arg(long, value_name = "DIR")]
    pub checkpoint_dir: Option<PathBuf>,
    /// Steps between two checkpoints
    #[arg(long, value_name = "STEPS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub save_every: u64,
    /// How many of the last checkpoints to keep
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = at_least_one())]
    pub keep_last: usize,
    /// Keep those of every so many steps, too
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    pub keep_every: Option<u64>,
    /// Go on from the last whole checkpoint, if there is one, or from that at PATH
    #[arg(long, value_name = "auto|PATH", num_args = 0..=1, require_equals = true, default_missing_value = "auto")]
    pub resume: Option<String>,
    /// What to do in a step whose loss or gradient is not finite
    #[arg(long, value_name = "WHAT", default_value = "raise")]
    pub non_finite: NonFinite,
}

impl Default for RunArgs {
    fn default() -> Self {
        Self {
            checkpoint_dir: None,
            save_every: 100,
            keep_last: 3,
            keep_every: None,
            resume: None,
            non_finite: NonFinite::Raise,
        }
    }
}

impl RunArgs {
    /// The run that the flags ask for, and its state: `state` as it is, or with every leaf replaced by what was
    /// saved, whatever number of workers saved it. Every worker must call it.
    ///
    /// The state is any tree: the model, the optimizer, the [`Epochs`](crate::data::Epochs) with its place in the data,
    /// random keys and counts as [`Saved`](crate::tree::Saved). Other plain data is a setting, and not saved.
    ///
    /// ```
    /// use axisgrad::io::checkpoint::RunArgs;
    /// use axisgrad::prelude::*;
    ///
    /// let folder = std::env::temp_dir().join(format!("axisgrad-doc-{}", std::process::id()));
    /// let args = RunArgs { checkpoint_dir: Some(folder.clone()), save_every: 2, ..Default::default() };
    /// let train = |args: &RunArgs, steps: u64| -> axisgrad::Result<f64> {
    ///     Mesh::builder().axes(["batch"]).threads(2).build()?.run(|w| -> axisgrad::Result<f64> {
    ///         let (mut run, mut x) = args.open(w, Tensor::from(1.0))?;
    ///         while run.steps() < steps {
    ///             x = &x * 2.0;
    ///             run.step(&x)?;
    ///         }
    ///         run.finish(&x)?;
    ///         Ok(x.item::<f64>())
    ///     })
    /// };
    /// assert_eq!(train(&args, 3)?, 8.0);
    /// assert_eq!(train(&RunArgs { resume: Some("auto".into()), ..args }, 5)?, 32.0);
    /// # std::fs::remove_dir_all(folder).unwrap();
    /// # Ok::<(), axisgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the directory cannot be used, or has checkpoints already and `--resume` is not given; if the checkpoint to go
    /// on from is damaged (with `auto`: if all are) or is not one of this state.
    #[track_caller]
    pub fn open<'w, S: Tree>(&self, w: &'w Worker, state: S) -> Result<(Run<'w>, S)> {
        let names: Vec<&str> = w.axes().iter().map(|(name, _)| &**name).collect();
        let everyone = w.group(&names)?;
        let read = || {
            let lock = |path: &PathBuf| lock(path).map_err(|error| refused(path, error));
            let lock_file = self.checkpoint_dir.as_ref().map(lock).transpose()?;
            Ok((lock_file, self.find()?))
        };
        let (lock_file, loaded) = at_root(w, &everyone, &Call::here("open"), read)?.unwrap_or_default();
        if let Some(loaded) = &loaded {
            loaded.fits(&state).map_err(|why| refused(&self.source(), why))?;
            eprintln!("axisgrad: going on from step {} of {}", loaded.step, self.source().display());
        }
        let (resumed, state) = hand_out(&everyone, loaded.as_ref(), state)?;
        let saver = match &self.checkpoint_dir {
            Some(path) => Some(self.saver(w, path, everyone, lock_file, resumed)?),
            None => None,
        };
        Ok((Run::new(w, resumed.unwrap_or(0), saver, self.non_finite), state))
    }

    fn saver(
        &self,
        w: &Worker,
        path: &Path,
        everyone: Group,
        lock: Option<std::fs::File>,
        saved: Option<u64>,
    ) -> Result<Saver> {
        let run = agree_on_name(&everyone)?;
        let folder = Folder {
            path: path.to_owned(),
            disk: Box::new(System),
            keep_last: self.keep_last,
            keep_every: self.keep_every,
            run,
        };
        if w.is_root() {
            folder.sweep().map_err(|error| refused(path, error))?;
            folder.set_aside(saved.unwrap_or(u64::MAX)).map_err(|error| refused(path, error))?;
        }
        // Nobody writes before what is left over from earlier runs is gone.
        everyone.barrier(&Call::here("open"))?;
        Ok(Saver {
            folder: Arc::new(folder),
            every: self.save_every.max(1),
            everyone,
            signals: w.signals().map_err(|error| refused(path, error))?,
            asked: None,
            next: saved.unwrap_or(0) + 1,
            last_asked: (saved.unwrap_or(0), std::time::Instant::now()),
            _lock: lock,
            saved,
            under_way: None,
            ended: Arc::default(),
        })
    }

    /// The checkpoint to go on from, read and checked.
    fn find(&self) -> Result<Option<Loaded>> {
        let source = self.source();
        match (self.resume.as_deref(), &self.checkpoint_dir) {
            (None, None) => Ok(None),
            (None, Some(path)) => self.nothing_after(path, None).map(|()| None),
            (Some("auto"), None) => {
                Err(config("--resume: say where the checkpoints are with --checkpoint-dir"))
            }
            (Some("auto"), Some(path)) => last_whole(path).map_err(|why| refused(path, why)),
            (Some(_), path) => {
                let loaded = Loaded::read(&source);
                let loaded =
                    loaded.map_err(|why| refused(&source, format!("the checkpoint is damaged: {why}")))?;
                path.as_ref().map_or(Ok(()), |path| self.nothing_after(path, Some(loaded.step)))?;
                Ok(Some(loaded))
            }
        }
    }

    /// Checkpoints of later steps would be taken for this run's.
    fn nothing_after(&self, path: &Path, step: Option<u64>) -> Result<()> {
        match list(path).map_err(|error| refused(path, error))?.last() {
            Some(last) if step.is_none_or(|step| last.step > step) => Err(refused(
                path,
                format!(
                    "there are checkpoints up to step {}\n   go on from there with --resume, or choose another \
                     --checkpoint-dir",
                    last.step
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Where it goes on from.
    fn source(&self) -> PathBuf {
        match self.resume.as_deref() {
            Some(path) if path != "auto" => path.into(),
            _ => self.checkpoint_dir.clone().unwrap_or_default(),
        }
    }
}

/// A number that no other run has, from worker 0.
fn agree_on_name(everyone: &Group) -> Result<u64> {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mine = (time.as_nanos() as u64 ^ u64::from(std::process::id()) << 40) & 0xffff_ffff;
    let mine = everyone.pool().copy_of(&[mine as i64]);
    Ok(everyone.broadcast::<i64>(&Call::here("open"), 0, mine)?.as_slice::<i64>()[0] as u64)
}

fn refused(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Io, format!("{}: {why}", path.display()))
}

fn config(why: &str) -> Error {
    Error::new(ErrorKind::Config, why)
}
