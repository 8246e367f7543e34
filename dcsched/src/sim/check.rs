//! The checkers. They see what the world sees, never what the core thinks of it.

use super::tries::Tries;
use dc_model::{Attempt, Bind, CpuSet, Rank, Record, Restart, SubtaskId, Topology};
use dcsched_core::job::{JobSpec, Need};
use dcsched_core::place::Placement;
use std::collections::{BTreeMap, BTreeSet};

/// A promise that was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Violation {
    /// A rank was started on cores that another one has.
    Overbooked(SubtaskId, Vec<u32>),
    /// Ranks that have all their cores in one domain were given more memory than it has; or all ranks more than the node.
    OverCommitted(SubtaskId),
    /// A rank runs on other CPUs than its lane's.
    NotItsCpus(SubtaskId, CpuSet),
    /// Two attempts of one subtask ran at once.
    TwoAttempts(SubtaskId),
    /// An attempt's number was used twice.
    NumberReused(SubtaskId, Attempt),
    /// A rank was launched whose grant was not on disk.
    LaunchedBeforeDurable(SubtaskId, Attempt),
    /// A subtask ran again after its commit was on disk.
    RanAfterCommit(SubtaskId),
    /// A subtask was committed twice.
    CommittedTwice(SubtaskId),
    /// What was committed is not what an attempt produced.
    WrongResult(SubtaskId, Attempt),
    /// The job ended well without all subtasks committed.
    Lost(SubtaskId),
    /// Replaying the journal gives another state than the live one.
    ReplayDiffers,
    /// The journal does not replay.
    NoReplay(String),
    /// The job neither ended nor had anything left to wait for.
    Stuck,
    /// Ranks of one gang went on from different sets of checkpoints.
    MixedSet(SubtaskId, Attempt),
    /// A part of a gang was launched, or beside another attempt of it.
    PartOfGang(Attempt),
    /// A subtask was tried again after a failure that is not to be tried again, or once too often.
    TriedAgain(SubtaskId, Attempt),
    /// A restart went on from a checkpoint from which two in a row had failed, or a newer one.
    SuspectAgain(SubtaskId, Attempt),
    /// A merge was asked for before every subtask was committed, or beside another.
    EarlyMerge,
    /// A merge counts that no run has seen end well.
    NotMerged,
    /// A subtask without cells became a process.
    RanWithoutCells(SubtaskId),
}

/// An attempt.
pub type Key = (SubtaskId, Attempt);

/// What a rank was given, as a node has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Given {
    /// Cores, or hardware threads.
    pub units: Vec<u32>,
    /// What it is bound to.
    pub cpus: CpuSet,
    /// Its lane.
    pub rank: Rank,
    /// The domain that holds all it is bound to, if one does.
    pub domain: Option<u32>,
}

impl Given {
    /// By the numbers of its CPUs alone.
    #[must_use]
    pub fn of(placement: &Placement, rank: Rank, topology: &Topology) -> Self {
        let cpus = placement.cpus.clone();
        let on = topology.cores.iter().filter(|core| core.cpus.intersects(&cpus));
        let mut domains: Vec<u32> = on.map(|core| core.numa).collect();
        domains.dedup();
        let domain = match domains.as_slice() {
            [one] => Some(*one),
            _ => None,
        };
        Self { units: placement.cores.clone(), cpus, rank, domain }
    }
}

/// What was seen so far, over all runs of one job.
#[derive(Default, Debug)]
pub struct Checker {
    alive: BTreeMap<Key, (Given, Need)>,
    launched: BTreeSet<Key>,
    produced: BTreeSet<Key>,
    durable_grants: BTreeSet<Key>,
    committed: BTreeMap<SubtaskId, Attempt>,
    /// How many subtasks the gang has, where there is one.
    pub gang: Option<usize>,
    /// Those of it that are done on disk: all of them, or it does not count.
    done_of_gang: BTreeMap<SubtaskId, Attempt>,
    /// What each of its attempts went on from.
    gang_from: BTreeMap<Attempt, Option<Restart>>,
    /// What may be tried again, and from where.
    tries: Tries,
    merge: Merge,
    /// The first promise broken.
    pub violation: Option<Violation>,
}

/// The merge of the run that lives.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Merge {
    #[default]
    None,
    Asked,
    /// It has ended well, and that run knows.
    Well,
}

impl Checker {
    fn broken(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    /// A run of dcrun begins: failures are forgiven, and a merge begins anew.
    pub fn on_run(&mut self) {
        self.tries.on_run();
        self.merge = Merge::None;
    }

    /// The core has decided something.
    pub fn on_decision(&mut self, record: &Record, spec: &JobSpec) {
        self.tries.on_decision(record, spec);
        if *record == Record::Merged && self.merge != Merge::Well {
            self.broken(Violation::NotMerged);
        }
    }

    /// A merge is asked for.
    pub fn on_merge(&mut self, mut needed: impl Iterator<Item = SubtaskId>) {
        if self.merge != Merge::None || !needed.all(|subtask| self.committed.contains_key(&subtask)) {
            self.broken(Violation::EarlyMerge);
        }
        self.merge = Merge::Asked;
    }

    /// It has ended.
    pub fn on_merge_ended(&mut self, well: bool) {
        self.merge = if well { Merge::Well } else { Merge::Asked };
    }

    /// An attempt goes on from here.
    pub fn on_from(&mut self, subtask: SubtaskId, attempt: Attempt, from: Option<Restart>) {
        if self.tries.is_suspect(subtask, from, self.gang.is_some()) {
            self.broken(Violation::SuspectAgain(subtask, attempt));
        }
    }

    /// Records that have just become durable.
    pub fn on_durable(&mut self, records: &[Record]) {
        for record in records {
            self.tries.on_durable(record, self.gang.is_some());
            match record {
                Record::Granted { subtask, attempt } => {
                    self.durable_grants.insert((*subtask, *attempt));
                }
                Record::Done { subtask, attempt, .. } => match self.gang {
                    None => self.on_committed(*subtask, *attempt),
                    Some(count) => self.on_done_of_gang(*subtask, *attempt, count),
                },
                Record::Started { subtask, attempt, from }
                    if self.gang.is_some() && *self.gang_from.entry(*attempt).or_insert(*from) != *from =>
                {
                    self.broken(Violation::MixedSet(*subtask, *attempt));
                }
                _ => {}
            }
        }
    }

    fn on_done_of_gang(&mut self, subtask: SubtaskId, attempt: Attempt, count: usize) {
        self.done_of_gang.retain(|_, other| *other == attempt);
        self.done_of_gang.insert(subtask, attempt);
        if self.done_of_gang.len() == count {
            for (subtask, attempt) in std::mem::take(&mut self.done_of_gang) {
                self.on_committed(subtask, attempt);
            }
        }
    }

    /// A gang is about to be launched.
    pub fn on_gang(&mut self, attempt: Attempt, subtasks: usize) {
        if self.gang != Some(subtasks) || !self.alive.is_empty() {
            self.broken(Violation::PartOfGang(attempt));
        }
    }

    fn on_committed(&mut self, subtask: SubtaskId, attempt: Attempt) {
        if self.committed.insert(subtask, attempt).is_some() {
            self.broken(Violation::CommittedTwice(subtask));
        }
        if !self.produced.contains(&(subtask, attempt)) {
            self.broken(Violation::WrongResult(subtask, attempt));
        }
    }

    /// A rank was started.
    pub fn on_launch(
        &mut self,
        subtask: SubtaskId,
        attempt: Attempt,
        given: Given,
        need: Need,
        spec: &JobSpec,
    ) {
        if need.cells == 0 {
            self.broken(Violation::RanWithoutCells(subtask));
        }
        if self.alive.keys().any(|(other, _)| *other == subtask) {
            self.broken(Violation::TwoAttempts(subtask));
        }
        if self.tries.is_spent(subtask, spec.gang) {
            self.broken(Violation::TriedAgain(subtask, attempt));
        }
        let on = |unit: &u32| self.alive.values().filter(|(taken, _)| taken.units.contains(unit)).count();
        if given.units.iter().any(|unit| on(unit) >= spec.ranks_per_core as usize) {
            self.broken(Violation::Overbooked(subtask, given.units.clone()));
        }
        if let Bind::Fixed(entries) = &spec.bind
            && entries[given.rank.0 as usize % entries.len()] != given.cpus
        {
            self.broken(Violation::NotItsCpus(subtask, given.cpus.clone()));
        }
        if !self.launched.insert((subtask, attempt)) {
            self.broken(Violation::NumberReused(subtask, attempt));
        }
        if !self.durable_grants.contains(&(subtask, attempt)) {
            self.broken(Violation::LaunchedBeforeDurable(subtask, attempt));
        }
        if self.committed.contains_key(&subtask) {
            self.broken(Violation::RanAfterCommit(subtask));
        }
        self.alive.insert((subtask, attempt), (given, need));
        self.check_memory(subtask, spec);
    }

    /// What a single domain can hold comes from that domain where all the cores are in it.
    fn check_memory(&mut self, subtask: SubtaskId, spec: &JobSpec) {
        let sum = self.alive.values().map(|(_, need)| need.mem_bytes).sum::<u64>();
        let node = spec.topology.numa.iter().map(|numa| numa.memory_bytes).sum::<u64>();
        let mut is_broken = sum > node.min(spec.memory_max_bytes.unwrap_or(u64::MAX));
        for (index, numa) in (0..).zip(&spec.topology.numa) {
            let inside = |(given, need): &&(Given, Need)| {
                given.domain == Some(index) && need.mem_bytes <= numa.memory_bytes
            };
            let used = self.alive.values().filter(inside).map(|(_, need)| need.mem_bytes).sum::<u64>();
            is_broken |= used > numa.memory_bytes;
        }
        if is_broken {
            self.broken(Violation::OverCommitted(subtask));
        }
    }

    /// A rank is gone; `produced`: it had ended well and left its result.
    pub fn on_gone(&mut self, key: Key, produced: bool) {
        self.alive.remove(&key);
        if produced {
            self.produced.insert(key);
        }
    }

    /// The job ended with status 0.
    pub fn on_success(&mut self, needed: impl Iterator<Item = SubtaskId>) {
        for subtask in needed {
            if !self.committed.contains_key(&subtask) {
                self.broken(Violation::Lost(subtask));
            }
        }
    }

    /// The two projections of one state, as the live core and its journal's replay have it.
    pub fn on_replayed(&mut self, live: &str, replayed: Result<String, String>) {
        match replayed {
            Ok(text) if text == live => {}
            Ok(_) => self.broken(Violation::ReplayDiffers),
            Err(why) => self.broken(Violation::NoReplay(why)),
        }
    }

    /// Nothing is left to happen and the job has not ended.
    pub fn on_stuck(&mut self) {
        self.broken(Violation::Stuck);
    }
}
