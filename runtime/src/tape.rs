//! The record of a traced function.
//!
//! A tape is an arena of nodes in the order in which they were computed; backward is one reverse loop over it.
//! Tapes nest by level: a value on an inner tape wraps a value that may be on an outer one, so a gradient of a
//! gradient needs no code of its own.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::Location;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;

use crate::op::Op;
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
    /// Whether every axis is reduced, named or not.
    strict: bool,
    nodes: RefCell<Vec<Node>>,
    /// The `pvary` of a node that was asked for before: one per value and set of axes.
    varied: RefCell<HashMap<usize, Varied>>,
    /// The moment at which the traced function returned; the end of time until then.
    closed: Cell<u64>,
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
    Apply { op: Rc<dyn Op>, inputs: SmallVec<[Option<usize>; 2]>, values: SmallVec<[Tensor; 2]> },
}

impl Tape {
    pub fn new<S: AsRef<str>>(reduce: &[S]) -> Rc<Self> {
        let reduce = reduce.iter().map(|name| name.as_ref().into()).collect();
        Rc::new(Self::with(reduce, false))
    }

    /// A tape on which all axes are reduced, so that pulling back is the function's transpose in the strict sense.
    pub fn strict() -> Rc<Self> {
        Rc::new(Self::with(Vec::new(), true))
    }

    fn with(reduce: Vec<Rc<str>>, strict: bool) -> Self {
        let (nodes, varied) = (RefCell::default(), RefCell::default());
        Self { id: moment(), reduce, strict, nodes, varied, closed: Cell::new(u64::MAX) }
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
        named || (self.strict || axis.born_after(self.id)) && !axis.born_after(self.closed.get())
    }

    /// The names in `reduce_axes`.
    pub fn reduce_axes(&self) -> impl Iterator<Item = &str> {
        self.reduce.iter().map(|name| &**name)
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
        self.push(Node { kind: Kind::Leaf, output: value.clone(), settled: AxisSet::new(), site })
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
        for node in self.nodes.borrow().iter() {
            seen(node.output.axes());
            if let Kind::Apply { values, .. } = &node.kind {
                values.iter().for_each(|value| seen(value.axes()));
            }
        }
    }
}
