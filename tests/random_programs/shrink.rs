//! Makes a program that fails smaller, as long as it still fails.

use std::collections::BTreeSet;

use super::syntax::{Block, Program, Stmt};

/// The smallest program that `fails`, among those that one small step after another leads to.
pub fn shrink(program: &Program, fails: &dyn Fn(&Program) -> bool) -> Program {
    let mut smallest = program.clone();
    while let Some(smaller) = steps(&smallest).into_iter().filter(is_sound).find(|program| fails(program)) {
        smallest = smaller;
    }
    smallest
}

/// Whether the program makes sense, and something to differentiate by varies over each of its axes.
fn is_sound(program: &Program) -> bool {
    let varies = |name: &&str| program.args.iter().any(|arg| !arg.ids && arg.axes.contains(name));
    program.axes.iter().all(|(name, _)| varies(name)) && program.infer(&BTreeSet::new()).is_some()
}

fn steps(program: &Program) -> Vec<Program> {
    let with = |block: Block| Program { block, ..program.clone() };
    let blocks = smaller(&program.block, program.args.len()).into_iter().map(with);
    let double = program.single.then(|| Program { single: false, ..program.clone() });
    blocks.chain(double).chain(smaller_arguments(program)).chain(smaller_axes(program)).collect()
}

/// Blocks with a statement less, an operand in its place, or a smaller block inside.
fn smaller(block: &Block, args: usize) -> Vec<Block> {
    let last = args + block.body.len();
    let earlier = (0..last).filter(|&id| id != block.result).map(|result| Block { result, ..block.clone() });
    let shorter =
        earlier.filter(|block| block.result < last - 1 || last == args).map(|block| cut(&block, args));
    let without = (0..block.body.len()).flat_map(|at| {
        let operands = block.body[at].operands();
        operands.into_iter().map(move |operand| remove(block, args, at, operand))
    });
    let inside = (0..block.body.len()).flat_map(|at| {
        block.body[at].simpler().into_iter().map(move |stmt| {
            let mut block = block.clone();
            block.body[at] = stmt;
            block
        })
    });
    shorter.chain(without).chain(inside).collect()
}

/// Without the statements after the result.
fn cut(block: &Block, args: usize) -> Block {
    let kept = (block.result + 1).saturating_sub(args);
    Block { body: block.body[..kept].to_vec(), result: block.result }
}

/// Without one statement; `instead` takes the place of its result.
fn remove(block: &Block, args: usize, at: usize, instead: usize) -> Block {
    let removed = args + at;
    let renumbered = |id: usize| match id {
        id if id == removed => instead,
        id if id > removed => id - 1,
        id => id,
    };
    let mut body = block.body.clone();
    body.remove(at);
    body.iter_mut().for_each(|stmt| stmt.renumber(&renumbered));
    Block { body, result: renumbered(block.result) }
}

impl Stmt {
    fn operands(&self) -> Vec<usize> {
        let mut operands = match self {
            Stmt::Local(_, _, operands)
            | Stmt::Checkpoint(_, operands)
            | Stmt::Grad(_, operands, _)
            | Stmt::Jvp(_, operands, _)
            | Stmt::Vmap(_, operands, ..) => operands.clone(),
            Stmt::Collective(_, _, _, x) | Stmt::Index(_, x) => vec![*x],
        };
        operands.sort_unstable();
        operands.dedup();
        operands
    }

    fn renumber(&mut self, new: &dyn Fn(usize) -> usize) {
        match self {
            Stmt::Local(_, _, operands)
            | Stmt::Checkpoint(_, operands)
            | Stmt::Grad(_, operands, _)
            | Stmt::Vmap(_, operands, ..) => operands.iter_mut().for_each(|id| *id = new(*id)),
            Stmt::Jvp(_, operands, tangent) => {
                operands.iter_mut().chain([tangent]).for_each(|id| *id = new(*id));
            }
            Stmt::Collective(_, _, _, x) | Stmt::Index(_, x) => *x = new(*x),
        }
    }

    /// The same with a smaller block, or something plain instead.
    fn simpler(&self) -> Vec<Self> {
        match self {
            Stmt::Checkpoint(block, operands) => smaller(block, operands.len())
                .into_iter()
                .map(|block| Stmt::Checkpoint(block, operands.clone()))
                .collect(),
            Stmt::Grad(block, operands, listed) => smaller(block, operands.len())
                .into_iter()
                .map(|block| Stmt::Grad(block, operands.clone(), listed.clone()))
                .collect(),
            Stmt::Jvp(block, operands, tangent) => smaller(block, operands.len())
                .into_iter()
                .map(|block| Stmt::Jvp(block, operands.clone(), *tangent))
                .collect(),
            Stmt::Vmap(block, operands, mapped, name) => smaller(block, operands.len())
                .into_iter()
                .map(|block| Stmt::Vmap(block, operands.clone(), mapped.clone(), name))
                .collect(),
            Stmt::Local(name, ..) if *name == "sin" => Vec::new(),
            Stmt::Local(_, _, operands) => vec![Stmt::Local("sin", vec![], vec![operands[0]])],
            Stmt::Collective(..) | Stmt::Index(..) => Vec::new(),
        }
    }
}

/// Without an argument that is not used, or with one that varies over an axis less or has smaller dims.
fn smaller_arguments(program: &Program) -> Vec<Program> {
    let mut smaller = Vec::new();
    for i in 0..program.args.len() {
        let used = program.block.result == i || program.block.body.iter().any(|stmt| stmt.uses(i));
        if !used {
            let mut without = program.clone();
            without.args.remove(i);
            let down = |id: usize| if id > i { id - 1 } else { id };
            without.block.body.iter_mut().for_each(|stmt| stmt.renumber(&down));
            without.block.result = down(without.block.result);
            smaller.push(without);
        }
        for axis in 0..program.args[i].axes.len() {
            let mut less = program.clone();
            less.args[i].axes.remove(axis);
            smaller.push(less);
        }
        for dim in 0..program.args[i].dims.len() {
            let mut less = program.clone();
            less.args[i].dims.remove(dim);
            smaller.push(less);
        }
    }
    smaller
}

impl Stmt {
    fn uses(&self, id: usize) -> bool {
        self.operands().contains(&id) || matches!(self, Stmt::Jvp(_, _, tangent) if *tangent == id)
    }
}

fn smaller_axes(program: &Program) -> Vec<Program> {
    let smaller = |i: usize| {
        let mut smaller = program.clone();
        smaller.axes[i].1 -= 1;
        smaller
    };
    let without = |i: usize| {
        let mut without = program.clone();
        let (name, _) = without.axes.remove(i);
        without.args.iter_mut().for_each(|arg| arg.axes.retain(|axis| *axis != name));
        without
    };
    let several = program.axes.len() > 1;
    let without = (0..program.axes.len()).filter(|_| several).map(without);
    without.chain((0..program.axes.len()).filter(|&i| program.axes[i].1 > 1).map(smaller)).collect()
}
