//! What other nodes ask of this one's copies, and bring.

use super::super::line::{Line, LineError};
use super::store::{KEPT, Store, newest};
use dc_model::cluster::data::{FromData, PIECE_BYTES_MAX, ToData};
use dc_model::codec::DecodeError;
use dc_model::{Attempt, JobUuid, Restart, SubtaskId};
use dc_spool::checkpoint::Checkpoints;
use dc_spool::files::Dir;
use std::path::Path;
use tracing::warn;

/// How long a piece is waited for, in ns.
const PIECE_NS: u64 = 60_000_000_000;

/// All places of this node where a job's checkpoints may be.
pub(crate) fn places(store: &Store, jobs: &Path, job: JobUuid) -> Vec<Checkpoints> {
    let own = Dir::open(&jobs.join(job.to_string())).and_then(|dir| Checkpoints::open(&dir, job));
    own.ok().into_iter().chain(store.of(job)).collect()
}

pub(crate) fn list(
    line: &mut Line<'_>,
    store: &Store,
    jobs: &Path,
    job: JobUuid,
    below: &[(SubtaskId, Attempt)],
) -> Result<(), LineError> {
    store.touch(job);
    let places = places(store, jobs, job);
    let mut found = Vec::new();
    for (subtask, attempt) in below {
        found.extend(newest(&places, *subtask, *attempt).into_iter().map(|restart| (*subtask, restart)));
        line.maybe_say_alive(super::super::clock::boottime_ns())?;
    }
    // What does not fit is asked for again.
    found.truncate(dc_model::cluster::data::COPIES_MAX);
    line.say(&ToData::Copies(found))
}

/// Sends a checkpoint's file.
pub(crate) fn send(
    line: &mut Line<'_>,
    places: &[Checkpoints],
    subtask: SubtaskId,
    restart: Restart,
) -> Result<(), LineError> {
    let Some(file) = places.iter().find_map(|place| place.raw(subtask, restart).ok()) else {
        return line.say(&ToData::Length(None));
    };
    line.say(&ToData::Length(Some(file.len_bytes())))?;
    pieces(&file, |piece| line.say(&ToData::Piece(piece)))
}

/// A file in pieces.
pub(crate) fn pieces(
    file: &dc_spool::files::ReadFile,
    mut say: impl FnMut(Vec<u8>) -> Result<(), LineError>,
) -> Result<(), LineError> {
    let (mut at, end) = (0, file.len_bytes());
    while at < end {
        let left = usize::try_from(end - at).unwrap_or(usize::MAX);
        let mut piece = vec![0; left.min(PIECE_BYTES_MAX)];
        file.read_exact_at(&mut piece, at).map_err(|error| LineError::Refused(error.to_string()))?;
        at += piece.len() as u64;
        say(piece)?;
    }
    Ok(())
}

/// Takes a checkpoint that another node brings.
pub(crate) fn take(
    line: &mut Line<'_>,
    store: &Store,
    job: JobUuid,
    subtask: SubtaskId,
    restart: Restart,
    bytes: u64,
) -> Result<(), LineError> {
    if store.has(job, subtask, restart) {
        store.touch(job);
        return line.say(&ToData::Length(None));
    }
    let (copies, mut incoming) = match store.take(job, subtask, restart, bytes) {
        Ok(begun) => begun,
        Err(error) => {
            warn!(%job, "a copy of a checkpoint is not kept: {error}");
            return line.say(&ToData::No(error.to_string()));
        }
    };
    line.say(&ToData::Length(Some(bytes)))?;
    let mut left = bytes;
    while left > 0 {
        let FromData::Piece(piece) = line.hear(PIECE_NS)? else {
            return Err(DecodeError::Impossible("message instead of a piece").into());
        };
        if piece.is_empty() {
            return Err(DecodeError::Impossible("piece of nothing").into());
        }
        left = left.checked_sub(piece.len() as u64).ok_or(DecodeError::Impossible("length of a copy"))?;
        incoming.append(&piece).map_err(|error| LineError::Refused(error.to_string()))?;
    }
    if let Err(error) = incoming.finish() {
        return line.say(&ToData::No(error.to_string()));
    }
    // One that is damaged is not counted, so at least these stay.
    let _ = copies.prune(subtask, KEPT, false);
    line.say(&ToData::Done)
}
