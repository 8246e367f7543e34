//! What commands ask for: checked against who they are, then given to the core, or answered.

use super::authority::{self, Party, Verb};
use super::links::{LinkId, Side};
use super::{Answer, Asked, Daemon, Failed, clock, submission};
use dc_model::cluster::client::WhichJob;
use dc_model::cluster::{FromClient, ToClient, Wants};
use dc_model::wire::ToStarter;
use dc_model::{JobUuid, StopReason, SubtaskId, exit};
use dc_spool::files::shown;
use dcsched_core::cluster::{Event, JobId};
use tracing::{debug, info};

/// SIGTERM's number: what a cancelled job ends as.
const SIGTERM: u8 = 15;
/// The highest signal.
const SIGNAL_MAX: u8 = 64;
const SIGSTOP: u8 = 19;
const SIGCONT: u8 = 18;

impl Daemon {
    /// A command's message. On an error the connection is to be closed for this reason.
    pub(super) fn on_client(
        &mut self,
        link: LinkId,
        message: FromClient,
    ) -> Result<Result<(), String>, Failed> {
        let party = {
            let Some(it) = self.links.get_mut(link) else { return Ok(Ok(())) };
            match it.side {
                Side::Silent => it.side = Side::Client,
                Side::Client => {}
                Side::Registering(_) | Side::Node(..) => {
                    return Ok(Err("a node sent what only commands send".to_owned()));
                }
            }
            it.party
        };
        let Some(party) = party else { return Ok(Err("nobody knows who it is".to_owned())) };
        match message {
            FromClient::Submit { request, key, wants, record } => {
                self.on_submit(link, party, request, key, wants, record)?;
            }
            FromClient::Attach { request, job, after } => self.on_attach(link, party, request, job, after)?,
            FromClient::Stop { request, job, reason, signal } => {
                self.on_stop(link, party, request, job, (reason, signal))?;
            }
            FromClient::Signal { request, job, signal, subtask, leaders_only, wants_checkpoint } => {
                let how = (signal, leaders_only, wants_checkpoint);
                self.on_signal(link, party, request, job, subtask, how);
            }
            FromClient::Merged { job, status } => {
                self.on_merge_over(link, party, job, |job| Event::MergeEnded { job, status })?;
            }
            FromClient::ResultsLost { job, subtasks } => {
                self.on_merge_over(link, party, job, |job| Event::ResultsLost { job, subtasks })?;
            }
            FromClient::Window { job, seq } => {
                if let Some(id) = self.core.job_by_uuid(job) {
                    self.followers.on_window(link, id, seq);
                }
            }
            FromClient::ListNodes { request } => self.list_nodes(link, party, request),
            FromClient::ListJobs { request, ids, ended } => self.list_jobs(link, party, request, &ids, ended),
            FromClient::ListSubtasks { request, job, from, count_max } => {
                self.list_subtasks(link, party, request, job, (from, count_max));
            }
            FromClient::Drain { request, nodes, drain, reason } => {
                self.on_drain(link, party, request, &nodes, (drain, &reason))?;
            }
            FromClient::Explain { request, what } => self.on_explain(link, party, request, &what),
            FromClient::Reload { request } => {
                if self.may(link, party, request, Verb::Reload, None) {
                    match self.reload() {
                        Ok(text) => self.send_client(link, &ToClient::Text { request, text }),
                        Err(text) => self.refuse(link, request, &text.replace('\n', "; ")),
                    }
                }
            }
        }
        Ok(Ok(()))
    }

    /// The choke point of all requests: who may not is told so.
    pub(super) fn may(
        &mut self,
        link: LinkId,
        party: Party,
        request: u64,
        verb: Verb,
        job: Option<JobId>,
    ) -> bool {
        let owner = job.and_then(|job| self.core.job(job)).map(|view| view.uid());
        if authority::may(self.own_uid, party, verb, owner) {
            return true;
        }
        let uid = party.uid().map_or_else(|| "a node".to_owned(), |uid| format!("user {uid}"));
        info!(%uid, "refused to {}", verb.text());
        self.refuse(link, request, &format!("{uid} may not {}", verb.text()));
        false
    }

    pub(super) fn refuse(&mut self, link: LinkId, request: u64, text: &str) {
        let text = one_line(text);
        self.send_client(link, &ToClient::Refused { request, status: exit::DC_ERROR, text });
    }

    /// Sends a message to a command.
    pub(super) fn send_client(&mut self, link: LinkId, message: &ToClient) {
        if self.links.send(link, message.kind(), message.body(), clock::now()).is_err() {
            self.doom(link, "it does not read its answers");
        }
    }

    /// Says it when all that is decided so far is on disk.
    pub(super) fn answer_durably(&mut self, link: LinkId, message: &ToClient) {
        let (kind, body) = (message.kind(), message.body());
        self.answers.push_back(Answer { decision: self.core.seq(), link, kind, body });
        self.send_answers();
    }

    pub(super) fn send_answers(&mut self) {
        let durable = self.durable;
        while self.answers.front().is_some_and(|answer| answer.decision <= durable)
            && let Some(answer) = self.answers.pop_front()
        {
            if self.links.send(answer.link, answer.kind, answer.body, clock::now()).is_err() {
                self.doom(answer.link, "it does not read its answers");
            }
        }
    }

    /// The job that is meant; who asks for one that is not there is told so.
    pub(super) fn which(&mut self, link: LinkId, request: u64, which: WhichJob) -> Option<JobId> {
        let id = match which {
            WhichJob::Id(id) => self.core.job(id).map(|view| view.id),
            WhichJob::Uuid(uuid) => self.core.job_by_uuid(uuid),
        };
        if id.is_none() {
            let text = match which {
                WhichJob::Id(id) => {
                    format!("no job has the number {id}: it was never there, or is forgotten")
                }
                WhichJob::Uuid(uuid) => {
                    format!("no job is called {uuid} here: it was never there, or is forgotten")
                }
            };
            self.refuse(link, request, &text);
        }
        id
    }

    fn on_submit(
        &mut self,
        link: LinkId,
        party: Party,
        request: u64,
        key: [u8; 16],
        wants: Box<Wants>,
        record: Vec<u8>,
    ) -> Result<(), Failed> {
        if !self.may(link, party, request, Verb::Submit, None) {
            return Ok(());
        }
        let Some(uid) = party.uid() else { return Ok(()) };
        if self.journal.is_full() && !self.journal.has_room() {
            self.refuse(
                link,
                request,
                "the scheduler's disk is full: no new jobs are taken until there is space",
            );
            return Ok(());
        }
        if !self.journal.has_room() {
            // It stays where it is until what was decided before it is on its way.
            if let Some(it) = self.links.get_mut(link) {
                it.parked = Some(Box::new(FromClient::Submit { request, key, wants, record }));
                self.parked.push_back(link);
            }
            return Ok(());
        }
        let limits = submission::Limits {
            bytes_max: self.settings.submit_bytes_max,
            subtasks_left: self.settings.subtasks_max.saturating_sub(self.known.subtasks),
        };
        let is_known = |uuid: JobUuid| self.core.job_by_uuid(uuid).is_some();
        let (submission, name) = match submission::check(limits, uid, key, wants, record, is_known) {
            Ok(checked) => checked,
            Err(why) => {
                self.refuse(link, request, &why);
                return Ok(());
            }
        };
        self.last_request += 1;
        let own = self.last_request;
        self.requests.insert(own, Asked { link, request });
        let (uuid, outline) = (submission.uuid, super::known::Outline::of(&submission.spec));
        let was_known = self.core.job_by_uuid(uuid);
        self.step(Event::Submit { request: own, job: Box::new(submission) })?;
        if was_known.is_none()
            && let Some(job) = self.core.job_by_uuid(uuid)
        {
            debug!(job, %uuid, uid, subtasks = outline.subtasks, "submitted");
            self.known.on_taken(job, uuid, name, outline);
        }
        Ok(())
    }

    fn on_stop(
        &mut self,
        link: LinkId,
        party: Party,
        request: u64,
        which: WhichJob,
        (reason, signal): (u8, u8),
    ) -> Result<(), Failed> {
        let Some(id) = self.which(link, request, which) else { return Ok(()) };
        if !self.may(link, party, request, Verb::Stop, Some(id)) {
            return Ok(());
        }
        let reason = match reason {
            1 => StopReason::TimeLimit,
            2 => StopReason::Interrupted,
            3 if (1..=SIGNAL_MAX).contains(&signal) => StopReason::Signal(signal),
            4 => StopReason::BrokenPipe,
            5 => StopReason::Error,
            6 => StopReason::Signal(SIGTERM),
            _ => {
                self.refuse(link, request, "no such reason to stop a job");
                return Ok(());
            }
        };
        let ended = self.core.job(id).and_then(|view| view.status());
        if let Some(status) = ended {
            let text = format!("job {id} has ended already, with status {status}");
            self.send_client(link, &ToClient::Text { request, text });
            return Ok(());
        }
        info!(job = id, uid = party.uid(), ?reason, "stop");
        self.step(Event::Stop { job: id, reason })?;
        let text = format!("job {id} is being stopped");
        self.answer_durably(link, &ToClient::Text { request, text });
        Ok(())
    }

    fn on_signal(
        &mut self,
        link: LinkId,
        party: Party,
        request: u64,
        which: WhichJob,
        subtask: Option<SubtaskId>,
        (signal, leaders_only, wants_checkpoint): (u8, bool, bool),
    ) {
        let Some(id) = self.which(link, request, which) else { return };
        if !self.may(link, party, request, Verb::Signal, Some(id)) {
            return;
        }
        if !(1..=SIGNAL_MAX).contains(&signal) {
            self.refuse(link, request, &format!("{signal} is no signal"));
            return;
        }
        let Some(uuid) = self.core.job(id).map(|view| view.uuid()) else { return };
        if subtask.is_some() {
            // A starter's Signal goes to all that it runs.
            self.refuse(link, request, "a signal goes to all ranks of a job, and not to one subtask alone");
            return;
        }
        match signal {
            SIGSTOP => drop(self.held.insert(id)),
            SIGCONT => drop(self.held.remove(&id)),
            _ => {}
        }
        let nodes = self.opened.get(&id).cloned().unwrap_or_default();
        let message = ToStarter::Signal { signal, leaders_only, wants_checkpoint };
        nodes.iter().for_each(|node| self.order(*node, uuid, &message));
        let text = format!("signal {signal} is sent to job {id} on {} nodes", nodes.len());
        self.send_client(link, &ToClient::Text { request, text });
    }

    fn on_drain(
        &mut self,
        link: LinkId,
        party: Party,
        request: u64,
        names: &[String],
        (drain, reason): (bool, &str),
    ) -> Result<(), Failed> {
        if !self.may(link, party, request, Verb::Drain, None) {
            return Ok(());
        }
        let unknown = names.iter().find(|name| self.core.node_by_name(name).is_none());
        if let Some(name) = unknown {
            let text = format!("no node is called {}: nothing was changed (dcinfo lists them)", shown(name));
            self.refuse(link, request, &text);
            return Ok(());
        }
        let reason = one_line(reason);
        for name in names {
            let Some(node) = self.core.node_by_name(name) else { continue };
            info!(node = name, uid = party.uid(), reason, "{}", if drain { "drain" } else { "resume" });
            self.step(Event::Drain { node, drain, reason: reason.clone() })?;
        }
        let what = if drain { "nothing new starts" } else { "jobs are started again" };
        let text = format!("{what} on {}", names.join(" "));
        self.answer_durably(link, &ToClient::Text { request, text });
        Ok(())
    }

    fn on_explain(&mut self, link: LinkId, party: Party, request: u64, what: &str) {
        if !self.may(link, party, request, Verb::Look, None) {
            return;
        }
        let job = match (what.parse::<u64>(), JobUuid::parse(what)) {
            (Ok(id), _) => self.core.job(id).map(|view| view.id),
            (_, Some(uuid)) => self.core.job_by_uuid(uuid),
            _ => None,
        };
        let text = match (job, self.core.node_by_name(what)) {
            (Some(job), _) => self.core.explain_job(job),
            (None, Some(node)) => self.core.explain_node(node),
            (None, None) => {
                self.refuse(link, request, &format!("{} is neither a job nor a node here", shown(what)));
                return;
            }
        };
        self.send_client(link, &ToClient::Text { request, text });
    }
}

/// Text of others as one line without control characters, cut where it is too long.
fn one_line(text: &str) -> String {
    const BYTES_MAX: usize = 1000;
    let mut line = String::new();
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if line.len() + c.len_utf8() > BYTES_MAX {
            break;
        }
        line.push(c);
    }
    line
}
