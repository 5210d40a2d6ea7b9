//! Numbers of rows: their range, and what one outside it does.

use std::panic::Location;

use crate::array::Array;
use crate::array::kernels::{RowDims, cast, map1};
use crate::dtype::DType;
use crate::error::violation;
use crate::tensor::Tensor;

/// What a number that is out of range does. (But for `Clip`, negative numbers count from the end, once.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutOfRange {
    /// It is an error, which names the number and its position.
    #[default]
    Refuse,
    /// It stands for the nearest one in range; negative numbers for 0.
    Clip,
    /// It gives NaN; of integers the smallest, or the largest `u8`; or `true`. No gradient flows back.
    Fill,
    /// It gives zero. No gradient flows back.
    Zero,
}

/// Fails unless `ids` are integers that fit `x` and, where they must be, are in range of `n`.
#[track_caller]
pub(super) fn check_ids(op: &str, x: &Tensor, ids: &Tensor, at: RowDims, n: usize, out_of_range: OutOfRange) {
    let site = Location::caller();
    if !ids.dtype().is_integer() {
        let rule = format!("ids must be integers, and these are {}", ids.dtype());
        violation(op, &rule, &[x, ids], site);
    }
    if out_of_range == OutOfRange::Clip && n == 0 && !ids.is_empty() {
        violation(op, &format!("dim {} has size 0: nothing is near", at.dim), &[x, ids], site);
    }
    if out_of_range == OutOfRange::Refuse
        && let Some((id, place)) = first_outside(ids, n)
    {
        let rule = format!(
            "index {id} at {place} is out of range for dim {} of size {n}\n   help: correct it, or say what such an \
             index is to do with OutOfRange::Clip, Fill or Zero",
            at.dim
        );
        violation(op, &rule, &[x, ids], site);
    }
}

/// The first number that names no row, and where it is: `[0, 1]`, or `[0, 1] (batch 7)`.
fn first_outside(ids: &Tensor, n: usize) -> Option<(String, String)> {
    let range = -(n as i64)..n as i64;
    let all = as_i64(ids.array()).contiguous();
    let flat = all.as_slice::<i64>().iter().position(|id| !range.contains(id))?;
    let mut rest = flat;
    let mut place: Vec<usize> = all.dims().iter().rev().map(|size| (rest % size, rest /= size).0).collect();
    place.reverse();
    let (lanes, dims) = place.split_at(ids.axes().len());
    let lanes = ids
        .axes()
        .iter()
        .zip(lanes)
        .map(|(axis, lane)| format!("{} {}", axis.name(), axis.lanes().start + lane));
    let lanes: Vec<String> = lanes.collect();
    let lanes = if lanes.is_empty() { String::new() } else { format!(" ({})", lanes.join(", ")) };
    let id = match ids.dtype() {
        DType::U64 => ids.array().contiguous().as_slice::<u64>()[flat].to_string(),
        _ => all.as_slice::<i64>()[flat].to_string(),
    };
    Some((id, format!("{dims:?}{lanes}")))
}

/// Numbers that are larger name no row either.
fn as_i64(ids: &Array) -> Array {
    let small = (ids.dtype() == DType::U64).then(|| map1(ids, |id: u64| id.min(i64::MAX as u64)));
    cast(small.as_ref().unwrap_or(ids), DType::I64)
}

/// Numbers from 0 up to `n`, or -1 for no row.
pub(super) fn resolved(ids: &Array, n: usize, out_of_range: OutOfRange) -> Array {
    let n = n as i64;
    let ids = as_i64(ids);
    match out_of_range {
        OutOfRange::Clip => map1(&ids, |id: i64| id.clamp(0, (n - 1).max(0))),
        _ => map1(&ids, |id: i64| match if id < 0 { id + n } else { id } {
            id if (0..n).contains(&id) => id,
            _ => -1,
        }),
    }
}
