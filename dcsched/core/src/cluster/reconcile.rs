//! A node registers: what it has is compared with what it should have. What both agree on goes on; what the node does not know
//! of is given up and done again; what the scheduler does not want there is killed.

use super::node::{LiveNode, Outstanding};
use super::{Action, Cluster, JobId, NodeId, Registration};
use crate::job::Event as JobEvent;
use dc_model::cluster::ClusterRecord;
use dc_model::cluster::node::Held;
use dc_model::{GiveUp, JobUuid, Outcome, SubtaskId, Tick};
use std::collections::BTreeSet;

const SIGKILL: u8 = 9;

impl Cluster {
    /// The scheduler runs: jobs are taken up, and nodes that were up are waited for as long as a lease.
    pub(super) fn on_begin(&mut self, now: Tick, out: &mut Vec<Action>) {
        self.has_begun = true;
        let up = self.durable.nodes.iter().filter(|(_, seen)| seen.up).map(|(id, _)| *id);
        for id in up.collect::<Vec<_>>() {
            self.nodes.insert(id, LiveNode::unheard());
            self.expected.insert(id);
            // Those of before may be longer than those of now.
            let lease_ns = self.durable.lease_ns.max(self.config.lease_ns);
            self.leases.grant(now, id, lease_ns, &self.config);
        }
        for id in self.durable.jobs.keys().copied().collect::<Vec<_>>() {
            self.take_up(now, id, out);
        }
        if self.expected.is_empty() {
            self.give_up_unknown(now, None, out);
        }
    }

    /// A node is there. It has told nothing yet of what it runs.
    pub(super) fn on_registered(&mut self, now: Tick, registration: Registration, out: &mut Vec<Action>) {
        let id = match self.durable.by_name.get(&registration.name) {
            Some(id) => *id,
            None => {
                let node = self.durable.last_node + 1;
                self.commit(ClusterRecord::NodeSeen { node, name: registration.name.clone() }, out);
                node
            }
        };
        let live = self.nodes.entry(id).or_insert_with(LiveNode::unheard);
        let is_other_boot =
            live.incarnation.start > 0 && live.incarnation.boot != registration.incarnation.boot;
        if is_other_boot || !live.cores.is_same(&registration.topology) {
            // All that ran there is dead with the boot; cores that are others cannot be told apart.
            for job in live.jobs.iter().copied().collect::<Vec<_>>() {
                self.lose_parts(now, job, id, GiveUp::NodeLost, out);
            }
        }
        if let Some(live) = self.nodes.get_mut(&id) {
            live.register(now, &registration, self.config.lease_ns);
        }
        self.tell_withdrawn(now, id, out);
        // On disk before anything is launched there.
        self.tell_lease(out);
        if self.durable.nodes.get(&id).is_some_and(|seen| !seen.up) {
            self.commit(ClusterRecord::NodeUp { node: id }, out);
            let seq = self.seq;
            self.nodes.entry(id).and_modify(|node| node.up_seq = seq);
            self.up_pending.push_back((seq, id));
            self.ask_sync(out);
        }
        self.leases.grant(now, id, self.config.lease_ns, &self.config);
        out.push(Action::Welcome { name: registration.name, node: id });
    }

    /// Nodes may be told of a longer lease than any before; or nobody holds a longer one any more.
    fn tell_lease(&mut self, out: &mut Vec<Action>) {
        let held = self.nodes.values().map(|node| node.lease_ns);
        let of_before = if self.expected.is_empty() { 0 } else { self.durable.lease_ns };
        let lease_ns = held.max().unwrap_or(0).max(of_before).max(self.config.lease_ns);
        if lease_ns != self.durable.lease_ns {
            self.commit(ClusterRecord::LeaseTold { lease_ns }, out);
        }
    }

    /// What a registering node has of one job.
    pub(super) fn on_held(
        &mut self,
        now: Tick,
        node: NodeId,
        uuid: JobUuid,
        starter: u64,
        held: Vec<Held>,
        out: &mut Vec<Action>,
    ) {
        let id = self.durable.by_uuid.get(&uuid).copied();
        let Some(id) = id.filter(|id| self.jobs.get(id).is_some_and(|live| live.ended.is_none())) else {
            let remove = id.and_then(|id| self.durable.jobs.get(&id)).is_none_or(|kept| !kept.wants.keep);
            out.push(Action::Close { node, job: uuid, remove });
            return;
        };
        let _ = starter;
        self.wake(now, id, out);
        self.set_opened(id, node, true);
        let mut known = BTreeSet::new();
        let mut owed = BTreeSet::new();
        let mut adoptable = Vec::new();
        for held in held {
            let Some(live) = self.jobs.get(&id) else { return };
            let Some(job) = &live.job else { return };
            let running = job.running(held.subtask).filter(|running| running.attempt == held.attempt);
            let is_here = running.is_some_and(|running| {
                live.parts.get(&running.placement.part).is_some_and(|part| part.node == node)
            });
            if is_here || (held.ended && job.is_unknown(held.subtask, held.attempt)) {
                known.insert(held.subtask);
                if held.ended {
                    owed.insert(held.subtask);
                }
            } else if job.is_unknown(held.subtask, held.attempt) {
                known.insert(held.subtask);
                adoptable.push(held);
            } else if !held.ended {
                let (subtask, attempt) = (held.subtask, held.attempt);
                out.push(Action::Stop { node, job: uuid, subtask, attempt, signal: SIGKILL });
            }
        }
        self.adopt(now, id, node, uuid, adoptable, out);
        let Some(live) = self.nodes.get_mut(&node) else { return };
        if !owed.is_empty() {
            live.outstanding.insert(id, Outstanding { of: owed });
        }
        if let Some(link) = &mut live.link {
            link.held.insert(id, known);
        }
    }

    /// What runs there since before the restart has its cores again.
    fn adopt(
        &mut self,
        now: Tick,
        id: JobId,
        node: NodeId,
        uuid: JobUuid,
        mut held: Vec<Held>,
        out: &mut Vec<Action>,
    ) {
        if held.is_empty() {
            return;
        }
        // Those that are bound have their cores; the others take what these leave.
        held.sort_by_key(|held| held.cpus.is_empty());
        let mut all: Vec<u32> = Vec::new();
        let mut of_each: Vec<(Held, Vec<u32>)> = Vec::new();
        for held in held {
            let (Some(live), Some(node_now)) = (self.jobs.get(&id), self.nodes.get(&node)) else { return };
            let need = live.job.as_ref().and_then(|job| job.spec().needs.get(held.subtask.index()));
            let wanted = need.map_or(1, |need| need.cores.max(1));
            let cores = if held.cpus.is_empty() {
                let free = node_now.cores.pick(node_now.cores.free());
                free.into_iter().filter(|core| !all.contains(core)).take(wanted as usize).collect()
            } else {
                node_now.cores.with_cpus(&held.cpus)
            };
            let is_possible = !cores.is_empty() && node_now.cores.are_free(&cores);
            if is_possible {
                all.extend(cores.iter().filter(|core| !all.contains(core)).copied().collect::<Vec<_>>());
                of_each.push((held, cores));
            } else {
                let (subtask, attempt) = (held.subtask, held.attempt);
                out.push(Action::Stop { node, job: uuid, subtask, attempt, signal: SIGKILL });
            }
        }
        all.sort_unstable();
        let memory = |held: &Held| {
            let needs = self.jobs.get(&id).and_then(|live| live.job.as_ref()).map(|job| &job.spec().needs);
            needs.and_then(|needs| needs.get(held.subtask.index())).map_or(0, |need| need.mem_bytes)
        };
        let memory_bytes = of_each.iter().fold(0u64, |sum, (held, _)| sum.saturating_add(memory(held)));
        let adopted = |part: u32| {
            let at = |core: &u32| all.binary_search(core).ok().map(|at| at as u32);
            let adopted = |(held, cores): &(Held, Vec<u32>)| JobEvent::Adopted {
                subtask: held.subtask,
                attempt: held.attempt,
                rank: held.rank,
                part,
                cores: cores.iter().filter_map(at).collect(),
            };
            let withdrawn = JobEvent::Withdrawn { node, is_withdrawn: true };
            std::iter::once(withdrawn).chain(of_each.iter().map(adopted)).collect()
        };
        self.join(now, id, node, &all, memory_bytes, adopted, out);
    }

    /// A node has told all it has: what it did not tell of is not there.
    pub(super) fn on_settled(&mut self, now: Tick, node: NodeId, out: &mut Vec<Action>) {
        let Some(live) = self.nodes.get_mut(&node) else { return };
        let Some(link) = live.link.as_mut().filter(|link| !link.settled) else { return };
        link.settled = true;
        let held = std::mem::take(&mut link.held);
        for id in live.jobs.iter().copied().collect::<Vec<_>>() {
            let none = BTreeSet::new();
            let known = held.get(&id).unwrap_or(&none);
            let missing = self.missing(id, node, known);
            for (subtask, attempt) in missing {
                let given_up = JobEvent::Ended {
                    subtask,
                    attempt,
                    outcome: Outcome::Signalled(SIGKILL),
                    ran_ns: 0,
                    stopped: true,
                    checkpoint: None,
                    progress_cells: 0,
                    result: None,
                };
                self.step_job(now, id, given_up, out);
            }
        }
        let opened = self.nodes.get(&node).map_or_else(BTreeSet::new, |live| live.opened.clone());
        for id in opened.into_iter().filter(|id| !held.contains_key(id)) {
            self.set_opened(id, node, false);
        }
        self.tell_withdrawn(now, node, out);
        self.account_for(now, node, out);
        self.is_dirty = true;
    }

    /// Attempts that should run on a node and that it does not have.
    fn missing(
        &self,
        id: JobId,
        node: NodeId,
        known: &BTreeSet<SubtaskId>,
    ) -> Vec<(SubtaskId, dc_model::Attempt)> {
        let Some(live) = self.jobs.get(&id) else { return Vec::new() };
        let Some(job) = &live.job else { return Vec::new() };
        let is_there = |part: u32| live.parts.get(&part).is_some_and(|part| part.node == node);
        let missing =
            job.launched_in(is_there).into_iter().filter(|running| !known.contains(&running.subtask));
        missing.map(|running| (running.subtask, running.attempt)).collect()
    }

    /// After a restart: this node has told what it runs, or runs nothing any more.
    pub(super) fn account_for(&mut self, now: Tick, node: NodeId, out: &mut Vec<Action>) {
        self.expected.remove(&node);
        self.give_up_unknown(now, Some(node), out);
        if self.expected.is_empty() {
            self.give_up_unknown(now, None, out);
        }
    }

    /// Gives up what nobody runs, and nobody still owes the end of.
    fn give_up_unknown(&mut self, now: Tick, node: Option<NodeId>, out: &mut Vec<Action>) {
        for id in self.uncertain.iter().copied().collect::<Vec<_>>() {
            let owes = |node: &LiveNode| node.outstanding.contains_key(&id);
            let is_owed = match node {
                Some(node) => self.nodes.get(&node).is_some_and(owes),
                None => self.nodes.values().any(owes),
            };
            if is_owed {
                continue;
            }
            if node.is_none() {
                self.uncertain.remove(&id);
            }
            self.step_job(now, id, JobEvent::GiveUpUnknown { node }, out);
        }
    }

    /// A report that was owed has come.
    pub(super) fn on_paid(
        &mut self,
        now: Tick,
        node: NodeId,
        id: JobId,
        subtask: SubtaskId,
        out: &mut Vec<Action>,
    ) {
        let Some(live) = self.nodes.get_mut(&node) else { return };
        let Some(owed) = live.outstanding.get_mut(&id) else { return };
        owed.of.remove(&subtask);
        if owed.of.is_empty() {
            live.outstanding.remove(&id);
            self.give_up_unknown(now, Some(node), out);
            if self.expected.is_empty() {
                self.give_up_unknown(now, None, out);
            }
        }
    }
}
