//! From a state to files: what each worker writes, and how the pieces become a checkpoint.
//!
//! A tensor that varies over no axis is written by one rank; ranks take turns by bytes. One that varies is
//! written by the workers that hold its positions. Every worker that is done leaves a receipt with the hashes;
//! worker 0 waits for all receipts, writes the manifest, and gives the directory its name.

use std::fs;
use std::io::{Error, Result};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use safetensors::tensor::{Dtype, TensorView};

use super::folder::Folder;
use super::manifest::{Entry, MANIFEST, Manifest, Piece, hash};
use crate::array::Array;
use crate::dtype::DType;
use crate::tensor::Tensor;
use crate::tree::{Path as Name, Tree};
use crate::worker::Worker;

/// How long the writer of the manifest rests between looks for receipts.
const REST: Duration = Duration::from_millis(2);

/// What one worker writes of a state: arrays, which nobody changes any more, and where they belong.
pub(super) struct Share {
    pub(super) step: u64,
    pub(super) worker: usize,
    pub(super) workers: usize,
    pub(super) mesh: String,
    pub(super) timeout: Duration,
    held: Vec<(Entry, Array)>,
}

impl Share {
    /// This worker's share of a state.
    pub(super) fn of(w: &Worker, step: u64, state: &impl Tree) -> Self {
        let mut held = Vec::new();
        let mut written = vec![0; w.ranks()];
        state.visit(&Name::ROOT, &mut |name, leaf| {
            if is_mine(w, leaf, &mut written)
                && let Some(entry) = entry(name, leaf, w.index())
            {
                held.push((entry, leaf.local()));
            }
        });
        let mesh = w.axes().iter().map(|(name, size)| format!("{name}={size}")).collect::<Vec<_>>().join(",");
        let mesh = format!("{} ranks x {} threads; mesh {mesh}; block {}", w.ranks(), w.threads(), w.block());
        Self { step, worker: w.index(), workers: w.workers(), mesh, timeout: w.timeout(), held }
    }

    /// Writes the share; on worker 0, waits for the others' and makes them a checkpoint.
    ///
    /// # Errors
    /// If the disk refuses, others do not come, or the run has ended.
    pub(super) fn write(self, folder: &Folder, ended: &AtomicBool) -> Result<()> {
        let partial = folder.partial(self.step);
        folder.disk.create_dir(&partial.join("data"))?;
        folder.disk.create_dir(&partial.join("receipts"))?;
        let entries = self.write_data(folder, &partial.join("data"))?;
        let receipt = partial.join("receipts").join(self.worker.to_string());
        folder.disk.write(&receipt.with_extension("new"), &serde_json::to_vec(&entries)?)?;
        folder.disk.rename(&receipt.with_extension("new"), &receipt)?;
        if self.worker == 0 { self.publish(folder, &partial, ended) } else { Ok(()) }
    }

    /// Writes the arrays to this worker's file; returns what the manifest is to say of them.
    fn write_data(&self, folder: &Folder, data: &Path) -> Result<Vec<Entry>> {
        let buffers: Vec<_> = self.held.iter().map(|(_, array)| array.contiguous_buffer()).collect();
        let mut entries: Vec<Entry> = self.held.iter().map(|(entry, _)| entry.clone()).collect();
        for (entry, buffer) in entries.iter_mut().zip(&buffers) {
            entry.pieces[0].sha256 = hash(buffer.bytes());
        }
        if let Some(first) = entries.first() {
            let views = entries.iter().zip(&buffers);
            let views = views.map(|(entry, buffer)| Ok((&entry.pieces[0].key, view(entry, buffer.bytes())?)));
            let bytes =
                safetensors::serialize(views.collect::<Result<Vec<_>>>()?, None).map_err(Error::other)?;
            folder.disk.write(&data.join(&first.pieces[0].file), &bytes)?;
        }
        Ok(entries)
    }

    fn publish(&self, folder: &Folder, partial: &Path, ended: &AtomicBool) -> Result<()> {
        let mut tensors: Vec<Entry> = Vec::new();
        for entry in self.collect(&partial.join("receipts"), ended)? {
            match tensors.iter_mut().find(|known| known.name == entry.name) {
                Some(known) => known.pieces.extend(entry.pieces),
                None => tensors.push(entry),
            }
        }
        let data = partial.join("data");
        let manifest = Manifest::new(self.step, self.mesh.clone(), tensors);
        folder.disk.write(&data.join(MANIFEST), &manifest.seal())?;
        folder.publish(&data, self.step)?;
        folder.disk.remove_dir(partial)?;
        folder.prune()
    }

    /// What all workers have written.
    fn collect(&self, receipts: &Path, ended: &AtomicBool) -> Result<Vec<Entry>> {
        let deadline = Instant::now() + self.timeout;
        let mut all = Vec::new();
        for worker in 0..self.workers {
            let receipt = receipts.join(worker.to_string());
            while !receipt.exists() {
                if ended.load(Ordering::Relaxed) {
                    return Err(Error::other("the run has ended"));
                }
                if Instant::now() > deadline {
                    return Err(Error::other(format!(
                        "worker {worker} has not written its share in {} s; do all ranks see this directory?",
                        self.timeout.as_secs_f64()
                    )));
                }
                thread::sleep(REST);
            }
            all.extend(serde_json::from_slice::<Vec<Entry>>(&fs::read(receipt)?)?);
        }
        Ok(all)
    }
}

/// Whether this worker writes a leaf.
fn is_mine(w: &Worker, leaf: &Tensor, written: &mut [usize]) -> bool {
    if leaf.axes().is_empty() {
        let rank = (0..written.len()).min_by_key(|&rank| written[rank]).expect("a rank");
        written[rank] += leaf.len() * leaf.dtype().size();
        return w.thread() == 0 && w.rank() == rank;
    }
    let first = |name: &str| w.coordinate(name).is_ok_and(|coordinate| coordinate == 0);
    w.axes().iter().all(|(name, _)| leaf.axes().contains(name) || first(name))
}

/// What the manifest says of a leaf, with this worker's piece; its hash is still to come. Nothing is stored of
/// `float0`, which has no bits.
fn entry(name: &Name<'_>, leaf: &Tensor, worker: usize) -> Option<Entry> {
    if leaf.dtype() == DType::Float0 {
        return None;
    }
    let lanes: Vec<_> = leaf.axes().iter().map(|axis| axis.lanes()).collect();
    let start: Vec<usize> = lanes.iter().map(|lanes| lanes.start).collect();
    let name = name.to_string();
    let key = if start.is_empty() { name.clone() } else { format!("{name}@{start:?}") };
    let lanes = lanes.iter().map(|lanes| lanes.len()).collect();
    let file = format!("share-{worker:05}.safetensors");
    Some(Entry {
        name,
        dtype: leaf.dtype().name().into(),
        dims: leaf.dims().to_vec(),
        axes: leaf.axes().iter().map(|axis| (axis.name().to_owned(), axis.size())).collect(),
        pieces: vec![Piece { file, key, start, lanes, sha256: String::new() }],
    })
}

/// A piece as safetensors sees it.
fn view<'a>(entry: &Entry, bytes: &'a [u8]) -> Result<TensorView<'a>> {
    let (dtype, more) = stored_type(&entry.dtype).expect("a type that is stored");
    let shape = entry.pieces[0].lanes.iter().chain(&entry.dims).chain(more).copied().collect();
    TensorView::new(dtype, shape, bytes).map_err(Error::other)
}

/// The type in the file of a type by name, and the dims that it adds: safetensors knows no `c128`.
pub(super) fn stored_type(name: &str) -> Option<(Dtype, &'static [usize])> {
    Some(match name {
        "bf16" => (Dtype::BF16, &[]),
        "f32" => (Dtype::F32, &[]),
        "f64" => (Dtype::F64, &[]),
        "c64" => (Dtype::C64, &[]),
        "c128" => (Dtype::F64, &[2]),
        "i32" => (Dtype::I32, &[]),
        "i64" => (Dtype::I64, &[]),
        "u8" => (Dtype::U8, &[]),
        "u32" => (Dtype::U32, &[]),
        "u64" => (Dtype::U64, &[]),
        "bool" => (Dtype::BOOL, &[]),
        _ => return None,
    })
}
