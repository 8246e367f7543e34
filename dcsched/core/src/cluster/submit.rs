//! Jobs come and go: submissions, their followers, their points in time, and when they are forgotten.

use super::durable::Kept;
use super::{Action, Cluster, JobId, NodeId, Request, Submission};
use crate::job::Event as JobEvent;
use dc_model::cluster::ClusterRecord;
use dc_model::{StopReason, Tick, exit};

impl Cluster {
    /// A new job, or the one that has this key already.
    pub(super) fn on_submit(&mut self, now: Tick, request: Request, job: Submission, out: &mut Vec<Action>) {
        if let Some(id) = self.durable.by_key.get(&(job.uid, job.key)).copied() {
            self.answer(request, id, out);
            return;
        }
        let refused = |text: &str| Action::Refused { request, status: exit::DC_ERROR, text: text.to_owned() };
        if self.durable.by_uuid.contains_key(&job.uuid) {
            out.push(refused(
                "a job of that name in files was submitted already, with another key: submit it anew",
            ));
            return;
        }
        if !self.has_space {
            out.push(refused(
                "the scheduler's disk is full: no new jobs are taken until there is space; try again later",
            ));
            return;
        }
        if self.durable.jobs.len() - self.ended.len() >= self.config.jobs_max {
            out.push(refused(
                "the scheduler has as many jobs as it takes (jobs_max in dc.toml): try again later",
            ));
            return;
        }
        if let Err(text) = self.check_fits(&job) {
            out.push(Action::Refused { request, status: exit::DC_ERROR, text });
            return;
        }
        let id = self.durable.last_job + 1;
        let record = ClusterRecord::Submitted {
            job: id,
            uuid: job.uuid,
            key: job.key,
            uid: job.uid,
            wants: job.wants.clone(),
            record: job.record.clone(),
        };
        let replayed = (!self.may_sleep(&job.spec)).then(|| {
            let durable = crate::job::Durable::of(&job.spec);
            Box::new((*job.spec, durable))
        });
        let Submission { uuid, key, uid, wants, record: bytes, .. } = job;
        self.durable.insert_job(id, Kept { uuid, key, uid, wants, record: bytes, replayed });
        self.append(record, 0, out);
        self.submitted.push_back((self.seq, request, id));
        self.take_up(now, id, out);
    }

    /// Where its key is known, the answer is the older job's; once that is on disk.
    fn answer(&mut self, request: Request, id: JobId, out: &mut Vec<Action>) {
        match self.submitted.iter().find(|(.., job)| *job == id).map(|(seq, ..)| *seq) {
            Some(seq) => {
                let at = self.submitted.partition_point(|(other, ..)| *other <= seq);
                self.submitted.insert(at, (seq, request, id));
            }
            None => {
                let Some(kept) = self.durable.jobs.get(&id) else { return };
                out.push(Action::Accepted { request, job: id, uuid: kept.uuid });
            }
        }
    }

    /// How many commands follow a job: when the last one of a job that is not detached has gone, it waits for a while.
    pub(super) fn on_followers(&mut self, now: Tick, id: JobId, count: u32) {
        let Some(kept) = self.durable.jobs.get(&id) else { return };
        let (detached, lost) = (kept.wants.detached, self.config.client_lost_ns);
        if self.jobs.get(&id).is_none_or(|live| live.ended.is_some()) {
            return;
        }
        self.set_due(id, |live| {
            let was_followed = live.followers > 0;
            live.followers = count;
            if count > 0 || detached {
                live.orphan_due = None;
            } else if was_followed || live.orphan_due.is_none() {
                live.orphan_due = Some(now.saturating_add(lost));
            }
        });
    }

    /// A job's point in time has come.
    pub(super) fn on_job_due(&mut self, now: Tick, id: JobId, out: &mut Vec<Action>) {
        let Some(live) = self.jobs.get_mut(&id) else { return };
        let is_due = |due: Option<Tick>| due.is_some_and(|due| due <= now);
        let (orphan, time) = (is_due(live.orphan_due), is_due(live.time_due));
        if orphan {
            live.orphan_due = None;
        }
        if time {
            live.time_due = None;
        }
        if let Some(due) = live.due() {
            self.due_jobs.insert((due, id));
        }
        if time {
            self.step_job(now, id, JobEvent::Stop { reason: StopReason::TimeLimit }, out);
        }
        if orphan {
            const SIGHUP: u8 = 1;
            self.step_job(now, id, JobEvent::Stop { reason: StopReason::Signal(SIGHUP) }, out);
        }
    }

    /// Jobs that ended long ago, or before many others, are forgotten.
    pub(super) fn forget_ended(&mut self, now: Tick, out: &mut Vec<Action>) {
        while let Some((since, id)) = self.ended.first().copied() {
            let is_old = since.saturating_add(self.config.ended_ns) <= now;
            if !is_old && self.ended.len() <= self.config.ended_max {
                return;
            }
            self.ended.remove(&(since, id));
            self.jobs.remove(&id);
            self.commit(ClusterRecord::Forgotten { job: id }, out);
        }
    }

    /// The disk has filled, or takes records again.
    pub(super) fn on_space(&mut self, there_is: bool) {
        self.is_dirty |= there_is && !self.has_space;
        self.has_space = there_is;
    }

    /// Nothing new on a node, or again.
    pub(super) fn on_drain(
        &mut self,
        now: Tick,
        node: NodeId,
        drain: bool,
        reason: String,
        out: &mut Vec<Action>,
    ) {
        let Some(seen) = self.durable.nodes.get(&node) else { return };
        if seen.drained.as_ref() == drain.then_some(&reason) {
            return;
        }
        self.commit(ClusterRecord::NodeDrain { node, drain, reason }, out);
        self.tell_withdrawn(now, node, out);
        self.is_dirty = true;
    }

    /// What can never run is refused at once: where nodes are known, and none of them is large enough.
    fn check_fits(&self, job: &Submission) -> Result<(), String> {
        let wants = &job.wants.nodes;
        if let Some(name) = wants.only.iter().find(|name| !self.durable.by_name.contains_key(*name)) {
            return Err(format!("no node is called {name}: dcinfo lists them"));
        }
        let all = |id: &NodeId| self.nodes.get(id).map(|node| &node.cores).filter(|cores| cores.all() > 0);
        let known: Vec<_> = self.durable.nodes.keys().filter_map(all).collect();
        if known.is_empty() {
            return Ok(());
        }
        let needs = &job.spec.needs;
        let widest = needs.iter().map(|need| need.cores.max(1)).max().unwrap_or(1);
        let cores = if job.spec.gang { widest.saturating_mul(job.spec.ranks) } else { widest };
        let largest = known.iter().map(|cores| cores.all()).max().unwrap_or(0);
        if cores > largest {
            let what = if job.spec.gang {
                "an MPI kernel's ranks run on one node"
            } else {
                "a subtask runs on one node"
            };
            return Err(format!("it needs {cores} cores on a node, and the largest has {largest}: {what}"));
        }
        let memory = needs.iter().map(|need| need.mem_bytes).max().unwrap_or(0);
        let most = known.iter().map(|cores| cores.memory_bytes()).max().unwrap_or(0);
        if memory > most {
            return Err(format!(
                "a subtask asks for {memory} bytes of memory, and the largest node has {most}"
            ));
        }
        if wants.nodes_min as usize > self.durable.nodes.len() {
            let nodes = self.durable.nodes.len();
            return Err(format!("it wants {} nodes (-N), and there are {nodes}", wants.nodes_min));
        }
        Ok(())
    }
}
