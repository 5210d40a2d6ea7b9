//! `ppermute`, and `pshuffle` which is made of it.

use std::collections::HashMap;
use std::ops::Range;
use std::panic::Location;

use axisgrad_collectives::Call;

use super::lanes::{exchange, move_dim};
use crate::array::kernels::concat;
use crate::array::{Array, Dims};
use crate::bind::bind;
use crate::dtype::DType;
use crate::error::violation;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::{Axis, AxisSet, TensorType};

type Site = &'static Location<'static>;

/// Sends the value at position `source` to position `destination`, for each pair; positions that nobody sends to
/// get zeros.
///
/// `T[..]{a} -> T[..]{a}`; its transpose is `ppermute` with the pairs reversed.
///
/// # Panics
/// If `x` does not vary over the axis, a position is out of range, or one sends or receives twice.
#[track_caller]
pub fn ppermute(x: &Tensor, name: &str, pairs: &[(usize, usize)]) -> Tensor {
    let (axis, site) = (x.axis(name).clone(), Location::caller());
    if let Err(rule) = check(&axis, pairs) {
        violation("ppermute", &rule, &[x], site);
    }
    bind(Ppermute { axis, pairs: pairs.to_vec(), site }, &[x])
}

/// Position *i* gets the value of position `sources[i]`.
///
/// `T[..]{a} -> T[..]{a}`
///
/// # Panics
/// If `x` does not vary over the axis, or `sources` is not a permutation of its positions.
#[track_caller]
pub fn pshuffle(x: &Tensor, name: &str, sources: &[usize]) -> Tensor {
    if sources.len() != x.axis(name).size() {
        let rule = format!("{sources:?} is not a permutation of the {} positions", x.axis(name).size());
        violation("pshuffle", &rule, &[x], Location::caller());
    }
    let pairs: Vec<_> = sources.iter().copied().zip(0..).collect();
    ppermute(x, name, &pairs)
}

fn check(axis: &Axis, pairs: &[(usize, usize)]) -> Result<(), String> {
    let (mut sends, mut receives) = (vec![false; axis.size()], vec![false; axis.size()]);
    for &(source, destination) in pairs {
        for (position, seen, does) in
            [(source, &mut sends, "sends"), (destination, &mut receives, "receives")]
        {
            match seen.get_mut(position) {
                None => {
                    let (name, size) = (axis.name(), axis.size());
                    return Err(format!(
                        "position {position} is out of range: `{name}` has {size} positions"
                    ));
                }
                Some(true) => return Err(format!("position {position} {does} twice")),
                Some(slot) => *slot = true,
            }
        }
    }
    Ok(())
}

/// See [`ppermute`].
struct Ppermute {
    axis: Axis,
    pairs: Vec<(usize, usize)>,
    site: Site,
}

impl Op for Ppermute {
    fn name(&self) -> &'static str {
        "ppermute"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        Ok((inputs[0].dtype, inputs[0].dims.clone()))
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        let lane = axes.position(self.axis.name()).expect("an axis of the operand");
        let x = move_dim(&inputs[0], lane, 0);
        let own = self.axis.lanes();
        let source: HashMap<usize, usize> = self.pairs.iter().map(|&(s, d)| (d, s)).collect();
        // Rows travel in the order of their destinations.
        let send = |q: &Range<usize>| {
            let rows = q.clone().filter_map(|d| source.get(&d).filter(|s| own.contains(s)));
            stack(&x, rows.map(|&s| x.slice(0, s - own.start, s - own.start + 1, 1)))
        };
        let from =
            |p: &Range<usize>| own.clone().filter(|d| source.get(d).is_some_and(|s| p.contains(s))).count();
        let row = &x.dims()[1..];
        let call = Call::at("ppermute", self.site).dims(row).also(&self.pairs);
        let came = exchange(&call, &self.axis, (x.dtype(), row), send, from);
        move_dim(&self.place(&x, &source, &came), 0, lane)
    }

    fn vjp(&self, _: usize, ct: &Tensor, _: &[Tensor], _: &Tensor) -> Option<Tensor> {
        let pairs = self.pairs.iter().map(|&(s, d)| (d, s)).collect();
        Some(bind(Ppermute { axis: self.axis.clone(), pairs, site: self.site }, &[ct]))
    }
}

impl Ppermute {
    /// Rows that came, in the order of their destinations within each source worker, put in place.
    fn place(&self, x: &Array, source: &HashMap<usize, usize>, came: &[Array]) -> Array {
        let own = self.axis.lanes();
        let members = super::lanes::lanes_of_members(&self.axis);
        let mut next = vec![0; came.len()];
        let zeros = Array::zeros(x.dtype(), [&[1], &x.dims()[1..]].concat());
        let rows = own.map(|d| {
            let Some(s) = source.get(&d) else { return zeros.clone() };
            let worker =
                members.iter().position(|lanes| lanes.contains(s)).expect("a position of some worker");
            next[worker] += 1;
            came[worker].slice(0, next[worker] - 1, next[worker], 1)
        });
        stack(x, rows)
    }
}

/// Rows of `like`'s kind, one after another; there may be none.
fn stack(like: &Array, rows: impl Iterator<Item = Array>) -> Array {
    let rows: Vec<Array> = rows.collect();
    if rows.is_empty() {
        return Array::zeros(like.dtype(), [&[0], &like.dims()[1..]].concat());
    }
    concat(&rows.iter().collect::<Vec<_>>(), 0)
}
