//! Runs random programs with every axis written out: one ordinary program for each position.

use std::collections::BTreeSet;

use axisgrad::ops::{concat, stack};
use axisgrad::{Tensor, grad, jvp};

use super::local;
use super::syntax::{Block, Scope, Stmt, Type, infer, size};

/// A value at all positions of the axes in scope, the last axis fastest.
#[derive(Clone)]
pub struct Value {
    /// Its type.
    pub ty: Type,
    /// One ordinary tensor for each position.
    pub at: Vec<Tensor>,
}

/// How many positions there are.
pub fn positions(scope: &Scope) -> usize {
    scope.iter().map(|(_, n)| n).product()
}

/// How far apart in the order of positions two neighbours along an axis are.
fn stride(scope: &Scope, axis: &str) -> usize {
    scope.iter().rev().take_while(|(name, _)| *name != axis).map(|(_, n)| n).product()
}

/// Where a position is along an axis.
pub fn coordinate(scope: &Scope, position: usize, axis: &str) -> usize {
    position / stride(scope, axis) % size(scope, axis)
}

/// The positions that differ from this one along an axis only, in order.
fn line(scope: &Scope, position: usize, axis: &str) -> Vec<usize> {
    let step = stride(scope, axis);
    let first = position - coordinate(scope, position, axis) * step;
    (0..size(scope, axis)).map(|i| first + i * step).collect()
}

/// The position that stands for all that differ from this one along other axes only.
pub fn representative(scope: &Scope, position: usize, axes: &BTreeSet<&'static str>) -> usize {
    let others = scope.iter().filter(|(name, _)| !axes.contains(name));
    others.fold(position, |p, (name, _)| p - coordinate(scope, p, name) * stride(scope, name))
}

/// The result of a block.
pub fn run(block: &Block, args: &[Value], scope: &Scope) -> Value {
    let mut values = args.to_vec();
    for stmt in &block.body {
        let types: Vec<Type> = values.iter().map(|value| value.ty.clone()).collect();
        let ty = infer(stmt, &types, scope).expect("a program that makes sense");
        let at = execute(stmt, &values, scope);
        values.push(Value { ty, at });
    }
    values.swap_remove(block.result)
}

/// The sum of all elements over the positions along the axes that the value varies over.
pub fn objective(value: &Value, scope: &Scope) -> Tensor {
    let counted = (0..positions(scope)).filter(|&p| representative(scope, p, &value.ty.axes) == p);
    counted.map(|p| value.at[p].sum(())).reduce(|sum, term| sum + term).expect("a position")
}

/// The gradients of [`objective`] by some of the arguments of a function, which count as one value for each of the
/// positions along the axes of `copies`, and as the same value along the others.
pub fn gradients(
    f: impl Fn(&[Value]) -> Value,
    by: &[Value],
    copies: &[BTreeSet<&'static str>],
    scope: &Scope,
) -> Vec<Value> {
    let zeros: Vec<Vec<Tensor>> = by.iter().map(|x| x.at.iter().map(Tensor::zeros_like).collect()).collect();
    let moved = |moves: &Vec<Vec<Tensor>>| {
        let each = by.iter().zip(moves).zip(copies).map(|((x, moves), axes)| {
            let at = |p: usize| &x.at[p] + &moves[representative(scope, p, axes)];
            let ty = Type { axes: axes.clone(), ..x.ty.clone() };
            Value { ty, at: (0..positions(scope)).map(at).collect() }
        });
        objective(&f(&each.collect::<Vec<_>>()), scope)
    };
    let gradients = grad(moved).at(&zeros);
    let result = |((x, gradient), axes): ((&Value, Vec<Tensor>), &BTreeSet<&'static str>)| {
        let at = (0..positions(scope)).map(|p| gradient[representative(scope, p, axes)].clone());
        Value { ty: Type { axes: axes.clone(), ..x.ty.clone() }, at: at.collect() }
    };
    by.iter().zip(gradients).zip(copies).map(result).collect()
}

fn execute(stmt: &Stmt, values: &[Value], scope: &Scope) -> Vec<Tensor> {
    let each = |ids: &[usize]| ids.iter().map(|&id| values[id].clone()).collect::<Vec<_>>();
    let all = 0..positions(scope);
    match stmt {
        Stmt::Local(name, params, operands) => {
            let at = |p: usize| operands.iter().map(|&id| values[id].at[p].clone()).collect::<Vec<_>>();
            all.map(|p| (local::find(name).plain)(&at(p), params)).collect()
        }
        Stmt::Collective(name, axis, params, x) => {
            let at = |p| {
                collective(name, params, &values[*x].at, &line(scope, p, axis), coordinate(scope, p, axis))
            };
            all.map(at).collect()
        }
        Stmt::Index(axis, x) => all.map(|p| &values[*x].at[p] * coordinate(scope, p, axis) as f64).collect(),
        Stmt::Checkpoint(block, operands) => run(block, &each(operands), scope).at,
        Stmt::Grad(block, operands, listed) => {
            let by = values[operands[0]].clone();
            let unlisted = scope.iter().map(|(name, _)| *name).filter(|name| !listed.contains(name));
            let copies = by.ty.axes.iter().copied().chain(unlisted).collect();
            let f = |by: &[Value]| run(block, &[by, &each(&operands[1..])].concat(), scope);
            gradients(f, &[by], &[copies], scope).remove(0).at
        }
        Stmt::Jvp(block, operands, tangent) => {
            let (mut by, tangent) = (values[operands[0]].clone(), &values[*tangent]);
            by.ty.axes.extend(tangent.ty.axes.iter().copied());
            let along = |at: &Vec<Tensor>| {
                let by = Value { ty: by.ty.clone(), at: at.clone() };
                run(block, &[&[by], &each(&operands[1..])[..]].concat(), scope).at
            };
            jvp(along).at(&by.at, &tangent.at).1
        }
        Stmt::Vmap(block, operands, mapped, name) => {
            mapped_block(block, &each(operands), mapped, name, scope)
        }
    }
}

fn mapped_block(
    block: &Block,
    operands: &[Value],
    mapped: &[bool],
    name: &'static str,
    scope: &Scope,
) -> Vec<Tensor> {
    let first = operands.iter().zip(mapped).find(|(_, mapped)| **mapped).expect("something is mapped").0;
    let n = first.ty.dims[0];
    let inside = [&scope[..], &[(name, n)]].concat();
    let args = operands.iter().zip(mapped).map(|(x, &mapped)| {
        let mut ty = x.ty.clone();
        if mapped {
            ty.dims.remove(0);
            ty.axes.insert(name);
        }
        let row = |x: &Tensor, i| if mapped { x.index(0, i as isize) } else { x.clone() };
        Value { ty, at: x.at.iter().flat_map(|x| (0..n).map(move |i| row(x, i))).collect() }
    });
    let result = run(block, &args.collect::<Vec<_>>(), &inside);
    result.at.chunks(n).map(|rows| stack(&rows.iter().collect::<Vec<_>>(), 0)).collect()
}

/// What a collective gives the position that is number `own` of a line.
fn collective(name: &str, params: &[usize], values: &[Tensor], line: &[usize], own: usize) -> Tensor {
    let n = line.len();
    let parts: Vec<&Tensor> = line.iter().map(|&p| &values[p]).collect();
    let sum = || parts.iter().map(|x| (*x).clone()).reduce(|sum, x| sum + x).expect("a position");
    let chunk = |x: &Tensor, d: usize, i: usize| {
        let width = x.dims()[d] / n;
        x.slice(d as isize, i * width..(i + 1) * width)
    };
    match name {
        "psum" => sum(),
        "pmean" => sum() / n as f64,
        "pmax" => stack(&parts, 0).max(0),
        "pmin" => stack(&parts, 0).min(0),
        "gather" => stack(&parts, 0),
        "ppermute" => parts[(own + n - params[0] % n) % n].clone(),
        "all_gather" => concat(&parts, params[0] as isize),
        "psum_scatter" => chunk(&sum(), params[0], own),
        "all_to_all" => {
            let chunks: Vec<Tensor> = parts.iter().map(|x| chunk(x, params[0], own)).collect();
            concat(&chunks.iter().collect::<Vec<_>>(), params[1] as isize)
        }
        other => panic!("no collective {other}"),
    }
}
