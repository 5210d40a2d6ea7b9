//! Convolution of one example after the other: its windows are the columns of a matrix that stays in the cache.

use std::ops::Range;

use axisgrad_collectives::Pool;

use super::gemm::Matrix;
use super::product::Product;
use super::rows::{per_batch_contiguous, product, starts};
use super::winograd::{Examples, Winograd};
use crate::array::{Array, Dims, row_major, threads};
use crate::dtype::{DType, Scalar, dispatch};

/// How windows lie along one dim.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// How many places a window has.
    pub size: usize,
    /// How far apart neighbouring windows are.
    pub stride: usize,
    /// How far apart neighbouring places of one window are.
    pub dilation: usize,
}

impl Window {
    /// How many windows fit inside `n` elements.
    pub fn count(self, n: usize) -> usize {
        let reach = self.size.saturating_sub(1) * self.dilation;
        n.checked_sub(reach + 1).map_or(0, |room| room / self.stride + 1)
    }
}

/// How windows lie over the spatial dims of an operand, and how its channels are parted.
#[derive(Clone, Debug)]
pub struct Convolution {
    /// The spatial dims of the operand.
    pub sizes: Dims,
    /// How windows lie along each.
    pub windows: Vec<Window>,
    /// Into how many parts the channels are cut.
    pub groups: usize,
}

impl Convolution {
    /// How many windows there are along each dim.
    pub fn counts(&self) -> Dims {
        self.windows.iter().zip(&self.sizes).map(|(window, &n)| window.count(n)).collect()
    }

    /// `T[b..,c,n..], T[b..,o,c/groups,k..] -> T[b..,o,m..]`, where `batch` dims run together.
    pub fn apply(&self, x: &Array, kernel: &Array, batch: usize) -> Array {
        let sides = Sides::new(self, x, kernel, batch);
        let dims = sides.dims(x, kernel.dims()[batch], &self.counts());
        let pool = sides.pool();
        if let Some(fast) = &sides.plan.fast {
            let apply = |x: Examples, kernel: &[f32], out: &mut [f32], starts: &[usize]| {
                fast.apply(x, kernel, out, starts, pool)
            };
            return sides.together(dims, apply);
        }
        dispatch!(x.dtype() in [numeric], T => {
            sides.each(dims, |x, kernel, out, columns| {
                let plan = &sides.plan;
                for group in 0..self.groups {
                    plan.gather(&x[group * plan.channels * plan.plane..], columns);
                    let out = &mut out[group * plan.out * plan.count..][..plan.out * plan.count];
                    let windows = matrix(columns, plan.depth(), plan.count);
                    T::multiply(out, plan.count, plan.kernel(kernel, group), windows, false, pool);
                }
            })
        })
    }

    /// The transpose of [`apply`](Self::apply) in `x`: `T[b..,o,m..], T[b..,o,c/groups,k..] -> T[b..,c,n..]`.
    pub fn pull(&self, ct: &Array, kernel: &Array, batch: usize) -> Array {
        let sides = Sides::new(self, ct, kernel, batch);
        let dims = sides.dims(ct, kernel.dims()[batch + 1] * self.groups, &self.sizes);
        let pool = sides.pool();
        if let Some(fast) = &sides.plan.fast {
            let pull = |ct: Examples, kernel: &[f32], out: &mut [f32], starts: &[usize]| {
                fast.pull(ct, kernel, out, starts, pool)
            };
            return sides.together(dims, pull);
        }
        dispatch!(ct.dtype() in [numeric], T => {
            sides.each(dims, |ct, kernel, out, columns| {
                let plan = &sides.plan;
                out.fill(T::ZERO);
                for group in 0..self.groups {
                    let ct = matrix(&ct[group * plan.out * plan.count..], plan.out, plan.count);
                    T::multiply(columns, plan.count, plan.kernel(kernel, group).transposed(), ct, false, pool);
                    plan.scatter(columns, &mut out[group * plan.channels * plan.plane..]);
                }
            })
        })
    }

    /// The transpose of [`apply`](Self::apply) in the kernel, summed over some dims behind the batch dims, for each
    /// range of the first of them: `T[b..,s..,c,n..], T[b..,s..,o,m..] -> T[b..,o,c/groups,k..]`. Terms are added in
    /// their order.
    pub fn weigh(&self, x: &Array, ct: &Array, batch: usize, ranges: &[Range<usize>]) -> Vec<Array> {
        dispatch!(x.dtype() in [numeric], T => {
            let mut sums: Vec<Option<Array>> = vec![None; ranges.len()];
            let pool = threads::pool_of([x, ct]);
            let part = threads::part(pool, ranges.len(), ct.len() * x.len(), threads::PRODUCTS).max(1);
            threads::split(pool, &mut sums, part, |start, sums| {
                for (sum, range) in sums.iter_mut().zip(&ranges[start..]) {
                    let [x, ct] = [x, ct].map(|a| a.slice(batch, range.start, range.end, 1));
                    *sum = Some(self.weighed::<T>(&x, &ct, batch, pool));
                }
            });
            sums.into_iter().map(|sum| sum.expect("a sum for each range")).collect()
        })
    }

    fn weighed<T: Product>(&self, x: &Array, ct: &Array, batch: usize, pool: &Pool) -> Array {
        let lead = x.ndim() - self.sizes.len() - 1;
        let (channels, out) = (x.dims()[lead] / self.groups, ct.dims()[lead] / self.groups);
        let plan = Plan::new(self, channels, out, x.dtype());
        let [x, ct] = [x, ct].map(|a| in_order(a, lead));
        let sizes: Dims = self.windows.iter().map(|window| window.size).collect();
        let dims = [&x.dims()[..batch], &[out * self.groups, channels], &sizes].concat();
        let mut buffer = pool.alloc::<T>(product(&dims));
        let [x_starts, ct_starts] = [&x, &ct].map(|a| starts(a, lead));
        let terms = product(&x.dims()[batch..lead]);
        let size = self.groups * out * plan.depth();
        buffer.as_mut_slice::<T>().fill(T::ZERO);
        if let Some(fast) = &plan.fast {
            let (x, ct) = ((x.data(), &x_starts[..]), (ct.data(), &ct_starts[..]));
            plan.add_together(fast, x, ct, buffer.as_mut_slice(), terms, pool);
            return Array::from_written::<T>(dims, buffer);
        }
        let mut columns = pool.alloc::<T>(plan.depth() * plan.count);
        for (i, sum) in buffer.as_mut_slice::<T>().chunks_exact_mut(size.max(1)).enumerate() {
            for (term, at) in (i * terms..(i + 1) * terms).enumerate() {
                let (x, ct) = (&x.data::<T>()[x_starts[at]..], &ct.data::<T>()[ct_starts[at]..]);
                plan.add_products([x, ct], sum, columns.as_mut_slice(), term == 0, pool);
            }
        }
        Array::from_written::<T>(dims, buffer)
    }
}

/// Where the elements of one group of one example lie.
struct Plan {
    /// Channels of a group, and elements of a channel.
    channels: usize,
    plane: usize,
    /// Channels out of a group.
    out: usize,
    groups: usize,
    /// Where each place of a window begins.
    places: Vec<usize>,
    /// Where each row of windows begins; how many windows it has, and how far apart they are.
    rows: Vec<usize>,
    row: (usize, usize),
    /// How many windows there are.
    count: usize,
    /// The quicker way, where there is one.
    fast: Option<Winograd>,
}

impl Plan {
    fn new(of: &Convolution, channels: usize, out: usize, dtype: DType) -> Self {
        let (counts, n) = (of.counts(), of.sizes.len());
        let strides: Vec<usize> = (0..n).map(|dim| product(&of.sizes[dim + 1..])).collect();
        let steps = |distance: fn(&Window) -> usize| -> Vec<usize> {
            of.windows.iter().zip(&strides).map(|(window, stride)| distance(window) * stride).collect()
        };
        let (along, across) = (steps(|window| window.stride), steps(|window| window.dilation));
        let sizes: Dims = of.windows.iter().map(|window| window.size).collect();
        let last = n.saturating_sub(1);
        let fast = (dtype == DType::F32).then(|| Winograd::new(&of.sizes, &of.windows, [channels, out]));
        let row = (counts.last().copied().unwrap_or(1), along.last().copied().unwrap_or(1));
        Self {
            channels,
            plane: product(&of.sizes),
            out,
            groups: of.groups,
            places: grid(&sizes, &across),
            rows: grid(&counts[..last], &along[..last]),
            row,
            count: product(&counts),
            fast: fast.flatten(),
        }
    }

    /// Elements of a kernel for one channel out.
    fn depth(&self) -> usize {
        self.channels * self.places.len()
    }

    fn kernel<'a, T: Scalar>(&self, kernel: &'a [T], group: usize) -> Matrix<'a, T> {
        matrix(&kernel[group * self.out * self.depth()..], self.out, self.depth())
    }

    /// Calls `body` for each row of windows of each place of each channel: with the elements of the channel, and the
    /// columns of the row.
    fn for_rows(&self, mut body: impl FnMut(usize, Range<usize>)) {
        if self.count == 0 {
            return;
        }
        let (len, _) = self.row;
        let mut at = 0;
        for channel in 0..self.channels {
            for place in &self.places {
                for row in &self.rows {
                    body(channel * self.plane + place + row, at..at + len);
                    at += len;
                }
            }
        }
    }

    /// Writes what the windows see: a row for each place, a column for each window.
    fn gather<T: Scalar>(&self, x: &[T], columns: &mut [T]) {
        let (len, step) = self.row;
        self.for_rows(|from, to| match step {
            1 => columns[to].copy_from_slice(&x[from..from + len]),
            _ => columns[to].iter_mut().zip(x[from..].iter().step_by(step)).for_each(|(to, &x)| *to = x),
        });
    }

    /// Adds columns to where [`gather`](Self::gather) takes them from.
    fn scatter<T: Scalar>(&self, columns: &[T], x: &mut [T]) {
        let (_, step) = self.row;
        self.for_rows(|to, from| match step {
            1 => x[to..].iter_mut().zip(&columns[from]).for_each(|(x, &ct)| *x = x.plus(ct)),
            _ => x[to..].iter_mut().step_by(step).zip(&columns[from]).for_each(|(x, &ct)| *x = x.plus(ct)),
        });
    }

    /// Adds the products of an example's cotangent with what its windows see to `sum`, or writes them there.
    fn add_products<T: Product>(
        &self,
        [x, ct]: [&[T]; 2],
        sum: &mut [T],
        columns: &mut [T],
        write: bool,
        pool: &Pool,
    ) {
        let (depth, size) = (self.depth(), self.out * self.depth());
        for group in 0..self.groups {
            self.gather(&x[group * self.channels * self.plane..], columns);
            let ct = matrix(&ct[group * self.out * self.count..], self.out, self.count);
            let windows = matrix(columns, depth, self.count).transposed();
            T::multiply(&mut sum[group * size..][..size], depth, ct, windows, !write, pool);
        }
    }

    /// The sums over each `terms` of the examples, the quicker way.
    fn add_together(
        &self,
        fast: &Winograd,
        (x, x_starts): Examples,
        (ct, ct_starts): Examples,
        sums: &mut [f32],
        terms: usize,
        pool: &Pool,
    ) {
        let size = self.out * self.depth();
        let examples = x_starts.chunks(terms.max(1)).zip(ct_starts.chunks(terms.max(1)));
        for ((x_starts, ct_starts), sums) in examples.zip(sums.chunks_exact_mut(self.groups * size)) {
            for (group, sum) in sums.chunks_exact_mut(size).enumerate() {
                let at =
                    |starts: &[usize], size| starts.iter().map(|at| at + group * size).collect::<Vec<_>>();
                let x_starts = at(x_starts, self.channels * self.plane);
                let ct_starts = at(ct_starts, self.out * self.count);
                fast.weigh((x, &x_starts), (ct, &ct_starts), sum, pool);
            }
        }
    }
}

/// The same array with the elements of each example in row-major order.
pub(super) fn in_order(x: &Array, batch: usize) -> Array {
    let there = x.strides()[batch..] == row_major(&x.dims()[batch..])[..];
    if there { x.clone() } else { per_batch_contiguous(x, batch) }
}

/// Where the places of a grid lie, in row-major order.
pub(super) fn grid(counts: &[usize], steps: &[usize]) -> Vec<usize> {
    counts.iter().zip(steps).fold(vec![0], |starts, (&count, &step)| {
        starts.iter().flat_map(|start| (0..count).map(move |i| start + i * step)).collect()
    })
}

/// Rows one after the other.
fn matrix<T: Scalar>(data: &[T], rows: usize, columns: usize) -> Matrix<'_, T> {
    Matrix { data, at: 0, rows, columns, row_stride: columns as isize, column_stride: 1 }
}

/// The operands of a convolution example by example, with the kernel on the right.
struct Sides {
    plan: Plan,
    batch: usize,
    operands: [Array; 2],
    starts: [Vec<usize>; 2],
}

impl Sides {
    fn new(of: &Convolution, x: &Array, kernel: &Array, batch: usize) -> Self {
        let plan = Plan::new(of, kernel.dims()[batch + 1], kernel.dims()[batch] / of.groups, x.dtype());
        let operands = [x, kernel].map(|a| in_order(a, batch));
        let starts = operands.each_ref().map(|a| starts(a, batch));
        Self { plan, batch, operands, starts }
    }

    /// The dims of a result with so many channels.
    fn dims(&self, x: &Array, channels: usize, sizes: &[usize]) -> Dims {
        [&x.dims()[..self.batch], &[channels], sizes].concat().into()
    }

    fn pool(&self) -> &Pool {
        threads::pool_of(self.operands.each_ref())
    }

    /// What `body` writes for each example, of the operands' elements for it; it is given memory for the columns.
    fn each<T: Scalar>(&self, dims: Dims, body: impl Fn(&[T], &[T], &mut [T], &mut [T]) + Sync) -> Array {
        let ([x, kernel], size) = (&self.operands, product(&dims[self.batch..]).max(1));
        self.parts::<T>(dims, |examples, out| {
            let mut columns = self.pool().alloc::<T>(self.plan.depth() * self.plan.count);
            for (i, out) in examples.zip(out.chunks_exact_mut(size)) {
                let [x_start, kernel_start] = [0, 1].map(|side| self.starts[side][i]);
                let columns = columns.as_mut_slice::<T>();
                body(&x.data()[x_start..], &kernel.data()[kernel_start..], out, columns);
            }
        })
    }

    /// What `body` writes for one group of neighbouring examples that share a kernel, given where each begins.
    fn together(&self, dims: Dims, body: impl Fn(Examples, &[f32], &mut [f32], &[usize]) + Sync) -> Array {
        let ([x, kernel], [x_starts, kernel_starts], groups) =
            (&self.operands, &self.starts, self.plan.groups);
        let x_size = product(&x.dims()[self.batch..]) / groups;
        let size = product(&dims[self.batch..]) / groups;
        self.parts::<f32>(dims, |examples, out| {
            let mut done = 0;
            for run in kernel_starts[examples.clone()].chunk_by(|a, b| a == b) {
                for group in 0..groups {
                    let own = examples.start + done..examples.start + done + run.len();
                    let x_starts: Vec<_> = x_starts[own].iter().map(|at| at + group * x_size).collect();
                    let starts: Vec<_> =
                        (done..done + run.len()).map(|i| (i * groups + group) * size).collect();
                    let kernel = &kernel.data()[run[0] + group * self.plan.out * self.plan.depth()..];
                    body((x.data(), &x_starts), kernel, out, &starts);
                }
                done += run.len();
            }
        })
    }

    /// What `body` writes for ranges of the examples.
    fn parts<T: Scalar>(&self, dims: Dims, body: impl Fn(Range<usize>, &mut [T]) + Sync) -> Array {
        let (pool, plan) = (self.pool(), &self.plan);
        let mut buffer = pool.alloc::<T>(product(&dims));
        let size = product(&dims[self.batch..]).max(1);
        let examples = buffer.as_mut_slice::<T>().len() / size;
        let work = examples * plan.groups * plan.out * plan.depth() * plan.count;
        let part = threads::part(pool, examples, work, threads::PRODUCTS).max(1);
        threads::split(pool, buffer.as_mut_slice::<T>(), part * size, |start, out| {
            body(start / size..(start + out.len()) / size, out);
        });
        Array::from_written::<T>(dims, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(dims: &[usize], from: i64) -> Array {
        let len = dims.iter().product::<usize>() as i64;
        Array::from_vec((0..len).map(|i| (i * 7 + from) % 11 - 5).collect(), dims)
    }

    /// Two groups, windows of 2 and 3 places with strides 1 and 2 and dilations 2 and 1.
    fn example() -> (Convolution, Array, Array) {
        let windows =
            vec![Window { size: 2, stride: 1, dilation: 2 }, Window { size: 3, stride: 2, dilation: 1 }];
        let of = Convolution { sizes: [5, 8].into_iter().collect(), windows, groups: 2 };
        (of, counting(&[3, 4, 5, 8], 1), counting(&[6, 2, 2, 3], 5))
    }

    fn dot(a: &Array, b: &Array) -> i64 {
        assert_eq!(a.dims(), b.dims());
        a.to_vec::<i64>().iter().zip(b.to_vec::<i64>()).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn the_definition() {
        let (of, x, kernel) = example();
        let y = of.apply(&x, &kernel.expand_dims(0).broadcast_to(&[3, 6, 2, 2, 3]), 1);
        assert_eq!(y.dims(), [3, 6, 3, 3]);
        let at = |array: &Array, place: &[usize]| {
            place.iter().fold(array.clone(), |array, &i| array.index(0, i)).item::<i64>()
        };
        for i in 0..3 * 6 * 9 {
            let [b, o, r, c] = [i / 54, i / 9 % 6, i / 3 % 3, i % 3];
            let terms = (0..12).map(|t| {
                let [channel, p, q] = [t / 6, t / 3 % 2, t % 3];
                at(&x, &[b, o / 3 * 2 + channel, r + 2 * p, 2 * c + q]) * at(&kernel, &[o, channel, p, q])
            });
            assert_eq!(at(&y, &[b, o, r, c]), terms.sum::<i64>());
        }
    }

    #[test]
    fn both_transposes() {
        let (of, x, kernel) = example();
        let kernels = kernel.expand_dims(0).broadcast_to(&[3, 6, 2, 2, 3]);
        let y = of.apply(&x, &kernels, 1);
        let ct = counting(y.dims(), 2);
        assert_eq!(dot(&y, &ct), dot(&x, &of.pull(&ct, &kernels, 1)));
        let sums = of.weigh(&x, &ct, 0, &[0..1, 1..3]);
        assert_eq!(dot(&y, &ct), sums.iter().map(|sum| dot(&kernel, sum)).sum::<i64>());
        let each = of.weigh(&x.expand_dims(1), &ct.expand_dims(1), 1, std::slice::from_ref(&(0..1)));
        assert_eq!(each[0].dims(), [3, 6, 2, 2, 3]);
        assert_eq!(dot(&y, &ct), dot(&kernels, &each[0]));
    }

    #[test]
    fn images_smaller_than_a_window() {
        let (of, _, kernel) = example();
        let of = Convolution { sizes: [5, 2].into_iter().collect(), ..of };
        let y = of.apply(&counting(&[4, 5, 2], 1), &kernel, 0);
        assert_eq!(y.dims(), [6, 3, 0]);
        assert_eq!(of.pull(&y, &kernel, 0).to_vec::<i64>(), [0; 40]);
    }
}
