//! The connection to the scheduler while a job is followed: what is said while it is lost waits; it is dialled again, each
//! time after a longer pause, for as long as the scheduler waits for a command that is gone.

use super::follow::{Finish, Follower, Notice};
use super::{ClusterError, Wire};
use dc_model::cluster::ToClient;
use dc_model::cluster::client::FromClient;
use std::sync::Arc;

const MS: u64 = 1_000_000;
/// For so long a lost scheduler is looked for.
const PATIENCE_NS: u64 = 60_000 * MS;
/// Between two tries: at first, and at most.
const PAUSE_MIN_NS: u64 = 100 * MS;
const PAUSE_MAX_NS: u64 = 5_000 * MS;
/// Losses shorter than this are nobody's concern: a scheduler that is started anew.
const TOLD_AFTER_NS: u64 = 2_000 * MS;

/// A lost connection.
#[derive(Debug)]
struct Lost {
    since_ns: u64,
    why: String,
    again_ns: u64,
    pause_ns: u64,
    dialling: bool,
    told: bool,
}

/// The connection, or what is known of its loss.
pub struct Connection {
    wire: Option<Wire>,
    lost: Option<Lost>,
    /// What could not be said yet.
    unsaid: Vec<FromClient>,
}

impl Connection {
    /// That is up.
    #[must_use]
    pub fn up(wire: Wire) -> Self {
        Self { wire: Some(wire), lost: None, unsaid: Vec::new() }
    }

    /// The wire, while it is up.
    #[must_use]
    pub fn wire(&self) -> Option<&Wire> {
        self.wire.as_ref()
    }

    /// Says something now, or when it is up again.
    pub fn send(&mut self, message: FromClient) {
        let Some(wire) = &mut self.wire else { return self.unsaid.push(message) };
        if wire.send(&message).is_err() {
            // There is no room, or it is going: said after the next turn, or when it is up again.
            self.unsaid.push(message);
        }
    }

    /// Says what waits now, as far as it goes.
    pub fn flush(&mut self) {
        let Some(wire) = &mut self.wire else { return };
        let unsaid = std::mem::take(&mut self.unsaid);
        let mut unsaid = unsaid.into_iter();
        for message in unsaid.by_ref() {
            if wire.send(&message).is_err() {
                self.unsaid.push(message);
                break;
            }
        }
        self.unsaid.extend(unsaid);
    }

    /// When something is to be done about it.
    #[must_use]
    pub fn due_ns(&self, now_ns: u64) -> Option<u64> {
        let lost = self.lost.as_ref()?;
        let told = (!lost.told).then_some(lost.since_ns + TOLD_AFTER_NS);
        let again = (!lost.dialling).then_some(lost.again_ns.max(now_ns));
        [told, again, Some(lost.since_ns + PATIENCE_NS)].into_iter().flatten().min()
    }

    /// Ends it.
    pub fn close(&mut self) {
        self.wire.take().into_iter().for_each(Wire::close);
    }
}

impl Follower {
    /// Takes all that came from the scheduler, and sends what waits.
    pub(super) fn on_wire(&mut self) {
        self.connection.flush();
        let Some(wire) = &mut self.connection.wire else { return };
        let mut messages = Vec::new();
        let turned = wire.turn(&mut messages);
        for message in messages {
            self.on_message(message);
        }
        if let Err(error) = turned {
            self.on_lost(&error);
        }
    }

    /// Sends what waits, as far as it goes.
    pub(super) fn flush_wire(&mut self) {
        self.connection.flush();
        if let Some(wire) = &mut self.connection.wire
            && let Err(error) = wire.flush()
        {
            self.on_lost(&error);
        }
    }

    fn on_lost(&mut self, error: &ClusterError) {
        self.connection.wire = None;
        if !error.may_pass() {
            self.finish.get_or_insert_with(|| leave(self.id, error));
            return;
        }
        let now_ns = self.front.now_ns();
        self.connection.lost.get_or_insert(Lost {
            since_ns: now_ns,
            why: error.to_string(),
            again_ns: now_ns,
            pause_ns: PAUSE_MIN_NS,
            dialling: false,
            told: false,
        });
    }

    /// What is due of a lost connection.
    pub(super) fn look_for_scheduler(&mut self) {
        let now_ns = self.front.now_ns();
        let Some(lost) = &mut self.connection.lost else { return };
        if now_ns >= lost.since_ns + PATIENCE_NS {
            let text = format!(
                "{}, for {} s now; the job may go on without dcrun: when the scheduler is there, dcrun --attach {} follows it",
                lost.why,
                PATIENCE_NS / 1_000_000_000,
                self.id
            );
            self.finish.get_or_insert(Finish::Left(text, dc_model::exit::DC_ERROR));
            return;
        }
        if !lost.told && now_ns >= lost.since_ns + TOLD_AFTER_NS {
            lost.told = true;
            let text = format!("{}; it is looked for, the job goes on meanwhile", lost.why);
            self.front.say_if_not_quiet(text);
            return;
        }
        if !lost.dialling && now_ns >= lost.again_ns {
            lost.dialling = true;
            let (target, told) = (Arc::clone(&self.target), self.mailbox.clone());
            let thread = std::thread::Builder::new().name("dial".to_owned());
            let dial = move || told.push(Notice::Dialled(Box::new(Wire::dial(&target))));
            if thread.spawn(dial).is_err() {
                lost.dialling = false;
                lost.again_ns = now_ns + lost.pause_ns;
            }
        }
    }

    /// The scheduler was dialled again.
    pub(super) fn on_dialled(&mut self, dialled: Result<Wire, ClusterError>) {
        let now_ns = self.front.now_ns();
        let Some(lost) = &mut self.connection.lost else { return };
        lost.dialling = false;
        match dialled {
            Err(error) if error.may_pass() => {
                lost.why = error.to_string();
                lost.again_ns = now_ns + lost.pause_ns;
                lost.pause_ns = (lost.pause_ns * 2).min(PAUSE_MAX_NS);
            }
            Err(error) => self.finish = Some(leave(self.id, &error)),
            Ok(wire) => {
                let told = lost.told;
                self.connection.wire = Some(wire);
                self.connection.lost = None;
                // First of all: from the last decision that was taken in.
                self.attach_request = self.request();
                let (request, job, after) = (self.attach_request, self.which(), self.replica.seq());
                self.connection.unsaid.insert(0, FromClient::Attach { request, job, after });
                self.coming.clear();
                self.came_seq = self.replica.seq();
                if told {
                    self.front.say_if_not_quiet("the scheduler is there again");
                }
            }
        }
    }

    /// Whether the scheduler can be told something now.
    pub(super) fn is_connected(&self) -> bool {
        self.connection.wire.is_some()
    }
}

fn leave(id: u64, error: &ClusterError) -> Finish {
    Finish::Left(
        format!("{error}; the job may go on without dcrun: dcrun --attach {id} follows it"),
        dc_model::exit::DC_ERROR,
    )
}

/// Whether a message is about this job.
#[must_use]
pub fn is_about(message: &ToClient, job: dc_model::JobUuid) -> bool {
    match message {
        ToClient::Records { job: of, .. }
        | ToClient::Report { job: of, .. }
        | ToClient::Merge { job: of }
        | ToClient::Ended { job: of, .. } => *of == job,
        _ => true,
    }
}
