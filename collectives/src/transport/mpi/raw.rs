//! The few MPI calls that the link needs, each of them safe to call.
//!
//! `mpi` ties a request to a borrow of its memory; our requests outlive every borrow, since they are started
//! by one call and finished by a later one. So a [`Transfer`] owns its memory, and this file speaks to the C
//! interface where the crate has no owning call.
#![allow(unsafe_code)]

use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mpi::collective::CommunicatorCollectives;
use mpi::datatype::Equivalence;
use mpi::environment::{initialize_with_threading, is_finalized, threading_support};
use mpi::ffi;
use mpi::topology::{Communicator, SimpleCommunicator};
use mpi::traits::AsRaw;
use mpi::{Rank, Threading};
use smallvec::SmallVec;

use crate::buffer::{BufferMut, Pool};
use crate::error::{Error, ErrorKind, Result};
use crate::transport::window::Window;
use crate::transport::{Link, Part};

/// Regions of shared memory are whole ones of these.
const PAGE: usize = 4096;
/// MPI counts are `int`s: longer messages are cut here.
const CHUNK: usize = 1 << 30;

/// Whether this crate has initialised MPI, or found it so. MPI itself is one per process, so this is too.
static STARTED: Mutex<bool> = Mutex::new(false);
/// Communicators in use. A process that ends while there are any has left its peers without a word.
static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// Initialises MPI, unless somebody has. It is finalised when the process ends, for it cannot start again.
fn start() -> Result<()> {
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if *started {
        return Ok(());
    }
    if is_finalized() {
        return Err(failure(
            "MPI has been finalised by the program, and cannot start again\n   help: do so last",
        ));
    }
    if let Some((universe, _)) = initialize_with_threading(Threading::Multiple) {
        // Its destructor would finalise MPI; `finalize` does, where it is sure not to wait for anyone.
        std::mem::forget(universe);
        // SAFETY: `finalize` takes and returns nothing, and lives as long as the program.
        unsafe { atexit(finalize) };
    }
    match threading_support() {
        Threading::Multiple => *started = true,
        less => {
            return Err(failure(format!(
                "MPI provides Threading::{less:?}, and workers need Threading::Multiple\n   help: use an MPI \
                 library built with thread support (Open MPI and MPICH packages are); a program that calls \
                 MPI_Init itself must ask for MPI_THREAD_MULTIPLE"
            )));
        }
    }
    Ok(())
}

// SAFETY: the C library's, with its own signature.
unsafe extern "C" {
    fn atexit(callback: extern "C" fn()) -> i32;
}

/// Finalises MPI at the end of the process. Not while a communicator is in use: then the peers may be waiting
/// for this process, and it would wait for them in turn; the launcher sees that it ended early and ends them.
extern "C" fn finalize() {
    if IN_USE.load(Ordering::SeqCst) == 0 && !is_finalized() {
        // SAFETY: MPI has been initialised (this is registered then), and nothing of it is in use.
        unsafe { ffi::MPI_Finalize() };
    }
}

/// A communicator of our own, so that no message of the program's can be taken for one of ours.
pub struct Comm(SimpleCommunicator);

// SAFETY: MPI runs with MPI_THREAD_MULTIPLE (`start` refuses less), under which every handle may be
// used from every thread, also at once. The pointer inside is a handle and is never read by us.
unsafe impl Send for Comm {}
// SAFETY: as above.
unsafe impl Sync for Comm {}

impl Comm {
    /// Joins MPI, initialising it if nobody has, and duplicates the world. Every rank must call it.
    pub fn of_world() -> Result<Self> {
        start()?;
        let comm = SimpleCommunicator::world().duplicate();
        IN_USE.fetch_add(1, Ordering::SeqCst);
        let comm = Self(comm);
        // SAFETY: a live communicator and a predefined handler. From here on errors come back as codes.
        check(unsafe { ffi::MPI_Comm_set_errhandler(comm.0.as_raw(), ffi::RSMPI_ERRORS_RETURN) })?;
        Ok(comm)
    }

    /// This process's rank and how many there are.
    pub fn rank_and_size(&self) -> (usize, usize) {
        (self.0.rank() as usize, self.0.size() as usize)
    }

    /// Starts sending the bytes of `part`.
    pub fn send(&self, part: Part, to: usize, tag: i32) -> Result<Transfer<Part>> {
        let mut transfer = Transfer::of(part);
        let part = &*transfer.memory;
        let bytes = &part.buffer.bytes()[part.range.clone()];
        for chunk in chunks(bytes.len()) {
            let (at, count) = (bytes[chunk.clone()].as_ptr(), chunk.len() as i32);
            // SAFETY: the bytes belong to a buffer that the transfer holds until MPI is done (see
            // `Transfer`), and that nobody writes to while it is shared.
            transfer.requests.push(request(|r| unsafe {
                ffi::MPI_Isend(at.cast(), count, byte(), to as Rank, tag, self.0.as_raw(), r)
            })?);
        }
        Ok(transfer)
    }

    /// Starts receiving exactly `memory`'s length of bytes.
    pub fn receive(&self, memory: BufferMut, from: usize, tag: i32) -> Result<Transfer<BufferMut>> {
        let mut transfer = Transfer::of(memory);
        let bytes = transfer.memory.bytes_mut();
        for chunk in chunks(bytes.len()) {
            let (at, count) = (bytes[chunk.clone()].as_mut_ptr(), chunk.len() as i32);
            // SAFETY: the bytes belong to a buffer of one owner, which the transfer holds, untouched, until
            // MPI is done.
            transfer.requests.push(request(|r| unsafe {
                ffi::MPI_Irecv(at.cast(), count, byte(), from as Rank, tag, self.0.as_raw(), r)
            })?);
        }
        Ok(transfer)
    }

    /// Starts receiving a message with this tag from whoever sent one, into memory of its own length.
    pub fn receive_any(&self, tag: i32, pool: &Pool) -> Result<Option<(usize, Transfer<BufferMut>)>> {
        let Some((mut message, from, count)) = self.match_any(tag)? else { return Ok(None) };
        let mut memory = pool.alloc::<u8>(count as usize);
        let at = memory.bytes_mut().as_mut_ptr();
        // SAFETY: `message` was matched by nobody else, and is `count` bytes long, as `memory` is; the
        // transfer holds the memory until MPI is done.
        let request = request(|r| unsafe { ffi::MPI_Imrecv(at.cast(), count, byte(), &mut message, r) })?;
        let requests = Requests::from_slice(&[request]);
        Ok(Some((from, Transfer { requests, memory: ManuallyDrop::new(memory) })))
    }

    fn match_any(&self, tag: i32) -> Result<Option<(ffi::MPI_Message, usize, i32)>> {
        let mut found = 0;
        let mut message = MaybeUninit::uninit();
        let mut status = MaybeUninit::<ffi::MPI_Status>::uninit();
        // SAFETY: plain out-parameters.
        check(unsafe {
            let any = ffi::RSMPI_ANY_SOURCE;
            let (message, status) = (message.as_mut_ptr(), status.as_mut_ptr());
            ffi::MPI_Improbe(any, tag, self.0.as_raw(), &mut found, message, status)
        })?;
        if found == 0 {
            return Ok(None);
        }
        // SAFETY: with `found` set, MPI has written both.
        let (message, status) = unsafe { (message.assume_init(), status.assume_init()) };
        let mut count = 0;
        // SAFETY: the status is MPI's own.
        check(unsafe { ffi::MPI_Get_count(&status, byte(), &mut count) })?;
        Ok(Some((message, status.MPI_SOURCE as usize, count)))
    }

    /// Memory that the ranks of this machine share, so many zeros of each. Every rank must call it.
    pub fn share(&self, bytes: usize) -> Result<Arc<SharedMemory>> {
        let bytes = bytes.next_multiple_of(PAGE);
        let near = self.0.split_shared(0);
        let mut ranks = vec![0; near.size() as usize];
        near.all_gather_into(&self.0.rank(), &mut ranks[..]);
        let (mut at, mut window) = (std::ptr::null_mut::<u8>(), MaybeUninit::uninit());
        // SAFETY: plain out-parameters; the pointer is written to as the `void *` that it is.
        check(unsafe {
            let (at, window) = ((&raw mut at).cast(), window.as_mut_ptr());
            ffi::MPI_Win_allocate_shared(bytes as _, 1, ffi::RSMPI_INFO_NULL, near.as_raw(), at, window)
        })?;
        // SAFETY: a call that succeeded has written both: `bytes` of memory, which nobody reaches before the ranks
        // have next heard of each other.
        let window = unsafe {
            at.write_bytes(0, bytes);
            window.assume_init()
        };
        let region = |(near, rank): (usize, &Rank)| Ok((*rank as usize, region(window, near)?));
        let regions = ranks.iter().enumerate().map(region).collect::<Result<_>>()?;
        Ok(Arc::new(SharedMemory { window, regions, bytes }))
    }

    /// Ends every rank, this one included.
    pub fn abort(&self) -> ! {
        // Of the world: MPICH ends only the calling process when a duplicate is aborted.
        SimpleCommunicator::world().abort(1)
    }
}

impl Drop for Comm {
    fn drop(&mut self) {
        IN_USE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Where the memory of a rank of this machine is.
fn region(window: ffi::MPI_Win, near: usize) -> Result<NonNull<u8>> {
    let (mut size, mut unit, mut at) = (0, 0, std::ptr::null_mut::<u8>());
    // SAFETY: a live window of shared memory, and plain out-parameters.
    check(unsafe {
        ffi::MPI_Win_shared_query(window, near as Rank, &mut size, &mut unit, (&raw mut at).cast())
    })?;
    NonNull::new(at).ok_or_else(|| failure("MPI has shared no memory"))
}

/// What [`Comm::share`] gives.
pub struct SharedMemory {
    window: ffi::MPI_Win,
    /// Of each rank of this machine, mapped here.
    regions: Vec<(usize, NonNull<u8>)>,
    bytes: usize,
}

// SAFETY: handles are usable from any thread (see `Comm`); the memory is reached through the window below only.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// The way to use it, once. It keeps the link, which is to be the last to keep this value.
    pub fn window(self: &Arc<Self>, link: Arc<dyn Link>) -> Window {
        // SAFETY: MPI aligns its memory to pages, and regions are whole pages; it is mapped until it is freed on drop;
        // every rank has zeroed its own, and a rank hears of the others before it calls anything that uses them.
        unsafe { Window::new(self.regions.clone(), self.bytes, Arc::new((self.clone(), link))) }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: a live window, freed once; nobody has pointers into it any more. It waits for the other ranks.
        let _ = check(unsafe { ffi::MPI_Win_free(&mut self.window) });
    }
}

type Requests = SmallVec<[ffi::MPI_Request; 1]>;

/// A message under way, and the memory that MPI reads or writes until it is done.
///
/// The memory of a transfer that is dropped unfinished is leaked: MPI may still be using it.
pub struct Transfer<M> {
    requests: Requests,
    memory: ManuallyDrop<M>,
}

// SAFETY: requests are handles, usable from any thread under MPI_THREAD_MULTIPLE (see `Comm`).
unsafe impl<M: Send> Send for Transfer<M> {}

impl<M> Transfer<M> {
    /// With nothing under way yet. Requests are put into it one by one, so that it holds the memory if one is refused.
    fn of(memory: M) -> Self {
        Self { requests: Requests::new(), memory: ManuallyDrop::new(memory) }
    }

    /// Whether MPI is done with the memory. Also lets MPI move other messages.
    pub fn test(&mut self) -> Result<bool> {
        while let Some(last) = self.requests.last_mut() {
            let mut done = 0;
            // SAFETY: a live request of ours; MPI frees it when it reports that it is done, and it is
            // forgotten here.
            check(unsafe { ffi::MPI_Test(last, &mut done, ffi::RSMPI_STATUS_IGNORE) })?;
            if done == 0 {
                return Ok(false);
            }
            self.requests.pop();
        }
        Ok(true)
    }

    /// The memory.
    ///
    /// # Panics
    /// If MPI is not done with it.
    pub fn into_memory(self) -> M {
        assert!(self.requests.is_empty(), "the transfer is still under way");
        let mut this = ManuallyDrop::new(self);
        // SAFETY: taken once: `this` is never used again, nor dropped.
        unsafe { ManuallyDrop::take(&mut this.memory) }
    }
}

impl<M> Drop for Transfer<M> {
    fn drop(&mut self) {
        if self.requests.is_empty() {
            // SAFETY: dropped once, here; nobody else has it, and MPI is done with it.
            unsafe { ManuallyDrop::drop(&mut self.memory) }
        }
    }
}

fn byte() -> ffi::MPI_Datatype {
    u8::equivalent_datatype().as_raw()
}

fn chunks(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(CHUNK).map(move |start| start..len.min(start + CHUNK))
}

fn request(start: impl FnOnce(*mut ffi::MPI_Request) -> i32) -> Result<ffi::MPI_Request> {
    let mut request = MaybeUninit::uninit();
    check(start(request.as_mut_ptr()))?;
    // SAFETY: a call that succeeded has written its request.
    Ok(unsafe { request.assume_init() })
}

fn check(code: i32) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    let mut text = [0u8; 4096];
    let mut len = 0;
    // SAFETY: the text is longer than any MPI_MAX_ERROR_STRING.
    unsafe { ffi::MPI_Error_string(code, text.as_mut_ptr().cast(), &mut len) };
    Err(failure(format!("MPI reports: {}", String::from_utf8_lossy(&text[..len as usize]))))
}

fn failure(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Mpi, text)
}
