//! A disk with a memory: it does all it is told, and remembers in which order, so that what a power cut at any instant
//! may leave can be made: what was synced, and of the rest any part, in sectors, in any order.

use dc_spool::files::{Disk, Linux};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;

const SECTOR: u64 = 512;

/// What happened.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Create {
        inode: u64,
        name: String,
    },
    Write {
        inode: u64,
        offset: u64,
        bytes: Vec<u8>,
    },
    /// The length is at least this, or exactly this.
    Len {
        inode: u64,
        len: u64,
        exact: bool,
    },
    Sync {
        inode: u64,
    },
    SyncDir,
    Rename {
        from: String,
        to: String,
    },
    Remove {
        name: String,
    },
    /// The caller was told that this record is durable.
    Told {
        seq: u64,
        epoch: u32,
    },
}

#[derive(Debug, Default)]
pub(super) struct ModelDisk {
    events: Mutex<Vec<Event>>,
}

impl ModelDisk {
    pub fn note(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }

    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }
}

fn inode(file: impl AsFd) -> u64 {
    nix::sys::stat::fstat(file).unwrap().st_ino
}

fn text(name: &OsStr) -> String {
    name.to_str().unwrap().to_owned()
}

// The event comes before the call where it may take effect by itself at any time, and after it where it is a promise.
impl Disk for ModelDisk {
    fn create(&self, dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> nix::Result<OwnedFd> {
        let fd = Linux.create(dir, name, mode)?;
        self.note(Event::Create { inode: inode(&fd), name: text(name) });
        Ok(fd)
    }
    fn make_dir(&self, _: BorrowedFd<'_>, _: &OsStr, _: u32) -> nix::Result<()> {
        Err(Errno::ENOSYS)
    }
    fn allocate(&self, file: BorrowedFd<'_>, offset: u64, len: u64) -> nix::Result<()> {
        self.note(Event::Len { inode: inode(file), len: offset + len, exact: false });
        Linux.allocate(file, offset, len)
    }
    fn set_len(&self, file: BorrowedFd<'_>, len: u64) -> nix::Result<()> {
        self.note(Event::Len { inode: inode(file), len, exact: true });
        Linux.set_len(file, len)
    }
    fn write(&self, file: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> nix::Result<usize> {
        self.note(Event::Write { inode: inode(file), offset, bytes: bytes.to_vec() });
        Linux.write(file, bytes, offset)
    }
    fn sync_data(&self, file: BorrowedFd<'_>) -> nix::Result<()> {
        // Memory has no need of the call itself.
        self.note(Event::Sync { inode: inode(file) });
        Ok(())
    }
    fn sync_dir(&self, _: BorrowedFd<'_>) -> nix::Result<()> {
        self.note(Event::SyncDir);
        Ok(())
    }
    fn rename(&self, dir: BorrowedFd<'_>, from: &OsStr, to: &OsStr) -> nix::Result<()> {
        self.note(Event::Rename { from: text(from), to: text(to) });
        Linux.rename(dir, from, to)
    }
    fn rename_new(&self, dir: BorrowedFd<'_>, from: &OsStr, to: &OsStr) -> nix::Result<()> {
        self.note(Event::Rename { from: text(from), to: text(to) });
        Linux.rename_new(dir, from, to)
    }
    fn remove(&self, dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<()> {
        self.note(Event::Remove { name: text(name) });
        Linux.remove(dir, name)
    }
}

/// What a power cut after these events may leave. `keep` says of each thing that was not synced whether it
/// reached the disk.
pub(super) fn after_power_cut(
    base: &[(String, Vec<u8>)],
    events: &[Event],
    keep: &mut dyn FnMut() -> bool,
) -> Vec<(String, Vec<u8>)> {
    let last_sync_dir = events.iter().rposition(|e| matches!(e, Event::SyncDir));
    let mut last_sync: BTreeMap<u64, usize> = BTreeMap::new();
    for (at, event) in events.iter().enumerate() {
        if let Event::Sync { inode } = event {
            last_sync.insert(*inode, at);
        }
    }
    let mut contents: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut names: BTreeMap<String, Result<u64, Vec<u8>>> =
        base.iter().map(|(name, bytes)| (name.clone(), Err(bytes.clone()))).collect();
    for (at, event) in events.iter().enumerate() {
        let dir_synced = last_sync_dir.is_some_and(|sync| at < sync);
        let synced = |inode: &u64| last_sync.get(inode).is_some_and(|sync| at < *sync);
        match event {
            Event::Create { inode, name } => {
                // An inode's number may be used again.
                contents.insert(*inode, Vec::new());
                if dir_synced || keep() {
                    names.insert(name.clone(), Ok(*inode));
                }
            }
            Event::Len { inode, len, exact } => {
                let Some(content) = contents.get_mut(inode) else { continue };
                if synced(inode) || keep() {
                    let longer = content.len().max(*len as usize);
                    content.resize(if *exact { *len as usize } else { longer }, 0);
                }
            }
            Event::Write { inode, offset, bytes } => {
                let Some(content) = contents.get_mut(inode) else { continue };
                let mut from = *offset;
                let end = offset + bytes.len() as u64;
                while from < end {
                    let to = ((from / SECTOR + 1) * SECTOR).min(end);
                    if synced(inode) || keep() {
                        let (a, b) = (from as usize, to as usize);
                        content.resize(content.len().max(b), 0);
                        content[a..b].copy_from_slice(&bytes[a - *offset as usize..b - *offset as usize]);
                    }
                    from = to;
                }
            }
            Event::Rename { from, to } => {
                if (dir_synced || keep())
                    && let Some(file) = names.remove(from)
                {
                    names.insert(to.clone(), file);
                }
            }
            Event::Remove { name } => {
                if dir_synced || keep() {
                    names.remove(name);
                }
            }
            Event::Sync { .. } | Event::SyncDir | Event::Told { .. } => {}
        }
    }
    names
        .into_iter()
        .map(|(name, file)| {
            let bytes = match file {
                Ok(inode) => contents.get(&inode).cloned().unwrap_or_default(),
                Err(bytes) => bytes,
            };
            (name, bytes)
        })
        .collect()
}
