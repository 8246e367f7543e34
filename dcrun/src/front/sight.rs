//! What is seen of a job by who shows it: of one that this process drives, or of one that is followed from afar.

use dc_model::{Attempt, CpuSet, Rank, SubtaskId};
use dc_spool::progress::Slots;
use dcsched_core::cost::CostModel;
use dcsched_core::job::{Durable, Job, JobSpec};

/// An attempt that runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lane {
    /// Its subtask.
    pub subtask: SubtaskId,
    /// Its number.
    pub attempt: Attempt,
    /// Its rank.
    pub rank: Rank,
    /// Its node's number; 0 on one machine.
    pub node: u32,
}

/// A job, as far as it is seen.
pub trait Sight {
    /// What it was told at its start.
    fn spec(&self) -> &JobSpec;
    /// Its durable state.
    fn durable(&self) -> &Durable;
    /// The attempt that runs for a subtask, and its CPUs.
    fn running(&self, subtask: SubtaskId) -> Option<(Lane, &CpuSet)>;
    /// All that run, by subtask.
    fn all_running(&self) -> Vec<Lane>;
    /// What is known of the kernel's cost.
    fn cost(&self) -> &CostModel;
    /// Cells that a running attempt says it has done.
    fn cells_said(&self, lane: &Lane) -> Option<u64>;
    /// The name of a node.
    fn host(&self, node: u32) -> &str;
    /// Whether the nodes are worth naming: there may be several.
    fn names_nodes(&self) -> bool;
}

/// A job that this process drives on its own machine.
#[derive(Clone, Copy, Debug)]
pub struct Here<'a> {
    /// Its state.
    pub job: &'a Job,
    /// What its ranks say of themselves.
    pub slots: &'a Slots,
}

impl Sight for Here<'_> {
    fn spec(&self) -> &JobSpec {
        self.job.spec()
    }

    fn durable(&self) -> &Durable {
        self.job.durable()
    }

    fn running(&self, subtask: SubtaskId) -> Option<(Lane, &CpuSet)> {
        let running = self.job.running(subtask)?;
        let (attempt, rank) = (running.attempt, running.rank);
        Some((Lane { subtask, attempt, rank, node: 0 }, &running.placement.cpus))
    }

    fn all_running(&self) -> Vec<Lane> {
        let all = self.job.all_running().into_iter();
        all.map(|r| Lane { subtask: r.subtask, attempt: r.attempt, rank: r.rank, node: 0 }).collect()
    }

    fn cost(&self) -> &CostModel {
        self.job.cost()
    }

    fn cells_said(&self, lane: &Lane) -> Option<u64> {
        let said = self.slots.read(lane.rank)?;
        ((said.subtask, said.attempt) == (lane.subtask, lane.attempt)).then_some(said.cells)
    }

    fn host(&self, _: u32) -> &str {
        &self.job.spec().topology.host
    }

    fn names_nodes(&self) -> bool {
        false
    }
}
