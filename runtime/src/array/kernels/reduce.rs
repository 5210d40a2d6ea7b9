//! Reductions over dims, in an order of additions that only the reduced extent decides.
//!
//! Element `r` of the `R` that make one result goes to lane `r mod 8`; lanes run over blocks of 128 elements; a
//! block is the fixed tree over its lanes; and blocks combine pairwise, like the carries of a binary counter. So
//! the rounding error grows with the logarithm of `R`, the loops vectorise along rows as along columns, and the
//! bits depend neither on the layout, nor on other dims, nor on who else computes.

use smallvec::SmallVec;

use super::nest::Nest;
use crate::array::{Array, Dims, threads};
use crate::dtype::{Scalar, dispatch};

const LANES: usize = 8;
const BLOCK: usize = 128;
/// Results that are computed side by side when the reduced elements lie far apart.
const TILE: usize = 32;

/// The sum over `dims`, which disappear: `T[..] -> T[..]`. Integers wrap; of nothing it is 0.
///
/// # Panics
/// If the elements are `bool`, or a dim does not exist.
pub fn sum(a: &Array, dims: &[usize]) -> Array {
    dispatch!(a.dtype() in [numeric], T => reduce(a, dims, T::ZERO, T::plus))
}

/// [`sum`] of the squares, which are never in memory.
///
/// # Panics
/// If the elements are no real floats, or a dim does not exist.
pub fn square_sum(a: &Array, dims: &[usize]) -> Array {
    dispatch!(a.dtype() in [float], T => reduce_of(a, dims, T::ZERO, |x: T| x.times(x), T::plus))
}

/// The product over `dims`, which disappear: `T[..] -> T[..]`. Integers wrap; of nothing it is 1.
///
/// # Panics
/// If the elements are `bool`, or a dim does not exist.
pub fn prod(a: &Array, dims: &[usize]) -> Array {
    dispatch!(a.dtype() in [numeric], T => reduce(a, dims, T::ONE, T::times))
}

/// The largest element over `dims`, which disappear; NaN if one is: `T[..] -> T[..]`. Of zeros it is 0 if one is, and
/// else -0, so that the order in which elements are met does not show.
///
/// # Panics
/// If the elements are complex, there are none to choose from, or a dim does not exist.
pub fn max(a: &Array, dims: &[usize]) -> Array {
    check_choice("max", a, dims);
    if a.dtype().is_float() {
        return dispatch!(a.dtype() in [float], T => reduce(a, dims, T::NEG_INFINITY, |x: T, y: T| {
            first_if(x > y || x == y && x.is_sign_positive(), x, y)
        }));
    }
    dispatch!(a.dtype() in [ordered], T => {
        let lowest = if T::DTYPE.is_bool() { T::ZERO } else { T::from_f64(f64::NEG_INFINITY) };
        reduce(a, dims, lowest, |x: T, y: T| first_if(x.gt(&y), x, y))
    })
}

/// The smallest element over `dims`, which disappear; NaN if one is: `T[..] -> T[..]`. Of zeros it is -0 if one is.
///
/// # Panics
/// If the elements are complex, there are none to choose from, or a dim does not exist.
pub fn min(a: &Array, dims: &[usize]) -> Array {
    check_choice("min", a, dims);
    if a.dtype().is_float() {
        return dispatch!(a.dtype() in [float], T => reduce(a, dims, T::INFINITY, |x: T, y: T| {
            first_if(x < y || x == y && x.is_sign_negative(), x, y)
        }));
    }
    dispatch!(a.dtype() in [ordered], T => {
        let highest = if T::DTYPE.is_bool() { T::ONE } else { T::from_f64(f64::INFINITY) };
        reduce(a, dims, highest, |x: T, y: T| first_if(x.lt(&y), x, y))
    })
}

/// Whether any element over `dims`, which disappear, is true: `bool[..] -> bool[..]`.
///
/// # Panics
/// If the elements are not `bool`, or a dim does not exist.
pub fn any(a: &Array, dims: &[usize]) -> Array {
    reduce(a, dims, false, |x, y| x | y)
}

/// Whether all elements over `dims`, which disappear, are true: `bool[..] -> bool[..]`.
///
/// # Panics
/// If the elements are not `bool`, or a dim does not exist.
pub fn all(a: &Array, dims: &[usize]) -> Array {
    reduce(a, dims, true, |x, y| x & y)
}

/// The elements over `dims` combined, by the module's order: `T[..] -> T[..]`. `identity` must be neutral.
///
/// # Panics
/// If the elements are not of type `T`, or a dim does not exist.
pub fn reduce<T: Scalar>(
    a: &Array,
    dims: &[usize],
    identity: T,
    combine: impl Fn(T, T) -> T + Copy + Sync,
) -> Array {
    reduce_of(a, dims, identity, |x| x, combine)
}

/// [`reduce`] of what `of` makes of each element.
fn reduce_of<T: Scalar>(
    a: &Array,
    dims: &[usize],
    identity: T,
    of: impl Fn(T) -> T + Copy + Sync,
    combine: impl Fn(T, T) -> T + Copy + Sync,
) -> Array {
    assert!(dims.iter().all(|dim| *dim < a.ndim()), "reduce: dims {dims:?} of {:?}", a.dims());
    let result: Dims = (0..a.ndim()).filter(|dim| !dims.contains(dim)).map(|dim| a.dims()[dim]).collect();
    let mut buffer = a.pool().alloc::<T>(result.iter().product());
    let out = buffer.as_mut_slice::<T>();
    if a.is_empty() {
        out.fill(identity);
    } else {
        let offsets = Offsets::new(&first(a, |dim| !dims.contains(&dim)));
        let kept = first(a, |dim| dims.contains(&dim));
        let fold = Fold { identity, of, combine };
        let part = threads::part(a.pool(), out.len(), a.len(), threads::ELEMENTS);
        let part = part.next_multiple_of(offsets.side_by_side());
        threads::split(a.pool(), out, part, |start, out| {
            reduce_into(out, start, &kept, a.data(), &offsets, &fold);
        });
    }
    Array::from_written::<T>(result, buffer)
}

/// The part at index 0 of the dims that `which` names, without them.
fn first(a: &Array, which: impl Fn(usize) -> bool) -> Array {
    (0..a.ndim()).rev().filter(|&dim| which(dim)).fold(a.clone(), |a, dim| a.index(dim, 0))
}

/// Where the reduced elements lie, from the first one of a result.
enum Offsets {
    /// Neighbours in memory, so many of them.
    Run(usize),
    List(Vec<isize>),
}

impl Offsets {
    fn new(reduced: &Array) -> Self {
        if reduced.is_contiguous() {
            return Self::Run(reduced.len());
        }
        let nest = Nest::new(reduced.dims(), [reduced]);
        let mut list = Vec::with_capacity(reduced.len());
        nest.for_each(|[at]| list.push(at as isize - reduced.offset() as isize));
        Self::List(list)
    }

    /// Results that are best computed together.
    fn side_by_side(&self) -> usize {
        if matches!(self, Self::Run(_)) { 1 } else { TILE }
    }
}

/// Writes the results from number `start` on.
fn reduce_into<T: Scalar>(
    out: &mut [T],
    start: usize,
    kept: &Array,
    data: &[T],
    offsets: &Offsets,
    fold: &Fold<T, impl Fn(T) -> T + Copy, impl Fn(T, T) -> T + Copy>,
) {
    let nest = Nest::new(kept.dims(), [kept]);
    let mut hold = Vec::new();
    nest.for_range(start..start + out.len(), |run, [(at, step)]| {
        let out = &mut out[run];
        let starts = (0..out.len() as isize).map(|i| at as isize + i * step);
        match offsets {
            Offsets::Run(n) => out.iter_mut().zip(starts).for_each(|(out, at)| {
                *out = fold.run(&data[at as usize..][..*n]);
            }),
            Offsets::List(list) if step == 1 && out.len() > 1 => fold.columns(out, data, at, list),
            Offsets::List(list) => out.iter_mut().zip(starts).for_each(|(out, at)| {
                hold.clear();
                hold.extend(list.iter().map(|offset| data[(at + offset) as usize]));
                *out = fold.run(&hold);
            }),
        }
    });
}

/// A reduction's neutral element, what is made of each element, and how two of these become one.
struct Fold<T, G, F> {
    identity: T,
    of: G,
    combine: F,
}

impl<T: Scalar, G: Fn(T) -> T + Copy, F: Fn(T, T) -> T + Copy> Fold<T, G, F> {
    /// All of `x`.
    #[inline]
    fn run(&self, x: &[T]) -> T {
        let mut blocks = Carry::new();
        for block in x.chunks(BLOCK) {
            let mut lanes = [self.identity; LANES];
            let (whole, rest) = block.as_chunks::<LANES>();
            for eight in whole {
                self.take_row(&mut lanes, eight);
            }
            self.take_row(&mut lanes, rest);
            blocks.push([self.tree(lanes)], |x, y| self.add_row(x, y));
        }
        blocks.finish(|x, y| self.add_row(x, y)).map_or(self.identity, |[x]| x)
    }

    /// One result for each element of `out`, of the rows that start `offsets` after `at`.
    fn columns(&self, out: &mut [T], data: &[T], at: usize, offsets: &[isize]) {
        for (i, out) in out.chunks_mut(TILE).enumerate() {
            let at = (at + i * TILE) as isize;
            let mut blocks = Carry::new();
            for block in offsets.chunks(BLOCK) {
                let mut lanes = [[self.identity; TILE]; LANES];
                for (r, offset) in block.iter().enumerate() {
                    self.take_row(&mut lanes[r % LANES], &data[(at + offset) as usize..][..out.len()]);
                }
                blocks.push(self.tree_of_rows(lanes), |x, y| self.add_row(x, y));
            }
            let sum: [T; TILE] = blocks.finish(|x, y| self.add_row(x, y)).expect("a row");
            out.copy_from_slice(&sum[..out.len()]);
        }
    }

    #[inline]
    fn take_row(&self, to: &mut [T], row: &[T]) {
        for (to, &x) in to.iter_mut().zip(row) {
            *to = (self.combine)(*to, (self.of)(x));
        }
    }

    #[inline]
    fn add_row(&self, to: &mut [T], row: &[T]) {
        for (to, &x) in to.iter_mut().zip(row) {
            *to = (self.combine)(*to, x);
        }
    }

    #[inline]
    fn tree_of_rows(&self, mut lanes: [[T; TILE]; LANES]) -> [T; TILE] {
        for half in [4, 2, 1] {
            let (left, right) = lanes.split_at_mut(half);
            left.iter_mut().zip(right).for_each(|(left, right)| self.add_row(left, right));
        }
        lanes[0]
    }

    /// As `tree_of_rows` combines each column.
    #[inline]
    fn tree(&self, l: [T; LANES]) -> T {
        let f = self.combine;
        f(f(f(l[0], l[4]), f(l[2], l[6])), f(f(l[1], l[5]), f(l[3], l[7])))
    }
}

/// Values to be combined pairwise: two of a level make one of the next, as digits carry in a binary counter.
struct Carry<V>(SmallVec<[(u32, V); 2]>);

impl<V> Carry<V> {
    fn new() -> Self {
        Self(SmallVec::new())
    }

    fn push(&mut self, mut value: V, add: impl Fn(&mut V, &V)) {
        let mut level = 0;
        while self.0.last().is_some_and(|(l, _)| *l == level) {
            let (_, mut left) = self.0.pop().expect("just seen");
            add(&mut left, &value);
            (value, level) = (left, level + 1);
        }
        self.0.push((level, value));
    }

    /// All of them, the last and smallest first.
    fn finish(mut self, add: impl Fn(&mut V, &V)) -> Option<V> {
        let (_, mut value) = self.0.pop()?;
        while let Some((_, mut left)) = self.0.pop() {
            add(&mut left, &value);
            value = left;
        }
        Some(value)
    }
}

fn check_choice(name: &str, a: &Array, dims: &[usize]) {
    assert!(dims.iter().all(|&dim| a.dims()[dim] > 0), "{name}: no elements over {dims:?} of {:?}", a.dims());
}

/// `x` if it is preferred or NaN, else `y`.
#[inline]
fn first_if<T: Scalar>(preferred: bool, x: T, y: T) -> T {
    if preferred || x.ne(&x) { x } else { y }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;

    /// Numbers of many magnitudes, so that another order of additions shows.
    fn rough(len: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 7919 % 1000) as f32 - 500.0) * 10f32.powi((i % 9) as i32 - 4)).collect()
    }

    #[test]
    fn of_zeros_the_order_does_not_show() {
        for zeros in [[0.0f64, -0.0, -0.0], [-0.0, 0.0, -0.0], [-0.0, -0.0, 0.0]] {
            let a = Array::from(zeros);
            assert!(max(&a, &[0]).item::<f64>().is_sign_positive());
            assert!(min(&a, &[0]).item::<f64>().is_sign_negative());
        }
    }

    #[test]
    fn integers_sum_exactly_over_any_dims() {
        let a = Array::from_vec((0..2 * 3 * 4 * 5i64).collect(), [2, 3, 4, 5]);
        for (order, dims) in
            [([0, 1, 2, 3], vec![0, 2]), ([3, 1, 0, 2], vec![1, 3]), ([2, 0, 3, 1], vec![0, 1, 2, 3])]
        {
            let view = a.permute(&order);
            let kept: Vec<usize> = (0..4).filter(|dim| !dims.contains(dim)).collect();
            let all: Vec<usize> = kept.iter().chain(&dims).copied().collect();
            let turned = view.permute(&all).to_vec::<i64>();
            let extent: usize = dims.iter().map(|&dim| view.dims()[dim]).product();
            let expected: Vec<i64> = turned.chunks(extent).map(|x| x.iter().sum()).collect();
            let result = sum(&view, &dims);
            assert_eq!(result.to_vec::<i64>(), expected);
            assert_eq!(result.dims(), kept.iter().map(|&dim| view.dims()[dim]).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_bits_depend_on_the_reduced_extent_alone() {
        for extent in [1, 2, 7, 8, 9, 127, 128, 129, 300, 1000, 5000] {
            let a = Array::from_vec(rough(extent * 37), [37, extent]);
            let rows = sum(&a, &[1]).to_vec::<f32>();
            let columns = sum(&a.permute(&[1, 0]).contiguous(), &[0]).to_vec::<f32>();
            let strided = sum(&a.permute(&[1, 0]), &[0]).to_vec::<f32>();
            let one = sum(&a.index(0, 36), &[0]).item::<f32>();
            let flipped = sum(&a.flip(0).expand_dims(0), &[2]).to_vec::<f32>();
            assert_eq!((&rows, &rows), (&columns, &strided), "{extent}");
            assert_eq!((rows[36], rows[0]), (one, flipped[36]));
            let squares = sum(&super::super::map2(&a, &a, f32::times), &[1]).to_vec::<f32>();
            assert_eq!(square_sum(&a, &[1]).to_vec::<f32>(), squares);
            assert_eq!(square_sum(&a.permute(&[1, 0]).contiguous(), &[0]).to_vec::<f32>(), squares);
            let far = a.permute(&[1, 0]).contiguous().slice(1, 3, 37, 11);
            assert_eq!(sum(&far, &[0]).to_vec::<f32>(), [rows[3], rows[14], rows[25], rows[36]]);
        }
    }

    #[test]
    fn long_sums_stay_accurate() {
        let a = Array::full(DType::F32, 0.1, [1 << 20]);
        let exact = 0.1f32 as f64 * (1 << 20) as f64;
        assert!((sum(&a, &[0]).item::<f32>() as f64 / exact - 1.0).abs() < 1e-6);
        let repeated = Array::scalar(0.1f32).broadcast_to(&[1 << 20]);
        assert_eq!(sum(&repeated, &[0]).item::<f32>(), sum(&a, &[0]).item::<f32>());
    }

    #[test]
    fn extremes_keep_nan_and_infinities() {
        let a = Array::from([[1.0f64, f64::NEG_INFINITY, 3.0], [f64::NAN, 2.0, f64::INFINITY]]);
        assert_eq!(max(&a, &[0]).to_vec::<f64>()[1..], [2.0, f64::INFINITY]);
        assert!(max(&a, &[0]).to_vec::<f64>()[0].is_nan() && min(&a, &[0, 1]).item::<f64>().is_nan());
        assert_eq!(min(&a, &[1]).to_vec::<f64>()[0], f64::NEG_INFINITY);
        assert_eq!(max(&Array::from([i64::MIN, -5]), &[0]).item::<i64>(), -5);
        assert!(min(&Array::from([true, true]), &[0]).item::<bool>());
        assert!(!max(&Array::from([false, false]), &[0]).item::<bool>());
    }

    #[test]
    fn truth_and_products() {
        let a = Array::from([[true, false], [true, true]]);
        assert_eq!(any(&a, &[0]).to_vec::<bool>(), [true, true]);
        assert_eq!(all(&a, &[0]).to_vec::<bool>(), [true, false]);
        assert_eq!(prod(&Array::from([[1i32, 2], [3, 4]]), &[0, 1]).item::<i32>(), 24);
        assert_eq!(sum(&Array::from([200u8, 100]), &[0]).item::<u8>(), 44);
    }

    #[test]
    fn nothing_sums_to_the_neutral_element() {
        let none = Array::zeros(DType::F32, [2, 0]);
        assert_eq!(sum(&none, &[1]).to_vec::<f32>(), [0.0, 0.0]);
        assert_eq!(prod(&none, &[1]).to_vec::<f32>(), [1.0, 1.0]);
        assert_eq!(sum(&none, &[0]).dims(), [0]);
        assert_eq!(sum(&Array::from(2.0f32), &[]).item::<f32>(), 2.0);
    }

    #[test]
    #[should_panic(expected = "max: no elements over [1] of [2, 0]")]
    fn nothing_has_no_largest() {
        max(&Array::zeros(DType::F32, [2, 0]), &[1]);
    }
}
