//! A decision's bytes in the journal. The numbers and layouts are the format: they never change their meaning; a new
//! kind of decision gets a new number.

use dc_model::codec::{DecodeError, Reader, Writer};
use dc_model::cpuset::CPUS_MAX;
use dc_model::{
    Attempt, CpuSet, GiveUp, LaunchStage, Outcome, Rank, Record, Restart, ResultMeta, StopReason, SubtaskId,
};

/// The type numbers of records and their names, as `docs/spool-format.md` lists them.
pub const TYPES: [(u16, &str); 15] = [
    (EPOCH, "Epoch"),
    (GRANTED, "Granted"),
    (LAUNCHED, "Launched"),
    (STARTED, "Started"),
    (DONE, "Done"),
    (ATTEMPT_FAILED, "AttemptFailed"),
    (GIVEN_UP, "GivenUp"),
    (STOPPING, "Stopping"),
    (MERGING, "Merging"),
    (MERGED, "Merged"),
    (ENDED, "Ended"),
    (NODE, "Node"),
    (MEASURED, "Measured"),
    (LAUNCHED_ON, "LaunchedOn"),
    (RESULT_LOST, "ResultLost"),
];

const EPOCH: u16 = 1;
const GRANTED: u16 = 2;
const LAUNCHED: u16 = 3;
const STARTED: u16 = 4;
const DONE: u16 = 5;
const ATTEMPT_FAILED: u16 = 6;
const GIVEN_UP: u16 = 7;
const STOPPING: u16 = 8;
const MERGING: u16 = 9;
const MERGED: u16 = 10;
const ENDED: u16 = 11;
const NODE: u16 = 80;
const MEASURED: u16 = 81;
/// A launch on a node of a cluster; on one machine it is [`LAUNCHED`].
const LAUNCHED_ON: u16 = 128;
const RESULT_LOST: u16 = 129;

/// The type number of a record.
pub(super) fn number(record: &Record) -> u16 {
    match record {
        Record::Epoch { .. } => EPOCH,
        Record::Granted { .. } => GRANTED,
        Record::Launched { node: 0, .. } => LAUNCHED,
        Record::Launched { .. } => LAUNCHED_ON,
        Record::Started { .. } => STARTED,
        Record::Done { .. } => DONE,
        Record::AttemptFailed { .. } => ATTEMPT_FAILED,
        Record::GivenUp { .. } => GIVEN_UP,
        Record::Stopping { .. } => STOPPING,
        Record::Merging => MERGING,
        Record::Merged => MERGED,
        Record::Ended { .. } => ENDED,
        Record::Node { .. } => NODE,
        Record::Measured { .. } => MEASURED,
        Record::ResultLost { .. } => RESULT_LOST,
    }
}

/// Appends a record's payload.
pub(super) fn encode(record: &Record, w: &mut Writer) {
    match record {
        Record::Epoch { epoch } => w.u64(*epoch),
        Record::Granted { subtask, attempt } | Record::ResultLost { subtask, attempt } => {
            who(w, *subtask, *attempt);
        }
        Record::Launched { subtask, attempt, rank, cpus, node } => {
            who(w, *subtask, *attempt);
            w.u32(rank.0);
            if *node != 0 {
                w.u32(*node);
            }
            w.u32(cpus.words().len() as u32);
            cpus.words().iter().for_each(|word| w.u64(*word));
        }
        Record::Started { subtask, attempt, from } => {
            who(w, *subtask, *attempt);
            restart(w, *from);
        }
        Record::Done { subtask, attempt, result } => {
            who(w, *subtask, *attempt);
            w.u32(u32::from(result.is_some()));
            w.u32(result.map_or(0, |meta| meta.crc));
            w.u64(result.map_or(0, |meta| meta.len));
        }
        Record::AttemptFailed { subtask, attempt, outcome, checkpoint, advanced, retry } => {
            who(w, *subtask, *attempt);
            let (kind, value, errno) = match *outcome {
                Outcome::Exited(status) => (1, status, 0),
                Outcome::Signalled(signal) => (2, signal, 0),
                Outcome::NotLaunched { stage, errno } => (3, stage as u8, errno),
                Outcome::OutOfMemory => (4, 0, 0),
            };
            w.u8(kind);
            w.u8(value);
            w.u8(u8::from(*advanced));
            w.u8(u8::from(*retry));
            w.i32(errno);
            restart(w, *checkpoint);
        }
        Record::GivenUp { subtask, attempt, why } => {
            who(w, *subtask, *attempt);
            w.u8(*why as u8);
        }
        Record::Stopping { reason } => {
            let (kind, signal) = match *reason {
                StopReason::SubtaskFailed => (1, 0),
                StopReason::TimeLimit => (2, 0),
                StopReason::Interrupted => (3, 0),
                StopReason::Signal(signal) => (4, signal),
                StopReason::BrokenPipe => (5, 0),
                StopReason::Error => (6, 0),
            };
            w.u8(kind);
            w.u8(signal);
        }
        Record::Merging | Record::Merged => {}
        Record::Ended { status } => w.u8(*status),
        Record::Node { host, cores, usable, predicted_ns } => {
            w.u32(*cores);
            w.u32(*usable);
            w.u32(u32::from(predicted_ns.is_some()));
            w.u64(predicted_ns.unwrap_or(0));
            w.bytes(host.as_bytes());
        }
        Record::Measured { subtask, attempt, ended_ns, ran_ns, kept_ns } => {
            who(w, *subtask, *attempt);
            w.u64(*ended_ns);
            w.u64(*ran_ns);
            w.u64(*kept_ns);
        }
    }
}

/// Reads a record of this type number.
pub(super) fn decode(number: u16, payload: &[u8]) -> Result<Record, DecodeError> {
    let r = &mut Reader::new(payload);
    let record = match number {
        EPOCH => Record::Epoch { epoch: r.u64()? },
        GRANTED => Record::Granted { subtask: SubtaskId(r.u32()?), attempt: Attempt(r.u32()?) },
        LAUNCHED => Record::Launched {
            subtask: SubtaskId(r.u32()?),
            attempt: Attempt(r.u32()?),
            rank: Rank(r.u32()?),
            node: 0,
            cpus: get_cpus(r)?,
        },
        LAUNCHED_ON => Record::Launched {
            subtask: SubtaskId(r.u32()?),
            attempt: Attempt(r.u32()?),
            rank: Rank(r.u32()?),
            node: Some(r.u32()?).filter(|node| *node != 0).ok_or(DecodeError::Impossible("node"))?,
            cpus: get_cpus(r)?,
        },
        STARTED => Record::Started {
            subtask: SubtaskId(r.u32()?),
            attempt: Attempt(r.u32()?),
            from: get_restart(r)?,
        },
        DONE => {
            let (subtask, attempt) = (SubtaskId(r.u32()?), Attempt(r.u32()?));
            let (there, crc, len) = (r.u32()?, r.u32()?, r.u64()?);
            let result = match there {
                0 if crc == 0 && len == 0 => None,
                1 => Some(ResultMeta { len, crc }),
                _ => return Err(DecodeError::Impossible("result")),
            };
            Record::Done { subtask, attempt, result }
        }
        ATTEMPT_FAILED => get_failed(r)?,
        GIVEN_UP => Record::GivenUp {
            subtask: SubtaskId(r.u32()?),
            attempt: Attempt(r.u32()?),
            why: match r.u8()? {
                1 => GiveUp::Stopped,
                2 => GiveUp::StarterLost,
                3 => GiveUp::RunLost,
                4 => GiveUp::Gang,
                5 => GiveUp::NodeLost,
                _ => return Err(DecodeError::Unknown("reason of giving up")),
            },
        },
        STOPPING => Record::Stopping {
            reason: match (r.u8()?, r.u8()?) {
                (1, 0) => StopReason::SubtaskFailed,
                (2, 0) => StopReason::TimeLimit,
                (3, 0) => StopReason::Interrupted,
                (4, signal) => StopReason::Signal(signal),
                (5, 0) => StopReason::BrokenPipe,
                (6, 0) => StopReason::Error,
                _ => return Err(DecodeError::Unknown("reason of stopping")),
            },
        },
        RESULT_LOST => Record::ResultLost { subtask: SubtaskId(r.u32()?), attempt: Attempt(r.u32()?) },
        MERGING => Record::Merging,
        MERGED => Record::Merged,
        ENDED => Record::Ended { status: r.u8()? },
        NODE => {
            let (cores, usable) = (r.u32()?, r.u32()?);
            let predicted_ns = match (r.u32()?, r.u64()?) {
                (0, 0) => None,
                (1, ns) => Some(ns),
                _ => return Err(DecodeError::Impossible("prediction")),
            };
            let host = std::str::from_utf8(r.bytes()?).map_err(|_| DecodeError::Impossible("host's name"))?;
            Record::Node { host: host.to_owned(), cores, usable, predicted_ns }
        }
        MEASURED => Record::Measured {
            subtask: SubtaskId(r.u32()?),
            attempt: Attempt(r.u32()?),
            ended_ns: r.u64()?,
            ran_ns: r.u64()?,
            kept_ns: r.u64()?,
        },
        _ => return Err(DecodeError::Unknown("type of record")),
    };
    r.end()?;
    Ok(record)
}

fn who(w: &mut Writer, subtask: SubtaskId, attempt: Attempt) {
    w.u32(subtask.0);
    w.u32(attempt.0);
}

fn restart(w: &mut Writer, at: Option<Restart>) {
    w.u32(u32::from(at.is_some()));
    w.u32(at.map_or(0, |at| at.attempt.0));
    w.u64(at.map_or(0, |at| at.step));
}

fn get_restart(r: &mut Reader<'_>) -> Result<Option<Restart>, DecodeError> {
    match (r.u32()?, Attempt(r.u32()?), r.u64()?) {
        (0, Attempt(0), 0) => Ok(None),
        (1, attempt, step) => Ok(Some(Restart { attempt, step })),
        _ => Err(DecodeError::Impossible("checkpoint")),
    }
}

fn get_cpus(r: &mut Reader<'_>) -> Result<CpuSet, DecodeError> {
    let count = r.count(8)?;
    if count > (CPUS_MAX / 64) as usize {
        return Err(DecodeError::Impossible("set of CPUs"));
    }
    let words = (0..count).map(|_| r.u64()).collect::<Result<Vec<_>, _>>()?;
    if words.last() == Some(&0) {
        return Err(DecodeError::Impossible("set of CPUs"));
    }
    Ok(CpuSet::from_words(words))
}

fn get_failed(r: &mut Reader<'_>) -> Result<Record, DecodeError> {
    let (subtask, attempt) = (SubtaskId(r.u32()?), Attempt(r.u32()?));
    let (kind, value) = (r.u8()?, r.u8()?);
    let (advanced, retry) = (r.bool()?, r.bool()?);
    let outcome = match (kind, r.i32()?) {
        (1, 0) => Outcome::Exited(value),
        (2, 0) => Outcome::Signalled(value),
        (3, errno) => Outcome::NotLaunched {
            stage: LaunchStage::from_number(value).ok_or(DecodeError::Unknown("launch stage"))?,
            errno,
        },
        (4, 0) if value == 0 => Outcome::OutOfMemory,
        _ => return Err(DecodeError::Unknown("outcome")),
    };
    Ok(Record::AttemptFailed { subtask, attempt, outcome, checkpoint: get_restart(r)?, advanced, retry })
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
