//! The questions that these commands have, each with its answer.

use super::{Failed, SchedArgs};
use crate::sched::{ClusterError, Named, Target, Wire};
use dc_config::Surroundings;
use dc_model::SubtaskId;
use dc_model::cluster::client::WhichJob;
use dc_model::cluster::{FromClient, JobRow, NodeRow, SubtaskRow, ToClient};

/// Subtasks that are asked for at once.
const SUBTASKS_MAX: u32 = 16_384;

/// A scheduler that answers.
pub struct Asker {
    wire: Wire,
    last_request: u64,
}

impl SchedArgs {
    /// Dials the scheduler that is meant.
    pub(super) fn dial(&self) -> Result<Asker, Failed> {
        let named = self.sched.as_deref().map_or(Named::Elsewhere, Named::Option);
        let cwd = std::env::current_dir().unwrap_or_else(|_| "/".into());
        let found =
            Target::find(named, &Surroundings::of_environment(), |name| std::env::var_os(name), &cwd)?;
        let Some(target) = found else {
            return Err(Failed::Usage(
                "no scheduler is named: set DC_SCHED, say --sched ADDRESS, or have a dc.toml with [scheduler], \
                 see dc.toml(5)"
                    .to_owned(),
            ));
        };
        Ok(Asker { wire: Wire::dial(&target)?, last_request: 0 })
    }
}

impl Asker {
    /// Where the scheduler is, for people.
    #[must_use]
    pub fn place(&self) -> &str {
        self.wire.place()
    }

    fn number(&mut self) -> u64 {
        self.last_request += 1;
        self.last_request
    }

    fn strange<T>(&self) -> Result<T, ClusterError> {
        Err(ClusterError::Silent { place: self.wire.place().to_owned() })
    }

    /// All nodes.
    pub fn nodes(&mut self) -> Result<Vec<NodeRow>, ClusterError> {
        let request = self.number();
        match self.wire.ask(&FromClient::ListNodes { request }, request, &())? {
            ToClient::Nodes { nodes, .. } => Ok(nodes),
            _ => self.strange(),
        }
    }

    /// These jobs, or all; `ended`: those too that have.
    pub fn jobs(&mut self, ids: Vec<u64>, ended: bool) -> Result<Vec<JobRow>, ClusterError> {
        let request = self.number();
        let mut answer = self.wire.ask(&FromClient::ListJobs { request, ids, ended }, request, &())?;
        let mut all = Vec::new();
        loop {
            match answer {
                ToClient::Jobs { jobs, last, .. } => {
                    all.extend(jobs);
                    if last {
                        return Ok(all);
                    }
                }
                _ => return self.strange(),
            }
            answer = self.wire.answer(request, &())?;
        }
    }

    /// All subtasks of a job.
    pub fn subtasks(&mut self, job: WhichJob) -> Result<Vec<SubtaskRow>, ClusterError> {
        let mut all: Vec<SubtaskRow> = Vec::new();
        loop {
            let request = self.number();
            let from = all.last().map_or(0, |row| row.subtask.0 + 1);
            let question = FromClient::ListSubtasks { request, job, from, count_max: SUBTASKS_MAX };
            match self.wire.ask(&question, request, &())? {
                ToClient::Subtasks { subtasks, last, .. } => {
                    let is_over = last || subtasks.is_empty();
                    all.extend(subtasks);
                    if is_over {
                        return Ok(all);
                    }
                }
                _ => return self.strange(),
            }
        }
    }

    /// Cancels a job; the scheduler's words.
    pub fn cancel(&mut self, id: u64) -> Result<String, ClusterError> {
        const CANCELLED: u8 = 6;
        let job = WhichJob::Id(id);
        self.order(|request| FromClient::Stop { request, job, reason: CANCELLED, signal: 0 })
    }

    /// Sends a signal to a job's ranks; the scheduler's words.
    pub fn signal(&mut self, id: u64, signal: u8, leaders_only: bool) -> Result<String, ClusterError> {
        let (job, subtask): (_, Option<SubtaskId>) = (WhichJob::Id(id), None);
        self.order(|request| FromClient::Signal {
            request,
            job,
            signal,
            subtask,
            leaders_only,
            wants_checkpoint: false,
        })
    }

    /// Something that is answered by words.
    pub fn order(&mut self, question: impl FnOnce(u64) -> FromClient) -> Result<String, ClusterError> {
        let request = self.number();
        match self.wire.ask(&question(request), request, &())? {
            ToClient::Text { text, .. } => Ok(text),
            _ => self.strange(),
        }
    }
}
