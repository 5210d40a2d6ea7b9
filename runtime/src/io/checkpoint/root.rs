//! What worker 0 does for all, however long that takes.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use axisgrad_collectives::{Call, Group};

use crate::error::Result;
use crate::worker::Worker;

/// What worker 0 makes of `work`, which the others wait for; it says so often that it is at it that nobody takes it for
/// stuck. `None` on the others. Every worker must call it.
///
/// # Errors
/// Those of `work`, and of the collectives.
pub(super) fn at_root<R: Send>(
    w: &Worker,
    everyone: &Group,
    call: &Call,
    work: impl FnOnce() -> Result<R> + Send,
) -> Result<Option<R>> {
    let tell = |done: bool| everyone.broadcast::<bool>(call, 0, everyone.pool().copy_of(&[done]));
    if !w.is_root() {
        while !tell(false)?.as_slice::<bool>()[0] {}
        return Ok(None);
    }
    let (answer, answers) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || answer.send(work()));
        loop {
            match answers.recv_timeout(w.timeout() / 4) {
                Ok(result) => {
                    let result = result?;
                    tell(true)?;
                    return Ok(Some(result));
                }
                Err(RecvTimeoutError::Timeout) => drop(tell(false)?),
                Err(RecvTimeoutError::Disconnected) => panic!("what worker 0 does for all has panicked"),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::{Error, ErrorKind};
    use axisgrad_collectives::Mesh;

    fn on_three(work: impl Fn() -> Result<u32> + Sync) -> Result<Vec<Option<u32>>> {
        let mesh = Mesh::builder().axes(["batch"]).threads(3).timeout(Duration::from_millis(200)).build()?;
        mesh.run_all(|w: &Worker| at_root(w, &w.group(&["batch"])?, &Call::here("test"), &work))
    }

    #[test]
    fn the_others_wait_longer_than_the_deadline() {
        let slow = || {
            thread::sleep(Duration::from_millis(700));
            Ok(7)
        };
        assert_eq!(on_three(slow).unwrap(), [Some(7), None, None]);
    }

    #[test]
    fn an_error_of_worker_0_is_that_of_all() {
        let error = on_three(|| Err(Error::new(ErrorKind::Io, "no such file"))).unwrap_err();
        assert!(error.to_string().contains("no such file"), "{error}");
    }
}
