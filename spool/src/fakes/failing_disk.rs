//! A disk that fails its N-th call, once or from then on, and keeps a list of all calls.

use crate::files::{Disk, Linux, Locked, Op};
use nix::errno::Errno;
use nix::sys::stat::FileStat;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How a call fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It does nothing and reports this errno.
    Error(Errno),
    /// A write does only its first byte, and reports so; any other call does all it should.
    Short,
    /// It does all it should, and reports this errno all the same.
    DoneBut(Errno),
    /// A read says that the file ends there; any other call does all it should.
    End,
    /// A read gives its first bit turned round; any other call does all it should.
    Flipped,
}

/// Whether it changes nothing.
fn reads(op: Op) -> bool {
    matches!(op, Op::Open | Op::Stat | Op::Read | Op::List | Op::Lock)
}

/// A call that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// Which.
    pub op: Op,
    /// The name it was given, if it has one.
    pub name: Option<String>,
}

#[derive(Default, Debug)]
struct State {
    calls: Vec<Call>,
}

/// A real disk with a fault at its `first`-th call, counted from 0.
#[derive(Debug)]
pub struct FailingDisk {
    first: usize,
    fault: Fault,
    persistent: bool,
    /// The calls that may fail; those that undo (removing) have a disk of their own to trust.
    ops: fn(Op) -> bool,
    state: Mutex<State>,
}

impl FailingDisk {
    /// Fails the `first`-th call that changes something for good, counted from 0; with `persistent` every later one too.
    #[must_use]
    pub fn new(first: usize, fault: Fault, persistent: bool) -> Self {
        let ops = |op| !matches!(op, Op::Remove | Op::RemoveDir) && !reads(op);
        Self { first, fault, persistent, ops, state: Mutex::default() }
    }

    /// Fails the `first`-th call that only reads: opening what is there, looking up, listing, reading, locking.
    #[must_use]
    pub fn reading(first: usize, fault: Fault, persistent: bool) -> Self {
        Self { ops: reads, ..Self::new(first, fault, persistent) }
    }

    /// Does nothing from its `first`-th call on, undoing included: what is on the disk is what a process leaves that
    /// is killed there.
    #[must_use]
    pub fn stopping(first: usize) -> Self {
        Self { ops: |op| !reads(op), ..Self::new(first, Fault::Error(Errno::EIO), true) }
    }

    /// Never fails; only keeps the list.
    #[must_use]
    pub fn never() -> Self {
        Self::new(usize::MAX, Fault::Short, false)
    }

    /// The calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the call; the fault that it meets.
    fn meets(&self, op: Op, name: Option<&OsStr>) -> Option<Fault> {
        let mut state = self.state();
        if !(self.ops)(op) {
            return None;
        }
        let n = state.calls.len();
        state.calls.push(Call { op, name: name.map(|n| n.to_string_lossy().into_owned()) });
        let hit = n == self.first || (self.persistent && n > self.first);
        hit.then_some(self.fault)
    }

    fn run<T>(&self, op: Op, name: Option<&OsStr>, call: impl FnOnce() -> nix::Result<T>) -> nix::Result<T> {
        match self.meets(op, name) {
            None | Some(Fault::Short | Fault::End | Fault::Flipped) => call(),
            Some(Fault::Error(errno)) => Err(errno),
            Some(Fault::DoneBut(errno)) => call().and(Err(errno)),
        }
    }
}

impl Disk for FailingDisk {
    fn create(&self, dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> nix::Result<OwnedFd> {
        match self.meets(Op::Create, Some(name)) {
            // Doing it and saying no would leave a name that nobody knows of; no file system does that.
            Some(Fault::Error(errno) | Fault::DoneBut(errno)) => Err(errno),
            _ => Linux.create(dir, name, mode),
        }
    }
    fn make_dir(&self, dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> nix::Result<()> {
        self.run(Op::MakeDir, Some(name), || Linux.make_dir(dir, name, mode))
    }
    fn set_mode(&self, file: BorrowedFd<'_>, mode: u32) -> nix::Result<()> {
        self.run(Op::Mode, None, || Linux.set_mode(file, mode))
    }
    fn allocate(&self, file: BorrowedFd<'_>, offset: u64, len: u64) -> nix::Result<()> {
        self.run(Op::Allocate, None, || Linux.allocate(file, offset, len))
    }
    fn set_len(&self, file: BorrowedFd<'_>, len: u64) -> nix::Result<()> {
        self.run(Op::SetLen, None, || Linux.set_len(file, len))
    }
    fn write(&self, file: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> nix::Result<usize> {
        match self.meets(Op::Write, None) {
            None | Some(Fault::End | Fault::Flipped) => Linux.write(file, bytes, offset),
            Some(Fault::Error(errno)) => Err(errno),
            Some(Fault::Short) => Linux.write(file, &bytes[..bytes.len().min(1)], offset),
            Some(Fault::DoneBut(errno)) => Linux.write(file, bytes, offset).and(Err(errno)),
        }
    }
    fn sync_data(&self, file: BorrowedFd<'_>) -> nix::Result<()> {
        self.run(Op::SyncData, None, || Linux.sync_data(file))
    }
    fn sync_dir(&self, dir: BorrowedFd<'_>) -> nix::Result<()> {
        self.run(Op::SyncDir, None, || Linux.sync_dir(dir))
    }
    fn close(&self, file: OwnedFd) -> nix::Result<()> {
        // The descriptor is gone in any case, as it is after close(2).
        let closed = Linux.close(file);
        self.run(Op::Close, None, || closed)
    }
    fn rename(&self, dir: BorrowedFd<'_>, from: &OsStr, to: &OsStr) -> nix::Result<()> {
        self.run(Op::Rename, Some(to), || Linux.rename(dir, from, to))
    }
    fn rename_new(&self, dir: BorrowedFd<'_>, from: &OsStr, to: &OsStr) -> nix::Result<()> {
        self.run(Op::RenameNew, Some(to), || Linux.rename_new(dir, from, to))
    }
    fn remove(&self, dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<()> {
        self.run(Op::Remove, Some(name), || Linux.remove(dir, name))
    }
    fn remove_dir(&self, dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<()> {
        self.run(Op::RemoveDir, Some(name), || Linux.remove_dir(dir, name))
    }
    fn open_dir(&self, path: &Path) -> nix::Result<OwnedFd> {
        self.run(Op::Open, path.file_name(), || Linux.open_dir(path))
    }
    fn open_subdir(&self, dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<OwnedFd> {
        self.run(Op::Open, Some(name), || Linux.open_subdir(dir, name))
    }
    fn open(&self, dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<OwnedFd> {
        self.run(Op::Open, Some(name), || Linux.open(dir, name))
    }
    fn open_lock(&self, dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> nix::Result<OwnedFd> {
        self.run(Op::Open, Some(name), || Linux.open_lock(dir, name, mode))
    }
    fn lock(&self, file: OwnedFd) -> Result<Locked, (File, Errno)> {
        match self.meets(Op::Lock, None) {
            Some(Fault::Error(errno) | Fault::DoneBut(errno)) => Err((file.into(), errno)),
            _ => Linux.lock(file),
        }
    }
    fn stat(&self, file: BorrowedFd<'_>) -> nix::Result<FileStat> {
        self.run(Op::Stat, None, || Linux.stat(file))
    }
    fn stat_at(&self, dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<FileStat> {
        self.run(Op::Stat, Some(name), || Linux.stat_at(dir, name))
    }
    fn read(&self, file: BorrowedFd<'_>, out: &mut [u8], offset: u64) -> nix::Result<usize> {
        match self.meets(Op::Read, None) {
            None => Linux.read(file, out, offset),
            Some(Fault::Error(errno) | Fault::DoneBut(errno)) => Err(errno),
            Some(Fault::End) => Ok(0),
            Some(Fault::Short) => {
                let one = out.len().min(1);
                Linux.read(file, &mut out[..one], offset)
            }
            Some(Fault::Flipped) => {
                let read = Linux.read(file, out, offset)?;
                out.iter_mut().take(read.min(1)).for_each(|byte| *byte ^= 0x80);
                Ok(read)
            }
        }
    }
    fn list(&self, dir: BorrowedFd<'_>) -> nix::Result<Vec<OsString>> {
        self.run(Op::List, None, || Linux.list(dir))
    }
}

/// A disk on which only so many reservations of space succeed, and writing beyond what is reserved fails too.
#[derive(Debug)]
pub struct FullDisk {
    left: Mutex<usize>,
    reserved_bytes: Mutex<u64>,
}

impl FullDisk {
    /// Takes `allocations` reservations, then no more.
    #[must_use]
    pub fn after_allocations(allocations: usize) -> Self {
        Self { left: Mutex::new(allocations), reserved_bytes: Mutex::new(0) }
    }
}

impl Disk for FullDisk {
    fn allocate(&self, file: BorrowedFd<'_>, offset: u64, len: u64) -> nix::Result<()> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.checked_sub(1).ok_or(Errno::ENOSPC)?;
        *self.reserved_bytes.lock().unwrap_or_else(PoisonError::into_inner) = offset + len;
        Linux.allocate(file, offset, len)
    }

    fn write(&self, file: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> nix::Result<usize> {
        let reserved = *self.reserved_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if offset + bytes.len() as u64 > reserved {
            return Err(Errno::ENOSPC);
        }
        Linux.write(file, bytes, offset)
    }
}
