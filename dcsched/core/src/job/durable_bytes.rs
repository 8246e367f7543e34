//! The durable state of a job as bytes: in a snapshot, and for a follower that comes late. They carry a version of their own.

use super::durable::{Durable, JobPhase};
use super::entry::{Checkpoints, Entry, Phase};
use dc_model::codec::{DecodeError, Reader, Writer};
use dc_model::{Attempt, LaunchStage, Outcome, Rank, Restart, ResultMeta, StopReason};

const VERSION: u16 = 1;

/// An entry has at least so many bytes.
const ENTRY_BYTES_MIN: usize = 20;

const HAS_LAST: u8 = 1;
const HAS_RESULT: u8 = 2;
const HAS_CHECKPOINTS: u8 = 4;

impl Durable {
    /// Appends its bytes.
    pub fn encode(&self, w: &mut Writer) {
        w.u16(VERSION);
        let (phase, value, signal) = match self.phase {
            JobPhase::New => (0, 0, 0),
            JobPhase::Running => (1, 0, 0),
            JobPhase::Stopping(reason) => match reason {
                StopReason::SubtaskFailed => (2, 1, 0),
                StopReason::TimeLimit => (2, 2, 0),
                StopReason::Interrupted => (2, 3, 0),
                StopReason::Signal(signal) => (2, 4, signal),
                StopReason::BrokenPipe => (2, 5, 0),
                StopReason::Error => (2, 6, 0),
            },
            JobPhase::Merging => (3, 0, 0),
            JobPhase::Merged => (4, 0, 0),
            JobPhase::Ended(status) => (5, status, 0),
        };
        [phase, value, signal].into_iter().for_each(|byte| w.u8(byte));
        w.u64(self.epoch);
        w.u64(self.seq);
        w.u8(u8::from(self.gang.is_some()));
        self.gang.iter().for_each(|entry| put_entry(w, entry));
        w.u32(self.entries.len() as u32);
        self.entries.iter().for_each(|entry| put_entry(w, entry));
    }

    /// Reads it.
    ///
    /// # Errors
    /// When the bytes are none, or of another version.
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if r.u16()? != VERSION {
            return Err(DecodeError::Unknown("version of a job's state"));
        }
        let phase = match (r.u8()?, r.u8()?, r.u8()?) {
            (0, 0, 0) => JobPhase::New,
            (1, 0, 0) => JobPhase::Running,
            (2, 1, 0) => JobPhase::Stopping(StopReason::SubtaskFailed),
            (2, 2, 0) => JobPhase::Stopping(StopReason::TimeLimit),
            (2, 3, 0) => JobPhase::Stopping(StopReason::Interrupted),
            (2, 4, signal) => JobPhase::Stopping(StopReason::Signal(signal)),
            (2, 5, 0) => JobPhase::Stopping(StopReason::BrokenPipe),
            (2, 6, 0) => JobPhase::Stopping(StopReason::Error),
            (3, 0, 0) => JobPhase::Merging,
            (4, 0, 0) => JobPhase::Merged,
            (5, status, 0) => JobPhase::Ended(status),
            _ => return Err(DecodeError::Unknown("state of a job")),
        };
        let (epoch, seq) = (r.u64()?, r.u64()?);
        let gang = if r.bool()? { Some(get_entry(r)?) } else { None };
        let entries = (0..r.count(ENTRY_BYTES_MIN)?).map(|_| get_entry(r)).collect::<Result<_, _>>()?;
        Ok(Self { phase, epoch, seq, entries, gang })
    }
}

fn put_entry(w: &mut Writer, entry: &Entry) {
    let has = [
        (entry.last.is_some(), HAS_LAST),
        (entry.result.is_some(), HAS_RESULT),
        (entry.checkpoints.is_some(), HAS_CHECKPOINTS),
    ];
    let phase = Phase::ALL.iter().position(|phase| *phase == entry.phase).unwrap_or(0);
    w.u8(phase as u8);
    w.u8(has.into_iter().filter(|(is, _)| *is).fold(0, |bits, (_, bit)| bits | bit));
    w.u16(0);
    [entry.attempt.0, entry.rank.0, entry.node, entry.failures].into_iter().for_each(|v| w.u32(v));
    if let Some(last) = entry.last {
        let (kind, value, errno) = match last {
            Outcome::Exited(status) => (1, status, 0),
            Outcome::Signalled(signal) => (2, signal, 0),
            Outcome::NotLaunched { stage, errno } => (3, stage as u8, errno),
            Outcome::OutOfMemory => (4, 0, 0),
        };
        w.u8(kind);
        w.u8(value);
        w.i32(errno);
    }
    if let Some(result) = &entry.result {
        w.u64(result.len);
        w.u32(result.crc);
    }
    if let Some(checkpoints) = &entry.checkpoints {
        let Checkpoints { from, newest, suspect, before } = checkpoints.as_ref();
        put_restart(w, *from);
        put_restart(w, *newest);
        put_restart(w, suspect.map(|(at, _)| at));
        w.u32(suspect.map_or(0, |(_, count)| count));
        put_restart(w, *before);
    }
}

fn get_entry(r: &mut Reader<'_>) -> Result<Entry, DecodeError> {
    let phase =
        Phase::ALL.get(r.u8()? as usize).copied().ok_or(DecodeError::Unknown("state of a subtask"))?;
    let has = r.u8()?;
    if has > (HAS_LAST | HAS_RESULT | HAS_CHECKPOINTS) || r.u16()? != 0 {
        return Err(DecodeError::Unknown("part of a subtask's state"));
    }
    let (attempt, rank, node, failures) = (Attempt(r.u32()?), Rank(r.u32()?), r.u32()?, r.u32()?);
    let last = if has & HAS_LAST != 0 { Some(get_outcome(r)?) } else { None };
    let result = match has & HAS_RESULT {
        0 => None,
        _ => Some(Box::new(ResultMeta { len: r.u64()?, crc: r.u32()? })),
    };
    let checkpoints = match has & HAS_CHECKPOINTS {
        0 => None,
        _ => {
            let (from, newest, suspect) = (get_restart(r)?, get_restart(r)?, get_restart(r)?);
            let count = r.u32()?;
            let suspect = suspect.map(|at| (at, count));
            Some(Box::new(Checkpoints { from, newest, suspect, before: get_restart(r)? }))
        }
    };
    Ok(Entry { phase, attempt, rank, node, failures, last, result, checkpoints })
}

fn get_outcome(r: &mut Reader<'_>) -> Result<Outcome, DecodeError> {
    Ok(match (r.u8()?, r.u8()?, r.i32()?) {
        (1, status, 0) => Outcome::Exited(status),
        (2, signal, 0) => Outcome::Signalled(signal),
        (3, stage, errno) => Outcome::NotLaunched {
            stage: LaunchStage::from_number(stage).ok_or(DecodeError::Unknown("launch stage"))?,
            errno,
        },
        (4, 0, 0) => Outcome::OutOfMemory,
        _ => return Err(DecodeError::Unknown("outcome")),
    })
}

fn put_restart(w: &mut Writer, at: Option<Restart>) {
    w.u8(u8::from(at.is_some()));
    w.u32(at.map_or(0, |at| at.attempt.0));
    w.u64(at.map_or(0, |at| at.step));
}

fn get_restart(r: &mut Reader<'_>) -> Result<Option<Restart>, DecodeError> {
    match (r.bool()?, Attempt(r.u32()?), r.u64()?) {
        (false, Attempt(0), 0) => Ok(None),
        (true, attempt, step) => Ok(Some(Restart { attempt, step })),
        _ => Err(DecodeError::Impossible("checkpoint")),
    }
}
