//! Memory that the ranks of one machine share, and the boards in it, on which members of a group exchange what they
//! have without a message. Threads of one rank have boards too, in memory of their process (`Heap`).
//!
//! Every rank owns one region of a [`Window`], and in it a board for each of its workers and each set of axes: the
//! number of the last step that the worker has posted, and two slots, used in turn.
//!
//! **The protocol.** In every step a member fills its slot, posts the step's number (release), and reads the others'
//! slots once all have posted it (acquire). It posts the next step when it is done reading. So whoever fills its slot
//! for step `s + 2`, the slot of step `s`, has seen everybody post `s + 1`, and nobody reads `s` any more. The borrow
//! checker holds a member to its part: what `Board::begin` lends ends before `Board::post`.
#![allow(unsafe_code)]

use std::any::Any;
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::mesh::{AxisSet, Shape};
use crate::sync::atomic::AtomicU64;

/// Where the slots begin: behind the counter, which has its cache lines for itself.
const COUNTER: usize = 128;
/// What one rank's region may take; pages that no board touches cost nothing.
const REGION: usize = 8 << 20;
/// Least and most that a slot holds.
const SLOT: (usize, usize) = (16 << 10, 384 << 10);
/// What a slot of a thread of a group on one rank holds: larger operands are read where they are.
const NEAR_SLOT: usize = 32 << 10;
/// Axes of a mesh whose sets all get boards.
const AXES: usize = 4;

/// How a region is cut into boards; the same on all ranks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    threads: usize,
    sets: usize,
    slot: usize,
}

impl Plan {
    /// The boards of this mesh; `None` where it has more axes than get any.
    pub(crate) fn new(shape: &Shape) -> Option<Self> {
        let axes = shape.axes().len();
        let (threads, sets) = (shape.threads(), (1 << axes) - 1);
        let slot = (REGION / (2 * threads * sets).max(1)).clamp(SLOT.0, SLOT.1) / COUNTER * COUNTER;
        (1..=AXES).contains(&axes).then_some(Self { threads, sets, slot })
    }

    /// One board for each thread of a group on one rank, each in a region of its own.
    pub(crate) fn near() -> Self {
        Self { threads: 1, sets: 1, slot: NEAR_SLOT }
    }

    /// Bytes of one rank's region.
    pub(crate) fn bytes(&self) -> usize {
        self.threads * self.sets * self.board()
    }

    fn board(&self) -> usize {
        COUNTER + 2 * self.slot
    }

    /// Where the board of a thread's group along these axes is.
    fn offset(&self, axes: AxisSet, thread: usize) -> usize {
        let set = axes as usize - 1;
        assert!(set < self.sets && thread < self.threads, "a board of the mesh");
        (set * self.threads + thread) * self.board()
    }
}

/// The regions of the ranks of one machine, mapped into this process. Cheap to clone.
#[derive(Clone)]
pub struct Window(Arc<Inner>);

struct Inner {
    regions: Vec<(usize, Region)>,
    bytes: usize,
    /// The boards of this process that have been asked for, by where they are.
    boards: Mutex<HashMap<usize, Arc<Shared>>>,
    /// Of each region.
    #[cfg(loom)]
    models: Vec<Arc<Model>>,
    /// Keeps the memory.
    _memory: Arc<dyn Any + Send + Sync>,
}

#[derive(Clone, Copy)]
struct Region(NonNull<u8>);

// SAFETY: plain memory, which is reached through boards only.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Window {
    /// The regions of these ranks, each `bytes` long.
    ///
    /// # Safety
    /// Each region must begin at a multiple of 64, stay mapped until `memory` is dropped, hold initialised bytes, all zero
    /// when the first rank uses its window, and be reached through windows only: one of each rank, over the same ranks.
    pub unsafe fn new(
        regions: Vec<(usize, NonNull<u8>)>,
        bytes: usize,
        memory: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        let regions = regions.into_iter().map(|(rank, at)| (rank, Region(at))).collect();
        Self(Arc::new(Inner {
            #[cfg(loom)]
            models: Vec::new(),
            regions,
            bytes,
            boards: Mutex::default(),
            _memory: memory,
        }))
    }

    fn region(&self, rank: usize) -> Option<Region> {
        self.0.regions.iter().find(|(other, _)| *other == rank).map(|(_, region)| *region)
    }

    /// The board of the group along these axes whose members are these threads of these ranks, for the member at
    /// `mine`; `None` where not all are on this machine. A window has one plan, and a group the same members in the same
    /// order whenever it is asked for.
    pub(crate) fn board(
        &self,
        plan: Plan,
        axes: AxisSet,
        members: &[(usize, usize)],
        mine: usize,
    ) -> Option<Turns> {
        assert!(plan.bytes() <= self.0.bytes, "a window that fits its plan");
        let place = |&(rank, thread): &(usize, usize)| {
            let region = self.region(rank)?;
            // SAFETY: the offset of a board lies in the region (checked above).
            Some(Region(unsafe { region.0.add(plan.offset(axes, thread)) }))
        };
        let places = members.iter().map(place).collect::<Option<Vec<_>>>()?;
        let mut boards = self.0.boards.lock().unwrap_or_else(PoisonError::into_inner);
        let board = || {
            Arc::new(Shared::new(Board {
                #[cfg(loom)]
                models: self.0.models.clone(),
                members: places,
                mine,
                slot: plan.slot,
                step: 0,
            }))
        };
        let shared = boards.entry(plan.offset(axes, members[mine].1)).or_insert_with(board).clone();
        Some(Turns { shared, _window: self.clone() })
    }
}

/// Regions for threads of one process: members of a group on one rank, or ranks that threads play.
pub(crate) struct Heap {
    bytes: usize,
    memory: *mut [u64],
    /// Of each region, whether its window has been given out.
    given: Vec<AtomicBool>,
    #[cfg(loom)]
    models: Vec<Arc<Model>>,
}

/// What the model checker watches in place of a board's memory, of which it does not know.
#[cfg(loom)]
#[derive(Default)]
struct Model {
    posted: AtomicU64,
    slots: [loom::cell::UnsafeCell<()>; 2],
}

// SAFETY: the cells hold nothing; they are there to have the checker find accesses that overlap.
#[cfg(loom)]
unsafe impl Send for Model {}
// SAFETY: as above.
#[cfg(loom)]
unsafe impl Sync for Model {}

// SAFETY: plain memory, which is reached through boards only.
unsafe impl Send for Heap {}
// SAFETY: as above.
unsafe impl Sync for Heap {}

impl Heap {
    /// So many regions of zeros.
    pub(crate) fn new(ranks: usize, bytes: usize) -> Self {
        let bytes = bytes.next_multiple_of(COUNTER);
        let memory = vec![0u64; (ranks * bytes + COUNTER) / size_of::<u64>()].into_boxed_slice();
        let given = (0..ranks).map(|_| AtomicBool::new(false)).collect();
        Self {
            #[cfg(loom)]
            models: (0..ranks).map(|_| Arc::default()).collect(),
            bytes,
            memory: Box::into_raw(memory),
            given,
        }
    }

    /// A region's window, once.
    pub(crate) fn window(self: Arc<Self>, rank: usize) -> Option<Window> {
        if self.given[rank].swap(true, Ordering::Relaxed) {
            return None;
        }
        let start = self.memory.cast::<u8>();
        // SAFETY: `new` has left room to begin at a multiple of 128, and for all regions behind it.
        let region = |rank| unsafe {
            let at = start.add(start.align_offset(COUNTER) + rank * self.bytes);
            (rank, NonNull::new(at).expect("memory"))
        };
        let regions = (0..self.given.len()).map(region).collect();
        // SAFETY: aligned, zeroed, kept by this value, which nobody else reads or writes, and given once for each region.
        let window = unsafe { Window::new(regions, self.bytes, self.clone()) };
        #[cfg(loom)]
        let window = {
            let Ok(mut inner) = Arc::try_unwrap(window.0) else { unreachable!("a new window") };
            inner.models = self.models.clone();
            Window(Arc::new(inner))
        };
        Some(window)
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: it came from a box, and every window that reaches it has kept this value.
        drop(unsafe { Box::from_raw(self.memory) });
    }
}

/// A board, and whose turn it is: calls under way at the same time use it one after the other, in the order in which
/// they were started, which is the same for all members.
#[derive(Clone)]
pub(crate) struct Turns {
    shared: Arc<Shared>,
    _window: Window,
}

struct Shared {
    board: Mutex<Board>,
    taken: std::sync::atomic::AtomicU64,
    over: std::sync::atomic::AtomicU64,
}

impl Shared {
    fn new(board: Board) -> Self {
        Self { board: Mutex::new(board), taken: Default::default(), over: Default::default() }
    }
}

impl Turns {
    /// The turn of a call that is being started.
    pub(crate) fn take(&self) -> u64 {
        self.shared.taken.fetch_add(1, Ordering::Relaxed)
    }

    /// The board, if it is this turn.
    pub(crate) fn board(&self, turn: u64) -> Option<MutexGuard<'_, Board>> {
        let now = self.shared.over.load(Ordering::Acquire) == turn;
        now.then(|| self.shared.board.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Places of those who have not come to the step that the board is at.
    pub(crate) fn late(&self) -> Vec<usize> {
        self.shared.board.lock().unwrap_or_else(PoisonError::into_inner).late()
    }

    /// Whoever is next may have the board.
    pub(crate) fn pass_on(&self) {
        self.shared.over.fetch_add(1, Ordering::Release);
    }
}

/// One member's access to what it and the others of its group post.
pub(crate) struct Board {
    /// Of each member.
    members: Vec<Region>,
    mine: usize,
    slot: usize,
    /// The last step that this member has posted.
    step: u64,
    #[cfg(loom)]
    models: Vec<Arc<Model>>,
}

impl Board {
    /// Bytes that a slot holds.
    pub(crate) fn slot_len(&self) -> usize {
        self.slot
    }

    #[cfg(loom)]
    fn posted(&self, member: usize) -> &AtomicU64 {
        &self.models[member].posted
    }

    #[cfg(not(loom))]
    fn posted(&self, member: usize) -> &AtomicU64 {
        // SAFETY: a board begins with its counter, which is aligned, lives as long as the window, and is reached as an
        // atomic by everybody.
        unsafe { AtomicU64::from_ptr(self.members[member].0.as_ptr().cast()) }
    }

    /// Whether a member has posted the step that this one has posted last.
    fn has_come(&self, member: usize) -> bool {
        self.posted(member).load(Ordering::Acquire) >= self.step
    }

    /// Whether all members have.
    pub(crate) fn is_complete(&self) -> bool {
        (0..self.members.len()).all(|member| self.has_come(member))
    }

    /// The same, looking so many times.
    pub(crate) fn completes(&self, looks: u32) -> bool {
        for _ in 0..looks {
            if self.is_complete() {
                return true;
            }
            std::hint::spin_loop();
        }
        self.is_complete()
    }

    fn late(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|&member| !self.has_come(member)).collect()
    }

    fn slot_of(&self, member: usize, step: u64) -> NonNull<u8> {
        let offset = COUNTER + (step % 2) as usize * self.slot;
        // SAFETY: both slots lie in the board.
        unsafe { self.members[member].0.add(offset) }
    }

    /// This member's slot of the next step, to be filled, and what all have posted in the last one.
    ///
    /// # Panics
    /// If the last step is not complete.
    pub(crate) fn begin(&mut self) -> (&mut [u8], Slots<'_>) {
        assert!(self.is_complete(), "a slot is filled when all have come");
        let next = self.slot_of(self.mine, self.step + 1);
        #[cfg(loom)]
        self.models[self.mine].slots[(self.step + 1) as usize % 2].with_mut(|_| ());
        // SAFETY: the slot lies in the window. The others read it only between this member's posts of the next step
        // and of the one after; of the earlier step that used it they are done, since all have posted a later one
        // (checked with acquire, so their reads are over). Within the process `&mut self` makes it the only access:
        // a window makes one board of a member, and `Slots` reach the other slots.
        (unsafe { std::slice::from_raw_parts_mut(next.as_ptr(), self.slot) }, Slots(self))
    }

    /// Hands the slot that [`begin`](Self::begin) gave to the others.
    pub(crate) fn post(&mut self) {
        self.step += 1;
        self.posted(self.mine).store(self.step, Ordering::Release);
    }
}

/// What all members have posted in a step.
#[derive(Clone, Copy)]
pub(crate) struct Slots<'a>(&'a Board);

impl<'a> Slots<'a> {
    /// How many members there are.
    pub(crate) fn len(self) -> usize {
        self.0.members.len()
    }

    /// One member's.
    pub(crate) fn of(self, member: usize) -> &'a [u8] {
        let at = self.0.slot_of(member, self.0.step);
        #[cfg(loom)]
        self.0.models[member].slots[self.0.step as usize % 2].with(|_| ());
        // SAFETY: the slot lies in the window and its bytes are initialised. Its owner has posted this step (`begin`
        // has checked with acquire, which makes its writes visible) and fills the slot anew only for the step after
        // the next, which it begins after this member has posted the next one; that takes `&mut Board`, and so ends
        // this borrow.
        unsafe { std::slice::from_raw_parts(at.as_ptr(), self.0.slot) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The same step of all members, with different fillings, in many interleavings.
    fn exchange(board: &mut Board, mine: usize, steps: u64) {
        let word = |step: u64, member: usize| (step << 8 | member as u64).to_le_bytes();
        for step in 1..=steps {
            while !board.is_complete() {
                std::thread::yield_now();
            }
            let (next, last) = board.begin();
            for member in 0..if step > 1 { last.len() } else { 0 } {
                let expected = word(step - 1, member);
                assert!(last.of(member).chunks_exact(8).all(|read| read == expected), "step {step}");
            }
            next.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&word(step, mine)));
            board.post();
            if (step + mine as u64).is_multiple_of(7) {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn slots_are_read_whole_and_in_step() {
        for ranks in [2, 3, 5] {
            let shape = Shape::new(vec![("batch".into(), ranks)], ranks, 1).unwrap();
            let plan = Plan { slot: 4096, ..Plan::new(&shape).unwrap() };
            let members: Vec<_> = (0..ranks).map(|rank| (rank, 0)).collect();
            std::thread::scope(|scope| {
                let heap = Arc::new(Heap::new(ranks, plan.bytes()));
                for rank in 0..ranks {
                    let window = heap.clone().window(rank).unwrap();
                    let turns = window.board(plan, 1, &members, rank).unwrap();
                    scope.spawn(move || exchange(&mut turns.board(turns.take()).unwrap(), rank, 2000));
                }
            });
        }
    }

    #[test]
    fn lanes_do_not_overlap_and_fit() {
        for (axes, threads) in [(1, 1), (1, 64), (2, 3), (4, 16)] {
            let sizes = (0..axes).map(|axis| (axis.to_string(), if axis == 0 { threads } else { 1 }));
            let plan = Plan::new(&Shape::new(sizes.collect(), 1, threads).unwrap()).unwrap();
            let mut offsets: Vec<_> = (1..=plan.sets as u32)
                .flat_map(|set| (0..threads).map(move |t| plan.offset(set, t)))
                .collect();
            offsets.sort_unstable();
            assert!(offsets.windows(2).all(|pair| pair[0] + plan.board() <= pair[1]));
            assert!(offsets.last().unwrap() + plan.board() <= plan.bytes());
            assert!(offsets.iter().all(|offset| offset.is_multiple_of(64)));
        }
    }
}
