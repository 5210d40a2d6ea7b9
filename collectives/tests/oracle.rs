//! Every collective against a naive one that sees all members' data, for every placement of the members.

use std::fmt::Debug;
use std::ops::Range;
use std::time::Duration;

use axisgrad_collectives::axis::{blocks, share_of_blocks};
use axisgrad_collectives::collective::tree::cover;
use axisgrad_collectives::{
    Buffer, Call, Element, Error, Group, Mesh, MeshBuilder, Node, Part, Partial, Reduction, Worker,
};
use num_complex::Complex;
use proptest::prelude::*;

/// (ranks, threads): ranks are played by groups of threads that exchange messages.
const PLACEMENTS: [(usize, usize); 10] =
    [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (2, 1), (2, 2), (2, 3), (3, 2), (4, 1)];

/// The placements of exactly so many workers.
fn placements(workers: usize) -> Vec<(usize, usize)> {
    (1..=workers)
        .filter(|ranks| workers.is_multiple_of(*ranks))
        .map(|ranks| (ranks, workers / ranks))
        .collect()
}

fn mesh((ranks, threads): (usize, usize)) -> Mesh {
    let builder = Mesh::builder().axes(["batch"]).threads(threads);
    if ranks == 1 { builder.build().unwrap() } else { builder.simulated_ranks(ranks).build().unwrap() }
}

/// Ranks that share no memory, as those of several machines.
fn apart(ranks: usize, threads: usize) -> MeshBuilder {
    Mesh::builder().axes(["batch"]).simulated_ranks(ranks).threads(threads).shared_memory(false)
}

/// Runs the program under a placement and returns what each member got.
fn run<R: Send>(
    placement: (usize, usize),
    program: impl Fn(&Worker, &Group) -> Result<R, Error> + Sync,
) -> Vec<R> {
    mesh(placement).run_all(|w| program(w, &w.group(&["batch"])?)).unwrap()
}

/// Elements that differ by member and place, and whose sums round.
trait Sample: Element {
    fn sample(member: usize, i: usize) -> Self;
}

fn noise(member: usize, i: usize) -> u64 {
    let mut x = (member as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        ^ (i as u64 + 7).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^= x >> 29;
    x.wrapping_mul(0x94D0_49BB_1331_11EB)
}

macro_rules! samples {
    ($($t:ty: $x:ident => $value:expr),* $(,)?) => {$(
        impl Sample for $t {
            fn sample(member: usize, i: usize) -> Self { let $x = noise(member, i); $value }
        }
    )*};
}
samples! {
    f32: x => (x >> 40) as f32 / 1e3 - 8e3,
    f64: x => (x >> 11) as f64 / 1e9 - 4e6,
    Complex<f32>: x => Complex::new((x >> 40) as f32 / 1e3, (x >> 50) as f32),
    Complex<f64>: x => Complex::new((x >> 11) as f64 / 1e9, (x >> 50) as f64),
    i32: x => x as i32,
    i64: x => x as i64,
    u8: x => (x >> 56) as u8,
    bool: x => x >> 62 == 3,
}

fn samples<T: Sample>(member: usize, len: usize) -> Vec<T> {
    (0..len).map(|i| T::sample(member, i)).collect()
}

/// The tree, read off its definition: `leaves[node]`, combined pairwise.
fn tree<T: Element>(reduction: Reduction, leaves: &[Vec<T>], node: Node) -> Vec<T> {
    let range = node.range(leaves.len() as u64);
    if range.end - range.start == 1 {
        return leaves[range.start as usize].clone();
    }
    let half = |side| Node { level: node.level - 1, index: node.index * 2 + side };
    let left = tree(reduction, leaves, half(0));
    if half(1).range(leaves.len() as u64).is_empty() {
        return left;
    }
    let mut out = left.clone();
    T::combine(reduction).unwrap()(&mut out, &left, &tree(reduction, leaves, half(1)));
    out
}

fn reduced<T: Element>(reduction: Reduction, leaves: &[Vec<T>]) -> Vec<T> {
    tree(reduction, leaves, Node::root(leaves.len() as u64))
}

/// The partials that the owner of some leaves brings.
fn partials<T: Sample>(
    w: &Worker,
    reduction: Reduction,
    leaves: &[Vec<T>],
    mine: Range<u64>,
) -> Vec<Partial> {
    let nodes = cover(mine, leaves.len() as u64).into_iter();
    nodes.map(|node| Partial { node, data: w.pool().copy_of(&tree(reduction, leaves, node)) }).collect()
}

fn same_bits<T: Element>(got: &Buffer, expected: &[T], what: impl Debug) {
    let expected = axisgrad_collectives::buffer::bytes_of(expected);
    assert!(got.bytes() == expected, "{what:?}");
}

fn check_reductions<T: Sample>(reductions: &[Reduction]) {
    for placement in PLACEMENTS {
        let members = placement.0 * placement.1;
        for (len, &reduction) in [0, 1, 7, 5000].into_iter().zip(reductions.iter().cycle()) {
            let leaves: Vec<Vec<T>> = (0..members).map(|member| samples(member, len)).collect();
            let expected = reduced(reduction, &leaves);
            let results = run(placement, |w, group| {
                let mine = w.pool().copy_of(&leaves[w.index()]);
                group.all_reduce::<T>(&Call::here("psum"), reduction, mine)
            });
            results.iter().for_each(|got| same_bits(got, &expected, (placement, len, reduction)));
        }
    }
}

#[test]
fn all_reduce_of_every_type() {
    use Reduction::*;
    check_reductions::<f32>(&[Sum, Prod, Max, Min]);
    check_reductions::<f32>(&[Max, Min, Prod, Sum]);
    check_reductions::<f64>(&[Prod, Max, Min, Sum]);
    check_reductions::<Complex<f32>>(&[Prod, Sum]);
    check_reductions::<Complex<f64>>(&[Prod, Sum]);
    check_reductions::<i32>(&[Sum, Prod, Max, Min, And, Or]);
    check_reductions::<i64>(&[And, Or, Max, Min, Sum]);
    check_reductions::<u8>(&[Or, And, Sum, Max]);
    check_reductions::<bool>(&[And, Or, Max, Min]);
}

fn check_gather<T: Sample>() {
    for placement in PLACEMENTS {
        let results = run(placement, |w, group| {
            let parts = group.all_gather::<T>(
                &Call::here("all_gather"),
                w.pool().copy_of(&samples::<T>(w.index(), w.index() * 3 % 5)),
            )?;
            Ok(parts.iter().map(|part| part.as_slice::<T>().to_vec()).collect::<Vec<_>>())
        });
        let members = placement.0 * placement.1;
        let expected: Vec<Vec<T>> = (0..members).map(|member| samples(member, member * 3 % 5)).collect();
        assert!(results.iter().all(|got| *got == expected), "{placement:?}");
    }
}

#[test]
fn all_gather_of_every_type_uneven() {
    check_gather::<f32>();
    check_gather::<f64>();
    check_gather::<Complex<f32>>();
    check_gather::<Complex<f64>>();
    check_gather::<i32>();
    check_gather::<i64>();
    check_gather::<u8>();
    check_gather::<bool>();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// The same bits for every placement, whatever the lengths and however few the blocks.
    #[test]
    fn reductions_along_the_tree(
        workers in 1usize..7,
        positions in 0u64..300,
        len in prop_oneof![Just(0usize), 1usize..40, 3000usize..9000],
        cuts in prop::collection::vec(0.0f64..1.0, 6),
    ) {
        let leaves: Vec<Vec<f32>> = (0..blocks(positions, 32)).map(|leaf| samples(leaf as usize, len)).collect();
        let expected = if leaves.is_empty() { vec![0.0; len] } else { reduced(Reduction::Sum, &leaves) };
        let mut ends: Vec<usize> = cuts[..workers - 1].iter().map(|cut| (cut * len as f64) as usize).collect();
        ends.push(len);
        ends.sort();
        let starts: Vec<usize> = std::iter::once(0).chain(ends.iter().copied()).collect();
        let counts: Vec<usize> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        for placement in placements(workers) {
            let results = run(placement, |w, group| {
                let mine = share_of_blocks(positions, 32, workers, w.index());
                let partials = partials(w, Reduction::Sum, &leaves, mine);
                let n = leaves.len() as u64;
                let call = Call::here("psum");
                let all = group.all_reduce_tree::<f32>(&call, Reduction::Sum, n, len, partials.clone())?;
                let part = group.reduce_scatter_tree::<f32>(&call, Reduction::Sum, n, partials, &counts)?;
                Ok((all, part))
            });
            for (member, (all, part)) in results.iter().enumerate() {
                same_bits(all, &expected, ("all_reduce", placement));
                same_bits(part, &expected[starts[member]..ends[member]], ("reduce_scatter", placement, &counts));
            }
        }
    }

    /// Ranks that share no memory, few and many, whoever has which leaves: some have several that do not join, some none.
    #[test]
    fn reductions_among_ranks_of_several_machines(
        ranks in prop_oneof![1usize..=11, 17usize..=20],
        threads in 1usize..=2,
        owners in prop::collection::vec(0usize..40, 1..40),
        in_order in any::<bool>(),
        len in prop_oneof![Just(0usize), 1usize..40, 3000usize..9000, 30_000usize..60_000],
    ) {
        let workers = ranks * threads;
        let mut owners: Vec<usize> = owners.into_iter().map(|owner| owner % workers).collect();
        if in_order {
            owners.sort();
        }
        let leaves: Vec<Vec<f32>> = (0..owners.len()).map(|leaf| samples(leaf, len)).collect();
        let expected = reduced(Reduction::Sum, &leaves);
        let mesh = apart(ranks, threads).build().unwrap();
        let sums = mesh.run_all(|w| {
            let mine = (0..owners.len()).filter(|&leaf| owners[leaf] == w.index());
            let partial = |leaf: usize| Partial { node: Node::leaf(leaf as u64), data: w.pool().copy_of(&leaves[leaf]) };
            let (n, call) = (owners.len() as u64, Call::here("psum"));
            w.group(&["batch"])?.all_reduce_tree::<f32>(&call, Reduction::Sum, n, len, mine.map(partial).collect())
        });
        sums.unwrap().iter().for_each(|got| same_bits(got, &expected, (ranks, threads, &owners, len)));
    }

    #[test]
    fn all_to_all_of_uneven_parts(workers in 1usize..7, lens in prop::collection::vec(0usize..9, 36)) {
        let len = |from: usize, to: usize| lens[from * 6 + to];
        for placement in placements(workers) {
            let results = run(placement, |w, group| {
                let parts = (0..workers).map(|to| {
                    let data = w.pool().copy_of(&samples::<i64>(w.index() * 10 + to, len(w.index(), to)));
                    // Several pieces for one destination arrive in order.
                    let cut = len(w.index(), to) / 2;
                    let end = len(w.index(), to);
                    [Part::elements::<i64>(&data, 0..cut), Part::elements::<i64>(&data, cut..end)].into_iter().collect()
                });
                let got = group.all_to_all::<i64>(&Call::here("all_to_all"), parts.collect())?;
                Ok(got.iter().map(|parts| parts.iter().flat_map(|part| part.as_slice::<i64>().to_vec()).collect()).collect::<Vec<Vec<_>>>())
            });
            for (member, got) in results.iter().enumerate() {
                for (from, got) in got.iter().enumerate() {
                    prop_assert_eq!(got, &samples::<i64>(from * 10 + member, len(from, member)));
                }
            }
        }
    }

    #[test]
    fn broadcast_and_permute(workers in 1usize..7, root in 0usize..6, shift in 0usize..6, len in 0usize..50) {
        let (root, shift) = (root % workers, shift % workers);
        // A rotation without the pair that starts at the root.
        let perm: Vec<_> = (0..workers).filter(|&from| from != root).map(|from| (from, (from + shift) % workers)).collect();
        for placement in placements(workers) {
            let results = run(placement, |w, group| {
                let mine = w.pool().copy_of(&samples::<u8>(w.index(), len));
                let all = group.broadcast::<u8>(&Call::here("broadcast"), root, mine.clone())?;
                group.barrier(&Call::here("barrier"))?;
                Ok((all, group.permute::<u8>(&Call::here("ppermute"), mine, &perm)?))
            });
            for (member, (all, one)) in results.iter().enumerate() {
                same_bits(all, &samples::<u8>(root, len), ("broadcast", placement));
                let from = perm.iter().find(|(_, to)| *to == member).map(|(from, _)| *from);
                prop_assert_eq!(one.is_some(), from.is_some());
                if let (Some(one), Some(from)) = (one, from) {
                    same_bits(one, &samples::<u8>(from, len), ("permute", placement, &perm));
                }
            }
        }
    }
}

/// Sums over ranks that share no memory, of operands of these lengths.
fn check_apart<T: Sample>(ranks: usize, threads: usize, lens: impl Iterator<Item = usize>) {
    let mesh = apart(ranks, threads).timeout(Duration::from_secs(20)).build().unwrap();
    for len in lens {
        let leaves: Vec<Vec<T>> = (0..ranks * threads).map(|member| samples(member, len)).collect();
        let expected = reduced(Reduction::Sum, &leaves);
        let sums = mesh.run_all(|w| {
            let mine = w.pool().copy_of(&leaves[w.index()]);
            w.group(&["batch"])?.all_reduce::<T>(&Call::here("psum"), Reduction::Sum, mine)
        });
        sums.unwrap().iter().for_each(|got| same_bits(got, &expected, (ranks, threads, len)));
    }
}

/// Sums that fill a slot of the shared memory of ranks, just do not, or go through it in several pieces; of members that
/// bring one subtree, two or three.
#[test]
fn sums_in_one_piece_and_in_several() {
    for (placement, ends) in [
        ((2, 1), &[1, 2][..]),
        ((2, 1), &[5, 11]),
        ((3, 1), &[1, 2, 3]),
        ((4, 1), &[1, 4, 8, 13]),
        ((3, 2), &[1, 2, 5, 6, 9, 11]),
    ] {
        let n = ends[ends.len() - 1];
        for len in [31_000, 65_536, 65_537, 100_003, 300_001] {
            let leaves: Vec<Vec<f32>> = (0..n as usize).map(|leaf| samples(leaf, len)).collect();
            let expected = reduced(Reduction::Sum, &leaves);
            let sums = run(placement, |w, group| {
                let start = w.index().checked_sub(1).map_or(0, |before| ends[before]);
                let partials = partials(w, Reduction::Sum, &leaves, start..ends[w.index()]);
                group.all_reduce_tree::<f32>(&Call::here("psum"), Reduction::Sum, n, len, partials)
            });
            sums.iter().for_each(|got| same_bits(got, &expected, (placement, ends, len)));
        }
    }
}

/// Of three axes and four threads on a rank each set has a board of its own, whose slots are smaller than a first step.
#[test]
fn sums_through_small_slots() {
    let axes = ["batch", "model", "stage"];
    let mesh = axes.into_iter().fold(Mesh::builder(), |mesh, axis| mesh.axis(axis, 2)).simulated_ranks(2);
    let sums = mesh.build().unwrap().run_all(|w| {
        let group = w.group(&["batch"])?;
        let mine = w.pool().copy_of(&samples::<f32>(group.index(), 65_536));
        group.all_reduce::<f32>(&Call::here("psum"), Reduction::Sum, mine)
    });
    let expected = reduced(Reduction::Sum, &[samples::<f32>(0, 65_536), samples(1, 65_536)]);
    sums.unwrap().iter().for_each(|got| same_bits(got, &expected, ()));
}

/// All that take one round, two, … of recursive doubling, and of halving.
#[test]
fn any_number_of_ranks_of_several_machines() {
    (1..=33).for_each(|ranks| check_apart::<f64>(ranks, 1, [0, 3, 2500, 12_001].into_iter()));
}

/// Threads of a rank whose shares are not equally long go the same way: among seven ranks it changes at 96 KiB.
#[test]
fn shares_on_both_sides_of_a_threshold() {
    check_apart::<i32>(7, 2, (49_152 - 192..49_152 + 192).step_by(31));
}

/// Sub-groups of a mesh of two axes, on one rank, across ranks, and unevenly over ranks.
#[test]
fn groups_along_each_axis() {
    for (batch, model, ranks) in [(2, 2, 1), (2, 2, 2), (4, 2, 2), (2, 4, 4), (2, 3, 3), (3, 2, 2)] {
        let builder = Mesh::builder().axis("batch", batch).axis("model", model).simulated_ranks(ranks);
        let mesh = builder.build().unwrap();
        let sums = mesh.run_all(|w| {
            let sum = |axes: &[&str]| {
                let mine = w.pool().copy_of(&vec![w.index() as i64; 3000]);
                let group = w.group(axes)?;
                Ok::<_, Error>(
                    group.all_reduce::<i64>(&Call::here("psum"), Reduction::Sum, mine)?.as_slice::<i64>()
                        [2999],
                )
            };
            Ok::<_, Error>([sum(&["batch"])?, sum(&["model"])?, sum(&["model", "batch"])?, sum(&[])?])
        });
        for (worker, got) in sums.unwrap().into_iter().enumerate() {
            let (b, m) = (worker / model, worker % model);
            let along = |workers: &mut dyn Iterator<Item = usize>| workers.map(|w| w as i64).sum::<i64>();
            let expected = [
                along(&mut (0..batch).map(|b| b * model + m)),
                along(&mut (0..model).map(|m| b * model + m)),
                along(&mut (0..batch * model)),
                worker as i64,
            ];
            assert_eq!(got, expected, "{batch} x {model} over {ranks} ranks, worker {worker}");
        }
    }
}

/// Calls in two groups, started in one order and finished in another, some never.
#[test]
fn started_now_finished_later() {
    for placement in PLACEMENTS {
        let members = (placement.0 * placement.1) as i64;
        let results = run(placement, |w, group| {
            let start = |round: i64, len: usize| {
                let mine = w.pool().copy_of(&vec![round * 100 + w.index() as i64; len]);
                group.start_all_reduce::<i64>(&Call::here("psum"), Reduction::Sum, mine)
            };
            let mut calls: Vec<_> =
                (0..6).map(|round| start(round, [3, 4000][round as usize % 2])).collect::<Result<_, _>>()?;
            drop(calls.remove(3));
            let gathered = group
                .start_all_gather::<i64>(&Call::here("all_gather"), w.pool().copy_of(&[w.index() as i64]))?;
            // Members finish in different orders.
            if w.index() % 2 == 1 {
                calls.reverse();
            }
            let mut sums: Vec<i64> = Vec::new();
            for call in calls {
                sums.push(call.finish()?.as_slice::<i64>()[0]);
            }
            if w.index() % 2 == 1 {
                sums.reverse();
            }
            while !gathered.test() {
                std::thread::yield_now();
            }
            Ok((sums, gathered.finish()?.len() as i64))
        });
        let base: i64 = (0..members).sum();
        let expected: Vec<i64> = [0, 1, 2, 4, 5].iter().map(|round| round * 100 * members + base).collect();
        assert!(results.iter().all(|got| *got == (expected.clone(), members)), "{placement:?}: {results:?}");
    }
}

/// Two members that wait in different groups still make progress in what both have started.
#[test]
fn a_started_call_goes_on_while_its_worker_waits_elsewhere() {
    let mesh = Mesh::builder().axis("batch", 2).axis("model", 2).build().unwrap();
    let sums = mesh.run_all(|w| {
        let (batch, model) = (w.group(&["batch"])?, w.group(&["model"])?);
        let mine = w.pool().copy_of(&vec![w.index() as f32; 9000]);
        let started = batch.start_all_reduce::<f32>(&Call::here("psum"), Reduction::Sum, mine)?;
        let barrier = || model.barrier(&Call::here("barrier"));
        let sum = if w.index() < 2 {
            let sum = started.finish()?;
            barrier()?;
            sum
        } else {
            barrier()?;
            started.finish()?
        };
        Ok::<_, Error>(sum.as_slice::<f32>()[0])
    });
    assert_eq!(sums.unwrap(), [2.0, 4.0, 2.0, 4.0]);
}

#[test]
fn a_member_shares_the_memory_of_a_large_result() {
    let results = run((1, 2), |w, group| {
        group.all_reduce::<f32>(&Call::here("psum"), Reduction::Sum, w.pool().copy_of(&vec![1f32; 9000]))
    });
    assert_eq!(results[0].bytes().as_ptr(), results[1].bytes().as_ptr());
}

#[test]
fn a_call_that_is_refused_does_not_hold_up_the_next() {
    for size in [(1, 2), (2, 1)] {
        let sums = run(size, |w, group| {
            let twice = || Partial { node: Node::leaf(0), data: w.pool().copy_of(&[1f32]) };
            let call = Call::here("psum");
            let refused = group
                .all_reduce_tree::<f32>(&call, Reduction::Sum, 2, 1, vec![twice(), twice()])
                .unwrap_err();
            assert!(refused.to_string().contains("another partial covers some of the same"), "{refused}");
            group.all_reduce::<f32>(&call, Reduction::Sum, w.pool().copy_of(&[1f32]))
        });
        sums.iter().for_each(|sum| assert_eq!(sum.as_slice::<f32>(), [2.0]));
    }
}

#[test]
fn partials_that_do_not_make_up_the_tree_are_refused_by_all() {
    let error = mesh((2, 2)).run(|w| {
        let partials = vec![Partial { node: Node::leaf(0), data: w.pool().copy_of(&[1f32]) }];
        w.group(&["batch"])?
            .all_reduce_tree::<f32>(&Call::here("psum"), Reduction::Sum, 4, 1, partials)
            .map(drop)
    });
    assert!(error.unwrap_err().to_string().contains("another partial covers some of the same"));
}
