//! The one place that maps the progress file: shared words, read and written whole.
//!
//! Unsafe because it is memory that other processes write at the same time: `mmap` itself, and the reference to the
//! mapped words. All access is through `AtomicU64`, and only a file sealed against shrinking is mapped, so that no
//! one can make a load or store fault.
#![allow(unsafe_code)]

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::libc::c_void;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// Words of a shared file, mapped until it is dropped.
#[derive(Debug)]
pub struct Words {
    start: NonNull<c_void>,
    mapped_bytes: NonZeroUsize,
    words: usize,
}

// SAFETY: the mapping belongs to no thread, and its words are atomics.
unsafe impl Send for Words {}
// SAFETY: as above; a shared reference gives out nothing but `&[AtomicU64]`.
unsafe impl Sync for Words {}

impl Words {
    /// Maps the first `words` words of a file that is sealed against shrinking and at least as long.
    ///
    /// # Errors
    /// When the file is not sealed, is shorter, or cannot be mapped for reading and writing.
    pub fn map(file: &File, words: usize) -> io::Result<Self> {
        let refuse = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        let seals = SealFlag::from_bits_retain(fcntl(file, FcntlArg::F_GET_SEALS)?);
        if !seals.contains(SealFlag::F_SEAL_SHRINK) {
            return refuse("is not sealed against shrinking");
        }
        let bytes = words.checked_mul(size_of::<u64>()).and_then(NonZeroUsize::new);
        let Some(mapped_bytes) = bytes else { return refuse("has no such slot") };
        if file.metadata()?.len() < mapped_bytes.get() as u64 {
            return refuse("has no such slot");
        }
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice; the file is as long and stays so (sealed).
        let start = unsafe { mmap(None, mapped_bytes, access, MapFlags::MAP_SHARED, file, 0) }?;
        Ok(Self { start, mapped_bytes, words })
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: page-aligned, mapped readable and writable for as long as `self` lives, and only ever seen as
        // atomics, in this process and in the others.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast::<AtomicU64>(), self.words) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: exactly what `map` mapped; no reference outlives `self`. It cannot fail for a whole mapping.
        let _ = unsafe { munmap(self.start, self.mapped_bytes.get()) };
    }
}
