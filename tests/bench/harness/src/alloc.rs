//! The allocator of every peer: the system's, with a count that is off unless a run asks for it.
//!
//! A timed run pays one predictable branch per allocation. The counts are of the whole process,
//! reallocations included, and never reset: a reader takes the difference of two readings.
#![expect(unsafe_code, reason = "`GlobalAlloc` is an unsafe trait; every method only forwards")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// The system's allocator, counted.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Whether to count.
static ON: AtomicBool = AtomicBool::new(false);
/// Calls so far.
static CALLS: AtomicU64 = AtomicU64::new(0);
/// Bytes asked for so far.
static BYTES: AtomicU64 = AtomicU64::new(0);

/// Starts or stops counting.
pub(crate) fn count(on: bool) {
    ON.store(on, Relaxed);
}

/// Calls and bytes counted so far.
pub(crate) fn counts() -> (u64, u64) {
    (CALLS.load(Relaxed), BYTES.load(Relaxed))
}

#[inline]
fn note(size: usize) {
    if ON.load(Relaxed) {
        CALLS.fetch_add(1, Relaxed);
        BYTES.fetch_add(size as u64, Relaxed);
    }
}

// SAFETY: every method hands its arguments on to `System`, unchanged, and returns what it returned;
// `note` neither allocates nor unwinds. So `System`'s own guarantees hold for this type.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps `alloc`'s contract, which is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as for `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: `pointer` came from `System`, as all of this allocator's memory does.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as for `realloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
