//! Before an attempt that is not the first is launched: newer checkpoints than are here are asked of all nodes, and put into
//! the job's directory, where the starter finds them. Whoever does not answer within seconds is passed over: an attempt that
//! goes on from an older step, or from none, is right too.

use super::super::clock;
use super::super::dial::dial;
use super::super::line::{Line, LineError};
use super::super::reach::Reach;
use super::serve::pieces;
use super::store::{Store, newest};
use dc_model::cluster::data::{COPIES_MAX, FromData, NodeAddress, ToData};
use dc_model::codec::DecodeError;
use dc_model::{Attempt, JobUuid, Restart, SubtaskId};
use dc_spool::checkpoint::Checkpoints;
use dc_spool::files::Dir;
use dc_spool::layout;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing::{debug, info};

/// Nodes that are asked at once.
const ASKED_AT_ONCE: usize = 16;
/// A node that is not up, or does not answer, within this has nothing, in ns.
const UP_NS: u64 = 2_000_000_000;
/// See [`UP_NS`]: it reads what it has, before it names it.
const LIST_NS: u64 = 5_000_000_000;
/// The longest gap between pieces, in ns.
const PIECE_NS: u64 = 5_000_000_000;
/// How long the job's directory is waited for, in ns; another thread makes it.
const DIR_NS: u64 = 10_000_000_000;

/// What is needed for it.
#[derive(Debug)]
pub(crate) struct Bring {
    pub reach: Reach,
    pub nodes: Vec<NodeAddress>,
    pub store: Store,
    pub jobs: PathBuf,
}

/// Where a checkpoint is.
type Where = BTreeMap<SubtaskId, BTreeMap<Restart, Vec<usize>>>;

impl Bring {
    /// Brings what is newer than what is here, of attempts before those that are about to be launched. `all`: the two newest
    /// of each, because a gang needs the same of all. It ends early when `stop` is set.
    pub fn bring(&self, job: JobUuid, launches: &[(SubtaskId, Attempt)], all: bool, stop: &AtomicBool) {
        let found = self.ask(job, launches);
        let Some(own) = self.own(job, stop) else { return };
        let here = [own];
        for (subtask, below) in launches {
            let [own] = &here;
            let newest_here = newest(&here, *subtask, *below).first().copied();
            let kept = self.store.of(job).map(|kept| newest(&[kept], *subtask, *below)).unwrap_or_default();
            let mut from: BTreeMap<Restart, Vec<usize>> = found.get(subtask).cloned().unwrap_or_default();
            for restart in kept {
                from.entry(restart).or_default();
            }
            let newer = from.iter().rev().filter(|(restart, _)| Some(**restart) > newest_here).take(2);
            for (restart, nodes) in newer {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                if restart.attempt < *below && self.get(own, job, *subtask, *restart, nodes) && !all {
                    break;
                }
            }
        }
    }

    /// The job's own checkpoints, once its directory is there.
    fn own(&self, job: JobUuid, stop: &AtomicBool) -> Option<Checkpoints> {
        let dir = self.jobs.join(job.to_string());
        let end = clock::boottime_ns().saturating_add(DIR_NS);
        while !dir.join(layout::JOB).exists() {
            if clock::boottime_ns() >= end || stop.load(Ordering::Relaxed) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Checkpoints::open(&Dir::open(&dir).ok()?, job).ok()
    }

    fn ask(&self, job: JobUuid, launches: &[(SubtaskId, Attempt)]) -> Where {
        let queue: Mutex<VecDeque<usize>> = Mutex::new((0..self.nodes.len()).collect());
        let found: Mutex<Where> = Mutex::default();
        let work = || {
            while let Some(index) = {
                let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                queue.pop_front()
            } {
                let Some(node) = self.nodes.get(index) else { continue };
                match self.list(node, job, launches) {
                    Ok(list) => {
                        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                        for (subtask, restart) in list {
                            found.entry(subtask).or_default().entry(restart).or_default().push(index);
                        }
                    }
                    Err(error) => debug!(node = %node.name, "was not asked for checkpoints: {error}"),
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.nodes.len().min(ASKED_AT_ONCE) {
                // Without threads fewer are asked at once, and without any none.
                let _ = std::thread::Builder::new().name("copies".to_owned()).spawn_scoped(scope, work);
            }
        });
        found.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn list(
        &self,
        node: &NodeAddress,
        job: JobUuid,
        launches: &[(SubtaskId, Attempt)],
    ) -> Result<Vec<(SubtaskId, Restart)>, LineError> {
        let away = |text: String| LineError::Ended(text);
        let at = self.reach.at(node).ok_or_else(|| away("it is not known".to_owned()))?;
        let mut conn = dial(&at).map_err(|error| away(error.to_string()))?;
        let mut line = Line::dialled(&mut conn, UP_NS)?;
        let mut all = Vec::new();
        // Two of each come back.
        for launches in launches.chunks(COPIES_MAX / 2) {
            line.say(&FromData::ListCopies { job, below: launches.to_vec() })?;
            match line.hear(LIST_NS)? {
                ToData::Copies(list) => all.extend(list),
                ToData::No(why) => return Err(LineError::Refused(why)),
                _ => return Err(DecodeError::Impossible("answer").into()),
            }
        }
        line.close();
        Ok(all)
    }

    /// Gets one, from this node's own copies or from one that has it.
    fn get(
        &self,
        own: &Checkpoints,
        job: JobUuid,
        subtask: SubtaskId,
        restart: Restart,
        nodes: &[usize],
    ) -> bool {
        if let Some(kept) = self.store.of(job).and_then(|kept| kept.raw(subtask, restart).ok()) {
            let copied = own.take(subtask, restart, kept.len_bytes()).ok().is_some_and(|mut incoming| {
                let all = pieces(&kept, |piece| {
                    incoming.append(&piece).map_err(|error| LineError::Refused(error.to_string()))
                });
                all.is_ok() && incoming.finish().is_ok()
            });
            if copied {
                info!(%job, %subtask, %restart, "goes on from a copy that was kept here");
                return true;
            }
        }
        nodes.iter().filter_map(|index| self.nodes.get(*index)).any(|node| {
            match self.fetch(own, node, job, subtask, restart) {
                Ok(()) => {
                    info!(%job, %subtask, %restart, node = %node.name, "goes on from a copy");
                    true
                }
                Err(error) => {
                    debug!(%job, %subtask, %restart, node = %node.name, "a copy does not come: {error}");
                    false
                }
            }
        })
    }

    fn fetch(
        &self,
        own: &Checkpoints,
        node: &NodeAddress,
        job: JobUuid,
        subtask: SubtaskId,
        restart: Restart,
    ) -> Result<(), LineError> {
        let other = |text: String| LineError::Refused(text);
        let at = self.reach.at(node).ok_or_else(|| other("it is not known".to_owned()))?;
        let mut conn = dial(&at).map_err(|error| other(error.to_string()))?;
        let mut line = Line::dialled(&mut conn, UP_NS)?;
        line.say(&FromData::GetCopy { job, subtask, restart })?;
        let mut left = match line.hear(LIST_NS)? {
            ToData::Length(Some(bytes)) => bytes,
            ToData::Length(None) => return Err(other("it has it no more".to_owned())),
            ToData::No(why) => return Err(other(why)),
            _ => return Err(DecodeError::Impossible("answer").into()),
        };
        let mut incoming = own.take(subtask, restart, left).map_err(|error| other(error.to_string()))?;
        while left > 0 {
            let ToData::Piece(piece) = line.hear(PIECE_NS)? else {
                return Err(DecodeError::Impossible("message instead of a piece").into());
            };
            let bytes = piece.len() as u64;
            left = left.checked_sub(bytes).filter(|_| bytes > 0).ok_or(DecodeError::Impossible("piece"))?;
            incoming.append(&piece).map_err(|error| other(error.to_string()))?;
        }
        incoming.finish().map_err(|error| other(error.to_string()))
    }
}
