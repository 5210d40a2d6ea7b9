//! Watching the other ranks' processes on this machine: one that dies says nothing, and the launcher, which
//! notices, ends the others without a word.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::agree::exchange;
use super::worker::Process;
use crate::error::{Error, ErrorKind, Result};
use crate::signals::Signals;
use crate::transport::Link;

/// Time between two looks.
const EVERY: Duration = Duration::from_millis(20);
/// How long after a signal a peer's death may come to light.
const REASON: Duration = Duration::from_millis(150);

/// A process, as others on the same machine can find it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    /// Which machine, and which processes are visible there.
    host: String,
    process: u32,
    /// When it started, so that a later process with the same number is not taken for it.
    start: u64,
}

/// The other ranks on this machine.
pub(super) struct Peers(Vec<(usize, Place)>);

impl Peers {
    /// Learns from all ranks where they are; the ranks of one machine can be watched.
    ///
    /// # Errors
    /// If one does not say so in time.
    pub(super) fn meet(link: &dyn Link, timeout: Duration) -> Result<Self> {
        let mine = Place::here();
        let text = mine.as_ref().map_or(String::new(), Place::encode);
        let others = exchange(link, crate::transport::PLACES, text.as_bytes(), timeout)?;
        let place =
            |(rank, text): (usize, Vec<u8>)| Some((rank, Place::decode(&String::from_utf8_lossy(&text))?));
        let near = |(_, place): &(usize, Place)| mine.as_ref().is_some_and(|mine| mine.host == place.host);
        Ok(Self(others.into_iter().filter_map(place).filter(near).collect()))
    }

    fn dead(&self) -> Option<&(usize, Place)> {
        self.0.iter().find(|(_, place)| !place.is_alive())
    }

    /// Looks after the peers until `over`: if one dies the run has failed, and all learn which one it was. A signal
    /// that nobody in the program listens to ends this process, but not before a dead peer has been looked for: it
    /// may be the launcher's answer to that. A peer that dies later has got the same signal.
    pub(super) fn watch(&self, process: &Process, signals: &Signals, over: &AtomicBool) {
        let mut signalled: Option<Instant> = None;
        while !over.load(Ordering::Acquire) {
            if signals.last() != 0 && !process.roster.hears_signals() {
                signalled.get_or_insert_with(Instant::now);
            }
            let since = signalled.map_or(Duration::ZERO, |at| at.elapsed());
            if let Some((rank, place)) = self.dead().filter(|_| since < REASON / 2) {
                process.roster.fail(died(*rank, place));
                return;
            }
            if since > REASON {
                Signals::obey(signals.last());
            }
            thread::park_timeout(if signalled.is_some() { EVERY / 10 } else { EVERY });
        }
    }
}

fn died(rank: usize, place: &Place) -> Error {
    Error::new(ErrorKind::Lost, format!("rank {rank} (process {}) has died without a word", place.process))
}

impl Place {
    /// `None` where the system does not say.
    fn here() -> Option<Self> {
        let host = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let visible = fs::read_link("/proc/self/ns/pid").ok()?;
        let process = std::process::id();
        let host = format!("{} {}", host.trim(), visible.display());
        Some(Self { host, process, start: started(process).ok()?? })
    }

    fn encode(&self) -> String {
        format!("{} {} {}", self.process, self.start, self.host)
    }

    fn decode(text: &str) -> Option<Self> {
        let mut words = text.splitn(3, ' ');
        let (process, start) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { host: words.next()?.to_owned(), process, start })
    }

    fn is_alive(&self) -> bool {
        match started(self.process) {
            Ok(start) => start == Some(self.start),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }
}

/// When a process started, in ticks since the machine did; `None` if it has ended and nobody has asked how yet.
fn started(process: u32) -> io::Result<Option<u64>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is the program's name in parentheses, and may hold anything.
    let rest: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ended = matches!(rest.first(), Some(&("Z" | "X")));
    Ok(rest.get(19).and_then(|start| start.parse().ok()).filter(|_| !ended))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_alive_until_it_ends() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep runs");
        let host = Place::here().expect("the system says").host;
        let start = started(child.id()).expect("it runs").expect("it runs");
        let place = Place { host, process: child.id(), start };
        assert_eq!(Place::decode(&place.encode()), Some(place.clone()));
        assert!(place.is_alive());
        assert!(!Place { start: start + 1, ..place.clone() }.is_alive());
        child.kill().expect("killed");
        let deadline = Instant::now() + Duration::from_secs(10);
        while place.is_alive() {
            assert!(Instant::now() < deadline, "it is taken to be alive");
            thread::sleep(Duration::from_millis(1));
        }
        child.wait().expect("ended");
        assert!(!place.is_alive());
    }
}
