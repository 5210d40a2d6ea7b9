//! The one door that every op goes through: infer the type, insert `pvary`, find the topmost tape, evaluate
//! below it, record.

use std::panic::Location;
use std::rc::Rc;

use crate::array::kernels::cast;
use crate::array::{Array, Dims, count};
use crate::error::violation;
use crate::listed::{Listed, PerOperand};
use crate::op::Op;
use crate::tape::{Kind, Node, Tape};
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// Applies `op`, at the caller's line.
///
/// # Panics
/// If the operands break the op's rule, or belong to a function that has returned.
#[track_caller]
pub(crate) fn bind(op: impl Op, inputs: &[&Tensor]) -> Tensor {
    let site = Location::caller();
    if inputs.iter().any(|x| x.tape().is_some()) {
        return bind_at(Rc::new(op), inputs, site);
    }
    let (union, operands) = prepare(&op, inputs, site);
    eval(&op, &operands, &union)
}

/// Applies `op`; `site` is what errors and traces show.
pub(crate) fn bind_at(op: Rc<dyn Op>, inputs: &[&Tensor], site: &'static Location<'static>) -> Tensor {
    let (union, operands) = prepare(&*op, inputs, site);
    apply(op, &operands, &union, site)
}

/// The operands, all of which vary over all axes that one of them does; and these axes.
fn prepare(
    op: &dyn Op,
    inputs: &[&Tensor],
    site: &'static Location<'static>,
) -> (AxisSet, PerOperand<Tensor>) {
    let dims = check(op, inputs, site);
    let union = with_settled(op.name(), union_of(op.name(), inputs, site), inputs, site);
    if count(dims.into_iter().chain(union.iter().map(|axis| axis.lanes().len()))).is_none() {
        violation(op.name(), "the result has more elements than memory could hold", inputs, site);
    }
    let operands = each(inputs, |x| vary(x, &union, site));
    (union, operands)
}

/// `f` of each of the operands.
fn each<X, Y>(inputs: &[X], f: impl FnMut(&X) -> Y) -> PerOperand<Y> {
    inputs.iter().map(f).listed()
}

/// The arrays of operands that are on no tape, with the lane dims of all their axes, and those axes.
pub(crate) fn operands(
    op: &dyn Op,
    inputs: &[&Tensor],
    site: &'static Location<'static>,
) -> (PerOperand<Array>, AxisSet) {
    let union = union_of(op.name(), inputs, site);
    (each(inputs, |x| vary(x, &union, site).array().clone()), union)
}

/// The dims of the result. Infers, to fail before any work is done; `eval` need not check again.
fn check(op: &dyn Op, inputs: &[&Tensor], site: &'static Location<'static>) -> Dims {
    let types: PerOperand<&TensorType> = each(inputs, |x| x.ty());
    match op.infer(&types) {
        Ok((_, dims)) => dims,
        Err(rule) => violation(op.name(), &rule, inputs, site),
    }
}

fn union_of(op: &str, inputs: &[&Tensor], site: &'static Location<'static>) -> AxisSet {
    let first = inputs.first().map_or_else(AxisSet::new, |x| x.axes().clone());
    inputs.iter().skip(1).fold(first, |union, x| {
        union.union(x.axes()).unwrap_or_else(|(a, b)| {
            let (name, sizes) = (a.name(), [a.size(), b.size()]);
            let rule = match sizes {
                [a, b] if a != b => format!("`{name}` has {a} positions in one operand and {b} in another"),
                _ => format!("the operands vary over two different axes `{name}`\n   help: give one of them another name"),
            };
            violation(op, &rule, inputs, site)
        })
    })
}

/// Adds the axes over which one operand on a tape is settled and another is not: along these the operands differ
/// in kind (one value; one value per position), so the former is varied. See [`Node::settled`].
fn with_settled(
    op: &str,
    mut union: AxisSet,
    inputs: &[&Tensor],
    site: &'static Location<'static>,
) -> AxisSet {
    let mut level: PerOperand<&Tensor> = each(inputs, |x| *x);
    while let Some(tape) = top(level.iter().copied()) {
        check_open(op, tape, inputs, site);
        for axis in unsettled(tape, &level).iter() {
            union = union.with(axis).unwrap_or(union);
        }
        level.iter_mut().for_each(|x| *x = x.below(tape));
    }
    union
}

fn unsettled(tape: &Tape, inputs: &[&Tensor]) -> AxisSet {
    if inputs.len() < 2 {
        return AxisSet::new();
    }
    let on_tape = inputs.iter().filter_map(|x| x.on(tape));
    let settled: PerOperand<AxisSet> = on_tape.map(|(node, _)| tape.settled(node)).listed();
    let mixed = |axis: &_| !tape.reduces(axis) && settled.iter().any(|s| !s.contains(axis.name()));
    settled.iter().fold(AxisSet::new(), |all, s| all.union(&s.filter(mixed)).unwrap_or(all))
}

/// All axes that an operand varies over, or one on a tape counts as one value per position of.
pub(crate) fn common_axes(op: &str, inputs: &[&Tensor], site: &'static Location<'static>) -> AxisSet {
    with_settled(op, union_of(op, inputs, site), inputs, site)
}

/// The innermost tape that an operand is on.
fn top<'x>(inputs: impl Iterator<Item = &'x Tensor>) -> Option<&'x Rc<Tape>> {
    inputs.filter_map(Tensor::tape).max_by_key(|tape| tape.id())
}

/// Takes `x` to a value that varies over all of `axes`: communicates nothing, and is on the tape.
pub(crate) fn vary(x: &Tensor, axes: &AxisSet, site: &'static Location<'static>) -> Tensor {
    if x.axes().covers(axes) {
        return x.clone();
    }
    let missing = axes.minus(x.axes());
    let Some(tape) = x.tape().cloned() else { return vary_ground(x, &missing) };
    let (node, below) = x.on(&tape).expect("on its own tape");
    check_open("pvary", &tape, &[x], site);
    tape.find_vary(node, &missing).unwrap_or_else(|| {
        let output = vary(below, axes, site);
        tape.push_vary(node, missing, output, site)
    })
}

/// The lane dims of a value that is the same along an axis have stride 0.
fn vary_ground(x: &Tensor, missing: &AxisSet) -> Tensor {
    let axes = x.axes().union(missing).expect("missing axes are new ones");
    let expanded = axes.iter().enumerate().filter(|(_, axis)| missing.contains(axis.name()));
    let array = expanded.fold(x.array().clone(), |array, (i, _)| array.expand_dims(i));
    let dims: Dims = axes.lane_dims().into_iter().chain(x.dims().iter().copied()).listed();
    Tensor::ground(array.broadcast_to(&dims), axes)
}

/// Evaluates below the topmost tape and records there; the operands all vary over `union`.
fn apply(op: Rc<dyn Op>, inputs: &[Tensor], union: &AxisSet, site: &'static Location<'static>) -> Tensor {
    let Some(tape) = top(inputs.iter()).cloned() else { return eval(&*op, inputs, union) };
    let nodes = each(inputs, |x| x.on(&tape).map(|(node, _)| node));
    let values: PerOperand<Tensor> = each(inputs, |x| x.below(&tape).clone());
    let output = apply(op.clone(), &values, union, site);
    if !output.dtype().is_inexact() {
        return output;
    }
    let settled = settled_of(&*op, &tape, &nodes, union);
    tape.push(Node { kind: Kind::Apply { op, inputs: nodes, values }, output, settled, site })
}

/// Settled is what all operands are, and what the op sums over.
fn settled_of(op: &dyn Op, tape: &Tape, nodes: &[Option<usize>], union: &AxisSet) -> AxisSet {
    let mut operands = nodes.iter().flatten().map(|&node| tape.settled(node));
    let first = operands.next().expect("an operand on the tape");
    let all = operands.fold(first, |all, one| all.filter(|axis| one.contains(axis.name())));
    let result = op.axes(union);
    let all = all.minus(&result);
    all.union(&union.minus(&result)).unwrap_or(all)
}

fn eval(op: &dyn Op, inputs: &[Tensor], union: &AxisSet) -> Tensor {
    if inputs.iter().any(|x| x.dtype() != x.dtype().compute()) {
        return eval_widened(op, inputs, union);
    }
    let arrays = each(inputs, |x| x.array().clone());
    Tensor::ground(op.eval(&arrays, union), op.axes(union))
}

/// Kernels exist for the types that ops compute in alone; the result is rounded to the type that the op gives to its
/// operands'.
fn eval_widened(op: &dyn Op, inputs: &[Tensor], union: &AxisSet) -> Tensor {
    let arrays = each(inputs, |x| computable(x.array()));
    let types: PerOperand<&TensorType> = inputs.iter().map(Tensor::ty).listed();
    let (dtype, _) = op.infer(&types).expect("the rule holds");
    Tensor::ground(cast(&op.eval(&arrays, union), dtype), op.axes(union))
}

/// The array in the type that ops compute in.
pub(crate) fn computable(x: &Array) -> Array {
    cast(x, x.dtype().compute())
}

fn check_open(op: &str, tape: &Tape, inputs: &[&Tensor], site: &'static Location<'static>) {
    if !tape.is_open() {
        let rule = "an operand was saved inside a function under `grad` and used after it returned\n   help: return \
                    it (has_aux), or take stop_gradient() of it before saving it";
        violation(op, rule, inputs, site);
    }
}
