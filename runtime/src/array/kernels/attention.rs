//! Attention of many heads, each by itself.

use axisgrad_collectives::Pool;

use super::heads::{Head, Pulled, Rows, RowsMut, backward, forward};
use crate::array::number::Inexact;
use crate::array::{Array, Dims, threads};
use crate::dtype::{Real, Scalar, dispatch};

/// The settings of attention.
#[derive(Clone, Copy, Debug)]
pub struct Attend {
    /// What scores are multiplied by.
    pub scale: f64,
    /// Whether query `i` sees keys `0..=i` only.
    pub causal: bool,
}

impl Attend {
    /// `softmax(q·kᵀ·scale)·v` of each head: `T[..,h,t,d], T[..,g,s,d], T[..,g,s,e] -> T[..,h,t,e]` for floats. Each head
    /// of keys and values serves `h/g` neighbouring heads of queries; no dim is 0, but those in front.
    ///
    /// The result lies in memory as `T[..,t,h,e]`: what the heads give to a place lies together.
    pub fn apply(self, operands: [&Array; 3]) -> Array {
        let [q, ..] = operands;
        dispatch!(q.dtype() in [float], T => self.forward::<T>(operands))
    }

    /// The cotangents of the operands of [`apply`](Self::apply), from that of the result; they lie in memory as it does.
    pub fn pull(self, operands: [&Array; 3], ct: &Array) -> [Array; 3] {
        let [q, k, v] = operands;
        dispatch!(q.dtype() in [float], T => self.backward::<T>([q, k, v, ct]))
    }

    fn forward<T: Real + Inexact>(self, operands: [&Array; 3]) -> Array {
        let pool = threads::pool_of(operands);
        let heads = operands.map(Heads::new);
        let [q, k, v] = &heads;
        let (head, group) = (self.head([q, k, v]), q.count() / k.count());
        let (width, each) = (q.count() * head.value, head.queries * q.count() * head.value);
        let mut buffer = pool.alloc::<T>(q.starts.len() * each);
        let part = part(pool, &head, q) * each;
        threads::split(pool, buffer.as_mut_slice::<T>(), part, |start, out| {
            let mut memory = pool.alloc::<T>(head.memory());
            let (memory, first) = (memory.as_mut_slice(), start / each);
            for (i, out) in out.chunks_exact_mut(each).enumerate() {
                for h in 0..q.count() {
                    let kv = [k, v].map(|x| x.rows(first + i, h / group));
                    let out = RowsMut { data: &mut out[h * head.value..], stride: width };
                    forward(head, q.rows(first + i, h), kv, h % group > 0, out, memory);
                }
            }
        });
        q.by_head(Array::from_written::<T>(q.dims_by_place(head.value), buffer))
    }

    fn backward<T: Real + Inexact>(self, operands: [&Array; 4]) -> [Array; 3] {
        let pool = threads::pool_of(operands);
        let heads = operands.map(Heads::new);
        let [q, k, v, ct] = &heads;
        let head = self.head([q, k, v]);
        let each = [q, k, v].map(|x| x.matrix().iter().product::<usize>() * x.count());
        let mut buffers = each.map(|each| pool.alloc::<T>(q.starts.len() * each));
        let examples = part(pool, &head, q);
        let outs = buffers.each_mut().map(|buffer| buffer.as_mut_slice::<T>());
        threads::split_each(pool, outs, each.map(|each| examples * each), |number, outs| {
            let mut memory = pool.alloc::<T>(head.memory());
            let [dq, dk, dv] = outs;
            let cut = dq.chunks_exact_mut(each[0]).zip(dk.chunks_exact_mut(each[1]));
            for (i, ((dq, dk), dv)) in cut.zip(dv.chunks_exact_mut(each[2])).enumerate() {
                let example = number * examples + i;
                pull_example(head, [q, k, v, ct], example, [dq, dk, dv], memory.as_mut_slice());
            }
        });
        let mut buffers = buffers.into_iter();
        [q, k, v].map(|x| {
            let buffer = buffers.next().expect("one for each");
            x.by_head(Array::from_written::<T>(x.dims_by_place(x.matrix()[1]), buffer))
        })
    }

    fn head<T: Scalar>(self, [q, k, v]: [&Heads; 3]) -> Head<T> {
        let ([queries, width], [keys, value]) = (q.matrix(), v.matrix());
        debug_assert_eq!(k.matrix(), [keys, width]);
        Head { queries, keys, width, value, scale: T::from_f64(self.scale), causal: self.causal }
    }
}

/// The cotangents of one example's heads.
fn pull_example<T: Real + Inexact>(
    head: Head<T>,
    [q, k, v, ct]: [&Heads; 4],
    example: usize,
    [dq, dk, dv]: [&mut [T]; 3],
    memory: &mut [T],
) {
    let group = q.count() / k.count();
    let strides = [q.count() * head.width, k.count() * head.width, k.count() * head.value];
    for h in 0..q.count() {
        let (shared, in_group) = (h / group, h % group);
        let at = Pulled {
            q: q.rows(example, h),
            k: k.rows(example, shared),
            v: v.rows(example, shared),
            ct: ct.rows(example, h),
            dq: RowsMut { data: &mut dq[h * head.width..], stride: strides[0] },
            dk: RowsMut { data: &mut dk[shared * head.width..], stride: strides[1] },
            dv: RowsMut { data: &mut dv[shared * head.value..], stride: strides[2] },
        };
        backward(head, at, [in_group == 0, in_group + 1 == group], memory);
    }
}

/// How many examples a thread takes at once.
fn part<T>(pool: &Pool, head: &Head<T>, q: &Heads) -> usize {
    let products = q.starts.len() * q.count() * head.queries * head.keys * (head.width + head.value);
    threads::part(pool, q.starts.len(), products, threads::PRODUCTS)
}

/// An array `T[..,heads,rows,columns]` whose rows lie in order.
struct Heads {
    array: Array,
    /// Where the first head of each example lies in the buffer.
    starts: Vec<usize>,
}

impl Heads {
    fn new(x: &Array) -> Self {
        let [.., row, column] = x.strides() else { unreachable!("matrices") };
        let in_order = *row >= 0 && (*column == 1 || x.dims().ends_with(&[1]));
        let array = if in_order { x.clone() } else { x.contiguous() };
        let mut starts = vec![array.offset() as isize];
        for (&dim, &stride) in array.dims().iter().zip(array.strides()).take(array.ndim() - 3) {
            let along = |&start: &isize| (0..dim as isize).map(move |i| start + i * stride);
            starts = starts.iter().flat_map(along).collect();
        }
        Self { starts: starts.into_iter().map(|start| start as usize).collect(), array }
    }

    fn count(&self) -> usize {
        self.array.dims()[self.array.ndim() - 3]
    }

    fn matrix(&self) -> [usize; 2] {
        *self.array.dims().last_chunk().expect("matrices")
    }

    fn rows<T: Scalar>(&self, example: usize, head: usize) -> Rows<'_, T> {
        let [stride, row, _] = *self.array.strides().last_chunk().expect("heads");
        let at = self.starts[example] as isize + head as isize * stride;
        Rows { data: &self.array.data()[at as usize..], row_stride: row as usize, column_stride: 1 }
    }

    /// The dims of an array that has `columns` for each head of each place.
    fn dims_by_place(&self, columns: usize) -> Dims {
        let mut dims = Dims::from_slice(self.array.dims());
        let n = dims.len();
        dims.swap(n - 3, n - 2);
        dims[n - 1] = columns;
        dims
    }

    /// `T[..,rows,heads,columns]` as `T[..,heads,rows,columns]`.
    fn by_head(&self, x: Array) -> Array {
        let mut order: Dims = (0..x.ndim()).collect();
        let n = order.len();
        order.swap(n - 3, n - 2);
        x.permute(&order)
    }
}
