//! Runs random programs over named axes.

use std::collections::BTreeMap;
use std::rc::Rc;

use axisgrad::ops::{
    all_gather, all_to_all, axis_index::index_along, gather, pmax, pmean, pmin, ppermute, psum, psum_scatter,
    pvary,
};
use axisgrad::{Axis, Tensor, checkpoint, grad, jvp, vmap};

use super::local;
use super::syntax::{Block, Stmt};

/// The axes that a block can name.
pub type Axes = BTreeMap<&'static str, Axis>;

/// The result of a block.
pub fn run(block: &Block, args: &[Tensor], axes: &Axes) -> Tensor {
    let mut values = args.to_vec();
    for stmt in &block.body {
        values.push(execute(stmt, &values, axes));
    }
    values.swap_remove(block.result)
}

fn execute(stmt: &Stmt, values: &[Tensor], axes: &Axes) -> Tensor {
    let each = |ids: &[usize]| ids.iter().map(|&id| values[id].clone()).collect::<Vec<_>>();
    match stmt {
        Stmt::Local(name, params, operands) => (local::find(name).run)(&each(operands), params),
        Stmt::Collective(name, axis, params, x) => collective(name, axis, params, &values[*x]),
        Stmt::Index(axis, x) => &values[*x] * &index_along(&axes[axis]).cast(values[*x].dtype()),
        Stmt::Checkpoint(block, operands) => {
            let (block, axes) = (Rc::new(block.clone()), axes.clone());
            checkpoint(move |args: &Vec<Tensor>| run(&block, args, &axes)).at(&each(operands))
        }
        Stmt::Grad(block, operands, listed) => {
            let others = each(&operands[1..]);
            let loss = |by: &Tensor, others: &Vec<Tensor>| {
                run(block, &[std::slice::from_ref(by), &others[..]].concat(), axes).sum(())
            };
            let gradient = grad(loss).reduce_axes(listed).at((&values[operands[0]], &others));
            let unlisted = axes.iter().filter(|(name, _)| !listed.contains(name));
            unlisted.fold(gradient, |gradient, (_, axis)| pvary(&gradient, axis))
        }
        Stmt::Jvp(block, operands, tangent) => {
            let others = each(&operands[1..]);
            let along = |by: &Tensor, others: &Vec<Tensor>| {
                run(block, &[std::slice::from_ref(by), &others[..]].concat(), axes)
            };
            jvp(along).at((&values[operands[0]], &others), &values[*tangent]).1
        }
        Stmt::Vmap(block, operands, mapped, name) => mapped_block(block, &each(operands), mapped, name, axes),
    }
}

fn mapped_block(
    block: &Block,
    operands: &[Tensor],
    mapped: &[bool],
    name: &'static str,
    axes: &Axes,
) -> Tensor {
    let of = |wanted: bool| operands.iter().zip(mapped).filter(move |(_, mapped)| **mapped == wanted);
    let rows: Vec<Tensor> = of(true).map(|(x, _)| x.clone()).collect();
    let whole: Vec<Tensor> = of(false).map(|(x, _)| x.clone()).collect();
    let one = |rows: &Vec<Tensor>, whole: &Vec<Tensor>| {
        let axes = axes.clone().into_iter().chain([(name, rows[0].axis(name).clone())]).collect();
        let (mut rows, mut whole) = (rows.iter(), whole.iter());
        let next = |&mapped: &bool| if mapped { rows.next() } else { whole.next() };
        let args: Vec<Tensor> = mapped.iter().map(next).map(|x| x.expect("an operand").clone()).collect();
        run(block, &args, &axes)
    };
    vmap(one).axis(name).in_axes((0, None::<isize>)).at((&rows, &whole))
}

fn collective(name: &str, axis: &str, params: &[usize], x: &Tensor) -> Tensor {
    let dim = |i: usize| params[i] as isize;
    match name {
        "psum" => psum(x, axis),
        "pmean" => pmean(x, axis),
        "pmax" => pmax(x, axis),
        "pmin" => pmin(x, axis),
        "gather" => gather(x, axis),
        "ppermute" => {
            let n = x.axis(axis).size();
            let ring: Vec<(usize, usize)> = (0..n).map(|i| (i, (i + params[0]) % n)).collect();
            ppermute(x, axis, &ring)
        }
        "all_gather" => all_gather(x, axis, dim(0)),
        "psum_scatter" => psum_scatter(x, axis, dim(0)),
        "all_to_all" => all_to_all(x, axis, dim(0), dim(1)),
        other => panic!("no collective {other}"),
    }
}
