//! A node: its daemon, its starters, their ranks. What a starter knows outlives the daemon; nothing outlives the boot.

use super::link::Link;
use dc_model::cluster::node::Held;
use dc_model::wire::FromStarter;
use dc_model::{Attempt, CpuSet, JobUuid, Rank, SubtaskId, Tick, Topology};
use std::collections::{BTreeMap, VecDeque};

/// A rank's process, or one that waits for another's end.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its attempt.
    pub attempt: Attempt,
    /// Its lane.
    pub rank: Rank,
    /// Its CPUs.
    pub cpus: CpuSet,
    /// Its cells.
    pub cells: u64,
    /// It waits for the end of this one.
    pub behind: Option<(SubtaskId, Attempt)>,
    /// It is to die; its end is told as dc's doing.
    pub is_stopped: bool,
    /// Its number among all of the world's.
    pub number: u64,
}

/// A job's starter.
#[derive(Clone, Debug, Default)]
pub struct Starter {
    /// Among all the job had here.
    pub number: u64,
    /// What runs or waits.
    pub processes: BTreeMap<SubtaskId, Process>,
    /// The newest attempt it was told of.
    pub newest: BTreeMap<SubtaskId, Attempt>,
    /// Not acknowledged.
    pub reports: VecDeque<(u64, FromStarter)>,
    /// Reports so far.
    pub told: u64,
    /// By the node's clock.
    pub lease_until: Tick,
}

impl Starter {
    /// What it says of itself.
    pub fn held(&self) -> Vec<Held> {
        let of = |(subtask, process): (&SubtaskId, &Process)| Held {
            subtask: *subtask,
            attempt: process.attempt,
            rank: process.rank,
            cpus: process.cpus.clone(),
            ended: false,
            from: None,
        };
        let mut held: Vec<Held> = self.processes.iter().map(of).collect();
        for (_, report) in &self.reports {
            if let FromStarter::Ended { subtask, attempt, .. } = report {
                let (subtask, attempt) = (*subtask, *attempt);
                held.push(Held {
                    subtask,
                    attempt,
                    rank: Rank(0),
                    cpus: CpuSet::new(),
                    ended: true,
                    from: None,
                });
            }
        }
        held
    }
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its cores.
    pub topology: Topology,
    /// How much its clock is too fast, in millionths; below 0: too slow.
    pub drift_ppm: i64,
    /// How long its attempts take, in thousandths of a usual node's.
    pub slowness_permille: u64,
    /// Its boot.
    pub boot: u8,
    /// Starts of its daemon.
    pub start: u64,
    /// Its daemon runs.
    pub has_dcd: bool,
    /// It has power.
    pub has_power: bool,
    /// Nothing on it goes on.
    pub is_paused: bool,
    /// What came while it was paused, to be looked at then.
    pub missed: Vec<super::run::What>,
    /// Its starters.
    pub starters: BTreeMap<JobUuid, Starter>,
    /// Starters it has had.
    pub starters_ever: u64,
    /// Its connection, as it sees it.
    pub link: Option<Link>,
    /// It was welcomed on that.
    pub is_welcome: bool,
    /// Heartbeats sent, and when by its clock.
    pub heartbeats: u64,
    /// See there.
    pub sent: BTreeMap<u64, Tick>,
    /// Until when it may do what it is told, by its clock.
    pub lease_until: Tick,
    /// When it registered, by its clock.
    pub registered: Tick,
    /// When the last answer came, in true time.
    pub heard: Tick,
    /// It cannot be reached before, in true time: to the scheduler, and from it.
    pub cut_until: (Tick, Tick),
    /// Connections so far.
    pub links: u64,
}

impl Node {
    /// Its clock.
    pub fn clock(&self, now: Tick) -> Tick {
        let more = i128::from(now) * i128::from(self.drift_ppm) / 1_000_000;
        u64::try_from(i128::from(now) + more).unwrap_or(0)
    }

    /// How long it is in true time until its clock shows this.
    pub fn until(&self, now: Tick, clock: Tick) -> Tick {
        let left = i128::from(clock) - i128::from(self.clock(now));
        let scaled = left.max(0) * 1_000_000 / i128::from(1_000_000 + self.drift_ppm);
        u64::try_from(scaled).unwrap_or(u64::MAX) + 1
    }
}
