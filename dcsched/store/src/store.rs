//! The store as the scheduler's loop sees it: opened once, appended to without ever waiting for the disk, asked what is
//! durable when its descriptor is readable.

use crate::queue::{Queue, Room};
use crate::read::{self, Records, Tail};
use crate::segment::{SEGMENT_HEADER_BYTES, TYPE_EPOCH, TYPE_FIRST, epoch_payload};
use crate::writer::Writer;
use crate::{
    AppendError, ClusterUuid, STATE_BYTES_MAX, SnapshotError, StoreError, identity, journal_thread, layout,
    owner, snapshot_thread,
};
use dc_spool::files::{Dir, Disk, FileError, Linux, Op};
use dc_spool::lock::Lock;
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Sizes and times of a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Length from which a segment is followed by a new one, in bytes.
    pub segment_bytes: u64,
    /// Space kept for reserved records when the disk is full, in bytes.
    pub reserve_bytes: u64,
    /// The most that waits for the disk in memory, in bytes of a segment; at least one record of the longest.
    pub pending_bytes: u64,
    /// Space is asked of the disk in multiples of this, in bytes.
    pub chunk_bytes: u64,
    /// How often a full disk is asked again, in nanoseconds.
    pub retry_ns: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            reserve_bytes: 4 << 20,
            pending_bytes: 8 << 20,
            chunk_bytes: 4 << 20,
            retry_ns: 1_000_000_000,
        }
    }
}

impl Options {
    /// Space that must be there ahead of what is durable: all that may wait, a header, and the reserve.
    pub(crate) fn ahead_bytes(&self) -> u64 {
        self.reserve_bytes + self.pending_bytes + SEGMENT_HEADER_BYTES as u64
    }

    /// Space of a new segment.
    pub(crate) fn first_bytes(&self) -> u64 {
        (self.ahead_bytes() + self.chunk_bytes).next_multiple_of(self.chunk_bytes.max(1))
    }
}

/// What a directory said when it was opened.
#[derive(Debug)]
pub struct Recovered {
    /// The state of the newest snapshot that is whole; empty before the first.
    pub state: Vec<u8>,
    /// The record that the state stands for; 0 before the first.
    pub state_seq: u64,
    /// XXH3-128 of the state.
    pub state_digest: u128,
    /// Every acknowledged record after that, in order; the store's own ([`TYPE_EPOCH`]) among them.
    pub records: Records,
    /// This run's epoch, higher than any that anybody has seen; it is durable already.
    pub epoch: u32,
    /// How the journal ended.
    pub tail: Tail,
    /// What the operator should hear: one line each.
    pub notes: Vec<String>,
}

/// A snapshot that is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotDone {
    /// Its number.
    pub number: u32,
    /// The record it stands for.
    pub seq: u64,
    /// Older files that were removed.
    pub files_removed: usize,
}

/// How far the disk is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The newest record that is durable: it and all before it may be acted on.
    pub durable_seq: u64,
    /// Set while the disk is full: only reserved records are taken.
    pub full: Option<FileError>,
    /// Set when the journal has stopped, for good: the scheduler must end. What is durable is still durable.
    pub failed: Option<StoreError>,
    /// A snapshot that has ended since this was last asked.
    pub snapshot: Option<Result<SnapshotDone, StoreError>>,
    /// Bytes of records since the last snapshot that is durable: what a restart has to replay.
    pub tail_bytes: u64,
}

/// An open state directory. Dropped without [`Store::close`] it still writes what was appended, as far as it can.
#[derive(Debug)]
pub struct Store {
    dir: Dir,
    cluster: ClusterUuid,
    epoch: u32,
    queue: Arc<Queue>,
    ready: Arc<EventFd>,
    journal: Option<JoinHandle<()>>,
    snapshot: Option<JoinHandle<()>>,
    snapshot_done: Arc<Mutex<Option<Result<SnapshotDone, StoreError>>>>,
    /// Let go last.
    _owner: Lock,
}

impl Store {
    /// Opens a state directory that [`crate::init`] made: takes its lock, reads it, and begins a new epoch, which is
    /// durable when this returns.
    ///
    /// # Errors
    /// When another process has it, when something that was acknowledged is damaged or missing, or when the disk says
    /// no.
    pub fn open(path: &Path) -> Result<(Self, Recovered), StoreError> {
        Self::open_on(Arc::new(Linux), path, Options::default())
    }

    /// As [`Store::open`], on a disk and with sizes of the caller's.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        path: &Path,
        options: Options,
    ) -> Result<(Self, Recovered), StoreError> {
        let dir = match Dir::open_on(disk, path) {
            Err(error) if error.is_not_found() => return Err(StoreError::NotMade { dir: path.to_owned() }),
            other => other?,
        };
        let cluster = identity::identity(&dir)?;
        identity::check_mode(&dir)?;
        let owner = owner::take(&dir)?;
        let found = read::read(&dir, cluster);
        if let Some(error) = found.error {
            return Err(error);
        }
        let mut notes = notes(&found);
        let last_segment = found.last_segment();
        let Some(snapshot) = found.snapshot else {
            return Err(StoreError::NoSnapshot { dir: path.to_owned(), why: "there is none".into() });
        };
        dir.sweep_tmp()?;
        if found.tail == Tail::Clean
            && let Some(last) = found.records.segments.last()
            && let Err(error) = give_back(&dir, last_segment, last.valid_bytes)
        {
            notes.push(error.to_string());
        }
        let numbers = || StoreError::Numbers { dir: path.to_owned(), what: "epoch" };
        let epoch = found.epoch.checked_add(1).ok_or_else(numbers)?;
        let mut writer = Writer::begin(&dir, cluster, epoch, last_segment, found.before, options)?;
        let mut batch = crate::queue::Batch::default();
        batch.push(TYPE_EPOCH, &epoch_payload(epoch));
        let seq = writer.commit(&batch)?;
        if let Some(full) = writer.full() {
            notes.push(format!("only ends and cancels can be recorded until there is space: {full}"));
        }

        let descriptor = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
        let ready = Arc::new(descriptor.map_err(|errno| FileError::os(Op::Create, path, errno))?);
        let queue = Arc::new(Queue::new(options, seq, writer.room_bytes(), writer.full().cloned()));
        queue.lock().tail_bytes = found.records.segments.iter().map(|segment| segment.valid_bytes).sum();
        let journal = {
            let (queue, ready) = (Arc::clone(&queue), Arc::clone(&ready));
            std::thread::Builder::new()
                .name("dc-journal".into())
                .spawn(move || journal_thread::run(writer, &queue, &ready))
                .map_err(|error| FileError::io(Op::Create, path, error))?
        };
        let recovered = Recovered {
            state_seq: snapshot.stands.seq,
            state_digest: snapshot.digest,
            state: snapshot.state,
            records: found.records,
            epoch,
            tail: found.tail,
            notes,
        };
        let store = Self {
            dir,
            cluster,
            epoch,
            queue,
            ready,
            journal: Some(journal),
            snapshot: None,
            snapshot_done: Arc::default(),
            _owner: owner,
        };
        Ok((store, recovered))
    }

    /// Whose state it is.
    #[must_use]
    pub fn cluster(&self) -> ClusterUuid {
        self.cluster
    }

    /// This run's epoch.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Takes a record and gives it its number, without waiting for the disk. It is on its way at the next
    /// [`Store::sync`], or when much waits already; the world may see it when it is durable, and not before.
    ///
    /// # Errors
    /// [`AppendError`]; the record has no number and no trace then.
    ///
    /// # Panics
    /// When the type is below [`TYPE_FIRST`]: those are the store's own.
    pub fn append(&mut self, kind: u16, payload: &[u8], room: Room) -> Result<u64, AppendError> {
        assert!(kind >= TYPE_FIRST, "type {kind} is the store's own");
        self.queue.append(kind, payload, room)
    }

    /// Has what was appended so far made durable, together; returns at once. To be called once a turn of the loop.
    pub fn sync(&mut self) {
        self.queue.sync();
    }

    /// A descriptor that becomes readable when [`Store::progress`] has news.
    #[must_use]
    pub fn ready_fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }

    /// How far the disk is; makes the descriptor unreadable until there is more.
    pub fn progress(&mut self) -> Progress {
        let _ = self.ready.read();
        let done = self.snapshot_done.lock().unwrap_or_else(PoisonError::into_inner).take();
        if done.is_some()
            && let Some(thread) = self.snapshot.take()
        {
            let _ = thread.join();
        }
        let state = self.queue.lock();
        Progress {
            durable_seq: state.durable_seq,
            full: state.full.clone(),
            failed: state.failed.clone(),
            snapshot: done,
            tail_bytes: state.tail_bytes,
        }
    }

    /// Waits until a record is durable. For tools and for the end; never for the loop.
    ///
    /// # Errors
    /// Why the journal has stopped before.
    pub fn wait_durable(&mut self, seq: u64) -> Result<(), StoreError> {
        self.queue.wait_durable(seq)
    }

    /// Has `state` written as a snapshot that stands for all records up to `at_seq`, beside the loop; what became of it
    /// is in [`Store::progress`]. When it is durable, older files are removed but for one generation.
    ///
    /// # Errors
    /// [`SnapshotError`]; nothing was begun then.
    pub fn snapshot(&mut self, state: Vec<u8>, at_seq: u64) -> Result<(), SnapshotError> {
        if self.snapshot.is_some() {
            return Err(SnapshotError::Busy);
        }
        if state.len() as u64 > STATE_BYTES_MAX {
            return Err(SnapshotError::TooLarge { bytes: state.len() });
        }
        {
            let shared = self.queue.lock();
            if let Some(failed) = &shared.failed {
                return Err(SnapshotError::Stopped(failed.clone()));
            }
            if at_seq > shared.last_seq {
                return Err(SnapshotError::Ahead { at_seq });
            }
        }
        let (dir, cluster, epoch) = (self.dir.clone(), self.cluster, self.epoch);
        let (queue, ready, done) =
            (Arc::clone(&self.queue), Arc::clone(&self.ready), Arc::clone(&self.snapshot_done));
        let thread = std::thread::Builder::new().name("dc-snapshot".into()).spawn(move || {
            let result = snapshot_thread::write(&dir, cluster, epoch, at_seq, &state, &queue);
            *done.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            journal_thread::tell(&ready);
        });
        self.snapshot = Some(thread.map_err(|error| SnapshotError::Thread(error.to_string()))?);
        Ok(())
    }

    /// Makes all that was appended durable, waits for a snapshot that is being written, and lets the directory go.
    ///
    /// # Errors
    /// Why the journal had stopped.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.end();
        let failed = self.queue.lock().failed.clone();
        failed.map_or(Ok(()), Err)
    }

    fn end(&mut self) {
        self.queue.close();
        // Only a bug can make one of them panic; what they promised is on disk or not, whichever.
        if let Some(thread) = self.journal.take()
            && thread.join().is_err()
        {
            self.queue.fail(FileError::os(Op::Write, self.dir.path(), Errno::EIO).into());
        }
        if let Some(thread) = self.snapshot.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.end();
    }
}

/// What the operator should hear of a directory that opens.
fn notes(found: &read::Found) -> Vec<String> {
    let mut notes = Vec::new();
    let used = found.snapshot.as_ref().map(|snapshot| layout::snapshot(snapshot.stands.number));
    for (number, why) in &found.passed_over {
        let used = used.as_deref().unwrap_or_default();
        notes.push(format!(
            "{} is damaged ({why}); {used} and the longer journal behind it are used instead, nothing is lost",
            layout::snapshot(*number)
        ));
    }
    if let Some(error) = &found.overtaken {
        notes.push(format!("{error}; the snapshot holds those records, nothing is lost"));
    }
    if found.tail != Tail::Clean {
        notes.push(found.tail.to_string());
    }
    notes
}

/// Gives the disk back what the last run had reserved behind its end: zeros alone. On a full disk this is what the new
/// segment is made of.
fn give_back(dir: &Dir, number: u32, valid_bytes: u64) -> Result<(), FileError> {
    let name = layout::segment(number);
    if dir.len_bytes(&name)?.is_none_or(|len| len <= valid_bytes) {
        return Ok(());
    }
    dir.set_len(&name, valid_bytes)
}
