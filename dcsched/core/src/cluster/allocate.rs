//! Who gets which cores. Jobs are served in the order in which they were submitted: the first takes what it can use, what it
//! leaves is the next one's; so the tail of one is filled by the head of the next. One that needs several nodes, a whole
//! node, or a gang's cores all at once is overtaken by none once it is first.

use super::job::Part;
use super::room::Offer;
use super::{Action, Cluster, JobId, NodeId};
use crate::job::{Appetite, Event as JobEvent};
use crate::seats::PartSpec;
use dc_model::cluster::NodeWants;
use dc_model::{Distribution, Tick};

/// Jobs that find nothing, because of the nodes they want, before the others wait for the next time.
const PASSED_OVER_MAX: u32 = 256;

/// Nodes that are looked at for all of them together, before the others wait for the next time.
const LOOKS_MAX: u32 = 50_000;

/// What was made of a hungry job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Served {
    /// It has got all it can use, or some of it.
    Some,
    /// Nothing that is free may be its.
    Nothing,
    /// It needs more at once than is free; nobody overtakes it.
    Waits,
}

impl Cluster {
    /// Gives free cores to who can use them.
    pub(super) fn want_cores(&mut self, now: Tick, out: &mut Vec<Action>) {
        if !self.is_dirty || !self.has_space {
            return;
        }
        self.is_dirty = false;
        self.begin_ahead(now, out);
        let (mut passed_over, mut looks, mut from) = (0, LOOKS_MAX, 0);
        while let Some(id) = self.hungry.range(from..).next().copied() {
            from = id + 1;
            if self.rooms.is_empty() || passed_over > PASSED_OVER_MAX || looks == 0 {
                return;
            }
            match self.serve(now, id, &mut looks, out) {
                Served::Some => {}
                Served::Nothing => passed_over += 1,
                Served::Waits => return,
            }
        }
        // What was released meanwhile was released by jobs that have all they can use.
    }

    pub(super) fn may_use(&self, id: JobId, wants: &NodeWants, node: NodeId) -> bool {
        let Some(seen) = self.durable.nodes.get(&node) else { return false };
        let is_asked_for = wants.only.is_empty() || wants.only.contains(&seen.name);
        let is_refused = self.jobs.get(&id).is_some_and(|live| live.refused_by.contains(&node));
        let is_shared = !wants.exclusive
            || self.nodes.get(&node).is_some_and(|node| node.jobs.iter().all(|other| *other == id));
        // Who has a node for itself is alone there.
        let alone =
            self.nodes.get(&node).filter(|node| node.jobs.len() == 1).and_then(|node| node.jobs.first());
        let is_kept = alone.is_some_and(|other| *other != id && self.is_exclusive(*other));
        is_asked_for && !wants.except.contains(&seen.name) && !is_refused && is_shared && !is_kept
    }

    fn is_exclusive(&self, id: JobId) -> bool {
        self.durable.jobs.get(&id).is_some_and(|kept| kept.wants.nodes.exclusive)
    }

    fn serve(&mut self, now: Tick, id: JobId, looks: &mut u32, out: &mut Vec<Action>) -> Served {
        self.wake(now, id, out);
        let Some(kept) = self.durable.jobs.get(&id) else { return Served::Nothing };
        let wants = kept.wants.nodes.clone();
        let Some(live) = self.jobs.get(&id) else { return Served::Nothing };
        let Some(job) = &live.job else { return Served::Nothing };
        let appetite = job.appetite();
        if appetite.cores == 0 {
            return Served::Some;
        }
        let (spec, is_new) = (job.spec(), live.parts.is_empty());
        let (is_gang, distribution) = (spec.gang, spec.distribution);
        let spreads = wants.nodes_min > 1 || distribution == Distribution::Cyclic;
        let offer = match (is_gang, spreads || wants.nodes_max > 0) {
            // All of it on one node, the one that it leaves the least of.
            (true, _) => Offer::Tightest,
            (false, true) => Offer::All,
            (false, false) => Offer::Enough,
        };
        let mut nodes = self.offered(id, &wants, appetite, offer, looks);
        if is_gang && nodes.is_empty() {
            return Served::Waits;
        }
        if wants.nodes_max > 0 {
            // No more nodes than it wants; those it has first.
            let has = live.nodes();
            nodes.sort_by_key(|node| !has.contains(node));
            let more = (wants.nodes_max as usize).saturating_sub(has.len());
            let known = nodes.iter().filter(|node| has.contains(node)).count();
            nodes.truncate(known + more);
        }
        if is_new && (nodes.len() as u32) < wants.nodes_min {
            return Served::Waits;
        }
        if nodes.is_empty() {
            return Served::Nothing;
        }
        let mut left = appetite.cores;
        for (at, node) in nodes.iter().enumerate() {
            if left == 0 {
                break;
            }
            let piece = u64::from(appetite.piece.max(1));
            let share = match spreads {
                true => left.div_ceil((nodes.len() - at) as u64).next_multiple_of(piece),
                false => left,
            };
            let most = u32::try_from(share.min(left)).unwrap_or(u32::MAX - appetite.piece);
            let given = self.give(now, id, *node, most, &wants, appetite, out);
            left = left.saturating_sub(u64::from(given));
        }
        Served::Some
    }

    /// How many cores of a node a job could have now.
    pub(super) fn room(&self, id: JobId, wants: &NodeWants, node: NodeId, appetite: Appetite) -> u32 {
        let (Some(live), Some(node_now)) = (self.jobs.get(&id), self.nodes.get(&node)) else { return 0 };
        let piece = appetite.piece.max(1);
        let mut slots = node_now.cores.free() / piece;
        if wants.ranks_per_node > 0 {
            slots = slots.min(wants.ranks_per_node.saturating_sub(live.cores_on(node) / piece));
        }
        if let Some(fitting) = node_now.cores.memory_free_bytes().checked_div(live.mem_bytes_max) {
            slots = slots.min(u32::try_from(fitting).unwrap_or(u32::MAX));
        }
        slots.saturating_mul(piece)
    }

    /// Gives a job cores of a node, at most so many; how many it got.
    #[expect(clippy::too_many_arguments, reason = "all of it is one decision")]
    fn give(
        &mut self,
        now: Tick,
        id: JobId,
        node: NodeId,
        cores_max: u32,
        wants: &NodeWants,
        appetite: Appetite,
        out: &mut Vec<Action>,
    ) -> u32 {
        let room =
            self.room(id, wants, node, appetite).min(cores_max.next_multiple_of(appetite.piece.max(1)));
        let Some(node_now) = self.nodes.get(&node) else { return 0 };
        let count = if wants.exclusive { node_now.cores.free() } else { room };
        let cores = node_now.cores.pick(count);
        if cores.is_empty() {
            return 0;
        }
        let slots = u64::from(room / appetite.piece.max(1));
        let mem_bytes_max = self.jobs.get(&id).map_or(0, |live| live.mem_bytes_max);
        let memory_bytes = if wants.exclusive && mem_bytes_max > 0 {
            node_now.cores.memory_free_bytes()
        } else {
            slots.saturating_mul(mem_bytes_max).min(node_now.cores.memory_free_bytes())
        };
        self.join(now, id, node, &cores, memory_bytes, |_| Vec::new(), out);
        if wants.exclusive { room.max(1) } else { cores.len() as u32 }
    }

    /// These cores of a node are a job's now. `more`: what else the job is to know of the part before it decides.
    #[expect(clippy::too_many_arguments, reason = "all of it is one decision")]
    pub(super) fn join(
        &mut self,
        now: Tick,
        id: JobId,
        node_id: NodeId,
        cores: &[u32],
        memory_bytes: u64,
        more: impl FnOnce(u32) -> Vec<JobEvent>,
        out: &mut Vec<Action>,
    ) {
        let (Some(node), Some(live)) = (self.nodes.get_mut(&node_id), self.jobs.get_mut(&id)) else { return };
        let Some(topology) = node.cores.part(cores) else { return };
        let ranks_per_node = self.durable.jobs.get(&id).map_or(0, |kept| kept.wants.nodes.ranks_per_node);
        node.cores.take(cores, memory_bytes);
        node.jobs.insert(id);
        let number = live.next_part;
        live.next_part += 1;
        let (left, of_node) = (cores.len() as u32, cores.iter().copied().map(Some).collect());
        let part = Part { node: node_id, cores: of_node, left, memory_bytes };
        live.parts.insert(number, part);
        let spec = PartSpec {
            part: number,
            node: node_id,
            topology,
            memory_max_bytes: (memory_bytes > 0).then_some(memory_bytes),
            speed_permille: node.speed(),
            ranks_max: (ranks_per_node > 0).then_some(ranks_per_node),
        };
        live.began.get_or_insert(now);
        let mut events = vec![JobEvent::PartJoined(Box::new(spec))];
        if live.cores() > live.cores_told {
            live.cores_told = live.cores();
            let nodes = live.nodes();
            let host = match self.durable.nodes.get(&node_id) {
                Some(seen) if nodes.len() == 1 => seen.name.clone(),
                _ => format!("{} nodes", nodes.len()),
            };
            let (cores, usable) = (live.cores_told, live.cores_told);
            events.push(JobEvent::Node { host, cores, usable, predicted_ns: None });
        }
        self.note_room(node_id);
        events.extend(more(number));
        self.step_job_all(now, id, events, out);
    }
}
