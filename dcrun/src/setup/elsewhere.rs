//! A new job for a scheduler: the same record as for this machine, with what depends on cores taken from the nodes that
//! it may get. Nothing is made on disk, and no starter.

use super::new::{environment, find_kernel, merge_targets, options, rank_directory, uuid, var};
use super::place_of_files::name_of_kernel;
use super::work::make;
use super::{SetupError, Surroundings, manner, mpi, stdin};
use crate::request::{NewJob, View, Work};
use dc_model::cluster::{NodeRow, NodeState, NodeWants};
use dc_model::wire::Source;
use dc_model::{Bind, Domain, Limits, Subtask, SubtaskId, Topology, size};
use dc_spool::hash::FileIdentity;
use dc_spool::job::{Found, JobOptions, JobRecord, StreamOptions};
use dc_spool::spool::SpoolError;
use dcsched_brief::Manner;
use std::os::unix::ffi::OsStrExt;

/// What a job may get of a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// Cores of each node that it may be given, the most first.
    cores: Vec<u32>,
    /// The most memory of one node, in bytes.
    memory_bytes_max: u64,
}

/// A job to be submitted.
#[derive(Debug)]
pub struct Submission {
    /// What it is.
    pub record: JobRecord,
    /// How its ranks are treated.
    pub manner: Manner,
    /// What is asked of the nodes.
    pub wants: NodeWants,
    /// The domain, where results are merged onto its grid.
    pub domain: Option<Domain>,
    /// Whether its subtasks have costs of their own.
    pub has_costs: bool,
    /// A line about its MPI.
    pub mpi_warning: Option<String>,
    /// Bytes of standard input that are kept for another attempt.
    pub stdin_kept_bytes: u64,
}

impl Offer {
    /// Of these nodes, to a job with these wants.
    ///
    /// # Errors
    /// When no node, or too few, can ever run it.
    pub fn of(nodes: &[NodeRow], wants: &NodeWants) -> Result<Self, SetupError> {
        let names = |list: &[String]| nodes.iter().filter(|node| list.contains(&node.name)).count();
        if let Some(name) = wants.only.iter().find(|name| nodes.iter().all(|node| node.name != **name)) {
            return Err(SetupError::NoSuchNode { option: "-w", name: name.clone() });
        }
        if names(&wants.except) < wants.except.len()
            && let Some(name) = wants.except.iter().find(|name| nodes.iter().all(|node| node.name != **name))
        {
            return Err(SetupError::NoSuchNode { option: "-x", name: name.clone() });
        }
        let may = |node: &&NodeRow| {
            (wants.only.is_empty() || wants.only.contains(&node.name)) && !wants.except.contains(&node.name)
        };
        let allowed: Vec<&NodeRow> = nodes.iter().filter(may).collect();
        if allowed.is_empty() {
            return Err(SetupError::NoNodes);
        }
        if wants.nodes_min as usize > allowed.len() {
            return Err(SetupError::TooFewNodes { min: wants.nodes_min, nodes: allowed.len() });
        }
        // Those that are there now say more of what it will get than those that may come back.
        let is_there = |node: &&&NodeRow| matches!(node.state, NodeState::Up | NodeState::Suspect);
        let there: Vec<&NodeRow> = allowed.iter().filter(is_there).copied().collect();
        let of = if there.is_empty() { &allowed } else { &there };
        let mut cores: Vec<u32> = of.iter().map(|node| node.cores.max(1)).collect();
        cores.sort_unstable_by(|a, b| b.cmp(a));
        if wants.nodes_max > 0 {
            cores.truncate(wants.nodes_max as usize);
        }
        Ok(Self { cores, memory_bytes_max: of.iter().map(|node| node.memory_bytes).max().unwrap_or(0) })
    }

    /// Cores of the largest node.
    fn most_cores(&self) -> u32 {
        self.cores.first().copied().unwrap_or(1)
    }

    /// Its cores, of which ranks of `cores` each can hold no more than `per_node` a node, as a machine.
    fn machine(&self, per_node: u32, cores: u32) -> Topology {
        let most = if per_node == 0 { u32::MAX } else { per_node.saturating_mul(cores.max(1)) };
        let total = self.cores.iter().fold(0u32, |sum, cores| sum.saturating_add((*cores).min(most))).max(1);
        Topology::uniform(total, total, total)
    }
}

/// Makes the job.
///
/// # Errors
/// When something is wrong with what was asked for.
pub fn elsewhere(
    job: &NewJob,
    view: &View,
    at: &Surroundings,
    nodes: &[NodeRow],
) -> Result<Submission, SetupError> {
    let mut wants = job.nodes.wants.clone();
    let offer = Offer::of(nodes, &wants)?;
    let program = find_kernel(job, at)?;
    let cwd = rank_directory(job, at)?;
    let merges = merge_targets(job, view, at)?;
    let kernel = FileIdentity::of(&program).map_err(SpoolError::File)?;
    let mpi = mpi::decide(job.mpi, &program, at)?;
    let job = ranks(job, &offer, mpi.launcher.is_some(), &mut wants);
    let made = make(&job, &at.cwd, &mut || Ok(offer.machine(wants.ranks_per_node, job.cores)))?;
    check_fit(&job, made.subtasks.iter(), &offer)?;
    let environment = environment(&job, &cwd, at);
    let mut options = options(&job, view, made.ranks, merges);
    options.streams = streams(options.streams, job.nodes.detach);
    let record = JobRecord {
        uuid: uuid()?,
        name: job.name.clone().unwrap_or_else(|| name_of_kernel(&kernel.path)),
        kernel,
        argv: job.kernel.iter().map(|arg| arg.as_bytes().to_vec()).collect(),
        cwd,
        env: environment.vars.iter().map(|(name, value)| var(name, value)).collect(),
        options: JobOptions { mpi: mpi.launcher.as_ref().map(|launcher| launcher.family), ..options },
        limits: Some(Limits::clone(&at.limits)),
        domain: made.domain.as_ref().map(|(_, identity)| identity.clone()),
        subtasks: made.subtasks,
    };
    let input = match stdin::source(&record, false)? {
        // The file is this host's.
        Source::At { only, .. } => Source::Relay { only },
        source => source,
    };
    Ok(Submission {
        manner: manner(&record, view, mpi.launcher.as_ref(), input),
        record,
        wants,
        domain: made.domain.map(|(domain, _)| domain),
        has_costs: job.work != Work::Plain,
        mpi_warning: mpi.warning,
        stdin_kept_bytes: stdin::kept_bytes(at.var("DC_STDIN_KEEP"))?,
    })
}

/// How many ranks, where that was not said.
fn ranks(job: &NewJob, offer: &Offer, is_gang: bool, wants: &mut NodeWants) -> NewJob {
    let mut job = job.clone();
    match (&job.work, job.ranks) {
        // As srun has it: one on each node, or as many as are asked for there.
        (Work::Plain, None) if wants.nodes_min > 0 || wants.ranks_per_node > 0 => {
            wants.ranks_per_node = wants.ranks_per_node.max(1);
            job.ranks = Some(wants.nodes_min.max(1).saturating_mul(wants.ranks_per_node));
        }
        // A gang lives on one node.
        (Work::Domain { .. }, None) if is_gang => {
            job.ranks = Some((offer.most_cores() / job.cores.max(1)).max(1));
        }
        _ => {}
    }
    job
}

/// Nobody who leaves at once can give ranks his own input.
fn streams(mut streams: StreamOptions, detach: bool) -> StreamOptions {
    if detach {
        streams.found = Found::Nothing;
    }
    streams
}

/// Whether each subtask fits on some node.
fn check_fit<'a>(
    job: &NewJob,
    subtasks: impl Iterator<Item = &'a Subtask>,
    offer: &Offer,
) -> Result<(), SetupError> {
    // Hardware threads and CPUs by number are the nodes' own; the scheduler knows them.
    let counts_cores = !matches!(job.bind, Some(Bind::Thread | Bind::Fixed(_)));
    for (id, subtask) in (0..).map(SubtaskId).zip(subtasks) {
        if counts_cores && subtask.cores > offer.most_cores() {
            let what = format!("subtask {}", subtask.shown(id));
            return Err(SetupError::NodeCores { what, cores: subtask.cores, most: offer.most_cores() });
        }
        if subtask.mem_bytes > offer.memory_bytes_max {
            return Err(SetupError::NodeMemory {
                what: format!("subtask {}", subtask.shown(id)),
                wanted: size::shown(subtask.mem_bytes),
                most: size::shown(offer.memory_bytes_max >> 20 << 20),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, cores: u32, state: NodeState) -> NodeRow {
        NodeRow { name: name.to_owned(), cores, state, memory_bytes: 1 << 30, ..NodeRow::default() }
    }

    fn offer(wants: &NodeWants) -> Result<Vec<u32>, String> {
        let nodes = [
            node("a", 4, NodeState::Up),
            node("b", 8, NodeState::Up),
            node("c", 64, NodeState::Lost),
            node("d", 2, NodeState::Up),
        ];
        Offer::of(&nodes, wants).map(|offer| offer.cores).map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_job_may_get() {
        let wants = NodeWants::default();
        assert_eq!(offer(&wants), Ok(vec![8, 4, 2]));
        assert_eq!(offer(&NodeWants { nodes_max: 1, ..wants.clone() }), Ok(vec![8]));
        assert_eq!(
            offer(&NodeWants { only: vec!["c".into()], ..wants.clone() }),
            Ok(vec![64]),
            "it may come back"
        );
        assert_eq!(offer(&NodeWants { except: vec!["b".into()], ..wants.clone() }), Ok(vec![4, 2]));
        let few = offer(&NodeWants { nodes_min: 5, ..wants.clone() }).unwrap_err();
        assert!(few.contains("--ntasks-per-node"), "{few}");
        let none = offer(&NodeWants { only: vec!["x".into()], ..wants }).unwrap_err();
        assert!(none.contains('x') && none.contains("dcinfo"), "{none}");
    }

    #[test]
    fn ranks_a_node_bound_what_is_cut_for() {
        let offer = Offer { cores: vec![8, 2], memory_bytes_max: 0 };
        assert_eq!(offer.machine(0, 1).cores.len(), 10);
        assert_eq!(offer.machine(1, 2).cores.len(), 4);
        assert_eq!(offer.machine(4, 1).cores.len(), 6);
    }
}
