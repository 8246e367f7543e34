//! Connections between nodes and the scheduler, as TCP gives them: in order or not at all; a cut one stalls before it breaks.

use super::super::random::Random;
use dc_model::Tick;
use dc_model::cluster::node::Held;
use dc_model::wire::FromStarter;
use dc_model::{Attempt, CpuSet, JobUuid, Rank, SubtaskId};

/// The scheduler to a node.
#[derive(Clone, Debug)]
pub enum Down {
    /// The answer to a registration.
    Welcome,
    /// The lease counts from this heartbeat.
    Lease(u64),
    /// Have a starter.
    Open(JobUuid),
    /// Launch.
    Launch {
        /// Of which job.
        job: JobUuid,
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
        /// Its lane.
        rank: Rank,
        /// Its CPUs.
        cpus: CpuSet,
        /// Its cells.
        cells: u64,
        /// It takes over from this one.
        after: Option<(SubtaskId, Attempt)>,
    },
    /// Kill, or stop.
    Stop(JobUuid, SubtaskId, Attempt),
    /// Reports may be forgotten.
    Acknowledge(JobUuid, u64, u64),
    /// End the starter.
    Close(JobUuid),
}

/// A node to the scheduler.
#[derive(Clone, Debug)]
pub enum Up {
    /// It is there.
    Register,
    /// What it has of a job.
    Held(JobUuid, u64, Vec<Held>),
    /// That was all.
    Settled,
    /// It lives.
    Heartbeat(u64),
    /// A starter's report.
    Report(JobUuid, u64, u64, Box<FromStarter>),
    /// A starter is gone.
    Closed(JobUuid, bool),
}

/// One connection.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its number: what is under way on an older one is lost.
    pub number: u64,
    /// Nothing gets through to the scheduler, or to the node, any more.
    pub stalled: (bool, bool),
    /// When the last message each way arrives.
    arrives: (Tick, Tick),
}

/// Most messages take as long as this, in ns; some much longer.
const DELAY_NS: u64 = 200_000;

impl Link {
    /// A new one.
    pub fn new(number: u64) -> Self {
        Self { number, stalled: (false, false), arrives: (0, 0) }
    }

    /// How long a message takes from now; nothing where it never comes.
    pub fn delay(&mut self, random: &mut Random, now: Tick, is_up: bool) -> Option<Tick> {
        let (is_stalled, last) = match is_up {
            true => (self.stalled.0, &mut self.arrives.0),
            false => (self.stalled.1, &mut self.arrives.1),
        };
        if is_stalled {
            return None;
        }
        let slow = if random.chance(10) { 5_000 } else { 1 };
        *last = (now + random.between(1, DELAY_NS * slow)).max(*last + 1);
        Some(*last - now)
    }
}
