//! The sweep that gives the squares of per-example gradients, and from them the sum of clipped ones, without holding
//! the gradients.

use std::collections::HashMap;
use std::panic::Location;
use std::rc::Rc;

use super::{Gradients, Passing, Sweep};
use crate::bind::vary;
use crate::listed::PerOperand;
use crate::op::Op;
use crate::ops::{cast, square_sum};
use crate::tape::{Kind, Tape};
use crate::tensor::Tensor;
use crate::types::AxisSet;

type Site = &'static Location<'static>;

/// The sums of squares, by leaf.
pub(crate) type Squares = HashMap<usize, Tensor>;

/// For each leaf, the sum of the squares of its gradient: one number per position, for the leaf itself never more
/// than that where an op knows a way (see [`SumOp::square_sums`](crate::op::SumOp::square_sums)).
pub(crate) fn gradient_squares(tape: &Rc<Tape>, output: &Tensor, site: Site) -> Squares {
    let mut sweep = Sweep::new(tape, tape.take_nodes());
    sweep.collect_squares(output, site, None).squares
}

/// The gradient of `output`, each position counting by a factor that is made of the squares of the gradients, summed
/// over the axes in `reduce`.
///
/// The pullback is linear, so the cotangents that the squares were made of need only be scaled where they meet a leaf:
/// one backward pass serves for both (Bu et al., "Differentially private optimization on large foundation models at the
/// cost of standard training", 2023).
pub(crate) fn scaled_gradient(
    tape: &Rc<Tape>,
    output: &Tensor,
    reduce: &[String],
    site: Site,
    factor: impl FnOnce(&mut Squares) -> Tensor,
) -> Gradients {
    let mut sweep = Sweep::new(tape, tape.take_nodes());
    let mut collected = sweep.collect_squares(output, site, Some(reduce.to_vec()));
    let factor = factor(&mut collected.squares);
    collected.held.into_iter().for_each(|held| sweep.pass_held(held, &factor));
    sweep.finish()
}

/// What a sweep for squares brings.
pub(super) struct Collected {
    squares: Squares,
    /// The axes that will be summed over, if gradients are wanted after the squares.
    reduce: Option<Vec<String>>,
    held: Vec<Held>,
}

/// What flows back to a leaf, for when it is known by how much each position counts.
struct Held {
    leaf: usize,
    /// Of the axes that it has and the leaf has not, those to be summed over.
    summed: AxisSet,
    ct: Tensor,
    /// The op that it is to be passed through, if it is not the leaf's own.
    through: Option<Through>,
    site: Site,
}

/// An op on the tape, and the operand that is the leaf.
struct Through {
    op: Rc<dyn Op>,
    values: PerOperand<Tensor>,
    output: Tensor,
    wrt: usize,
}

impl Collected {
    fn hold(&mut self, axes: &AxisSet, held: impl FnOnce(AxisSet) -> Held) {
        if let Some(reduce) = &self.reduce {
            let summed = axes.filter(|axis| reduce.iter().any(|name| name == axis.name()));
            self.held.push(held(summed));
        }
    }
}

impl Sweep<'_> {
    fn collect_squares(&mut self, output: &Tensor, site: Site, reduce: Option<Vec<String>>) -> Collected {
        self.squares = Some(Collected { squares: HashMap::new(), reduce, held: Vec::new() });
        if let Some((node, below)) = output.on(self.tape) {
            self.seed(node, below.ones_like(), site);
        }
        self.run();
        self.squares.take().expect("they have been collected")
    }

    /// If this is all that flows back to the leaf `of`: its squares, where the op knows a way to them.
    pub(super) fn pass_squares(
        &mut self,
        at: &Passing<'_>,
        wrt: usize,
        (input, of): (usize, usize),
        axes: &AxisSet,
    ) -> bool {
        let alone = !self.shared[input] && !self.shared[of] && matches!(self.nodes[of].kind, Kind::Leaf);
        let fused = at.op.vjp_psum(wrt, at.ct, at.values, axes).filter(|_| alone);
        let Some(sum) = fused.and_then(|fused| fused.op.square_sums(&fused.inputs)) else { return false };
        let collected = self.squares.as_mut().expect("they are collected");
        collected.squares.insert(of, sum);
        collected.hold(axes, |summed| {
            let values = at.values.iter().cloned().collect();
            let through = Through { op: at.op.clone(), values, output: at.output.clone(), wrt };
            Held { leaf: of, summed, ct: at.ct.clone(), through: Some(through), site: at.site }
        });
        true
    }

    /// The squares of the cotangent of a leaf, which varies over the axes `own` itself.
    pub(super) fn square_leaf(&mut self, leaf: usize, ct: Tensor, own: &AxisSet, site: Site) {
        let collected = self.squares.as_mut().expect("they are collected");
        let size = if ct.dtype().is_complex() { ct.abs() } else { ct.clone() };
        collected.squares.insert(leaf, square_sum(&size));
        let axes = ct.axes().minus(own);
        collected.hold(&axes, |summed| Held { leaf, summed, ct, through: None, site });
    }

    /// Passes on what was held, each position scaled by `factor`.
    fn pass_held(&mut self, held: Held, factor: &Tensor) {
        let Held { leaf, summed, ct, through, site } = held;
        let ct = cast(&(&ct * factor), ct.dtype());
        match &through {
            Some(Through { op, values, output, wrt }) => {
                let at = Passing { op, values, output, ct: &ct, site };
                if summed.is_empty() || !self.pass_sum(&at, *wrt, leaf, &summed, true) {
                    let result = op.vjp(*wrt, &ct, values, output).expect("it had a square");
                    let result = vary(&result, &values[*wrt].ty().axes, site);
                    self.add_summed(leaf, result, &summed, site);
                }
            }
            None => self.add_summed(leaf, ct, &summed, site),
        }
        let accum = std::mem::take(&mut self.cts[leaf]);
        self.launch(leaf, accum, site);
    }
}
