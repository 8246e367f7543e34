//! Counts what a thread has allocated, so that a length in the input that makes a decoder allocate shows as a number.
//!
//! `unsafe`: an allocator can be written in no other way. It only counts, and hands everything on to the system's.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

thread_local! {
    /// Bytes that are allocated now, less those that another thread allocated and this one freed.
    static LIVE_BYTES: Cell<isize> = const { Cell::new(0) };
    static PEAK_BYTES: Cell<isize> = const { Cell::new(0) };
}

fn grew(bytes: usize) {
    // Without a destructor, both are there as long as the thread is.
    let _ = LIVE_BYTES.try_with(|live| {
        let now = live.get().saturating_add_unsigned(bytes);
        live.set(now);
        let _ = PEAK_BYTES.try_with(|peak| peak.set(peak.get().max(now)));
    });
}

fn shrank(bytes: usize) {
    let _ = LIVE_BYTES.try_with(|live| live.set(live.get().saturating_sub_unsigned(bytes)));
}

// SAFETY: every call is the system allocator's, with the same arguments; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grew(layout.size());
        // SAFETY: the caller's promise, handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grew(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        shrank(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // Both are there at once when it has to move.
        grew(bytes);
        shrank(layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, bytes) }
    }
}

/// The most bytes that `act` had allocated at one time, on this thread, beyond what was there before it.
pub fn peak_bytes<T>(act: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE_BYTES.get();
    PEAK_BYTES.set(before);
    let value = act();
    (value, usize::try_from(PEAK_BYTES.get() - before).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_point_is_counted() {
        let (len, peak) = peak_bytes(|| {
            drop(vec![1u8; 10_000]);
            vec![1u8; 5_000].len()
        });
        assert_eq!(len, 5_000);
        assert!((10_000..11_000).contains(&peak), "{peak}");
    }
}
