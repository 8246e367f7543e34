//! What happens, as JSON: one object a line. The one list of events and fields; docs/json-events.md describes it.

use dc_model::{Block, CpuSet, Outcome, Restart};
use serde::Serialize;

/// The version of all objects.
pub const VERSION: u8 = 1;

/// One object without its version and time.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// The job as a whole, before it runs.
    Plan {
        /// The job's name.
        name: &'a str,
        /// The host.
        host: &'a str,
        /// Allowed cores.
        cores: u32,
        /// Lanes.
        lanes: u32,
        /// Subtasks that can run at once.
        slots: u32,
        /// Subtasks.
        subtasks_total: u32,
        /// Their cells.
        cells_total: u64,
        /// The dearest subtask over the mean of those that cost anything.
        balance: f64,
        /// Predicted time to the end, in the time one core takes for a cell.
        makespan: u64,
        /// The ideal time over the predicted one.
        efficiency: f64,
        /// A number of blocks that would end sooner.
        better_split: Option<u32>,
        /// What runs before predict, where there were any.
        predicted: Option<Predicted>,
    },
    /// The machine of a plan, and what its cores are to compute.
    Machine {
        /// The host.
        host: &'a str,
        /// The variable that describes it; none for the machine dcrun runs on.
        described_by: Option<&'a str>,
        /// Its packages.
        packages: Vec<MachinePackage>,
        /// NUMA nodes without a core that may be used.
        memory_only: Vec<MachineMemory>,
        /// CPUs that are offline, hidden or not allowed.
        left_out: Vec<u32>,
    },
    /// One subtask, before anything runs.
    Subtask {
        /// Its number.
        id: u32,
        /// Its name, or its number.
        name: String,
        /// Its cost.
        cells: u64,
        /// Columns x0 to x1, rows y0 to y1; none when it was not cut from a domain.
        block: Option<[u32; 4]>,
        /// The rank it should run in; none when it costs nothing.
        rank: Option<u32>,
        /// The CPUs it should run on; empty when it is not bound.
        cpus: Vec<u32>,
        /// Predicted time, in ns.
        predicted_ns: Option<u64>,
    },
    /// The job begins, or goes on.
    Job {
        /// Its directory.
        spool: &'a str,
        /// Its name for ever.
        uuid: &'a str,
        /// dcrun's process.
        pid: u32,
        /// Which run of the job this is: 1, 2 …
        epoch: u64,
        /// Subtasks that earlier runs completed.
        completed: u64,
        /// Its number in its cluster.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
    },
    /// An attempt runs.
    Started {
        /// Its subtask.
        subtask: u32,
        /// Its number.
        attempt: u32,
        /// Its rank.
        rank: u32,
        /// Its process.
        pid: u32,
        /// The CPUs it is bound to; empty when it is not.
        cpus: Vec<u32>,
        /// The checkpoint it goes on from.
        from: Option<Checkpoint>,
        /// Its node, in a cluster.
        #[serde(skip_serializing_if = "Option::is_none")]
        node: Option<&'a str>,
    },
    /// An attempt ended, in whatever way.
    Ended {
        /// Its subtask.
        subtask: u32,
        /// Its number.
        attempt: u32,
        /// Its rank.
        rank: u32,
        /// What a shell would show.
        status: u8,
        /// The signal that ended it.
        signal: Option<u8>,
        /// Whether dc had signalled it before.
        stopped: bool,
        /// How long it ran, in ns.
        ran_ns: u64,
        /// Its node, in a cluster.
        #[serde(skip_serializing_if = "Option::is_none")]
        node: Option<&'a str>,
    },
    /// An attempt failed by itself.
    Failed {
        /// Its subtask.
        subtask: u32,
        /// Its number.
        attempt: u32,
        /// Its rank.
        rank: u32,
        /// What a shell would show.
        status: u8,
        /// Whether the kernel killed it for want of memory.
        out_of_memory: bool,
        /// The newest checkpoint it left.
        checkpoint: Option<Checkpoint>,
        /// Whether the subtask is tried again.
        retry: bool,
        /// Its node, in a cluster.
        #[serde(skip_serializing_if = "Option::is_none")]
        node: Option<&'a str>,
    },
    /// A subtask will be started again.
    Restart {
        /// Which.
        subtask: u32,
        /// The attempt that ended.
        attempt: u32,
        /// The checkpoint it should go on from.
        from: Option<Checkpoint>,
    },
    /// How far the job is.
    Progress {
        /// Subtasks done.
        done: u64,
        /// Subtasks that run.
        running: u64,
        /// All subtasks.
        subtasks_total: u64,
        /// Cells done.
        cells_done: u64,
        /// All cells.
        cells_total: u64,
        /// Predicted time to the end, in ns.
        left_ns: Option<u64>,
        /// Attempts that were started again.
        restarts: u64,
    },
    /// Nothing new starts.
    Stopping {
        /// Why.
        reason: &'a str,
    },
    /// All ranks that run are sent a signal, and go on.
    Signal {
        /// Its number.
        signal: u8,
    },
    /// A starter runs.
    Starter {
        /// Its process.
        pid: u32,
    },
    /// The starter died, and its ranks with it.
    StarterLost {
        /// Its process.
        pid: i32,
    },
    /// The merged file is in place.
    Merged {
        /// It.
        file: &'a str,
    },
    /// What became of the job: before the end of a run in which anything ran, and by `--report`.
    Report {
        /// Where its last run was.
        host: &'a str,
        /// Its runs.
        runs: u64,
        /// Subtasks.
        subtasks_total: u32,
        /// Those done.
        done: u64,
        /// From the start of each run to the end of its last rank.
        wall_ns: u64,
        /// What was predicted for that before the first run.
        predicted_ns: Option<u64>,
        /// The dearest subtask over the mean, in cells.
        balance: f64,
        /// The longest subtask over the mean, in time.
        balance_time: f64,
        /// Core time used over core time that ranks could have used.
        efficiency: f64,
        /// Allowed cores.
        cores: u32,
        /// Those of them that ranks could hold at once.
        usable: u32,
        /// The time that ranks held cores, each core counted.
        core_ns: u64,
        /// The same in hours.
        core_hours: f64,
        /// What of it was for nothing.
        lost_ns: u64,
        /// Attempts that failed or were given up.
        attempts_lost: u64,
        /// Those of them of unknown length.
        unmeasured: u64,
        /// Attempts that were started again after a failure.
        restarts: u64,
        /// The subtask that took longest.
        slowest: Option<SlowestObject>,
    },
    /// The last object of a run.
    End {
        /// dcrun's exit status.
        status: u8,
        /// Subtasks done, in this run and before.
        done: u64,
        /// Subtasks that failed for good.
        failed: u64,
        /// Attempts that were started again.
        restarts: u64,
        /// Whether the job's directory is still there, to be resumed.
        kept: bool,
    },
}

/// A package of a machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct MachinePackage {
    /// Its number.
    pub package: u32,
    /// The cells of its cores.
    pub cells_total: u64,
    /// Its NUMA domains, as far as they lie in it.
    pub domains: Vec<MachineDomain>,
}

/// A NUMA domain of a package.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct MachineDomain {
    /// The OS's node number.
    pub numa: u32,
    /// Its memory; 0 where that is not known.
    pub memory_bytes: u64,
    /// The cells of its cores.
    pub cells_total: u64,
    /// Its cores that may be used.
    pub cores: Vec<MachineCore>,
}

/// A core.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct MachineCore {
    /// hwloc's logical number.
    pub core: u32,
    /// Its CPUs, by the OS's numbers.
    pub cpus: Vec<u32>,
    /// The number of its last-level cache.
    pub cache: u32,
    /// The rank of its first subtask; none where it is idle.
    pub rank: Option<u32>,
    /// Its subtasks, one after another or, with more ranks than cores, at a time.
    pub subtasks_total: usize,
    /// Their cells; those of a subtask with several cores are spread over them.
    pub cells_total: u64,
}

/// A NUMA node without cores.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct MachineMemory {
    /// The OS's node number.
    pub numa: u32,
    /// Its memory.
    pub memory_bytes: u64,
    /// What hwloc calls it.
    pub kind: Option<String>,
    /// Domains to whose cores it is local, by the OS's node numbers.
    pub near: Vec<u32>,
}

/// What runs before predict of a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Predicted {
    /// Time to the end, in ns.
    pub makespan_ns: u64,
    /// Time of all cores together, in ns.
    pub core_ns: u64,
    /// Whose times it rests on: `same`, `other_arguments`, `other_node`.
    pub source: &'static str,
    /// How many subtasks.
    pub observations: u64,
    /// When the last of them ran, in seconds since 1970.
    pub last_unix_s: u64,
}

/// The subtask that took longest.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SlowestObject {
    /// Its number.
    pub subtask: u32,
    /// Its name, or its number.
    pub name: Option<String>,
    /// How long it ran, in ns.
    pub ran_ns: u64,
    /// What the others say that its cells take, in ns.
    pub expected_ns: Option<u64>,
    /// What others on its core took over what was expected of them.
    pub core_ratio: Option<f64>,
    /// `cells`, `core`, `subtask`, `alone` or `unknown`.
    pub why: &'static str,
}

/// A checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Checkpoint {
    /// The attempt that wrote it.
    pub attempt: u32,
    /// The kernel's step.
    pub step: u64,
}

impl From<Restart> for Checkpoint {
    fn from(from: Restart) -> Self {
        Self { attempt: from.attempt.0, step: from.step }
    }
}

#[derive(Serialize)]
struct Object<'a> {
    v: u8,
    #[serde(flatten)]
    event: &'a Event<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    t_ns: Option<u64>,
}

/// One object as a line. `t_ns` is the time since the start of the run; plans have none.
#[must_use]
pub fn line(event: &Event<'_>, t_ns: Option<u64>) -> Vec<u8> {
    // Plain structures into memory: this cannot fail.
    let mut line = serde_json::to_vec(&Object { v: VERSION, event, t_ns }).unwrap_or_default();
    line.push(b'\n');
    line
}

/// A block as an array.
#[must_use]
pub fn block(block: Block) -> [u32; 4] {
    [block.x0, block.y0, block.x1, block.y1]
}

/// CPUs as an array.
#[must_use]
pub fn cpus(cpus: &CpuSet) -> Vec<u32> {
    cpus.iter().collect()
}

/// The signal that ended an attempt.
#[must_use]
pub fn signal(outcome: Outcome) -> Option<u8> {
    match outcome {
        Outcome::Signalled(signal) => Some(signal),
        _ => None,
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
