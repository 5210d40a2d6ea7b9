//! Contractions over lanes: matrix products block by block, joined along the one tree over an axis' blocks.

use axisgrad_collectives::collective::tree::cover;
use axisgrad_collectives::element::Reduction;
use axisgrad_collectives::{Node, Pool};

use super::dot::{DotDims, Operand, products};
use super::gemm::{Matrix, matmul};
use super::lanes::{block_ranges, block_sums, tree_fold};
use super::nest::Nest;
use super::reduce::sum;
use crate::array::{Array, Dims, row_major};
use crate::dtype::{Scalar, dispatch};

/// Elements of the result that are summed over all blocks before the next: they and as many again for the right
/// halves of the tree stay in the second-level cache.
const TILE: usize = 1 << 16;
const TILE_COLUMNS: usize = 512;

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
    fn range(&self, lanes: usize) -> std::ops::Range<u64> {
        let first = self.first / self.block;
        first as u64..(first + block_ranges(lanes, self.first, self.block).count()) as u64
    }
}

/// The contraction [`dot`](super::dot()), with the pair `dims.contract[lane]` (the lanes) contracted block by block:
/// one result for each block.
pub fn dot_block_partials(
    lhs: &Array,
    rhs: &Array,
    dims: &DotDims,
    lane: usize,
    blocks: LaneBlocks,
) -> Vec<(Node, Array)> {
    let range = blocks.range(lhs.dims()[dims.contract[lane].0]);
    contract(lhs, rhs, dims, lane, blocks, range.map(Node::leaf).collect())
}

/// The results of [`dot_block_partials`] joined along the tree over all blocks of the axis, as far as they go: one
/// for each of the fewest subtrees that cover the lanes.
///
/// It costs little more than one matrix product over all lanes, in the memory of its results.
pub fn dot_tree_partials(
    lhs: &Array,
    rhs: &Array,
    dims: &DotDims,
    lane: usize,
    blocks: LaneBlocks,
) -> Vec<(Node, Array)> {
    let range = blocks.range(lhs.dims()[dims.contract[lane].0]);
    contract(lhs, rhs, dims, lane, blocks, cover(range, blocks.blocks))
}

fn contract(
    lhs: &Array,
    rhs: &Array,
    dims: &DotDims,
    lane: usize,
    blocks: LaneBlocks,
    nodes: Vec<Node>,
) -> Vec<(Node, Array)> {
    let mut dims = dims.clone();
    let lanes_first = dims.contract.remove(lane);
    dims.contract.insert(0, lanes_first);
    let lanes = lhs.dims()[lanes_first.0];
    let (lhs, rhs, result) = Operand::pair(lhs, rhs, &dims);
    let parts = dispatch!(lhs.array.dtype() in [numeric], T => match (lhs.rows(), rhs.rows()) {
        (1, 1) => inner::<T>(&lhs, &rhs, blocks, &nodes),
        (_, 1) => outer::<T>(&rhs, &lhs, lanes, blocks, &nodes),
        _ => outer::<T>(&lhs, &rhs, lanes, blocks, &nodes),
    });
    nodes.into_iter().zip(parts).map(|(node, part)| (node, part.reshape(&result))).collect()
}

/// Contractions without free dims: sums within each lane, then over the lanes of a block, then along the tree.
fn inner<T: Scalar>(lhs: &Operand, rhs: &Operand, blocks: LaneBlocks, nodes: &[Node]) -> Vec<Array> {
    let products = products::<T>(lhs, rhs);
    let batch = lhs.batch().len();
    let within: Dims = (batch + 1..products.ndim()).collect();
    let lanes = sum(&products, &within);
    let order: Dims = std::iter::once(batch).chain(0..batch).collect();
    let sums = block_sums(&lanes.permute(&order), blocks.first, blocks.block);
    let first = (blocks.first / blocks.block) as u64;
    let of_node = |node: &Node| {
        let range = node.range(blocks.blocks);
        let leaves = sums[(range.start - first) as usize..(range.end - first) as usize].to_vec();
        let mut joined = tree_fold(Reduction::Sum, leaves, range.start, blocks.blocks);
        joined.pop().expect("the node").1
    };
    nodes.iter().map(of_node).collect()
}

/// Contractions with free dims: `[batch, rows of lhs, rows of rhs]` for each node.
fn outer<T: Scalar>(
    lhs: &Operand,
    rhs: &Operand,
    lanes: usize,
    blocks: LaneBlocks,
    nodes: &[Node],
) -> Vec<Array> {
    let dims: Dims = lhs.batch().iter().copied().chain([lhs.rows(), rhs.rows()]).collect();
    let positions: Vec<_> = block_ranges(lanes, blocks.first, blocks.block).collect();
    let starts = Nest::of(
        lhs.batch(),
        [lhs.array.strides(), rhs.array.strides(), &row_major(&dims)].map(|s| s[..lhs.batch().len()].into()),
        [lhs.array.offset(), rhs.array.offset(), 0],
    );
    let pool = rhs.array.pool();
    let mut buffers: Vec<_> = nodes.iter().map(|_| pool.alloc::<T>(dims.iter().product())).collect();
    starts.for_each(|[l, r, at]| {
        let lhs = Matrix { at: l, ..lhs.matrix::<T>() };
        let rhs = Matrix { at: r, ..rhs.matrix::<T>() };
        for (lhs, rhs, tile) in tiles(lhs, rhs) {
            let per_lane = lhs.columns.checked_div(lanes).unwrap_or(0);
            let sum = TreeSum { lhs, rhs, positions: &positions, blocks, per_lane };
            for (node, buffer) in nodes.iter().zip(&mut buffers) {
                let columns = dims[dims.len() - 1];
                sum.write(*node, &mut buffer.as_mut_slice::<T>()[at + tile..], columns, pool);
            }
        }
    });
    buffers.into_iter().map(|buffer| Array::from_written::<T>(&dims, buffer)).collect()
}

/// Pieces of the two operands' rows whose product fits the cache, and where in the result it lies.
fn tiles<'a, T: Scalar>(
    lhs: Matrix<'a, T>,
    rhs: Matrix<'a, T>,
) -> impl Iterator<Item = (Matrix<'a, T>, Matrix<'a, T>, usize)> {
    let width = rhs.rows.clamp(1, TILE_COLUMNS);
    let height = TILE / width;
    let columns = move |i| (0..rhs.rows).step_by(width).map(move |j| (i, j));
    (0..lhs.rows).step_by(height).flat_map(columns).map(move |(i, j)| {
        let (rows, columns) = (height.min(lhs.rows - i), width.min(rhs.rows - j));
        (lhs.some_rows(i, rows), rhs.some_rows(j, columns), i * rhs.rows + j)
    })
}

/// The contraction of one tile, by nodes of the tree.
struct TreeSum<'a, T> {
    lhs: Matrix<'a, T>,
    rhs: Matrix<'a, T>,
    /// The lanes of each block here.
    positions: &'a [std::ops::Range<usize>],
    blocks: LaneBlocks,
    /// Columns of the operands for each lane.
    per_lane: usize,
}

impl<T: Scalar> TreeSum<'_, T> {
    /// Writes the value of `node` to `to`, whose rows are `row_stride` apart.
    fn write(&self, node: Node, to: &mut [T], row_stride: usize, pool: &Pool) {
        let range = node.range(self.blocks.blocks);
        if range.end - range.start == 1 {
            return self.block(range.start, to, row_stride, false);
        }
        let half = |side| Node { level: node.level - 1, index: 2 * node.index + side };
        self.write(half(0), to, row_stride, pool);
        let right = half(1).range(self.blocks.blocks);
        match right.end - right.start {
            0 => {}
            // Adding a product as it is made gives the bits of adding it afterwards.
            1 => self.block(right.start, to, row_stride, true),
            _ => {
                let (rows, columns) = (self.lhs.rows, self.rhs.rows);
                let mut hold = pool.alloc::<T>(rows * columns);
                let hold = hold.as_mut_slice::<T>();
                self.write(half(1), hold, columns, pool);
                for (to, part) in to.chunks_mut(row_stride).zip(hold.chunks(columns)) {
                    to.iter_mut().zip(part).for_each(|(to, &x)| *to = to.plus(x));
                }
            }
        }
    }

    /// Writes or adds the contraction over one block.
    fn block(&self, block: u64, to: &mut [T], row_stride: usize, add: bool) {
        let lanes = &self.positions[block as usize - self.blocks.first / self.blocks.block];
        let (from, len) = (lanes.start * self.per_lane, lanes.len() * self.per_lane);
        let rhs = self.rhs.some_columns(from, len).transposed();
        matmul(to, row_stride, self.lhs.some_columns(from, len), rhs, add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::kernels::dot;
    use crate::dtype::{Complex, DType, Wide};

    const LANES: usize = 77;
    const BLOCK: usize = 8;
    const BLOCKS: u64 = 10;

    fn rough(dtype: DType, dims: &[usize], seed: usize) -> Array {
        let part = |i: usize| ((i * 7919 + seed * 31) % 2003) as f64 / 1001.5 - 1.0;
        dispatch!(dtype, T => {
            let value = |i| T::from_wide(Wide::Inexact(Complex::new(part(i), part(i + 999))));
            Array::from_vec((0..dims.iter().product()).map(value).collect(), dims)
        })
    }

    /// Operands, what to contract, and the dims of the lanes: other axes, other contracted dims, vectors.
    fn cases(dtype: DType) -> Vec<(Array, Array, DotDims, [usize; 2])> {
        let pairs = |batch: &[(usize, usize)], contract: &[(usize, usize)]| DotDims {
            batch: batch.to_vec(),
            contract: contract.to_vec(),
        };
        let array = |dims: &[usize], seed| rough(dtype, dims, seed);
        vec![
            (array(&[LANES, 5], 1), array(&[LANES, 7], 2), pairs(&[], &[(0, 0)]), [0, 0]),
            (array(&[LANES, 300], 1), array(&[LANES, 900], 2), pairs(&[], &[(0, 0)]), [0, 0]),
            (array(&[LANES, 5], 1), array(&[LANES], 2), pairs(&[], &[(0, 0)]), [0, 0]),
            (array(&[LANES], 1), array(&[LANES], 2), pairs(&[], &[(0, 0)]), [0, 0]),
            (array(&[LANES, 3, 5], 1), array(&[LANES, 3, 7], 2), pairs(&[(1, 1)], &[(0, 0)]), [0, 0]),
            (
                array(&[3, LANES, 9, 5], 1),
                array(&[3, LANES, 9, 7], 2),
                pairs(&[(0, 0)], &[(2, 2), (1, 1)]),
                [1, 1],
            ),
            (array(&[LANES, 9], 1), array(&[LANES, 9], 2), pairs(&[], &[(1, 1), (0, 0)]), [0, 0]),
            (array(&[LANES, 90, 2], 1), array(&[4, LANES, 90], 2), pairs(&[], &[(0, 1), (1, 2)]), [0, 1]),
        ]
    }

    fn lane(dims: &DotDims, lanes: [usize; 2]) -> usize {
        dims.contract.iter().position(|&(l, r)| [l, r] == lanes).unwrap()
    }

    /// The definition: one contraction for each block, and the tree of additions.
    fn expected(lhs: &Array, rhs: &Array, dims: &DotDims, at: [usize; 2], node: Node) -> Array {
        let range = node.range(BLOCKS);
        let leaves = range.clone().map(|b| {
            let (from, to) = (b as usize * BLOCK, LANES.min((b as usize + 1) * BLOCK));
            let (mut dims, lane) = (dims.clone(), lane(dims, at));
            dims.contract.swap(0, lane);
            dot(&lhs.slice(at[0], from, to, 1), &rhs.slice(at[1], from, to, 1), &dims)
        });
        tree_fold(Reduction::Sum, leaves.collect(), range.start, BLOCKS).pop().unwrap().1
    }

    #[test]
    fn any_owners_subtrees_have_the_bits_of_separate_products() {
        for dtype in [DType::F32, DType::F64, DType::C64, DType::C128, DType::I32] {
            for (case, (lhs, rhs, dims, at)) in cases(dtype).into_iter().enumerate() {
                let without_free_dims = case == 3 || case == 6;
                for cuts in [vec![0, 10], vec![0, 3, 10], vec![0, 5, 6, 10], vec![0, 1, 2, 8, 9, 10]] {
                    for cut in cuts.windows(2) {
                        let (from, to) = (cut[0] as usize * BLOCK, LANES.min(cut[1] as usize * BLOCK));
                        let (l, r) = (lhs.slice(at[0], from, to, 1), rhs.slice(at[1], from, to, 1));
                        let blocks = LaneBlocks { first: from, block: BLOCK, blocks: BLOCKS };
                        let parts = dot_tree_partials(&l, &r, &dims, lane(&dims, at), blocks);
                        let nodes: Vec<Node> = parts.iter().map(|(node, _)| *node).collect();
                        assert_eq!(nodes, cover(cut[0]..cut[1], BLOCKS));
                        let leaves = dot_block_partials(&l, &r, &dims, lane(&dims, at), blocks);
                        let leaves = leaves.into_iter().map(|(_, part)| part).collect();
                        let folded = tree_fold(Reduction::Sum, leaves, cut[0], BLOCKS);
                        for ((node, part), (_, folded)) in parts.iter().zip(&folded) {
                            let bytes = |a: &Array| a.contiguous_buffer().bytes().to_vec();
                            assert_eq!(bytes(part), bytes(folded), "{dtype} case {case} {node:?}");
                            let separate = expected(&lhs, &rhs, &dims, at, *node);
                            assert_eq!(part.dims(), separate.dims());
                            assert!(
                                without_free_dims || bytes(part) == bytes(&separate),
                                "{dtype} case {case} {node:?}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn ragged_first_blocks_and_no_lanes() {
        let (a, b) = (rough(DType::F64, &[5, 2], 1), rough(DType::F64, &[5, 3], 2));
        let dims = DotDims { batch: vec![], contract: vec![(0, 0)] };
        let parts = dot_block_partials(&a, &b, &dims, 0, LaneBlocks { first: 6, block: 4, blocks: 9 });
        assert_eq!(parts.iter().map(|(node, _)| *node).collect::<Vec<_>>(), [Node::leaf(1), Node::leaf(2)]);
        assert_eq!(
            parts[0].1.to_vec::<f64>(),
            dot(&a.slice(0, 0, 2, 1), &b.slice(0, 0, 2, 1), &dims).to_vec::<f64>()
        );
        let none = (a.slice(0, 0, 0, 1), b.slice(0, 0, 0, 1));
        assert!(
            dot_tree_partials(&none.0, &none.1, &dims, 0, LaneBlocks { first: 4, block: 4, blocks: 9 })
                .is_empty()
        );
        let empty = Array::zeros(DType::F64, [5, 0]);
        let parts = dot_tree_partials(&empty, &b, &dims, 0, LaneBlocks { first: 0, block: 4, blocks: 2 });
        assert_eq!(parts[0].1.dims(), [0, 3]);
    }
}
