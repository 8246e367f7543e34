//! One follower of one job: what it was sent, what waits for it, and how much it still takes. What is not on disk is not
//! sent, so that no crash takes back what a follower has.

use dc_model::JobUuid;
use dc_model::cluster::client::RecordBytes;
use std::collections::VecDeque;

/// Decisions that a follower is sent before it says that it has taken some.
pub const AHEAD_MAX: u64 = 65_536;
/// Bytes of decisions that wait for one follower; then they are dropped.
pub const BACKLOG_BYTES_MAX: usize = 4 << 20;
/// Bytes of one batch.
const BATCH_BYTES: usize = 1 << 20;
/// What a record takes beside its payload, in bytes.
pub const RECORD_BYTES: usize = 48;

/// One follower of one job.
#[derive(Debug)]
pub struct Follower {
    /// The job's name in files.
    pub uuid: JobUuid,
    /// It may be asked to merge.
    pub may_merge: bool,
    /// Nothing is sent to it before this decision of the journal is on disk: what it begins from holds it.
    pub ready_at: u64,
    /// The last decision that it was sent.
    pub(super) sent: u64,
    /// The last decision that it says it has.
    pub(super) taken: u64,
    pub(super) waiting: VecDeque<RecordBytes>,
    pub(super) waiting_bytes: usize,
    /// The last decision on disk.
    pub(super) durable: u64,
    /// It knows that all up to this one are.
    durable_told: u64,
    /// Its backlog was dropped: it is to be told the state.
    pub wants_state: bool,
    /// Told last, of all.
    pub(super) ended: Option<u8>,
}

/// A batch for a follower.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    /// The number of the first one.
    pub first_seq: u64,
    /// Decisions.
    pub records: Vec<RecordBytes>,
    /// On disk are all up to this.
    pub durable_seq: u64,
}

impl Follower {
    /// One that has all up to `have`.
    #[must_use]
    pub fn new(uuid: JobUuid, may_merge: bool, have: u64) -> Self {
        Self {
            uuid,
            may_merge,
            ready_at: 0,
            sent: have,
            taken: have,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            durable: 0,
            durable_told: 0,
            wants_state: false,
            ended: None,
        }
    }

    pub(super) fn push(&mut self, record: &RecordBytes) {
        if self.wants_state {
            return;
        }
        self.waiting_bytes += record.payload.len() + RECORD_BYTES;
        self.waiting.push_back(record.clone());
        if self.waiting_bytes > BACKLOG_BYTES_MAX {
            self.drop_backlog();
        }
    }

    fn drop_backlog(&mut self) {
        (self.waiting, self.waiting_bytes, self.wants_state) = (VecDeque::new(), 0, true);
    }

    /// Whether it has taken enough to be sent more.
    #[must_use]
    pub fn has_credit(&self) -> bool {
        self.sent.saturating_sub(self.taken) < AHEAD_MAX
    }

    /// It has been told the state after this decision.
    pub fn on_state(&mut self, seq: u64, ready_at: u64) {
        (self.sent, self.taken, self.wants_state) = (seq, seq, false);
        (self.ready_at, self.durable_told) = (ready_at, 0);
    }

    /// It has taken all up to this one.
    pub fn on_window(&mut self, seq: u64) {
        // No more than it was sent, whatever it says.
        self.taken = self.taken.max(seq.min(self.sent));
    }

    /// The next batch, if there is something to tell and it takes it.
    pub fn next_batch(&mut self) -> Option<Batch> {
        if self.wants_state {
            return None;
        }
        let mut records = Vec::new();
        let mut bytes = 0;
        let first_seq = self.sent + 1;
        while self.sent < self.durable && self.has_credit() && bytes < BATCH_BYTES {
            let Some(record) = self.waiting.pop_front() else { break };
            let its_bytes = record.payload.len() + RECORD_BYTES;
            self.waiting_bytes -= its_bytes;
            bytes += its_bytes;
            self.sent += 1;
            records.push(record);
        }
        if records.is_empty() && self.sent <= self.durable_told {
            return None;
        }
        self.durable_told = self.sent;
        Some(Batch { first_seq, records, durable_seq: self.sent })
    }

    /// A batch without decisions, so that it hears that the scheduler lives.
    #[must_use]
    pub fn sign_of_life(&self) -> Batch {
        Batch { first_seq: self.sent + 1, records: Vec::new(), durable_seq: self.durable_told }
    }

    /// The job's status, once it has been told everything before it.
    #[must_use]
    pub fn take_ended(&mut self) -> Option<u8> {
        if self.wants_state || !self.waiting.is_empty() { None } else { self.ended.take() }
    }
}
