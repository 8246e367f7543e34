//! One row each of what lists show: made of the core's views and of what the daemon knows beside it.

use super::{Daemon, clock};
use dc_model::SubtaskId;
use dc_model::cluster::{JobRow, NodeRow, SubtaskRow};
use dcsched_core::cluster::{JobId, NodeId, NodeView};
use dcsched_core::job::{JobPhase, Phase};

/// The longest text of a row, in bytes.
const TEXT_BYTES_MAX: usize = 1000;

fn ms(ns: u64) -> u64 {
    ns / 1_000_000
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

/// The word for a job's state.
fn state(phase: JobPhase, runs: bool) -> &'static str {
    match phase {
        JobPhase::New => "waiting",
        JobPhase::Running if runs => "running",
        JobPhase::Running => "waiting",
        JobPhase::Stopping(_) => "stopping",
        JobPhase::Merging | JobPhase::Merged => "merging",
        JobPhase::Ended(_) => "ended",
    }
}

impl Daemon {
    /// All nodes.
    pub(super) fn node_rows(&self) -> Vec<NodeRow> {
        self.core.nodes().map(|view| self.row_of_node(&view)).collect()
    }

    /// One node.
    pub(super) fn node_row(&self, node: NodeId) -> Option<NodeRow> {
        self.core.node(node).map(|view| self.row_of_node(&view))
    }

    fn row_of_node(&self, view: &NodeView<'_>) -> NodeRow {
        let facts = self.facts.get(&view.id).cloned().unwrap_or_default();
        let (cores, cores_used) = view.cores();
        let (heartbeats, heard) = view.heartbeats();
        NodeRow {
            number: view.id,
            name: view.name().to_owned(),
            state: view.state,
            reason: cut(view.drained().unwrap_or_default()),
            address: facts.address,
            fingerprint: facts.fingerprint,
            cores,
            cores_used,
            memory_bytes: view.memory_bytes(),
            ranks: if view.is_connected() { facts.ranks } else { 0 },
            done: view.done(),
            heartbeats,
            silent_ms: heard.map_or(0, |heard| ms(clock::now().saturating_sub(heard))),
            load_centi: facts.load_centi,
            speed_permille: view.speed_permille(),
        }
    }

    /// One job; why it waits is looked for only where it is asked for.
    pub(super) fn job_row(&mut self, id: JobId, wants_reason: bool) -> Option<JobRow> {
        let view = self.core.job(id)?;
        let job = view.job();
        let (cores, nodes) = view.cores_and_nodes();
        let tally = self.known.tally(id, job);
        let outline = self.known.outline(id);
        let phase = job.map_or(JobPhase::New, |job| job.durable().phase);
        let has_ended = matches!(phase, JobPhase::Ended(_));
        let left_ms = if cores == 0 || has_ended {
            None
        } else {
            let left = tally.cells.saturating_sub(tally.cells_done);
            let left_ns = job.and_then(|job| job.cost().predict_ns(left));
            left_ns.map(|ns| ms(ns / u64::from(cores)))
        };
        Some(JobRow {
            id,
            uuid: view.uuid(),
            name: cut(self.known.name(view.uuid())),
            uid: view.uid(),
            state: state(phase, cores > 0).to_owned(),
            reason: if wants_reason { cut(&self.core.reason(id)) } else { String::new() },
            status: view.status(),
            ranks: outline.ranks,
            cores,
            nodes,
            subtasks: outline.subtasks,
            subtasks_done: tally.done,
            cells: tally.cells,
            cells_done: tally.cells_done,
            ran_ms: view.first_launch().map(|at| {
                let until = view.ended().unwrap_or_else(clock::now);
                ms(until.saturating_sub(at))
            }),
            left_ms,
        })
    }

    /// One subtask of a job that has not begun.
    pub(super) fn waiting_row(&mut self, id: JobId, subtask: SubtaskId) -> Option<SubtaskRow> {
        let brief = self.known.brief(&self.core, id)?;
        let cells = brief.record.subtasks.get(subtask)?.cells;
        Some(SubtaskRow {
            subtask,
            state: Phase::Waiting.shown().to_owned(),
            cells,
            cells_done: 0,
            attempt: dc_model::Attempt(0),
            rank: None,
            node: String::new(),
            ran_ms: None,
            left_ms: None,
        })
    }

    /// One subtask.
    pub(super) fn subtask_row(&self, id: JobId, subtask: SubtaskId) -> Option<SubtaskRow> {
        let view = self.core.job(id)?;
        let job = view.job()?;
        let entry = job.durable().entries.get(subtask.index())?;
        let need = job.spec().needs.get(subtask.index())?;
        let running = job.running(subtask).filter(|running| running.behind.is_none());
        let is_done = matches!(entry.phase, Phase::Computed | Phase::Merging | Phase::Completed);
        let node = if entry.node == 0 { String::new() } else { self.node_name(entry.node) };
        let ran_ns = self.started.get(&(id, subtask)).filter(|_| running.is_some());
        let ran_ms = ran_ns.map(|at| ms(clock::now().saturating_sub(*at)));
        let predicted = job.cost().predict_ns(need.cells / u64::from(need.cores.max(1)));
        Some(SubtaskRow {
            subtask,
            state: job.shown(subtask).to_owned(),
            cells: need.cells,
            cells_done: if is_done { need.cells } else { 0 },
            attempt: entry.attempt,
            rank: running.map(|running| running.rank),
            node,
            ran_ms,
            left_ms: ran_ms.and_then(|ran| predicted.map(|ns| ms(ns).saturating_sub(ran))),
        })
    }
}
