//! What the caller's loop and the journal's thread share: records that wait, what is durable, and how much may still be
//! promised. A record is taken only when the space for it is already reserved on disk, so that one that was taken
//! cannot fail for want of space.

use crate::segment::SEGMENT_HEADER_BYTES;
use crate::store::Options;
use crate::{AppendError, PAYLOAD_BYTES_MAX, StoreError};
use dc_spool::files::FileError;
use dc_spool::journal::FRAME_BYTES;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Whether a record may use the reserved space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// Something new: refused early when the disk is full.
    Normal,
    /// An end or a cancel of what is there: taken as long as anything can be.
    Reserved,
}

/// Records in a row, in one piece of memory.
#[derive(Default, Debug)]
pub(crate) struct Batch {
    payloads: Vec<u8>,
    records: Vec<(u16, u32)>,
    /// What they take in a segment.
    framed_bytes: u64,
}

impl Batch {
    pub fn push(&mut self, kind: u16, payload: &[u8]) {
        self.payloads.extend_from_slice(payload);
        self.records.push((kind, payload.len() as u32));
        self.framed_bytes += framed_bytes(payload.len());
    }

    pub fn iter(&self) -> impl Iterator<Item = (u16, &[u8])> {
        let mut rest = &*self.payloads;
        self.records.iter().map(move |(kind, len)| {
            let (payload, behind) = rest.split_at_checked(*len as usize).unwrap_or_default();
            rest = behind;
            (*kind, payload)
        })
    }

    fn clear(&mut self) {
        self.payloads.clear();
        self.records.clear();
        self.framed_bytes = 0;
    }
}

fn framed_bytes(payload_bytes: usize) -> u64 {
    (FRAME_BYTES + payload_bytes).next_multiple_of(8) as u64
}

#[derive(Debug)]
pub(crate) struct State {
    queue: Batch,
    /// Records taken that are not durable yet, in bytes of a segment.
    pending_bytes: u64,
    /// Space reserved on disk for what is not durable yet.
    room_bytes: u64,
    /// The newest record that was taken.
    pub last_seq: u64,
    pub durable_seq: u64,
    /// Bytes of records made durable since the last snapshot that is durable.
    pub tail_bytes: u64,
    pub full: Option<FileError>,
    pub failed: Option<StoreError>,
    wake: bool,
    closing: bool,
    /// When a full disk is asked again.
    retry_at: Option<Instant>,
}

/// What the journal's thread has to do next.
pub(crate) enum Next {
    /// Commit these.
    Commit(Batch),
    /// Ask the disk for space again.
    Recover,
    /// All is durable and nothing more comes.
    End,
}

/// The state behind its lock. Two conditions: work for the journal's thread, and news for who waits for the disk.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    work: Condvar,
    news: Condvar,
    options: Options,
}

impl Queue {
    pub fn new(options: Options, last_seq: u64, room_bytes: u64, full: Option<FileError>) -> Self {
        let state = State {
            queue: Batch::default(),
            pending_bytes: 0,
            room_bytes,
            last_seq,
            durable_seq: last_seq,
            tail_bytes: 0,
            full,
            failed: None,
            wake: false,
            closing: false,
            retry_at: None,
        };
        Self { state: Mutex::new(state), work: Condvar::new(), news: Condvar::new(), options }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a record; gives it its number.
    pub fn append(&self, kind: u16, payload: &[u8], room: Room) -> Result<u64, AppendError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(AppendError::TooLong { bytes: payload.len() });
        }
        let state = &mut *self.lock();
        if let Some(failed) = &state.failed {
            return Err(AppendError::Stopped(failed.clone()));
        }
        let pending_bytes = state.pending_bytes + framed_bytes(payload.len());
        match room {
            Room::Normal => {
                if let Some(full) = &state.full {
                    return Err(AppendError::Full(full.clone()));
                }
                if pending_bytes > self.options.pending_bytes {
                    return Err(AppendError::Busy { pending_bytes: state.pending_bytes });
                }
            }
            // A header may come before it.
            Room::Reserved if pending_bytes + SEGMENT_HEADER_BYTES as u64 > state.room_bytes => {
                let room_bytes = state.room_bytes.saturating_sub(state.pending_bytes);
                return Err(AppendError::Exhausted { room_bytes });
            }
            Room::Reserved => {}
        }
        state.pending_bytes = pending_bytes;
        state.queue.push(kind, payload);
        state.last_seq += 1;
        if state.pending_bytes > self.options.pending_bytes / 2 {
            self.wake(state);
        }
        Ok(state.last_seq)
    }

    /// Has what was taken so far written.
    pub fn sync(&self) {
        let state = &mut *self.lock();
        if !state.queue.records.is_empty() {
            self.wake(state);
        }
    }

    pub fn close(&self) {
        let state = &mut *self.lock();
        state.closing = true;
        self.wake(state);
    }

    fn wake(&self, state: &mut State) {
        if !state.wake {
            state.wake = true;
            self.work.notify_one();
        }
    }

    /// Waits for work; `spare` is an empty batch whose memory is used again.
    pub fn next(&self, mut spare: Batch) -> Next {
        spare.clear();
        let mut state = self.lock();
        loop {
            // Before the work, which may never cease.
            let retry = Duration::from_nanos(self.options.retry_ns);
            if state.full.is_none() {
                state.retry_at = None;
            } else if !state.closing
                && state.retry_at.get_or_insert_with(|| Instant::now() + retry) <= &mut Instant::now()
            {
                state.retry_at = None;
                return Next::Recover;
            }
            if state.wake {
                state.wake = false;
                if !state.queue.records.is_empty() {
                    return Next::Commit(std::mem::replace(&mut state.queue, spare));
                }
                if state.closing {
                    return Next::End;
                }
            }
            if state.closing {
                state.wake = true;
                continue;
            }
            if let Some(at) = state.retry_at {
                let left = at.saturating_duration_since(Instant::now());
                let waited = self.work.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            } else {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Tells what became of a batch, or of asking for space.
    pub fn publish(&self, batch: &Batch, durable_seq: Option<u64>, room_bytes: u64, full: Option<FileError>) {
        let state = &mut *self.lock();
        state.pending_bytes -= batch.framed_bytes;
        state.tail_bytes += batch.framed_bytes;
        state.durable_seq = durable_seq.unwrap_or(state.durable_seq);
        state.room_bytes = room_bytes;
        state.full = full;
        self.news.notify_all();
    }

    /// Nothing is taken from here on.
    pub fn fail(&self, error: StoreError) {
        let state = &mut *self.lock();
        state.failed.get_or_insert(error);
        self.news.notify_all();
    }

    /// Waits until a record is durable.
    pub fn wait_durable(&self, seq: u64) -> Result<(), StoreError> {
        let mut state = self.lock();
        loop {
            if state.durable_seq >= seq {
                return Ok(());
            }
            if let Some(failed) = &state.failed {
                return Err(failed.clone());
            }
            self.wake(&mut state);
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
