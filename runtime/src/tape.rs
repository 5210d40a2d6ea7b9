//! The record of a traced function.
//!
//! A tape is an arena of nodes in the order in which they were computed; backward is one reverse loop over it.
//! Tapes nest by level: a value on an inner tape wraps a value that may be on an outer one, so a gradient of a
//! gradient needs no code of its own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::Location;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;

use crate::listed::PerOperand;
use crate::op::{Op, Rule};
use crate::tensor::Tensor;
use crate::types::{Axis, AxisSet};

/// A new moment, later than all before it. A later tape is an inner tape; an axis that is younger than a tape
/// was made inside the traced function.
pub(crate) fn moment() -> u64 {
    static CLOCK: AtomicU64 = AtomicU64::new(1);
    CLOCK.fetch_add(1, Ordering::Relaxed)
}

/// One level of differentiation.
pub(crate) struct Tape {
    id: u64,
    /// The names in `reduce_axes`.
    reduce: Vec<Rc<str>>,
    /// The moment after which an axis was made inside the traced function; the beginning of time, if every axis is to
    /// count as such.
    since: u64,
    /// The moment at which the traced function returned; the end of time until then.
    closed: Cell<u64>,
    /// The same of the functions that this one is a part of.
    around: SmallVec<[(u64, u64); 1]>,
    nodes: RefCell<Vec<Node>>,
    /// The `pvary` of a node that was asked for before: one per value and set of axes.
    varied: RefCell<BTreeMap<usize, Varied>>,
}

/// The nodes that are one value taken to vary over some axes.
type Varied = SmallVec<[(AxisSet, usize); 1]>;

/// One entry of a tape.
#[derive(Clone)]
pub(crate) struct Node {
    pub kind: Kind,
    /// The value, one level below the tape.
    pub output: Tensor,
    /// Axes along which this is one value, not one per position, whatever the arguments are: those that a
    /// `psum` has removed. (Along every other axis that is not in `reduce_axes`, an argument and what is made
    /// of it count as one value per position: that is what makes gradients per-example.)
    pub settled: AxisSet,
    pub site: &'static Location<'static>,
}

/// How a node was made.
#[derive(Clone)]
pub(crate) enum Kind {
    /// An argument of the traced function.
    Leaf,
    /// `pvary`: node `of`, taken to a value that varies over `axes` too.
    Vary { of: usize, axes: AxisSet },
    /// An op; an operand that is not on this tape has no node.
    Apply { op: Rc<dyn Op>, inputs: PerOperand<Option<usize>>, values: PerOperand<Tensor> },
    /// A function that is transposed as a whole; an operand that is not on this tape has no node. Its results are the
    /// parts that follow.
    Call(Call),
    /// Result number `index` of the call `of`.
    Part { of: usize, index: usize },
}

/// See [`Kind::Call`].
#[derive(Clone)]
pub(crate) struct Call {
    pub rule: Rc<dyn Rule>,
    pub inputs: Vec<Option<usize>>,
    /// Zeros of the results' types.
    pub zeros: Vec<Tensor>,
    /// The axes that values inside vary over.
    pub axes: AxisSet,
}

impl Node {
    /// The nodes that it was made of.
    pub fn operands(&self) -> impl Iterator<Item = usize> + '_ {
        let (of, inputs): (Option<usize>, &[Option<usize>]) = match &self.kind {
            Kind::Leaf => (None, &[]),
            Kind::Vary { of, .. } | Kind::Part { of, .. } => (Some(*of), &[]),
            Kind::Call(call) => (None, &call.inputs),
            Kind::Apply { inputs, .. } => (None, inputs),
        };
        of.into_iter().chain(inputs.iter().flatten().copied())
    }
}

impl Tape {
    pub fn new<S: AsRef<str>>(reduce: &[S]) -> Rc<Self> {
        let reduce = reduce.iter().map(|name| name.as_ref().into()).collect();
        let id = moment();
        Rc::new(Self::with(id, reduce, id, SmallVec::new()))
    }

    /// A tape on which all axes are reduced, so that pulling back is the function's transpose in the strict sense.
    pub fn strict() -> Rc<Self> {
        Rc::new(Self::with(moment(), Vec::new(), 0, SmallVec::new()))
    }

    /// A tape for a part of the function that this one records: the same axes are reduced.
    pub fn part(&self) -> Rc<Self> {
        let id = moment();
        let around = self.around.iter().copied().chain([(self.since, self.closed.get())]).collect();
        Rc::new(Self::with(id, self.reduce.clone(), id, around))
    }

    fn with(id: u64, reduce: Vec<Rc<str>>, since: u64, around: SmallVec<[(u64, u64); 1]>) -> Self {
        let (nodes, varied) = (RefCell::default(), RefCell::default());
        Self { id, reduce, since, closed: Cell::new(u64::MAX), around, nodes, varied }
    }

    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether nodes can be added: a tape closes when the function that it records has returned.
    pub fn is_open(&self) -> bool {
        self.closed.get() == u64::MAX
    }

    pub fn close(&self) {
        self.closed.set(moment());
    }

    pub fn len(&self) -> usize {
        self.nodes.borrow().len()
    }

    /// Whether a value counts as one along `axis` for every argument: the axis is in `reduce_axes`, or was made
    /// inside the traced function. One that was made later maps the transpose, and is none of its business.
    pub fn reduces(&self, axis: &Axis) -> bool {
        let named = self.reduce.iter().any(|name| **name == *axis.name());
        let within = |&(since, closed): &(u64, u64)| (since..closed).contains(&axis.birth());
        named || within(&(self.since, self.closed.get())) || self.around.iter().any(within)
    }

    /// The names in `reduce_axes`.
    pub fn reduce_axes(&self) -> &[Rc<str>] {
        &self.reduce
    }

    /// The axes that node `node` is settled over.
    pub fn settled(&self, node: usize) -> AxisSet {
        self.nodes.borrow()[node].settled.clone()
    }

    pub fn push(self: &Rc<Self>, node: Node) -> Tensor {
        let output = node.output.clone();
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(node);
        Tensor::traced(self.clone(), nodes.len() - 1, output)
    }

    pub fn leaf(self: &Rc<Self>, value: &Tensor, site: &'static Location<'static>) -> Tensor {
        self.settled_leaf(value, AxisSet::new(), site)
    }

    /// A leaf that stands for a value which is settled over some axes.
    pub fn settled_leaf(
        self: &Rc<Self>,
        value: &Tensor,
        settled: AxisSet,
        site: &'static Location<'static>,
    ) -> Tensor {
        self.push(Node { kind: Kind::Leaf, output: value.clone(), settled, site })
    }

    /// The `pvary` of `node` over `axes`, if it is on the tape already.
    pub fn find_vary(self: &Rc<Self>, node: usize, axes: &AxisSet) -> Option<Tensor> {
        let varied = self.varied.borrow();
        let (_, found) = varied.get(&node)?.iter().find(|(known, _)| known == axes)?;
        let output = self.nodes.borrow()[*found].output.clone();
        Some(Tensor::traced(self.clone(), *found, output))
    }

    pub fn push_vary(
        self: &Rc<Self>,
        of: usize,
        axes: AxisSet,
        output: Tensor,
        site: &'static Location<'static>,
    ) -> Tensor {
        let settled = self.settled(of).minus(&axes);
        self.varied.borrow_mut().entry(of).or_default().push((axes.clone(), self.len()));
        self.push(Node { kind: Kind::Vary { of, axes }, output, settled, site })
    }

    /// The nodes, for backward; the tape keeps none.
    pub fn take_nodes(&self) -> Vec<Node> {
        self.varied.borrow_mut().clear();
        self.nodes.take()
    }

    /// Every axis that a value on the tape varies over.
    pub fn axes_seen(&self, seen: &mut dyn FnMut(&AxisSet)) {
        visit_axes(&self.nodes.borrow(), seen);
    }
}

/// All axes that values at these nodes vary over; of two that have one name and differ, the first.
pub(crate) fn axes_of(nodes: &[Node]) -> AxisSet {
    let mut all = AxisSet::new();
    visit_axes(nodes, &mut |axes| {
        for axis in axes.iter() {
            all = all.with(axis).unwrap_or_else(|_| all.clone());
        }
    });
    all
}

fn visit_axes(nodes: &[Node], seen: &mut dyn FnMut(&AxisSet)) {
    for node in nodes {
        seen(node.output.axes());
        match &node.kind {
            Kind::Apply { values, .. } => values.iter().for_each(|value| seen(value.axes())),
            Kind::Call(call) => seen(&call.axes),
            _ => {}
        }
    }
}
