//! The signals that ask a process to end.
//!
//! What a process does about a signal is a state of the whole process, and so is what this file keeps: the last
//! signal, and how many listen. While nobody does, signals do what they always do.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::{flag, low_level};

/// Set up once, by the first listener.
static STATE: Mutex<Option<State>> = Mutex::new(None);

struct State {
    listeners: usize,
    /// Whether nobody listens.
    idle: Arc<AtomicBool>,
    last: Arc<AtomicUsize>,
}

impl State {
    fn install() -> io::Result<Self> {
        let state = Self { listeners: 0, idle: Arc::default(), last: Arc::default() };
        for signal in [SIGTERM, SIGINT, SIGUSR1] {
            flag::register_conditional_default(signal, state.idle.clone())?;
            flag::register_usize(signal, state.last.clone(), signal as usize)?;
        }
        Ok(state)
    }
}

/// While it lives, `SIGTERM`, `SIGINT` and `SIGUSR1` do not end the process, but are remembered.
pub struct Signals(Arc<AtomicUsize>);

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn listen() -> io::Result<Self> {
        let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_none() {
            *state = Some(State::install()?);
        }
        let state = state.as_mut().expect("installed");
        state.listeners += 1;
        state.idle.store(false, Ordering::SeqCst);
        Ok(Self(state.last.clone()))
    }

    /// The last signal since somebody listens, or 0.
    pub fn last(&self) -> i32 {
        self.0.load(Ordering::Relaxed) as i32
    }

    /// The last signal that anybody in this process has listened for, or 0.
    pub fn received() -> i32 {
        let state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        state.as_ref().map_or(0, |state| state.last.load(Ordering::Relaxed) as i32)
    }

    /// Does what the signal does where nobody listens: ends the process; nothing for 0.
    pub fn obey(signal: i32) {
        if signal != 0 {
            let _ = low_level::emulate_default_handler(signal);
        }
    }

    /// `SIGTERM`
    pub fn name(signal: i32) -> &'static str {
        low_level::signal_name(signal).unwrap_or("a signal")
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        let state = state.as_mut().expect("installed by the first listener");
        state.listeners -= 1;
        if state.listeners == 0 {
            state.last.store(0, Ordering::SeqCst);
            state.idle.store(true, Ordering::SeqCst);
        }
    }
}
