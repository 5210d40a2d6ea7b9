//! One number for all the bits of a model.

use sha2::{Digest, Sha256};

use crate::dtype::dispatch;
use crate::tree::{Path, Tree};

/// The first 16 hexadecimal digits of a SHA-256 over the paths, types and bits of all leaves: equal for models
/// that are equal to the bit.
///
/// # Panics
/// If a leaf varies over an axis.
pub fn hash(tree: &impl Tree) -> String {
    let mut hasher = Sha256::new();
    tree.visit(&Path::ROOT, &mut |path, leaf| {
        hasher.update(format!("{path} {}\n", leaf.ty()));
        let array = leaf.to_array().contiguous();
        dispatch!(array.dtype() in [stored], T => hasher.update(axisgrad_collectives::buffer::bytes_of(array.as_slice::<T>())));
    });
    hasher.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
