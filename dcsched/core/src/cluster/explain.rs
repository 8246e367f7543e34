//! Why a job waits, and why a node is as it is, in words.

use super::{Cluster, JobId, NodeId};
use crate::job::JobPhase;
use dc_model::cluster::NodeState;

impl Cluster {
    /// Why a job does not run, or not with more cores; empty where there is nothing to say.
    #[must_use]
    pub fn reason(&self, id: JobId) -> String {
        let (Some(live), Some(kept)) = (self.jobs.get(&id), self.durable.jobs.get(&id)) else {
            return String::new();
        };
        if live.ended.is_some() || !live.parts.is_empty() {
            return String::new();
        }
        if live.merge_asked {
            return "waits for its command to merge the results: dcrun --attach".to_owned();
        }
        if self.uncertain.contains(&id) {
            let names: Vec<_> = self
                .expected
                .iter()
                .filter_map(|id| self.durable.nodes.get(id))
                .map(|seen| &*seen.name)
                .collect();
            return format!("waits for nodes to say what they run of it: {}", names.join(" "));
        }
        if self.asleep.contains(&id) && self.durable.nodes.keys().any(|node| self.is_usable(*node)) {
            let first = self.hungry.first().copied().unwrap_or(id);
            return format!("job {first} and others are before it");
        }
        let appetite = live.appetite();
        if appetite.cores == 0 && live.job.is_some() {
            return String::new();
        }
        let usable: Vec<NodeId> =
            self.durable.nodes.keys().copied().filter(|node| self.is_usable(*node)).collect();
        if usable.is_empty() {
            return "no node is up".to_owned();
        }
        let wants = &kept.wants.nodes;
        let is_asked_for = |id: &&NodeId| {
            let name = &self.durable.nodes[*id].name;
            (wants.only.is_empty() || wants.only.contains(name)) && !wants.except.contains(name)
        };
        let mine: Vec<_> = usable.iter().filter(is_asked_for).collect();
        if mine.is_empty() {
            return "none of the nodes it wants is up".to_owned();
        }
        let has_room =
            |id: &&&NodeId| self.nodes.get(**id).is_some_and(|node| node.cores.free() >= appetite.piece);
        let free = mine.iter().filter(has_room).count();
        if live.job.as_ref().is_some_and(|job| job.spec().gang) {
            return format!("waits for {} cores on one node", appetite.cores);
        }
        if wants.nodes_min as usize > free {
            return format!("waits for {} nodes with room, {free} have some", wants.nodes_min);
        }
        if free == 0 {
            return format!("waits for {} free cores on a node", appetite.piece);
        }
        match self.hungry.range(..id).next() {
            Some(first) => format!("job {first} is before it"),
            None => "waits for cores".to_owned(),
        }
    }

    /// A job, in some lines.
    #[must_use]
    pub fn explain_job(&self, id: JobId) -> String {
        let Some(live) = self.jobs.get(&id) else { return format!("no job has the number {id}\n") };
        let mut text = match live.job.as_ref().map(|job| job.durable().phase) {
            None => format!("job {id} has not begun\n"),
            Some(JobPhase::Ended(status)) => format!("job {id} has ended with status {status}\n"),
            _ => format!("job {id} has {} cores of {} nodes\n", live.cores(), live.nodes().len()),
        };
        for (number, part) in &live.parts {
            let name = self.durable.nodes.get(&part.node).map_or("?", |seen| &seen.name);
            text += &format!("part {number}: {} cores of {name}\n", part.has().len());
        }
        for node in &live.refused_by {
            let name = self.durable.nodes.get(node).map_or("?", |seen| &seen.name);
            text += &format!("{name} could not run it, and is not asked again\n");
        }
        let appetite = live.appetite();
        if live.ended.is_none() && appetite.cores > 0 {
            text += &format!("it could use {} cores more, {} at least\n", appetite.cores, appetite.piece);
        }
        let reason = self.reason(id);
        if !reason.is_empty() {
            text += &format!("{reason}\n");
        }
        text
    }

    /// A node, in some lines.
    #[must_use]
    pub fn explain_node(&self, id: NodeId) -> String {
        let Some(node) = self.node(id) else { return format!("no node has the number {id}\n") };
        let (all, used) = node.cores();
        let mut text = format!("{} is {}: {used} of {all} cores are given\n", node.name(), node.state.word());
        match node.state {
            NodeState::Up => {}
            NodeState::Draining | NodeState::Drained => {
                text += &format!("nothing new starts there: {}\n", node.drained().unwrap_or_default());
            }
            NodeState::Suspect => {
                text += "it is not connected; what runs there goes on until its lease ends\n"
            }
            NodeState::Lost => text += "its lease has ended; what ran there is done again elsewhere\n",
        }
        for job in node.jobs() {
            if let Some(live) = self.jobs.get(&job) {
                text += &format!("job {job} has {} cores there\n", live.cores_on(id));
            }
        }
        text
    }
}
