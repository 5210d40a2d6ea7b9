//! Contractions: sums of products over any pairs of dims, as matrix products.

use std::ops::Range;

use axisgrad_collectives::Pool;
use smallvec::SmallVec;

use super::gemm::Matrix;
use super::map::map2;
use super::nest::Nest;
use super::product::Product;
use super::reduce::sum;
use crate::array::view::runs;
use crate::array::{Array, Dims, Strides, row_major, threads};
use crate::dtype::{Scalar, dispatch};
use crate::listed::Listed;

/// Which dims of two operands belong together: pairs of (dim of the left, dim of the right).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DotDims {
    /// Pairs that go side by side: the result has them first, in this order.
    pub batch: Pairs,
    /// Pairs that are summed over, in this order.
    pub contract: Pairs,
}

/// Pairs of dims.
pub type Pairs = SmallVec<[(usize, usize); 2]>;

/// The contraction of two arrays: `T[..], T[..] -> T[batch.., left.., right..]`, where `left` and `right` are the
/// dims that neither pair names, in order.
///
/// The bits of an element depend on its own row and column alone: not on the extents of the batch and of the other
/// dims, nor on strides, except that a contraction without free dims on either side sums as [`sum`] does. Batch
/// dims that the right operand repeats (stride 0: a weight that is shared) become rows of one matrix product.
///
/// # Panics
/// If the operands differ in type or in the sizes of a pair, or are `bool`.
pub fn dot(lhs: &Array, rhs: &Array, dims: &DotDims) -> Array {
    let (lhs, rhs, result) = Operand::pair(lhs, rhs, dims);
    let (l, r) = if rhs.rows() == 1 { (&rhs, &lhs) } else { (&lhs, &rhs) };
    let pool = threads::pool_of([&lhs.array, &rhs.array]);
    let product = dispatch!(lhs.array.dtype() in [numeric], T => {
        if (lhs.rows(), rhs.rows()) == (1, 1) {
            inner::<T>(l, r)
        } else {
            outer::<T>(l, r, |to, row_stride, l, r| T::multiply(to, row_stride, l, r, false, pool))
        }
    });
    product.reshape(&result)
}

/// An operand with its dims in the order: batch, free, contracted.
#[derive(Clone)]
pub(super) struct Operand {
    pub array: Array,
    /// How many of the dims are of the batch, and how many of them and the free ones.
    ends: [usize; 2],
    /// The free dims and the contracted ones in memory.
    runs: [Run; 2],
}

/// For each batch dim.
type Flags = SmallVec<[bool; 8]>;

/// Dims that are one in memory: their size and stride.
type Run = (usize, isize);

impl Operand {
    /// The operands of a contraction, and the dims of its result.
    pub fn pair(lhs: &Array, rhs: &Array, dims: &DotDims) -> (Self, Self, Dims) {
        assert_eq!(lhs.dtype(), rhs.dtype(), "dot: the types of the operands");
        for &(l, r) in dims.batch.iter().chain(&dims.contract) {
            let (left, right) = (lhs.dims(), rhs.dims());
            assert_eq!(left[l], right[r], "dot: dim {l} of {left:?} and dim {r} of {right:?}");
        }
        let (l, r): (Dims, Dims) = dims.batch.iter().copied().unzip();
        let (l_depth, r_depth): (Dims, Dims) = dims.contract.iter().copied().unzip();
        let (lhs, rhs) = (Self::new(lhs, &l, &l_depth), Self::new(rhs, &r, &r_depth));
        let result = lhs.batch().iter().chain(lhs.free()).chain(rhs.free()).copied().listed();
        (lhs, rhs, result)
    }

    /// A view of `array`; a copy if its free or its contracted dims are not one dim in memory.
    fn new(array: &Array, batch: &[usize], contract: &[usize]) -> Self {
        let free = (0..array.ndim()).filter(|dim| !batch.contains(dim) && !contract.contains(dim));
        let order: Dims = batch.iter().copied().chain(free).chain(contract.iter().copied()).listed();
        let ends = [batch.len(), array.ndim() - contract.len()];
        let array = array.permute(&order);
        Self::of(array.clone(), ends).unwrap_or_else(|| Self::copied(&array, ends))
    }

    /// An operand of an array with its dims in order, if its free and its contracted dims each are one in memory.
    fn of(array: Array, ends: [usize; 2]) -> Option<Self> {
        let runs = [run(&array, ends[0]..ends[1])?, run(&array, ends[1]..array.ndim())?];
        Some(Self { array, ends, runs })
    }

    /// In row-major order, but for batch dims that are repeated and stay so.
    fn copied(array: &Array, ends: [usize; 2]) -> Self {
        let repeated = (0..ends[0]).filter(|&dim| array.strides()[dim] == 0);
        let once = repeated.fold(array.clone(), |a, dim| a.slice(dim, 0, a.dims()[dim].min(1), 1));
        // Without elements nothing is out of order, and yet the strides need not be those of one dim.
        let ordered = if once.is_empty() { once.reshape(once.dims()) } else { once.contiguous() };
        Self::of(ordered.broadcast_to(array.dims()), ends).expect("one run each")
    }

    pub fn batch(&self) -> &[usize] {
        &self.array.dims()[..self.ends[0]]
    }

    fn free(&self) -> &[usize] {
        &self.array.dims()[self.ends[0]..self.ends[1]]
    }

    /// The free dims as one.
    pub fn rows(&self) -> usize {
        self.runs[0].0
    }

    /// The contracted dims as one.
    pub fn columns(&self) -> usize {
        self.runs[1].0
    }

    pub fn matrix<T: Scalar>(&self) -> Matrix<'_, T> {
        let [(rows, row_stride), (columns, column_stride)] = self.runs;
        Matrix { data: self.array.data(), at: self.array.offset(), rows, columns, row_stride, column_stride }
    }
}

/// The products of a contraction without free dims, before they are summed: `[batch, contracted]`.
pub(super) fn products<T: Scalar>(lhs: &Operand, rhs: &Operand) -> Array {
    let flat = |operand: &Operand| {
        let contracted = &operand.array.dims()[operand.ends[1]..];
        operand.array.reshape(&[operand.batch(), contracted].concat())
    };
    map2(&flat(lhs), &flat(rhs), T::times)
}

/// A contraction without free dims.
fn inner<T: Scalar>(lhs: &Operand, rhs: &Operand) -> Array {
    let products = products::<T>(lhs, rhs);
    let contracted: Dims = (lhs.ends[0]..products.ndim()).collect();
    sum(&products, &contracted)
}

/// A batch of matrix products: `[batch, rows of lhs, rows of rhs]`, flat.
fn outer<T: Scalar>(
    lhs: &Operand,
    rhs: &Operand,
    multiply: impl Fn(&mut [T], usize, Matrix<T>, Matrix<T>) + Sync,
) -> Array {
    let result: Dims = lhs.batch().iter().copied().chain([lhs.rows(), rhs.rows()]).listed();
    let pool = threads::pool_of([&lhs.array, &rhs.array]);
    let mut buffer = pool.alloc::<T>(result.iter().product());
    if !result.contains(&0) {
        Products::plan(lhs, rhs, &row_major(&result)).run(pool, buffer.as_mut_slice(), multiply);
    }
    Array::from_written::<T>([result.iter().product()], buffer)
}

/// Matrix products, each row of which is a job of its own.
struct Products<'a> {
    lhs: Operand,
    rhs: &'a Operand,
    /// The rows of one product: how many, and their strides in the left operand and in the result.
    rows: (usize, isize, isize),
    /// Where the products start in the left operand, the right one and the result.
    starts: Nest<3>,
}

impl<'a> Products<'a> {
    /// Makes rows of as many batch dims as it can, and loops over the others.
    fn plan(lhs: &Operand, rhs: &'a Operand, result: &Strides) -> Self {
        let shared: Flags = (0..lhs.ends[0]).map(|dim| rhs.array.strides()[dim] == 0).listed();
        let last = shared.iter().rposition(|shared| !shared).map_or(0, |dim| dim + 1);
        let innermost: Flags = (0..lhs.ends[0]).map(|dim| dim >= last).listed();
        let (lhs, rows, folded) = [shared, innermost, Flags::from_elem(false, lhs.ends[0])]
            .into_iter()
            .find_map(|fold| as_rows(lhs, &fold, result).map(|(lhs, rows)| (lhs, rows, fold)))
            .expect("the free dims alone are rows");
        let looped: Dims = (0..folded.len()).filter(|&dim| !folded[dim]).listed();
        let dims: Dims = looped.iter().map(|&dim| lhs.array.dims()[dim]).listed();
        let strides = [lhs.array.strides(), rhs.array.strides(), result]
            .map(|strides| looped.iter().map(|&dim| strides[dim]).listed());
        let starts = Nest::of(&dims, strides, [lhs.array.offset(), rhs.array.offset(), 0]);
        Self { lhs, rhs, rows, starts }
    }

    fn run<T: Scalar>(
        &self,
        pool: &Pool,
        result: &mut [T],
        multiply: impl Fn(&mut [T], usize, Matrix<T>, Matrix<T>) + Sync,
    ) {
        let (rows, row_stride, to) = self.rows;
        let lhs = Matrix { rows, row_stride, ..self.lhs.matrix::<T>() };
        let rhs = self.rhs.matrix::<T>().transposed();
        let to = if rows == 1 { rhs.columns } else { to as usize };
        let mut starts = SmallVec::<[_; 1]>::new();
        self.starts.for_each(|start| starts.push(start));
        // Products whose rows follow each other are as one; where they are interleaved each is cut by itself.
        let consecutive = starts.iter().enumerate().all(|(i, [.., at])| *at == i * rows * to);
        for starts in starts.chunks(if consecutive { starts.len() } else { 1 }) {
            let [.., at] = starts[0];
            let end = result.len().min(at + starts.len() * rows * to);
            let work = starts.len() * rows * lhs.columns * rhs.columns;
            let part = threads::part(pool, starts.len() * rows, work, threads::PRODUCTS);
            threads::split(pool, &mut result[at..end], part * to, |start, out| {
                let range = start / to..(start + out.len()).div_ceil(to);
                each_product(range, rows, |product, rows, row| {
                    let [l, r, _] = starts[product];
                    let lhs = Matrix { at: l, ..lhs }.some_rows(rows.start, rows.len());
                    multiply(&mut out[row * to..], to, lhs, Matrix { at: r, ..rhs });
                });
            });
        }
    }
}

/// Calls `body` for each product of `rows` rows that has some in `range`, all rows counted on: with its number,
/// which of its rows these are, and which of the range the first of them is.
pub(super) fn each_product(
    range: Range<usize>,
    rows: usize,
    mut body: impl FnMut(usize, Range<usize>, usize),
) {
    for product in range.start / rows..range.end.div_ceil(rows) {
        let from = range.start.max(product * rows);
        let to = range.end.min((product + 1) * rows);
        body(product, from - product * rows..to - product * rows, from - range.start);
    }
}

/// The batch dims in `fold` and the free dims as the rows of one matrix, where result and operand allow it; the
/// operand is copied if that makes it so.
fn as_rows(lhs: &Operand, fold: &[bool], result: &Strides) -> Option<(Operand, (usize, isize, isize))> {
    let folded: Dims = (0..fold.len()).filter(|&dim| fold[dim]).listed();
    let [(free, free_stride), _] = lhs.runs;
    let dims: Dims = folded.iter().map(|&dim| lhs.array.dims()[dim]).chain([free]).listed();
    let join = |strides: &[isize], free_stride| {
        let strides: Strides = folded.iter().map(|&dim| strides[dim]).chain([free_stride]).listed();
        join(&dims, &strides)
    };
    let (rows, to) = join(result, result[fold.len()])?;
    if let Some((_, from)) = join(lhs.array.strides(), free_stride) {
        return Some((lhs.clone(), (rows, from, to)));
    }
    let copied = Operand::copied(&lhs.array, lhs.ends);
    let (_, from) = join(copied.array.strides(), copied.runs[0].1)?;
    Some((copied, (rows, from, to)))
}

/// These dims of an array as one dim in memory, if they are.
fn run(array: &Array, range: Range<usize>) -> Option<Run> {
    let dims = &array.dims()[range.clone()];
    // Where there are no elements, strides mean nothing.
    if dims.contains(&0) { Some((0, 1)) } else { join(dims, &array.strides()[range]) }
}

/// The dims as one dim in memory, if they are: its size and stride.
fn join(dims: &[usize], strides: &[isize]) -> Option<Run> {
    match runs(dims, strides)[..] {
        [] => Some((1, 1)),
        [run] => Some(run),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::array::kernels::concat;
    use crate::dtype::{Complex, DType, Wide};

    fn rough(dtype: DType, dims: &[usize], seed: usize) -> Array {
        let part = |i: usize| ((i * 7919 + seed * 31) % 2003) as f64 / 1001.5 - 1.0;
        let data = 0..dims.iter().product::<usize>();
        dispatch!(dtype, T => {
            let value = |i| T::from_wide(Wide::Inexact(Complex::new(part(i), part(i + 999))));
            Array::from_vec(data.map(value).collect(), dims)
        })
    }

    /// The definition, element by element, for operands `[batch, free, contracted]`.
    fn naive(lhs: &Array, rhs: &Array) -> Vec<i64> {
        let mut all = Vec::new();
        for b in 0..lhs.dims()[0] {
            for i in 0..lhs.dims()[1] {
                for j in 0..rhs.dims()[1] {
                    let (x, y) = (lhs.index(0, b).index(0, i), rhs.index(0, b).index(0, j));
                    all.push(x.to_vec::<i64>().iter().zip(y.to_vec::<i64>()).map(|(x, y)| x * y).sum());
                }
            }
        }
        all
    }

    fn counting(dims: &[usize]) -> Array {
        Array::from_vec((0..dims.iter().product::<usize>() as i64).map(|i| i % 11 - 5).collect(), dims)
    }

    #[test]
    fn any_dims_contract() {
        let (a, b) = (counting(&[2, 3, 4, 5, 6]), counting(&[6, 4, 7, 3]));
        // Batch: 4 and 3; contracted: 6; free: 2, 5 on the left and 7 on the right.
        let dims = DotDims { batch: smallvec![(2, 1), (1, 3)], contract: smallvec![(4, 0)] };
        let expected = naive(
            &a.permute(&[2, 1, 0, 3, 4]).reshape(&[12, 10, 6]),
            &b.permute(&[1, 3, 2, 0]).reshape(&[12, 7, 6]),
        );
        let result = dot(&a, &b, &dims);
        assert_eq!((result.dims(), result.to_vec::<i64>()), (&[4, 3, 2, 5, 7][..], expected.clone()));
        for dtype in [DType::F32, DType::F64, DType::C64, DType::C128, DType::I32] {
            let cast = |a| super::super::cast(a, dtype);
            let result = super::super::cast(&dot(&cast(&a), &cast(&b), &dims), DType::I64);
            assert_eq!(result.to_vec::<i64>(), expected, "{dtype}");
        }
    }

    #[test]
    fn several_dims_contract_in_any_layout() {
        let (a, b) = (counting(&[4, 5, 6]), counting(&[6, 3, 5]));
        let dims = DotDims { batch: smallvec![], contract: smallvec![(1, 2), (2, 0)] };
        let expected = naive(&a.reshape(&[1, 4, 30]), &b.permute(&[1, 2, 0]).reshape(&[1, 3, 30]));
        assert_eq!(dot(&a, &b, &dims).to_vec::<i64>(), expected);
        assert_eq!(dot(&a.flip(0).flip(0), &b, &dims).dims(), [4, 3]);
        let all = DotDims { batch: smallvec![], contract: smallvec![(0, 0), (1, 1), (2, 2)] };
        let squares: i64 = a.to_vec::<i64>().iter().map(|x| x * x).sum();
        assert_eq!(dot(&a, &a, &all).item::<i64>(), squares);
        assert_eq!(dot(&a, &Array::from([2i64]), &DotDims::default()).dims(), [4, 5, 6, 1]);
    }

    #[test]
    fn empty_dims_are_zeros_or_nothing() {
        let pair = |l, r| DotDims { batch: smallvec![], contract: smallvec![(l, r)] };
        let (a, b) = (Array::zeros(DType::F32, [2, 0]), Array::zeros(DType::F32, [0, 3]));
        assert_eq!(dot(&a, &b, &pair(1, 0)).to_vec::<f32>(), [0.0; 6]);
        assert_eq!(dot(&b, &Array::ones(DType::F32, [3]), &pair(1, 0)).dims(), [0]);
    }

    /// Operands with a leading lane dim, and the pairs to contract: the second dim of each with the second.
    fn cases(dtype: DType, lanes: usize) -> Vec<(Array, Array, DotDims)> {
        let per_lane = |contract| DotDims { batch: smallvec![(0, 0)], contract };
        let shared = |dims: &[usize]| rough(dtype, dims, 2).broadcast_to(&[&[lanes], dims].concat());
        let own = |dims: &[usize]| rough(dtype, &[&[lanes], dims].concat(), 1);
        vec![
            (own(&[40]), shared(&[40, 10]), per_lane(smallvec![(1, 1)])),
            (own(&[600]), shared(&[7, 600]), per_lane(smallvec![(1, 2)])),
            (own(&[5, 33]), shared(&[33, 8]), per_lane(smallvec![(2, 1)])),
            (own(&[33, 5]), shared(&[33, 8]), per_lane(smallvec![(1, 1)])),
            (shared(&[9, 20]), own(&[20]), per_lane(smallvec![(2, 1)])),
            (shared(&[9, 20]), own(&[20, 3]), per_lane(smallvec![(2, 1)])),
            (own(&[20]), shared(&[20]), per_lane(smallvec![(1, 1)])),
            (own(&[4, 20]), own(&[20, 3]), per_lane(smallvec![(2, 1)])),
            (own(&[3]), own(&[4]), per_lane(smallvec![])),
            (own(&[2]), shared(&[2, 1]), per_lane(smallvec![(1, 1)])),
            (own(&[1]), shared(&[1, 300]), per_lane(smallvec![(1, 1)])),
        ]
    }

    #[test]
    fn a_lanes_value_does_not_depend_on_the_others() {
        for dtype in [DType::F32, DType::F64, DType::C64, DType::C128] {
            for (case, (lhs, rhs, dims)) in cases(dtype, 131).into_iter().enumerate() {
                let whole = dot(&lhs, &rhs, &dims);
                for cut in [1, 2, 7, 31, 32, 33, 64, 130] {
                    let piece =
                        |from: usize, to| dot(&lhs.slice(0, from, to, 1), &rhs.slice(0, from, to, 1), &dims);
                    let parts: Vec<Array> =
                        (0..131).step_by(cut).map(|from| piece(from, 131.min(from + cut))).collect();
                    let joined = concat(&parts.iter().collect::<Vec<_>>(), 0);
                    let same = joined.contiguous_buffer().bytes() == whole.contiguous_buffer().bytes();
                    assert!(same && joined.dims() == whole.dims(), "{dtype} case {case} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn a_repeated_weight_gives_what_a_copy_gives() {
        for (case, (lhs, rhs, dims)) in cases(DType::F32, 37).into_iter().enumerate() {
            let copied = dot(&lhs.contiguous(), &rhs.contiguous(), &dims);
            assert_eq!(dot(&lhs, &rhs, &dims).to_vec::<f32>(), copied.to_vec::<f32>(), "case {case}");
        }
    }
}
