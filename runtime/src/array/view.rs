//! Views: other dims over the same memory.

use super::*;
use crate::listed::Listed;

impl Array {
    fn with_layout(&self, dims: Dims, strides: Strides, offset: usize) -> Self {
        let offset = if dims.contains(&0) { 0 } else { offset };
        Self { dtype: self.dtype, dims, strides, offset, buffer: self.buffer.clone() }
    }

    /// Where there are no elements there need be no memory to point into.
    fn moved(&self, by: isize) -> usize {
        if self.is_empty() {
            return 0;
        }
        self.offset.checked_add_signed(by).expect("a view stays inside its buffer")
    }

    #[track_caller]
    fn check_dim(&self, view: &str, dim: usize) {
        assert!(dim < self.ndim(), "{view}: dim {dim} of an array with dims {:?}", self.dims());
    }

    /// The dims in another order: dim `i` of the result is dim `order[i]` of `self`.
    ///
    /// # Panics
    /// If `order` does not name every dim once.
    #[track_caller]
    pub fn permute(&self, order: &[usize]) -> Self {
        let named_once = (0..self.ndim()).all(|dim| order.contains(&dim)) && order.len() == self.ndim();
        assert!(named_once, "permute: {order:?} is no order of the dims {:?}", self.dims());
        let dims = order.iter().map(|&dim| self.dims[dim]).listed();
        let strides = order.iter().map(|&dim| self.strides[dim]).listed();
        self.with_layout(dims, strides, self.offset)
    }

    /// The array repeated to `dims` by NumPy's rule: dims align at the end, and a dim of 1 stretches.
    ///
    /// # Panics
    /// If a dim is neither equal nor 1, there are fewer `dims` than the array has, or memory could not hold so many.
    #[track_caller]
    pub fn broadcast_to(&self, dims: &[usize]) -> Self {
        let fits = dims.len() >= self.ndim()
            && self.dims.iter().rev().zip(dims.iter().rev()).all(|(&from, &to)| from == to || from == 1);
        assert!(fits, "broadcast_to: dims {:?} do not stretch to {dims:?}", self.dims());
        held(dims);
        let strides = broadcast_strides(&self.dims, &self.strides, dims);
        self.with_layout(Dims::from_slice(dims), strides, self.offset)
    }

    /// Every `step`-th element along `dim` from `start` to before `stop`.
    ///
    /// # Panics
    /// If the dim does not exist, `step` is 0, or not `start <= stop <=` the dim's size.
    #[track_caller]
    pub fn slice(&self, dim: usize, start: usize, stop: usize, step: usize) -> Self {
        self.check_dim("slice", dim);
        let size = self.dims[dim];
        assert!(
            start <= stop && stop <= size && step > 0,
            "slice: {start}..{stop} by {step} of dim {dim}, which has {size}"
        );
        let (mut dims, mut strides) = (self.dims.clone(), self.strides.clone());
        dims[dim] = (stop - start).div_ceil(step);
        strides[dim] *= step as isize;
        // An empty slice may start at the end, where no element is.
        let skip = if start == stop { 0 } else { start as isize * self.strides[dim] };
        self.with_layout(dims, strides, self.moved(skip))
    }

    /// The part at one index of `dim`, without that dim.
    ///
    /// # Panics
    /// If the dim does not exist or is not larger than `index`.
    #[track_caller]
    pub fn index(&self, dim: usize, index: usize) -> Self {
        self.check_dim("index", dim);
        assert!(index < self.dims[dim], "index: {index} of dim {dim}, which has {}", self.dims[dim]);
        self.slice(dim, index, index + 1, 1).squeeze(dim)
    }

    /// The part at index 0 of each of the first `count` dims, without them.
    ///
    /// # Panics
    /// If there are fewer dims, or no elements.
    #[track_caller]
    pub(crate) fn first_of(&self, count: usize) -> Self {
        assert!(!self.is_empty(), "first_of: {:?} has no elements", self.dims());
        let (dims, strides) = (&self.dims[count..], &self.strides[count..]);
        self.with_layout(Dims::from_slice(dims), Strides::from_slice(strides), self.offset)
    }

    /// A new dim of size 1 before dim `dim` (after all, when it is the number of dims).
    ///
    /// # Panics
    /// If `dim` is larger than the number of dims.
    #[track_caller]
    pub fn expand_dims(&self, dim: usize) -> Self {
        assert!(dim <= self.ndim(), "expand_dims: at {dim} of an array with dims {:?}", self.dims());
        let (mut dims, mut strides) = (self.dims.clone(), self.strides.clone());
        dims.insert(dim, 1);
        strides.insert(dim, 0);
        self.with_layout(dims, strides, self.offset)
    }

    /// Without dim `dim`, which has size 1.
    ///
    /// # Panics
    /// If the dim does not exist or has another size.
    #[track_caller]
    pub fn squeeze(&self, dim: usize) -> Self {
        self.check_dim("squeeze", dim);
        assert!(self.dims[dim] == 1, "squeeze: dim {dim} has size {}, not 1", self.dims[dim]);
        let (mut dims, mut strides) = (self.dims.clone(), self.strides.clone());
        dims.remove(dim);
        strides.remove(dim);
        self.with_layout(dims, strides, self.offset)
    }

    /// The elements along `dim` in reverse order.
    ///
    /// # Panics
    /// If the dim does not exist.
    #[track_caller]
    pub fn flip(&self, dim: usize) -> Self {
        self.check_dim("flip", dim);
        let mut strides = self.strides.clone();
        let last = self.dims[dim].saturating_sub(1) as isize;
        let offset = self.moved(last * strides[dim]);
        strides[dim] = -strides[dim];
        self.with_layout(self.dims.clone(), strides, offset)
    }

    /// The same elements in row-major order under other dims; a view where that is possible, else a copy.
    ///
    /// # Panics
    /// If the numbers of elements differ.
    #[track_caller]
    pub fn reshape(&self, dims: &[usize]) -> Self {
        let len = held(dims);
        assert!(
            len == self.len(),
            "reshape: dims {:?} have {} elements and {dims:?} have {len}",
            self.dims(),
            self.len()
        );
        match reshaped_strides(&self.dims, &self.strides, dims) {
            Some(strides) => self.with_layout(Dims::from_slice(dims), strides, self.offset),
            None => self.contiguous().with_layout(Dims::from_slice(dims), row_major(dims), 0),
        }
    }
}

/// The strides of an array stretched to `to`: 0 along what is repeated.
pub(crate) fn broadcast_strides(from: &[usize], strides: &[isize], to: &[usize]) -> Strides {
    let new = to.len() - from.len();
    let old = (0..from.len()).map(|i| if from[i] == to[new + i] { strides[i] } else { 0 });
    std::iter::repeat_n(0, new).chain(old).listed()
}

/// The strides with which the same memory reads as `to`, if there are any.
///
/// Runs of old dims whose strides nest are one dim in memory; each new dim must divide what is left of one run.
fn reshaped_strides(from: &[usize], strides: &[isize], to: &[usize]) -> Option<Strides> {
    if to.iter().product::<usize>() == 0 {
        return Some(row_major(to));
    }
    let mut runs = runs(from, strides);
    let mut result: Strides = SmallVec::from_elem(0, to.len());
    let mut run = runs.pop();
    for (dim, stride) in to.iter().zip(&mut result).rev().filter(|(dim, _)| **dim != 1) {
        while run.is_some_and(|(left, _)| left == 1) {
            run = runs.pop();
        }
        let (left, step) = run?;
        if left % dim != 0 {
            return None;
        }
        *stride = step;
        run = Some((left / dim, step * *dim as isize));
    }
    Some(result)
}

/// Dims of more than 1 with their strides, neighbours joined where they are one dim in memory.
pub(crate) fn runs(dims: &[usize], strides: &[isize]) -> SmallVec<[(usize, isize); 4]> {
    let mut runs: SmallVec<[(usize, isize); 4]> = SmallVec::new();
    for (&dim, &stride) in dims.iter().zip(strides).filter(|(dim, _)| **dim != 1) {
        match runs.last_mut() {
            Some((size, step)) if *step == stride * dim as isize => (*size, *step) = (*size * dim, stride),
            _ => runs.push((dim, stride)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(dims: &[usize]) -> Array {
        Array::from_vec((0..dims.iter().product::<usize>() as i32).collect(), dims)
    }

    #[test]
    fn views_share_memory() {
        let a = counting(&[2, 3]);
        for view in
            [a.permute(&[1, 0]), a.flip(1), a.slice(1, 0, 3, 2), a.reshape(&[6]), a.broadcast_to(&[4, 2, 3])]
        {
            assert_eq!(view.buffer.bytes().as_ptr(), a.buffer.bytes().as_ptr());
        }
    }

    #[test]
    fn views_read_what_they_say() {
        let a = counting(&[2, 3]);
        assert_eq!(a.permute(&[1, 0]).to_vec::<i32>(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(a.flip(0).to_vec::<i32>(), [3, 4, 5, 0, 1, 2]);
        assert_eq!(a.flip(1).slice(1, 0, 3, 2).to_vec::<i32>(), [2, 0, 5, 3]);
        assert_eq!(a.index(1, 1).to_vec::<i32>(), [1, 4]);
        assert_eq!(a.first_of(1).to_vec::<i32>(), [0, 1, 2]);
        assert_eq!(a.slice(0, 2, 2, 1).dims(), [0, 3]);
        let column = a.slice(1, 1, 2, 1);
        assert_eq!(column.broadcast_to(&[2, 2, 2]).to_vec::<i32>(), [1, 1, 4, 4, 1, 1, 4, 4]);
        assert_eq!(a.expand_dims(1).squeeze(1).to_vec::<i32>(), a.to_vec::<i32>());
    }

    #[test]
    fn views_of_nothing_read_nothing() {
        let none = counting(&[0, 3]);
        let turned = none.flip(1).flip(1).slice(1, 0, 2, 1);
        for view in
            [none.slice(1, 1, 3, 1), none.flip(1), none.index(1, 2), none.slice(1, 2, 3, 1).flip(0), turned]
        {
            assert!(view.as_slice::<i32>().is_empty());
        }
    }

    #[test]
    fn reshape_copies_only_when_it_must() {
        let a = counting(&[4, 6]);
        let halves = a.slice(1, 0, 6, 2);
        assert_eq!(halves.reshape(&[2, 2, 3]).buffer.bytes().as_ptr(), a.buffer.bytes().as_ptr());
        assert_eq!(halves.reshape(&[12]).buffer.bytes().as_ptr(), a.buffer.bytes().as_ptr());
        let turned = a.permute(&[1, 0]);
        assert_eq!(turned.reshape(&[3, 2, 4]).to_vec::<i32>(), turned.to_vec::<i32>());
        assert_eq!(turned.reshape(&[3, 2, 4]).buffer.bytes().as_ptr(), a.buffer.bytes().as_ptr());
        assert_eq!(turned.reshape(&[24]).to_vec::<i32>(), turned.to_vec::<i32>());
        assert_eq!(a.slice(0, 0, 0, 1).reshape(&[3, 0]).len(), 0);
        assert_eq!(Array::scalar(7i32).broadcast_to(&[2, 3]).reshape(&[3, 2]).to_vec::<i32>(), [7; 6]);
    }

    #[test]
    #[should_panic(expected = "reshape: dims [2, 3] have 6 elements and [4] have 4")]
    fn reshape_keeps_the_count() {
        counting(&[2, 3]).reshape(&[4]);
    }

    #[test]
    #[should_panic(expected = "broadcast_to: dims [3] do not stretch to [3, 2]")]
    fn broadcasting_aligns_at_the_end() {
        counting(&[3]).broadcast_to(&[3, 2]);
    }

    #[test]
    #[should_panic(expected = "slice: 1..4 by 1 of dim 0, which has 3")]
    fn a_slice_stays_inside() {
        counting(&[3]).slice(0, 1, 4, 1);
    }
}
