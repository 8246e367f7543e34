//! Results that a command fetches from this node. Only files that are results by their place and name are opened, relative
//! to the job's directory and without following links; the name is made of numbers. What the journal said of a result must
//! be what its header says, or the node does not have it.

use super::line::{Line, LineError};
use crate::starters::Site;
use dc_model::JobUuid;
use dc_model::cluster::data::{PIECE_BYTES_MAX, ToData, WantedResult};
use dc_spool::layout;
use dc_spool::result::Reader;
use std::io;
use std::path::Path;

/// Sends these, one after another.
pub(super) fn serve(
    line: &mut Line<'_>,
    sites: &[Site],
    job: JobUuid,
    wanted: &[WantedResult],
) -> Result<(), LineError> {
    let why_not = "the job is not on this node";
    let mut piece = vec![0; PIECE_BYTES_MAX];
    for (index, one) in (0u32..).zip(wanted) {
        send(line, (job, sites), index, one, &mut piece, why_not)?;
    }
    line.say(&ToData::Done)
}

fn send(
    line: &mut Line<'_>,
    (job, sites): (JobUuid, &[Site]),
    index: u32,
    one: &WantedResult,
    piece: &mut [u8],
    why_not: &str,
) -> Result<(), LineError> {
    let mut why = why_not.to_owned();
    for site in sites {
        let name = format!("{}/{}", layout::RESULT, layout::result(one.subtask, one.attempt));
        let named = site.dir().join(&name);
        let reader = match site.open_in_job(&name).map_err(|error| no_file(&named, &error)).and_then(|file| {
            let reader = Reader::of_file(file, &named, job, one.subtask, one.attempt);
            reader.map_err(|error| error.to_string())
        }) {
            Ok(reader) if reader.meta() == one.meta && one.at <= one.meta.len => reader,
            Ok(_) => {
                why = "it is not what the journal says".to_owned();
                continue;
            }
            Err(error) => {
                why = error;
                continue;
            }
        };
        let (head, mut at) = (reader.head(), one.at);
        let mut is_first = true;
        while is_first || at < one.meta.len {
            let left = usize::try_from(one.meta.len - at).unwrap_or(usize::MAX);
            let Some(room) = piece.get_mut(..left.min(PIECE_BYTES_MAX)) else { break };
            if let Err(error) = reader.read_at(at, room) {
                if is_first {
                    return no(line, index, error.to_string());
                }
                // What was announced cannot follow any more.
                return Err(LineError::Refused(error.to_string()));
            }
            at += room.len() as u64;
            let bytes = room.to_vec();
            line.say(&if is_first {
                ToData::Result {
                    index,
                    dtype: head.dtype as u8,
                    layout: head.layout as u8,
                    values_per_cell: head.values_per_cell,
                    bytes: one.meta.len - one.at,
                    piece: bytes,
                }
            } else {
                ToData::Piece(bytes)
            })?;
            is_first = false;
        }
        return Ok(());
    }
    no(line, index, why)
}

fn no_file(named: &Path, error: &io::Error) -> String {
    format!("{}: {error}", named.to_string_lossy().escape_debug())
}

fn no(line: &mut Line<'_>, index: u32, mut why: String) -> Result<(), LineError> {
    let mut end = why.len().min(1000);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    why.truncate(end);
    line.say(&ToData::NoResult { index, why })
}
