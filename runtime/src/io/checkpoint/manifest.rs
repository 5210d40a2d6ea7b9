//! What a checkpoint holds, in JSON: every tensor, the pieces it lies in, and a hash of each.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The name of the file; a directory that has none is no checkpoint yet.
pub(super) const MANIFEST: &str = "manifest.json";
/// What the first field of the file says.
const FORMAT: &str = "axisgrad checkpoint 1";

/// What a checkpoint holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: String,
    /// Steps that the run had made.
    pub(super) step: u64,
    /// Where it ran, for people.
    pub(super) mesh: String,
    pub(super) tensors: Vec<Entry>,
}

/// One tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) dtype: String,
    /// Positional dims.
    pub(super) dims: Vec<usize>,
    /// The axes that it varies over, with their sizes; these are the first dims of what is stored.
    pub(super) axes: Vec<(String, usize)>,
    pub(super) pieces: Vec<Piece>,
}

/// A part of a tensor: of each axis, the positions from `start` on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Piece {
    pub(super) file: String,
    /// The tensor's name in the file.
    pub(super) key: String,
    pub(super) start: Vec<usize>,
    pub(super) lanes: Vec<usize>,
    pub(super) sha256: String,
}

/// The file: the manifest, and the hash of its text.
#[derive(Serialize, Deserialize)]
struct Sealed {
    manifest: Manifest,
    sha256: String,
}

impl Manifest {
    pub(super) fn new(step: u64, mesh: String, tensors: Vec<Entry>) -> Self {
        Self { format: FORMAT.into(), step, mesh, tensors }
    }

    /// The text of the file.
    pub(super) fn seal(&self) -> Vec<u8> {
        let sealed = Sealed { manifest: self.clone(), sha256: self.digest() };
        serde_json::to_vec_pretty(&sealed).expect("plain data")
    }

    fn digest(&self) -> String {
        hash(&serde_json::to_vec(self).expect("plain data"))
    }

    /// The manifest of a checkpoint.
    ///
    /// # Errors
    /// If the file cannot be read, or is not what was written: why, in words.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(folder.join(MANIFEST)).map_err(|error| format!("{MANIFEST}: {error}"))?;
        Self::unseal(&bytes).map_err(|why| format!("{MANIFEST}: {why}"))
    }

    /// The manifest in the text of a file.
    ///
    /// # Errors
    /// If it is not what [`seal`](Self::seal) has made.
    pub(super) fn unseal(text: &[u8]) -> Result<Self, String> {
        let sealed: Sealed = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if sealed.manifest.format != FORMAT {
            return Err(format!(
                "its format is `{}`, and this is a reader of `{FORMAT}`",
                sealed.manifest.format
            ));
        }
        if sealed.manifest.digest() != sealed.sha256 {
            return Err("its text has another hash than it says".into());
        }
        Ok(sealed.manifest)
    }
}

/// SHA-256 in hexadecimal digits.
pub(super) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
