//! Draws random programs.

use std::collections::BTreeSet;

use super::local::{Local, rows};
use super::syntax::{Arg, Block, Program, Scope, Stmt, Type, infer, infer_block};

/// Random numbers (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub struct Random(u64);

impl Random {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// One of them.
    pub fn of<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }

    fn some<T: Clone>(&mut self, items: &[T]) -> Vec<T> {
        items.iter().filter(|_| self.below(2) == 0).cloned().collect()
    }
}

const AXES: [&str; 3] = ["a", "b", "c"];
const COLLECTIVES: [&str; 9] =
    ["psum", "pmean", "pmax", "pmin", "gather", "ppermute", "all_gather", "psum_scatter", "all_to_all"];

/// The program of a seed.
pub fn program(seed: u64) -> Program {
    let r = &mut Random::new(seed);
    let axes: Scope = AXES[..1 + r.below(3)].iter().map(|name| (*name, 1 + r.below(4))).collect();
    let mut args: Vec<Arg> = (0..2 + r.below(2)).map(|_| numbers(r, &axes)).collect();
    args.push(ids(r, &axes));
    for (name, _) in &axes {
        if !args.iter().any(|arg| !arg.ids && arg.axes.contains(name)) {
            let at = r.below(args.len() - 1);
            args[at].axes =
                axes.iter().map(|a| a.0).filter(|a| args[at].axes.contains(a) || a == name).collect();
        }
    }
    let types: Vec<Type> = args.iter().map(|arg| arg.ty(&BTreeSet::new())).collect();
    let steps = 3 + r.below(6);
    let block = block(r, &types, &axes, steps, 2);
    Program { single: r.below(6) == 0, axes, args, block }
}

fn numbers(r: &mut Random, axes: &Scope) -> Arg {
    let dims = (0..r.below(3)).map(|_| r.of(&[1, 2, 2, 3, 4])).collect();
    Arg { dims, axes: names(r, axes), ids: false }
}

fn ids(r: &mut Random, axes: &Scope) -> Arg {
    Arg { dims: vec![1 + r.below(3)], axes: names(r, axes), ids: true }
}

fn names(r: &mut Random, axes: &Scope) -> Vec<&'static str> {
    r.some(&axes.iter().map(|(name, _)| *name).collect::<Vec<_>>())
}

/// A block of that many statements, the result of which uses the last of them.
fn block(r: &mut Random, args: &[Type], scope: &Scope, steps: usize, depth: usize) -> Block {
    let (mut types, mut body) = (args.to_vec(), Vec::new());
    while body.len() < steps {
        let stmt = stmt(r, &types, scope, depth);
        if let Some(ty) = infer(&stmt, &types, scope) {
            types.push(ty);
            body.push(stmt);
        }
    }
    Block { result: args.len() + steps - 1, body }
}

/// A statement, which may make no sense.
fn stmt(r: &mut Random, types: &[Type], scope: &Scope, depth: usize) -> Stmt {
    let kinds = if depth == 0 { 7 } else { 10 };
    match r.below(kinds) {
        0..=3 => {
            let op: &Local = r.of(&rows().collect::<Vec<_>>());
            let params = (0..op.params).map(|_| r.below(5)).collect();
            Stmt::Local(op.name, params, (0..op.operands).map(|_| recent(r, types)).collect())
        }
        4 | 5 => {
            let axis = r.of(scope).0;
            Stmt::Collective(r.of(&COLLECTIVES), axis, vec![r.below(3), r.below(3)], recent(r, types))
        }
        6 => Stmt::Index(r.of(scope).0, recent(r, types)),
        _ => nested(r, types, scope, depth - 1),
    }
}

/// Mostly one of the last values, so that programs are deep.
fn recent(r: &mut Random, types: &[Type]) -> usize {
    let n = types.len();
    if r.below(2) == 0 { n - 1 - r.below(n.min(3)) } else { r.below(n) }
}

fn nested(r: &mut Random, types: &[Type], scope: &Scope, depth: usize) -> Stmt {
    let numbers: Vec<usize> = (0..types.len()).filter(|&i| !types[i].ids).collect();
    let operands: Vec<usize> = (0..1 + r.below(3)).map(|_| r.of(&numbers)).collect();
    let inner: Vec<Type> = operands.iter().map(|&id| types[id].clone()).collect();
    let steps = 1 + r.below(3);
    match r.below(4) {
        0 => Stmt::Checkpoint(block(r, &inner, scope, steps, depth), operands),
        1 => {
            let seen: BTreeSet<&'static str> = inner.iter().flat_map(|ty| ty.axes.iter().copied()).collect();
            let listed = r.some(&seen.into_iter().collect::<Vec<_>>());
            Stmt::Grad(block(r, &inner, scope, steps, depth), operands, listed)
        }
        2 => {
            let alike: Vec<usize> = numbers.into_iter().filter(|&i| types[i].dims == inner[0].dims).collect();
            let tangent = r.of(&alike);
            let mut inner = inner;
            inner[0].axes.extend(types[tangent].axes.iter().copied());
            Stmt::Jvp(block(r, &inner, scope, steps, depth), operands, tangent)
        }
        _ => vmap(r, &operands, &inner, scope, steps, depth).unwrap_or(Stmt::Index(scope[0].0, operands[0])),
    }
}

fn vmap(
    r: &mut Random,
    operands: &[usize],
    types: &[Type],
    scope: &Scope,
    steps: usize,
    depth: usize,
) -> Option<Stmt> {
    let n = *types[0].dims.first()?;
    let name = ["u", "v"].into_iter().find(|name| scope.iter().all(|(known, _)| known != name))?;
    let mapped: Vec<bool> = types
        .iter()
        .enumerate()
        .map(|(i, ty)| ty.dims.first() == Some(&n) && (i == 0 || r.below(2) == 0))
        .collect();
    let inner = types.iter().zip(&mapped).map(|(ty, &mapped)| {
        let mut ty = ty.clone();
        if mapped {
            ty.dims.remove(0);
            ty.axes.insert(name);
        }
        ty
    });
    let (inner, inside) = (inner.collect::<Vec<_>>(), [&scope[..], &[(name, n)]].concat());
    let block = block(r, &inner, &inside, steps, depth);
    infer_block(&block, &inner, &inside)?;
    Some(Stmt::Vmap(block, operands.to_vec(), mapped, name))
}
