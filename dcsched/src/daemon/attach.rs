//! A command begins to follow a job, and merges it where it is asked to.

use super::authority::{self, Party, Verb};
use super::follower::Follower;
use super::followers::CatchUp;
use super::links::LinkId;
use super::{Daemon, Failed};
use dc_model::JobUuid;
use dc_model::cluster::client::WhichJob;
use dc_model::cluster::{NodeRow, ToClient};
use dc_model::codec::Writer;
use dcsched_core::cluster::{Event, JobId};
use tracing::info;

impl Daemon {
    pub(super) fn on_attach(
        &mut self,
        link: LinkId,
        party: Party,
        request: u64,
        which: WhichJob,
        after: u64,
    ) -> Result<(), Failed> {
        let Some(id) = self.which(link, request, which) else { return Ok(()) };
        if !self.may(link, party, request, Verb::Attach, Some(id)) {
            return Ok(());
        }
        let Some(view) = self.core.job(id) else { return Ok(()) };
        let may_merge = authority::may(self.own_uid, party, Verb::Merge, Some(view.uid()));
        let (uuid, seq, status) = (view.uuid(), view.seq(), view.status());
        if after > seq {
            let text = format!("job {id} has {seq} decisions, and the follower says that it has {after}");
            self.refuse(link, request, &text);
            return Ok(());
        }
        let before = self.followers.count(id);
        let mut follower = Follower::new(uuid, may_merge, after);
        follower.ready_at = self.core.seq();
        let how = self.followers.attach(link, id, follower, seq, after);
        let sent = self.send_attached(link, id, request, after, how == CatchUp::State);
        if !sent {
            self.followers.forget(link, id);
            let text = format!(
                "job {id} has too many subtasks for its state to be sent: dcqueue --subtasks shows them"
            );
            self.refuse(link, request, &text);
            return Ok(());
        }
        let nodes: Vec<NodeRow> = self.node_rows();
        if !nodes.is_empty() {
            self.answer_durably(link, &ToClient::Nodes { request: 0, nodes });
        }
        if let Some(status) = status {
            self.followers.tell_ended(link, id, status);
        }
        let count = self.followers.count(id);
        if count != before {
            self.step(Event::Followers { job: id, count })?;
        }
        self.ask_to_merge(id);
        Ok(())
    }

    /// What a follower begins from, or begins from anew; false where it is too long for a message.
    pub(super) fn send_attached(
        &mut self,
        link: LinkId,
        id: JobId,
        request: u64,
        after: u64,
        state: bool,
    ) -> bool {
        const BYTES_MAX: usize = (15 << 20) - (1 << 10);
        let Some(view) = self.core.job(id) else { return false };
        let durable = view.job().map(|job| job.durable()).filter(|durable| state && durable.seq > 0);
        let (seq, state) = if let Some(durable) = durable {
            let mut w = Writer::new();
            durable.encode(&mut w);
            (durable.seq, w.bytes)
        } else if state {
            (0, Vec::new())
        } else {
            (after, Vec::new())
        };
        let record = if after == 0 && request != 0 { view.record().to_vec() } else { Vec::new() };
        let wants = Box::new(view.wants().clone());
        if record.len() + state.len() + wants.brief.len() > BYTES_MAX {
            return false;
        }
        // The state may hold what is not on disk yet.
        self.answer_durably(link, &ToClient::Attached { request, id, wants, record, seq, state });
        true
    }

    /// The merge that a follower was asked for is over: as `event` says.
    pub(super) fn on_merge_over(
        &mut self,
        link: LinkId,
        party: Party,
        job: JobUuid,
        event: impl FnOnce(JobId) -> Event,
    ) -> Result<(), Failed> {
        let Some(id) = self.core.job_by_uuid(job) else { return Ok(()) };
        let owner = self.core.job(id).map(|view| view.uid());
        let may = authority::may(self.own_uid, party, Verb::Merge, owner);
        if may && self.followers.take_merged(link, id) {
            let event = event(id);
            info!(job = id, ?event, "a merge is over");
            self.step(event)?;
        }
        Ok(())
    }
}
