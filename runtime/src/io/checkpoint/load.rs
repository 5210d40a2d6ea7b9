//! From files to a state: finding the last whole checkpoint, and handing its tensors to every worker.
//!
//! Worker 0 reads and checks all of it before anything is used; the others get their part from worker 0, so all
//! start from the same bits, on whatever mesh they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use axisgrad_collectives::{Buffer, Call, Group};
use safetensors::SafeTensors;

use super::folder::list;
use super::manifest::{Entry, Manifest, Piece, hash};
use super::save::stored_type;
use crate::array::Array;
use crate::dtype::DType;
use crate::error::Result;
use crate::tensor::Tensor;
use crate::tree::{Path as Name, Tree};

/// A checkpoint that has been read and found whole: each tensor with its bytes, all positions first.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) step: u64,
    pub(super) tensors: BTreeMap<String, (Entry, Vec<u8>)>,
}

impl Loaded {
    /// Reads a checkpoint, and compares every tensor with its hash.
    ///
    /// # Errors
    /// If it is damaged: which file and tensor, and why.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let Manifest { step, tensors, .. } = Manifest::read(folder)?;
        let mut loaded = Self { step, tensors: BTreeMap::new() };
        let mut files: Vec<&str> =
            tensors.iter().flat_map(|entry| entry.pieces.iter().map(|piece| &*piece.file)).collect();
        files.sort_unstable();
        files.dedup();
        for entry in &tensors {
            let bytes = size_of(entry)
                .ok_or_else(|| format!("tensor `{}`: its pieces do not make it up", entry.name))?;
            loaded.tensors.insert(entry.name.clone(), (entry.clone(), vec![0; bytes]));
        }
        for file in files {
            loaded.read_file(folder, file, &tensors).map_err(|why| format!("{file}: {why}"))?;
        }
        Ok(loaded)
    }

    fn read_file(&mut self, folder: &Path, file: &str, tensors: &[Entry]) -> Result<(), String> {
        if Path::new(file).file_name().is_none_or(|name| name != file) {
            return Err("not the name of a file in the checkpoint".into());
        }
        let bytes = fs::read(folder.join(file)).map_err(|error| error.to_string())?;
        let stored = SafeTensors::deserialize(&bytes).map_err(|error| error.to_string())?;
        for entry in tensors {
            for piece in entry.pieces.iter().filter(|piece| piece.file == file) {
                let data =
                    check(entry, piece, &stored).map_err(|why| format!("tensor `{}`: {why}", piece.key))?;
                let (_, whole) = self.tensors.get_mut(&entry.name).expect("every entry has its memory");
                place(entry, piece, data, whole);
            }
        }
        Ok(())
    }

    /// Whether the checkpoint is one of this state.
    ///
    /// # Errors
    /// The first tensor that only one of them has, or that differs in type.
    pub(super) fn fits(&self, state: &impl Tree) -> Result<(), String> {
        let (mut wrong, mut count) = (None, 0);
        state.visit(&Name::ROOT, &mut |name, leaf| {
            if wrong.is_some() || leaf.dtype() == DType::Float0 {
                return;
            }
            count += 1;
            let wanted =
                type_of(leaf.dtype().name(), leaf.dims(), leaf.axes().iter().map(|a| (a.name(), a.size())));
            wrong = match self.tensors.get(&name.to_string()) {
                None => Some(format!("it has no tensor `{name}`, which the program's state has")),
                Some((entry, _)) => {
                    let axes = entry.axes.iter().map(|(name, size)| (&**name, *size));
                    let saved = type_of(&entry.dtype, &entry.dims, axes);
                    (saved != wanted)
                        .then(|| format!("its tensor `{name}` is {saved}, and the program's is {wanted}"))
                }
            };
        });
        match wrong {
            Some(wrong) => Err(wrong),
            None if count < self.tensors.len() => {
                Err(format!("it has {} tensors, and the program's state only {count}", self.tensors.len()))
            }
            None => Ok(()),
        }
    }
}

/// `f32[64,10]{model=4}`
fn type_of<'a>(dtype: &str, dims: &[usize], axes: impl Iterator<Item = (&'a str, usize)>) -> String {
    let axes: Vec<String> = axes.map(|(name, size)| format!("{name}={size}")).collect();
    let dims: Vec<String> = dims.iter().map(usize::to_string).collect();
    let axes = if axes.is_empty() { String::new() } else { format!("{{{}}}", axes.join(",")) };
    format!("{dtype}[{}]{axes}", dims.join(","))
}

/// Bytes of a whole tensor, if its pieces make it up.
fn size_of(entry: &Entry) -> Option<usize> {
    let row = row_of(entry)?;
    let positions = product(entry.axes.iter().map(|(_, size)| *size))?;
    let mut covered = 0usize;
    for piece in &entry.pieces {
        let fits = |((start, lanes), (_, size)): ((&usize, &usize), &(String, usize))| {
            start.checked_add(*lanes).is_some_and(|end| end <= *size)
        };
        let dims = piece.start.len() == entry.axes.len() && piece.lanes.len() == entry.axes.len();
        if !dims || !piece.start.iter().zip(&piece.lanes).zip(&entry.axes).all(fits) {
            return None;
        }
        covered = covered.checked_add(product(piece.lanes.iter().copied())?)?;
    }
    (covered == positions).then(|| positions.checked_mul(row))?
}

/// Bytes at one position.
fn row_of(entry: &Entry) -> Option<usize> {
    let (dtype, more) = stored_type(&entry.dtype)?;
    let elements = product(entry.dims.iter().chain(more).copied())?;
    elements.checked_mul(dtype.bitsize() / 8)
}

fn product(mut numbers: impl Iterator<Item = usize>) -> Option<usize> {
    numbers.try_fold(1usize, usize::checked_mul)
}

/// The bytes of a piece.
fn check<'a>(entry: &Entry, piece: &Piece, stored: &SafeTensors<'a>) -> Result<&'a [u8], String> {
    let view = stored.tensor(&piece.key).map_err(|_| "it is not in the file".to_owned())?;
    let (dtype, more) = stored_type(&entry.dtype).ok_or("it has a type that is not known")?;
    let shape: Vec<usize> = piece.lanes.iter().chain(&entry.dims).chain(more).copied().collect();
    if view.dtype() != dtype || view.shape() != shape {
        return Err(format!(
            "it is {:?}{:?} in the file, and {dtype:?}{shape:?} in the manifest",
            view.dtype(),
            view.shape()
        ));
    }
    if hash(view.data()) != piece.sha256 {
        return Err("its bytes have another hash than the manifest says".into());
    }
    Ok(view.data())
}

/// Copies a piece to where it belongs: row by row of positions.
fn place(entry: &Entry, piece: &Piece, data: &[u8], whole: &mut [u8]) {
    let row = row_of(entry).expect("checked before");
    let count: usize = piece.lanes.iter().product();
    for at in 0..count {
        let (mut rest, mut position, mut stride) = (at, 0, 1);
        for axis in (0..piece.lanes.len()).rev() {
            position += (piece.start[axis] + rest % piece.lanes[axis]) * stride;
            rest /= piece.lanes[axis];
            stride *= entry.axes[axis].1;
        }
        whole[position * row..][..row].copy_from_slice(&data[at * row..][..row]);
    }
}

/// The last whole checkpoint of a directory, if there is any; says which ones are damaged.
///
/// # Errors
/// If there are checkpoints, and all are damaged.
pub(super) fn last_whole(path: &Path) -> Result<Option<Loaded>, String> {
    let all = list(path).map_err(|error| error.to_string())?;
    let mut damages = Vec::new();
    for whole in all.iter().rev() {
        let folder = path.join(whole.to_string());
        match Loaded::read(&folder) {
            Ok(loaded) => return Ok(Some(loaded)),
            Err(why) => {
                let damage = format!("checkpoint {} is damaged: {why}", folder.display());
                eprintln!("axisgrad: {damage}");
                damages.push(damage);
            }
        }
    }
    if damages.is_empty() {
        Ok(None)
    } else {
        Err(format!("no checkpoint is whole\n   {}", damages.join("\n   ")))
    }
}

/// Hands a checkpoint that worker 0 has read to all, as the state of the program; without one nothing changes.
/// Returns the step.
pub(super) fn hand_out<S: Tree>(
    everyone: &Group,
    loaded: Option<&Loaded>,
    state: S,
) -> Result<(Option<u64>, S)> {
    let call = Call::here("resume");
    let step = loaded.map_or(-1, |loaded| loaded.step as i64);
    let step = everyone.broadcast::<i64>(&call, 0, everyone.pool().copy_of(&[step]))?.as_slice::<i64>()[0];
    if step < 0 {
        return Ok((None, state));
    }
    let mut failure = None;
    let state = state.map(&Name::ROOT, &mut |name, leaf| {
        if leaf.dtype() == DType::Float0 || failure.is_some() {
            return leaf.clone();
        }
        receive(everyone, loaded, name, leaf).unwrap_or_else(|error| {
            failure = Some(error);
            leaf.clone()
        })
    });
    failure.map_or(Ok((Some(step as u64), state)), Err)
}

/// One leaf: all positions from worker 0, of which this worker takes its own.
fn receive(everyone: &Group, loaded: Option<&Loaded>, name: &Name<'_>, leaf: &Tensor) -> Result<Tensor> {
    let dims: Vec<usize> =
        leaf.axes().iter().map(|axis| axis.size()).chain(leaf.dims().iter().copied()).collect();
    let mine: Buffer = match loaded {
        Some(loaded) => everyone.pool().copy_of(&loaded.tensors[&name.to_string()].1),
        None => everyone.pool().alloc::<u8>(dims.iter().product::<usize>() * leaf.dtype().size()).freeze(),
    };
    let buffer = everyone.broadcast::<u8>(&Call::here("resume"), 0, mine)?;
    let whole = Array::from_buffer(leaf.dtype(), dims, buffer);
    let lanes = leaf.axes().iter().enumerate();
    let own =
        lanes.fold(whole, |array, (dim, axis)| array.slice(dim, axis.lanes().start, axis.lanes().end, 1));
    Ok(Tensor::ground(own.contiguous(), leaf.axes().clone()))
}
