//! Events into a job, and what the job asks for carried out into the cluster: its decisions to the journal, its launches
//! to nodes, the cores it releases to others.

use super::job::LiveJob;
use super::{Action, Cluster, JobId, NodeId};
use crate::job::{Action as JobAction, Event as JobEvent, Job, JobPhase};
use dc_model::cluster::ClusterRecord;
use dc_model::{GiveUp, Tick};

impl Cluster {
    /// Lets a job decide on an event.
    pub(super) fn step_job(&mut self, now: Tick, id: JobId, event: JobEvent, out: &mut Vec<Action>) {
        self.step_job_all(now, id, [event], out);
    }

    /// Lets a job decide on several events at once.
    pub(super) fn step_job_all(
        &mut self,
        now: Tick,
        id: JobId,
        events: impl IntoIterator<Item = JobEvent>,
        out: &mut Vec<Action>,
    ) {
        self.wake(now, id, out);
        let Some(live) = self.jobs.get_mut(&id).filter(|live| live.ended.is_none()) else { return };
        let Some(job) = live.job.as_mut() else { return };
        let mut actions = std::mem::take(&mut self.scratch);
        job.step_all(now.saturating_sub(live.began.unwrap_or(now)), events, &mut actions);
        for action in actions.drain(..) {
            self.carry_out(now, id, action, out);
        }
        self.scratch = actions;
        self.note_appetite(id);
    }

    /// Whether it could use more cores.
    pub(super) fn note_appetite(&mut self, id: JobId) {
        let wants = self.jobs.get(&id).is_some_and(|live| live.ended.is_none() && live.appetite().cores > 0);
        if !wants {
            self.hungry.remove(&id);
        } else if self.hungry.insert(id) {
            self.is_dirty = true;
        }
    }

    fn carry_out(&mut self, now: Tick, id: JobId, action: JobAction, out: &mut Vec<Action>) {
        match action {
            JobAction::Append { seq: job_seq, record } => {
                self.append(ClusterRecord::Job { job: id, record }, job_seq, out);
                self.pending.push_back((self.seq, id, job_seq));
            }
            JobAction::Sync => self.ask_sync(out),
            JobAction::Launch { subtask, attempt, rank, placement, before, after } => {
                let Some(node) = self.on_launching(now, id, placement.part, out) else { return };
                out.push(Action::Launch { node, job: id, subtask, attempt, rank, placement, before, after });
            }
            JobAction::LaunchGang { attempt, members, before } => {
                let part = members.first().map_or(0, |member| member.placement.part);
                let Some(node) = self.on_launching(now, id, part, out) else { return };
                out.push(Action::LaunchGang { node, job: id, attempt, members, before });
            }
            JobAction::Stop { subtask, attempt, part, signal } => {
                let node = self.jobs.get(&id).and_then(|live| live.parts.get(&part)).map(|part| part.node);
                let (Some(kept), Some(node)) = (self.durable.jobs.get(&id), node) else { return };
                out.push(Action::Stop { node, job: kept.uuid, subtask, attempt, signal });
            }
            JobAction::Released { part, cores } => self.release(id, part, &cores),
            // Starters are had where something is launched.
            JobAction::StartStarter => {}
            JobAction::Merge => {
                if let Some(live) = self.jobs.get_mut(&id) {
                    live.merge_asked = true;
                }
                out.push(Action::Merge { job: id });
            }
            JobAction::Finish { status } => self.on_finished(now, id, status, out),
        }
    }

    /// The node of a part, with a starter for the job.
    fn on_launching(&mut self, now: Tick, id: JobId, part: u32, out: &mut Vec<Action>) -> Option<NodeId> {
        let live = self.jobs.get_mut(&id)?;
        let node = live.parts.get(&part)?.node;
        if live.first_launch.is_none() {
            live.first_launch = Some(now);
            let limit_ns = self.durable.jobs.get(&id).and_then(|kept| kept.wants.time_limit_ns);
            self.set_due(id, |live| live.time_due = limit_ns.map(|ns| now.saturating_add(ns)));
        }
        if self.set_opened(id, node, true) {
            out.push(Action::Open { node, job: id });
        }
        Some(node)
    }

    /// Changes one of a job's points in time.
    pub(super) fn set_due(&mut self, id: JobId, change: impl FnOnce(&mut LiveJob)) {
        let Some(live) = self.jobs.get_mut(&id) else { return };
        let before = live.due();
        change(live);
        let after = live.due();
        if before != after {
            before.map(|due| self.due_jobs.remove(&(due, id)));
            after.map(|due| self.due_jobs.insert((due, id)));
        }
    }

    /// Cores of a part are the cluster's again.
    fn release(&mut self, id: JobId, number: u32, released: &[u32]) {
        let Some(live) = self.jobs.get_mut(&id) else { return };
        let Some(part) = live.parts.get_mut(&number) else { return };
        let cores: Vec<u32> =
            released.iter().filter_map(|core| part.cores.get_mut(*core as usize)?.take()).collect();
        part.left -= cores.len() as u32;
        let (node_id, is_empty) = (part.node, part.left == 0);
        let memory_bytes = if is_empty { part.memory_bytes } else { 0 };
        if is_empty {
            live.parts.remove(&number);
        }
        let has_left = live.cores_on(node_id) == 0;
        if let Some(node) = self.nodes.get_mut(&node_id) {
            node.cores.give_back(&cores, memory_bytes);
            if has_left {
                node.jobs.remove(&id);
            }
        }
        self.note_room(node_id);
        self.is_dirty = true;
    }

    /// What a job has on a node is gone, with all it ran there.
    pub(super) fn lose_parts(
        &mut self,
        now: Tick,
        id: JobId,
        node: NodeId,
        mut why: GiveUp,
        out: &mut Vec<Action>,
    ) {
        self.set_opened(id, node, false);
        let (Some(live), Some(node_now)) = (self.jobs.get_mut(&id), self.nodes.get_mut(&node)) else {
            return;
        };
        let mut events = Vec::new();
        live.parts.retain(|number, part| {
            if part.node != node {
                return true;
            }
            node_now.cores.give_back(&part.has(), part.memory_bytes);
            events.push(JobEvent::PartLost { part: *number, why });
            // A starter is lost once, however many parts it had.
            why = GiveUp::NodeLost;
            false
        });
        self.note_room(node);
        // All at once: the job must not launch in one of them because another is gone.
        self.step_job_all(now, id, events, out);
        if let Some(node) = self.nodes.get_mut(&node) {
            node.jobs.remove(&id);
            node.outstanding.remove(&id);
        }
        self.is_dirty = true;
    }

    /// Whether anything new may start on a node has changed: jobs that have cores there are told.
    pub(super) fn tell_withdrawn(&mut self, now: Tick, node: NodeId, out: &mut Vec<Action>) {
        self.note_room(node);
        let is_withdrawn = !self.is_usable(node);
        let Some(live) = self.nodes.get_mut(&node).filter(|live| live.is_withdrawn != is_withdrawn) else {
            return;
        };
        live.is_withdrawn = is_withdrawn;
        for id in live.jobs.iter().copied().collect::<Vec<_>>() {
            self.step_job(now, id, JobEvent::Withdrawn { node, is_withdrawn }, out);
        }
        self.is_dirty = true;
    }

    /// A job has ended, and that is on disk.
    fn on_finished(&mut self, now: Tick, id: JobId, status: u8, out: &mut Vec<Action>) {
        self.set_due(id, |live| (live.orphan_due, live.time_due) = (None, None));
        self.hungry.remove(&id);
        self.uncertain.remove(&id);
        let Some(kept) = self.durable.jobs.get(&id) else { return };
        let (uuid, remove) = (kept.uuid, !kept.wants.keep);
        let Some(live) = self.jobs.get_mut(&id) else { return };
        (live.status, live.ended) = (Some(status), Some(now));
        self.ended.insert((now, id));
        out.push(Action::Ended { job: id, status });
        for node in std::mem::take(&mut live.opened) {
            self.nodes.entry(node).and_modify(|node| {
                node.opened.remove(&id);
            });
            out.push(Action::Close { node, job: uuid, remove });
        }
        let Some(live) = self.jobs.get_mut(&id) else { return };
        let parts = std::mem::take(&mut live.parts);
        for part in parts.into_values() {
            if let Some(node) = self.nodes.get_mut(&part.node) {
                node.cores.give_back(&part.has(), part.memory_bytes);
                node.jobs.remove(&id);
            }
            self.note_room(part.node);
        }
        self.is_dirty = true;
    }

    /// A job's starter on a node is gone.
    pub(super) fn on_starter_closed(
        &mut self,
        now: Tick,
        node: NodeId,
        uuid: dc_model::JobUuid,
        asked: bool,
        out: &mut Vec<Action>,
    ) {
        let Some(id) = self.durable.by_uuid.get(&uuid).copied().filter(|_| !asked) else { return };
        self.lose_starter(now, id, node, out);
    }

    /// A node cannot run a job: it is not asked again.
    pub(super) fn on_cannot_open(
        &mut self,
        now: Tick,
        node: NodeId,
        uuid: dc_model::JobUuid,
        out: &mut Vec<Action>,
    ) {
        let Some(id) = self.durable.by_uuid.get(&uuid).copied() else { return };
        if let Some(live) = self.jobs.get_mut(&id) {
            live.refused_by.insert(node);
        }
        self.lose_starter(now, id, node, out);
    }

    fn lose_starter(&mut self, now: Tick, id: JobId, node: NodeId, out: &mut Vec<Action>) {
        self.lose_parts(now, id, node, GiveUp::StarterLost, out);
        self.step_job(now, id, JobEvent::GiveUpUnknown { node: Some(node) }, out);
    }

    /// Takes a job up: a new one begins, one of before the restart goes on.
    pub(super) fn take_up(&mut self, now: Tick, id: JobId, out: &mut Vec<Action>) {
        let replayed = self.durable.jobs.get_mut(&id).and_then(|kept| kept.replayed.take());
        let Some(replayed) = replayed else {
            self.put_to_sleep(now, id);
            return;
        };
        let (spec, durable) = *replayed;
        let phase = durable.phase;
        let job = Job::resumed(spec, durable);
        let mut live = LiveJob::new(job);
        if let JobPhase::Ended(status) = phase {
            (live.status, live.ended) = (Some(status), Some(now));
            self.jobs.insert(id, live);
            self.ended.insert((now, id));
            return;
        }
        self.jobs.insert(id, live);
        self.wait_for_followers(now, id);
        if phase == JobPhase::New {
            self.step_job(now, id, JobEvent::Begin, out);
        } else {
            self.uncertain.insert(id);
            self.step_job(now, id, JobEvent::TakeUp, out);
        }
    }

    /// A job waits as it was submitted.
    fn put_to_sleep(&mut self, now: Tick, id: JobId) {
        if self.spec_of.is_none() {
            return;
        }
        self.jobs.insert(id, LiveJob::asleep());
        self.wait_for_followers(now, id);
        self.asleep.insert(id);
        self.hungry.insert(id);
        self.is_dirty = true;
    }

    /// A job that is not detached waits for its command.
    fn wait_for_followers(&mut self, now: Tick, id: JobId) {
        let detached = self.durable.jobs.get(&id).is_some_and(|kept| kept.wants.detached);
        let lost = self.config.client_lost_ns;
        self.set_due(id, |live| live.orphan_due = (!detached).then(|| now.saturating_add(lost)));
    }
}
