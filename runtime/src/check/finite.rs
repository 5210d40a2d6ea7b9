//! Finding where values that are not finite come from.

use std::panic::Location;
use std::rc::Rc;

use axisgrad_collectives::{Call, Group};

use crate::array::Array;
use crate::dtype::DType;
use crate::error::Result;
use crate::function::{ArgList, Arguments, Function};
use crate::tape::{Kind, Node, Tape};
use crate::tensor::Tensor;
use crate::tree::{Path, Tree};
use crate::worker::Worker;

/// Whether all floats of this worker's lanes are finite.
pub fn is_finite(x: &Tensor) -> bool {
    first_bad(&x.local()).is_none()
}

/// The first op, in the order of the program, that makes a value that is not finite out of finite ones and from
/// which the results of `f` that are not finite follow; its line, the worker, and the positions of named axes:
/// `log of f32[10]{batch} at model.rs:31, on worker 3, batch 17`. The same text on every worker, all of which must
/// call it; `None` if the results are finite. An argument that is not finite is named with the line of this call.
///
/// It runs `f` once more with every op recorded, those of a backward pass inside `f` too.
///
/// # Errors
/// If a collective fails.
#[track_caller]
pub fn first_non_finite<X: Arguments, F>(w: &Worker, f: &F, args: X) -> Result<Option<String>>
where
    F: Function<X::Args, Output: Tree>,
{
    let names: Vec<&str> = w.axes().iter().map(|(name, _)| &**name).collect();
    let tape = Tape::new(&names);
    let site = Location::caller();
    let mut leaves = Vec::new();
    let args = args.to_args().map_args(&mut |number, path, leaf| {
        if !leaf.dtype().is_inexact() {
            return leaf.clone();
        }
        leaves.push(place(number, path));
        tape.leaf(leaf, site)
    });
    let output = f.call(&args);
    tape.close();
    let ends = ends(&tape, &output);
    let nodes = tape.take_nodes();
    let mine = origin(&nodes, ends).map(|index| (index, describe(&nodes[index], leaves.get(index), w)));
    first_of(&w.group(&names)?, mine)
}

/// The nodes of the results that are not finite.
fn ends(tape: &Rc<Tape>, output: &impl Tree) -> Vec<usize> {
    let mut ends = Vec::new();
    output.visit(&Path::ROOT, &mut |_, leaf| {
        if let Some((node, _)) = leaf.on(tape).filter(|(_, value)| !is_finite(value)) {
            ends.push(node);
        }
    });
    ends
}

/// The first node that leads to one of these and has no operand that is not finite.
fn origin(nodes: &[Node], ends: Vec<usize>) -> Option<usize> {
    let mut seen = vec![false; nodes.len()];
    let mut open = ends;
    let mut first = None;
    while let Some(index) = open.pop() {
        if std::mem::replace(&mut seen[index], true) {
            continue;
        }
        let bad = |&operand: &usize| !is_finite(&nodes[operand].output);
        // The results of a call are made of its operands.
        let made = match nodes[index].kind {
            Kind::Part { of, .. } => of,
            _ => index,
        };
        let causes: Vec<usize> = nodes[made].operands().filter(bad).collect();
        if causes.is_empty() {
            first = Some(first.map_or(index, |first: usize| first.min(index)));
        }
        open.extend(causes);
    }
    first
}

fn describe(node: &Node, argument: Option<&String>, w: &Worker) -> String {
    let value = &node.output;
    let site = format!("{} at {}:{}", value.ty(), node.site.file(), node.site.line());
    let what = match (&node.kind, argument) {
        (Kind::Apply { op, .. }, _) => format!("{} of {site}", op.name()),
        (Kind::Part { .. }, _) => format!("a function's {site}"),
        (_, Some(argument)) => format!("{argument}: {site}"),
        _ => format!("pvary of {}", value.ty()),
    };
    let mut at = first_bad(&value.local()).unwrap_or(0) / value.len().max(1);
    let mut positions = Vec::new();
    for axis in value.axes().iter().rev() {
        let lanes = axis.lanes();
        positions.push(format!(", {} {}", axis.name(), lanes.start + at % lanes.len()));
        at /= lanes.len();
    }
    positions.reverse();
    format!("{what}, on worker {}{}", w.index(), positions.concat())
}

/// `argument 0, `hidden.weight``, from the path among the arguments.
fn place(number: usize, path: &Path<'_>) -> String {
    let path = path.to_string();
    let rest =
        path.trim_start_matches('.').trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches('.');
    if rest.is_empty() { format!("argument {number}") } else { format!("argument {number}, `{rest}`") }
}

/// The first element, row-major, that is not finite.
fn first_bad(array: &Array) -> Option<usize> {
    match array.dtype() {
        DType::BF16 => bad(array.contiguous().as_slice::<half::bf16>(), |x| x.is_finite()),
        DType::F32 => bad(array.contiguous().as_slice::<f32>(), |x| x.is_finite()),
        DType::F64 => bad(array.contiguous().as_slice::<f64>(), |x| x.is_finite()),
        DType::C64 => bad(array.contiguous().as_slice::<num_complex::Complex32>(), |x| x.is_finite()),
        DType::C128 => bad(array.contiguous().as_slice::<num_complex::Complex64>(), |x| x.is_finite()),
        dtype => {
            assert!(!dtype.is_inexact(), "{dtype:?} has values that are not finite");
            None
        }
    }
}

fn bad<T: Copy>(values: &[T], is_finite: impl Fn(T) -> bool) -> Option<usize> {
    // Without an early end the loop works on many values at a time, and nearly always all are finite.
    let all = values.iter().fold(true, |all, &x| all & is_finite(x));
    if all { None } else { values.iter().position(|&x| !is_finite(x)) }
}

/// The text of the worker whose node comes first.
fn first_of(everyone: &Group, mine: Option<(usize, String)>) -> Result<Option<String>> {
    let (index, text) = mine.map_or((u64::MAX, String::new()), |(index, text)| (index as u64, text));
    let bytes = [&index.to_le_bytes(), text.as_bytes()].concat();
    let all = everyone.all_gather::<u8>(&Call::here("first_non_finite"), everyone.pool().copy_of(&bytes))?;
    let parse = |bytes: &[u8]| {
        let (index, text) = bytes.split_at(8);
        let index = u64::from_le_bytes(index.try_into().expect("eight bytes"));
        (index, String::from_utf8_lossy(text).into_owned())
    };
    let first = all.iter().map(|part| parse(part.as_slice::<u8>())).min_by_key(|(index, _)| *index);
    Ok(first.filter(|(index, _)| *index < u64::MAX).map(|(_, text)| text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn loss(weight: &Tensor, x: &Tensor) -> Tensor {
        pmean(&(weight * x).log().sum(()), "batch")
    }

    /// What is found on so many workers, of which position 5 has a bad value.
    fn found(threads: usize, ranks: usize, bad: f64, weight: f64) -> Option<String> {
        let mesh = Mesh::builder().axes(["batch"]).threads(threads).block(1);
        let mesh = if ranks > 1 { mesh.simulated_ranks(ranks) } else { mesh };
        let find = |w: &Worker| -> Result<_> {
            let mut x = [[1.0, 2.0]; 8];
            x[5][1] = bad;
            let x = w.unstack(&Tensor::from(x), "batch");
            let step = value_and_grad(loss).reduce_axes(["batch"]);
            first_non_finite(w, &step, (&Tensor::from([weight, 1.0]), &x))
        };
        mesh.build().unwrap().run_all(find).unwrap().into_iter().reduce(|a, b| {
            assert_eq!(a, b);
            a
        })?
    }

    #[test]
    fn the_op_the_worker_and_the_position_are_named() {
        for (threads, ranks, worker) in [(1, 1, 0), (2, 1, 1), (4, 1, 2), (1, 2, 1), (2, 2, 2)] {
            let text = found(threads, ranks, 0.0, 1.0).expect("log of 0");
            assert!(text.starts_with("log of f64[2]{batch} at "), "{text}");
            assert!(text.contains("finite.rs:"), "{text}");
            assert!(text.ends_with(&format!(", on worker {worker}, batch 5")), "{text}");
        }
    }

    #[test]
    fn every_dtype_of_floats_is_looked_at() {
        let bad = Tensor::from([1.0, f64::NAN]);
        for dtype in [DType::BF16, DType::F32, DType::F64, DType::C64, DType::C128] {
            assert!(!is_finite(&bad.cast(dtype)), "{dtype:?}");
            assert!(is_finite(&Tensor::from([1.0, 2.0]).cast(dtype)), "{dtype:?}");
        }
        assert!(is_finite(&Tensor::from([1i32, 2])));
    }

    #[test]
    fn arguments_are_named_too() {
        assert_eq!(found(2, 1, 1.0, 1.0), None);
        let text = found(2, 1, 1.0, f64::NAN).expect("a NaN");
        let (argument, worker) = text.split_once(", on ").expect("a worker");
        assert!(argument.starts_with("argument 0: f64[2] at ") && argument.contains("finite.rs:"), "{text}");
        assert_eq!(worker, "worker 0");
        let text = found(4, 1, f64::INFINITY, 1.0).expect("an infinity");
        assert!(text.starts_with("argument 1: f64[2]{batch} at "), "{text}");
        assert!(text.ends_with(", on worker 2, batch 5"), "{text}");
    }
}
