//! Reductions over the lane dim, block by block and along the one tree over an axis' blocks.
//!
//! Blocks are cut at fixed positions of the whole axis, so a block is reduced alike whoever owns it: lane after
//! lane, starting from its first.

use std::ops::Range;

use axisgrad_collectives::Node;
use axisgrad_collectives::collective::tree::cover;
use axisgrad_collectives::element::Reduction;

use super::map::{copy, map2};
use super::vectors::{Loop, widest};
use crate::array::{Array, Dims};
use crate::dtype::{Scalar, dispatch};

/// Elements that are accumulated at a time, so that they stay in the first-level cache.
const TILE: usize = 2048;

/// Which positions of an axis the lanes of an operand are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LaneBlocks {
    /// The position of lane 0.
    pub first: usize,
    /// Positions in a block; blocks are cut at multiples of it.
    pub block: usize,
    /// How many blocks the whole axis has.
    pub blocks: u64,
}

impl LaneBlocks {
    /// The blocks that lie in `lanes` lanes.
    pub(super) fn range(&self, lanes: usize) -> Range<u64> {
        let first = self.first / self.block;
        first as u64..(first + block_ranges(lanes, self.first, self.block).count()) as u64
    }
}

/// The sum of each block of lanes: `T[lanes,..] -> T[..]` for every block.
///
/// Lane 0 is position `first` of the axis, and blocks are cut at multiples of `block` positions.
///
/// # Panics
/// If the elements are `bool`.
pub fn block_sums(a: &Array, first: usize, block: usize) -> Vec<Array> {
    block_reduce(Reduction::Sum, a, first, block)
}

/// Each block of lanes reduced: `T[lanes,..] -> T[..]` for every block; see [`block_sums`].
///
/// # Panics
/// If the reduction has no meaning for the elements.
pub fn block_reduce(reduction: Reduction, a: &Array, first: usize, block: usize) -> Vec<Array> {
    let ranges = block_ranges(a.dims()[0], first, block);
    if a.is_empty() {
        return ranges.map(|_| Array::zeros_in(a.pool(), a.dtype(), &a.dims()[1..])).collect();
    }
    let lanes = if a.first_of(1).is_contiguous() { a } else { &copy(a) };
    dispatch!(a.dtype(), T => ranges.map(|range| reduce_block::<T>(reduction, lanes, range)).collect())
}

/// The lanes of each block.
pub(super) fn block_ranges(lanes: usize, first: usize, block: usize) -> impl Iterator<Item = Range<usize>> {
    let end = first + lanes;
    let blocks = first / block..if lanes == 0 { first / block } else { end.div_ceil(block) };
    blocks.map(move |b| lanes_of_block(b, lanes, first, block))
}

fn lanes_of_block(b: usize, lanes: usize, first: usize, block: usize) -> Range<usize> {
    (b * block).max(first) - first..((b + 1) * block).min(first + lanes) - first
}

fn reduce_block<T: Scalar>(reduction: Reduction, lanes: &Array, range: Range<usize>) -> Array {
    by_tiles::<T>(lanes, |from, out| reduce_lanes(reduction, lanes, range.clone(), from, out))
}

/// A result of the dims of one lane, some elements at a time: `write` gets where they begin.
fn by_tiles<T: Scalar>(lanes: &Array, mut write: impl FnMut(usize, &mut [T])) -> Array {
    let dims = Dims::from_slice(&lanes.dims()[1..]);
    let mut buffer = lanes.pool().alloc::<T>(dims.iter().product());
    buffer.as_mut_slice::<T>().chunks_mut(TILE).enumerate().for_each(|(i, out)| write(i * TILE, out));
    Array::from_written::<T>(dims, buffer)
}

/// The elements of these lanes from `from` on, reduced lane after lane.
fn reduce_lanes<T: Scalar>(
    reduction: Reduction,
    lanes: &Array,
    range: Range<usize>,
    from: usize,
    out: &mut [T],
) {
    let lanes = Lanes { data: lanes.data(), at: lanes.offset() + from, stride: lanes.strides()[0] };
    if reduction == Reduction::Sum {
        return widest(SumLanes { lanes, range, to: out });
    }
    out.copy_from_slice(lanes.lane(range.start, out.len()));
    (range.start + 1..range.end).for_each(|i| accumulate(reduction, out, lanes.lane(i, out.len())));
}

/// Elements of lanes, from one in each on.
#[derive(Clone, Copy)]
struct Lanes<'a, T> {
    data: &'a [T],
    at: usize,
    stride: isize,
}

impl<'a, T> Lanes<'a, T> {
    #[inline(always)]
    fn lane(self, i: usize, len: usize) -> &'a [T] {
        &self.data[self.at.wrapping_add_signed(i as isize * self.stride)..][..len]
    }
}

/// The sum of these lanes, lane after lane: four at a time, so that the sum so far is read and written once for them.
struct SumLanes<'a, T> {
    lanes: Lanes<'a, T>,
    range: Range<usize>,
    to: &'a mut [T],
}

impl<T: Scalar> Loop for SumLanes<'_, T> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        let Self { lanes, range, to } = self;
        let len = to.len();
        to.copy_from_slice(lanes.lane(range.start, len));
        let mut i = range.start + 1;
        while i + 4 <= range.end {
            let (a, b) = (lanes.lane(i, len), lanes.lane(i + 1, len));
            let (c, d) = (lanes.lane(i + 2, len), lanes.lane(i + 3, len));
            for ((((to, &a), &b), &c), &d) in to.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *to = to.plus(a).plus(b).plus(c).plus(d);
            }
            i += 4;
        }
        for i in i..range.end {
            to.iter_mut().zip(lanes.lane(i, len)).for_each(|(to, &x)| *to = to.plus(x));
        }
    }
}

/// The sums of [`block_sums`] joined along the tree over all blocks of the axis, as far as they go: one for each of the
/// fewest subtrees that cover the lanes, in the memory of the results.
///
/// # Panics
/// If the elements are `bool`.
pub fn tree_sums(a: &Array, blocks: LaneBlocks) -> Vec<(Node, Array)> {
    let nodes = cover(blocks.range(a.dims()[0]), blocks.blocks);
    let sums = node_sums(a, blocks, &nodes);
    nodes.into_iter().zip(sums).collect()
}

/// The same for nodes whose blocks are among the lanes'.
pub(super) fn node_sums(a: &Array, blocks: LaneBlocks, nodes: &[Node]) -> Vec<Array> {
    if a.is_empty() {
        return nodes.iter().map(|_| Array::zeros_in(a.pool(), a.dtype(), &a.dims()[1..])).collect();
    }
    let lanes = if a.first_of(1).is_contiguous() { a } else { &copy(a) };
    let tree = SumTree { lanes, blocks };
    dispatch!(a.dtype(), T => nodes.iter().map(|node| tree.sum_of::<T>(*node)).collect())
}

/// Lanes, and where their blocks are.
struct SumTree<'a> {
    lanes: &'a Array,
    blocks: LaneBlocks,
}

impl SumTree<'_> {
    fn sum_of<T: Scalar>(&self, node: Node) -> Array {
        let width = TILE.min(self.lanes.len() / self.lanes.dims()[0]);
        let mut right_halves = vec![T::ZERO; node.level as usize * width];
        by_tiles::<T>(self.lanes, |from, out| self.sum(node, from, out, &mut right_halves))
    }

    fn sum<T: Scalar>(&self, node: Node, from: usize, out: &mut [T], right_halves: &mut [T]) {
        let range = node.range(self.blocks.blocks);
        if range.end - range.start == 1 {
            let LaneBlocks { first, block, .. } = self.blocks;
            let lanes = lanes_of_block(range.start as usize, self.lanes.dims()[0], first, block);
            return reduce_lanes(Reduction::Sum, self.lanes, lanes, from, out);
        }
        let half = |side| Node { level: node.level - 1, index: 2 * node.index + side };
        self.sum(half(0), from, out, right_halves);
        if !half(1).range(self.blocks.blocks).is_empty() {
            let (right, rest) = right_halves.split_at_mut(out.len());
            self.sum(half(1), from, right, rest);
            accumulate(Reduction::Sum, out, right);
        }
    }
}

/// `to = to ⊕ part`, element by element.
fn accumulate<T: Scalar>(reduction: Reduction, to: &mut [T], part: &[T]) {
    if reduction == Reduction::Sum {
        return to.iter_mut().zip(part).for_each(|(to, &x)| *to = to.plus(x));
    }
    let combine = T::combine(reduction).unwrap_or_else(|| panic!("no {} of {}", reduction.name(), T::DTYPE));
    let mut left = [T::ZERO; 64];
    for (to, part) in to.chunks_mut(left.len()).zip(part.chunks(64)) {
        let left = &mut left[..to.len()];
        left.copy_from_slice(to);
        combine(to, left, part);
    }
}

/// `to += part`, in place where nobody else holds the memory: `T[dims], T[dims]`.
///
/// # Panics
/// If the two differ in type or dims.
pub fn add_into(to: &mut Array, part: &Array) {
    combine_into(Reduction::Sum, to, part);
}

/// `to = to ⊕ part`, in place where nobody else holds the memory: `T[dims], T[dims]`.
///
/// # Panics
/// If the two differ in type or dims, or the reduction has no meaning for the elements.
pub fn combine_into(reduction: Reduction, to: &mut Array, part: &Array) {
    assert_eq!(to.dims(), part.dims(), "{}: the dims of two parts", reduction.name());
    dispatch!(to.dtype(), T => {
        if let Some(sum) = to.get_mut::<T>() {
            return accumulate(reduction, sum, part.contiguous().as_slice());
        }
        if reduction == Reduction::Sum {
            *to = map2(to, part, T::plus);
        } else {
            *to = copy(to);
            combine_into(reduction, to, part);
        }
    })
}

#[cfg(test)]
mod tests {
    use axisgrad_collectives::collective::tree::join;

    use super::*;
    use crate::array::kernels::{concat, sum};

    fn rough(lanes: usize, width: usize) -> Array {
        let value = |i: usize| ((i * 7919 % 1000) as f32 - 500.0) * 10f32.powi((i % 9) as i32 - 4);
        Array::from_vec((0..lanes * width).map(value).collect(), [lanes, width])
    }

    #[test]
    fn blocks_are_cut_at_fixed_positions() {
        let cut = |lanes, first| block_ranges(lanes, first, 4).collect::<Vec<_>>();
        assert_eq!(cut(10, 0), [0..4, 4..8, 8..10]);
        assert_eq!(cut(5, 6), [0..2, 2..5]);
        assert!(cut(0, 6).is_empty());
    }

    #[test]
    fn a_block_is_its_lanes_one_after_the_other() {
        let a = rough(7, 3000);
        for view in
            [a.clone(), a.slice(1, 0, 3000, 2), a.flip(0), a.permute(&[1, 0]).contiguous().permute(&[1, 0])]
        {
            let sums = block_sums(&view, 2, 4);
            let rows: Vec<Vec<f32>> = (0..7).map(|i| view.index(0, i).to_vec()).collect();
            for (sum, range) in sums.iter().zip([0..2, 2..6, 6..7]) {
                let add = |x: Vec<f32>, y: &Vec<f32>| x.iter().zip(y).map(|(x, y)| x + y).collect();
                let expected = rows[range.start + 1..range.end].iter().fold(rows[range.start].clone(), add);
                assert_eq!(sum.to_vec::<f32>(), expected);
            }
        }
        let largest = block_reduce(Reduction::Max, &Array::from([3i32, 9, 4, 1]), 0, 2);
        assert_eq!(largest.iter().map(Array::item::<i32>).collect::<Vec<_>>(), [9, 4]);
        assert_eq!(block_sums(&Array::zeros(crate::dtype::DType::F32, [3, 0]), 0, 2).len(), 2);
    }

    #[test]
    fn any_owners_blocks_join_to_the_same_bits() {
        let (a, blocks) = (rough(75, 2100), 10);
        for cut in 1..9u64 {
            let at = cut as usize * 8;
            for (from, to, range) in [(0, at, 0..cut), (at, 75, cut..blocks)] {
                let lanes = a.slice(0, from, to, 1);
                let leaves = range.map(Node::leaf).zip(block_sums(&lanes, from, 8));
                let joined = join(leaves, blocks, |left, right| add_into(left, &right));
                let at_once = tree_sums(&lanes, LaneBlocks { first: from, block: 8, blocks });
                assert_eq!(at_once.len(), joined.len());
                for ((node, part), (same, sum)) in at_once.into_iter().zip(joined) {
                    let range = node.range(blocks);
                    let lanes = a.slice(0, range.start as usize * 8, 75.min(range.end as usize * 8), 1);
                    assert_eq!((node, part.to_vec::<f32>()), (same, sum.to_vec()));
                    assert_eq!(tree_of(&block_sums(&lanes, 0, 8)), part.to_vec::<f32>());
                }
            }
        }
    }

    /// The definition: the left half, as long as the largest power of two below the count, plus the right half.
    fn tree_of(blocks: &[Array]) -> Vec<f32> {
        let [only] = blocks else {
            let (left, right) = blocks.split_at(blocks.len().next_power_of_two() / 2);
            return tree_of(left).iter().zip(tree_of(right)).map(|(x, y)| x + y).collect();
        };
        only.to_vec()
    }

    #[test]
    fn without_lanes_or_elements_there_is_nothing_to_sum() {
        let zeros = |dims: &[usize]| Array::zeros(crate::dtype::DType::F32, dims);
        let blocks = LaneBlocks { first: 8, block: 4, blocks: 5 };
        assert!(tree_sums(&zeros(&[0, 3]), blocks).is_empty());
        assert_eq!(tree_sums(&zeros(&[7, 0]), blocks)[0].1.dims(), [0]);
    }

    #[test]
    fn adding_in_place_needs_sole_ownership() {
        let mut a = Array::from([1.0f32, 2.0]);
        let (shared, at) = (a.clone(), a.as_slice::<f32>().as_ptr());
        add_into(&mut a, &Array::from([1.0f32, 1.0]));
        assert_eq!((a.to_vec::<f32>(), shared.to_vec::<f32>()), (vec![2.0, 3.0], vec![1.0, 2.0]));
        let after = a.as_slice::<f32>().as_ptr();
        add_into(&mut a, &Array::from(1.0f32).broadcast_to(&[2]));
        assert_eq!(
            (a.to_vec::<f32>(), a.as_slice::<f32>().as_ptr(), at != after),
            (vec![3.0, 4.0], after, true)
        );
        let mut product = Array::from(2i32).broadcast_to(&[2]);
        combine_into(Reduction::Prod, &mut product, &Array::from([5i32, 7]));
        assert_eq!(sum(&concat(&[&product], 0), &[0]).item::<i32>(), 24);
    }
}
