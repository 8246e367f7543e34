//! A follower's copy of a job: the durable state, changed by the scheduler's records alone, and what of it runs where.

use crate::front::{Lane, Sight};
use dc_model::cluster::NodeRow;
use dc_model::codec::Reader;
use dc_model::{Attempt, CpuSet, Record, SubtaskId};
use dcsched_core::cost::CostModel;
use dcsched_core::job::{Durable, JobSpec};
use std::collections::BTreeMap;

/// An attempt that runs.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Runs {
    lane: Lane,
    cpus: CpuSet,
}

/// The copy.
#[derive(Clone, Debug)]
pub struct Replica {
    spec: JobSpec,
    durable: Durable,
    running: BTreeMap<SubtaskId, Runs>,
    /// How long the attempt ran that was measured last, and has not ended by the records yet.
    measured: BTreeMap<SubtaskId, (Attempt, u64)>,
    /// The node that each committed result is on, where that was seen.
    results_on: BTreeMap<SubtaskId, u32>,
    nodes: BTreeMap<u32, NodeRow>,
    /// Cells that ranks say they have done.
    said: BTreeMap<SubtaskId, (Attempt, u64)>,
    cost: CostModel,
}

/// What a record has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended {
    /// The attempt.
    pub lane: Lane,
    /// How long it ran, in ns, where that was measured.
    pub ran_ns: Option<u64>,
}

/// A record that cannot stand where it comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contradiction;

impl Replica {
    /// Of a job before its first record.
    #[must_use]
    pub fn new(spec: JobSpec) -> Self {
        Self {
            durable: Durable::of(&spec),
            spec,
            running: BTreeMap::new(),
            measured: BTreeMap::new(),
            results_on: BTreeMap::new(),
            nodes: BTreeMap::new(),
            said: BTreeMap::new(),
            cost: CostModel::default(),
        }
    }

    /// The last record taken in.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.durable.seq
    }

    /// Takes nodes in.
    pub fn on_nodes(&mut self, nodes: Vec<NodeRow>) {
        self.nodes.extend(nodes.into_iter().map(|node| (node.number, node)));
    }

    /// A node, where it was told of.
    #[must_use]
    pub fn node(&self, number: u32) -> Option<&NodeRow> {
        self.nodes.get(&number)
    }

    /// All that were told of.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeRow> {
        self.nodes.values()
    }

    /// The node that a committed result is on, where that was seen.
    #[must_use]
    pub fn result_on(&self, subtask: SubtaskId) -> Option<u32> {
        self.results_on.get(&subtask).copied()
    }

    /// Cells that a rank says it has done.
    pub fn on_said(&mut self, subtask: SubtaskId, attempt: Attempt, cells: u64) {
        self.said.insert(subtask, (attempt, cells));
    }

    /// Takes the state after decision `seq` over, as the scheduler's core writes it.
    ///
    /// # Errors
    /// When it is not this job's.
    pub fn take_state(&mut self, state: &[u8], seq: u64) -> Result<(), Contradiction> {
        let mut reader = Reader::new(state);
        let durable = Durable::decode(&mut reader).map_err(|_| Contradiction)?;
        let is_its = durable.seq == seq
            && durable.entries.len() == self.spec.needs.len()
            && durable.gang.is_some() == self.spec.gang;
        if reader.end().is_err() || !is_its {
            return Err(Contradiction);
        }
        self.durable = durable;
        self.running.clear();
        Ok(())
    }

    /// Takes the next record in; gives the attempt that it ends, if it ends one that was seen to run.
    ///
    /// # Errors
    /// When it cannot stand there; nothing is changed then.
    pub fn apply(&mut self, record: &Record) -> Result<Option<Ended>, Contradiction> {
        self.durable.update(record).map_err(|_| Contradiction)?;
        Ok(match record {
            Record::Launched { subtask, attempt, rank, cpus, node } => {
                let lane = Lane { subtask: *subtask, attempt: *attempt, rank: *rank, node: *node };
                self.running.insert(*subtask, Runs { lane, cpus: cpus.clone() });
                None
            }
            Record::Measured { subtask, attempt, ran_ns, .. } => {
                self.measured.insert(*subtask, (*attempt, *ran_ns));
                None
            }
            Record::Done { subtask, attempt, .. } => {
                let ended = self.end(*subtask, *attempt);
                if let Some(ended) = ended {
                    self.results_on.insert(*subtask, ended.lane.node);
                    self.learn(*subtask, ended.ran_ns);
                }
                ended
            }
            Record::AttemptFailed { subtask, attempt, .. } | Record::GivenUp { subtask, attempt, .. } => {
                self.end(*subtask, *attempt)
            }
            _ => None,
        })
    }

    fn end(&mut self, subtask: SubtaskId, attempt: Attempt) -> Option<Ended> {
        self.said.remove(&subtask);
        let measured = self.measured.remove(&subtask).filter(|(of, _)| *of == attempt);
        let runs = self.running.remove(&subtask).filter(|runs| runs.lane.attempt == attempt)?;
        Some(Ended { lane: runs.lane, ran_ns: measured.map(|(_, ns)| ns) })
    }

    /// As the scheduler's core does: an attempt that went on from a checkpoint teaches nothing, nor does a gang's.
    fn learn(&mut self, subtask: SubtaskId, ran_ns: Option<u64>) {
        let need = self.spec.needs.get(subtask.index());
        let is_whole = self.durable.entries.get(subtask.index()).is_some_and(|entry| entry.from().is_none());
        if let (Some(need), Some(ran_ns), true, false) = (need, ran_ns, is_whole, self.spec.gang) {
            self.cost.observe(need.cells / u64::from(need.cores.max(1)), ran_ns);
        }
    }
}

impl Sight for Replica {
    fn spec(&self) -> &JobSpec {
        &self.spec
    }

    fn durable(&self) -> &Durable {
        &self.durable
    }

    fn running(&self, subtask: SubtaskId) -> Option<(Lane, &CpuSet)> {
        self.running.get(&subtask).map(|runs| (runs.lane, &runs.cpus))
    }

    fn all_running(&self) -> Vec<Lane> {
        self.running.values().map(|runs| runs.lane).collect()
    }

    fn cost(&self) -> &CostModel {
        &self.cost
    }

    fn cells_said(&self, lane: &Lane) -> Option<u64> {
        let (attempt, cells) = self.said.get(&lane.subtask)?;
        (*attempt == lane.attempt).then_some(*cells)
    }

    fn host(&self, node: u32) -> &str {
        self.nodes.get(&node).map_or("a node", |node| &node.name)
    }

    fn names_nodes(&self) -> bool {
        true
    }
}
