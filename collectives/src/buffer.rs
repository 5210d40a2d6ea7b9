//! Reference-counted, 64-byte aligned memory, recycled through a [`Pool`].
//!
//! A buffer is written once, by its only owner ([`BufferMut`]), and then read by anyone ([`Buffer`]): a
//! collective hands the same memory to every thread without a copy. When the last reader is gone the memory
//! goes back to the pool that it came from; measured, a pool is four times cheaper than any allocator for
//! tensors of a megabyte and up, because the pages stay mapped.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::any::Any;
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use crate::element::{Element, ElementType};

const ALIGN: usize = 64;
/// Blocks that a size class may keep while nobody uses them, and bytes, whichever is more.
const KEEP: (usize, usize) = (64, 1 << 20);

/// Where freed buffers wait to be used again. Cheap to clone; one per worker.
#[derive(Clone, Default)]
pub struct Pool(Arc<Free>);

#[derive(Default)]
struct Free {
    /// By the index of the class.
    classes: Mutex<Vec<Vec<Block>>>,
    attachment: OnceLock<Arc<dyn Any + Send + Sync>>,
}

/// An allocation of `size` bytes (a size class), owned.
struct Block {
    at: NonNull<u8>,
    size: usize,
}

// SAFETY: a block is plain memory with one owner; nothing in it is tied to a thread.
unsafe impl Send for Block {}
// SAFETY: a shared block is only ever read; writing needs `&mut`.
unsafe impl Sync for Block {}

impl Block {
    fn new(size: usize) -> Self {
        let layout = Layout::from_size_align(size, ALIGN).expect("buffer size");
        // SAFETY: size classes are at least 64 bytes, so the layout is not empty.
        let at = unsafe { alloc(layout) };
        let at = NonNull::new(at).unwrap_or_else(|| handle_alloc_error(layout));
        Self { at, size }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let layout = Layout::from_size_align(self.size, ALIGN).expect("buffer size");
        // SAFETY: `at` came from `alloc` with this very layout and is freed once.
        unsafe { dealloc(self.at.as_ptr(), layout) }
    }
}

/// The size of the blocks that hold so many bytes, one of four steps between powers of two, so that at most a
/// fifth is wasted; and the index of that class.
fn size_class(bytes: usize) -> (usize, usize) {
    let bytes = bytes.max(ALIGN);
    let top = bytes.next_power_of_two();
    let step = (top / 8).max(ALIGN);
    let steps = bytes.div_ceil(step);
    (steps * step, top.ilog2() as usize * 8 + steps)
}

impl Pool {
    /// An empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// Memory for `len` elements, to be written before it is shared. Its contents are unspecified but valid.
    pub fn alloc<T: Element>(&self, len: usize) -> BufferMut {
        let bytes = len.checked_mul(size_of::<T>()).expect("a buffer's bytes can be counted");
        let (size, class) = size_class(bytes);
        let reused = self.0.classes.lock().expect("pool").get_mut(class).and_then(Vec::pop);
        let block = reused.unwrap_or_else(|| {
            let block = Block::new(size);
            // Zeroed once, so that every byte is initialised before anyone can read it.
            // SAFETY: the block is `size` bytes long and nobody else has it.
            unsafe { block.at.as_ptr().write_bytes(0, size) };
            block
        });
        let mut buffer = BufferMut { inner: Inner { block: Some(block), bytes, pool: self.clone() } };
        if T::TYPE == ElementType::Bool {
            // Bytes that another type left behind need not be valid `bool`s.
            buffer.bytes_mut().fill(0);
        }
        buffer
    }

    /// Memory for `len` elements, all zero.
    pub fn zeroed<T: Element>(&self, len: usize) -> BufferMut {
        let mut buffer = self.alloc::<T>(len);
        buffer.bytes_mut().fill(0);
        buffer
    }

    /// A copy of `data`.
    pub fn copy_of<T: Element>(&self, data: &[T]) -> Buffer {
        let mut buffer = self.alloc::<T>(data.len());
        buffer.as_mut_slice().copy_from_slice(data);
        buffer.freeze()
    }

    /// Leaves something with the pool, to be found by whoever computes with its memory; whether it was the first,
    /// since a pool keeps what it has.
    ///
    /// ```
    /// # use axisgrad_collectives::Pool;
    /// # use std::sync::Arc;
    /// let pool = Pool::new();
    /// assert!(pool.attach(Arc::new(7)));
    /// assert!(!pool.attach(Arc::new(8)));
    /// assert_eq!(pool.clone().attachment(), Some(&7));
    /// assert_eq!(pool.attachment::<String>(), None);
    /// ```
    pub fn attach(&self, attachment: Arc<dyn Any + Send + Sync>) -> bool {
        self.0.attachment.set(attachment).is_ok()
    }

    /// What was left with the pool, if it is a `T`.
    pub fn attachment<T: Any>(&self) -> Option<&T> {
        self.0.attachment.get()?.downcast_ref()
    }

    fn take_back(&self, block: Block) {
        let mut classes = self.0.classes.lock().expect("pool");
        let (size, class) = size_class(block.size);
        if classes.len() <= class {
            classes.resize_with(class + 1, Vec::new);
        }
        if classes[class].len() < KEEP.0.max(KEEP.1 / size) {
            classes[class].push(block);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

struct Inner {
    /// `None` only while it is being dropped.
    block: Option<Block>,
    bytes: usize,
    pool: Pool,
}

impl Inner {
    fn as_bytes(&self) -> &[u8] {
        let block = self.block.as_ref().expect("a live buffer");
        // SAFETY: the block holds at least `bytes` initialised bytes and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(block.at.as_ptr(), self.bytes) }
    }

    fn as_bytes_mut(&mut self) -> &mut [u8] {
        let block = self.block.as_mut().expect("a live buffer");
        // SAFETY: as above, and `&mut self` makes this the only access.
        unsafe { std::slice::from_raw_parts_mut(block.at.as_ptr(), self.bytes) }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(block) = self.block.take() {
            self.pool.take_back(block);
        }
    }
}

/// Memory with one owner, who may write to it.
pub struct BufferMut {
    inner: Inner,
}

impl BufferMut {
    /// The contents, as elements.
    ///
    /// # Panics
    /// If the length in bytes is not a multiple of the element's size.
    pub fn as_mut_slice<T: Element>(&mut self) -> &mut [T] {
        cast_mut(self.inner.as_bytes_mut())
    }

    /// The contents as they are, as elements.
    ///
    /// # Panics
    /// As [`as_mut_slice`](Self::as_mut_slice).
    pub fn as_slice<T: Element>(&self) -> &[T] {
        cast(self.inner.as_bytes())
    }

    /// The contents, as bytes.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.inner.as_bytes_mut()
    }

    /// Gives up writing; from now on the memory can be shared.
    pub fn freeze(self) -> Buffer {
        Buffer(Arc::new(self.inner))
    }
}

/// Shared memory that nobody writes to. Cheap to clone.
#[derive(Clone)]
pub struct Buffer(Arc<Inner>);

/// Memory that several workers fill together, each its own range, before anybody reads.
///
/// Every range is claimed once and written by its claimant alone; [`freeze`](Self::freeze) hands out the
/// memory for reading after all ranges are done.
#[derive(Clone)]
pub struct Canvas(Arc<Ranges>);

struct Ranges {
    at: NonNull<u8>,
    buffer: Buffer,
    /// Where each range ends, in bytes, and whether it has been claimed.
    ranges: Vec<(usize, AtomicBool)>,
    done: AtomicUsize,
}

// SAFETY: the memory is reached through claims, which are exclusive, until all of them are done, and through
// the buffer, which only reads, after that.
unsafe impl Send for Ranges {}
// SAFETY: as above.
unsafe impl Sync for Ranges {}

impl Canvas {
    /// Splits memory in consecutive ranges of so many bytes.
    ///
    /// # Panics
    /// If the lengths do not add up to the buffer's.
    pub fn new(mut buffer: BufferMut, lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut end = 0;
        let grow = |length| {
            end += length;
            (end, AtomicBool::new(false))
        };
        let ranges: Vec<_> = lengths.into_iter().map(grow).collect();
        assert_eq!(end, buffer.bytes_mut().len(), "the ranges of a canvas must be all of it");
        let at = buffer.inner.block.as_ref().expect("a live buffer").at;
        Self(Arc::new(Ranges { at, buffer: buffer.freeze(), ranges, done: AtomicUsize::new(0) }))
    }

    /// Takes one range for writing; it is done when the claim is dropped.
    ///
    /// # Panics
    /// If it has been claimed before.
    pub fn claim(&self, index: usize) -> Claim {
        let (_, claimed) = &self.0.ranges[index];
        assert!(!claimed.swap(true, Ordering::Relaxed), "range {index} of a canvas was claimed twice");
        Claim { canvas: self.clone(), index }
    }

    /// The memory, for reading.
    ///
    /// # Panics
    /// If a range is not done.
    pub fn freeze(self) -> Buffer {
        let done = self.0.done.load(Ordering::Acquire);
        assert_eq!(done, self.0.ranges.len(), "a canvas was read before it was filled");
        self.0.buffer.clone()
    }
}

impl fmt::Debug for Canvas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Canvas({} ranges)", self.0.ranges.len())
    }
}

/// One range of a [`Canvas`], held by the worker who fills it.
pub struct Claim {
    canvas: Canvas,
    index: usize,
}

impl Claim {
    /// The range, as elements.
    ///
    /// # Panics
    /// If its length in bytes is not a multiple of the element's size.
    pub fn as_mut_slice<T: Element>(&mut self) -> &mut [T] {
        let Ranges { at, ranges, .. } = &*self.canvas.0;
        let start = self.index.checked_sub(1).map_or(0, |before| ranges[before].0);
        let len = ranges[self.index].0 - start;
        // SAFETY: the bytes lie inside the block, which `buffer` keeps alive, and are initialised. Ranges are
        // disjoint and each is claimed once, so this `&mut` is the only access to them: the buffer inside is
        // given out only after every claim has been dropped.
        cast_mut(unsafe { std::slice::from_raw_parts_mut(at.as_ptr().add(start), len) })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.canvas.0.done.fetch_add(1, Ordering::Release);
    }
}

impl Buffer {
    /// The contents, as elements.
    ///
    /// # Panics
    /// If the length in bytes is not a multiple of the element's size.
    pub fn as_slice<T: Element>(&self) -> &[T] {
        cast(self.0.as_bytes())
    }

    /// The contents, as bytes.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The pool that this memory goes back to; results computed from it should come from there too.
    pub fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// Whether this is the only handle.
    pub(crate) fn is_sole(&mut self) -> bool {
        Arc::get_mut(&mut self.0).is_some()
    }

    /// The contents for writing in place, if this is the only handle.
    pub fn get_mut<T: Element>(&mut self) -> Option<&mut [T]> {
        Arc::get_mut(&mut self.0).map(|inner| cast_mut(inner.as_bytes_mut()))
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.0.bytes)
    }
}

/// Reads bytes as elements.
///
/// # Panics
/// If `bytes` is not aligned for `T` or not a whole number of them, or one of what is to be a `bool` is not 0 or 1.
pub fn cast<T: Element>(bytes: &[u8]) -> &[T] {
    check_cast::<T>(bytes);
    assert!(are_valid::<T>(bytes), "bytes that are not 0 or 1 are not bool");
    // SAFETY: aligned, whole and valid (checked above).
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) }
}

pub(crate) fn cast_mut<T: Element>(bytes: &mut [u8]) -> &mut [T] {
    check_cast::<T>(bytes);
    // What is not valid was left in the memory by another type.
    if !are_valid::<T>(bytes) {
        bytes.fill(0);
    }
    // SAFETY: as in `cast`, and the borrow is exclusive.
    unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len() / size_of::<T>()) }
}

/// Sets every element to zero (`false`).
pub(crate) fn clear<T: Element>(data: &mut [T]) {
    // SAFETY: all bytes zero is a valid value of every element type.
    unsafe { data.as_mut_ptr().write_bytes(0, data.len()) }
}

/// Elements as bytes.
pub fn bytes_of<T: Element>(data: &[T]) -> &[u8] {
    // SAFETY: elements have no padding, so all their bytes are initialised.
    unsafe { std::slice::from_raw_parts(data.as_ptr().cast(), size_of_val(data)) }
}

/// Whether all bytes are of values of `T`: any are, but of `bool`.
fn are_valid<T: Element>(bytes: &[u8]) -> bool {
    T::TYPE != ElementType::Bool || bytes.iter().fold(0, |all, byte| all | byte) < 2
}

fn check_cast<T: Element>(bytes: &[u8]) {
    assert!(
        bytes.len().is_multiple_of(size_of::<T>()),
        "{} bytes are no whole number of {}",
        bytes.len(),
        T::TYPE
    );
    assert!((bytes.as_ptr() as usize).is_multiple_of(align_of::<T>()), "misaligned {}", T::TYPE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again() {
        let pool = Pool::new();
        let first = pool.copy_of(&[1.0f32, 2.0, 3.0]);
        let at = first.bytes().as_ptr();
        assert_eq!(first.as_slice::<f32>(), [1.0, 2.0, 3.0]);
        drop(first);
        assert_eq!(pool.zeroed::<f64>(2).freeze().bytes().as_ptr(), at);
    }

    #[test]
    #[should_panic(expected = "bytes that are not 0 or 1 are not bool")]
    fn bytes_are_no_truth_values() {
        Pool::new().copy_of(&[0u8, 2]).as_slice::<bool>();
    }

    #[test]
    fn what_another_type_has_left_is_no_truth_value() {
        let mut memory = Pool::new().alloc::<u8>(3);
        memory.as_mut_slice::<u8>().fill(7);
        assert_eq!(memory.as_mut_slice::<bool>(), [false; 3]);
    }

    #[test]
    fn only_a_sole_owner_writes() {
        let mut buffer = Pool::new().copy_of(&[1i32, 2]);
        let other = buffer.clone();
        assert!(buffer.get_mut::<i32>().is_none());
        drop(other);
        buffer.get_mut::<i32>().unwrap()[0] = 7;
        assert_eq!(buffer.as_slice::<i32>(), [7, 2]);
    }

    #[test]
    fn a_canvas_is_read_once_it_is_full() {
        let pool = Pool::new();
        let canvas = Canvas::new(pool.alloc::<i32>(3), [4, 8]);
        canvas.claim(1).as_mut_slice().copy_from_slice(&[2, 3]);
        let early = canvas.clone();
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| early.freeze())).is_err());
        canvas.claim(0).as_mut_slice::<i32>()[0] = 1;
        assert_eq!(canvas.freeze().as_slice::<i32>(), [1, 2, 3]);
    }

    #[test]
    fn size_classes_waste_little() {
        for bytes in [0, 1, 64, 65, 100, 1000, 4097, 1 << 20, (1 << 20) + 1] {
            let (size, class) = size_class(bytes);
            assert!(size >= bytes && (bytes < 512 || size <= bytes + bytes / 4), "{bytes} -> {size}");
            assert_eq!(size_class(size), (size, class), "a block goes back where it came from");
        }
    }
}
