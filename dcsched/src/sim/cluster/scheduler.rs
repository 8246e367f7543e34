//! The scheduler: the real core, and a journal of which a crash leaves what was synced and perhaps some more.

use super::check::{Checker, Violation};
use super::faults::Plant;
use crate::sim::random::Random;
use dc_model::Tick;
use dc_model::cluster::{ClusterRecord, Wants};
use dcsched_core::cluster::{Action, Cluster, Config, Event};
use dcsched_core::job::{JobSpec, Need};

/// A scheduler that runs.
#[derive(Debug)]
pub struct Scheduler {
    /// The core.
    pub cluster: Cluster,
    /// Its run.
    pub epoch: u64,
    /// A sync is under way, up to this record.
    pub syncing: Option<u64>,
}

/// Its disk.
#[derive(Default, Debug)]
pub struct Disk {
    /// Records, the first with number 1.
    pub records: Vec<ClusterRecord>,
    /// How many of them are durable.
    pub durable: usize,
}

/// A job's spec, from what stands for its record here: ranks, then cells and cores of each subtask, as text.
pub fn spec_of(record: &[u8]) -> Option<JobSpec> {
    let text = std::str::from_utf8(record).ok()?;
    let mut numbers = text.split(' ').map_while(|word| word.parse::<u64>().ok());
    let (ranks, restarts) = (numbers.next()?, numbers.next()?);
    let mut needs = Vec::new();
    while let (Some(cells), Some(cores)) = (numbers.next(), numbers.next()) {
        needs.push(Need { cells, cores: cores as u32, mem_bytes: 0 });
    }
    let mut spec = JobSpec::plain(needs, ranks as u32);
    spec.topology.cores.clear();
    spec.topology.numa.clear();
    spec.restarts = restarts as u32;
    spec.releases = true;
    Some(spec)
}

fn spec(_: &Wants, record: &[u8]) -> Option<JobSpec> {
    spec_of(record)
}

impl Scheduler {
    /// Takes up what the disk holds.
    pub fn start(
        disk: &Disk,
        config: Config,
        epoch: u64,
        now: Tick,
        out: &mut Vec<Action>,
    ) -> Result<Self, Violation> {
        let mut cluster = replayed(disk, config)?;
        cluster.set_last_seq(disk.records.len() as u64);
        cluster.step(now, Event::Begin, out);
        Ok(Self { cluster, epoch, syncing: None })
    }
}

fn replayed(disk: &Disk, config: Config) -> Result<Cluster, Violation> {
    let mut cluster = Cluster::new(config).with_specs(spec);
    for record in &disk.records {
        cluster.replay(record, spec).map_err(|error| Violation::NoReplay(error.to_string()))?;
    }
    Ok(cluster)
}

impl Disk {
    /// A crash: what was not synced is lost, but for as much of it as reached the disk by itself.
    pub fn crash(&mut self, random: &mut Random, plant: Plant, checker: &mut Checker) {
        let unsynced = (self.records.len() - self.durable) as u64;
        let mut left = self.durable + random.below(unsynced + 1) as usize;
        if plant == Plant::LostRecord && random.chance(300) {
            left = left.min(self.durable.saturating_sub(1));
        }
        self.records.truncate(left);
        self.make_durable(left, checker);
        self.durable = left;
    }

    /// All up to this one is on disk.
    pub fn make_durable(&mut self, upto: usize, checker: &mut Checker) {
        while self.durable < upto {
            checker.on_durable(&self.records[self.durable]);
            self.durable += 1;
        }
    }

    /// Whether a replay of it all ends in the live state.
    pub fn check_replay(&self, live: &Cluster, config: Config) -> Result<(), Violation> {
        let replayed = replayed(self, config)?;
        if replayed.projection() == live.projection() { Ok(()) } else { Err(Violation::ReplayDiffers) }
    }
}
