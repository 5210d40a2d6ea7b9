//! Loop nests over strided operands, with as few and as long inner loops as the layouts allow.

use std::ops::Range;

use smallvec::SmallVec;

use crate::array::view::broadcast_strides;
use crate::array::{Array, Dims, Strides};

/// The dims that operands of these dims broadcast to.
///
/// # Panics
/// If two sizes differ and neither is 1.
pub(crate) fn broadcast_dims(operands: &[&Array]) -> Dims {
    let ndim = operands.iter().map(|a| a.ndim()).max().unwrap_or(0);
    let mut dims: Dims = SmallVec::from_elem(1, ndim);
    for a in operands {
        for (dim, &size) in dims[ndim - a.ndim()..].iter_mut().zip(a.dims()) {
            assert!(*dim == size || *dim == 1 || size == 1, "dims {dim} and {size} do not broadcast");
            if *dim == 1 {
                *dim = size;
            }
        }
    }
    dims
}

/// One inner loop: where each operand starts, and its stride.
pub(crate) type Row<const N: usize> = [(usize, isize); N];

/// A nest of loops over the elements of `N` operands in row-major order, dims joined where all layouts allow.
pub(crate) struct Nest<const N: usize> {
    dims: Dims,
    strides: [Strides; N],
    offsets: [usize; N],
}

impl<const N: usize> Nest<N> {
    /// The loops over `operands`, broadcast to `dims`.
    pub fn new(dims: &[usize], operands: [&Array; N]) -> Self {
        let offsets = operands.map(Array::offset);
        if operands.iter().all(|a| a.dims() == dims && a.is_contiguous()) {
            let strides = std::array::from_fn(|_| Strides::from_slice(&[1]));
            return Self { dims: Dims::from_slice(&[dims.iter().product()]), strides, offsets };
        }
        let strides = operands.map(|a| broadcast_strides(a.dims(), a.strides(), dims));
        Self::of(dims, strides, offsets)
    }

    /// The loops over `dims` with these strides, from these offsets.
    pub fn of(dims: &[usize], strides: [Strides; N], offsets: [usize; N]) -> Self {
        let mut nest = Self { dims: Dims::new(), strides: std::array::from_fn(|_| Strides::new()), offsets };
        for (i, &dim) in dims.iter().enumerate().filter(|(_, dim)| **dim != 1) {
            nest.push(dim, std::array::from_fn(|n| strides[n][i]));
        }
        nest
    }

    /// Adds a dim inside the others; it joins the last where every operand goes on where that one ends.
    fn push(&mut self, dim: usize, strides: [isize; N]) {
        let joins = !self.dims.is_empty()
            && (0..N).all(|n| *self.strides[n].last().expect("a dim") == strides[n] * dim as isize);
        if joins {
            *self.dims.last_mut().expect("a dim") *= dim;
            (0..N).for_each(|n| *self.strides[n].last_mut().expect("a dim") = strides[n]);
        } else {
            self.dims.push(dim);
            (0..N).for_each(|n| self.strides[n].push(strides[n]));
        }
    }

    /// The length of an inner loop.
    pub fn row_len(&self) -> usize {
        self.dims.last().copied().unwrap_or(1)
    }

    /// The number of inner loops.
    pub fn rows(&self) -> usize {
        self.dims.iter().rev().skip(1).product()
    }

    /// Calls `body` for the inner loops `range` in order, with the index of each and where the operands lie.
    pub fn for_rows(&self, range: Range<usize>, mut body: impl FnMut(usize, Row<N>)) {
        if range.is_empty() || self.row_len() == 0 {
            return;
        }
        let (mut index, mut at) = self.seek(range.start);
        let step: [isize; N] = std::array::from_fn(|n| self.strides[n].last().copied().unwrap_or(0));
        for row in range {
            body(row, std::array::from_fn(|n| (at[n] as usize, step[n])));
            self.advance(&mut index, &mut at);
        }
    }

    /// Calls `body` for the elements `range` in runs along the inner loops, in order: with which of the range a run
    /// is, and where the operands lie.
    pub fn for_range(&self, range: Range<usize>, mut body: impl FnMut(Range<usize>, Row<N>)) {
        if self.dims.len() == 1 && !range.is_empty() {
            let at =
                |n: usize| self.offsets[n].wrapping_add_signed(range.start as isize * self.strides[n][0]);
            return body(0..range.len(), std::array::from_fn(|n| (at(n), self.strides[n][0])));
        }
        let len = self.row_len().max(1);
        self.for_rows(range.start / len..range.end.div_ceil(len), |row, at| {
            let start = range.start.max(row * len);
            let run = start - range.start..range.end.min((row + 1) * len) - range.start;
            let skip = (start - row * len) as isize;
            body(run, at.map(|(at, step)| (at.wrapping_add_signed(skip * step), step)));
        });
    }

    /// Calls `body` for every element in order with where it lies in each operand.
    pub fn for_each(&self, mut body: impl FnMut([usize; N])) {
        self.for_rows(0..self.rows(), |_, row| {
            (0..self.row_len() as isize)
                .for_each(|i| body(row.map(|(at, step)| at.wrapping_add_signed(i * step))));
        });
    }

    /// The outer index of an inner loop, and where the operands are there.
    fn seek(&self, row: usize) -> (Dims, [isize; N]) {
        let outer = &self.dims[..self.dims.len().saturating_sub(1)];
        let (mut index, mut rest): (Dims, _) = (SmallVec::from_elem(0, outer.len()), row);
        for (i, dim) in outer.iter().enumerate().rev() {
            (index[i], rest) = (rest % dim, rest / dim);
        }
        let at = std::array::from_fn(|n| {
            let moved: isize = index.iter().zip(&self.strides[n]).map(|(&i, &s)| i as isize * s).sum();
            self.offsets[n] as isize + moved
        });
        (index, at)
    }

    fn advance(&self, index: &mut Dims, at: &mut [isize; N]) {
        for i in (0..index.len()).rev() {
            index[i] += 1;
            (0..N).for_each(|n| at[n] += self.strides[n][i]);
            if index[i] < self.dims[i] {
                return;
            }
            (0..N).for_each(|n| at[n] -= self.strides[n][i] * self.dims[i] as isize);
            index[i] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(nest: &Nest<1>) -> Vec<usize> {
        let mut all = Vec::new();
        nest.for_each(|[at]| all.push(at));
        all
    }

    #[test]
    fn contiguous_dims_are_one_loop() {
        let a = Array::zeros(crate::dtype::DType::F32, [2, 3, 4]);
        let nest = Nest::new(a.dims(), [&a]);
        assert_eq!((nest.rows(), nest.row_len()), (1, 24));
        let bias = Array::zeros(crate::dtype::DType::F32, [4]);
        let both = Nest::new(a.dims(), [&a, &bias]);
        assert_eq!((both.rows(), both.row_len()), (6, 4));
    }

    #[test]
    fn strided_views_are_walked_in_order() {
        let a = Array::from_vec((0..24i32).collect(), [2, 3, 4]);
        for view in [a.permute(&[2, 0, 1]), a.flip(1), a.slice(2, 1, 4, 2), a.broadcast_to(&[2, 2, 3, 4])] {
            let nest = Nest::new(view.dims(), [&view]);
            let read: Vec<i32> = offsets(&nest).iter().map(|&at| a.as_slice::<i32>()[at]).collect();
            let mut expected = Vec::new();
            for i in 0..view.len() {
                let mut rest = i;
                let mut element = view.clone();
                for dim in (0..view.ndim()).rev() {
                    let size = view.dims()[dim];
                    element = element.slice(dim, rest % size, rest % size + 1, 1);
                    rest /= size;
                }
                expected.push(element.item::<i32>());
            }
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn ranges_are_parts_of_the_whole() {
        let a = Array::zeros(crate::dtype::DType::F32, [2, 3, 5]);
        for view in [a.clone(), a.permute(&[2, 0, 1]), a.flip(2), a.broadcast_to(&[2, 2, 3, 5])] {
            let nest = Nest::new(view.dims(), [&view]);
            let mut parts = Vec::new();
            for range in [0..1, 1..4, 4..4, 4..17, 17..view.len()] {
                let mut next = 0;
                nest.for_range(range.clone(), |run, [(at, step)]| {
                    assert_eq!(run.start, next);
                    next = run.end;
                    parts.extend((0..run.len() as isize).map(|i| at.wrapping_add_signed(i * step)));
                });
                assert_eq!(next, range.len());
            }
            assert_eq!(parts, offsets(&nest));
        }
    }

    #[test]
    fn nothing_is_walked_where_nothing_is() {
        let a = Array::zeros(crate::dtype::DType::F32, [3, 0]);
        assert!(offsets(&Nest::new(a.dims(), [&a])).is_empty());
        let scalar = Array::scalar(1i32);
        assert_eq!(offsets(&Nest::new(&[], [&scalar])), [0]);
    }
}
