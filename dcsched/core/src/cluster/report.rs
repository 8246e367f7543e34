//! What starters tell, and when they may forget it: a report is acknowledged when what was decided by it is on disk.

use super::{Action, Cluster, JobId, NodeId};
use crate::job::Event as JobEvent;
use dc_model::wire::FromStarter;
use dc_model::{JobUuid, Tick};
use std::collections::{BTreeMap, VecDeque};

/// Reports on their way to the disk.
#[derive(Clone, Default, Debug)]
pub(super) struct Acks {
    /// The journal's number that each waits for, rising; and the report.
    waiting: VecDeque<(u64, NodeId, JobUuid, u64, u64)>,
}

impl Acks {
    pub fn last_seq(&self) -> Option<u64> {
        self.waiting.back().map(|(seq, ..)| *seq)
    }
}

impl Cluster {
    /// A starter told something: the job decides on it.
    pub(super) fn on_report(
        &mut self,
        now: Tick,
        node: NodeId,
        uuid: JobUuid,
        (starter, number): (u64, u64),
        report: FromStarter,
        out: &mut Vec<Action>,
    ) {
        let id = self.durable.by_uuid.get(&uuid).copied();
        if let Some(id) = id {
            self.on_told(now, node, id, report, out);
        }
        if number == 0 {
            return;
        }
        if self.durable_seq >= self.seq {
            out.push(Action::Acknowledge { node, job: uuid, starter, seq: number });
        } else {
            self.acks.waiting.push_back((self.seq, node, uuid, starter, number));
        }
    }

    fn on_told(&mut self, now: Tick, node: NodeId, id: JobId, report: FromStarter, out: &mut Vec<Action>) {
        match report {
            FromStarter::Started { subtask, attempt, from, .. } => {
                self.step_job(now, id, JobEvent::Started { subtask, attempt, from }, out);
            }
            FromStarter::Ended {
                subtask,
                attempt,
                outcome,
                ran_ns,
                stopped,
                checkpoint,
                progress_cells,
                result,
                ..
            } => {
                if outcome.success() && !stopped {
                    self.measure(node, id, subtask, ran_ns);
                }
                if !matches!(outcome, dc_model::Outcome::NotLaunched { .. }) {
                    self.step_job(now, id, JobEvent::Measured { subtask, attempt, ran_ns, kept_ns: 0 }, out);
                }
                let ended = JobEvent::Ended {
                    subtask,
                    attempt,
                    outcome,
                    ran_ns,
                    stopped,
                    checkpoint,
                    progress_cells,
                    result,
                };
                self.step_job(now, id, ended, out);
                self.on_paid(now, node, id, subtask, out);
            }
            _ => {}
        }
    }

    /// What an attempt took says how fast its node is, where others have said what it should take.
    fn measure(&mut self, node: NodeId, id: JobId, subtask: dc_model::SubtaskId, ran_ns: u64) {
        let (Some(live), Some(node)) = (self.jobs.get(&id), self.nodes.get_mut(&node)) else { return };
        node.done += 1;
        let Some(job) = &live.job else { return };
        let Some(need) = job.spec().needs.get(subtask.index()) else { return };
        let cells = need.cells / u64::from(need.cores.max(1));
        if let Some(usual_ns) = job.cost().predict_ns(cells) {
            node.measure(ran_ns, usual_ns);
        }
    }

    /// The journal holds all up to this number.
    pub(super) fn on_durable(&mut self, now: Tick, seq: u64, out: &mut Vec<Action>) {
        self.durable_seq = self.durable_seq.max(seq);
        while let Some((at, request, job)) = self.submitted.front().copied() {
            if at > seq {
                break;
            }
            self.submitted.pop_front();
            if let Some(kept) = self.durable.jobs.get(&job) {
                out.push(Action::Accepted { request, job, uuid: kept.uuid });
            }
        }
        let mut newest: BTreeMap<(NodeId, JobUuid, u64), u64> = BTreeMap::new();
        while let Some((at, node, job, starter, number)) = self.acks.waiting.front().copied() {
            if at > seq {
                break;
            }
            self.acks.waiting.pop_front();
            newest.insert((node, job, starter), number);
        }
        for ((node, job, starter), number) in newest {
            out.push(Action::Acknowledge { node, job, starter, seq: number });
        }
        let mut jobs: BTreeMap<JobId, u64> = BTreeMap::new();
        while let Some((_, id, job_seq)) = self.pending.front().copied().filter(|(at, ..)| *at <= seq) {
            self.pending.pop_front();
            jobs.insert(id, job_seq);
        }
        for (job, seq) in jobs {
            out.push(Action::JobDurable { job, seq });
            self.step_job(now, job, JobEvent::Durable { seq }, out);
        }
        self.note_usable(now, out);
    }
}
