//! The reverse sweep over a tape.
//!
//! The one place where `reduce_axes` acts is [`Sweep::pass_vary`]: the transpose of `pvary` sums the cotangent
//! over the axes that are reduced, and leaves it per-example over the others. The sum stays *partial* — lanes
//! summed, nothing communicated — until the value's last use has been passed.

mod squares;

use std::collections::HashMap;
use std::panic::Location;
use std::rc::Rc;

use squares::Collected;
pub(crate) use squares::{Squares, gradient_squares, scaled_gradient};

use super::accum::{Accum, Buckets};
use crate::bind::{bind_at, operands, vary};
use crate::listed::{Listed, PerOperand};
use crate::op::Op;
use crate::ops::psum_of;
use crate::partial::PartialSum;
use crate::tape::{Call, Kind, Node, Tape};
use crate::tensor::Tensor;
use crate::types::AxisSet;

/// The cotangents of a tape's leaves, by node.
pub(crate) struct Gradients(Vec<Option<Tensor>>);

impl Gradients {
    /// The cotangent of that leaf; `None` if nothing flowed back to it.
    pub fn take(&mut self, node: usize) -> Option<Tensor> {
        self.0[node].take()
    }
}

/// The gradient of `output`, seeded with ones of its type: its sum over the axes that it varies over.
pub(crate) fn gradient(tape: &Rc<Tape>, output: &Tensor, site: &'static Location<'static>) -> Gradients {
    let seeds = output.on(tape).map(|(node, below)| (node, below.ones_like()));
    pull_back(tape, tape.take_nodes(), seeds.into_iter().collect(), site)
}

/// Pulls the cotangents `seeds` of some nodes back to the leaves.
pub(crate) fn pull_back(
    tape: &Rc<Tape>,
    nodes: Vec<Node>,
    seeds: Vec<(usize, Tensor)>,
    site: &'static Location<'static>,
) -> Gradients {
    let mut sweep = Sweep::new(tape, nodes);
    for (node, ct) in seeds {
        sweep.seed(node, ct, site);
    }
    sweep.run();
    sweep.finish()
}

struct Sweep<'t> {
    tape: &'t Tape,
    nodes: Vec<Node>,
    cts: Vec<Accum>,
    /// How many later nodes use this one and have not been passed yet.
    uses: Vec<u32>,
    /// Whether more than one node uses this one.
    shared: Vec<bool>,
    /// Cotangents of the results of calls, by call.
    parts: HashMap<usize, Vec<(usize, Tensor)>>,
    buckets: Buckets,
    /// Where the sums of the squares of the leaves' gradients are wanted: these.
    squares: Option<Collected>,
}

impl<'t> Sweep<'t> {
    fn new(tape: &'t Tape, nodes: Vec<Node>) -> Self {
        let mut uses = vec![0; nodes.len()];
        for node in &nodes {
            node.operands().for_each(|operand| uses[operand] += 1);
        }
        let cts = nodes.iter().map(|_| Accum::default()).collect();
        let shared = uses.iter().map(|&uses| uses > 1).collect();
        Self {
            tape,
            nodes,
            cts,
            uses,
            shared,
            parts: HashMap::new(),
            buckets: Buckets::default(),
            squares: None,
        }
    }

    /// A cotangent that varies where the node does not is summed as a `pvary` would have it; one that does not
    /// vary where the node does counts at every position.
    fn seed(&mut self, node: usize, ct: Tensor, site: &'static Location<'static>) {
        let extra = ct.axes().minus(self.nodes[node].output.axes());
        let summed = self.summed(node, &extra);
        let ct = if summed.is_empty() { ct } else { psum_of(&ct, &summed, site) };
        self.cts[node].add(vary(&ct, self.nodes[node].output.axes(), site));
    }

    /// Passes the nodes, last one first; what a node has saved is dropped when it has been passed.
    fn run(&mut self) {
        while let Some(node) = self.nodes.pop() {
            let id = self.nodes.len();
            let accum = std::mem::take(&mut self.cts[id]);
            if matches!(node.kind, Kind::Leaf) {
                self.finish_leaf(id, accum, node.output.axes().clone(), node.site);
                continue;
            }
            if let Kind::Call(call) = &node.kind {
                self.pass_call(id, call, node.site);
            } else if let Some(ct) = accum.finish(node.site) {
                self.pass(&node, ct);
            }
            node.operands().for_each(|operand| self.release(operand));
            self.buckets.advance();
        }
    }

    fn pass(&mut self, node: &Node, ct: Tensor) {
        match &node.kind {
            Kind::Leaf | Kind::Call(_) => unreachable!("leaves and calls are passed by others"),
            Kind::Part { of, index } => {
                self.parts.entry(*of).or_default().push((*index, ct));
            }
            Kind::Vary { of, axes } => self.pass_vary(*of, axes, ct, node.site),
            Kind::Apply { op, inputs, values } => {
                for (wrt, input) in inputs.iter().enumerate() {
                    if let Some(input) = *input {
                        let at = Passing { op, values, output: &node.output, ct: &ct, site: node.site };
                        self.pass_operand(at, wrt, input);
                    }
                }
            }
        }
    }

    /// The results of a call have all been passed, since they come after it.
    fn pass_call(&mut self, id: usize, call: &Call, site: &'static Location<'static>) {
        let Some(parts) = self.parts.remove(&id) else { return };
        let mut cts = call.zeros.clone();
        parts.into_iter().for_each(|(index, ct)| cts[index] = ct);
        let results = call.rule.pull_back(self.tape, cts);
        for (input, result) in call.inputs.iter().zip(results) {
            if let (Some(input), Some(ct)) = (*input, result) {
                self.seed(input, ct, site);
            }
        }
    }

    /// `pvary` transposes to `psum` over the axes that are reduced, and to nothing over the others.
    fn pass_vary(&mut self, of: usize, axes: &AxisSet, ct: Tensor, site: &'static Location<'static>) {
        let summed = self.summed(of, axes);
        self.add_summed(of, ct, &summed, site);
    }

    fn add_summed(&mut self, node: usize, ct: Tensor, summed: &AxisSet, site: &'static Location<'static>) {
        if summed.is_empty() {
            self.cts[node].add(ct);
        } else if ct.tape().is_some() {
            self.cts[node].add(psum_of(&ct, summed, site));
        } else {
            self.cts[node].add_partial(PartialSum::of_lanes(&ct, summed));
        }
    }

    fn pass_operand(&mut self, at: Passing<'_>, wrt: usize, input: usize) {
        if self.pass_fused(&at, wrt, input) {
            return;
        }
        let Passing { op, values, output, ct, site } = at;
        let Some(result) = op.vjp(wrt, ct, values, output) else { return };
        let (wanted, name) = (values[wrt].ty(), op.name());
        assert!(
            result.dtype() == wanted.dtype && result.dims() == &wanted.dims[..],
            "{name}: its vjp for operand {wrt} is {}, and the operand {wanted}",
            result.ty()
        );
        self.cts[input].add(vary(&result, &wanted.axes, site));
    }

    /// The contraction hook: where the operand was varied and its cotangent will be summed, an op may sum it
    /// while computing it. The `pvary` is stepped over.
    fn pass_fused(&mut self, at: &Passing<'_>, wrt: usize, input: usize) -> bool {
        let Kind::Vary { of, ref axes } = self.nodes[input].kind else { return false };
        let axes = &axes.clone();
        let summed = self.summed(of, axes);
        if summed.is_empty() {
            return self.squares.is_some() && self.pass_squares(at, wrt, (input, of), axes);
        }
        // Where others will be added, blocks stay apart: sums of subtrees would depend on who holds what.
        let joined = !self.shared[input];
        self.pass_sum(at, wrt, of, &summed, joined)
    }

    /// Adds the sum over `summed` of the cotangent of operand `wrt` to that of `node`, if the op can sum it.
    fn pass_sum(
        &mut self,
        at: &Passing<'_>,
        wrt: usize,
        node: usize,
        summed: &AxisSet,
        joined: bool,
    ) -> bool {
        let Some(fused) = at.op.vjp_psum(wrt, at.ct, at.values, summed) else { return false };
        let refs: PerOperand<&Tensor> = fused.inputs.iter().listed();
        if refs.iter().any(|x| x.tape().is_some()) {
            self.cts[node].add(bind_at(fused.op, &refs, at.site));
        } else {
            let (inputs, union) = operands(&*fused.op, &refs, at.site);
            self.cts[node].add_partial(PartialSum::of(&*fused.op, &inputs, &union, joined));
        }
        true
    }

    /// Takes the cotangent of a leaf that is final, and varies over the axes `own`.
    fn finish_leaf(&mut self, leaf: usize, accum: Accum, own: AxisSet, site: &'static Location<'static>) {
        if self.squares.is_none() {
            self.launch(leaf, accum, site);
        } else if let Some(ct) = accum.finish(site) {
            self.square_leaf(leaf, ct, &own, site);
        }
    }

    fn launch(&mut self, leaf: usize, mut accum: Accum, site: &'static Location<'static>) {
        self.buckets.add(leaf, &mut accum, site);
        self.cts[leaf] = accum;
    }

    /// Notes that one use of `node` has been passed; a leaf whose last use that was is final.
    fn release(&mut self, node: usize) {
        self.uses[node] -= 1;
        if self.uses[node] == 0 && matches!(self.nodes[node].kind, Kind::Leaf) {
            let accum = std::mem::take(&mut self.cts[node]);
            let Node { output, site, .. } = &self.nodes[node];
            self.finish_leaf(node, accum, output.axes().clone(), site);
        }
    }

    /// Of `axes`, those over which the cotangent of `node` is summed.
    fn summed(&self, node: usize, axes: &AxisSet) -> AxisSet {
        let settled = &self.nodes[node].settled;
        axes.filter(|axis| self.tape.reduces(axis) || settled.contains(axis.name()))
    }

    fn finish(self) -> Gradients {
        Gradients(self.buckets.finish(self.cts))
    }
}

/// An op whose cotangent is being passed to its operands.
struct Passing<'n> {
    op: &'n Rc<dyn Op>,
    values: &'n [Tensor],
    output: &'n Tensor,
    ct: &'n Tensor,
    site: &'static Location<'static>,
}
