//! What becomes of a panic on a worker.
//!
//! The line of a panic is known to the panic hook alone, and there is one hook per process; so this file holds
//! global state: for each worker's thread, the line of its last panic.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{self, PanicHookInfo};
use std::sync::{Mutex, Once};
use std::thread::{self, ThreadId};

use crate::error::{Error, ErrorKind};

/// The payload of a worker that is unwound because a collective has failed: never itself a first cause.
pub struct Interrupted(pub Error);

/// Unwinds this worker because of `error`, quietly, up to the `run` that started it, which returns the error
/// that ended the run first. For libraries whose collectives do not return `Result`.
pub fn interrupt(error: Error) -> ! {
    panic::resume_unwind(Box::new(Interrupted(error)))
}

static SITES: Mutex<Option<HashMap<ThreadId, Option<String>>>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// While it lives, the panics of this thread are recorded rather than printed.
pub(crate) struct Watch {
    outer: Option<Option<String>>,
}

impl Watch {
    pub(crate) fn this_thread() -> Self {
        HOOK.call_once(|| {
            let print = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                if !record(info) || std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
                    print(info);
                }
            }));
        });
        Self { outer: with_sites(|sites| sites.insert(thread::current().id(), None)) }
    }

    /// Where this thread has panicked.
    pub(crate) fn site(&self) -> Option<String> {
        with_sites(|sites| sites.get(&thread::current().id()).cloned().flatten())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        with_sites(|sites| match self.outer.take() {
            Some(outer) => sites.insert(thread::current().id(), outer),
            None => sites.remove(&thread::current().id()),
        });
    }
}

fn with_sites<R>(act: impl FnOnce(&mut HashMap<ThreadId, Option<String>>) -> R) -> R {
    let mut sites = SITES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    act(sites.get_or_insert_default())
}

fn record(info: &PanicHookInfo<'_>) -> bool {
    with_sites(|sites| match sites.get_mut(&thread::current().id()) {
        Some(site) => {
            *site = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
            true
        }
        None => false,
    })
}

/// The error that a worker's panic is to the run.
pub(crate) fn error_of(worker: usize, payload: Box<dyn Any + Send>, site: Option<String>) -> Error {
    let payload = match payload.downcast::<Interrupted>() {
        Ok(interrupted) => return interrupted.0,
        Err(payload) => payload,
    };
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("(no message)");
    // A message that ends with a line of its own means the caller's, which says more than where it was raised.
    let site = site.filter(|_| !text.contains("\n   at "));
    let at = site.map_or(String::new(), |site| format!(" at {site}"));
    Error::new(ErrorKind::Panic, format!("worker {worker} panicked{at}: {text}"))
}
