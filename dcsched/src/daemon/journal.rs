//! The store as the daemon uses it: decisions go in in their order and never out of it, whatever the disk says; what is
//! durable is told in the core's numbers.
//!
//! The core numbers decisions; the store numbers records. Where a long submission is several records these differ, so
//! each decision's last record is kept until it is durable.

use super::records;
use dc_model::cluster::ClusterRecord;
use dcsched_store::{AppendError, Progress, Room, SnapshotError, Store, StoreError};
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use tracing::{info, warn};

/// A snapshot is made when so many bytes of records would have to be replayed; more, where the state itself is larger.
const SNAPSHOT_TAIL_BYTES: u64 = 16 << 20;

/// From so many bytes of decisions that the store has not taken on, commands are not heard.
const HOLD_COMMANDS_BYTES: usize = 4 << 20;
/// And from here on nodes are not either. Before that their leases go on, however long the disk takes.
const HOLD_ALL_BYTES: usize = 64 << 20;

/// One record on its way into the store.
#[derive(Debug)]
struct Waiting {
    kind: u16,
    payload: Vec<u8>,
    /// The decision that is complete with it.
    completes: Option<u64>,
}

/// Who is not heard for a while, because the disk does not keep up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Holds {
    /// All are.
    Nobody,
    /// Commands.
    Commands,
    /// Nodes too.
    All,
}

/// What has changed.
#[derive(Debug, Default)]
pub struct News {
    /// All decisions up to this one are on disk.
    pub durable: Option<u64>,
    /// Whether the disk takes more than ends and cancels, where that has changed.
    pub space: Option<bool>,
}

/// The journal.
#[derive(Debug)]
pub struct Journal {
    store: Store,
    /// What the store did not take yet, in order.
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// The last record of each decision that is not durable yet: (record, decision).
    marks: VecDeque<(u64, u64)>,
    /// The last record that the store took.
    last_record: u64,
    /// The last decision of which everything is in the store.
    last_decision: u64,
    is_full: bool,
    /// It was said that even the reserve is used up.
    is_exhausted: bool,
    wants_sync: bool,
    tail_bytes: u64,
    snapshot_bytes: u64,
    is_making_snapshot: bool,
}

impl Journal {
    /// On an open store whose last record has this number.
    #[must_use]
    pub fn new(store: Store, last_record: u64, snapshot_bytes: u64) -> Self {
        Self {
            store,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            marks: VecDeque::new(),
            last_record,
            last_decision: last_record,
            is_full: false,
            is_exhausted: false,
            wants_sync: false,
            tail_bytes: 0,
            snapshot_bytes,
            is_making_snapshot: false,
        }
    }

    /// Readable when [`Journal::on_progress`] has news.
    #[must_use]
    pub fn ready_fd(&self) -> BorrowedFd<'_> {
        self.store.ready_fd()
    }

    /// This run's epoch.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.store.epoch()
    }

    /// Takes a decision, in order.
    ///
    /// # Errors
    /// When the journal has stopped.
    pub fn append(&mut self, decision: u64, record: &ClusterRecord) -> Result<(), StoreError> {
        let records = records::encode(record);
        let last = records.len().saturating_sub(1);
        for (i, (kind, payload)) in records.into_iter().enumerate() {
            self.waiting_bytes += payload.len();
            self.waiting.push_back(Waiting { kind, payload, completes: (i == last).then_some(decision) });
        }
        self.push()
    }

    /// Gives the store what it takes.
    fn push(&mut self) -> Result<(), StoreError> {
        while let Some(next) = self.waiting.front() {
            let room = if self.is_full { Room::Reserved } else { Room::Normal };
            let record = match self.store.append(next.kind, &next.payload, room) {
                Ok(record) => record,
                // It was decided before the disk was known to be full; what is decided from now on knows.
                Err(AppendError::Full(error)) if !self.is_full => {
                    warn!("{error}");
                    self.is_full = true;
                    continue;
                }
                Err(AppendError::Full(_) | AppendError::Busy { .. }) => break,
                Err(error @ AppendError::Exhausted { .. }) => {
                    if !std::mem::replace(&mut self.is_exhausted, true) {
                        warn!("{error}; nothing is decided until there is");
                    }
                    break;
                }
                Err(AppendError::Stopped(error)) => return Err(error),
                Err(AppendError::TooLong { bytes }) => {
                    // Pieces are cut so that it cannot be.
                    debug_assert!(false, "a record of {bytes} bytes");
                    break;
                }
            };
            self.wants_sync = true;
            self.last_record = record;
            if let Some(decision) = next.completes {
                self.marks.push_back((record, decision));
                self.last_decision = decision;
            }
            self.waiting_bytes -= next.payload.len();
            self.waiting.pop_front();
            self.is_exhausted = false;
        }
        Ok(())
    }

    /// Who is not to be heard before some of what waits is written.
    #[must_use]
    pub fn holds(&self) -> Holds {
        match self.waiting_bytes {
            HOLD_ALL_BYTES.. => Holds::All,
            HOLD_COMMANDS_BYTES.. => Holds::Commands,
            _ if self.is_exhausted => Holds::Commands,
            _ => Holds::Nobody,
        }
    }

    /// Whether nothing new is taken for want of space.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Whether a new job of so many bytes can be written now without waiting behind others.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Has all that was appended made durable together: once a turn.
    pub fn sync(&mut self) {
        if std::mem::take(&mut self.wants_sync) {
            self.store.sync();
        }
    }

    /// What the disk says.
    ///
    /// # Errors
    /// When the journal has stopped: nothing more will be durable.
    pub fn on_progress(&mut self) -> Result<News, StoreError> {
        let progress: Progress = self.store.progress();
        if let Some(error) = progress.failed {
            return Err(error);
        }
        self.tail_bytes = progress.tail_bytes;
        let mut news = News::default();
        while let Some((record, decision)) = self.marks.front().copied() {
            if record > progress.durable_seq {
                break;
            }
            news.durable = Some(decision);
            self.marks.pop_front();
        }
        match (self.is_full, progress.full) {
            (false, Some(error)) => {
                warn!("nothing new can be taken, the journal's disk is full: {error}");
                self.is_full = true;
                news.space = Some(false);
            }
            // Found out by an append.
            (true, Some(_)) => news.space = Some(false),
            (true, None) => {
                info!("there is space for the journal again");
                self.is_full = false;
                news.space = Some(true);
            }
            (false, None) => {}
        }
        match progress.snapshot {
            Some(Ok(done)) => {
                self.is_making_snapshot = false;
                info!(
                    number = done.number,
                    record = done.seq,
                    files_removed = done.files_removed,
                    "snapshot"
                );
            }
            Some(Err(error)) => {
                // The journal goes on; the next try comes with the next records.
                self.is_making_snapshot = false;
                self.snapshot_bytes = self.snapshot_bytes.saturating_add(self.tail_bytes);
                warn!("no snapshot: {error}");
            }
            None => {}
        }
        self.push()?;
        Ok(news)
    }

    /// Whether a snapshot is due: then [`Journal::snapshot`] takes the state.
    #[must_use]
    pub fn wants_snapshot(&self) -> bool {
        !self.is_making_snapshot
            && !self.is_full
            && self.waiting.is_empty()
            && self.tail_bytes > SNAPSHOT_TAIL_BYTES.max(self.snapshot_bytes)
    }

    /// Has the state as it is now written, which stands for all decisions so far.
    ///
    /// # Errors
    /// When the journal has stopped.
    pub fn snapshot(&mut self, state: Vec<u8>) -> Result<(), StoreError> {
        self.snapshot_bytes = state.len() as u64;
        match self.store.snapshot(state, self.last_record) {
            Ok(()) => self.is_making_snapshot = true,
            Err(SnapshotError::Stopped(error)) => return Err(error),
            Err(error) => warn!("no snapshot: {error}"),
        }
        // Not again before the news of this one.
        self.tail_bytes = 0;
        Ok(())
    }

    /// Makes everything durable and lets the directory go.
    ///
    /// # Errors
    /// When the journal had stopped before.
    pub fn close(self) -> Result<(), StoreError> {
        self.store.close()
    }
}
