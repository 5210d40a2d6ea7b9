//! The flags of a program that runs on a mesh.

use std::time::Duration;

use clap::{Args, Parser};

use super::builder::{Mesh, MeshBuilder};
use crate::error::Result;
use crate::mesh::config;

/// Where a program runs; flatten it into the program's own flags.
///
/// ```
/// use axisgrad_collectives::MeshArgs;
/// use clap::Parser;
///
/// #[derive(Parser)]
/// struct Flags {
///     #[arg(long, default_value_t = 20)]
///     epochs: u32,
///     #[command(flatten)]
///     mesh: MeshArgs,
/// }
///
/// let flags = Flags::parse_from(["train", "--threads", "4", "--mesh", "model=2"]);
/// let mesh = flags.mesh.mesh(["batch", "model"])?;
/// assert_eq!(mesh.shape().to_string(), "batch=2,model=2");
/// # Ok::<(), axisgrad_collectives::Error>(())
/// ```
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Where it runs")]
pub struct MeshArgs {
    /// Worker threads in each process [default: RAYON_NUM_THREADS, else the cores this process may use]
    #[arg(long, value_name = "N", env = "AXISGRAD_THREADS")]
    pub threads: Option<usize>,
    /// Workers along the axes, as in batch=4,model=2 [default: all along the first axis]
    #[arg(long, value_name = "AXIS=N,..", env = "AXISGRAD_MESH")]
    pub mesh: Option<String>,
    /// Seconds that a worker waits for the others before it gives up [default: 60]
    #[arg(long, value_name = "SECONDS", env = "AXISGRAD_TIMEOUT")]
    pub timeout: Option<f64>,
    /// Positions that are summed together, at most; the bits of results depend on it [default: 32]
    #[arg(long, value_name = "POSITIONS", env = "AXISGRAD_BLOCK")]
    pub block: Option<u64>,
    /// Order of sums: one for all meshes, or any that is fast [default: reproducible]
    #[arg(long, value_name = "ORDER", env = "AXISGRAD_REDUCTION")]
    pub reduction: Option<Order>,
    /// Whether ranks of one machine reduce through memory that they share, or by messages only [default: true]
    #[arg(long, value_name = "BOOL", env = "AXISGRAD_SHARED_MEMORY")]
    pub shared_memory: Option<bool>,
}

/// The order in which a reduction over an axis adds up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Order {
    /// The same for every mesh, and so are the bits
    Reproducible,
    /// Any
    Fast,
}

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    mesh: MeshArgs,
}

impl MeshArgs {
    /// The mesh with these axes that the flags ask for; says on stderr what runs where.
    ///
    /// # Errors
    /// If `--mesh` names an axis that is not among `axes`, and as [`MeshBuilder::build`].
    pub fn mesh<const N: usize>(&self, axes: [&str; N]) -> Result<Mesh> {
        self.builder(&axes)?.announce().build()
    }

    fn builder(&self, axes: &[&str]) -> Result<MeshBuilder> {
        let mut builder = Mesh::builder().axes(axes.iter().copied());
        let sizes = self.sizes()?;
        for (i, (name, size)) in sizes.iter().enumerate() {
            if sizes[..i].iter().any(|(other, _)| other == name) {
                return Err(config(format!("--mesh: axis `{name}` is given twice")));
            }
            if !builder.has_axis(name) {
                let known = axes.join("`, `");
                return Err(config(format!("--mesh: there is no axis `{name}`; this program has `{known}`")));
            }
            builder = builder.axis(name, *size);
        }
        if let Some(threads) =
            self.threads.or_else(rayon_threads).filter(|_| !self.is_complete(axes) || self.threads.is_some())
        {
            builder = builder.threads(threads);
        }
        if let Some(seconds) = self.timeout {
            let timeout = Duration::try_from_secs_f64(seconds)
                .map_err(|_| config(format!("--timeout {seconds}: give a positive number of seconds")))?;
            builder = builder.timeout(timeout);
        }
        let builder = builder.fast(self.reduction == Some(Order::Fast));
        let builder = builder.shared_memory(self.shared_memory.unwrap_or(true));
        Ok(match self.block {
            Some(block) => builder.block(block),
            None => builder,
        })
    }

    /// Whether `--mesh` gives every axis its size, and so the number of workers.
    fn is_complete(&self, axes: &[&str]) -> bool {
        self.sizes().is_ok_and(|sizes| sizes.len() == axes.len())
    }

    fn sizes(&self) -> Result<Vec<(String, usize)>> {
        let given =
            self.mesh.as_deref().unwrap_or_default().split(',').filter(|pair| !pair.trim().is_empty());
        given.map(parse_size).collect()
    }
}

fn parse_size(pair: &str) -> Result<(String, usize)> {
    let parsed = pair.split_once('=').and_then(|(name, size)| Some((name.trim(), size.trim().parse().ok()?)));
    match parsed {
        Some((name, size)) if size > 0 => Ok((name.to_string(), size)),
        _ => Err(config(format!(
            "--mesh: `{pair}` is not of the form AXIS=N with N at least 1, as in batch=4"
        ))),
    }
}

fn rayon_threads() -> Option<usize> {
    std::env::var("RAYON_NUM_THREADS").ok()?.trim().parse().ok().filter(|&threads| threads > 0)
}

impl Mesh {
    /// The mesh with these axes that the command line and the environment ask for. Knows the flags of [`MeshArgs`] and
    /// `--help`; a program with flags of its own flattens them.
    ///
    /// # Errors
    /// As [`MeshArgs::mesh`]. Flags that cannot be parsed end the process with a usage message.
    pub fn from_args<const N: usize>(axes: [&str; N]) -> Result<Self> {
        Flags::parse().mesh.mesh(axes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(flags: &[&str]) -> Result<Mesh> {
        let flags = Flags::try_parse_from([&["train"], flags].concat()).unwrap();
        flags.mesh.builder(&["batch", "model"])?.build()
    }

    #[test]
    fn flags_make_a_mesh() {
        let mesh = parse(&["--threads=6", "--mesh", "model=3", "--timeout=1.5", "--block=8"]).unwrap();
        assert_eq!(mesh.summary(), "1 rank x 6 threads = 6 workers; mesh batch=2,model=3; block 8");
        assert_eq!(mesh.timeout(), Duration::from_millis(1500));
        assert_eq!(parse(&["--mesh=batch=2,model=2"]).unwrap().shape().threads(), 4);
    }

    #[test]
    fn wrong_flags_are_refused_with_advice() {
        let message = |flags: &[&str]| parse(flags).err().unwrap().to_string();
        assert_eq!(
            message(&["--mesh", "bach=2"]),
            "--mesh: there is no axis `bach`; this program has `batch`, `model`"
        );
        assert!(message(&["--mesh", "batch"]).contains("is not of the form AXIS=N"));
        assert!(message(&["--mesh", "batch=0"]).contains("with N at least 1"));
        assert!(message(&["--mesh", "batch=4,batch=2"]).contains("axis `batch` is given twice"));
        assert_eq!(
            parse(&["--threads=1", "--timeout=1e19"]).unwrap().timeout().as_secs(),
            100 * 365 * 24 * 3600
        );
        assert!(message(&["--timeout=-1"]).contains("positive number of seconds"));
        assert!(message(&["--threads=3", "--mesh=model=2"]).contains("there are 1 ranks x 3 threads = 3"));
    }
}
