//! What lists show: a node, a job, a subtask, one row each.

use super::NODE_NAME_BYTES_MAX;
use super::lists::{get_option, get_text, put_option, put_text};
use crate::codec::{DecodeError, Reader, Writer};
use crate::{Attempt, JobUuid, Rank, SubtaskId};

/// The state of a node, as people see it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[repr(u8)]
pub enum NodeState {
    /// It runs what it is given.
    Up = 1,
    /// Nothing new starts there; what runs goes on.
    Draining = 2,
    /// Nothing new starts there, and nothing runs.
    Drained = 3,
    /// It is not heard, and its lease has not ended.
    Suspect = 4,
    /// Its lease has ended: nothing of dc runs there.
    #[default]
    Lost = 5,
}

impl NodeState {
    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Suspect => "suspect",
            Self::Lost => "lost",
        }
    }

    fn from_number(number: u8) -> Result<Self, DecodeError> {
        [Self::Up, Self::Draining, Self::Drained, Self::Suspect, Self::Lost]
            .into_iter()
            .find(|state| *state as u8 == number)
            .ok_or(DecodeError::Unknown("node state"))
    }
}

/// A node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeRow {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: NodeState,
    /// Why it is drained, for people.
    pub reason: String,
    /// Where its peer port is reached.
    pub address: String,
    /// Its key's fingerprint, as text; empty: a process of this host.
    pub fingerprint: String,
    /// Allowed cores.
    pub cores: u32,
    /// Of these, given to jobs.
    pub cores_used: u32,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Ranks that run.
    pub ranks: u32,
    /// Subtasks done there.
    pub done: u64,
    /// Heartbeats of this connection.
    pub heartbeats: u64,
    /// Since the last one, in ms.
    pub silent_ms: u64,
    /// Load average over a minute, in hundredths.
    pub load_centi: u32,
    /// Measured speed, in thousandths of the mean.
    pub speed_permille: u32,
}

/// A job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobRow {
    /// Its number.
    pub id: u64,
    /// Its name in every file.
    pub uuid: JobUuid,
    /// Its name.
    pub name: String,
    /// Its owner's uid.
    pub uid: u32,
    /// `waiting`, `running`, `stopping`, `merging` or `ended`.
    pub state: String,
    /// Why it waits, for people; empty when it does not.
    pub reason: String,
    /// Its status, once it has ended.
    pub status: Option<u8>,
    /// Ranks.
    pub ranks: u32,
    /// Cores it has now.
    pub cores: u32,
    /// Nodes it has now.
    pub nodes: u32,
    /// Subtasks.
    pub subtasks: u32,
    /// Of these, computed.
    pub subtasks_done: u32,
    /// Effective cells.
    pub cells: u64,
    /// Of these, in subtasks that are computed.
    pub cells_done: u64,
    /// Since its first launch, in ms.
    pub ran_ms: Option<u64>,
    /// Predicted time left, in ms.
    pub left_ms: Option<u64>,
}

/// A subtask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubtaskRow {
    /// Its number.
    pub subtask: SubtaskId,
    /// `split`, `computing`, `computed`, `merging`, `completed` or `failed`.
    pub state: String,
    /// Its effective cells.
    pub cells: u64,
    /// Cells it has reported, or all of them once it is computed.
    pub cells_done: u64,
    /// Its attempt; 0 before the first.
    pub attempt: Attempt,
    /// Its lane, while it runs.
    pub rank: Option<Rank>,
    /// The node it runs on, or ran on.
    pub node: String,
    /// Since its start, in ms, while it runs.
    pub ran_ms: Option<u64>,
    /// Predicted time left, in ms, while it runs.
    pub left_ms: Option<u64>,
}

const NAME_BYTES_MAX: usize = 4096;

impl NodeRow {
    pub(super) fn encode(&self, w: &mut Writer) {
        w.u32(self.number);
        put_text(w, &self.name);
        w.u8(self.state as u8);
        [&self.reason, &self.address, &self.fingerprint].into_iter().for_each(|text| put_text(w, text));
        [self.cores, self.cores_used, self.ranks].into_iter().for_each(|v| w.u32(v));
        [self.memory_bytes, self.done, self.heartbeats, self.silent_ms].into_iter().for_each(|v| w.u64(v));
        [self.load_centi, self.speed_permille].into_iter().for_each(|v| w.u32(v));
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (number, name) = (r.u32()?, get_text(r, NODE_NAME_BYTES_MAX)?);
        let state = NodeState::from_number(r.u8()?)?;
        let (reason, address, fingerprint) =
            (get_text(r, NAME_BYTES_MAX)?, get_text(r, 300)?, get_text(r, 100)?);
        let (cores, cores_used, ranks) = (r.u32()?, r.u32()?, r.u32()?);
        let (memory_bytes, done, heartbeats, silent_ms) = (r.u64()?, r.u64()?, r.u64()?, r.u64()?);
        Ok(Self {
            number,
            name,
            state,
            reason,
            address,
            fingerprint,
            cores,
            cores_used,
            memory_bytes,
            ranks,
            done,
            heartbeats,
            silent_ms,
            load_centi: r.u32()?,
            speed_permille: r.u32()?,
        })
    }
}

impl JobRow {
    pub(super) fn encode(&self, w: &mut Writer) {
        w.u64(self.id);
        w.raw(&self.uuid.0);
        put_text(w, &self.name);
        w.u32(self.uid);
        put_text(w, &self.state);
        put_text(w, &self.reason);
        put_option(w, self.status, |w, status| w.u8(status));
        [self.ranks, self.cores, self.nodes, self.subtasks, self.subtasks_done]
            .into_iter()
            .for_each(|v| w.u32(v));
        [self.cells, self.cells_done].into_iter().for_each(|v| w.u64(v));
        put_option(w, self.ran_ms, |w, ms| w.u64(ms));
        put_option(w, self.left_ms, |w, ms| w.u64(ms));
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            id: r.u64()?,
            uuid: JobUuid(r.array()?),
            name: get_text(r, NAME_BYTES_MAX)?,
            uid: r.u32()?,
            state: get_text(r, 32)?,
            reason: get_text(r, NAME_BYTES_MAX)?,
            status: get_option(r, Reader::u8)?,
            ranks: r.u32()?,
            cores: r.u32()?,
            nodes: r.u32()?,
            subtasks: r.u32()?,
            subtasks_done: r.u32()?,
            cells: r.u64()?,
            cells_done: r.u64()?,
            ran_ms: get_option(r, Reader::u64)?,
            left_ms: get_option(r, Reader::u64)?,
        })
    }
}

impl SubtaskRow {
    pub(super) fn encode(&self, w: &mut Writer) {
        w.u32(self.subtask.0);
        put_text(w, &self.state);
        [self.cells, self.cells_done].into_iter().for_each(|v| w.u64(v));
        w.u32(self.attempt.0);
        put_option(w, self.rank, |w, rank| w.u32(rank.0));
        put_text(w, &self.node);
        put_option(w, self.ran_ms, |w, ms| w.u64(ms));
        put_option(w, self.left_ms, |w, ms| w.u64(ms));
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            subtask: SubtaskId(r.u32()?),
            state: get_text(r, 32)?,
            cells: r.u64()?,
            cells_done: r.u64()?,
            attempt: Attempt(r.u32()?),
            rank: get_option(r, |r| Ok(Rank(r.u32()?)))?,
            node: get_text(r, NODE_NAME_BYTES_MAX)?,
            ran_ms: get_option(r, Reader::u64)?,
            left_ms: get_option(r, Reader::u64)?,
        })
    }
}
