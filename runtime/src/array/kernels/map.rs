//! Elementwise functions of one, two and three operands.

use super::nest::{Nest, Row, broadcast_dims};
use super::vectors::{Loop, widest};
use crate::array::{Array, threads};
use crate::dtype::{DType, Scalar, bf16, dispatch};

/// Elements that go through the inner loop at once where an operand does not lie in order: it is put in order first,
/// so that there is one loop for all layouts. There are hundreds of functions, and each loop of each is compiled.
const CHUNK: usize = 256;

/// A function of one element of each operand, given as a tuple.
///
/// Closures are such functions. What is more than a few instructions is better a type with an
/// `#[inline(always)] fn at`: only what is inlined into a loop is compiled for the widest vectors.
pub trait Each<X>: Sync {
    /// What the function gives.
    type To: Scalar;

    /// Its value.
    fn at(&self, x: X) -> Self::To;
}

impl<A, U: Scalar, F: Fn(A) -> U + Sync> Each<(A,)> for F {
    type To = U;
    #[inline(always)]
    fn at(&self, (a,): (A,)) -> U {
        self(a)
    }
}

impl<A, B, U: Scalar, F: Fn(A, B) -> U + Sync> Each<(A, B)> for F {
    type To = U;
    #[inline(always)]
    fn at(&self, (a, b): (A, B)) -> U {
        self(a, b)
    }
}

impl<A, B, C, U: Scalar, F: Fn(A, B, C) -> U + Sync> Each<(A, B, C)> for F {
    type To = U;
    #[inline(always)]
    fn at(&self, (a, b, c): (A, B, C)) -> U {
        self(a, b, c)
    }
}

/// `f` of every element: `T[dims] -> U[dims]`.
///
/// # Panics
/// If the elements are not of type `T`.
pub fn map1<T: Scalar, F: Each<(T,)>>(a: &Array, f: F) -> Array {
    chunks1(a, &|out, a| run(All { out, x: (a,), f: &f }))
}

/// `f` of every two elements, broadcast: `A[..], B[..] -> U[..]`.
///
/// # Panics
/// If the elements are not of types `A` and `B`, or the dims do not broadcast.
pub fn map2<A: Scalar, B: Scalar, F: Each<(A, B)>>(a: &Array, b: &Array, f: F) -> Array {
    chunks2(a, b, &|out, a, b| run(All { out, x: (a, b), f: &f }))
}

/// `f` of every three elements, broadcast: `A[..], B[..], C[..] -> U[..]`.
///
/// # Panics
/// If the elements are not of types `A`, `B` and `C`, or the dims do not broadcast.
pub fn map3<A: Scalar, B: Scalar, C: Scalar, F: Each<(A, B, C)>>(
    a: &Array,
    b: &Array,
    c: &Array,
    f: F,
) -> Array {
    chunks3(a, b, c, &|out, a, b, c| run(All { out, x: (a, b, c), f: &f }))
}

/// What `body` writes for the elements of each run, or of [`CHUNK`] of them. Compiled once for a type, not for a function.
///
/// # Panics
/// If the elements are not of type `T`.
#[inline(never)]
pub(crate) fn chunks1<T: Scalar, U: Scalar>(a: &Array, body: &(dyn Fn(&mut [U], &[T]) + Sync)) -> Array {
    let data = a.data::<T>();
    fill(a.dims(), [a], &|out: &mut [U], [row], hold: &mut Vec<T>| {
        let run = Run::new(data, row, out.len());
        let size = chunk_size(out.len(), run.is_slice());
        for (i, out) in out.chunks_mut(size).enumerate() {
            body(out, run.chunk(i * size, out.len(), hold));
        }
    })
}

type Body2<'a, A, B, U> = &'a (dyn Fn(&mut [U], &[A], &[B]) + Sync);
type Body3<'a, A, B, C, U> = &'a (dyn Fn(&mut [U], &[A], &[B], &[C]) + Sync);

/// As [`chunks1`], of two operands that are broadcast.
#[inline(never)]
pub(crate) fn chunks2<A: Scalar, B: Scalar, U: Scalar>(
    a: &Array,
    b: &Array,
    body: Body2<'_, A, B, U>,
) -> Array {
    let (data_a, data_b) = (a.data::<A>(), b.data::<B>());
    fill(&broadcast_dims(&[a, b]), [a, b], &|out: &mut [U], [row_a, row_b], hold: &mut (Vec<A>, Vec<B>)| {
        let (a, b) = (Run::new(data_a, row_a, out.len()), Run::new(data_b, row_b, out.len()));
        let size = chunk_size(out.len(), a.is_slice() && b.is_slice());
        for (i, out) in out.chunks_mut(size).enumerate() {
            let (from, len) = (i * size, out.len());
            body(out, a.chunk(from, len, &mut hold.0), b.chunk(from, len, &mut hold.1));
        }
    })
}

/// As [`chunks1`], of three operands that are broadcast.
#[inline(never)]
pub(crate) fn chunks3<A: Scalar, B: Scalar, C: Scalar, U: Scalar>(
    a: &Array,
    b: &Array,
    c: &Array,
    body: Body3<'_, A, B, C, U>,
) -> Array {
    let (data_a, data_b, data_c) = (a.data::<A>(), b.data::<B>(), c.data::<C>());
    type Hold<A, B, C> = (Vec<A>, Vec<B>, Vec<C>);
    let dims = broadcast_dims(&[a, b, c]);
    fill(&dims, [a, b, c], &|out: &mut [U], [row_a, row_b, row_c], hold: &mut Hold<A, B, C>| {
        let len = out.len();
        let (a, b) = (Run::new(data_a, row_a, len), Run::new(data_b, row_b, len));
        let c = Run::new(data_c, row_c, len);
        let size = chunk_size(len, a.is_slice() && b.is_slice() && c.is_slice());
        for (i, out) in out.chunks_mut(size).enumerate() {
            let (from, len) = (i * size, out.len());
            let (a, b) = (a.chunk(from, len, &mut hold.0), b.chunk(from, len, &mut hold.1));
            body(out, a, b, c.chunk(from, len, &mut hold.2));
        }
    })
}

/// Of an inner loop of `len` elements, those that go through it at once.
fn chunk_size(len: usize, in_order: bool) -> usize {
    if in_order { len.max(1) } else { CHUNK }
}

/// The same elements in row-major order in new memory: `T[dims] -> T[dims]`.
pub fn copy(a: &Array) -> Array {
    dispatch!(a.dtype() in [stored], T => map1(a, |x: T| x))
}

/// Every element as the nearest value of another type; see [`Scalar::from_wide`] for what is nearest.
///
/// # Panics
/// If either type is `float0`.
pub fn cast(a: &Array, to: DType) -> Array {
    if a.dtype() == to {
        return a.clone();
    }
    // Types that no kernel computes in are reached through the one that they are computed in.
    match (a.dtype(), to) {
        (DType::BF16, _) => cast(&map1(a, |x: bf16| x.to_f32()), to),
        (DType::U32, _) => cast(&map1(a, |x: u32| u64::from(x)), to),
        (DType::F64, DType::BF16) => map1(a, |x: f64| bf16::from_f64(x)),
        (_, DType::BF16) => map1(&cast(a, DType::F32), |x: f32| bf16::from_f32(x)),
        (DType::F32 | DType::F64, DType::U32) => map1(&cast(a, DType::F64), |x: f64| x as u32),
        (_, DType::U32) => map1(&cast(a, DType::U64), |x: u64| x as u32),
        (from, to) => dispatch!(from, T => dispatch!(to, U => map1(a, |x: T| U::from_wide(x.wide())))),
    }
}

/// `f` of all elements of as many slices as it has operands.
struct All<'a, X, U, F> {
    out: &'a mut [U],
    x: X,
    f: &'a F,
}

impl<A: Scalar, F: Each<(A,)>> Loop for All<'_, (&[A],), F::To, F> {
    type Result = ();
    #[inline(always)]
    fn run(self) {
        for (out, &a) in self.out.iter_mut().zip(self.x.0) {
            *out = self.f.at((a,));
        }
    }
}

impl<A: Scalar, B: Scalar, F: Each<(A, B)>> Loop for All<'_, (&[A], &[B]), F::To, F> {
    type Result = ();
    #[inline(always)]
    fn run(self) {
        for ((out, &a), &b) in self.out.iter_mut().zip(self.x.0).zip(self.x.1) {
            *out = self.f.at((a, b));
        }
    }
}

impl<A: Scalar, B: Scalar, C: Scalar, F: Each<(A, B, C)>> Loop for All<'_, (&[A], &[B], &[C]), F::To, F> {
    type Result = ();
    #[inline(always)]
    fn run(self) {
        for (((out, &a), &b), &c) in self.out.iter_mut().zip(self.x.0).zip(self.x.1).zip(self.x.2) {
            *out = self.f.at((a, b, c));
        }
    }
}

/// Runs the loop: for floats there is one for each width of vectors.
fn run<'a, X, U: Scalar, F>(body: All<'a, X, U, F>)
where
    All<'a, X, U, F>: Loop<Result = ()>,
{
    if const { U::DTYPE.is_float() } { widest(body) } else { body.run() }
}

/// New memory of dims `dims`, each inner loop written by `body` from where the operands lie; a `Hold` is its to use
/// from loop to loop.
fn fill<U: Scalar, Hold: Default, const N: usize>(
    dims: &[usize],
    operands: [&Array; N],
    body: &(dyn Fn(&mut [U], Row<N>, &mut Hold) + Sync),
) -> Array {
    let nest = Nest::new(dims, operands);
    let pool = threads::pool_of(operands);
    let mut buffer = pool.alloc::<U>(dims.iter().product());
    let out = buffer.as_mut_slice::<U>();
    let part = threads::part(pool, out.len(), out.len(), threads::ELEMENTS);
    threads::split(pool, out, part, |start, out| {
        let mut hold = Hold::default();
        nest.for_range(start..start + out.len(), |run, at| body(&mut out[run], at, &mut hold));
    });
    Array::from_written::<U>(dims, buffer)
}

/// One operand of an inner loop.
enum Run<'a, T> {
    /// Neighbours in memory.
    Slice(&'a [T]),
    /// One element for the whole loop.
    Same(T),
    /// Every `step`-th element from `at`.
    Strided { data: &'a [T], at: usize, step: isize },
}

impl<'a, T: Scalar> Run<'a, T> {
    fn new(data: &'a [T], (at, step): (usize, isize), len: usize) -> Self {
        match step {
            1 => Self::Slice(&data[at..at + len]),
            0 => Self::Same(data[at]),
            _ => Self::Strided { data, at, step },
        }
    }

    fn is_slice(&self) -> bool {
        matches!(self, Self::Slice(_))
    }

    /// The elements `from..from + len`; in `hold` unless they are in order already.
    fn chunk<'b>(&'b self, from: usize, len: usize, hold: &'b mut Vec<T>) -> &'b [T] {
        if let Self::Slice(data) = self {
            return &data[from..from + len];
        }
        if hold.len() < len {
            hold.resize(len, T::ZERO);
        }
        match *self {
            Self::Slice(_) => {}
            // Filled by the first chunk of the loop, which is the longest.
            Self::Same(_) if from > 0 => {}
            Self::Same(x) => hold[..len].fill(x),
            Self::Strided { data, at, step } => {
                let mut at = at as isize + from as isize * step;
                for x in &mut hold[..len] {
                    *x = data[at as usize];
                    at += step;
                }
            }
        }
        &hold[..len]
    }
}

#[cfg(test)]
mod tests {
    use axisgrad_collectives::Pool;

    use super::*;

    fn layouts() -> Vec<Array> {
        let big = Array::from_vec((0..1200i32).collect(), [2, 300, 2]);
        vec![
            big.reshape(&[2, 600]),
            big.permute(&[0, 2, 1]).index(0, 1),
            big.index(1, 7),
            big.index(1, 8).flip(1),
            big.slice(1, 0, 300, 3).reshape(&[2, 200]),
            big.permute(&[2, 0, 1]).index(0, 0).slice(0, 1, 2, 1),
            Array::scalar(5i32).broadcast_to(&[2, 2]),
            Array::from([10i32, 20]),
            Array::scalar(3i32),
        ]
    }

    fn dims_mix(a: &Array, b: &Array) -> bool {
        a.dims().iter().rev().zip(b.dims().iter().rev()).all(|(x, y)| x == y || *x == 1 || *y == 1)
    }

    #[test]
    fn any_layouts_mix() {
        for a in &layouts() {
            assert_eq!(
                map1(a, |x: i32| x + 1).to_vec::<i32>(),
                a.to_vec::<i32>().iter().map(|x| x + 1).collect::<Vec<_>>()
            );
            for b in layouts().iter().filter(|b| dims_mix(a, b)) {
                let dims = broadcast_dims(&[a, b]);
                let (x, y) = (a.broadcast_to(&dims).to_vec::<i32>(), b.broadcast_to(&dims).to_vec::<i32>());
                let two: Vec<i32> = x.iter().zip(&y).map(|(x, y)| x * 1000 - y).collect();
                assert_eq!(map2(a, b, |x: i32, y: i32| x * 1000 - y).to_vec::<i32>(), two);
                let c = map1(b, |y: i32| y % 2 == 0);
                let three: Vec<i32> =
                    x.iter().zip(&y).map(|(x, y)| if y % 2 == 0 { *x } else { *y }).collect();
                let chosen = map3(&c, a, b, |c: bool, x: i32, y: i32| if c { x } else { y });
                assert_eq!((chosen.dims(), chosen.to_vec::<i32>()), (&dims[..], three));
            }
        }
    }

    #[test]
    fn types_change() {
        let a = Array::from([-1.5f32, 0.0, 300.7]);
        assert_eq!(cast(&a, DType::U8).to_vec::<u8>(), [0, 0, 255]);
        assert_eq!(cast(&a, DType::Bool).to_vec::<bool>(), [true, false, true]);
        assert_eq!(cast(&cast(&a, DType::C128), DType::F32).to_vec::<f32>(), a.to_vec::<f32>());
    }

    #[test]
    fn results_come_from_the_operands_pool() {
        let pool = Pool::new();
        let freed = map1(&Array::from_slice_in(&pool, &[1.0f32; 100], [100]), |x: f32| x);
        let at = freed.contiguous_buffer().bytes().as_ptr();
        drop(freed);
        let again = map2(
            &Array::from_slice_in(&pool, &[1.0f32; 100], [100]),
            &Array::from(2.0f32),
            |x: f32, y: f32| x * y,
        );
        let reused = [
            again.contiguous_buffer().bytes().as_ptr() == at,
            again.pool().alloc::<f32>(100).bytes_mut().as_ptr() == at,
        ];
        assert!(reused.contains(&true));
    }

    #[test]
    #[should_panic(expected = "dims 2 and 3 do not broadcast")]
    fn dims_must_broadcast() {
        map2(&Array::from([1i32, 2]), &Array::from([1i32, 2, 3]), |x: i32, y: i32| x + y);
    }

    #[test]
    fn empty_arrays_stay_empty() {
        let none = Array::zeros(DType::F32, [0, 3]);
        assert_eq!(map2(&none, &Array::from(1.0f32), |x: f32, y: f32| x + y).dims(), [0, 3]);
    }
}
