//! The commands' side: a file is read for its name, and given to the first node that takes it, which passes it on to all
//! others.

use super::super::client::NodeAt;
use super::super::dial::dial;
use super::super::line::Line;
use super::tree::{Given, Progress, give_over};
use dc_link::Sha256;
use dc_model::cluster::data::NodeAddress;
use dc_spool::files::{Dir, FileError, Linux, ReadFile};
use std::path::Path;
use std::sync::Arc;
use thiserror::Error;

const UP_NS: u64 = 5_000_000_000;

/// A file's content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    /// SHA-256.
    pub hash: [u8; 32],
    /// Its length, in bytes.
    pub bytes: u64,
}

/// Why no node has it.
#[derive(Debug, Error)]
pub enum BroadcastError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// No node takes it.
    #[error("no node takes the file: {0}")]
    Nobody(String),
}

fn open(path: &Path) -> Result<ReadFile, FileError> {
    let real =
        std::fs::canonicalize(path).map_err(|error| FileError::io(dc_spool::files::Op::Open, path, error))?;
    let (dir, name) = Dir::parent_on(Arc::new(Linux), &real)?;
    dir.open_file(name)
}

/// Reads a file's content once; symbolic links are followed.
///
/// # Errors
/// When it cannot be read, or is no regular file.
pub fn content(path: &Path) -> Result<Content, FileError> {
    let file = open(path)?;
    let (mut digest, mut at) = (Sha256::default(), 0);
    while at < file.len_bytes() {
        let left = usize::try_from(file.len_bytes() - at).unwrap_or(usize::MAX);
        let mut piece = vec![0; left.min(1 << 18)];
        file.read_exact_at(&mut piece, at)?;
        digest.update(&piece);
        at += piece.len() as u64;
    }
    Ok(Content { hash: digest.finish(), bytes: file.len_bytes() })
}

/// Has a file on all of these nodes; those that have it not, and why. `at`: how a node is dialled from here.
///
/// # Errors
/// When the file cannot be read, or no node takes it.
pub fn broadcast(
    path: &Path,
    content: Content,
    nodes: &[NodeAddress],
    at: impl Fn(&NodeAddress) -> Option<NodeAt>,
) -> Result<Vec<(String, String)>, BroadcastError> {
    let Content { hash, bytes } = content;
    let given = Given { hash, bytes, file: Arc::new(open(path)?), progress: Progress::whole(bytes) };
    let mut failed = Vec::new();
    let mut rest = nodes;
    while let Some((head, below)) = rest.split_first() {
        let give = || -> Result<Vec<(String, String)>, String> {
            let at = at(head).ok_or("its address is not known")?;
            let mut conn = dial(&at).map_err(|error| error.to_string())?;
            let mut line = Line::dialled(&mut conn, UP_NS).map_err(|error| error.to_string())?;
            let failed = give_over(&mut line, &given, below).map_err(|error| error.to_string())?;
            line.close();
            Ok(failed)
        };
        match give() {
            Ok(more) => {
                failed.extend(more);
                return Ok(failed);
            }
            Err(why) => failed.push((head.name.clone(), why.escape_debug().to_string())),
        }
        rest = below;
    }
    let all = failed.iter().map(|(name, why)| format!("{name}: {why}")).collect::<Vec<_>>();
    Err(BroadcastError::Nobody(if all.is_empty() { "there is none".to_owned() } else { all.join("; ") }))
}
