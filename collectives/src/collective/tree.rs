//! The one tree along which every reduction is associated, whoever owns which leaves.
//!
//! The leaves are `0..n`, the blocks of an axis. [`Node`] `{ level, index }` covers the leaves from
//! `index << level` up to `(index + 1) << level`, as far as there are any. Its value is the left half's value
//! combined with the right half's, or just the left half's where the right is empty: a zero is never added.
//! Addition commutes bit for bit, and the association is fixed here, so a reduction has the same bits for
//! every placement.

use std::ops::Range;

use smallvec::SmallVec;

use crate::buffer::Buffer;
use crate::element::{Combine, Element};
use crate::error::{Error, ErrorKind, Result};

/// A subtree: the leaves `index << level .. (index + 1) << level`, as far as there are any.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub struct Node {
    pub level: u32,
    pub index: u64,
}

/// The value of one subtree, reduced already.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Partial {
    pub node: Node,
    pub data: Buffer,
}

impl Node {
    /// One leaf.
    pub fn leaf(index: u64) -> Self {
        Self { level: 0, index }
    }

    /// The subtree of all `leaves`.
    pub fn root(leaves: u64) -> Self {
        Self { level: leaves.max(1).next_power_of_two().ilog2(), index: 0 }
    }

    /// The leaves below this node, where there are `leaves` in all.
    pub fn range(self, leaves: u64) -> Range<u64> {
        let start = self.index << self.level;
        start.min(leaves)..(start + (1 << self.level)).min(leaves)
    }

    /// The one name of this subtree: where the last leaves cut a node short, the node and the left half of it
    /// are the same, and the higher one is meant.
    pub fn named(self, leaves: u64) -> Self {
        let mut node = self;
        while node.level < Self::root(leaves).level && node.index.is_multiple_of(2) && node.end() >= leaves {
            node = node.parent();
        }
        node
    }

    fn end(self) -> u64 {
        (self.index + 1) << self.level
    }

    fn parent(self) -> Self {
        Self { level: self.level + 1, index: self.index / 2 }
    }

    fn is_left_of(self, right: Self) -> bool {
        self.level == right.level && self.index.is_multiple_of(2) && right.index == self.index + 1
    }
}

/// The fewest subtrees that together are exactly the leaves of `range`, in order: what an owner of those
/// leaves reduces on its own.
///
/// ```
/// use axisgrad_collectives::collective::tree::{Node, cover};
/// assert_eq!(cover(0..3, 8), [Node { level: 1, index: 0 }, Node { level: 0, index: 2 }]);
/// assert_eq!(cover(0..5, 5), [Node::root(5)]);
/// ```
pub fn cover(range: Range<u64>, leaves: u64) -> Vec<Node> {
    let end = range.end.min(leaves);
    let mut nodes = Vec::new();
    let mut at = range.start;
    while at < end {
        let fits = |level: &u32| at.is_multiple_of(1 << level) && (at + (1 << level)).min(leaves) <= end;
        let level = (0..=Node::root(leaves).level).rev().find(fits).expect("a leaf fits");
        nodes.push(Node { level, index: at >> level });
        at += 1 << level;
    }
    nodes
}

/// Joins the values of subtrees, given in order, as far as they are siblings; `combine` adds the right one to the
/// left one.
pub fn join<X>(
    parts: impl IntoIterator<Item = (Node, X)>,
    leaves: u64,
    mut combine: impl FnMut(&mut X, X),
) -> Vec<(Node, X)> {
    let mut joined: Vec<(Node, X)> = Vec::new();
    for (node, part) in parts {
        joined.push((node.named(leaves), part));
        while let [.., (left, _), (right, _)] = &joined[..]
            && left.is_left_of(*right)
        {
            let (_, right) = joined.pop().expect("the right sibling");
            let (node, left) = joined.last_mut().expect("the left sibling");
            *node = node.parent().named(leaves);
            combine(left, right);
        }
    }
    joined
}

/// How to join a set of subtrees as far as they go.
pub(crate) struct Plan {
    /// The subtrees that are left, in order, each with the moves that make it.
    pub(crate) roots: Vec<(Node, Moves)>,
}

/// In their order; those of two subtrees take no memory of their own.
pub(crate) type Moves = SmallVec<[Move; 4]>;

/// A move of the stack machine that evaluates a plan.
pub(crate) enum Move {
    /// Push this input.
    Input(usize),
    /// Replace the two topmost by their combination.
    Join,
}

impl Plan {
    /// The plan for these inputs, given in any order.
    ///
    /// # Errors
    /// If two of them share a leaf, or one lies outside the tree.
    pub(crate) fn new(nodes: &[Node], leaves: u64) -> Result<Self> {
        let mut order: SmallVec<[usize; 8]> = (0..nodes.len()).collect();
        order.sort_by_key(|&i| nodes[i].range(leaves).start);
        let mut end = 0;
        let mut inputs = SmallVec::<[(Node, Moves); 4]>::new();
        for i in order {
            let range = nodes[i].range(leaves);
            if range.is_empty() || range.start < end {
                return Err(bad_leaves(nodes[i], leaves));
            }
            end = range.end;
            inputs.push((nodes[i], Moves::from_iter([Move::Input(i)])));
        }
        let roots = join(inputs, leaves, |left, right| {
            left.extend(right);
            left.push(Move::Join);
        });
        Ok(Self { roots })
    }

    /// The subtrees that are left.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = Node> {
        self.roots.iter().map(|(node, _)| *node)
    }

    /// Checks that everything joins into one value.
    ///
    /// # Errors
    /// If leaves are missing.
    pub(crate) fn complete(&self, leaves: u64) -> Result<()> {
        match self.roots[..] {
            [(node, _)] if node == Node::root(leaves) => Ok(()),
            _ => Err(Error::new(
                ErrorKind::Usage,
                format!(
                    "the members' partials do not add up to all {leaves} leaves of the tree, only to {:?}\n   \
                     every leaf must be covered by exactly one member",
                    self.nodes().map(|node| node.range(leaves)).collect::<Vec<_>>()
                ),
            )),
        }
    }
}

fn bad_leaves(node: Node, leaves: u64) -> Error {
    Error::new(
        ErrorKind::Usage,
        format!(
            "{node:?} does not fit a tree of {leaves} leaves, or another partial covers some of the same"
        ),
    )
}

/// Elements that are worked on at a time: scratch space stays in the first-level cache.
pub(crate) const CHUNK: usize = 2048;

/// Carries out the moves for one root: `out = input ⊕ input ⊕ …`, associated as the moves say. All slices
/// have the same length.
pub(crate) fn evaluate<T: Element>(moves: &[Move], inputs: &[&[T]], combine: Combine<T>, out: &mut [T]) {
    match moves {
        [Move::Input(only)] => out.copy_from_slice(inputs[*only]),
        [Move::Input(left), Move::Input(right), Move::Join] => combine(out, inputs[*left], inputs[*right]),
        _ => {
            let mut scratch = Vec::new();
            for (i, out) in out.chunks_mut(CHUNK).enumerate() {
                let at = i * CHUNK..i * CHUNK + out.len();
                evaluate_chunk(moves, &|input| &inputs[input][at.clone()], combine, &mut scratch, out);
            }
        }
    }
}

enum Value<'a, T> {
    Input(&'a [T]),
    Scratch(Vec<T>),
}

impl<T> Value<'_, T> {
    fn slice(&self) -> &[T] {
        match self {
            Self::Input(slice) => slice,
            Self::Scratch(owned) => owned,
        }
    }

    /// Gives scratch space back for the next join.
    fn free(self, free: &mut Vec<Vec<T>>) {
        if let Self::Scratch(owned) = self {
            free.push(owned);
        }
    }
}

fn evaluate_chunk<'a, T: Element>(
    moves: &[Move],
    input: &impl Fn(usize) -> &'a [T],
    combine: Combine<T>,
    free: &mut Vec<Vec<T>>,
    out: &mut [T],
) {
    let mut stack: Vec<Value<'a, T>> = Vec::new();
    for step in moves {
        if let Move::Input(i) = step {
            stack.push(Value::Input(input(*i)));
            continue;
        }
        let (right, left) = (stack.pop().expect("right"), stack.pop().expect("left"));
        let mut joined = free.pop().unwrap_or_default();
        joined.clear();
        joined.extend_from_slice(left.slice());
        combine(&mut joined, left.slice(), right.slice());
        left.free(free);
        right.free(free);
        stack.push(Value::Scratch(joined));
    }
    let root = stack.pop().expect("the root");
    out.copy_from_slice(root.slice());
    root.free(free);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::element::Reduction;

    /// The definition, read off the page.
    fn by_definition(node: Node, leaves: &[f32]) -> f32 {
        if node.level == 0 {
            return leaves[node.index as usize];
        }
        let [left, right] = [0, 1].map(|half| Node { level: node.level - 1, index: node.index * 2 + half });
        let value = by_definition(left, leaves);
        if right.range(leaves.len() as u64).is_empty() { value } else { value + by_definition(right, leaves) }
    }

    fn by_plan(nodes: &[Node], leaves: &[f32]) -> Vec<(Node, f32)> {
        let n = leaves.len() as u64;
        let inputs: Vec<[f32; 1]> = nodes.iter().map(|node| [by_definition(*node, leaves)]).collect();
        let inputs: Vec<&[f32]> = inputs.iter().map(|input| &input[..]).collect();
        let plan = Plan::new(nodes, n).unwrap();
        let combine = f32::combine(Reduction::Sum).unwrap();
        let value = |moves: &[Move]| {
            let mut out = [0.0];
            evaluate(moves, &inputs, combine, &mut out);
            out[0]
        };
        plan.roots.iter().map(|(node, moves)| (*node, value(moves))).collect()
    }

    proptest! {
        #[test]
        fn any_owners_of_the_leaves_get_the_same_bits(
            leaves in prop::collection::vec(-1e6f32..1e6, 1..70),
            cuts in prop::collection::vec(0u64..70, 0..6),
        ) {
            let n = leaves.len() as u64;
            let mut cuts: Vec<u64> = cuts.into_iter().map(|cut| cut % (n + 1)).chain([0, n]).collect();
            cuts.sort();
            let nodes: Vec<Node> = cuts.windows(2).flat_map(|cut| cover(cut[0]..cut[1], n)).collect();
            let joined = by_plan(&nodes, &leaves);
            let root = Node::root(n);
            prop_assert_eq!(joined.len(), 1);
            prop_assert_eq!((joined[0].0, joined[0].1.to_bits()), (root, by_definition(root, &leaves).to_bits()));
        }

        #[test]
        fn joining_some_first_changes_nothing(leaves in prop::collection::vec(-1e6f32..1e6, 1..40), cut in 0u64..40) {
            let n = leaves.len() as u64;
            let cut = cut % (n + 1);
            let singles = |range: Range<u64>| range.map(Node::leaf).collect::<Vec<_>>();
            let left: Vec<Node> = by_plan(&singles(0..cut), &leaves).iter().map(|(node, _)| *node).collect();
            prop_assert_eq!(&left, &cover(0..cut, n));
            let right = by_plan(&singles(cut..n), &leaves);
            for (node, value) in &right {
                prop_assert_eq!(value.to_bits(), by_definition(*node, &leaves).to_bits());
            }
        }
    }

    #[test]
    fn long_slices_are_cut_in_chunks() {
        let inputs: Vec<Vec<i64>> = (0..3).map(|k| (0..5000).map(|i| i * 10 + k).collect()).collect();
        let slices: Vec<&[i64]> = inputs.iter().map(|input| &input[..]).collect();
        let plan = Plan::new(&[Node::leaf(2), Node::leaf(0), Node::leaf(1)], 3).unwrap();
        let mut out = vec![0; 5000];
        evaluate(&plan.roots[0].1, &slices, i64::combine(Reduction::Sum).unwrap(), &mut out);
        assert!(out.iter().enumerate().all(|(i, &value)| value == 30 * i as i64 + 3));
    }

    #[test]
    fn wrong_leaves_are_refused() {
        let twice = Plan::new(&[Node::leaf(1), Node { level: 1, index: 0 }], 4);
        assert!(twice.err().unwrap().to_string().contains("another partial covers some of the same"));
        let gap = Plan::new(&cover(0..3, 4), 4).unwrap().complete(4);
        assert!(gap.unwrap_err().to_string().contains("do not add up to all 4 leaves"));
    }
}
