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
    /// The cores that it may use.
    cores: Vec<usize>,
}

/// The other ranks on this machine, and where this one is.
pub(super) struct Peers(Vec<(usize, Place)>, Option<Place>);

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
        Ok(Self(others.into_iter().filter_map(place).filter(near).collect(), mine))
    }

    /// This rank's share of the cores that it may use: a launcher may give each rank cores of its own, or all of them
    /// the same. `None` where the system does not say.
    pub(super) fn share_of_cores(&self) -> Option<f64> {
        let mine = &self.1.as_ref().filter(|place| !place.cores.is_empty())?.cores;
        let users = |core: &usize| 1 + self.0.iter().filter(|(_, place)| place.cores.contains(core)).count();
        let share: f64 = mine.iter().map(|core| 1.0 / users(core) as f64).sum();
        // Six sixths are one.
        Some((share * 1e6).round() / 1e6)
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
                let said = process.link().and_then(|link| link.last_words(*rank));
                process.roster.fail(said.unwrap_or_else(|| died(*rank, place)));
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
        Some(Self { host, process, start: started(process).ok()??, cores: allowed_cores() })
    }

    fn encode(&self) -> String {
        let cores: Vec<String> = self.cores.iter().map(usize::to_string).collect();
        format!("{} {} {}, {}", self.process, self.start, cores.join(","), self.host)
    }

    fn decode(text: &str) -> Option<Self> {
        let mut words = text.splitn(4, ' ');
        let (process, start) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let cores = words.next()?.split(',').filter_map(|core| core.parse().ok()).collect();
        Some(Self { host: words.next()?.to_owned(), process, start, cores })
    }

    fn is_alive(&self) -> bool {
        match started(self.process) {
            Ok(start) => start == Some(self.start),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }
}

/// The cores that this process may use; none where the system does not say.
fn allowed_cores() -> Vec<usize> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    list.unwrap_or_default().trim().split(',').filter_map(range).flatten().collect()
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
    use crate::launch::Mesh;
    use crate::transport::{Message, Part};

    /// To a rank that has gone, with what it has said before.
    struct Gone(Option<Error>);

    impl Link for Gone {
        fn rank(&self) -> usize {
            0
        }

        fn ranks(&self) -> usize {
            2
        }

        fn send(&self, _: usize, _: u64, _: &[u8], _: &[Part]) -> Result<()> {
            Ok(())
        }

        fn try_receive(&self, _: usize, _: u64) -> Result<Option<Message>> {
            Ok(None)
        }

        fn abort(&self, _: &Error) {}

        fn last_words(&self, from: usize) -> Option<Error> {
            self.0.clone().filter(|_| from == 1)
        }
    }

    #[test]
    fn a_peer_that_has_gone_is_believed_what_it_said() {
        let mut place = Place::here().expect("the system says");
        place.start += 1;
        let mesh = Mesh::builder().axes(["batch"]).threads(1).build().unwrap();
        let seen = |said: Option<Error>| {
            let process = Process::new(&mesh, Some(std::sync::Arc::new(Gone(said))), None, 0);
            let signals = Signals::listen().unwrap();
            Peers(vec![(1, place.clone())], None).watch(&process, &signals, &AtomicBool::new(false));
            process.roster.failure().expect("it has failed").clone()
        };
        let unsaid = seen(None);
        assert_eq!(unsaid.kind(), ErrorKind::Lost);
        assert!(unsaid.to_string().ends_with("has died without a word"), "{unsaid}");
        let said = seen(Some(Error::new(ErrorKind::Peer, "rank 1 has failed: timed out")));
        assert_eq!((said.kind(), &said.to_string()[..]), (ErrorKind::Peer, "rank 1 has failed: timed out"));
    }

    #[test]
    fn ranks_share_the_cores_that_they_have_together() {
        let place =
            |cores: &[usize]| Place { host: String::new(), process: 1, start: 1, cores: cores.into() };
        let share = |mine: &[usize], others: &[&[usize]]| {
            Peers(others.iter().map(|cores| (1, place(cores))).collect(), Some(place(mine))).share_of_cores()
        };
        assert_eq!(share(&[0, 1], &[]), Some(2.0));
        assert_eq!(share(&[0], &[&[1]]), Some(1.0));
        assert_eq!(share(&[0, 1], &[&[0, 1]]), Some(1.0));
        assert_eq!(share(&[0, 1], &[&[0, 1], &[0, 1], &[0, 1]]), Some(0.5));
        assert_eq!(share(&[0, 1], &[&[1, 2]]), Some(1.5));
        assert_eq!(share(&[0, 1, 2, 3, 4, 5], &[&[0, 1, 2, 3, 4, 5][..]; 5]), Some(1.0));
        assert_eq!(share(&[], &[&[1]]), None);
        assert!(fs::metadata("/proc/self/status").is_err() || !allowed_cores().is_empty());
    }

    #[test]
    fn a_process_is_alive_until_it_ends() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep runs");
        let host = Place::here().expect("the system says").host;
        let start = started(child.id()).expect("it runs").expect("it runs");
        let place = Place { host, process: child.id(), start, cores: vec![0, 3] };
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
