//! A disk whose power fails: what was not synced may be lost, reordered or torn. It works on a real directory, keeps
//! beside that what is known to be durable, and lays out any of the states that a cut may leave.
//!
//! The model is harsher than file systems are: every block of 512 bytes that was written since a file's last sync is
//! there or is not, whatever came before or after it, and so is every change of a directory since that one's last sync.
//! Only a rename is one change, and a directory's sync says nothing of what is in its files.

use crate::files::{Disk, Linux};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a disk writes at once.
const BLOCK_BYTES: usize = 512;

type Id = usize;

#[derive(Clone, Debug)]
enum Node {
    File { durable: Vec<u8>, writes: Vec<(u64, Vec<u8>)> },
    Dir { durable: BTreeMap<OsString, Id>, changes: Vec<Change>, now: BTreeMap<OsString, Id> },
}

#[derive(Clone, Debug)]
enum Change {
    Set(OsString, Id),
    Unset(OsString),
    Rename(OsString, OsString, Id),
}

#[derive(Debug, Default)]
struct State {
    nodes: Vec<Node>,
    /// By inode of the real file, the newest that had it.
    ids: BTreeMap<u64, Id>,
    calls: usize,
}

/// A disk whose power fails before its `last`-th change: from then on every change fails.
#[derive(Debug)]
pub struct PowerCut {
    last: usize,
    state: Mutex<State>,
}

impl PowerCut {
    /// On the empty directory `root`, which is durable itself.
    ///
    /// # Errors
    /// When it cannot be looked up.
    pub fn before(last: usize, root: &Path) -> nix::Result<Self> {
        let mut state = State::default();
        let stat = nix::sys::stat::stat(root)?;
        state.add(stat.st_ino, empty_dir());
        Ok(Self { last, state: Mutex::new(state) })
    }

    /// How many changes were asked for.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.state().calls
    }

    /// How many things are in doubt: unsynced blocks and unsynced changes of directories.
    #[must_use]
    pub fn in_doubt(&self) -> usize {
        let of = |node: &Node| match node {
            Node::File { writes, .. } => {
                writes.iter().map(|(_, bytes)| bytes.len().div_ceil(BLOCK_BYTES)).sum()
            }
            Node::Dir { changes, .. } => changes.len(),
        };
        self.state().nodes.iter().map(of).sum()
    }

    /// Lays out, in the empty directory `image`, what may be there after the cut. `has_happened` is asked for
    /// everything in doubt, in one order.
    ///
    /// # Errors
    /// When the image cannot be written.
    pub fn lay_out(&self, image: &Path, mut has_happened: impl FnMut() -> bool) -> std::io::Result<()> {
        let state = self.state();
        lay_out(&state.nodes, 0, image, &mut has_happened)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a change; an error once the power has failed.
    fn change(&self) -> nix::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.calls += 1;
        if state.calls > self.last { Err(Errno::EIO) } else { Ok(state) }
    }
}

fn empty_dir() -> Node {
    Node::Dir { durable: BTreeMap::new(), changes: Vec::new(), now: BTreeMap::new() }
}

fn lay_out(nodes: &[Node], id: Id, at: &Path, has_happened: &mut dyn FnMut() -> bool) -> std::io::Result<()> {
    match &nodes[id] {
        Node::File { durable, writes } => {
            let mut bytes = durable.clone();
            for (offset, piece) in writes {
                for (index, block) in piece.chunks(BLOCK_BYTES).enumerate() {
                    if has_happened() {
                        let from = *offset as usize + index * BLOCK_BYTES;
                        bytes.resize(bytes.len().max(from + block.len()), 0);
                        bytes[from..from + block.len()].copy_from_slice(block);
                    }
                }
            }
            std::fs::write(at, bytes)
        }
        Node::Dir { durable, changes, .. } => {
            let mut names = durable.clone();
            for change in changes.iter().filter(|_| has_happened()) {
                match change {
                    Change::Set(name, id) => drop(names.insert(name.clone(), *id)),
                    Change::Unset(name) => drop(names.remove(name)),
                    Change::Rename(from, to, id) => {
                        names.remove(from);
                        names.insert(to.clone(), *id);
                    }
                }
            }
            if !at.exists() {
                std::fs::create_dir(at)?;
            }
            names.iter().try_for_each(|(name, id)| lay_out(nodes, *id, &at.join(name), has_happened))
        }
    }
}

impl State {
    fn add(&mut self, inode: u64, node: Node) -> Id {
        self.nodes.push(node);
        let id = self.nodes.len() - 1;
        self.ids.insert(inode, id);
        id
    }

    fn of(&mut self, fd: BorrowedFd<'_>) -> nix::Result<&mut Node> {
        let inode = nix::sys::stat::fstat(fd)?.st_ino;
        let id = self.ids.get(&inode).copied().ok_or(Errno::ENOENT)?;
        Ok(&mut self.nodes[id])
    }

    fn entry(&mut self, dir: BorrowedFd<'_>, change: Change) -> nix::Result<()> {
        if let Node::Dir { changes, now, .. } = self.of(dir)? {
            match &change {
                Change::Set(name, id) => drop(now.insert(name.clone(), *id)),
                Change::Unset(name) => drop(now.remove(name)),
                Change::Rename(from, to, id) => {
                    now.remove(from);
                    now.insert(to.clone(), *id);
                }
            }
            changes.push(change);
        }
        Ok(())
    }

    fn renamed(&mut self, dir: BorrowedFd<'_>, from: &OsStr, to: &OsStr) -> nix::Result<()> {
        let id = match self.of(dir)? {
            Node::Dir { now, .. } => now.get(from).copied(),
            Node::File { .. } => None,
        };
        let id = id.ok_or(Errno::ENOENT)?;
        self.entry(dir, Change::Rename(from.to_owned(), to.to_owned(), id))
    }

    fn wrote(&mut self, file: BorrowedFd<'_>, offset: u64, bytes: Vec<u8>) -> nix::Result<()> {
        if let Node::File { writes, .. } = self.of(file)? {
            // Cut where the disk's blocks end, so that each of them is whole or not.
            let first = (BLOCK_BYTES - offset as usize % BLOCK_BYTES).min(bytes.len());
            let (head, rest) = bytes.split_at(first);
            writes.push((offset, head.to_vec()));
            if !rest.is_empty() {
                writes.push((offset + first as u64, rest.to_vec()));
            }
        }
        Ok(())
    }
}

impl Disk for PowerCut {
    fn create(&self, dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> nix::Result<OwnedFd> {
        let mut state = self.change()?;
        let fd = Linux.create(dir, name, mode)?;
        let inode = nix::sys::stat::fstat(&fd)?.st_ino;
        let id = state.add(inode, Node::File { durable: Vec::new(), writes: Vec::new() });
        state.entry(dir, Change::Set(name.to_owned(), id))?;
        Ok(fd)
    }
    fn open_lock(&self, dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> nix::Result<OwnedFd> {
        if Linux.stat_at(dir, name).is_ok() {
            return Linux.open_lock(dir, name, mode);
        }
        self.create(dir, name, mode)
    }
    fn make_dir(&self, dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> nix::Result<()> {
        let mut state = self.change()?;
        Linux.make_dir(dir, name, mode)?;
        let inode = Linux.stat_at(dir, name)?.st_ino;
        let id = state.add(inode, empty_dir());
        state.entry(dir, Change::Set(name.to_owned(), id))
    }
    fn allocate(&self, file: BorrowedFd<'_>, offset: u64, len: u64) -> nix::Result<()> {
        let mut state = self.change()?;
        Linux.allocate(file, offset, len)?;
        // The length is what is in doubt: one byte at its end is enough to say it.
        state.wrote(file, offset + len - 1, vec![0])
    }
    fn write(&self, file: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> nix::Result<usize> {
        let mut state = self.change()?;
        let written = Linux.write(file, bytes, offset)?;
        state.wrote(file, offset, bytes[..written].to_vec())?;
        Ok(written)
    }
    fn sync_data(&self, file: BorrowedFd<'_>) -> nix::Result<()> {
        let mut state = self.change()?;
        if let Node::File { durable, writes } = state.of(file)? {
            for (offset, bytes) in writes.drain(..) {
                let end = offset as usize + bytes.len();
                durable.resize(durable.len().max(end), 0);
                durable[offset as usize..end].copy_from_slice(&bytes);
            }
        }
        Ok(())
    }
    fn sync_dir(&self, dir: BorrowedFd<'_>) -> nix::Result<()> {
        let mut state = self.change()?;
        if let Node::Dir { durable, changes, now } = state.of(dir)? {
            durable.clone_from(now);
            changes.clear();
        }
        Ok(())
    }
    fn rename(&self, dir: BorrowedFd<'_>, from: &OsStr, to: &OsStr) -> nix::Result<()> {
        let mut state = self.change()?;
        Linux.rename(dir, from, to)?;
        state.renamed(dir, from, to)
    }
    fn rename_new(&self, dir: BorrowedFd<'_>, from: &OsStr, to: &OsStr) -> nix::Result<()> {
        let mut state = self.change()?;
        Linux.rename_new(dir, from, to)?;
        state.renamed(dir, from, to)
    }
    fn remove(&self, dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<()> {
        let mut state = self.change()?;
        Linux.remove(dir, name)?;
        state.entry(dir, Change::Unset(name.to_owned()))
    }
    fn remove_dir(&self, dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<()> {
        let mut state = self.change()?;
        Linux.remove_dir(dir, name)?;
        state.entry(dir, Change::Unset(name.to_owned()))
    }
}
