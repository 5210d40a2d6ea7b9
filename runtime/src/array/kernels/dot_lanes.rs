//! Contractions over lanes: matrix products block by block, joined along the one tree over an axis' blocks.

use axisgrad_collectives::collective::tree::cover;
use axisgrad_collectives::{BufferMut, Node, Pool};
use smallvec::SmallVec;
use std::ops::Range;

use super::dot::{DotDims, Operand, each_product, products};
use super::gemm::{Matrix, matmul};
use super::lanes::{LaneBlocks, block_ranges, node_sums};
use super::nest::Nest;
use super::reduce::sum;
use super::tree_product::{self, Place, Step, Steps};
use crate::array::{Array, Dims, threads};
use crate::dtype::{DType, Scalar, dispatch};
use crate::listed::Listed;

/// Elements of the result that go through all blocks before the next do: they, and as many again for the right
/// halves of the tree, stay in the second-level cache.
const TILE: usize = 1 << 16;
const TILE_COLUMNS: usize = 512;

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
    // As `dot` does: the product of complex numbers does not commute bit for bit.
    let (lhs, rhs) = if rhs.rows() == 1 { (rhs, lhs) } else { (lhs, rhs) };
    let columns = columns(lanes, lhs.columns(), blocks);
    let parts = if (lhs.rows(), rhs.rows()) == (1, 1) {
        dispatch!(lhs.array.dtype() in [numeric], T => inner::<T>(&lhs, &rhs, blocks, &nodes))
    } else {
        let plan_of = |node: &Node| {
            let mut steps = Steps::new();
            plan(*node, blocks, &columns, &mut steps);
            steps
        };
        let plans: SmallVec<[_; 1]> = nodes.iter().map(plan_of).listed();
        let pool = threads::pool_of([&lhs.array, &rhs.array]);
        match lhs.array.dtype() {
            DType::F32 if tree_product::is_exact(&columns) => {
                outer::<f32>(&lhs, &rhs, &plans, |l, r, results, place| {
                    tree_product::write(l, r, results, place, pool)
                })
            }
            DType::F64 if tree_product::is_exact(&columns) => {
                outer::<f64>(&lhs, &rhs, &plans, |l, r, results, place| {
                    tree_product::write(l, r, results, place, pool)
                })
            }
            dtype => dispatch!(dtype in [numeric], T => {
                outer::<T>(&lhs, &rhs, &plans, |l, r, results, place| by_gemm(l, r, results, place, pool))
            }),
        }
    };
    nodes.into_iter().zip(parts).map(|(node, part)| (node, part.reshape(&result))).collect()
}

/// The operands' columns of each block.
fn columns(lanes: usize, columns: usize, blocks: LaneBlocks) -> SmallVec<[Range<usize>; 4]> {
    let per_lane = columns.checked_div(lanes).unwrap_or(0);
    let of_lanes = |lanes: Range<usize>| lanes.start * per_lane..lanes.end * per_lane;
    block_ranges(lanes, blocks.first, blocks.block).map(of_lanes).listed()
}

/// Plans how the value of a node comes of products over blocks of columns.
fn plan(node: Node, blocks: LaneBlocks, columns: &[Range<usize>], steps: &mut Steps) {
    let range = node.range(blocks.blocks);
    let product = |block: u64| columns[block as usize - blocks.first / blocks.block].clone();
    if range.end - range.start == 1 {
        return steps.push(Step { columns: product(range.start), adds: 0 });
    }
    let half = |side| Node { level: node.level - 1, index: 2 * node.index + side };
    plan(half(0), blocks, columns, steps);
    if !half(1).range(blocks.blocks).is_empty() {
        plan(half(1), blocks, columns, steps);
        steps.last_mut().expect("the right half's").adds += 1;
    }
}

/// Contractions without free dims: sums within each lane, then over the lanes of a block, then along the tree.
fn inner<T: Scalar>(lhs: &Operand, rhs: &Operand, blocks: LaneBlocks, nodes: &[Node]) -> Vec<Array> {
    let products = products::<T>(lhs, rhs);
    let batch = lhs.batch().len();
    let within: Dims = (batch + 1..products.ndim()).collect();
    let lanes = sum(&products, &within);
    let order: Dims = std::iter::once(batch).chain(0..batch).collect();
    node_sums(&lanes.permute(&order), blocks, nodes)
}

/// What a matrix product is to be written to: for each node its steps, and memory.
type Results<'a, T> = [(&'a [Step], &'a mut [T])];
/// Memory of all results.
type Part<'a, T> = SmallVec<[(&'a [Step], &'a mut [T]); 1]>;

/// Contractions with free dims: `[batch, rows of lhs, rows of rhs]` for each plan.
fn outer<T: Scalar>(
    lhs: &Operand,
    rhs: &Operand,
    plans: &[Steps],
    evaluate: impl Fn(Matrix<T>, Matrix<T>, &mut Results<T>, Place) + Sync,
) -> Vec<Array> {
    let dims: Dims = lhs.batch().iter().copied().chain([lhs.rows(), rhs.rows()]).listed();
    let pool = threads::pool_of([&lhs.array, &rhs.array]);
    let mut buffers: SmallVec<[_; 1]> = plans.iter().map(|_| pool.alloc::<T>(dims.iter().product())).listed();
    let (starts, columns) = (starts(lhs, rhs), rhs.rows());
    let rows = starts.len() * lhs.rows();
    let part = threads::part(pool, rows, rows * columns * lhs.columns(), threads::PRODUCTS).max(1);
    let mut parts = parts(plans, &mut buffers, rows.div_ceil(part), part * columns);
    threads::split(pool, &mut parts, 1, |first, parts| {
        for (results, i) in parts.iter_mut().zip(first..) {
            each_product(i * part..rows.min((i + 1) * part), lhs.rows(), |product, rows, row| {
                let [at, rhs_at] = starts[product];
                let lhs = Matrix { at, ..lhs.matrix() }.some_rows(rows.start, rows.len());
                let place = Place { at: row * columns, row_stride: columns, column_stride: 1 };
                evaluate(lhs, Matrix { at: rhs_at, ..rhs.matrix() }, results, place);
            });
        }
    });
    drop(parts);
    buffers.into_iter().map(|buffer| Array::from_written::<T>(&dims, buffer)).collect()
}

/// Where each product of the batch starts in both operands.
fn starts(lhs: &Operand, rhs: &Operand) -> SmallVec<[[usize; 2]; 1]> {
    let strides = [lhs, rhs].map(|side| side.array.strides()[..lhs.batch().len()].into());
    let mut starts = SmallVec::new();
    let offsets = [lhs.array.offset(), rhs.array.offset()];
    Nest::of(lhs.batch(), strides, offsets).for_each(|start| starts.push(start));
    starts
}

/// The memory of all results in `count` parts, each with `len` elements of every result; the last with the rest.
fn parts<'a, T: Scalar>(
    plans: &'a [Steps],
    buffers: &'a mut [BufferMut],
    count: usize,
    len: usize,
) -> SmallVec<[Part<'a, T>; 1]> {
    let mut parts: SmallVec<[Part<T>; 1]> = (0..count).map(|_| Part::new()).listed();
    for (plan, buffer) in plans.iter().zip(buffers) {
        let memory = buffer.as_mut_slice::<T>().chunks_mut(len.max(1));
        parts.iter_mut().zip(memory).for_each(|(part, memory)| part.push((plan.as_slice(), memory)));
    }
    parts
}

/// For each result the value of its steps, of `lhs × rhsᵀ`, by matrix products over tiles that fit the cache.
fn by_gemm<T: Scalar>(lhs: Matrix<T>, rhs: Matrix<T>, results: &mut Results<T>, place: Place, pool: &Pool) {
    let width = rhs.rows.clamp(1, TILE_COLUMNS);
    let height = TILE / width;
    for row in (0..lhs.rows).step_by(height) {
        let lhs = lhs.some_rows(row, height.min(lhs.rows - row));
        for column in (0..rhs.rows).step_by(width) {
            let rhs = rhs.some_rows(column, width.min(rhs.rows - column)).transposed();
            for (steps, result) in results.iter_mut() {
                let at = place.at + row * place.row_stride + column;
                evaluate(steps, lhs, rhs, &mut result[at..], place.row_stride, pool);
            }
        }
    }
}

/// Writes the value of `steps` to `to`, the bottom of the stack.
fn evaluate<T: Scalar>(
    steps: &[Step],
    lhs: Matrix<T>,
    rhs: Matrix<T>,
    to: &mut [T],
    row_stride: usize,
    pool: &Pool,
) {
    let (mut stack, mut is_started): (Vec<BufferMut>, _) = (Vec::new(), false);
    let product = |columns: &Range<usize>, top: Option<&mut BufferMut>, to: &mut [T], add| {
        let (from, len) = (columns.start, columns.len());
        let (lhs, rhs) = (lhs.some_columns(from, len), rhs.some_rows(from, len));
        match top {
            Some(hold) => matmul(hold.as_mut_slice(), rhs.columns, lhs, rhs, add),
            None => matmul(to, row_stride, lhs, rhs, add),
        }
    };
    for Step { columns, adds } in steps {
        if *adds == 0 && std::mem::replace(&mut is_started, true) {
            stack.push(pool.alloc::<T>(lhs.rows * rhs.columns));
        }
        // Adding a product as it is made gives the bits of adding it afterwards.
        product(columns, stack.last_mut(), to, *adds > 0);
        for _ in 1..*adds {
            let mut right = stack.pop().expect("a right half");
            match stack.last_mut() {
                Some(left) => add::<T>(left.as_mut_slice(), rhs.columns, right.as_mut_slice(), rhs.columns),
                None => add(to, row_stride, right.as_mut_slice(), rhs.columns),
            }
        }
    }
}

fn add<T: Scalar>(to: &mut [T], row_stride: usize, part: &[T], columns: usize) {
    for (to, part) in to.chunks_mut(row_stride).zip(part.chunks(columns)) {
        to.iter_mut().zip(part).for_each(|(to, &x)| *to = to.plus(x));
    }
}

#[cfg(test)]
mod tests {
    use axisgrad_collectives::collective::tree::join;
    use smallvec::smallvec;

    use super::*;
    use crate::array::kernels::{add_into, dot};
    use crate::dtype::{Complex, Wide};

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
            batch: batch.into(),
            contract: contract.into(),
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

    fn joined(leaves: impl IntoIterator<Item = (Node, Array)>) -> Vec<(Node, Array)> {
        join(leaves, BLOCKS, |left, right| add_into(left, &right))
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
        joined(range.map(Node::leaf).zip(leaves)).pop().unwrap().1
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
                        let folded = joined(leaves);
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
        let dims = DotDims { batch: smallvec![], contract: smallvec![(0, 0)] };
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
