//! Commands that follow jobs: what each has been told, what waits for it, and how much it still takes. They are told what
//! is on disk and nothing else, so that no crash takes back what a follower has. One that does not
//! read costs a bounded amount of memory: beyond that its backlog is dropped, and when it reads again it is told the job's
//! state anew.

use super::follower::{Follower, RECORD_BYTES};
use super::links::LinkId;
use dc_model::cluster::client::RecordBytes;
use dc_model::{JobUuid, Record};
use dcsched_core::cluster::{JobId, NodeId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The newest decisions of a job that are kept for who comes back.
const HISTORY_MAX: usize = 1024;
const HISTORY_BYTES_MAX: usize = 256 << 10;

#[derive(Debug, Default)]
struct Followed {
    followers: BTreeMap<LinkId, Follower>,
    /// The newest decisions, the last of which has the number `last`.
    history: VecDeque<RecordBytes>,
    history_bytes: usize,
    last: u64,
    durable: u64,
    /// Who was asked to merge; some link, or nobody yet.
    merge: Option<Option<LinkId>>,
}

/// All followers.
#[derive(Debug, Default)]
pub struct Followers {
    jobs: BTreeMap<JobId, Followed>,
    by_link: BTreeMap<LinkId, BTreeSet<JobId>>,
    dirty: BTreeSet<(LinkId, JobId)>,
    /// Whose rows followers are to be told.
    pub nodes: BTreeSet<NodeId>,
}

/// What one who comes back is sent.
#[derive(Debug, PartialEq, Eq)]
pub enum CatchUp {
    /// Decisions one by one, or nothing.
    Records,
    /// The state.
    State,
}

impl Followers {
    /// A decision was made in a job.
    pub fn on_record(&mut self, job: JobId, seq: u64, record: &Record) {
        let (kind, payload) = dc_spool::journal::to_payload(record);
        let bytes = RecordBytes { kind, payload };
        let followed = self.jobs.entry(job).or_default();
        for (link, follower) in &mut followed.followers {
            follower.push(&bytes);
            self.dirty.insert((*link, job));
        }
        if followed.last + 1 != seq {
            // After a restart: what came before is in the state alone.
            (followed.history, followed.history_bytes) = (VecDeque::new(), 0);
        }
        followed.last = seq;
        followed.history_bytes += bytes.payload.len() + RECORD_BYTES;
        followed.history.push_back(bytes);
        while followed.history.len() > HISTORY_MAX || followed.history_bytes > HISTORY_BYTES_MAX {
            let Some(old) = followed.history.pop_front() else { break };
            followed.history_bytes -= old.payload.len() + RECORD_BYTES;
        }
    }

    /// A job's decisions up to this one are on disk.
    pub fn on_durable(&mut self, job: JobId, seq: u64) {
        let Some(followed) = self.jobs.get_mut(&job) else { return };
        followed.durable = followed.durable.max(seq);
        for (link, follower) in &mut followed.followers {
            follower.durable = follower.durable.max(seq);
            self.dirty.insert((*link, job));
        }
    }

    /// A job has ended: its followers hear it behind all else.
    pub fn on_ended(&mut self, job: JobId, status: u8) {
        let Some(followed) = self.jobs.get_mut(&job) else { return };
        followed.merge = None;
        (followed.history, followed.history_bytes) = (VecDeque::new(), 0);
        for (link, follower) in &mut followed.followers {
            follower.ended = Some(status);
            self.dirty.insert((*link, job));
        }
        if followed.followers.is_empty() {
            self.jobs.remove(&job);
        }
    }

    /// A command follows a job from now on, whose last decision has the number `seq`;
    /// the command has all up to `after`. Says what it lacks; the state, where it is wanted, is sent by the caller.
    pub fn attach(
        &mut self,
        link: LinkId,
        job: JobId,
        mut follower: Follower,
        seq: u64,
        after: u64,
    ) -> CatchUp {
        let followed = self.jobs.entry(job).or_default();
        let first = (followed.last + 1).saturating_sub(followed.history.len() as u64);
        let lacks = seq.saturating_sub(after);
        let by_records = after <= seq && (lacks == 0 || (followed.last == seq && after + 1 >= first));
        if by_records {
            (follower.sent, follower.taken) = (after, after);
            let skip = followed.history.len().saturating_sub(usize::try_from(lacks).unwrap_or(usize::MAX));
            followed.history.iter().skip(skip).take(usize::try_from(lacks).unwrap_or(0)).for_each(|record| {
                follower.push(record);
            });
        } else {
            let ready_at = follower.ready_at;
            follower.on_state(seq, ready_at);
        }
        // What was decided before this scheduler ran is on disk.
        let is_all_durable = followed.last == 0;
        follower.durable = if is_all_durable { seq } else { followed.durable };
        followed.followers.insert(link, follower);
        self.by_link.entry(link).or_default().insert(job);
        self.dirty.insert((link, job));
        if by_records { CatchUp::Records } else { CatchUp::State }
    }

    /// Tells a follower the end of a job that had ended before it came.
    pub fn tell_ended(&mut self, link: LinkId, job: JobId, status: u8) {
        if let Some(follower) = self.get_mut(link, job) {
            follower.ended = Some(status);
        }
    }

    /// A follower says how far it is.
    pub fn on_window(&mut self, link: LinkId, job: JobId, seq: u64) {
        if let Some(follower) = self.get_mut(link, job) {
            follower.on_window(seq);
            self.dirty.insert((link, job));
        }
    }

    /// A follower.
    pub fn get_mut(&mut self, link: LinkId, job: JobId) -> Option<&mut Follower> {
        self.jobs.get_mut(&job)?.followers.get_mut(&link)
    }

    /// Whether something that was decided still waits for it.
    #[must_use]
    pub fn is_behind(&self, link: LinkId, job: JobId) -> bool {
        let follower = self.jobs.get(&job).and_then(|followed| followed.followers.get(&link));
        follower.is_some_and(|follower| follower.wants_state || !follower.waiting.is_empty())
    }

    /// Followers of a job.
    #[must_use]
    pub fn count(&self, job: JobId) -> u32 {
        self.jobs.get(&job).map_or(0, |followed| followed.followers.len() as u32)
    }

    /// Their connections.
    pub fn of(&self, job: JobId) -> impl Iterator<Item = (LinkId, JobUuid)> + '_ {
        let followers = self.jobs.get(&job).into_iter().flat_map(|followed| &followed.followers);
        followers.map(|(link, follower)| (*link, follower.uuid))
    }

    /// All connections that follow something.
    pub fn links(&self) -> impl Iterator<Item = LinkId> + '_ {
        self.by_link.keys().copied()
    }

    /// What a connection follows.
    #[must_use]
    pub fn jobs_of(&self, link: LinkId) -> Vec<JobId> {
        self.by_link.get(&link).map_or_else(Vec::new, |jobs| jobs.iter().copied().collect())
    }

    /// A connection is gone. Gives the jobs that it followed, and whether it was to merge each.
    pub fn drop_link(&mut self, link: LinkId) -> Vec<(JobId, bool)> {
        let jobs = self.by_link.remove(&link).unwrap_or_default();
        jobs.into_iter().map(|job| (job, self.detach(link, job))).collect()
    }

    fn detach(&mut self, link: LinkId, job: JobId) -> bool {
        self.dirty.remove(&(link, job));
        let Some(followed) = self.jobs.get_mut(&job) else { return false };
        followed.followers.remove(&link);
        let was_merging = followed.merge == Some(Some(link));
        if was_merging {
            followed.merge = Some(None);
        }
        was_merging
    }

    /// A follower has been told the end: nothing more comes for it.
    pub fn forget(&mut self, link: LinkId, job: JobId) {
        self.detach(link, job);
        if let Some(jobs) = self.by_link.get_mut(&link) {
            jobs.remove(&job);
            if jobs.is_empty() {
                self.by_link.remove(&link);
            }
        }
        if self
            .jobs
            .get(&job)
            .is_some_and(|followed| followed.followers.is_empty() && followed.history.is_empty())
        {
            self.jobs.remove(&job);
        }
    }

    /// A job wants to be merged, by somebody who may.
    pub fn want_merge(&mut self, job: JobId) {
        self.jobs.entry(job).or_default().merge = Some(None);
    }

    /// Who is to be asked now to merge a job that wants to be: the one that came first.
    pub fn take_merger(&mut self, job: JobId) -> Option<(LinkId, JobUuid)> {
        let followed = self.jobs.get_mut(&job)?;
        if followed.merge != Some(None) {
            return None;
        }
        let (link, follower) = followed.followers.iter().find(|(_, follower)| follower.may_merge)?;
        followed.merge = Some(Some(*link));
        Some((*link, follower.uuid))
    }

    /// Whether this connection was asked to merge; it is not any more.
    pub fn take_merged(&mut self, link: LinkId, job: JobId) -> bool {
        let Some(followed) = self.jobs.get_mut(&job).filter(|it| it.merge == Some(Some(link))) else {
            return false;
        };
        followed.merge = None;
        true
    }

    /// Followers that something has changed for.
    pub fn take_dirty(&mut self) -> BTreeSet<(LinkId, JobId)> {
        std::mem::take(&mut self.dirty)
    }

    /// Once more in the next turn.
    pub fn put_dirty(&mut self, of: impl IntoIterator<Item = (LinkId, JobId)>) {
        self.dirty.extend(of);
    }

    /// The job is known no more.
    pub fn forget_job(&mut self, job: JobId) {
        if self.jobs.get(&job).is_some_and(|followed| followed.followers.is_empty()) {
            self.jobs.remove(&job);
        }
    }
}

#[cfg(test)]
#[path = "followers_tests.rs"]
mod tests;
