//! Exchanges messages of many sizes among all threads of all ranks, in order and whole, and prints how many.
//!
//! `mpi-link [THREADS] [ROUNDS]`, under `mpirun`.

use std::time::{Duration, Instant};

use axisgrad_collectives::transport::mpi::connect;
use axisgrad_collectives::transport::{Link, Message, Part};
use axisgrad_collectives::{Error, ErrorKind, Pool, Result};

const TIMEOUT: Duration = Duration::from_secs(60);
/// Around the room of a packet, the eager limits of the libraries, and zero.
const SIZES: [usize; 9] = [0, 1, 100, 3071, 3073, 5000, 70_000, 0, 1_000_003];

/// One worker of the exchange.
struct End<'l> {
    link: &'l dyn Link,
    pool: Pool,
    threads: usize,
    me: usize,
}

fn main() -> Result<()> {
    let number = |n| std::env::args().nth(n).map(|text: String| text.parse().expect("a number"));
    let (threads, rounds) = (number(1).unwrap_or(1), number(2).unwrap_or(20));
    let link = connect(TIMEOUT)?;
    // Links that are alive together keep their messages apart.
    let other = connect(TIMEOUT)?;
    let messages = exchange(&*link, threads, rounds)? + exchange(&*other, threads, 3)?;
    drop(other);
    exchange(&*link, 1, 1)?;
    println!("rank {} of {}: {messages} messages arrived whole", link.rank(), link.ranks());
    drop(link);
    // MPI stays for the next mesh.
    exchange(&*connect(TIMEOUT)?, threads, 2)?;
    Ok(())
}

fn exchange(link: &dyn Link, threads: usize, rounds: usize) -> Result<usize> {
    std::thread::scope(|scope| {
        let ends = (0..threads).map(|thread| {
            let end = End { link, pool: Pool::new(), threads, me: link.rank() * threads + thread };
            scope.spawn(move || end.run(rounds))
        });
        let ends: Vec<_> = ends.collect();
        ends.into_iter().map(|end| end.join().expect("no end panics")).sum()
    })
}

impl End<'_> {
    fn run(&self, rounds: usize) -> Result<usize> {
        for round in 0..rounds {
            for to in self.others() {
                let parts: Vec<Part> = (0..round % 4).map(|part| self.part(to, round, part)).collect();
                let header = format!("{}>{to}#{round}", self.me);
                self.link.send(to / self.threads, tag(self.me, to), header.as_bytes(), &parts)?;
            }
            for from in self.others() {
                self.check(from, round)?;
            }
        }
        Ok(rounds * self.others().count())
    }

    fn others(&self) -> impl Iterator<Item = usize> {
        let (threads, rank) = (self.threads, self.link.rank());
        (0..self.link.ranks() * threads).filter(move |other| other / threads != rank)
    }

    /// A range inside of a larger buffer.
    fn part(&self, to: usize, round: usize, part: usize) -> Part {
        let bytes = pattern(self.me, to, round, part);
        let buffer = self.pool.copy_of(&[&[9u8], &bytes[..], &[7u8]].concat());
        Part { buffer, range: 1..bytes.len() + 1 }
    }

    fn check(&self, from: usize, round: usize) -> Result<()> {
        let (header, parts) = self.wait(from)?;
        assert_eq!(String::from_utf8_lossy(&header), format!("{from}>{}#{round}", self.me));
        assert_eq!(parts.len(), round % 4);
        for (part, buffer) in parts.iter().enumerate() {
            assert!(buffer.bytes() == pattern(from, self.me, round, part), "{from} {round} {part}");
        }
        Ok(())
    }

    fn wait(&self, from: usize) -> Result<Message> {
        let start = Instant::now();
        while start.elapsed() < TIMEOUT {
            let received = self.link.try_receive(from / self.threads, tag(from, self.me))?;
            if let Some(message) = received {
                return Ok(message);
            }
            std::thread::yield_now();
        }
        Err(Error::new(ErrorKind::Timeout, format!("no message from {from}")))
    }
}

fn tag(from: usize, to: usize) -> u64 {
    (from as u64) << 40 | to as u64
}

fn pattern(from: usize, to: usize, round: usize, part: usize) -> Vec<u8> {
    let len = SIZES[(round * 7 + part * 3 + from + to) % SIZES.len()];
    (0..len).map(|i| (i * 31 + from * 7 + to * 11 + round * 13 + part) as u8).collect()
}
