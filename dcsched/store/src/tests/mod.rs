//! Tests of the whole store, in the files below, and what they share.

mod damage;
mod disks;
mod life;
mod model_disk;
mod page;
mod power;

use crate::read::{self, Found};
use crate::*;
use dc_spool::files::Dir;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

pub(super) const KIND: u16 = TYPE_FIRST + 4;

/// Small enough that a few records rotate segments and use space up.
pub(super) fn small() -> Options {
    Options {
        segment_bytes: 1500,
        reserve_bytes: 2048,
        pending_bytes: 4096,
        chunk_bytes: 1024,
        retry_ns: 1_000_000,
    }
}

/// Memory where there is some: what is tested here is not the disk.
pub(super) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// What record `seq` says: of every length, and never the same twice.
pub(super) fn payload(seq: u64) -> Vec<u8> {
    let mut bytes = seq.to_le_bytes().to_vec();
    bytes.extend((0..seq % 61).map(|i| (seq * 31 + i * 7) as u8));
    bytes
}

/// What the state is after record `seq`.
pub(super) fn state(seq: u64) -> Vec<u8> {
    format!("all up to {seq}; ").repeat(20).into_bytes()
}

pub(super) fn open_small(path: &Path) -> (Store, Recovered) {
    Store::open_on(std::sync::Arc::new(dc_spool::files::Linux), path, small()).unwrap()
}

/// Appends `count` records in batches of `group`, and waits for each.
pub(super) fn append(store: &mut Store, count: usize, group: usize) -> u64 {
    let mut last = store.progress().durable_seq;
    for n in 1..=count {
        last = store.append(KIND, &payload(last + 1), Room::Normal).unwrap();
        if n % group == 0 || n == count {
            store.wait_durable(last).unwrap();
        }
    }
    last
}

/// Writes a snapshot of all there is and waits for it.
pub(super) fn snapshot_now(store: &mut Store) -> Result<SnapshotDone, StoreError> {
    let seq = store.progress().durable_seq;
    store.snapshot(state(seq), seq).unwrap();
    loop {
        let mut fds = [nix::poll::PollFd::new(store.ready_fd(), nix::poll::PollFlags::POLLIN)];
        assert!(nix::poll::poll(&mut fds, 60_000u16).unwrap() > 0, "a snapshot ends");
        if let Some(done) = store.progress().snapshot {
            return done;
        }
    }
}

pub(super) fn read_dir(path: &Path) -> Found {
    let dir = Dir::open(path).unwrap();
    let cluster = identity(&dir).unwrap();
    read::read(&dir, cluster)
}

/// Holds what was read against what was written: a state and an unbroken row of records behind it. Gives the last.
pub(super) fn check_found(found: &Found, what: &str) -> u64 {
    let stands = found.snapshot.as_ref().unwrap();
    if stands.stands.seq > 0 {
        assert_eq!(stands.state, state(stands.stands.seq), "{what}: other state");
    } else {
        assert!(stands.state.is_empty(), "{what}");
    }
    let mut last = stands.stands.seq;
    for record in found.records.iter() {
        assert_eq!(record.seq, last + 1, "{what}: a gap");
        last = record.seq;
        if record.kind != TYPE_EPOCH {
            assert_eq!(record.kind, KIND, "{what}");
            assert_eq!(record.payload, payload(record.seq), "{what}: other data");
        }
    }
    last
}

/// Gives a file other bytes. Not by cutting it to nothing first: some file systems sync such files when they are closed.
pub(super) fn put(path: &Path, bytes: &[u8]) {
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}

/// The files of a directory but the lock, with their bytes.
pub(super) fn files(path: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(path).unwrap().map(|e| e.unwrap());
    let mut files: Vec<_> = entries
        .map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap()))
        .filter(|(name, _)| name != "lock")
        .collect();
    files.sort();
    files
}

/// A new directory with these files.
pub(super) fn directory(tmp: &Path, files: &[(String, Vec<u8>)]) -> PathBuf {
    let path = tmp.join("d");
    let _ = std::fs::remove_dir_all(&path);
    std::fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
    for (name, bytes) in files {
        std::fs::write(path.join(name), bytes).unwrap();
    }
    path
}
