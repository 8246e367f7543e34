//! The stack that children run on between clone and exec, with a page below it that faults rather than corrupts.
//!
//! Unsafe because it is mapped memory: the mapping lives as long as the value, and its top is the only thing given out.
#![allow(unsafe_code)]

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

const STACK_BYTES: NonZeroUsize = NonZeroUsize::new(64 << 10).unwrap();
const GUARD_BYTES: usize = 4096;

/// Memory for a stack.
#[derive(Debug)]
pub struct Stack {
    start: NonNull<c_void>,
}

impl Stack {
    /// Maps one.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new() -> nix::Result<Self> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_STACK;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe { mmap_anonymous(None, STACK_BYTES, access, flags) }?;
        let stack = Self { start };
        // SAFETY: the lowest part of the mapping made above, which nothing uses yet.
        unsafe { mprotect(start, GUARD_BYTES, ProtFlags::PROT_NONE) }?;
        Ok(stack)
    }

    /// Where it begins: stacks grow downwards.
    #[must_use]
    pub fn top(&self) -> *mut c_void {
        self.start.as_ptr().wrapping_byte_add(STACK_BYTES.get())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped; a child on it has executed or ended before `launch` returned.
        let _ = unsafe { munmap(self.start, STACK_BYTES.get()) };
    }
}
