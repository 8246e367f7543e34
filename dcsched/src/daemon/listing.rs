//! Lists: answers of bounded length, several where one does not do.

use super::Daemon;
use super::authority::{Party, Verb};
use super::links::LinkId;
use dc_model::SubtaskId;
use dc_model::cluster::ToClient;
use dc_model::cluster::client::WhichJob;
use dcsched_core::cluster::JobId;

/// Rows in one answer.
const ROWS_MAX: usize = 4096;
/// Subtasks in one answer.
const SUBTASKS_MAX: u32 = 32_768;
/// For so many waiting jobs it is looked up why they wait; of a longer queue the reason of the rest is that.
const REASONS_MAX: usize = 1000;

impl Daemon {
    pub(super) fn list_nodes(&mut self, link: LinkId, party: Party, request: u64) {
        if self.may(link, party, request, Verb::Look, None) {
            let nodes = self.node_rows();
            self.send_client(link, &ToClient::Nodes { request, nodes });
        }
    }

    pub(super) fn list_jobs(&mut self, link: LinkId, party: Party, request: u64, ids: &[u64], ended: bool) {
        if !self.may(link, party, request, Verb::Look, None) {
            return;
        }
        let asked: Vec<JobId> = if ids.is_empty() { self.core.jobs().collect() } else { ids.to_vec() };
        let is_asked = |id: &JobId| self.core.job(*id).is_some_and(|view| ended || view.status().is_none());
        let asked: Vec<JobId> = asked.into_iter().filter(is_asked).collect();
        let mut left = asked.len();
        if left == 0 {
            self.send_client(link, &ToClient::Jobs { request, jobs: Vec::new(), last: true });
        }
        for (i, chunk) in asked.chunks(ROWS_MAX).enumerate() {
            let rows = chunk.iter().enumerate();
            let jobs = rows.filter_map(|(j, id)| self.job_row(*id, i * ROWS_MAX + j < REASONS_MAX)).collect();
            left -= chunk.len();
            self.send_client(link, &ToClient::Jobs { request, jobs, last: left == 0 });
        }
    }

    pub(super) fn list_subtasks(
        &mut self,
        link: LinkId,
        party: Party,
        request: u64,
        which: WhichJob,
        (from, count_max): (u32, u32),
    ) {
        let Some(id) = self.which(link, request, which) else { return };
        if !self.may(link, party, request, Verb::Look, Some(id)) {
            return;
        }
        let all = self.known.outline(id).subtasks;
        let has_begun = self.core.job(id).is_some_and(|view| view.job().is_some());
        let end = from.saturating_add(count_max.min(SUBTASKS_MAX)).min(all);
        let subtasks = (from..end).map(SubtaskId);
        let subtasks = if has_begun {
            subtasks.filter_map(|subtask| self.subtask_row(id, subtask)).collect()
        } else {
            subtasks.filter_map(|subtask| self.waiting_row(id, subtask)).collect()
        };
        self.send_client(link, &ToClient::Subtasks { request, subtasks, last: end >= all });
    }
}
