//! What a random program is, and the types of its values.

use std::collections::BTreeSet;

use axisgrad::{DType, Tensor};

use super::local;

/// A value: arguments come first, then the results of the statements.
pub type Id = usize;

/// A program with a result of any dims; its loss is the sum of the elements. It prints as Rust.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Program {
    /// In `f32` instead of `f64`.
    pub single: bool,
    pub axes: Vec<(&'static str, usize)>,
    pub args: Vec<Arg>,
    pub block: Block,
}

/// An argument: numbers to differentiate by, or numbers of rows.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Arg {
    pub dims: Vec<usize>,
    pub axes: Vec<&'static str>,
    pub ids: bool,
}

/// Statements, and the value that is the result.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Block {
    pub body: Vec<Stmt>,
    pub result: Id,
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Stmt {
    /// An op of the table in [`local`], with its numbers and operands.
    Local(&'static str, Vec<usize>, Vec<Id>),
    /// A collective over an axis, with its numbers.
    Collective(&'static str, &'static str, Vec<usize>, Id),
    /// Times the position along an axis.
    Index(&'static str, Id),
    /// A block of the operands, under `checkpoint`.
    Checkpoint(Block, Vec<Id>),
    /// The gradient of the sum of a block by its first operand, reduced over some axes.
    Grad(Block, Vec<Id>, Vec<&'static str>),
    /// How a block moves when its first operand moves along the last value.
    Jvp(Block, Vec<Id>, Id),
    /// A block mapped over the first dims of some operands, along an axis of that name.
    Vmap(Block, Vec<Id>, Vec<bool>, &'static str),
}

/// The type of a value: over which axes it varies, or would if its arguments did.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Type {
    pub dims: Vec<usize>,
    pub axes: BTreeSet<&'static str>,
    pub ids: bool,
}

/// The axes that a block can name, and their sizes.
pub type Scope = Vec<(&'static str, usize)>;

/// The largest tensor that a program may hold at a position.
const LARGEST: usize = 200;

impl Arg {
    /// Its type where it counts as one value per position of `unlisted` too.
    pub fn ty(&self, unlisted: &BTreeSet<&'static str>) -> Type {
        let own = self.axes.iter().copied();
        let unlisted = unlisted.iter().copied().filter(|_| !self.ids);
        Type { dims: self.dims.clone(), axes: own.chain(unlisted).collect(), ids: self.ids }
    }
}

impl Program {
    /// The size of an axis.
    pub fn size(&self, axis: &str) -> usize {
        size(&self.axes, axis)
    }

    /// The type of the result, with all axes listed but `unlisted`; `None` if the program makes no sense.
    pub fn infer(&self, unlisted: &BTreeSet<&'static str>) -> Option<Type> {
        let args: Vec<Type> = self.args.iter().map(|arg| arg.ty(unlisted)).collect();
        infer_block(&self.block, &args, &self.axes)
    }

    /// How far apart two ways to compute it may be: sums in another order, and numbers that were rounded before or after.
    pub fn tolerance(&self) -> f64 {
        match (self.block.uses("bf16"), self.single) {
            (true, _) => 2e-2,
            (_, true) => 1e-3,
            _ if self.block.uses("f32") => 1e-4,
            _ => 1e-9,
        }
    }

    /// The dtype of its numbers.
    pub fn dtype(&self) -> DType {
        if self.single { DType::F32 } else { DType::F64 }
    }
}

impl Block {
    /// Whether an op of that name is somewhere in it.
    fn uses(&self, op: &str) -> bool {
        self.body.iter().any(|stmt| match stmt {
            Stmt::Local(name, ..) => *name == op,
            Stmt::Grad(block, ..)
            | Stmt::Checkpoint(block, _)
            | Stmt::Jvp(block, ..)
            | Stmt::Vmap(block, ..) => block.uses(op),
            Stmt::Collective(..) | Stmt::Index(..) => false,
        })
    }
}

/// The size of an axis of the scope.
pub fn size(scope: &Scope, axis: &str) -> usize {
    scope.iter().find(|(name, _)| *name == axis).expect("an axis of the scope").1
}

/// The type of a block's result.
pub fn infer_block(block: &Block, args: &[Type], scope: &Scope) -> Option<Type> {
    let mut types = args.to_vec();
    for stmt in &block.body {
        types.push(infer(stmt, &types, scope)?);
    }
    types.get(block.result).filter(|ty| !ty.ids).cloned()
}

/// The type of a statement's result; `None` if the statement makes no sense.
pub fn infer(stmt: &Stmt, types: &[Type], scope: &Scope) -> Option<Type> {
    let ty = match stmt {
        Stmt::Local(name, params, operands) => infer_local(name, params, &each(types, operands)?)?,
        Stmt::Collective(name, axis, params, x) => {
            infer_collective(name, axis, params, types.get(*x)?, scope)?
        }
        Stmt::Index(axis, x) => {
            let mut ty = types.get(*x)?.clone();
            ty.axes.insert(scope.iter().find(|(name, _)| name == axis)?.0);
            ty
        }
        Stmt::Checkpoint(block, operands) => infer_block(block, &each(types, operands)?, scope)?,
        Stmt::Grad(block, operands, listed) => {
            let operands = each(types, operands)?;
            let seen = |axis: &&str| operands.iter().any(|ty| ty.axes.contains(*axis));
            let unlisted = scope.iter().map(|(name, _)| *name).filter(|name| !listed.contains(name));
            let mut by = operands.first()?.clone();
            by.axes.extend(unlisted);
            infer_block(block, &operands, scope)?;
            listed.iter().all(seen).then_some(by)?
        }
        Stmt::Jvp(block, operands, tangent) => {
            let (mut operands, tangent) = (each(types, operands)?, types.get(*tangent)?);
            let by = operands.first_mut().filter(|by| by.dims == tangent.dims && !tangent.ids)?;
            by.axes.extend(tangent.axes.iter().copied());
            infer_block(block, &operands, scope)?
        }
        Stmt::Vmap(block, operands, mapped, name) => {
            infer_vmap(block, &each(types, operands)?, mapped, name, scope)?
        }
    };
    let fits = !ty.ids && ty.dims.len() <= 4 && ty.dims.iter().product::<usize>() <= LARGEST;
    fits.then_some(ty)
}

fn each(types: &[Type], ids: &[Id]) -> Option<Vec<Type>> {
    ids.iter().map(|&id| types.get(id).cloned()).collect()
}

/// The dims are those of the result for zeros.
fn infer_local(name: &str, params: &[usize], operands: &[Type]) -> Option<Type> {
    let op = local::find(name);
    let dims: Vec<&[usize]> = operands.iter().map(|ty| &ty.dims[..]).collect();
    let kinds = operands.iter().enumerate().all(|(i, ty)| ty.ids == (op.ids && i == 1));
    let fits =
        operands.len() == op.operands && params.len() == op.params && kinds && (op.fits)(&dims, params);
    let zeros = |ty: &Type| {
        let dtype = if ty.ids { DType::I32 } else { DType::F64 };
        axisgrad::ops::zeros(dtype, &ty.dims)
    };
    let result = fits.then(|| (op.plain)(&operands.iter().map(zeros).collect::<Vec<Tensor>>(), params))?;
    let axes = operands.iter().flat_map(|ty| ty.axes.iter().copied()).collect();
    Some(Type { dims: result.dims().to_vec(), axes, ids: false })
}

fn infer_collective(name: &str, axis: &str, params: &[usize], x: &Type, scope: &Scope) -> Option<Type> {
    let (mut ty, n) = (x.clone(), scope.iter().find(|(known, _)| *known == axis)?.1);
    if x.ids || !x.axes.contains(axis) {
        return None;
    }
    let dim = |i: usize| params.get(i).copied().filter(|&dim| dim < x.dims.len());
    match name {
        "psum" | "pmean" | "pmax" | "pmin" => drop(ty.axes.remove(axis)),
        "gather" => {
            ty.axes.remove(axis);
            ty.dims.insert(0, n);
        }
        "ppermute" => {}
        "all_gather" => ty.dims[dim(0)?] *= n,
        "psum_scatter" => {
            let d = dim(0).filter(|&d| x.dims[d].is_multiple_of(n))?;
            ty.dims[d] /= n;
        }
        "all_to_all" => {
            let (split, concat) = (dim(0).filter(|&d| x.dims[d].is_multiple_of(n))?, dim(1)?);
            ty.dims[split] /= n;
            ty.dims[concat] *= n;
        }
        other => panic!("no collective {other}"),
    }
    Some(ty)
}

fn infer_vmap(
    block: &Block,
    operands: &[Type],
    mapped: &[bool],
    name: &'static str,
    scope: &Scope,
) -> Option<Type> {
    if mapped.len() != operands.len() || scope.iter().any(|(known, _)| *known == name) {
        return None;
    }
    let rows = operands.iter().zip(mapped).filter(|(_, mapped)| **mapped);
    let sizes = rows.map(|(ty, _)| ty.dims.first().copied()).collect::<Option<BTreeSet<usize>>>()?;
    let n = Some(sizes).filter(|sizes| sizes.len() == 1)?.into_iter().next()?;
    let inner = operands.iter().zip(mapped).map(|(ty, &mapped)| {
        let mut ty = ty.clone();
        if mapped {
            ty.dims.remove(0);
            ty.axes.insert(name);
        }
        ty
    });
    let inside = [&scope[..], &[(name, n)]].concat();
    let mut ty = infer_block(block, &inner.collect::<Vec<_>>(), &inside)?;
    ty.axes.remove(name);
    ty.dims.insert(0, n);
    Some(ty)
}
