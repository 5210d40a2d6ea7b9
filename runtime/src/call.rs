//! Functions on the tape: several results that are transposed together, as one entry.
//!
//! This is how a rule of the user's own, a function that is run again in backward, and an op with several results get
//! onto the tape. To [`bind`](crate::bind) it is what a chapter is to a sentence.

use std::panic::Location;
use std::rc::Rc;

use crate::bind::{common_axes, vary};
use crate::error::violation;
use crate::op::Rule;
use crate::tape::{Call, Kind, Node, Tape};
use crate::tensor::Tensor;
use crate::types::AxisSet;

type Site = &'static Location<'static>;

/// Calls `run` below the topmost tape that an operand is on, and records its results there, with the rule that it
/// gives. As with an op, operands are first taken to vary over all axes that one of them varies over. With no operand
/// on a tape, nothing is recorded.
pub(crate) fn call(
    name: &str,
    operands: &[Tensor],
    site: Site,
    run: impl FnOnce(&[Tensor]) -> (Vec<Tensor>, Rc<dyn Rule>),
) -> Vec<Tensor> {
    let refs: Vec<&Tensor> = operands.iter().collect();
    let axes = common_axes(name, &refs, site);
    let Some(tape) = operands.iter().filter_map(Tensor::tape).max_by_key(|tape| tape.id()).cloned() else {
        return run(operands).0;
    };
    let on_tape = |x: &Tensor| if x.on(&tape).is_some() { vary(x, &axes, site) } else { x.clone() };
    let operands: Vec<Tensor> = operands.iter().map(on_tape).collect();
    let values: Vec<Tensor> = operands.iter().map(|x| x.below(&tape).clone()).collect();
    let (results, rule) = run(&values);
    results.iter().for_each(|result| check_captured(name, result, &tape, site));
    let inputs: Vec<Option<usize>> = operands.iter().map(|x| x.on(&tape).map(|(node, _)| node)).collect();
    let settled = settled(&tape, &inputs);
    let results = results.into_iter().map(|result| {
        let own = settled.union(&axes).unwrap_or_else(|_| axes.clone()).minus(result.axes());
        let on_tape = result.dtype().is_inexact();
        (result, Some(own).filter(|_| on_tape))
    });
    record(&tape, inputs, rule, results.collect(), axes.clone(), site)
}

/// What all operands on the tape are settled over.
fn settled(tape: &Tape, inputs: &[Option<usize>]) -> AxisSet {
    let all = inputs.iter().flatten().map(|&node| tape.settled(node));
    all.reduce(|all, one| all.filter(|axis| one.contains(axis.name()))).unwrap_or_default()
}

/// A function that stands on the tape as a whole cannot use values of the tape that are not its arguments: no
/// cotangent would reach them.
pub(crate) fn check_captured(name: &str, result: &Tensor, tape: &Tape, site: Site) {
    if result.tape().is_some_and(|other| other.id() >= tape.id()) {
        let rule = "the function uses a value to differentiate by that is not one of its arguments\n   help: pass it \
                    as an argument, or take stop_gradient() of it";
        violation(name, rule, &[result], site);
    }
}

/// Puts a call on the tape, and its results with the axes that they are settled over; those with none are not recorded,
/// since nothing flows back from them.
pub(crate) fn record(
    tape: &Rc<Tape>,
    inputs: Vec<Option<usize>>,
    rule: Rc<dyn Rule>,
    results: Vec<(Tensor, Option<AxisSet>)>,
    axes: AxisSet,
    site: Site,
) -> Vec<Tensor> {
    let zeros = results.iter().map(|(result, _)| result.zeros_like()).collect();
    let kind = Kind::Call(Call { rule, inputs, zeros, axes });
    let nothing = Node { kind, output: Tensor::from(false), settled: AxisSet::new(), site };
    let of = tape.push(nothing).on(tape).expect("on its own tape").0;
    let part = |(index, (output, settled)): (usize, (Tensor, Option<AxisSet>))| match settled {
        Some(settled) => tape.push(Node { kind: Kind::Part { of, index }, output, settled, site }),
        None => output,
    };
    results.into_iter().enumerate().map(part).collect()
}
