//! The starter and its ranks, as far as the core can tell: what runs, what it leaves on disk, how it ends.

use super::faults::Faults;
use super::random::Random;
use dc_model::{Attempt, LaunchStage, Outcome, Restart, ResultMeta, SubtaskId, Tick};
use std::collections::BTreeMap;

/// A running rank and what will become of it.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its attempt.
    pub attempt: Attempt,
    /// The checkpoint it goes on from.
    pub from: Option<Restart>,
    /// How it will end, if nothing ends it before.
    pub outcome: Outcome,
    /// When, from its launch, in ns.
    pub lasts_ns: Tick,
    /// Checkpoints it will have left by then.
    pub checkpoints: Vec<Restart>,
}

/// What lives outside dcrun: ranks, and the files they leave.
#[derive(Default, Debug)]
pub struct World {
    /// Live ranks, by subtask.
    pub processes: BTreeMap<SubtaskId, Process>,
    /// Checkpoints on disk.
    checkpoints: BTreeMap<SubtaskId, Vec<Restart>>,
}

impl World {
    /// Decides the fate of an attempt, from all that is on disk of ended ones.
    pub fn launch(
        &mut self,
        random: &mut Random,
        faults: &Faults,
        subtask: SubtaskId,
        attempt: Attempt,
        before: Option<Restart>,
        cells: u64,
    ) -> Process {
        let on_disk = self.checkpoints.get(&subtask).map_or(&[][..], Vec::as_slice);
        let usable = on_disk.iter().filter(|at| at.attempt < attempt && before.is_none_or(|b| **at < b));
        let from = usable.max().copied();
        self.launch_from(random, faults, (subtask, attempt), from, cells)
    }

    /// The newest checkpoint that every one of these subtasks has left.
    #[must_use]
    pub fn common(
        &self,
        subtasks: &[SubtaskId],
        attempt: Attempt,
        before: Option<Restart>,
    ) -> Option<Restart> {
        let of = |id: &SubtaskId| self.checkpoints.get(id).map_or(&[][..], Vec::as_slice);
        let usable = |at: &&Restart| at.attempt < attempt && before.is_none_or(|b| **at < b);
        let by_all = |at: &&Restart| subtasks.iter().all(|id| of(id).contains(at));
        of(subtasks.first()?).iter().filter(usable).filter(by_all).max().copied()
    }

    /// Decides the fate of an attempt that goes on from this checkpoint.
    pub fn launch_from(
        &mut self,
        random: &mut Random,
        faults: &Faults,
        (subtask, attempt): (SubtaskId, Attempt),
        from: Option<Restart>,
        cells: u64,
    ) -> Process {
        let start = from.map_or(0, |at| at.step);
        let outcome = if random.chance(faults.rank_killed) {
            if random.chance(200) { Outcome::OutOfMemory } else { Outcome::Signalled(9) }
        } else if random.chance(faults.rank_fails) {
            Outcome::Exited(random.between(1, 255) as u8)
        } else if random.chance(faults.rank_fails / 8) {
            Outcome::NotLaunched { stage: LaunchStage::Clone, errno: 11 }
        } else {
            Outcome::Exited(0)
        };
        let steps = random.below(5);
        let checkpoints = match outcome {
            Outcome::NotLaunched { .. } => Vec::new(),
            _ => (1..=steps).map(|n| Restart { attempt, step: start + n }).collect(),
        };
        let whole_ns = cells.saturating_mul(1_000).max(1);
        let lasts_ns = if outcome.success() { whole_ns } else { random.between(1, whole_ns) };
        let process = Process { attempt, from, outcome, lasts_ns, checkpoints };
        self.processes.insert(subtask, process.clone());
        process
    }

    /// A rank ends as was decided: its checkpoints are on disk. None: it was gone before.
    pub fn end(&mut self, subtask: SubtaskId, attempt: Attempt) -> Option<Process> {
        if self.processes.get(&subtask)?.attempt != attempt {
            return None;
        }
        let process = self.processes.remove(&subtask)?;
        self.checkpoints.entry(subtask).or_default().extend(&process.checkpoints);
        Some(process)
    }

    /// A rank is killed at any moment of its life: some of its checkpoints are on disk.
    pub fn kill(&mut self, random: &mut Random, subtask: SubtaskId) -> Option<Process> {
        let process = self.processes.remove(&subtask)?;
        let left = random.below(process.checkpoints.len() as u64 + 1) as usize;
        self.checkpoints.entry(subtask).or_default().extend(&process.checkpoints[..left]);
        Some(process)
    }

    /// The newest checkpoint an attempt left.
    #[must_use]
    pub fn newest_of(&self, subtask: SubtaskId, attempt: Attempt) -> Option<Restart> {
        self.checkpoints.get(&subtask)?.iter().filter(|at| at.attempt == attempt).max().copied()
    }

    /// The result every attempt of a subtask that ends well leaves.
    #[must_use]
    pub fn result_of(subtask: SubtaskId, attempt: Attempt) -> ResultMeta {
        ResultMeta { len: u64::from(subtask.0), crc: attempt.0 }
    }
}
