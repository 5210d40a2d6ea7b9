//! Before the first run: all ranks must have been started alike.

use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::mesh::config;
use crate::transport::{AGREEMENT, Link};

/// Compares what this rank is about to run with every other rank.
///
/// # Errors
/// If one differs, or has not answered when the time is up.
pub(super) fn agree(link: &dyn Link, mine: &str, timeout: Duration) -> Result<()> {
    let theirs = exchange(link, AGREEMENT, mine.as_bytes(), timeout)?;
    match theirs.iter().find(|(_, theirs)| theirs != mine.as_bytes()) {
        Some((rank, theirs)) => Err(differ(link.rank(), mine, *rank, theirs)),
        None => Ok(()),
    }
}

/// What every other rank says, by rank, where each says something once.
///
/// # Errors
/// If one has not said it when the time is up.
pub(super) fn exchange(
    link: &dyn Link,
    tag: u64,
    mine: &[u8],
    timeout: Duration,
) -> Result<Vec<(usize, Vec<u8>)>> {
    let others = || (0..link.ranks()).filter(|&rank| rank != link.rank());
    others().try_for_each(|rank| link.send(rank, tag, mine, &[]))?;
    let deadline = link.now() + timeout;
    others().map(|rank| Ok((rank, receive(link, rank, tag, deadline)?))).collect()
}

fn receive(link: &dyn Link, rank: usize, tag: u64, deadline: Instant) -> Result<Vec<u8>> {
    loop {
        if let Some((text, _)) = link.try_receive(rank, tag)? {
            return Ok(text);
        }
        if link.now() > deadline {
            let message = format!("rank {rank} has not described its mesh in time: is it still starting up?");
            return Err(Error::new(ErrorKind::Timeout, message));
        }
        thread::sleep(Duration::from_micros(100));
    }
}

fn differ(rank: usize, mine: &str, other: usize, theirs: &[u8]) -> Error {
    let mut lines = [(rank, mine.to_string()), (other, String::from_utf8_lossy(theirs).into_owned())];
    lines.sort();
    let lines = lines.map(|(rank, text)| format!("   rank {rank} is to run {text}\n")).concat();
    config(format!(
        "the ranks were started differently\n{lines}   \
         give all of them the same --threads, --mesh, --block and --reduction"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::channels;

    #[test]
    fn ranks_that_differ_all_say_so() {
        let ends = channels::network(2, None);
        let texts = ["2 ranks x 1 thread", "2 ranks x 4 threads"];
        let results = thread::scope(|scope| {
            let check = |rank: usize| {
                let end = &ends[rank];
                scope.spawn(move || agree(&**end, texts[rank], Duration::from_secs(20)))
            };
            [check(0), check(1)].map(|thread| thread.join().unwrap())
        });
        for result in results {
            assert_eq!(
                result.unwrap_err().to_string(),
                "the ranks were started differently\n   rank 0 is to run 2 ranks x 1 thread\n   \
                 rank 1 is to run 2 ranks x 4 threads\n   give all of them the same --threads, --mesh, --block and --reduction"
            );
        }
    }

    #[test]
    fn a_rank_that_does_not_answer_is_named() {
        let ends = channels::network(2, None);
        let error = agree(&*ends[0], "", Duration::from_millis(5)).unwrap_err();
        assert!(error.to_string().starts_with("rank 1 has not described its mesh in time"), "{error}");
    }
}
