//! Every collective, over every element type, on meshes of all shapes that the ranks allow, against the naive
//! answer: each worker knows what every other one brings, and computes what it must get.
//!
//! `mpi-suite [--simulate RANKS] [--messages-only]`, under `mpirun` or with ranks played by threads.

mod oracle;

use std::fmt::Display;
use std::time::Duration;

use axisgrad_collectives::axis::{blocks, share_of_blocks};
use axisgrad_collectives::collective::tree::cover;
use axisgrad_collectives::{
    Buffer, Call, Error, Group, Mesh, MeshBuilder, Node, Part, Partial, Parts, Reduction, Result, Worker,
};
use clap::Parser;
use num_complex::Complex;
use oracle::{Sample, data, reduce, same};

/// Empty, single, uneven, and large enough to be cut into shares and sent on their own.
const LENGTHS: [usize; 5] = [7, 0, 1, 1000, 40_003];

/// Longer than the memory that ranks share.
const LONG: usize = 300_007;

#[derive(Parser)]
struct Flags {
    /// Play so many ranks by groups of threads, without MPI.
    #[arg(long, value_name = "RANKS")]
    simulate: Option<usize>,
    /// Ranks share no memory.
    #[arg(long)]
    messages_only: bool,
}

fn main() -> Result<()> {
    let Flags { simulate, messages_only } = Flags::parse();
    let builder = || {
        let builder = Mesh::builder().timeout(Duration::from_secs(60)).shared_memory(!messages_only);
        simulate.map_or(builder.clone(), |ranks| builder.simulated_ranks(ranks))
    };
    let first = builder().axes(["all"]).threads(1).build()?;
    let ranks = first.shape().ranks();
    let (mut checks, mut meshes) = (0, 0);
    // Workers that have no core of their own take long to make room for each other.
    for threads in 1..=if ranks < 3 { 3 } else { 2 } {
        for (outer, inner) in factors(ranks * threads) {
            checks += on_mesh(builder().threads(threads), outer, inner)?;
            meshes += 1;
        }
    }
    let second = first.run(|_| Ok::<_, Error>(first.run(|_| Ok::<_, Error>(())).is_ok()))?;
    assert!(ranks == 1 || second == simulate.is_some(), "two runs of one mesh at once");
    if first.run(|w| Ok::<_, Error>(w.is_root()))? {
        println!("{checks} checks on {meshes} meshes of {ranks} ranks");
    }
    Ok(())
}

fn factors(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (1..=n).filter(move |k| n.is_multiple_of(*k)).map(move |k| (k, n / k))
}

fn on_mesh(builder: MeshBuilder, outer: usize, inner: usize) -> Result<usize> {
    let mesh = builder.axis("outer", outer).axis("inner", inner).build()?;
    let shape = mesh.summary();
    mesh.run(|w| {
        let mut checks = 0;
        for axes in [&["outer"][..], &["inner"], &["outer", "inner"]] {
            let on = On { w, group: w.group(axes)?, place: format!("{shape}, over {axes:?}") };
            checks += on.every_type()?;
        }
        Ok::<_, Error>(checks)
    })
}

/// One group, seen from one of its members.
struct On<'w> {
    w: &'w Worker,
    group: Group,
    place: String,
}

impl On<'_> {
    fn every_type(&self) -> Result<usize> {
        let few = &LENGTHS[..2];
        Ok(self.collectives::<f32>(&LENGTHS)?
            + self.collectives::<f64>(few)?
            + self.collectives::<Complex<f32>>(few)?
            + self.collectives::<Complex<f64>>(few)?
            + self.collectives::<i32>(few)?
            + self.collectives::<i64>(few)?
            + self.collectives::<u8>(few)?
            + self.collectives::<bool>(&LENGTHS[..1])?
            + self.long()?)
    }

    /// What does not fit the memory that ranks share: more data, and more partials.
    fn long(&self) -> Result<usize> {
        self.all_reduce::<f32>(Reduction::Sum, LONG)?;
        // Bytes that the last call has left where they lie are no `bool`.
        self.all_reduce::<bool>(Reduction::And, LONG)?;
        self.all_reduce_of_blocks::<f32>(Reduction::Sum, LONG / 8)?;
        self.reduce_scatter::<f32>(Reduction::Sum, LONG)?;
        self.all_reduce_of_every_other_block()?;
        Ok(5)
    }

    fn all_reduce_of_every_other_block(&self) -> Result<()> {
        let (size, index) = (self.group.size(), self.group.index());
        let leaves = 300 * size as u64;
        let block = |leaf: u64| data::<f32>(leaf as usize, 3);
        let mine = (0..leaves).skip(index).step_by(size);
        let partial = |leaf| Partial { node: Node::leaf(leaf), data: self.w.pool().copy_of(&block(leaf)) };
        let (call, partials) = (Call::here("all_reduce_tree"), mine.map(partial).collect());
        let got = self.group.all_reduce_tree::<f32>(&call, Reduction::Sum, leaves, 3, partials)?;
        let expected = reduce(&(0..leaves).map(block).collect::<Vec<_>>(), Reduction::Sum);
        self.check(got.as_slice(), &expected, "all_reduce_tree of every other block");
        Ok(())
    }

    fn collectives<T: Sample>(&self, lengths: &[usize]) -> Result<usize> {
        let mut checks = 0;
        for &len in lengths {
            for reduction in Reduction::ALL.into_iter().filter(|&r| T::combine(r).is_some()) {
                self.all_reduce::<T>(reduction, len)?;
                self.all_reduce_of_blocks::<T>(reduction, len)?;
                self.reduce_scatter::<T>(reduction, len)?;
                checks += 3;
            }
            self.all_gather::<T>(len)?;
            self.all_to_all::<T>(len)?;
            self.broadcast::<T>(len)?;
            self.permute::<T>(len)?;
            self.interleaved::<T>(len)?;
            self.group.barrier(&Call::here("barrier"))?;
            checks += 6;
        }
        Ok(checks)
    }

    /// What member `member` brings; each worker of the mesh brings something else.
    fn brings<T: Sample>(&self, member: usize, len: usize) -> Vec<T> {
        data(self.group.workers()[member], len)
    }

    fn mine<T: Sample>(&self, len: usize) -> Buffer {
        self.w.pool().copy_of(&self.brings::<T>(self.group.index(), len))
    }

    fn all<T: Sample>(&self, len: usize) -> Vec<Vec<T>> {
        (0..self.group.size()).map(|member| self.brings(member, len)).collect()
    }

    fn check<T: Sample>(&self, got: &[T], expected: &[T], what: impl Display) {
        if let Some(difference) = same(got, expected) {
            panic!("{what} of {} on {}: {difference}", T::TYPE, self.place);
        }
    }

    fn all_reduce<T: Sample>(&self, reduction: Reduction, len: usize) -> Result<()> {
        let got = self.group.all_reduce::<T>(&Call::here("all_reduce"), reduction, self.mine::<T>(len))?;
        let expected = reduce(&self.all::<T>(len), reduction);
        self.check(got.as_slice(), &expected, format_args!("all_reduce {} {len}", reduction.name()));
        Ok(())
    }

    /// Some members own several blocks, the last one may own none.
    fn all_reduce_of_blocks<T: Sample>(&self, reduction: Reduction, len: usize) -> Result<()> {
        let (size, index) = (self.group.size(), self.group.index());
        let leaves = blocks(5 * size as u64 - 3, 3);
        let block = |leaf: u64| data::<T>(100 + leaf as usize, len);
        let partials =
            cover(share_of_blocks(5 * size as u64 - 3, 3, size, index), leaves).into_iter().map(|node| {
                let below: Vec<Vec<T>> = node.range(leaves).map(block).collect();
                Partial { node, data: self.w.pool().copy_of(&reduce(&below, reduction)) }
            });
        let call = Call::here("all_reduce_tree");
        let got = self.group.all_reduce_tree::<T>(&call, reduction, leaves, len, partials.collect())?;
        let expected = reduce(&(0..leaves).map(block).collect::<Vec<_>>(), reduction);
        self.check(got.as_slice(), &expected, format_args!("all_reduce_tree {} {len}", reduction.name()));
        Ok(())
    }

    fn reduce_scatter<T: Sample>(&self, reduction: Reduction, len: usize) -> Result<()> {
        let (size, index) = (self.group.size(), self.group.index());
        // Uneven, and nothing for the first where there is little.
        let cut = |member: usize| member * member * len / (size * size);
        let counts: Vec<usize> = (0..size).map(|member| cut(member + 1) - cut(member)).collect();
        let call = Call::here("reduce_scatter");
        let got = self.group.reduce_scatter::<T>(&call, reduction, self.mine::<T>(len), &counts)?;
        let expected = &reduce(&self.all::<T>(len), reduction)[cut(index)..cut(index + 1)];
        self.check(got.as_slice(), expected, format_args!("reduce_scatter {} {len}", reduction.name()));
        Ok(())
    }

    fn all_gather<T: Sample>(&self, len: usize) -> Result<()> {
        let len_of = |member: usize| len * (member % 3) / 2;
        let mine = self.mine::<T>(len_of(self.group.index()));
        let got = self.group.all_gather::<T>(&Call::here("all_gather"), mine)?;
        assert_eq!(got.len(), self.group.size());
        for (member, got) in got.iter().enumerate() {
            let expected = self.brings::<T>(member, len_of(member));
            self.check(got.as_slice(), &expected, format_args!("all_gather {len} from {member}"));
        }
        Ok(())
    }

    fn all_to_all<T: Sample>(&self, len: usize) -> Result<()> {
        let (size, index) = (self.group.size(), self.group.index());
        // Two pieces for each destination, cut out of one buffer.
        let cut = |from: usize, to: usize| (len * to / size, len * (to + 1) / size, (from + to) % 3);
        let mine = self.mine::<T>(len);
        let parts = (0..size).map(|to| {
            let (start, end, skip) = cut(index, to);
            let middle = start + (end - start) / 2;
            let pieces = [start.saturating_add(skip).min(middle)..middle, middle..end];
            pieces.map(|piece| Part::elements::<T>(&mine, piece)).into_iter().collect::<Parts>()
        });
        let got = self.group.all_to_all::<T>(&Call::here("all_to_all"), parts.collect())?;
        for (from, got) in got.iter().enumerate() {
            let (start, end, skip) = cut(from, index);
            let expected = &self.brings::<T>(from, len)[(start + skip).min(start + (end - start) / 2)..end];
            let got: Vec<T> = got.iter().flat_map(|part| part.as_slice::<T>()).copied().collect();
            self.check(&got, expected, format_args!("all_to_all {len} from {from}"));
        }
        Ok(())
    }

    fn broadcast<T: Sample>(&self, len: usize) -> Result<()> {
        for root in 0..self.group.size() {
            let got = self.group.broadcast::<T>(&Call::here("broadcast"), root, self.mine::<T>(len))?;
            let expected = self.brings::<T>(root, len);
            self.check(got.as_slice(), &expected, format_args!("broadcast {len} from {root}"));
        }
        Ok(())
    }

    fn permute<T: Sample>(&self, len: usize) -> Result<()> {
        let (size, index) = (self.group.size(), self.group.index());
        // A shift by two; member 0 sends to nobody.
        let perm: Vec<(usize, usize)> = (1..size).map(|from| (from, (from + 2) % size)).collect();
        let got = self.group.permute::<T>(&Call::here("permute"), self.mine::<T>(len), &perm)?;
        let from = perm.iter().find(|(_, to)| *to == index).map(|(from, _)| *from);
        assert_eq!(got.is_some(), from.is_some(), "permute on {}", self.place);
        if let (Some(got), Some(from)) = (got, from) {
            let expected = self.brings::<T>(from, len);
            self.check(got.as_slice(), &expected, format_args!("permute {len} from {from}"));
        }
        Ok(())
    }

    /// Started in one order, finished in another, and one that is never finished.
    fn interleaved<T: Sample>(&self, len: usize) -> Result<()> {
        let reduction = Reduction::ALL.into_iter().find(|&r| T::combine(r).is_some()).expect("a reduction");
        let start = |len| {
            let mine = self.mine::<T>(len);
            self.group.start_all_reduce::<T>(&Call::here("all_reduce"), reduction, mine)
        };
        let (first, second) = (start(len)?, start(len + 1)?);
        drop(start(len + 2)?);
        let gathered = self.group.start_all_gather::<T>(&Call::here("all_gather"), self.mine::<T>(len))?;
        let name = "an interleaved all_reduce";
        self.check(second.finish()?.as_slice(), &reduce(&self.all::<T>(len + 1), reduction), name);
        let last = self.group.size() - 1;
        let expected = self.brings::<T>(last, len);
        self.check(gathered.finish()?[last].as_slice(), &expected, "an interleaved all_gather");
        while !first.test() {
            std::thread::yield_now();
        }
        self.check(first.finish()?.as_slice(), &reduce(&self.all::<T>(len), reduction), name);
        Ok(())
    }
}
