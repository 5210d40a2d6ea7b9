//! The largest element of each window: what lies there, and how it is put back.
//!
//! Of several the first is the largest, and NaN counts as larger than all. Where it lies is found anew by each of the
//! two, which takes less time than to write it down and to read it.

use super::conv::{Window, grid, in_order};
use super::rows::{product, starts};
use super::vectors::{Loop, widest};
use crate::array::{Array, Dims, threads};
use crate::dtype::{Scalar, dispatch};

/// For each window over the last dims, what `u` has where `x` is largest: `T[..,n1,n2], T[..,n1,n2] -> T[..,m1,m2]` for
/// types with an order.
pub fn window_take(u: &Array, x: &Array, windows: &[Window]) -> Array {
    let lead = x.ndim() - windows.len();
    let counts: Dims = windows.iter().zip(&x.dims()[lead..]).map(|(window, &n)| window.count(n)).collect();
    let dims: Dims = x.dims()[..lead].iter().chain(&counts).copied().collect();
    dispatch!(x.dtype() in [ordered], T => each_plane::<T>(Way::Take, [u, x], windows, dims))
}

/// The transpose of [`window_take`] in `u`: `T[..,m1,m2], T[..,n1,n2] -> T[..,n1,n2]` for numbers with an order. Where
/// windows overlap, their elements are added in their order.
pub fn window_put(ct: &Array, x: &Array, windows: &[Window]) -> Array {
    dispatch!(x.dtype() in [real], T => each_plane::<T>(Way::Put, [ct, x], windows, Dims::from_slice(x.dims())))
}

#[derive(Clone, Copy)]
enum Way {
    Take,
    Put,
}

/// The result with these dims, plane by plane.
fn each_plane<T: Scalar + PartialOrd>(
    way: Way,
    operands: [&Array; 2],
    windows: &[Window],
    dims: Dims,
) -> Array {
    let lead = dims.len() - windows.len();
    let [u, x] = operands.map(|a| in_order(a, lead));
    let over = Windows::new(windows, &x.dims()[lead..]);
    let starts = [&u, &x].map(|a| starts(a, lead));
    let pool = threads::pool_of([&u, &x]);
    let mut buffer = pool.alloc::<T>(product(&dims));
    let (out, size) = (buffer.as_mut_slice::<T>(), product(&dims[lead..]).max(1));
    let part = size * threads::part(pool, out.len() / size, x.len(), threads::ELEMENTS).max(1);
    threads::split(pool, out, part, |start, out| {
        let starts = starts.each_ref().map(|starts| &starts[start / size..]);
        widest(Planes { way, over: &over, data: [u.data(), x.data()], starts, out, size });
    });
    Array::from_written::<T>(dims, buffer)
}

/// Where windows and their places lie in a plane.
struct Windows {
    corners: Vec<usize>,
    places: Vec<usize>,
    /// Rows and columns of a plane that is cut into windows of 2×2, which have a loop of their own.
    pairs: Option<[usize; 2]>,
}

impl Windows {
    fn new(windows: &[Window], sizes: &[usize]) -> Self {
        let strides: Vec<usize> = (0..sizes.len()).map(|dim| product(&sizes[dim + 1..])).collect();
        let steps = |distance: fn(&Window) -> usize| -> Vec<usize> {
            windows.iter().zip(&strides).map(|(window, stride)| distance(window) * stride).collect()
        };
        let counts: Dims = windows.iter().zip(sizes).map(|(window, &n)| window.count(n)).collect();
        let lengths: Dims = windows.iter().map(|window| window.size).collect();
        let halves = windows.iter().all(|w| (w.size, w.stride, w.dilation) == (2, 2, 1));
        Self {
            corners: grid(&counts, &steps(|window| window.stride)),
            places: grid(&lengths, &steps(|window| window.dilation)),
            pairs: <[usize; 2]>::try_from(sizes).ok().filter(|_| halves),
        }
    }

    /// Where the largest element of a window lies.
    fn largest<T: Scalar + PartialOrd>(&self, plane: &[T], corner: usize) -> usize {
        let places = self.places[1..].iter().map(|place| corner + place);
        places
            .fold(corner + self.places[0], |best, at| if exceeds(plane[at], plane[best]) { at } else { best })
    }
}

/// Whether `x`, which comes later, is larger; without a branch.
#[inline(always)]
fn exceeds<T: PartialOrd>(x: T, top: T) -> bool {
    (x > top) | (x.partial_cmp(&x).is_none() & top.partial_cmp(&top).is_some())
}

/// The first planes of the operands that begin at `starts`.
struct Planes<'a, T> {
    way: Way,
    over: &'a Windows,
    data: [&'a [T]; 2],
    starts: [&'a [usize]; 2],
    out: &'a mut [T],
    size: usize,
}

impl<T: Scalar + PartialOrd> Loop for Planes<'_, T> {
    type Result = ();
    #[inline(always)]
    fn run(self) {
        let ([u, x], [u_starts, x_starts]) = (self.data, self.starts);
        for ((out, &u_start), &x_start) in self.out.chunks_exact_mut(self.size).zip(u_starts).zip(x_starts) {
            let (u, x) = (&u[u_start..], &x[x_start..]);
            match (self.way, self.over.pairs) {
                (Way::Take, Some(sizes)) => take_pairs(u, x, out, sizes),
                (Way::Put, Some(sizes)) => put_pairs(u, x, out, sizes),
                (Way::Take, None) => {
                    let corners = out.iter_mut().zip(&self.over.corners);
                    corners.for_each(|(out, &corner)| *out = u[self.over.largest(x, corner)]);
                }
                (Way::Put, None) => {
                    out.fill(T::ZERO);
                    for (&ct, &corner) in u.iter().zip(&self.over.corners) {
                        let at = self.over.largest(x, corner);
                        out[at] = out[at].plus(ct);
                    }
                }
            }
        }
    }
}

/// Two rows of a plane, in pairs.
#[inline(always)]
fn two_rows<T>(plane: &[T], row: usize, width: usize) -> [&[[T; 2]]; 2] {
    let rows = &plane[2 * row * width..][..2 * width];
    [rows[..width].as_chunks().0, rows[width..].as_chunks().0]
}

#[inline(always)]
fn take_pairs<T: Scalar + PartialOrd>(u: &[T], x: &[T], out: &mut [T], [_, width]: [usize; 2]) {
    if width < 2 {
        return;
    }
    for (row, out) in out.chunks_exact_mut(width / 2).enumerate() {
        take_row(out, two_rows(u, row, width), two_rows(x, row, width));
    }
}

/// For each pair of columns what `u` has where `x` is largest. (Slices of one length, and no branch: vectors.)
#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn take_row<T: Scalar + PartialOrd>(
    out: &mut [T],
    [u, u_below]: [&[[T; 2]]; 2],
    [x, x_below]: [&[[T; 2]]; 2],
) {
    let n = out.len();
    let (u, u_below, x, x_below) = (&u[..n], &u_below[..n], &x[..n], &x_below[..n]);
    for i in 0..n {
        let (mut best, mut top) = (u[i][0], x[i][0]);
        let mut meet = |u: T, x: T| {
            let more = exceeds(x, top);
            best = if more { u } else { best };
            top = if more { x } else { top };
        };
        meet(u[i][1], x[i][1]);
        meet(u_below[i][0], x_below[i][0]);
        meet(u_below[i][1], x_below[i][1]);
        out[i] = best;
    }
}

#[inline(always)]
fn put_pairs<T: Scalar + PartialOrd>(ct: &[T], x: &[T], out: &mut [T], [height, width]: [usize; 2]) {
    let even = height / 2 * 2 * width;
    out[even..].fill(T::ZERO);
    if width == 0 {
        return;
    }
    for (row, out) in out[..even].chunks_exact_mut(2 * width).enumerate() {
        let (above, below) = out.split_at_mut(width);
        let ((above, rest), (below, rest_below)) = (above.as_chunks_mut(), below.as_chunks_mut());
        rest.fill(T::ZERO);
        rest_below.fill(T::ZERO);
        put_row(above, below, &ct[row * (width / 2)..][..width / 2], two_rows(x, row, width));
    }
}

/// For each pair of columns `ct` where `x` is largest, and 0 elsewhere.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn put_row<T: Scalar + PartialOrd>(
    above: &mut [[T; 2]],
    below: &mut [[T; 2]],
    ct: &[T],
    [x, x_below]: [&[[T; 2]]; 2],
) {
    let n = ct.len();
    let (above, below, x, x_below) = (&mut above[..n], &mut below[..n], &x[..n], &x_below[..n]);
    for i in 0..n {
        let ([a, b], [c, d], ct) = (x[i], x_below[i], ct[i]);
        let second = exceeds(b, a);
        let top = if second { b } else { a };
        let third = exceeds(c, top);
        let fourth = exceeds(d, if third { c } else { top });
        let keep = |here: bool| if here { ct } else { T::ZERO };
        above[i] = [keep(!second & !third & !fourth), keep(second & !third & !fourth)];
        below[i] = [keep(third & !fourth), keep(fourth)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows of 2×2 by their own loop and by the general one.
    #[test]
    fn pairs_are_like_any_windows() {
        let value = |i: usize| match i * 7919 % 23 {
            0 => f32::NAN,
            n => (n / 3) as f32,
        };
        for sizes in [[6, 8], [5, 7], [1, 4], [4, 1], [2, 67]] {
            let dims = [3, sizes[0], sizes[1]];
            let x = Array::from_vec((0..dims.iter().product()).map(value).collect(), dims);
            let u = Array::from_vec((0..x.len()).map(|i| i as f32).collect(), dims);
            let windows = [Window { size: 2, stride: 2, dilation: 1 }; 2];
            let over = Windows::new(&windows, &sizes);
            let taken = window_take(&u, &x, &windows);
            let put = window_put(&taken, &x, &windows).to_vec::<f32>();
            let (data, mut expected) = (x.to_vec::<f32>(), (vec![], vec![0.0; x.len()]));
            for plane in 0..3 {
                for &corner in &over.corners {
                    let (from, size) = (plane * sizes[0] * sizes[1], sizes[0] * sizes[1]);
                    let at = from + over.largest(&data[from..][..size], corner);
                    expected.0.push(at as f32);
                    expected.1[at] = at as f32;
                }
            }
            assert_eq!((taken.to_vec::<f32>(), put), expected);
        }
    }
}
