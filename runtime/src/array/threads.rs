//! Threads of a kernel: they come with the pool that its memory is from.
//!
//! A worker with cores to spare leaves threads with its pool; a kernel whose result comes from such a pool cuts
//! the *result* in ranges, and computes each as it would the whole. Since nothing is summed across a cut, the bits
//! are those of one thread.

use std::sync::Arc;
use std::thread::ThreadId;

use axisgrad_collectives::Pool;
use rayon::ThreadPool;
use rayon::prelude::*;

use super::Array;

/// Elements read or written from which on threads save time.
pub(crate) const ELEMENTS: usize = 1 << 16;
/// Multiplications from which on threads save time.
pub(crate) const PRODUCTS: usize = 1 << 20;

/// What a worker leaves with its pool.
struct Owner {
    thread: ThreadId,
    /// Those of its kernels, if they have more than its own.
    threads: Option<ThreadPool>,
}

thread_local! {
    static THIS: ThreadId = std::thread::current().id();
}

/// Makes `pool` that of the worker on this thread, whose kernels use so many threads; a pool keeps its first owner.
///
/// Where the system has no threads to give, kernels go on as they are.
pub(crate) fn attach(pool: &Pool, threads: usize) {
    if pool.attachment::<Owner>().is_none() {
        let name = |i| format!("kernel {i}");
        let build = || rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build().ok();
        let threads = (threads > 1).then(build).flatten();
        pool.attach(Arc::new(Owner { thread: THIS.with(ThreadId::clone), threads }));
    }
}

fn is_own(pool: &Pool) -> bool {
    pool.attachment::<Owner>().is_some_and(|owner| THIS.with(|this| owner.thread == *this))
}

fn of(pool: &Pool) -> Option<&ThreadPool> {
    pool.attachment::<Owner>()?.threads.as_ref()
}

/// Where the result of these operands comes from: this worker's pool, if one is from there, else that of the one with the
/// most memory. What a training step frees must be there for what it makes next: in the pool of a weight, or of the
/// worker that summed its gradient, others would not find it.
pub(crate) fn pool_of<const N: usize>(operands: [&Array; N]) -> &Pool {
    let rank = |a: &&&Array| (is_own(a.pool()), a.memory());
    operands.iter().max_by_key(rank).expect("an operand").pool()
}

/// How many of `rows` a thread takes at once; all of them if there is less than `least` to do.
pub(crate) fn part(pool: &Pool, rows: usize, work: usize, least: usize) -> usize {
    let threads = if work < least { None } else { of(pool) };
    threads.map_or(rows, |threads| rows.div_ceil(threads.current_num_threads()))
}

/// Calls `body` for ranges of `part` elements of `out`, with where each begins; on the pool's threads, if it has any
/// and there is more than one range. `body` must not wait for other workers.
pub(crate) fn split<T: Send>(pool: &Pool, out: &mut [T], part: usize, body: impl Fn(usize, &mut [T]) + Sync) {
    split_by(pool, out, part, &body);
}

/// As [`split`], compiled once for all of the hundreds of kernels.
#[inline(never)]
fn split_by<T: Send>(pool: &Pool, out: &mut [T], part: usize, body: &(dyn Fn(usize, &mut [T]) + Sync)) {
    match of(pool) {
        Some(threads) if part < out.len() => threads.install(|| {
            out.par_chunks_mut(part).enumerate().for_each(|(i, out)| body(i * part, out));
        }),
        _ => body(0, out),
    }
}

/// As [`split`], for results of one length that are written side by side.
pub(crate) fn split_together<T: Send, const N: usize>(
    pool: &Pool,
    outs: [&mut [T]; N],
    part: usize,
    body: impl Fn(usize, [&mut [T]; N]) + Sync,
) {
    split_each(pool, outs, [part; N], |number, outs| body(number * part, outs));
}

/// As [`split_together`], where each result is cut in ranges of its own length; `body` gets their number.
pub(crate) fn split_each<T: Send, const N: usize>(
    pool: &Pool,
    outs: [&mut [T]; N],
    parts: [usize; N],
    body: impl Fn(usize, [&mut [T]; N]) + Sync,
) {
    match of(pool) {
        Some(threads) if parts[0] < outs[0].len() => {
            let count = outs[0].len().div_ceil(parts[0]);
            let mut lengths = parts.into_iter();
            let mut ranges = outs.map(|out| out.chunks_mut(lengths.next().expect("a length for each")));
            let ranges: Vec<_> = (0..count)
                .map(|number| (number, ranges.each_mut().map(|ranges| ranges.next().expect("a range"))))
                .collect();
            threads.install(|| ranges.into_par_iter().for_each(|(number, outs)| body(number, outs)));
        }
        _ => body(0, outs),
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::super::kernels::{
        AdamRates, DotDims, LaneBlocks, Pairs, RowDims, adam, copy, dot, dot_block_partials,
        dot_tree_partials, map1, map2, map3, max, sum, take_rows,
    };
    use super::*;
    use crate::dtype::DType;

    /// An array whose pool has so many threads; with one it is no worker's.
    fn rough(dtype: DType, dims: &[usize], threads: usize) -> Array {
        let len: usize = dims.iter().product();
        let data = (0..len).map(|i| ((i * 7919) % 2003) as f64 / 1001.5 - 1.0).collect();
        let pool = Pool::new();
        if threads > 1 {
            attach(&pool, threads);
        }
        super::super::kernels::cast(&Array::from_vec(data, dims), dtype).copied_to(&pool)
    }

    fn bytes(a: &Array) -> Vec<u8> {
        a.contiguous_buffer().bytes().to_vec()
    }

    /// With two and three threads the results are those of one, and are made by so many.
    fn same_bits(results: impl Fn(usize) -> Vec<Array>) {
        let alone = results(1);
        for threads in [2, 3] {
            for (i, (one, many)) in alone.iter().zip(results(threads)).enumerate() {
                assert!(of(one.pool()).is_none());
                assert_eq!(of(many.pool()).expect("threads").current_num_threads(), threads);
                assert_eq!(one.dims(), many.dims());
                assert!(bytes(one) == bytes(&many), "result {i} of {threads} threads");
            }
        }
    }

    #[test]
    fn maps() {
        same_bits(|threads| {
            let a = rough(DType::F32, &[129, 700], threads);
            let (bias, column) = (rough(DType::F32, &[700], 1), rough(DType::F32, &[129, 1], 1));
            vec![
                map1(&a, |x: f32| x.exp()),
                map2(&a, &bias, |x: f32, y: f32| x / y),
                map3(&a, &bias, &column, |x: f32, y: f32, z: f32| x.mul_add(y, z)),
                copy(&a.permute(&[1, 0])),
                copy(&a.flip(1)),
                copy(&rough(DType::Bool, &[70_001], threads)),
            ]
        });
    }

    #[test]
    fn reductions() {
        same_bits(|threads| {
            let a = rough(DType::F64, &[41, 50, 47], threads);
            let some = [vec![0], vec![1], vec![2], vec![0, 1], vec![0, 2], vec![1, 2], vec![0, 1, 2]];
            let sums = some.iter().map(|dims| sum(&a, dims));
            sums.chain([max(&a.flip(2), &[1]), sum(&a.permute(&[2, 0, 1]), &[2])]).collect()
        });
    }

    #[test]
    fn products() {
        let pair = |batch: &[_], contract| DotDims {
            batch: Pairs::from_slice(batch),
            contract: smallvec![contract],
        };
        for dtype in [DType::F32, DType::C64, DType::I32] {
            same_bits(|threads| {
                let shared = |dims: &[usize]| rough(dtype, dims, 1).broadcast_to(&[&[64], dims].concat());
                let own = |dims: &[usize]| rough(dtype, &[&[64], dims].concat(), threads);
                vec![
                    dot(&own(&[300]), &shared(&[300, 70]), &pair(&[(0, 0)], (1, 1))),
                    dot(&own(&[5, 70]), &own(&[70, 71]), &pair(&[(0, 0)], (2, 1))),
                    dot(&own(&[7, 70]), &shared(&[71, 70]), &pair(&[(0, 0)], (2, 2))),
                    dot(&own(&[1000]), &own(&[1000]), &pair(&[], (1, 1))),
                    dot(&own(&[17_000]), &shared(&[17_000]), &pair(&[(0, 0)], (1, 1))),
                ]
            });
        }
    }

    #[test]
    fn interleaved_products() {
        same_bits(|threads| {
            // The left operand's outer batch dim becomes rows, and its inner one does not.
            let weights = rough(DType::F32, &[6, 90, 50], 1).broadcast_to(&[256, 6, 90, 50]);
            let dims = DotDims { batch: smallvec![(0, 0), (1, 1)], contract: smallvec![(2, 2)] };
            vec![dot(&rough(DType::F32, &[256, 6, 90], threads), &weights, &dims)]
        });
    }

    #[test]
    fn products_along_the_tree() {
        let blocks = LaneBlocks { first: 16, block: 8, blocks: 12 };
        let per_head = DotDims { batch: smallvec![(1, 1)], contract: smallvec![(0, 0)] };
        for dtype in [DType::F32, DType::F64, DType::C64] {
            same_bits(|threads| {
                let [a, b] = [[77, 3, 100], [77, 3, 50]].map(|dims| rough(dtype, &dims, threads));
                let lanes = DotDims { batch: smallvec![], contract: smallvec![(0, 0)] };
                let parts = [
                    dot_tree_partials(&a, &b, &lanes, 0, blocks),
                    dot_tree_partials(&a, &b, &per_head, 0, blocks),
                    dot_block_partials(&a, &b, &per_head, 0, blocks),
                ];
                parts.into_iter().flatten().map(|(_, part)| part).collect()
            });
        }
    }

    #[test]
    fn updates() {
        same_bits(|threads| {
            let [p, m, g] = [0, 1, 2].map(|_| rough(DType::F32, &[300, 300], threads));
            let rates =
                AdamRates { keep: [0.9, 0.99], scale: [2.0, 3.0], epsilon: 1e-8, step: [0.999, 0.01] };
            adam(&p, [&m, &map1(&m, |x: f32| x * x)], &g, rates).into()
        });
    }

    #[test]
    fn results_are_made_where_the_workers_operand_is() {
        let (workers, other) = (Pool::new(), Pool::new());
        attach(&workers, 1);
        std::thread::scope(|scope| drop(scope.spawn(|| attach(&other, 1))));
        let [x, ids] = [DType::F32, DType::I64].map(|dtype| Array::ones(dtype, [4]).copied_to(&workers));
        let weight = Array::ones(DType::F32, [40, 4]).copied_to(&other);
        let dims = DotDims { batch: smallvec![], contract: smallvec![(1, 0)] };
        let rows = take_rows::<f32>(&weight, &ids, RowDims { batch: 0, dim: 0 }, 0.0);
        for result in [dot(&weight, &x, &dims), map2(&weight, &x, |w: f32, x: f32| w + x), rows] {
            assert!(is_own(result.pool()));
        }
        // Between others it is the one with more memory, however often a smaller one is repeated.
        let repeated = Array::ones(DType::F32, [4]).broadcast_to(&[1000, 4]);
        assert!(std::ptr::eq(pool_of([&repeated, &weight]), weight.pool()));
    }

    #[test]
    fn ranges_are_all_of_it_and_small_work_stays_whole() {
        let pool = Pool::new();
        assert_eq!(part(&pool, 10, ELEMENTS, ELEMENTS), 10);
        attach(&pool, 3);
        assert_eq!(part(&pool, 10, ELEMENTS, ELEMENTS), 4);
        assert_eq!(part(&pool, 10, ELEMENTS - 1, ELEMENTS), 10);
        let mut out = [0; 10];
        split(&pool, &mut out, 4, |start, out| out.iter_mut().zip(start..).for_each(|(x, i)| *x = i));
        assert_eq!(out, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
}
