//! The journal's thread: takes records in batches, makes them durable, and tells how far it is. An error is told
//! once and ends it: nothing is accepted after it.

use crate::mailbox::Mailbox;
use dc_model::Record;
use dc_spool::journal::Writer;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long records may wait for others before they are synced, when nobody waits for them.
pub const GROUP_AGE: Duration = Duration::from_millis(10);

/// What the journal tells.
#[derive(Debug)]
pub enum Told {
    /// All records up to this one are durable.
    Durable {
        /// The last of them.
        seq: u64,
        /// How long the sync took.
        sync: Duration,
    },
    /// The disk has no room for more than the ends of what runs.
    Full(String),
    /// Nothing more will become durable.
    Failed(String),
}

#[derive(Debug, Default)]
struct Waiting {
    records: Vec<(u64, Record)>,
    sync_now: bool,
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way to the journal's thread.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Journal {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start<T: From<Told> + Send + 'static>(writer: Writer, told: Mailbox<T>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("journal".to_owned());
        let thread = thread.spawn(move || run(&theirs, writer, &told))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Hands records over, emptying `records`; with `sync_now` they are to be durable as soon as can be.
    pub fn append(&self, records: &mut Vec<(u64, Record)>, sync_now: bool) {
        if records.is_empty() && !sync_now {
            return;
        }
        let mut waiting = self.shared.lock();
        let was_idle = waiting.records.is_empty();
        waiting.records.append(records);
        waiting.sync_now |= sync_now;
        drop(waiting);
        if was_idle || sync_now {
            self.shared.changed.notify_one();
        }
    }

    /// Lets the file go, with whatever was not written: its directory is about to be removed. Waits for nothing.
    pub fn discard(self) {
        let mut waiting = self.shared.lock();
        waiting.records.clear();
        waiting.closed = true;
        drop(waiting);
        self.shared.changed.notify_one();
    }

    /// Makes the rest durable, ends the thread and closes the file.
    pub fn close(mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there has been told on standard error already.
            let _ = thread.join();
        }
    }
}

/// Waits for a batch that is old enough or waited for; nothing when there will be no more.
fn next_batch(shared: &Shared) -> Option<Vec<(u64, Record)>> {
    let mut waiting = shared.lock();
    while waiting.records.is_empty() && !waiting.closed {
        waiting.sync_now = false;
        waiting = shared.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
    }
    let due = Instant::now() + GROUP_AGE;
    while !waiting.sync_now && !waiting.closed {
        let Some(left) = due.checked_duration_since(Instant::now()) else { break };
        waiting = shared.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    waiting.sync_now = false;
    let batch = std::mem::take(&mut waiting.records);
    (!batch.is_empty()).then_some(batch)
}

fn run<T: From<Told>>(shared: &Shared, mut writer: Writer, told: &Mailbox<T>) {
    let mut full_is_told = false;
    while let Some(batch) = next_batch(shared) {
        let start = Instant::now();
        match writer.append(&batch).and_then(|()| writer.sync()) {
            Ok(seq) => told.push(Told::Durable { seq, sync: start.elapsed() }.into()),
            Err(error) => {
                told.push(Told::Failed(error.to_string()).into());
                return;
            }
        }
        if let (Some(full), false) = (writer.full(), full_is_told) {
            full_is_told = true;
            told.push(Told::Full(full.to_string()).into());
        }
    }
}
