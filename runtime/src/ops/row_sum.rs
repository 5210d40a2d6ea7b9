//! Rows added by number for all positions of an axis into one table: the cotangent of an embedding, without a table
//! for each example.

use std::panic::Location;

use axisgrad_collectives::Node;

use super::blocks::blocks_of;
use super::dot::dot_general;
use super::reshape::{expand_dims, reshape};
use super::row_ids::{OutOfRange, resolved};
use super::scatter_add::AddRows;
use super::select::where_;
use crate::array::kernels::{RowDims, add_rows, map1, take_rows};
use crate::array::{Array, Dims};
use crate::dtype::{DType, Scalar, dispatch};
use crate::op::{Op, SumOp};
use crate::partial::{PartialSum, join};
use crate::tensor::Tensor;
use crate::types::{AxisSet, TensorType};

/// `psum(scatter_add(0, ids, rows), axes)`.
pub(super) struct RowSum {
    add: AddRows,
    axes: AxisSet,
}

impl RowSum {
    pub fn new(
        at: RowDims,
        n: usize,
        out_of_range: OutOfRange,
        axes: AxisSet,
        site: &'static Location<'static>,
    ) -> Self {
        Self { add: AddRows { at, n, out_of_range, site }, axes }
    }
}

impl Op for RowSum {
    fn name(&self) -> &'static str {
        "scatter_add"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<(DType, Dims), String> {
        self.add.infer(inputs)
    }

    fn axes(&self, union: &AxisSet) -> AxisSet {
        union.minus(&self.axes)
    }

    fn eval(&self, inputs: &[Array], axes: &AxisSet) -> Array {
        PartialSum::of(self, inputs, axes, true).finish(self.add.site).array().clone()
    }

    /// That of the sums of one position: the cotangent is the same at all of them.
    fn vjp(&self, wrt: usize, ct: &Tensor, inputs: &[Tensor], output: &Tensor) -> Option<Tensor> {
        self.add.vjp(wrt, ct, inputs, output)
    }
}

impl SumOp for RowSum {
    fn summed(&self) -> &AxisSet {
        &self.axes
    }

    fn part_type(&self, inputs: &[Array], axes: &AxisSet) -> (DType, Dims) {
        let rows = &inputs[0].dims()[axes.len()..];
        let after = self.add.at.dim + inputs[1].ndim() - axes.len() - self.add.at.batch;
        let dims = [&rows[..self.add.at.dim], &[self.add.n], &rows[after..]].concat();
        (inputs[0].dtype(), dims.into())
    }

    /// The lanes of a block count as more numbers of one position, the first of them as the slowest. Blocks are
    /// summed and joined in a table of the rows that occur at all; adding zeros for the others would not change a
    /// bit.
    fn block_sums(&self, inputs: &[Array], axes: &AxisSet, joined: bool) -> Vec<(Node, Array)> {
        let axis = self.axes.iter().next().expect("an axis to sum over");
        let lane = axes.position(axis.name()).expect("an axis of the operands");
        let at = RowDims { batch: self.add.at.batch + axes.len() - 1, dim: self.add.at.dim + axes.len() - 1 };
        let ids = moved(&resolved(&inputs[1], self.add.n, self.add.out_of_range), lane, at.batch);
        let (rows, used) = (moved(&inputs[0], lane, at.dim), Used::of(&ids, self.add.n));
        let ids = used.renumbered(&ids);
        let mut parts = Vec::new();
        for (node, lanes) in blocks_of(axis) {
            let rows = rows.slice(at.dim, lanes.start, lanes.end, 1);
            let ids = ids.slice(at.batch, lanes.start, lanes.end, 1);
            parts.push((node, add_rows(&rows, &ids, at, used.count)));
            if joined {
                parts = join(parts, axis.leaves());
            }
        }
        parts.into_iter().map(|(node, part)| (node, used.spread(&part, at))).collect()
    }

    /// The products of all pairs of rows with one number.
    fn square_sums(&self, inputs: &[Tensor]) -> Option<Tensor> {
        let (rows, ids, dim) = (&inputs[0], inputs[1].flatten(), self.add.at.dim);
        let plain = self.add.at.batch == 0 && self.add.out_of_range == OutOfRange::Refuse;
        if !plain || rows.dtype().is_complex() || ids.len() > self.add.n {
            return None;
        }
        // A negative number counts from the end.
        let ids = where_(ids.lt(0), &ids + self.add.n as i32, &ids);
        let after = dim + inputs[1].ndim();
        let sizes = [&rows.dims()[..dim], &rows.dims()[dim..after], &rows.dims()[after..]];
        let rows = reshape(rows, sizes.map(|dims| dims.iter().product::<usize>()));
        let products = dot_general(&rows, &rows, &[(0, 0), (2, 2)], &[]);
        Some(where_(expand_dims(&ids, 1).eq(&ids), products, 0).sum(()))
    }
}

/// The numbers that occur, and a new numbering of them without gaps.
struct Used {
    /// The new number of each; -1 if it does not occur.
    numbers: Vec<i64>,
    count: usize,
}

impl Used {
    fn of(ids: &Array, n: usize) -> Self {
        let mut numbers = vec![-1; n];
        ids.to_vec::<i64>().into_iter().filter(|&id| id >= 0).for_each(|id| numbers[id as usize] = 0);
        let mut count = 0;
        for number in numbers.iter_mut().filter(|number| **number == 0) {
            *number = count;
            count += 1;
        }
        Self { numbers, count: count as usize }
    }

    fn renumbered(&self, ids: &Array) -> Array {
        map1(ids, |id: i64| if id < 0 { -1 } else { self.numbers[id as usize] })
    }

    /// The table with all rows, from that with the rows that occur.
    fn spread(&self, part: &Array, at: RowDims) -> Array {
        let numbers = Array::from_slice(&self.numbers, [self.numbers.len()]);
        let dims: Dims = part.dims()[..at.batch].iter().copied().chain([self.numbers.len()]).collect();
        dispatch!(part.dtype() in [numeric], T => take_rows(part, &numbers.broadcast_to(&dims), at, T::ZERO))
    }
}

/// Dim `from` becomes dim `to`.
fn moved(x: &Array, from: usize, to: usize) -> Array {
    let mut order: Dims = (0..x.ndim()).filter(|&dim| dim != from).collect();
    order.insert(to, from);
    x.permute(&order)
}

#[cfg(test)]
mod tests {
    use super::super::waves::waves;
    use super::*;
    use crate::array::kernels::cast;
    use crate::check::check_grads;
    use crate::grad;

    fn numbers(dims: &[usize]) -> Tensor {
        let scaled = cast(&(waves(dims, 0.4) * 100.0).to_array(), DType::I64);
        crate::array::kernels::map1(&scaled, |i: i64| i.rem_euclid(5)).into()
    }

    #[test]
    fn the_total_is_the_sum_of_the_examples() {
        let (table, ids, y) = (waves(&[5, 3], 0.1), numbers(&[70, 4]), waves(&[70, 4, 3], 0.5));
        let loss = |table: &Tensor, ids: &Tensor, y: &Tensor| (table.take(ids, 0) * y).sin().sum(());
        let (rows, cts) = (ids.unstack("batch", 0), y.unstack("batch", 0));
        let total = grad(loss).reduce_axes(["batch"]).at((&table, &rows, &cts));
        let positional = grad(loss).at((&table, &ids, &y));
        let pairs = total.to_vec::<f64>().into_iter().zip(positional.to_vec::<f64>());
        pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-12, "{a} and {b}"));
    }

    #[test]
    fn rows_that_do_not_occur_stay_zero() {
        let (table, ids) = (waves(&[50, 3], 0.1), numbers(&[70, 2]));
        let ids = ids.unstack("batch", 0);
        let loss = |table: &Tensor, ids: &Tensor| table.take(ids, 0).sin().sum(());
        let total = grad(loss).reduce_axes(["batch"]).at((&table, &ids));
        let each = grad(loss).at((&table, &ids));
        let sum = crate::ops::psum(&each, "batch");
        let (total, sum) = (total.to_vec::<f64>(), sum.to_vec::<f64>());
        assert_eq!(total[15..], [0.0; 135]);
        total.iter().zip(&sum).for_each(|(a, b)| assert!((a - b).abs() < 1e-13, "{a} and {b}"));
    }

    #[test]
    fn derivatives() {
        let (table, ids) = (waves(&[5, 3], 0.1), numbers(&[3, 4]));
        let loss = |table: &Tensor| table.take(&ids.unstack("batch", 0), 0).sin().sum(());
        let total = |table: &Tensor| grad(loss).reduce_axes(["batch"]).at(table);
        check_grads(total, &table, 2);
    }
}
