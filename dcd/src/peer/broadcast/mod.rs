//! Files that jobs need on nodes that share no file system with where they are: pushed to one node, passed on from node to
//! node, kept by their content. What comes is verified before it has its name.

mod blobs;
pub mod push;
pub(crate) mod tree;

pub(crate) use blobs::{Blobs, JOB_FILES, job_files, remove_job_files};

use super::clock;
use super::dial::dial;
use super::line::{Line, LineError};
use super::reach::Reach;
use dc_link::Sha256;
use dc_model::cluster::data::{FromData, NodeAddress, ToData};
use dc_model::codec::DecodeError;
use std::sync::Arc;
use std::time::Duration;
use tree::{Given, Progress, branches, cut, give};

/// The longest gap between pieces, in ns.
const PIECE_NS: u64 = 60_000_000_000;
const UP_NS: u64 = 5_000_000_000;

/// Takes a file that is brought, and passes it on meanwhile.
pub(super) fn take(
    line: &mut Line<'_>,
    blobs: &Blobs,
    reach: &Reach,
    hash: [u8; 32],
    bytes: u64,
    below: &[NodeAddress],
) -> Result<(), LineError> {
    let refused = |error: dc_spool::files::FileError| cut(error.to_string());
    if let Some(file) = blobs.open(&hash).filter(|file| file.len_bytes() == bytes) {
        line.say(&ToData::Length(None))?;
        let given = Given { hash, bytes, file: Arc::new(file), progress: Progress::whole(bytes) };
        let failed = pass_on(line, &given, reach, below, |_, _| Ok(()))?;
        return line.say(&ToData::PassedOn { failed });
    }
    if bytes > blobs.bytes_max() {
        let text =
            format!("{bytes} bytes are more than this node keeps of such files ({})", blobs.bytes_max());
        return line.say(&ToData::No(text));
    }
    let begun = blobs.begin(bytes).and_then(|file| Ok((file.begun()?, file)));
    let (begun, mut file) = match begun {
        Ok(begun) => begun,
        Err(error) => return line.say(&ToData::No(refused(error))),
    };
    line.say(&ToData::Length(Some(bytes)))?;
    let given = Given { hash, bytes, file: Arc::new(begun), progress: Progress::default() };
    let mut wrong = None;
    let failed = pass_on(line, &given, reach, below, |line, progress| {
        let mut digest = Sha256::default();
        let mut left = bytes;
        while left > 0 {
            let FromData::Piece(piece) = line.hear(PIECE_NS)? else {
                return Err(DecodeError::Impossible("message instead of a piece").into());
            };
            let len = piece.len() as u64;
            left = left.checked_sub(len).filter(|_| len > 0).ok_or(DecodeError::Impossible("piece"))?;
            digest.update(&piece);
            if let Err(error) = file.append(&piece) {
                return Err(LineError::Refused(refused(error)));
            }
            progress.set(bytes - left);
        }
        if digest.finish() != hash {
            wrong = Some("what came is not what was announced".to_owned());
        } else if let Err(error) = blobs.finish(file, &hash) {
            wrong = Some(refused(error));
        }
        Ok(())
    })?;
    match wrong {
        Some(why) => line.say(&ToData::No(why)),
        None => line.say(&ToData::PassedOn { failed }),
    }
}

/// Passes it on to all branches while `take` takes it.
fn pass_on<'a>(
    line: &mut Line<'a>,
    given: &Given,
    reach: &Reach,
    below: &[NodeAddress],
    take: impl FnOnce(&mut Line<'a>, &Progress) -> Result<(), LineError>,
) -> Result<Vec<(String, String)>, LineError> {
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        let mut failed = Vec::new();
        for branch in branches(below) {
            let names: Vec<String> = branch.iter().map(|node| node.name.clone()).collect();
            let spawned = std::thread::Builder::new()
                .name("pass on".to_owned())
                .spawn_scoped(scope, move || give(given, reach, &branch));
            match spawned {
                Ok(thread) => threads.push(thread),
                Err(error) => failed.extend(names.into_iter().map(|name| (name, error.to_string()))),
            }
        }
        let taken = take(line, &given.progress);
        if taken.is_err() {
            given.progress.fail();
        }
        for thread in threads {
            while taken.is_ok() && !thread.is_finished() {
                std::thread::sleep(Duration::from_millis(2));
                line.maybe_say_alive(clock::boottime_ns())?;
            }
            failed.extend(thread.join().unwrap_or_default());
        }
        taken.map(|()| failed)
    })
}

/// Sends a file to who asks for it.
pub(super) fn send(line: &mut Line<'_>, blobs: &Blobs, hash: &[u8; 32]) -> Result<(), LineError> {
    let Some(file) = blobs.open(hash) else { return line.say(&ToData::Length(None)) };
    line.say(&ToData::Length(Some(file.len_bytes())))?;
    super::copies::serve::pieces(&file, |piece| line.say(&ToData::Piece(piece)))
}

/// Has a file here: it is, or it is asked of the others, one after another.
pub(crate) fn have(blobs: &Blobs, reach: &Reach, hash: &[u8; 32]) -> Result<(), String> {
    if blobs.open(hash).is_some() {
        return Ok(());
    }
    let mut why = "no other node is known".to_owned();
    for node in reach.ring() {
        match get(blobs, reach, &node, hash) {
            Ok(()) => return Ok(()),
            Err(error) => why = format!("{}: {error}", node.name),
        }
    }
    Err(format!("a file that was handed out with --bcast is not on this node, and no other gives it: {why}"))
}

fn get(blobs: &Blobs, reach: &Reach, node: &NodeAddress, hash: &[u8; 32]) -> Result<(), LineError> {
    let other = |text: String| LineError::Refused(text);
    let at = reach.at(node).ok_or_else(|| other("it is not known".to_owned()))?;
    let mut conn = dial(&at).map_err(|error| other(error.to_string()))?;
    let mut line = Line::dialled(&mut conn, UP_NS)?;
    line.say(&FromData::GetFile { hash: *hash })?;
    let mut left = match line.hear(UP_NS)? {
        ToData::Length(Some(bytes)) if bytes <= blobs.bytes_max() => bytes,
        ToData::Length(_) => return Err(other("it does not have it".to_owned())),
        ToData::No(why) => return Err(other(why)),
        _ => return Err(DecodeError::Impossible("answer").into()),
    };
    let mut file = blobs.begin(left).map_err(|error| other(error.to_string()))?;
    let mut digest = Sha256::default();
    while left > 0 {
        let ToData::Piece(piece) = line.hear(PIECE_NS)? else {
            return Err(DecodeError::Impossible("message instead of a piece").into());
        };
        let len = piece.len() as u64;
        left = left.checked_sub(len).filter(|_| len > 0).ok_or(DecodeError::Impossible("piece"))?;
        digest.update(&piece);
        file.append(&piece).map_err(|error| other(error.to_string()))?;
    }
    if digest.finish() != *hash {
        return Err(other("what it has is not what its name says".to_owned()));
    }
    blobs.finish(file, hash).map_err(|error| other(error.to_string()))
}
