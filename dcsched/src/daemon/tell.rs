//! What followers are told at the end of a turn: decisions in batches, the state anew to one that was too far behind,
//! the rows of nodes that changed, and now and then that the scheduler lives.

use super::follower::Batch;
use super::links::LinkId;
use super::{Daemon, clock};
use dc_model::JobUuid;
use dc_model::cluster::{NodeRow, ToClient};
use dcsched_core::cluster::JobId;
use tracing::debug;

/// A follower that was sent nothing for so long is told that the scheduler lives.
pub const LIFE_NS: u64 = 15_000_000_000;

impl Daemon {
    /// Tells followers what there is to tell, as far as they take it.
    pub(super) fn tell_followers(&mut self) {
        self.tell_nodes();
        let congested = std::mem::take(&mut self.congested);
        self.followers.put_dirty(congested);
        for (link, job) in self.followers.take_dirty() {
            self.tell(link, job);
        }
    }

    fn tell(&mut self, link: LinkId, job: JobId) {
        loop {
            if self.links.get_mut(link).is_none_or(super::links::Link::is_congested) {
                // When there is room its turn comes again.
                self.congested.insert((link, job));
                return;
            }
            let Some(follower) = self.followers.get_mut(link, job) else { return };
            let uuid = follower.uuid;
            if follower.ready_at > self.durable {
                self.congested.insert((link, job));
                return;
            }
            if follower.wants_state {
                if !follower.has_credit() {
                    return;
                }
                debug!(job, link, "a follower is too far behind: it is told the state");
                let Some(seq) = self.core.job(job).map(|view| view.seq()) else { return };
                if !self.send_attached(link, job, 0, seq, true) {
                    self.doom(link, "it is too far behind in a job whose state is too long to be sent again");
                    return;
                }
                let ready_at = self.core.seq();
                if let Some(follower) = self.followers.get_mut(link, job) {
                    follower.on_state(seq, ready_at);
                }
                continue;
            }
            let Some(batch) = follower.next_batch() else {
                if let Some(status) = follower.take_ended() {
                    self.followers.forget(link, job);
                    self.send_client(link, &ToClient::Ended { job: uuid, status });
                }
                return;
            };
            self.send_batch(link, uuid, batch);
        }
    }

    fn send_batch(&mut self, link: LinkId, job: JobUuid, batch: Batch) {
        let Batch { first_seq, records, durable_seq } = batch;
        self.send_client(link, &ToClient::Records { job, first_seq, records, durable_seq });
    }

    /// Rows of nodes that came or changed, to all that follow something.
    fn tell_nodes(&mut self) {
        let nodes = std::mem::take(&mut self.followers.nodes);
        let links: Vec<_> = self.followers.links().collect();
        if nodes.is_empty() || links.is_empty() {
            return;
        }
        let rows: Vec<NodeRow> = nodes.iter().filter_map(|node| self.node_row(*node)).collect();
        if rows.is_empty() {
            return;
        }
        let message = ToClient::Nodes { request: 0, nodes: rows };
        links.into_iter().for_each(|link| self.send_client(link, &message));
    }

    /// To followers that have heard nothing for long.
    pub(super) fn tell_life(&mut self) {
        let now = clock::now();
        if now < self.life_due {
            return;
        }
        self.life_due = now.saturating_add(LIFE_NS / 3);
        let links: Vec<_> = self.followers.links().collect();
        for link in links {
            let is_silent = self.links.get(link).is_some_and(|it| now.saturating_sub(it.sent_ns) >= LIFE_NS);
            let Some(job) = self.followers.jobs_of(link).first().copied().filter(|_| is_silent) else {
                continue;
            };
            if let Some(follower) = self.followers.get_mut(link, job) {
                let (uuid, batch) = (follower.uuid, follower.sign_of_life());
                self.send_batch(link, uuid, batch);
            }
        }
    }

    /// Asks a follower to merge, where a job wants that.
    pub(super) fn ask_to_merge(&mut self, job: JobId) {
        if let Some((link, uuid)) = self.followers.take_merger(job) {
            self.mergers.insert((link, job, uuid));
        }
    }

    /// Behind all decisions that came before: the follower's replica says that all is computed.
    pub(super) fn tell_mergers(&mut self) {
        for (link, job, uuid) in std::mem::take(&mut self.mergers) {
            let is_behind = self.followers.is_behind(link, job);
            if is_behind {
                self.mergers.insert((link, job, uuid));
            } else {
                self.send_client(link, &ToClient::Merge { job: uuid });
            }
        }
    }
}
