//! Where the largest element of each window lies.

use super::conv::{Window, grid, in_order};
use super::rows::{product, starts};
use crate::array::{Array, Dims, threads};
use crate::dtype::{Scalar, dispatch};

/// For each window over the last dims, the place of its largest element among all in these dims, row-major; the
/// first of several, and NaN counts as larger than all: `T[..,n1,n2] -> i64[..,m1,m2]` for types with an order.
pub fn window_argmax(x: &Array, windows: &[Window]) -> Array {
    let lead = x.ndim() - windows.len();
    let sizes = &x.dims()[lead..];
    let counts: Dims = windows.iter().zip(sizes).map(|(window, &n)| window.count(n)).collect();
    let strides: Vec<usize> = (0..sizes.len()).map(|dim| product(&sizes[dim + 1..])).collect();
    let steps = |distance: fn(&Window) -> usize| -> Vec<usize> {
        windows.iter().zip(&strides).map(|(window, stride)| distance(window) * stride).collect()
    };
    let lengths: Dims = windows.iter().map(|window| window.size).collect();
    let places = grid(&lengths, &steps(|window| window.dilation));
    let corners = grid(&counts, &steps(|window| window.stride));
    let dims: Dims = x.dims()[..lead].iter().chain(&counts).copied().collect();
    let x = in_order(x, lead);
    let planes = starts(&x, lead);
    let mut buffer = x.pool().alloc::<i64>(product(&dims));
    let out = buffer.as_mut_slice::<i64>();
    let each = corners.len().max(1);
    let part =
        each * threads::part(x.pool(), out.len() / each, out.len() * places.len(), threads::ELEMENTS).max(1);
    dispatch!(x.dtype() in [ordered], T => threads::split(x.pool(), out, part, |start, out| {
        for (plane, out) in planes[start / each..].iter().zip(out.chunks_exact_mut(each)) {
            let plane = &x.data::<T>()[*plane..];
            out.iter_mut().zip(&corners).for_each(|(out, corner)| *out = largest(plane, *corner, &places));
        }
    }));
    Array::from_written::<i64>(dims, buffer)
}

fn largest<T: Scalar + PartialOrd>(plane: &[T], corner: usize, places: &[usize]) -> i64 {
    let mut best = corner + places[0];
    for place in &places[1..] {
        let (x, top) = (plane[corner + place], plane[best]);
        let is_nan = |x: T| x.partial_cmp(&x).is_none();
        if x > top || is_nan(x) && !is_nan(top) {
            best = corner + place;
        }
    }
    best as i64
}
