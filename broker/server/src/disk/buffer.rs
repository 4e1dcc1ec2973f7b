//! Memory for `O_DIRECT`: buffers that begin on a 4 KiB boundary and are whole blocks long.
//!
//! What must hold:
//! - address and capacity of an [`AlignedBuffer`] are multiples of [`BLOCK_BYTES`], and every byte
//!   of the capacity is initialised, so padding can never carry another memory's content to disk;
//! - the heap address stays the same when the buffer moves, which is what lets the kernel hold it;
//! - a [`BufferPool`] keeps at most the bytes it was made for.
//!
//! A buffer never grows: who fills it has counted before. Unsafe code is here because Rust's
//! `Vec` knows no alignment of its own.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// The unit of direct I/O: offset, length and address of every write are multiples of it.
pub const BLOCK_BYTES: usize = 4096;

/// Largest buffer that a [`BufferPool`] keeps; larger ones go back to the allocator at once.
pub const POOLED_BYTES_MAX: usize = 4 << 20;

/// A fixed piece of block-aligned memory, of which the first [`len`](Self::len) bytes are filled.
///
/// It reads and writes as the slice of its filled bytes.
pub struct AlignedBuffer {
    memory: NonNull<u8>,
    capacity: usize,
    len: usize,
}

impl AlignedBuffer {
    /// An empty, zeroed buffer of at least `capacity` bytes, rounded up to whole blocks.
    ///
    /// Asserts that `capacity` is not 0. Aborts the process, as `Vec` does, when memory is out.
    pub fn with_capacity(capacity: usize) -> Self {
        assert!(capacity > 0, "a buffer holds at least one block");
        let capacity = capacity.next_multiple_of(BLOCK_BYTES);
        let layout = Self::layout(capacity);
        // SAFETY: the layout has a size above 0, asserted above.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(memory) = NonNull::new(memory) else {
            handle_alloc_error(layout);
        };
        Self { memory, capacity, len: 0 }
    }

    /// How many bytes are filled.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is filled.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes fit in all; a multiple of [`BLOCK_BYTES`].
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many bytes still fit.
    pub fn remaining(&self) -> usize {
        self.capacity - self.len
    }

    /// Appends `bytes`. Asserts that they fit.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.remaining(), "{} bytes into {} free ones", bytes.len(), self.remaining());
        let start = self.len;
        self.len += bytes.len();
        self[start..].copy_from_slice(bytes);
    }

    /// Appends `count` zeros. Asserts that they fit.
    pub fn extend_zeroed(&mut self, count: usize) {
        assert!(count <= self.remaining(), "{count} zeros into {} free bytes", self.remaining());
        let start = self.len;
        self.len += count;
        self[start..].fill(0);
    }

    /// Appends zeros up to the next block boundary, so that the filled part can be written directly.
    pub fn pad_to_block(&mut self) {
        self.extend_zeroed(self.len.next_multiple_of(BLOCK_BYTES) - self.len);
    }

    /// Keeps the first `len` bytes. Asserts that so many are filled.
    pub fn truncate(&mut self, len: usize) {
        assert!(len <= self.len, "truncating {} bytes to {len}", self.len);
        self.len = len;
    }

    /// Forgets what is filled; the capacity stays.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// The filled bytes as shared memory, without a copy; freed when the last clone goes.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }

    /// Where the kernel is to put what it reads: behind what is there.
    pub(super) fn spare_mut_ptr(&mut self) -> *mut u8 {
        // SAFETY: `len` is at most the capacity, so the place is inside the allocation or at its end.
        unsafe { self.memory.as_ptr().add(self.len) }
    }

    /// Says that the first `len` bytes are filled.
    pub(super) fn mark_filled(&mut self, len: usize) {
        assert!(len <= self.capacity, "the kernel filled {len} bytes of {}", self.capacity);
        self.len = len;
    }

    fn layout(capacity: usize) -> Layout {
        Layout::from_size_align(capacity, BLOCK_BYTES).expect("a buffer is smaller than the address space")
    }
}

// SAFETY: the memory is owned by this value alone and has no tie to the thread that allocated it.
unsafe impl Send for AlignedBuffer {}
// SAFETY: through a shared reference the memory is only read.
unsafe impl Sync for AlignedBuffer {}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: allocated in `with_capacity` with this very layout; the capacity never changes.
        unsafe { dealloc(self.memory.as_ptr(), Self::layout(self.capacity)) }
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `len <= capacity` bytes from `memory` on are allocated and initialised (zeroed at
        // first), and `&self` keeps them from being written.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `&mut self` makes this the only access.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), self.len) }
    }
}

impl AsRef<[u8]> for AlignedBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBuffer({} of {} bytes)", self.len, self.capacity)
    }
}

// SAFETY: the pointer is to the heap and stays when the buffer moves; `len` bytes are initialised,
// as is all of `capacity`.
unsafe impl tokio_uring::buf::IoBuf for AlignedBuffer {
    fn stable_ptr(&self) -> *const u8 {
        self.memory.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.len
    }

    fn bytes_total(&self) -> usize {
        self.capacity
    }
}

// SAFETY: the same stable pointer as in `IoBuf`; the memory is owned, so writing through it is allowed.
unsafe impl tokio_uring::buf::IoBufMut for AlignedBuffer {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.memory.as_ptr()
    }

    unsafe fn set_init(&mut self, pos: usize) {
        assert!(pos <= self.capacity, "the kernel filled {pos} bytes of {}", self.capacity);
        self.len = self.len.max(pos);
    }
}

/// Buffers to be used again, by size class (powers of two, one block to [`POOLED_BYTES_MAX`]).
///
/// Fresh large memory costs a page fault for every block: sending what is read from disk runs at
/// three quarters of its speed without a pool. Clones are the same pool; a lane has one of its own,
/// so that its lock is never waited for.
#[derive(Debug, Clone)]
pub struct BufferPool(Arc<Mutex<Pool>>);

#[derive(Debug)]
struct Pool {
    classes: [Vec<AlignedBuffer>; CLASSES],
    bytes_kept: usize,
    bytes_kept_max: usize,
    bytes_shared: usize,
}

impl BufferPool {
    /// A pool that keeps at most `bytes_kept_max` bytes of unused buffers.
    pub fn new(bytes_kept_max: usize) -> Self {
        let classes = std::array::from_fn(|_| Vec::new());
        Self(Arc::new(Mutex::new(Pool { classes, bytes_kept: 0, bytes_kept_max, bytes_shared: 0 })))
    }

    /// An empty buffer with room for at least `capacity` bytes: a kept one, or a new one.
    ///
    /// Its content beyond what the caller fills is arbitrary but initialised.
    pub fn take(&self, capacity: usize) -> AlignedBuffer {
        assert!(capacity > 0, "a buffer holds at least one block");
        let class = class_of(capacity);
        if class >= CLASSES {
            return AlignedBuffer::with_capacity(capacity);
        }
        let mut pool = self.lock();
        match pool.classes[class].pop() {
            Some(buffer) => {
                pool.bytes_kept -= buffer.capacity();
                buffer
            }
            None => AlignedBuffer::with_capacity(BLOCK_BYTES << class),
        }
    }

    /// Gives a buffer back. It is freed when it is of no class or the pool is full.
    pub fn put(&self, buffer: AlignedBuffer) {
        self.lock().keep(buffer);
    }

    /// The filled bytes as shared memory, without a copy. The buffer comes back to this pool when the
    /// last clone and slice of them goes, on whatever thread that is.
    pub fn share(&self, buffer: AlignedBuffer) -> Bytes {
        self.lock().bytes_shared += buffer.capacity();
        Bytes::from_owner(Shared { buffer: Some(buffer), pool: self.clone() })
    }

    /// Bytes of the unused buffers it holds now.
    pub fn bytes_kept(&self) -> usize {
        self.lock().bytes_kept
    }

    /// Bytes of the buffers that are shared now, each counted in full until its last reference goes.
    pub fn bytes_shared(&self) -> usize {
        self.lock().bytes_shared
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        // A panic while a buffer is moved in or out leaves the pool whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    fn keep(&mut self, mut buffer: AlignedBuffer) {
        let class = class_of(buffer.capacity());
        let fits = self.bytes_kept + buffer.capacity() <= self.bytes_kept_max;
        if class < CLASSES && buffer.capacity() == BLOCK_BYTES << class && fits {
            buffer.clear();
            self.bytes_kept += buffer.capacity();
            self.classes[class].push(buffer);
        }
    }
}

/// A buffer behind a `Bytes`, on its way back to its pool.
struct Shared {
    buffer: Option<AlignedBuffer>,
    pool: BufferPool,
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.buffer.as_ref().expect("it is taken out only when dropped")
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let buffer = self.buffer.take().expect("it is dropped once");
        let mut pool = self.pool.lock();
        pool.bytes_shared -= buffer.capacity();
        pool.keep(buffer);
    }
}

/// The smallest class whose buffers hold `capacity` bytes; it may be beyond the last one.
fn class_of(capacity: usize) -> usize {
    capacity.div_ceil(BLOCK_BYTES).next_power_of_two().trailing_zeros() as usize
}

const CLASSES: usize = (POOLED_BYTES_MAX / BLOCK_BYTES).trailing_zeros() as usize + 1;

const _: () = assert!(POOLED_BYTES_MAX.is_power_of_two() && POOLED_BYTES_MAX >= BLOCK_BYTES);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_aligned_and_whole_blocks() {
        for capacity in [1, 4095, 4096, 4097, 65_536, 1 << 20] {
            let buffer = AlignedBuffer::with_capacity(capacity);
            assert_eq!(buffer.memory.as_ptr() as usize % BLOCK_BYTES, 0);
            assert_eq!(buffer.capacity(), capacity.next_multiple_of(BLOCK_BYTES));
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn fills_and_pads_with_zeros_even_when_used_again() {
        let pool = BufferPool::new(1 << 20);
        let mut buffer = pool.take(2 * BLOCK_BYTES);
        buffer.extend_from_slice(&[0xff; 2 * BLOCK_BYTES]);
        pool.put(buffer);
        let mut buffer = pool.take(2 * BLOCK_BYTES);
        buffer.extend_from_slice(b"record");
        buffer.pad_to_block();
        assert_eq!(buffer.len(), BLOCK_BYTES);
        assert_eq!(&buffer[..6], b"record");
        assert!(buffer[6..].iter().all(|&byte| byte == 0));
        buffer.pad_to_block();
        assert_eq!(buffer.len(), BLOCK_BYTES, "whole blocks need no padding");
    }

    #[test]
    #[should_panic(expected = "free ones")]
    fn never_grows() {
        AlignedBuffer::with_capacity(1).extend_from_slice(&[0; BLOCK_BYTES + 1]);
    }

    #[test]
    fn pool_reuses_by_class_and_keeps_no_more_than_told() {
        let pool = BufferPool::new(3 * BLOCK_BYTES);
        let first = pool.take(100);
        let address = first.memory;
        pool.put(first);
        assert_eq!(pool.bytes_kept(), BLOCK_BYTES);
        assert_eq!(pool.take(BLOCK_BYTES).memory, address);
        assert_eq!(pool.bytes_kept(), 0);
        assert_eq!(pool.take(BLOCK_BYTES + 1).capacity(), 2 * BLOCK_BYTES);
        for _ in 0..9 {
            pool.put(AlignedBuffer::with_capacity(BLOCK_BYTES));
        }
        assert_eq!(pool.bytes_kept(), 3 * BLOCK_BYTES);
        let large = pool.take(POOLED_BYTES_MAX + 1);
        assert_eq!(large.capacity(), POOLED_BYTES_MAX + BLOCK_BYTES);
        pool.put(large);
        assert_eq!(pool.bytes_kept(), 3 * BLOCK_BYTES);
    }

    #[test]
    fn what_is_shared_comes_back_with_its_last_reference() {
        let pool = BufferPool::new(1 << 20);
        let mut buffer = pool.take(BLOCK_BYTES);
        buffer.extend_from_slice(b"shared");
        let address = buffer.as_ptr();
        let bytes = pool.share(buffer);
        let part = bytes.slice(2..4);
        drop(bytes);
        assert_eq!((&part[..], pool.bytes_shared(), pool.bytes_kept()), (&b"ar"[..], BLOCK_BYTES, 0));
        std::thread::spawn(move || drop(part)).join().expect("no panic");
        assert_eq!((pool.bytes_shared(), pool.bytes_kept()), (0, BLOCK_BYTES));
        assert_eq!(pool.take(1).as_ptr(), address);
    }

    #[test]
    fn shares_its_bytes_without_a_copy() {
        let mut buffer = AlignedBuffer::with_capacity(BLOCK_BYTES);
        buffer.extend_from_slice(b"shared");
        let address = buffer.as_ptr();
        let bytes = buffer.into_bytes();
        assert_eq!((bytes.as_ptr(), &bytes[..]), (address, &b"shared"[..]));
    }
}
