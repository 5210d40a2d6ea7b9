//! The one error of this crate.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// What went wrong, for programs that must tell cases apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Members of a group made different calls.
    Mismatch,
    /// A member did not arrive before the deadline.
    Timeout,
    /// A worker that others waited for has finished.
    Peer,
    /// The process of a rank has died.
    Lost,
    /// Flags, environment or mesh sizes that do not fit together.
    Config,
    /// The MPI library refused or failed.
    Mpi,
    /// A worker panicked.
    Panic,
    /// A worker's closure returned an error; it is the source.
    User,
    /// A call that cannot be carried out: a reduction without meaning for the type, a bad root, ….
    Usage,
    /// A file that cannot be read or written, or is damaged.
    Io,
    /// The loss or a gradient is not finite.
    NonFinite,
    /// Not a failure: all workers have agreed to end the run here, with everything saved.
    Stopped,
}

/// Why a collective, a mesh or a run failed. Cheap to clone: every worker of a run returns the same one.
///
/// ```
/// use axisgrad_collectives::error::{Error, ErrorKind};
/// let error = Error::new(ErrorKind::Config, "--threads must be at least 1");
/// assert_eq!(error.to_string(), "--threads must be at least 1");
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
    record: OnceLock<String>,
}

/// What most functions here return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with a message that says what to do about it.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner { kind, message: message.into(), source: None, record: OnceLock::new() }))
    }

    /// The same, caused by another error.
    pub fn with_source(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            source: Some(source.into()),
            record: OnceLock::new(),
        }))
    }

    /// What went wrong, as data.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Where every worker was when the run failed, as far as it is known: its last calls. Empty where nothing is.
    pub fn record(&self) -> &str {
        self.0.record.get().map_or("", String::as_str)
    }

    /// Notes where every worker was, once.
    pub(crate) fn set_record(&self, record: String) {
        let _ = self.0.record.set(record);
    }

    /// Whether both are handles to one failure.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

/// The message, and where every worker was: `main` that returns a `Result` shows errors through `Debug`.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        f.write_str(self.record())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// What the system says of a file.
impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::with_source(ErrorKind::Io, error.to_string(), error)
    }
}
