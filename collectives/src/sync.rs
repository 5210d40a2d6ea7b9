//! What workers sleep on, and `std` or `loom` underneath, so that a model checker can run the very same code.

#[cfg(loom)]
pub(crate) use loom::sync::{Condvar, Mutex, atomic};
#[cfg(not(loom))]
pub(crate) use std::sync::{Condvar, Mutex, OnceLock, atomic};

use std::time::Duration;

use crossbeam::utils::CachePadded;

use atomic::AtomicUsize;
use atomic::Ordering::{AcqRel, Acquire};

/// What `std`'s does, for the model checker, which has none; the value is never freed.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct OnceLock<T: 'static>(Mutex<Option<&'static T>>);

#[cfg(loom)]
impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(crate) fn get(&self) -> Option<&T> {
        *self.0.lock().expect("once")
    }

    pub(crate) fn get_or_init(&self, init: impl FnOnce() -> T) -> &T {
        self.0.lock().expect("once").get_or_insert_with(|| Box::leak(Box::new(init())))
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let mut mine = Some(value);
        self.get_or_init(|| mine.take().expect("called once"));
        mine.map_or(Ok(()), Err)
    }
}

#[cfg(loom)]
impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Wakes one worker: others ring it after they have made something ready.
///
/// The listener reads [`count`](Self::count), looks whether what it waits for is there, and if not waits for
/// the count to change: a ring between the look and the wait is never lost.
#[derive(Default)]
pub(crate) struct Bell {
    count: AtomicUsize,
    lock: Mutex<()>,
    rung: Condvar,
    /// On a cache line of its own: who knocks must not take the count from who looks at it.
    sleepers: CachePadded<AtomicUsize>,
}

impl Bell {
    /// Wakes whoever waits.
    pub(crate) fn ring(&self) {
        self.count.fetch_add(1, AcqRel);
        if self.has_sleepers() {
            self.wake();
        }
    }

    /// Wakes whoever sleeps, or is about to: it looks once more, and sees what was made ready before this.
    pub(crate) fn knock(&self) {
        if self.has_sleepers() {
            self.count.fetch_add(1, AcqRel);
            self.wake();
        }
    }

    /// Reads by a read-modify-write: either it sees the sleeper, or the sleeper, whose own comes later, sees what came
    /// before this.
    fn has_sleepers(&self) -> bool {
        self.sleepers.fetch_add(0, AcqRel) > 0
    }

    fn wake(&self) {
        // Taking the lock orders this after a sleeper's last look at the count.
        drop(self.lock.lock().expect("bell"));
        self.rung.notify_all();
    }

    /// How often it has been rung.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Acquire)
    }

    /// Looks so many times; true if it was rung since the count was `seen`.
    pub(crate) fn spin(&self, seen: usize, looks: u32) -> bool {
        for _ in 0..looks {
            if self.count() != seen {
                return true;
            }
            std::hint::spin_loop();
        }
        self.count() != seen
    }

    /// Sleeps until the count is no longer `seen`, and no longer than `timeout`; not at all if it is `ready` when asked
    /// once more, after which a knock is heard.
    pub(crate) fn sleep(&self, seen: usize, timeout: Duration, ready: impl FnOnce() -> bool) {
        self.sleepers.fetch_add(1, AcqRel);
        if !ready() {
            let guard = self.lock.lock().expect("bell");
            if self.count() == seen {
                drop(self.rung.wait_timeout(guard, timeout).expect("bell"));
            }
        }
        self.sleepers.fetch_sub(1, AcqRel);
    }
}
