//! The loop: what is waited for, and what each thing that happens leads to.

use super::job::{Job, Want};
use super::uplink::{UpEvent, WantDial};
use super::{Answer, Daemon, Open, Talk, acts, clock, facts, job_files, orders};
use crate::starters::Site;
use dc_model::JobUuid;
use dc_model::cluster::node::{FromNode, ToNode};
use dc_model::codec::DecodeError;
use dc_model::wire::{FrameBuffer, Hello, ToStarter};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use std::net::ToSocketAddrs;
use std::os::unix::ffi::OsStrExt;
use tracing::{debug, error, info, warn};

/// How long a new scheduler waits at most to be told of a starter that does not answer, in ns.
const SETTLE_NS: u64 = 30_000_000_000;

/// Why the loop ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// A signal asked for it.
    Asked(Signal),
    /// The system does not let it wait.
    Broken(Errno),
}

#[derive(Clone, Copy, Debug)]
enum Who {
    Signals,
    Bell,
    Uplink,
    Job(JobUuid),
}

impl Daemon {
    /// Serves until a signal asks for the end. Starters and ranks live on.
    pub fn serve(mut self) -> Ending {
        info!(node = %self.settings.name, state = %acts::escaped(self.state.path()), start = self.state.start(), "begins");
        loop {
            if let Some(ending) = self.turn() {
                let jobs = self.jobs.len();
                match ending {
                    Ending::Asked(signal) => {
                        info!(%signal, jobs, "ends; starters and their ranks live on until the lease's end, and the next dcd finds them");
                    }
                    Ending::Broken(errno) => error!("ends: it cannot wait for anything: {}", errno.desc()),
                }
                return ending;
            }
        }
    }

    fn turn(&mut self) -> Option<Ending> {
        self.on_time(clock::boottime_ns());
        let ready = match self.wait() {
            Ok(ready) => ready,
            Err(errno) => return Some(Ending::Broken(errno)),
        };
        let now = clock::boottime_ns();
        let mut ending = None;
        for (who, flags) in ready {
            match who {
                Who::Signals => ending = ending.or(self.on_signals(now)),
                Who::Bell => self.on_answers(now),
                Who::Uplink => {
                    let mut events = Vec::new();
                    self.uplink.on_ready(flags, now, &mut events);
                    self.on_up_events(events, now);
                }
                Who::Job(uuid) => {
                    self.with_job(uuid, now, |job, wants| job.on_ready(flags, now, wants));
                }
            }
        }
        ending
    }

    fn wait(&mut self) -> Result<Vec<(Who, PollFlags)>, Errno> {
        let is_held_up = self.uplink.is_congested();
        let close_wait_ns = self.close_wait_ns();
        let mut deadline = self.uplink.deadline_ns();
        let mut sooner = |at: Option<u64>| deadline = deadline.into_iter().chain(at).min();
        if let Talk::Welcome { next_heartbeat_ns, is_settled, settle_by_ns, .. } = self.talk {
            sooner(Some(next_heartbeat_ns));
            sooner(Some(self.lease.silent_ns()));
            sooner((!is_settled).then_some(settle_by_ns));
        }
        let mut who = vec![Who::Signals, Who::Bell];
        let mut fds = vec![
            PollFd::new(std::os::fd::AsFd::as_fd(&self.signals), PollFlags::POLLIN),
            PollFd::new(self.works.bell(), PollFlags::POLLIN),
        ];
        if let Some((fd, flags)) = self.uplink.wants() {
            who.push(Who::Uplink);
            fds.push(PollFd::new(fd, flags));
        }
        for (uuid, job) in &self.jobs {
            sooner(job.deadline_ns(close_wait_ns));
            if let Some((fd, flags)) = job.wants(is_held_up) {
                who.push(Who::Job(*uuid));
                fds.push(PollFd::new(fd, flags));
            }
        }
        match poll(&mut fds, timeout(deadline, clock::boottime_ns())) {
            Ok(_) => {}
            Err(Errno::EINTR | Errno::EAGAIN | Errno::ENOMEM) => return Ok(Vec::new()),
            Err(errno) => return Err(errno),
        }
        let flags = fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        Ok(who.into_iter().zip(flags).filter(|(_, flags)| !flags.is_empty()).collect())
    }

    fn close_wait_ns(&self) -> u64 {
        u64::try_from(self.settings.close_wait.as_nanos()).unwrap_or(u64::MAX)
    }

    fn on_time(&mut self, now: u64) {
        let mut events = Vec::new();
        if let Some(WantDial::LookUp(host, port)) =
            self.uplink.on_time(self.identities.as_ref(), now, &mut events)
        {
            self.works.start(move || {
                let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
                let name = host.escape_debug();
                Answer::LookedUp(found.map_err(|error| format!("{name} is not known: {error}")))
            });
        }
        self.on_up_events(events, now);
        if let Talk::Welcome { next_heartbeat_ns, .. } = self.talk {
            if self.lease.silent_ns() <= now {
                self.lose("nothing came from it for a whole lease".to_owned(), now);
            } else if next_heartbeat_ns <= now {
                self.beat(now);
            }
        }
        let (close_wait_ns, until) = (self.close_wait_ns(), self.lease.until_ns(now));
        for uuid in self.uuids() {
            let is_due = |job: &Job| job.deadline_ns(close_wait_ns).is_some_and(|at| at <= now);
            if self.jobs.get(&uuid).is_some_and(is_due) {
                self.with_job(uuid, now, |job, wants| job.on_time(now, close_wait_ns, until, wants));
            }
        }
        self.maybe_settle(now);
    }

    pub(super) fn lose(&mut self, why: String, now: u64) {
        let mut events = Vec::new();
        self.uplink.lose(why, now, &mut events);
        self.on_up_events(events, now);
    }

    fn send(&mut self, message: &FromNode, now: u64) {
        let mut events = Vec::new();
        self.uplink.send(message, now, &mut events);
        self.on_up_events(events, now);
    }

    fn beat(&mut self, now: u64) {
        let Talk::Welcome { heartbeat_ns, next_heartbeat_ns, .. } = &mut self.talk else { return };
        *next_heartbeat_ns = now.saturating_add(*heartbeat_ns);
        let ranks: usize = self.jobs.values().map(Job::running).sum();
        let number = self.lease.on_heartbeat(now);
        let heartbeat = FromNode::Heartbeat {
            number,
            load_centi: facts::load_centi(),
            ranks: u32::try_from(ranks).unwrap_or(u32::MAX),
            done: self.done,
            memory_free_bytes: facts::memory_free_bytes(),
        };
        self.send(&heartbeat, now);
    }

    /// Tells that all was told, once.
    fn maybe_settle(&mut self, now: u64) {
        let Talk::Welcome { is_settled, settle_by_ns, .. } = &mut self.talk else { return };
        if *is_settled || *settle_by_ns > now && self.jobs.values().any(Job::is_untold) {
            return;
        }
        *is_settled = true;
        info!(jobs = self.jobs.len(), "dcsched knows what runs here");
        self.send(&FromNode::Settled, now);
    }

    fn on_signals(&mut self, now: u64) -> Option<Ending> {
        let mut ending = None;
        while let Ok(Some(info)) = self.signals.read_signal() {
            match i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok()) {
                Some(Signal::SIGHUP) => self.reload(now),
                Some(signal) => ending = Some(Ending::Asked(signal)),
                None => {}
            }
        }
        ending
    }

    /// Reads the peers file again.
    pub(super) fn reload_peers(&mut self, now: u64) {
        let Some(identities) = &mut self.identities else { return };
        match identities.peers.maybe_reload() {
            Ok(has_changed) => info!(has_changed, "read the peers file"),
            Err(error) => return warn!("the peers file stays as it was: {error}"),
        }
        let mut events = Vec::new();
        self.uplink.recheck(identities, now, &mut events);
        self.on_up_events(events, now);
    }

    fn on_up_events(&mut self, events: Vec<UpEvent>, now: u64) {
        for event in events {
            match event {
                UpEvent::Up(who) => {
                    debug!(%who, "dcsched is reached");
                    self.talk = Talk::Registered;
                    self.lease.on_register(now);
                    let register =
                        self.facts.register(&self.settings, &self.address, self.state.epoch_seen());
                    self.send(&FromNode::Register(Box::new(register)), now);
                }
                UpEvent::Message(message) => {
                    // What came before the connection was given up does not count.
                    if self.uplink.is_up() {
                        self.on_message(message, now);
                    }
                }
                UpEvent::Lost(why) => self.on_link_lost(&why),
            }
        }
    }

    fn on_link_lost(&mut self, why: &str) {
        let why = plain(why);
        // While it cannot be reached one line says so, not one for each try.
        if self.talk != Talk::Down || self.last_lost.as_ref() != Some(&why) {
            warn!("no connection to dcsched: {why}; trying again");
        }
        self.last_lost = Some(why);
        self.talk = Talk::Down;
        self.reopen.clear();
        self.waiting.clear();
        self.jobs.values_mut().for_each(Job::on_link_lost);
    }

    fn on_message(&mut self, message: ToNode, now: u64) {
        if let ToNode::Welcome { epoch, node, lease_ms, heartbeat_ms } = message {
            return self.on_welcome(epoch, node, lease_ms, heartbeat_ms, now);
        }
        if !matches!(self.talk, Talk::Welcome { .. }) {
            return self.lose("it gave an order without a welcome".to_owned(), now);
        }
        if self.lease.until_ns(now).is_none() {
            // What it was told before does not hold: by now all that it would start may run elsewhere.
            return self.lose("this node's lease has ended".to_owned(), now);
        }
        match message {
            ToNode::Welcome { .. } => {}
            ToNode::Lease { number } => {
                if let Some(until) = self.lease.on_granted(number) {
                    self.jobs.values_mut().for_each(|job| job.on_lease(until));
                }
            }
            ToNode::Open { job, uid, record, hello, id } => self.on_open(job, id, uid, record, &hello, now),
            ToNode::Order { job, frames } => match orders::read(&frames) {
                Ok(orders) => self.on_ordered(job, orders, now),
                Err(error) => self.lose(format!("it sent {error}"), now),
            },
            ToNode::Acknowledge { job, starter, seq } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.on_acknowledged(starter, seq);
                }
            }
            ToNode::Close { job, remove } => self.on_close(job, remove, now),
            ToNode::Peers { nodes } => self.copies.set_peers(nodes),
        }
    }

    fn on_welcome(&mut self, epoch: u32, node: u32, lease_ms: u64, heartbeat_ms: u64, now: u64) {
        if self.talk != Talk::Registered {
            return self.lose("it welcomed this node twice".to_owned(), now);
        }
        if epoch < self.state.epoch_seen() {
            let why = format!(
                "its epoch is {epoch}, and this node has obeyed epoch {}: an old copy of dcsched's state runs; stop it",
                self.state.epoch_seen()
            );
            let mut events = Vec::new();
            self.uplink.refuse(&why, now, &mut events);
            return self.on_up_events(events, now);
        }
        if let Err(error) = self.state.see_epoch(epoch) {
            return self.lose(format!("its epoch cannot be kept, so it cannot be obeyed: {error}"), now);
        }
        self.last_lost = None;
        self.uplink.on_success();
        let until = self.lease.on_welcome(lease_ms, now);
        if let Some(until) = until {
            self.jobs.values_mut().for_each(|job| job.on_lease(until));
        }
        self.uplink.set_lease_ns(self.lease.lease_ns());
        // A third of a lease leaves two more tries.
        let heartbeat_ms = heartbeat_ms.min(lease_ms / 3).max(10);
        let heartbeat_ns = heartbeat_ms.saturating_mul(1_000_000);
        self.talk = Talk::Welcome {
            heartbeat_ns,
            next_heartbeat_ns: now,
            is_settled: false,
            settle_by_ns: now.saturating_add(SETTLE_NS),
        };
        info!(epoch, node, lease_ms, heartbeat_ms, "registered");
        self.waiting.clear();
        self.jobs.values_mut().for_each(|job| job.on_link_up(now));
        self.beat(now);
    }

    fn on_open(&mut self, uuid: JobUuid, id: u64, uid: u32, record: Vec<u8>, hello: &[u8], now: u64) {
        let cannot = |why: String| FromNode::CannotOpen { job: uuid, why };
        let own = nix::unistd::geteuid().as_raw();
        if uid != own && self.exec.is_none() {
            let why = format!(
                "it is user {uid}'s, and this node's dcd runs everything as user {own}: for jobs of other users it needs node.exec"
            );
            warn!(job = %uuid, "cannot be opened: {why}");
            return self.send(&cannot(why), now);
        }
        let mut hello = match read_hello(hello) {
            Ok(hello) => hello,
            Err(error) => return self.lose(format!("it sent a starter's first message that {error}"), now),
        };
        if hello.job != uuid {
            return self.lose("it sent a starter's first message of another job".to_owned(), now);
        }
        let dir = self.state.job(uuid);
        let spool = self.shared_dir().map_or(dir, |shared| shared.join(uuid.to_string()));
        hello.spool = spool.as_os_str().as_bytes().to_vec();
        let files = match job_files::take(&mut hello, &self.state.job(uuid)) {
            Ok(files) => files,
            Err(why) => {
                warn!(job = %uuid, "cannot be opened: {why}");
                return self.send(&cannot(why), now);
            }
        };
        if self.exec.is_some() && !files.is_empty() {
            let why = "--bcast needs nodes on which all jobs are one user's: their dcd cannot write into a job's directory";
            return self.send(&cannot(why.to_owned()), now);
        }
        let open = Open { uid, record, hello, files, orders: Vec::new() };
        match self.jobs.get(&uuid) {
            None => {
                info!(job = %uuid, id, "opens");
                self.open(uuid, open, now);
            }
            Some(job) if job.is_closing() => drop(self.reopen.insert(uuid, open)),
            Some(_) => debug!(job = %uuid, "is open already"),
        }
    }

    fn open(&mut self, uuid: JobUuid, open: Open, now: u64) {
        let number = self.next_number();
        let exe = self.starter.clone();
        let by = self.exec.as_ref().map(|exec| (exec, open.uid));
        let site = Site::new(uuid, self.state.job(uuid), by);
        let opening = acts::Opening {
            site: site.clone(),
            words: self.state.words(),
            record: open.record,
            number,
            exe,
            binds: !self.settings.synthetic,
            shared: self.shared_dir(),
        };
        if !site.is_others() {
            self.copies.on_job(uuid);
        }
        self.jobs.insert(uuid, Job::opening(site, number, open.hello));
        let files = self.files_of(open.files);
        self.works.start(move || {
            let opened = acts::open(&opening, |dir| files.place(dir));
            Answer::Opened { job: uuid, opened }
        });
        self.on_ordered(uuid, open.orders, now);
    }

    pub(super) fn on_orders(&mut self, uuid: JobUuid, orders: Vec<ToStarter>, now: u64) {
        if let Some(open) = self.reopen.get_mut(&uuid) {
            return open.orders.extend(orders);
        }
        let allowed = self.facts.allowed();
        if !self.with_job(uuid, now, |job, wants| job.on_orders(orders, &allowed, wants)) {
            debug!(job = %uuid, "an order for a job that is not open here");
        }
    }

    fn on_close(&mut self, uuid: JobUuid, remove: bool, now: u64) {
        self.reopen.remove(&uuid);
        self.waiting.drop_job(uuid);
        self.copies.on_closed(uuid, remove);
        if self.with_job(uuid, now, |job, _| job.on_close(remove, now)) {
            return;
        }
        let mut wants = Vec::new();
        let dir = self.state.job(uuid);
        let Ok(site) = Site::of(uuid, dir.clone(), self.exec.as_ref()) else {
            // Nothing of it is here, or a directory that nobody has had yet.
            return self.send(&FromNode::Closed { job: uuid, asked: true }, now);
        };
        let dead = Job::dead(site, Some(remove), &mut wants);
        self.jobs.insert(uuid, dead);
        self.perform(uuid, &mut wants, now);
    }

    fn on_answers(&mut self, now: u64) {
        self.works.on_bell();
        while let Some(answer) = self.works.next() {
            match answer {
                Answer::Opened { job, opened } => {
                    self.with_job(job, now, |job, wants| job.on_opened(opened, now, wants));
                }
                Answer::Buried { job, did_remove, buried } => {
                    self.with_job(job, now, |job, wants| job.on_buried(buried, did_remove, now, wants));
                }
                Answer::Brought { job, number } => self.on_brought(job, number, now),
                Answer::Reached { job, reached } => {
                    let until = self.lease.until_ns(now);
                    self.with_job(job, now, |job, wants| job.on_reached(reached, now, until, wants));
                }
                Answer::Peer(ask) => self.on_peer(ask),
                Answer::LookedUp(found) => {
                    let mut events = Vec::new();
                    self.uplink.on_looked_up(found, self.identities.as_ref(), now, &mut events);
                    self.on_up_events(events, now);
                }
            }
        }
    }

    /// Does something to a job, and what follows from it; whether there is such a job.
    fn with_job(&mut self, uuid: JobUuid, now: u64, act: impl FnOnce(&mut Job, &mut Vec<Want>)) -> bool {
        let Some(job) = self.jobs.get_mut(&uuid) else { return false };
        let mut wants = Vec::new();
        act(job, &mut wants);
        self.perform(uuid, &mut wants, now);
        true
    }

    /// Does what a job wants.
    pub(super) fn perform(&mut self, uuid: JobUuid, wants: &mut Vec<Want>, now: u64) {
        for want in wants.drain(..) {
            match want {
                Want::Tell(message) => {
                    if matches!(self.talk, Talk::Welcome { .. }) {
                        self.send(&message, now);
                    }
                }
                Want::Bury(burial) => {
                    let (words, shared) = (self.state.words(), self.shared_dir());
                    self.works.start(move || {
                        let (job, did_remove) = (burial.site.job(), burial.remove);
                        let buried = acts::bury(&burial, &words);
                        if let (Some(shared), true, true) = (shared, did_remove, buried.is_ok()) {
                            acts::remove_shared(&shared, job);
                        }
                        Answer::Buried { job, did_remove, buried }
                    });
                }
                Want::Reach(site) => self.works.start(move || {
                    let job = site.job();
                    Answer::Reached { job, reached: site.connect() }
                }),
                Want::Log(line) => warn!(job = %uuid, "{}", plain(&line)),
                Want::Done => self.done += 1,
                Want::Input(want) => self.streams.want(uuid, want),
                Want::Renew => self.lose("begun anew: a connection to a starter was lost".to_owned(), now),
            }
        }
        if self.jobs.get(&uuid).is_some_and(Job::is_gone) {
            self.jobs.remove(&uuid);
            debug!(job = %uuid, "is not here any more");
            if let Some(open) = self.reopen.remove(&uuid) {
                self.open(uuid, open, now);
            }
        }
    }
}

/// Without anything that a terminal or a reader of lines could take for more than text.
pub(super) fn plain(text: &str) -> String {
    let shown = |c: char| if c == '\'' || c == '"' { c.to_string() } else { c.escape_debug().to_string() };
    text.chars().map(shown).collect()
}

fn read_hello(frame: &[u8]) -> Result<Box<Hello>, DecodeError> {
    let mut buffer = FrameBuffer::default();
    buffer.push(frame);
    let hello = match buffer.next_frame()? {
        Some((kind, body)) => ToStarter::decode(kind, body)?,
        None => return Err(DecodeError::Short),
    };
    match hello {
        ToStarter::Hello(hello) if !buffer.is_partial() => Ok(hello),
        _ => Err(DecodeError::Unknown("first message")),
    }
}

/// Until then, rounded up: a timer is waited for until it is due.
fn timeout(deadline: Option<u64>, now: u64) -> PollTimeout {
    match deadline {
        None => PollTimeout::NONE,
        Some(at) => {
            let ms = at.saturating_sub(now).div_ceil(1_000_000);
            PollTimeout::try_from(ms.min(i32::MAX as u64)).unwrap_or(PollTimeout::MAX)
        }
    }
}
