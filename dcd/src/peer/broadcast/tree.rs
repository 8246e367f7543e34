//! A file passed on to many nodes in a tree: each node has at most [`FAN_OUT`] below it, and gives on what has come while the
//! rest still comes. Where one does not answer the next of its branch takes its place.

use super::super::clock;
use super::super::dial::dial;
use super::super::line::{Line, LineError};
use super::super::reach::Reach;
use dc_model::cluster::data::{FromData, NodeAddress, PIECE_BYTES_MAX, ToData};
use dc_model::codec::DecodeError;
use dc_spool::files::ReadFile;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Branches below each node.
pub(crate) const FAN_OUT: usize = 3;
/// A node is up within this, in ns, or its place is another's.
const UP_NS: u64 = 5_000_000_000;
/// All below a node have it within this after its last piece, in ns; it says meanwhile that it lives.
const BELOW_NS: u64 = 3_600_000_000_000;

/// How far a file has come here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<(Mutex<State>, Condvar)>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    bytes: u64,
    /// Nothing more comes.
    has_failed: bool,
}

impl Progress {
    /// Of a file that is here.
    pub fn whole(bytes: u64) -> Self {
        let progress = Self::default();
        progress.set(bytes);
        progress
    }

    /// So many bytes are here.
    pub fn set(&self, bytes: u64) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).bytes = bytes;
        self.0.1.notify_all();
    }

    /// No more will be.
    pub fn fail(&self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).has_failed = true;
        self.0.1.notify_all();
    }

    /// Waits a while for more than so many; what is here, or `None` when no more will be.
    fn more_than(&self, bytes: u64) -> Option<u64> {
        let state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.1.wait_timeout_while(state, Duration::from_secs(1), |state| {
            state.bytes <= bytes && !state.has_failed
        });
        let state = *waited.unwrap_or_else(PoisonError::into_inner).0;
        (!state.has_failed).then_some(state.bytes)
    }
}

/// A file that is given on.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub hash: [u8; 32],
    pub bytes: u64,
    pub file: Arc<ReadFile>,
    pub progress: Progress,
}

/// The branches below a node.
pub(crate) fn branches(below: &[NodeAddress]) -> Vec<Vec<NodeAddress>> {
    let len = below.len().div_ceil(FAN_OUT).max(1);
    below.chunks(len).map(<[_]>::to_vec).collect()
}

/// Gives it to a branch; those that have it not, and why.
pub(crate) fn give(given: &Given, reach: &Reach, branch: &[NodeAddress]) -> Vec<(String, String)> {
    let mut failed = Vec::new();
    let mut rest = branch;
    while let Some((head, below)) = rest.split_first() {
        match give_to(given, reach, head, below) {
            Ok(more) => {
                failed.extend(more);
                return failed;
            }
            Err(error) => failed.push((head.name.clone(), cut(error.to_string()))),
        }
        rest = below;
    }
    failed
}

fn give_to(
    given: &Given,
    reach: &Reach,
    head: &NodeAddress,
    below: &[NodeAddress],
) -> Result<Vec<(String, String)>, LineError> {
    let away = |text: String| LineError::Ended(text);
    let at = reach.at(head).ok_or_else(|| away("its address or key is not known".to_owned()))?;
    let mut conn = dial(&at).map_err(|error| away(error.to_string()))?;
    let mut line = Line::dialled(&mut conn, UP_NS)?;
    let failed = give_over(&mut line, given, below)?;
    line.close();
    Ok(failed)
}

/// Gives it over a connection.
pub(crate) fn give_over(
    line: &mut Line<'_>,
    given: &Given,
    below: &[NodeAddress],
) -> Result<Vec<(String, String)>, LineError> {
    let (hash, bytes) = (given.hash, given.bytes);
    line.say(&FromData::PushFile { hash, bytes, below: below.to_vec() })?;
    match line.hear(UP_NS * 6)? {
        ToData::Length(None) => {}
        ToData::Length(Some(_)) => send(line, given)?,
        ToData::No(why) => return Err(LineError::Refused(why)),
        _ => return Err(DecodeError::Impossible("answer").into()),
    }
    match line.hear(BELOW_NS)? {
        ToData::PassedOn { failed } => Ok(failed),
        ToData::No(why) => Err(LineError::Refused(why)),
        _ => Err(DecodeError::Impossible("answer").into()),
    }
}

fn send(line: &mut Line<'_>, given: &Given) -> Result<(), LineError> {
    let mut at = 0;
    while at < given.bytes {
        let Some(here) = given.progress.more_than(at) else {
            return Err(LineError::Refused("the file does not come any more".to_owned()));
        };
        line.maybe_say_alive(clock::boottime_ns())?;
        while at < here.min(given.bytes) {
            let left = usize::try_from(here.min(given.bytes) - at).unwrap_or(usize::MAX);
            let mut piece = vec![0; left.min(PIECE_BYTES_MAX)];
            given
                .file
                .read_exact_at(&mut piece, at)
                .map_err(|error| LineError::Refused(error.to_string()))?;
            at += piece.len() as u64;
            line.say(&FromData::Piece(piece))?;
        }
    }
    Ok(())
}

/// As long as a reason may be.
pub(crate) fn cut(mut why: String) -> String {
    let mut end = why.len().min(1000);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    why.truncate(end);
    why
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_hold_each_node_once() {
        for count in 0..20 {
            let nodes: Vec<NodeAddress> =
                (0..count).map(|i| NodeAddress { name: i.to_string(), ..NodeAddress::default() }).collect();
            let branches = branches(&nodes);
            assert!(branches.len() <= FAN_OUT && branches.iter().all(|branch| !branch.is_empty()));
            assert_eq!(branches.concat(), nodes);
        }
    }
}
