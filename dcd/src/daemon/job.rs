//! One job on this node: its directory and its starter. States and what follows from what are in docs/node-states.md; here
//! is the table in code. What has to be done beside is returned as [`Want`]s.

use super::acts::Burial;
use super::orders;
use crate::starters::{ConnectError, Control, Event, Life, Lost, Site, life};
use dc_model::cluster::node::{FromNode, Held};
use dc_model::wire::{FromStarter, Hello, KnownPhase, StarterState, ToStarter};
use dc_model::{Attempt, CpuSet, JobUuid, Outcome, SubtaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// How long to wait before a starter that does not answer yet is asked again, in ns.
const AGAIN_NS: u64 = 20_000_000;
/// A starter that says nothing for so long is no use to anybody: it is killed with all it runs, in ns.
const MUTE_NS: u64 = 20_000_000_000;
/// How long after a burial that failed it is tried again, in ns.
const BURY_AGAIN_NS: u64 = 1_000_000_000;
/// What may wait for a starter, in bytes: more than it ever lets wait.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// Orders for a starter that is not reached yet; beyond them it will not be.
const ORDERS_MAX: usize = 1 << 16;

/// What is to be done about a job, by who has the loop.
#[derive(Debug)]
pub enum Want {
    /// Say this to dcsched.
    Tell(FromNode),
    /// Do this beside the loop; tell [`Job::on_buried`].
    Bury(Burial),
    /// Connect to its starter beside the loop; tell [`Job::on_reached`].
    Reach(Site),
    /// Rank's input is wanted: tell who is attached.
    Input(FromStarter),
    /// A line for the log.
    Log(String),
    /// The node has done one more subtask.
    Done,
    /// What dcsched was told of this job may not hold any more: begin anew with it, so that it is told.
    Renew,
}

/// How far it is.
#[derive(Debug)]
enum State {
    /// A thread makes the directory and the starter.
    Opening(Pending),
    /// The starter lives; a connection to it is to be made.
    Reaching { pending: Pending, again_ns: u64, since_ns: u64 },
    /// Connected; its state is awaited.
    Asking { control: Control, pending: Pending, since_ns: u64 },
    /// Its state is known, and it has the job.
    Serving { control: Control },
    /// The starter is over: a thread kills what it left.
    Burying,
    /// That did not go: to be tried again.
    Unburied { again_ns: u64 },
    /// Nothing of it is here any more.
    Gone,
}

/// What a starter is to be told once it is reached.
#[derive(Debug, Default)]
struct Pending {
    hello: Option<Box<Hello>>,
    orders: Vec<ToStarter>,
}

/// The end that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Closing {
    remove: bool,
    /// From when on nothing runs any more, in ns; none while something does.
    idle_since_ns: Option<u64>,
    /// It was told to end at once.
    is_forced: bool,
    /// Nobody is to be told: a starter that nobody has asked for.
    is_silent: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Job {
    uuid: JobUuid,
    site: Site,
    /// A thread makes a connection.
    is_dialling: bool,
    /// When the starter is reached, orders may have been lost.
    renews: bool,
    /// The starter's number, among all that the job had here.
    number: u64,
    state: State,
    closing: Option<Closing>,
    /// Attempts that run.
    running: BTreeSet<(SubtaskId, Attempt)>,
    /// The last report that counted.
    counted_seq: u64,
    /// Input that ranks want, and that nobody has sent.
    wants: BTreeMap<(SubtaskId, Attempt), FromStarter>,
    /// What this starter has is to be told to dcsched.
    is_untold: bool,
}

impl Job {
    /// One for which a thread makes everything; the starter is told `hello` then.
    #[must_use]
    pub fn opening(site: Site, number: u64, hello: Box<Hello>) -> Self {
        let pending = Pending { hello: Some(hello), orders: Vec::new() };
        let mut job = Self::new(site, number, State::Opening(pending));
        // Who has asked for it knows that there is nothing yet.
        job.is_untold = false;
        job
    }

    /// One whose starter was found.
    #[must_use]
    pub fn found(site: Site, number: u64, now_ns: u64) -> Self {
        let state = State::Reaching { pending: Pending::default(), again_ns: now_ns, since_ns: now_ns };
        Self::new(site, number, state)
    }

    /// One that is only there to be buried.
    #[must_use]
    pub fn dead(site: Site, remove: Option<bool>, wants: &mut Vec<Want>) -> Self {
        let mut job = Self::new(site, 0, State::Gone);
        job.closing =
            remove.map(|remove| Closing { remove, idle_since_ns: None, is_forced: true, is_silent: false });
        job.bury(false, wants);
        job
    }

    fn new(site: Site, number: u64, state: State) -> Self {
        Self {
            uuid: site.job(),
            site,
            is_dialling: false,
            renews: false,
            number,
            state,
            closing: None,
            running: BTreeSet::new(),
            counted_seq: 0,
            wants: BTreeMap::new(),
            is_untold: true,
        }
    }

    /// Ranks that run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Whether it can be forgotten.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }

    /// Whether its end was asked for: an order to open it is for a new one. (Where a starter died by itself that is told
    /// first, and what was ordered before dcsched knew of it does not count.)
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Whether what it has is still to be told to dcsched before the node is settled.
    #[must_use]
    pub fn is_untold(&self) -> bool {
        self.is_untold && !matches!(self.state, State::Gone)
    }

    /// The connection, for poll; `is_held_up`: dcsched takes nothing at the moment.
    #[must_use]
    pub fn wants(&self, is_held_up: bool) -> Option<(std::os::fd::BorrowedFd<'_>, nix::poll::PollFlags)> {
        use nix::poll::PollFlags;
        let control = self.control()?;
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, control.want_read() && !is_held_up);
        flags.set(PollFlags::POLLOUT, control.want_write());
        Some((control.as_fd(), flags))
    }

    fn control(&self) -> Option<&Control> {
        match &self.state {
            State::Asking { control, .. } | State::Serving { control } => Some(control),
            _ => None,
        }
    }

    /// When [`Job::on_time`] is to be called at the latest, in ns.
    #[must_use]
    pub fn deadline_ns(&self, close_wait_ns: u64) -> Option<u64> {
        match &self.state {
            State::Reaching { .. } if self.is_dialling => None,
            State::Reaching { again_ns, .. } | State::Unburied { again_ns } => Some(*again_ns),
            State::Asking { since_ns, .. } => Some(since_ns.saturating_add(MUTE_NS)),
            State::Serving { .. } => {
                let closing = self.closing.filter(|closing| !closing.is_forced)?;
                closing.idle_since_ns.map(|since| since.saturating_add(close_wait_ns))
            }
            State::Opening(_) | State::Burying | State::Gone => None,
        }
    }

    /// Some time has passed.
    pub fn on_time(&mut self, now_ns: u64, close_wait_ns: u64, until_ns: Option<u64>, wants: &mut Vec<Want>) {
        match &mut self.state {
            State::Reaching { again_ns, .. } if *again_ns <= now_ns && !self.is_dialling => {
                if self.site.is_others() {
                    self.is_dialling = true;
                    wants.push(Want::Reach(self.site.clone()));
                } else {
                    self.on_reached(self.site.connect(), now_ns, until_ns, wants);
                }
            }
            State::Asking { since_ns, .. } if since_ns.saturating_add(MUTE_NS) <= now_ns => {
                wants
                    .push(Want::Log("its starter does not answer: it is killed with all it runs".to_owned()));
                self.bury(true, wants);
            }
            State::Unburied { again_ns } if *again_ns <= now_ns => self.bury(true, wants),
            State::Serving { control } => {
                let Some(closing) = self.closing.as_mut().filter(|closing| !closing.is_forced) else {
                    return;
                };
                if closing.idle_since_ns.is_some_and(|since| since.saturating_add(close_wait_ns) <= now_ns) {
                    closing.is_forced = true;
                    wants.push(Want::Log("nobody takes its last output: it is dropped".to_owned()));
                    control.send(&ToStarter::Close);
                }
            }
            _ => {}
        }
    }

    /// The thread that was to open it is through.
    pub fn on_opened(&mut self, opened: Result<u64, String>, now_ns: u64, wants: &mut Vec<Want>) {
        let State::Opening(pending) = &mut self.state else { return };
        match opened {
            Ok(number) => {
                self.number = number;
                let pending = std::mem::take(pending);
                self.state = State::Reaching { pending, again_ns: now_ns, since_ns: now_ns };
            }
            Err(_) if self.closing.is_some() => self.bury(false, wants),
            Err(why) => {
                self.state = State::Gone;
                wants.push(Want::Log(format!("cannot be opened: {why}")));
                wants.push(Want::Tell(FromNode::CannotOpen { job: self.uuid, why: cut(why) }));
            }
        }
    }

    /// The connection is made, or not.
    pub fn on_reached(
        &mut self,
        reached: Result<OwnedFd, ConnectError>,
        now_ns: u64,
        until_ns: Option<u64>,
        wants: &mut Vec<Want>,
    ) {
        self.is_dialling = false;
        let State::Reaching { pending, since_ns, .. } = &mut self.state else { return };
        let (pending, since_ns) = (std::mem::take(pending), *since_ns);
        // Nothing is left out: what dcsched has not acknowledged it is to be told again.
        match reached {
            Ok(socket) => {
                let mut control = Control::over(socket, None);
                if std::mem::take(&mut self.renews) {
                    wants.push(Want::Renew);
                }
                if let Some(until_boottime_ns) = until_ns {
                    control.send(&ToStarter::Lease { until_boottime_ns });
                }
                self.state = State::Asking { control, pending, since_ns: now_ns };
            }
            Err(ConnectError::NotYet { .. }) if since_ns.saturating_add(MUTE_NS) > now_ns => {
                self.state = State::Reaching { pending, again_ns: now_ns + AGAIN_NS, since_ns };
            }
            Err(error @ ConnectError::NotYet { .. }) => {
                wants.push(Want::Log(format!("{error}: it is killed with all it runs")));
                self.bury(true, wants);
            }
            Err(error) => {
                wants.push(Want::Log(format!("{error}")));
                self.bury(false, wants);
            }
        }
    }

    /// dcsched is another one, or the same one anew: the starter is asked for all it has, and what the one before
    /// has ordered without knowing of its coming through does not count.
    pub fn on_link_up(&mut self, now_ns: u64) {
        self.is_untold = true;
        if let State::Opening(pending) | State::Reaching { pending, .. } | State::Asking { pending, .. } =
            &mut self.state
        {
            pending.orders.clear();
        }
        let pending = match &mut self.state {
            State::Asking { pending, .. } => std::mem::take(pending),
            State::Serving { .. } => Pending::default(),
            _ => return,
        };
        self.state = State::Reaching { pending, again_ns: now_ns, since_ns: now_ns };
    }

    /// The connection to dcsched is over: what it has ordered and the starter has not been told must not be done later,
    /// when another was told that it is not being done.
    pub fn on_link_lost(&mut self) {
        if let State::Opening(pending) | State::Reaching { pending, .. } | State::Asking { pending, .. } =
            &mut self.state
        {
            pending.orders.clear();
        }
    }

    /// Orders of dcsched's, read already.
    pub fn on_orders(&mut self, orders: Vec<ToStarter>, allowed: &CpuSet, wants: &mut Vec<Want>) {
        for order in orders {
            if let Some(launch) = orders::outside(&order, allowed) {
                let (subtask, attempt) = (launch.subtask, launch.attempt);
                wants.push(Want::Log(format!(
                    "attempt {attempt} of subtask {subtask} is not launched: CPUs {} are not all this node's ({allowed})",
                    launch.cpus
                )));
                for refusal in orders::refusals(&order) {
                    self.tell(0, &refusal, wants);
                }
                continue;
            }
            match &mut self.state {
                State::Opening(pending) | State::Reaching { pending, .. } | State::Asking { pending, .. } => {
                    if pending.orders.len() < ORDERS_MAX {
                        pending.orders.push(order);
                    }
                }
                State::Serving { control } => control.send(&order),
                State::Burying | State::Unburied { .. } | State::Gone => {}
            }
        }
        if let State::Serving { control } = &self.state
            && control.waiting_bytes() > WAITING_BYTES_MAX
        {
            wants.push(Want::Log("its starter takes no orders: it is killed with all it runs".to_owned()));
            self.bury(true, wants);
        }
    }

    /// Input from whoever is attached, for a rank that wants it; anything else is dropped.
    pub fn on_input(&mut self, input: &ToStarter) {
        let ToStarter::Input { subtask, attempt, at, .. } = input else { return };
        let State::Serving { control } = &mut self.state else { return };
        let key = (*subtask, *attempt);
        let is_wanted =
            matches!(self.wants.get(&key), Some(FromStarter::WantInput { at: wanted, .. }) if wanted == at);
        if is_wanted {
            self.wants.remove(&key);
            control.send(input);
        }
    }

    /// What ranks want now, for one who has just attached.
    pub fn wanted(&self) -> impl Iterator<Item = &FromStarter> {
        self.wants.values()
    }

    /// dcsched has these reports of this starter.
    pub fn on_acknowledged(&mut self, starter: u64, seq: u64) {
        if starter == self.number
            && let State::Serving { control } = &mut self.state
        {
            control.ack(seq);
        }
    }

    /// The node's lease ends later.
    pub fn on_lease(&mut self, until_boottime_ns: u64) {
        if let State::Asking { control, .. } | State::Serving { control } = &mut self.state {
            control.send(&ToStarter::Lease { until_boottime_ns });
        }
    }

    /// Its end is asked for.
    pub fn on_close(&mut self, remove: bool, now_ns: u64) {
        let is_new = self.closing.is_none();
        let closing = self.closing.get_or_insert(Closing {
            remove,
            idle_since_ns: None,
            is_forced: false,
            is_silent: false,
        });
        closing.is_silent = false;
        closing.remove |= remove;
        if is_new && let State::Serving { control } = &mut self.state {
            control.send(&ToStarter::Bye);
            self.look_idle(now_ns);
        }
    }

    fn look_idle(&mut self, now_ns: u64) {
        let is_idle = self.running.is_empty();
        if let Some(closing) = &mut self.closing {
            closing.idle_since_ns = is_idle.then(|| closing.idle_since_ns.unwrap_or(now_ns));
        }
    }

    /// The socket is ready.
    pub fn on_ready(&mut self, flags: nix::poll::PollFlags, now_ns: u64, wants: &mut Vec<Want>) {
        use nix::poll::PollFlags;
        {
            let (State::Asking { control, .. } | State::Serving { control }) = &mut self.state else {
                return;
            };
            if flags.contains(PollFlags::POLLOUT) {
                control.on_writable();
            }
            if flags.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
                control.on_readable();
            }
        }
        loop {
            let (State::Asking { control, .. } | State::Serving { control }) = &mut self.state else {
                return;
            };
            match control.next_event() {
                Ok(Some(Event::State(state))) => self.on_state(&state, now_ns, wants),
                Ok(Some(Event::Report { seq, report } | Event::Again { seq, report })) => {
                    self.on_report(seq, report, now_ns, wants);
                }
                Ok(Some(Event::Said(said))) => self.on_said(said, wants),
                Ok(None) => return,
                Err(lost) => return self.on_lost(&lost, now_ns, wants),
            }
        }
    }

    fn on_state(&mut self, state: &StarterState, now_ns: u64, wants: &mut Vec<Want>) {
        let State::Asking { control, mut pending, .. } = std::mem::replace(&mut self.state, State::Gone)
        else {
            return;
        };
        self.state = State::Serving { control };
        if state.job.is_some_and(|job| job != self.uuid) {
            wants.push(Want::Log("its starter has another job".to_owned()));
            return self.bury(true, wants);
        }
        self.wants.clear();
        self.running = state
            .attempts
            .iter()
            .filter(|known| known.phase != KnownPhase::Ended)
            .map(|known| (known.subtask, known.attempt))
            .collect();
        let State::Serving { control } = &mut self.state else { return };
        match (state.job, pending.hello.take()) {
            (None, Some(hello)) => control.send(&ToStarter::Hello(hello)),
            (Some(_), _) => {}
            // A dcd that was killed had begun it and told it nothing. dcsched asks again for what it wants.
            (None, None) => {
                control.send(&ToStarter::Close);
                self.closing =
                    Some(Closing { remove: false, idle_since_ns: None, is_forced: true, is_silent: true });
                self.is_untold = false;
                return;
            }
        }
        if self.is_untold {
            let held = state.attempts.iter().map(|known| Held {
                subtask: known.subtask,
                attempt: known.attempt,
                rank: known.rank,
                cpus: known.cpus.clone(),
                ended: known.phase == KnownPhase::Ended,
                from: known.from,
            });
            let running = FromNode::Running { job: self.uuid, starter: self.number, held: held.collect() };
            wants.push(Want::Tell(running));
        }
        self.is_untold = false;
        for order in pending.orders.drain(..) {
            control.send(&order);
        }
        if self.closing.is_some() {
            control.send(&ToStarter::Bye);
            self.look_idle(now_ns);
        }
    }

    fn on_report(&mut self, seq: u64, report: FromStarter, now_ns: u64, wants: &mut Vec<Want>) {
        let is_new = seq > self.counted_seq;
        self.counted_seq = self.counted_seq.max(seq);
        match &report {
            FromStarter::Started { subtask, attempt, .. } if is_new => {
                self.running.insert((*subtask, *attempt));
            }
            FromStarter::Ended { subtask, attempt, outcome, .. } => {
                self.running.remove(&(*subtask, *attempt));
                self.wants.remove(&(*subtask, *attempt));
                if is_new && *outcome == Outcome::Exited(0) {
                    wants.push(Want::Done);
                }
                self.look_idle(now_ns);
            }
            _ => {}
        }
        self.tell(seq, &report, wants);
    }

    fn tell(&self, seq: u64, report: &FromStarter, wants: &mut Vec<Want>) {
        let mut frame = Vec::new();
        report.encode(&mut frame);
        wants.push(Want::Tell(FromNode::Report { job: self.uuid, starter: self.number, seq, frame }));
    }

    fn on_said(&mut self, said: FromStarter, wants: &mut Vec<Want>) {
        if let FromStarter::WantInput { subtask, attempt, .. } = &said {
            self.wants.insert((*subtask, *attempt), said.clone());
            wants.push(Want::Input(said));
        }
    }

    fn on_lost(&mut self, lost: &Lost, now_ns: u64, wants: &mut Vec<Want>) {
        if self.site.is_others() && self.closing.is_none() {
            // Whether it lives is found out beside the loop, by reaching it again.
            wants.push(Want::Log(format!("{lost}")));
            let (pending, since_ns) = match std::mem::replace(&mut self.state, State::Gone) {
                State::Asking { pending, since_ns, .. } => (pending, since_ns),
                _ => {
                    self.renews = true;
                    (Pending::default(), now_ns)
                }
            };
            self.state = State::Reaching { pending, again_ns: now_ns + AGAIN_NS, since_ns };
            return;
        }
        let is_alive = !self.site.is_others() && life(self.site.dir()).is_ok_and(|life| life == Life::Alive);
        if self.closing.is_none() || is_alive {
            wants.push(Want::Log(format!("{lost}")));
        }
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Asking { pending, since_ns, .. } if is_alive => {
                self.state = State::Reaching { pending, again_ns: now_ns + AGAIN_NS, since_ns };
            }
            State::Serving { .. } if is_alive => {
                // Orders may have been lost with the connection.
                let pending = Pending::default();
                self.state = State::Reaching { pending, again_ns: now_ns + AGAIN_NS, since_ns: now_ns };
                wants.push(Want::Renew);
            }
            _ => self.bury(false, wants),
        }
    }

    fn bury(&mut self, by_force: bool, wants: &mut Vec<Want>) {
        self.state = State::Burying;
        self.wants.clear();
        let remove = self.closing.is_some_and(|closing| closing.remove);
        wants.push(Want::Bury(Burial { site: self.site.clone(), by_force, remove }));
    }

    /// What its starter left is killed, and its directory removed where that was asked for.
    pub fn on_buried(
        &mut self,
        buried: Result<Vec<PathBuf>, String>,
        did_remove: bool,
        now_ns: u64,
        wants: &mut Vec<Want>,
    ) {
        match buried {
            Ok(left) => {
                for path in left {
                    wants.push(Want::Log(format!("left {}, which is not dc's", super::acts::escaped(&path))));
                }
                self.running.clear();
                // It was asked for meanwhile.
                if self.closing.is_some_and(|closing| closing.remove) && !did_remove {
                    return self.bury(false, wants);
                }
                self.state = State::Gone;
                if !self.closing.is_some_and(|closing| closing.is_silent) {
                    wants
                        .push(Want::Tell(FromNode::Closed { job: self.uuid, asked: self.closing.is_some() }));
                }
            }
            Err(why) => {
                wants.push(Want::Log(format!("not all that its starter left is gone: {why}")));
                self.state = State::Unburied { again_ns: now_ns.saturating_add(BURY_AGAIN_NS) };
            }
        }
    }
}

/// As long as a message may have it.
fn cut(mut text: String) -> String {
    let mut end = text.len().min(4096);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
