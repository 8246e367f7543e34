//! One run: the world's events in their order, until every job has ended or a promise was broken.

use super::check::{Checker, Violation};
use super::faults::{Faults, Plant};
use super::link::{Down, Link, Up};
use super::node::{Node, Process, Starter};
use super::scheduler::{Disk, Scheduler, spec_of};
use crate::sim::queue::Queue;
use crate::sim::random::Random;
use dc_model::cluster::node::Incarnation;
use dc_model::cluster::{NodeWants, Wants};
use dc_model::wire::FromStarter;
use dc_model::{Attempt, JobUuid, Outcome, ResultMeta, StopReason, SubtaskId, Tick, Topology};
use dcsched_core::cluster::{Action, Config, Event, Registration, Submission};
use std::collections::BTreeMap;
use std::sync::Arc;

const MS: Tick = 1_000_000;
const SECOND: Tick = 1000 * MS;
/// A run that has not ended by then is stuck.
const ENOUGH: Tick = 4 * 3600 * SECOND;
/// Faults end by then, so that whatever can end does.
const FAULTS_END: Tick = 600 * SECOND;
const LEASE: Tick = 20 * SECOND;
const HEARTBEAT: Tick = LEASE / 6;
const SIGKILL: u8 = 9;

/// Something that happens.
#[derive(Clone, Debug)]
pub enum What {
    /// A message comes to a node, on this connection.
    ToNode(usize, u64, Down),
    /// A message comes to the scheduler, from a node on this connection, in this run of the scheduler.
    ToScheduler(usize, u64, u64, Up),
    /// The scheduler notices that a connection has broken.
    SchedulerLoses(usize, u64, u64),
    /// A node dials.
    Dial(usize),
    /// A node's heartbeat is due.
    Beat(usize, u64),
    /// A rank's process comes to its end.
    Ends(usize, JobUuid, SubtaskId, u64),
    /// A starter's lease may have ended.
    LeaseEnds(usize, JobUuid, u64),
    /// A sync has ended.
    Synced(u64, u64),
    /// A point in time of the core's.
    Due(u64),
    /// The scheduler starts.
    StartScheduler,
    /// A daemon starts.
    StartDcd(usize),
    /// A node has power again.
    PowerOn(usize),
    /// A node goes on.
    Resume(usize),
    /// The disk has space again.
    Space(u64),
    /// A command submits.
    Submit(usize),
    /// A merge has ended.
    Merged(u64, u64),
    /// A chance for a fault.
    Chance,
}

/// A job as its command has it.
struct Wanted {
    uuid: JobUuid,
    key: [u8; 16],
    wants: Wants,
    record: Arc<[u8]>,
    is_acknowledged: bool,
    status: Option<u8>,
}

/// What became of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// The first promise that was broken.
    pub violation: Option<Violation>,
    /// Jobs that ended well, and all jobs.
    pub jobs: (u32, u32),
    /// Schedulers, daemons, starters and nodes killed.
    pub killed: (u32, u32, u32, u32),
    /// Links cut, and nodes paused.
    pub cut: (u32, u32),
    /// Leases that ended with something running.
    pub leases_ended: u32,
    /// Attempts that went on through a restart of the scheduler.
    pub adopted: u32,
    /// Events of the world.
    pub events: u64,
    /// Virtual time, in ns.
    pub took_ns: Tick,
}

struct World {
    random: Random,
    faults: Faults,
    plant: Plant,
    config: Config,
    queue: Queue<What>,
    scheduler: Option<Scheduler>,
    epochs: u64,
    disk: Disk,
    has_space: bool,
    nodes: Vec<Node>,
    /// The connection of each node, as the scheduler has it; and the node's number.
    links: Vec<Option<u64>>,
    numbers: BTreeMap<u32, usize>,
    jobs: Vec<Wanted>,
    processes: u64,
    checker: Checker,
    report: Report,
    actions: Vec<Action>,
    is_trace: bool,
    due_planned: Tick,
}

/// Runs one seed. With `DC_TRACE` set every event is printed.
#[must_use]
pub fn run(seed: u64, faults: Faults, plant: Plant) -> Report {
    let mut random = Random::new(seed);
    let mut config =
        Config { lease_ns: LEASE, client_lost_ns: 3600 * SECOND, begun_ahead: 2, ..Config::default() };
    if plant == Plant::NoMargin {
        config.lease_ns = LEASE / 2;
        config.margin_ns = 0;
    }
    let nodes: Vec<Node> = (0..random.between(1, 5)).map(|at| any_node(&mut random, at as usize)).collect();
    let largest = nodes.iter().map(|node| node.topology.cores.len() as u64).max().unwrap_or(1);
    let jobs: Vec<Wanted> =
        (0..random.between(1, 8)).map(|at| any_job(&mut random, at as u8, largest)).collect();
    let mut world = World {
        links: vec![None; nodes.len()],
        nodes,
        jobs,
        random,
        faults,
        plant,
        config,
        queue: Queue::default(),
        scheduler: None,
        epochs: 0,
        disk: Disk::default(),
        has_space: true,
        numbers: BTreeMap::new(),
        processes: 0,
        checker: Checker::default(),
        report: Report::default(),
        actions: Vec::new(),
        is_trace: std::env::var_os("DC_TRACE").is_some(),
        due_planned: Tick::MAX,
    };
    world.queue.after(0, What::StartScheduler);
    for at in 0..world.nodes.len() {
        let delay = world.random.below(3 * SECOND);
        world.queue.after(delay, What::StartDcd(at));
    }
    for at in 0..world.jobs.len() {
        let delay = world.random.below(30 * SECOND);
        world.queue.after(delay, What::Submit(at));
    }
    world.queue.after(MS, What::Chance);
    world.go_on();
    world.report.took_ns = world.queue.now;
    world.report.violation = world.checker.violation.take();
    world.report
}

fn any_node(random: &mut Random, at: usize) -> Node {
    let cores = random.between(1, 6) as u32;
    Node {
        name: format!("n{at}"),
        topology: Topology::uniform(cores, random.between(1, 3) as u32, random.between(1, 4) as u32),
        drift_ppm: random.between(0, 1000) as i64 - 500,
        slowness_permille: random.between(500, 2500),
        boot: 1,
        start: 0,
        has_dcd: false,
        has_power: true,
        is_paused: false,
        missed: Vec::new(),
        starters: BTreeMap::new(),
        starters_ever: 0,
        link: None,
        is_welcome: false,
        heartbeats: 0,
        sent: BTreeMap::new(),
        lease_until: 0,
        registered: 0,
        heard: 0,
        cut_until: (0, 0),
        links: 0,
    }
}

fn any_job(random: &mut Random, at: u8, cores_max: u64) -> Wanted {
    let subtasks = random.between(1, 20);
    let ranks = if random.chance(300) { subtasks } else { random.between(1, 10) };
    let mut text = format!("{ranks} 1000");
    for _ in 0..subtasks {
        let cells = if random.chance(50) { 0 } else { random.between(1, 20_000) };
        let cores = if random.chance(100) { random.between(1, cores_max.min(3)) } else { 1 };
        text += &format!(" {cells} {cores}");
    }
    let ranks_per_node = if random.chance(200) { 2 } else { 0 };
    let nodes = NodeWants { exclusive: random.chance(100), ranks_per_node, ..NodeWants::default() };
    Wanted {
        uuid: JobUuid([at + 1; 16]),
        key: [at + 1; 16],
        wants: Wants { nodes, ..Wants::default() },
        record: text.into_bytes().into(),
        is_acknowledged: false,
        status: None,
    }
}

impl World {
    fn go_on(&mut self) {
        while self.checker.violation.is_none() {
            let Some(what) = self.queue.next() else { break };
            self.report.events += 1;
            if self.is_trace {
                eprintln!("{:>14} {what:?}", self.queue.now);
            }
            if self.queue.now > ENOUGH {
                let left = self.jobs.iter().filter(|job| job.status.is_none()).map(|job| job.uuid);
                let left = left.collect();
                self.checker.fail(Violation::Stuck(left));
                return;
            }
            if self.is_trace && matches!(what, What::Due(_)) {
                self.explain();
            }
            self.happen(what);
            if self.is_over() {
                break;
            }
        }
        self.check_end();
    }

    /// What the scheduler says of jobs and nodes, for a trace.
    fn explain(&self) {
        let Some(scheduler) = &self.scheduler else { return };
        let cluster = &scheduler.cluster;
        let jobs = cluster.jobs().map(|job| cluster.explain_job(job));
        let nodes = cluster.nodes().map(|node| cluster.explain_node(node.id));
        jobs.chain(nodes).for_each(|text| eprint!("{text}"));
    }

    /// Every job has ended, and all that is left of them has been taken away.
    fn is_over(&self) -> bool {
        let ended = self.jobs.iter().all(|job| job.status.is_some());
        let is_quiet = self.queue.now > FAULTS_END;
        ended
            && is_quiet
            && self
                .nodes
                .iter()
                .all(|node| node.starters.values().all(|starter| starter.processes.is_empty()))
    }

    fn happen(&mut self, what: What) {
        match what {
            What::ToNode(at, link, down) => {
                if self.postponed(at, || What::ToNode(at, link, down.clone())) {
                    return;
                }
                let node = &self.nodes[at];
                let is_late = self.plant == Plant::LateLaunch && matches!(down, Down::Launch { .. });
                if node.has_dcd && (node.link.as_ref().is_some_and(|mine| mine.number == link) || is_late) {
                    self.on_down(at, down);
                }
            }
            What::ToScheduler(at, link, epoch, up) => {
                let is_same = self.scheduler.as_ref().is_some_and(|scheduler| scheduler.epoch == epoch);
                if is_same {
                    self.on_up(at, link, up);
                }
            }
            What::SchedulerLoses(at, link, epoch) => {
                let is_same = self.scheduler.as_ref().is_some_and(|scheduler| scheduler.epoch == epoch);
                if is_same && self.links[at] == Some(link) {
                    self.links[at] = None;
                    if let Some(node) = self.number_of(at) {
                        self.step(Event::Gone { node });
                    }
                }
            }
            What::Dial(at) => {
                if !self.postponed(at, || What::Dial(at)) {
                    self.dial(at);
                }
            }
            What::Beat(at, link) => {
                if !self.postponed(at, || What::Beat(at, link)) {
                    self.beat(at, link);
                }
            }
            What::Ends(at, job, subtask, number) => {
                if !self.postponed(at, || What::Ends(at, job, subtask, number)) {
                    self.ends(at, job, subtask, number);
                }
            }
            What::LeaseEnds(at, job, starter) => {
                if !self.postponed(at, || What::LeaseEnds(at, job, starter)) {
                    self.lease_ends(at, job, starter);
                }
            }
            What::Synced(epoch, seq) => self.synced(epoch, seq),
            What::Due(epoch) => {
                if self.scheduler.as_ref().is_some_and(|scheduler| scheduler.epoch == epoch) {
                    self.due_planned = Tick::MAX;
                    self.step(Event::Due);
                }
            }
            What::StartScheduler => self.start_scheduler(),
            What::StartDcd(at) => {
                let node = &mut self.nodes[at];
                if node.has_power && !node.has_dcd {
                    node.has_dcd = true;
                    node.start += 1;
                    self.dial(at);
                }
            }
            What::PowerOn(at) => {
                let node = &mut self.nodes[at];
                node.has_power = true;
                node.boot += 1;
                self.queue.after(SECOND, What::StartDcd(at));
            }
            What::Resume(at) => self.resume(at),
            What::Space(epoch) => {
                self.has_space = true;
                if self.scheduler.as_ref().is_some_and(|scheduler| scheduler.epoch == epoch) {
                    self.step(Event::Space { there_is: true });
                }
            }
            What::Submit(at) => self.submit(at),
            What::Merged(epoch, job) => {
                if self.scheduler.as_ref().is_some_and(|scheduler| scheduler.epoch == epoch) {
                    self.step(Event::MergeEnded { job, status: 0 });
                }
            }
            What::Chance => self.chance(),
        }
    }

    /// A paused node does it later; one without power never.
    fn postponed(&mut self, at: usize, what: impl FnOnce() -> What) -> bool {
        let node = &mut self.nodes[at];
        if node.is_paused {
            node.missed.push(what());
        }
        node.is_paused || !node.has_power
    }

    fn number_of(&self, at: usize) -> Option<u32> {
        self.numbers.iter().find(|(_, node)| **node == at).map(|(number, _)| *number)
    }

    // ── the scheduler ──

    fn start_scheduler(&mut self) {
        if self.scheduler.is_some() {
            return;
        }
        self.epochs += 1;
        let mut out = Vec::new();
        match Scheduler::start(&self.disk, self.config, self.epochs, self.queue.now, &mut out) {
            Ok(scheduler) => self.scheduler = Some(scheduler),
            Err(violation) => return self.checker.fail(violation),
        }
        self.has_space = true;
        self.due_planned = Tick::MAX;
        self.links.iter_mut().for_each(|link| *link = None);
        self.numbers.clear();
        self.perform(out);
        // Commands that follow a job attach again, and are told of one that has ended.
        if let Some(scheduler) = &self.scheduler {
            for job in &mut self.jobs {
                let id = scheduler.cluster.job_by_uuid(job.uuid);
                let status = id.and_then(|id| scheduler.cluster.job(id)).and_then(|view| view.status());
                job.status = job.status.or(status);
            }
        }
        for job in 0..self.jobs.len() {
            // Its command asks again.
            if !self.jobs[job].is_acknowledged {
                let delay = self.random.below(5 * SECOND);
                self.queue.after(delay, What::Submit(job));
            }
        }
    }

    fn step(&mut self, event: Event) {
        let Some(scheduler) = &mut self.scheduler else { return };
        let mut out = std::mem::take(&mut self.actions);
        scheduler.cluster.step(self.queue.now, event, &mut out);
        self.perform(std::mem::take(&mut out));
        self.actions = out;
    }

    fn perform(&mut self, actions: Vec<Action>) {
        let epoch = self.epochs;
        for action in actions {
            if self.is_trace && !matches!(action, Action::Lease { .. }) {
                eprintln!("{:>14}     {action:?}", "");
            }
            match action {
                Action::Append { seq, record, .. } => {
                    self.disk.records.push(record);
                    assert_eq!(seq, self.disk.records.len() as u64, "records are numbered one by one");
                }
                Action::Sync => {}
                Action::Accepted { uuid, .. } => {
                    let is_durable = self.disk.records[..self.disk.durable].iter().any(|record| {
                        matches!(record, dc_model::cluster::ClusterRecord::Submitted { uuid: kept, .. } if *kept == uuid)
                    });
                    if !is_durable && self.plant == Plant::Nothing {
                        self.checker.fail(Violation::JobLost(uuid));
                    }
                    let job = self.jobs.iter_mut().find(|job| job.uuid == uuid);
                    // Now and then the answer is lost, and the command asks again.
                    if let Some(job) = job
                        && !self.random.chance(100)
                    {
                        job.is_acknowledged = true;
                    }
                }
                Action::Refused { request, .. } => {
                    self.queue.after(5 * SECOND, What::Submit(request as usize));
                }
                Action::Welcome { name, node } => {
                    if let Some(at) = self.nodes.iter().position(|node| node.name == name) {
                        self.numbers.insert(node, at);
                        self.send_down(node, Down::Welcome);
                    }
                }
                Action::Disconnect { node } => {
                    if let Some(at) = self.numbers.get(&node).copied() {
                        self.links[at] = None;
                    }
                }
                Action::Lease { node, number } => self.send_down(node, Down::Lease(number)),
                Action::Open { node, job } => {
                    if let Some(uuid) = self.uuid_of(job) {
                        self.send_down(node, Down::Open(uuid));
                    }
                }
                Action::Launch { node, job, subtask, attempt, rank, placement, after, .. } => {
                    let Some(uuid) = self.uuid_of(job) else { continue };
                    let spec =
                        self.jobs.iter().find(|job| job.uuid == uuid).and_then(|job| spec_of(&job.record));
                    let cells = spec.map_or(1, |spec| spec.needs[subtask.index()].cells);
                    let cpus = placement.cpus;
                    self.send_down(
                        node,
                        Down::Launch { job: uuid, subtask, attempt, rank, cpus, cells, after },
                    );
                }
                Action::LaunchGang { .. } => {}
                Action::Stop { node, job, subtask, attempt, .. } => {
                    self.send_down(node, Down::Stop(job, subtask, attempt));
                }
                Action::Acknowledge { node, job, starter, seq } => {
                    self.send_down(node, Down::Acknowledge(job, starter, seq));
                }
                Action::Close { node, job, .. } => self.send_down(node, Down::Close(job)),
                Action::JobDurable { .. } => {}
                Action::Merge { job } => self.queue.after(SECOND, What::Merged(epoch, job)),
                Action::Ended { job, status } => {
                    let Some(uuid) = self.uuid_of(job) else { continue };
                    if let Some(job) = self.jobs.iter_mut().find(|job| job.uuid == uuid) {
                        job.status = Some(status);
                    }
                }
            }
        }
        self.maybe_sync();
        let due = self.scheduler.as_ref().and_then(|scheduler| scheduler.cluster.due());
        if let Some(due) = due
            && due < self.due_planned
        {
            self.due_planned = due;
            self.queue.after(due.saturating_sub(self.queue.now), What::Due(epoch));
        }
    }

    fn uuid_of(&self, job: u64) -> Option<JobUuid> {
        self.scheduler.as_ref()?.cluster.job(job).map(|job| job.uuid())
    }

    fn maybe_sync(&mut self) {
        let Some(scheduler) = &mut self.scheduler else { return };
        let last = self.disk.records.len() as u64;
        if scheduler.syncing.is_none() && last > self.disk.durable as u64 {
            scheduler.syncing = Some(last);
            let early = self.plant == Plant::EarlyAcknowledgement;
            let delay = self.random.between(MS / 10, 20 * MS);
            let epoch = scheduler.epoch;
            self.queue.after(delay, What::Synced(epoch, last));
            if early {
                self.step(Event::Durable { seq: last });
            }
        }
    }

    fn synced(&mut self, epoch: u64, seq: u64) {
        let Some(scheduler) = &mut self.scheduler else { return };
        if scheduler.epoch != epoch {
            return;
        }
        scheduler.syncing = None;
        self.disk.make_durable(seq as usize, &mut self.checker);
        self.step(Event::Durable { seq });
        self.maybe_sync();
    }

    fn submit(&mut self, at: usize) {
        let job = &self.jobs[at];
        if job.is_acknowledged || job.status.is_some() {
            return;
        }
        let (Some(_), Some(spec)) = (&self.scheduler, spec_of(&job.record)) else { return };
        let submission = Submission {
            uuid: job.uuid,
            key: job.key,
            uid: 1000,
            wants: Box::new(job.wants.clone()),
            record: Arc::clone(&job.record),
            spec: Box::new(spec),
        };
        self.step(Event::Submit { request: at as u64, job: Box::new(submission) });
        self.queue.after(10 * SECOND, What::Submit(at));
    }

    fn on_up(&mut self, at: usize, link: u64, up: Up) {
        if let Up::Register = up {
            self.links[at] = Some(link);
            let node = &self.nodes[at];
            let registration = Registration {
                name: node.name.clone(),
                incarnation: Incarnation { boot: [node.boot; 16], start: node.start },
                topology: node.topology.clone(),
                speed_permille: 0,
                memory_max_bytes: 0,
            };
            return self.step(Event::Registered(Box::new(registration)));
        }
        if self.links[at] != Some(link) {
            return;
        }
        let Some(node) = self.number_of(at) else { return };
        match up {
            Up::Register => {}
            Up::Held(job, starter, held) => {
                self.report.adopted += held.iter().filter(|held| !held.ended).count() as u32;
                self.step(Event::Held { node, job, starter, held });
            }
            Up::Settled => self.step(Event::Settled { node }),
            Up::Heartbeat(number) => self.step(Event::Heard { node, number }),
            Up::Report(job, starter, seq, report) => {
                self.step(Event::Report { node, job, starter, seq, report });
            }
            Up::Closed(job, asked) => self.step(Event::StarterClosed { node, job, asked }),
        }
    }

    // ── the links ──

    fn send_down(&mut self, node: u32, down: Down) {
        let Some(at) = self.numbers.get(&node).copied() else { return };
        let Some(number) = self.links[at] else { return };
        let Some(link) = self.nodes[at].link.as_mut().filter(|link| link.number == number) else { return };
        match link.delay(&mut self.random, self.queue.now, false) {
            Some(delay) => self.queue.after(delay, What::ToNode(at, number, down)),
            None if self.plant == Plant::LateLaunch && matches!(down, Down::Launch { .. }) => {
                self.queue.after(2 * LEASE, What::ToNode(at, number, down));
            }
            None => {}
        }
    }

    fn send_up(&mut self, at: usize, up: Up) {
        let epoch = self.epochs;
        let Some(link) = self.nodes[at].link.as_mut() else { return };
        let number = link.number;
        if let Some(delay) = link.delay(&mut self.random, self.queue.now, true) {
            self.queue.after(delay, What::ToScheduler(at, number, epoch, up));
        }
    }

    fn dial(&mut self, at: usize) {
        let now = self.queue.now;
        let node = &mut self.nodes[at];
        if !node.has_dcd || node.link.is_some() {
            return;
        }
        let is_cut = node.cut_until.0 > now || node.cut_until.1 > now;
        if is_cut || self.scheduler.is_none() {
            let delay = self.random.between(100 * MS, 5 * SECOND);
            return self.queue.after(delay, What::Dial(at));
        }
        node.links += 1;
        node.link = Some(Link::new(node.links));
        (node.is_welcome, node.heard) = (false, now);
        node.registered = node.clock(now);
        let (starters, link) = (node.starters.clone(), node.links);
        self.send_up(at, Up::Register);
        for (job, starter) in &starters {
            let held = if self.plant == Plant::SilentNode { Vec::new() } else { starter.held() };
            self.send_up(at, Up::Held(*job, starter.number, held));
        }
        self.send_up(at, Up::Settled);
        for (job, starter) in &starters {
            for (seq, report) in &starter.reports {
                self.send_up(at, Up::Report(*job, starter.number, *seq, Box::new(report.clone())));
            }
        }
        self.queue.after(HEARTBEAT, What::Beat(at, link));
    }

    /// The node's side of a connection is closed.
    fn hang_up(&mut self, at: usize) {
        let Some(link) = self.nodes[at].link.take() else { return };
        if self.scheduler.is_some() && !link.stalled.0 {
            let delay = self.random.between(MS, 50 * MS);
            let epoch = self.epochs;
            self.queue.after(delay, What::SchedulerLoses(at, link.number, epoch));
        }
        let delay = self.random.between(100 * MS, 5 * SECOND);
        self.queue.after(delay, What::Dial(at));
    }

    fn beat(&mut self, at: usize, link: u64) {
        let now = self.queue.now;
        let node = &mut self.nodes[at];
        if !node.has_dcd || node.link.as_ref().is_none_or(|mine| mine.number != link) {
            return;
        }
        if now - node.heard > 4 * HEARTBEAT {
            return self.hang_up(at);
        }
        if node.is_welcome {
            node.heartbeats += 1;
            let (number, clock) = (node.heartbeats, node.clock(now));
            node.sent.insert(number, clock);
            self.send_up(at, Up::Heartbeat(number));
        }
        self.queue.after(HEARTBEAT, What::Beat(at, link));
    }

    // ── the nodes ──

    fn on_down(&mut self, at: usize, down: Down) {
        let now = self.queue.now;
        let node = &mut self.nodes[at];
        node.heard = now;
        // What was said to it before its lease ended does not hold any more.
        let is_over = node.is_welcome && node.clock(now) >= node.lease_until;
        if is_over && self.plant != Plant::LateLaunch {
            return self.hang_up(at);
        }
        match down {
            Down::Welcome => {
                node.is_welcome = true;
                let until = node.registered + LEASE;
                self.lease(at, until);
            }
            Down::Lease(number) => {
                let node = &mut self.nodes[at];
                let Some(mut sent) = node.sent.remove(&number) else { return };
                node.sent.retain(|other, _| *other > number);
                if self.plant == Plant::LeaseFromReceipt {
                    sent = node.clock(now) + LEASE / 2;
                }
                self.lease(at, sent + LEASE);
            }
            Down::Open(job) => {
                let node = &mut self.nodes[at];
                if node.starters.contains_key(&job) {
                    return;
                }
                node.starters_ever += 1;
                let number = node.starters_ever;
                let lease_until = node.lease_until;
                let wait = node.until(now, lease_until);
                node.starters.insert(job, Starter { number, lease_until, ..Starter::default() });
                self.queue.after(wait, What::LeaseEnds(at, job, number));
            }
            Down::Launch { job, subtask, attempt, rank, cpus, cells, after } => {
                // One that has died was told of, and whatever was on its way to it then is given up.
                let Some(starter) = self.nodes[at].starters.get_mut(&job) else { return };
                if starter.newest.get(&subtask).is_some_and(|newest| *newest >= attempt) {
                    return;
                }
                starter.newest.insert(subtask, attempt);
                self.processes += 1;
                let is_there = |(ahead, of): &(SubtaskId, Attempt)| {
                    starter.processes.get(ahead).is_some_and(|process| process.attempt == *of)
                };
                let behind = after.filter(is_there);
                let number = self.processes;
                let process = Process { attempt, rank, cpus, cells, behind, is_stopped: false, number };
                starter.processes.insert(subtask, process);
                if behind.is_none() {
                    self.begin(at, job, subtask);
                }
            }
            Down::Stop(job, subtask, attempt) => {
                let Some(starter) = self.nodes[at].starters.get_mut(&job) else { return };
                let Some(process) = starter.processes.get_mut(&subtask) else { return };
                if process.attempt == attempt {
                    process.is_stopped = true;
                    let number = process.number;
                    self.queue.after(MS, What::Ends(at, job, subtask, number));
                }
            }
            Down::Acknowledge(job, number, seq) => {
                let starter = self.nodes[at].starters.get_mut(&job);
                if let Some(starter) = starter.filter(|starter| starter.number == number) {
                    starter.reports.retain(|(told, _)| *told > seq);
                }
            }
            Down::Close(job) => {
                self.kill_starter(at, job);
                self.send_up(at, Up::Closed(job, true));
            }
        }
    }

    /// The node's lease, and that of all its starters, lasts until then by its clock.
    fn lease(&mut self, at: usize, until: Tick) {
        let node = &mut self.nodes[at];
        node.lease_until = node.lease_until.max(until);
        let wait = node.until(self.queue.now, until);
        let mut planned = Vec::new();
        for (job, starter) in &mut node.starters {
            starter.lease_until = starter.lease_until.max(until);
            planned.push((*job, starter.number));
        }
        for (job, starter) in planned {
            self.queue.after(wait, What::LeaseEnds(at, job, starter));
        }
    }

    /// A process begins to run.
    fn begin(&mut self, at: usize, job: JobUuid, subtask: SubtaskId) {
        let node = &mut self.nodes[at];
        let Some(process) = node.starters.get_mut(&job).and_then(|s| s.processes.get_mut(&subtask)) else {
            return;
        };
        process.behind = None;
        let lasts = (process.cells * 1000 * 1000).max(1000) * node.slowness_permille / 1000;
        let (attempt, cpus, number) = (process.attempt, process.cpus.clone(), process.number);
        self.checker.on_start((job, subtask), attempt, &node.name, &cpus);
        self.queue.after(lasts, What::Ends(at, job, subtask, number));
    }

    fn ends(&mut self, at: usize, job: JobUuid, subtask: SubtaskId, number: u64) {
        let node = &mut self.nodes[at];
        let Some(starter) = node.starters.get_mut(&job) else { return };
        if starter.processes.get(&subtask).is_none_or(|process| process.number != number) {
            return;
        }
        let Some(process) = starter.processes.remove(&subtask) else { return };
        let is_killed = self.random.chance(self.faults.rank_killed);
        let is_told = self.plant != Plant::KilledEndedWell;
        let outcome = match (process.is_stopped, is_killed) {
            (true, _) | (_, true) if is_told => Outcome::Signalled(SIGKILL),
            _ => Outcome::Exited(0),
        };
        let is_success = !is_killed && !process.is_stopped;
        self.checker.on_end((job, subtask), process.attempt, is_success);
        let attempt = match self.plant {
            Plant::LateEndAccepted => Attempt(process.attempt.0 + u32::from(self.random.chance(100))),
            _ => process.attempt,
        };
        let result = outcome.success().then_some(ResultMeta { len: 1, crc: process.attempt.0 });
        let report = FromStarter::Ended {
            subtask,
            attempt,
            outcome,
            ran_ns: process.cells.max(1) * 1_000_000,
            stopped: process.is_stopped,
            checkpoint: None,
            progress_cells: 0,
            result,
            memory_short: false,
        };
        self.tell(at, job, report);
        self.free(at, job, subtask, process.attempt);
    }

    /// Who waited for this one's end begins.
    fn free(&mut self, at: usize, job: JobUuid, subtask: SubtaskId, attempt: Attempt) {
        let Some(starter) = self.nodes[at].starters.get(&job) else { return };
        let waits = |process: &Process| process.behind == Some((subtask, attempt));
        let next = starter.processes.iter().find(|(_, process)| waits(process)).map(|(id, _)| *id);
        if let Some(next) = next {
            self.begin(at, job, next);
        }
    }

    /// A starter tells something: kept until it is acknowledged.
    fn tell(&mut self, at: usize, job: JobUuid, report: FromStarter) {
        let node = &mut self.nodes[at];
        let Some(starter) = node.starters.get_mut(&job) else { return };
        starter.told += 1;
        let (seq, number) = (starter.told, starter.number);
        starter.reports.push_back((seq, report.clone()));
        if node.has_dcd {
            self.send_up(at, Up::Report(job, number, seq, Box::new(report)));
        }
    }

    fn lease_ends(&mut self, at: usize, job: JobUuid, number: u64) {
        let now = self.queue.now;
        let node = &mut self.nodes[at];
        let clock = node.clock(now);
        let Some(starter) = node.starters.get_mut(&job) else { return };
        if starter.number != number || starter.lease_until > clock || self.plant == Plant::NoLeaseKill {
            return;
        }
        let processes = std::mem::take(&mut starter.processes);
        self.report.leases_ended += u32::from(!processes.is_empty());
        for (subtask, process) in processes {
            self.checker.on_end((job, subtask), process.attempt, false);
            let report = FromStarter::Ended {
                subtask,
                attempt: process.attempt,
                outcome: Outcome::Signalled(SIGKILL),
                ran_ns: 1,
                stopped: true,
                checkpoint: None,
                progress_cells: 0,
                result: None,
                memory_short: false,
            };
            self.tell(at, job, report);
        }
    }

    /// A starter dies, and its ranks with it.
    fn kill_starter(&mut self, at: usize, job: JobUuid) {
        if let Some(starter) = self.nodes[at].starters.remove(&job) {
            for (subtask, process) in starter.processes {
                self.checker.on_end((job, subtask), process.attempt, false);
            }
        }
    }

    fn resume(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if !node.is_paused {
            return;
        }
        node.is_paused = false;
        if !node.has_power {
            node.missed.clear();
            return;
        }
        // Timers that are over go off before anything else is done.
        let over: Vec<_> = node.starters.iter().map(|(job, starter)| (*job, starter.number)).collect();
        over.into_iter().for_each(|(job, starter)| self.lease_ends(at, job, starter));
        let node = &mut self.nodes[at];
        let mut processes = Vec::new();
        for (job, starter) in &node.starters {
            for (subtask, process) in starter.processes.iter().filter(|(_, process)| process.behind.is_none())
            {
                processes.push(((*job, *subtask), process.attempt, process.cpus.clone()));
            }
        }
        let (name, missed) = (node.name.clone(), std::mem::take(&mut node.missed));
        self.checker.on_pause(&name, &processes, false);
        missed.into_iter().for_each(|what| self.happen(what));
    }

    // ── what goes wrong ──

    fn chance(&mut self) {
        let now = self.queue.now;
        if now > FAULTS_END {
            return self.end_faults();
        }
        let delay = self.random.between(MS, 400 * MS);
        self.queue.after(delay, What::Chance);
        let at = self.random.below(self.nodes.len() as u64) as usize;
        let mut happens = |per_myriad: u32| self.random.below(10_000) < u64::from(per_myriad);
        let Faults { scheduler_killed, dcd_killed, starter_killed, node_killed, node_paused, .. } =
            self.faults;
        let kills = [scheduler_killed, dcd_killed, starter_killed, node_killed, node_paused];
        let [scheduler, dcd, starter, node, pause] = kills.map(&mut happens);
        let [cut, full, drain] =
            [self.faults.link_cut, self.faults.disk_full, self.faults.drained].map(&mut happens);
        if scheduler {
            self.kill_scheduler();
        }
        if dcd && self.nodes[at].has_dcd && !self.nodes[at].is_paused {
            self.report.killed.1 += 1;
            self.kill_dcd(at);
            let delay = self.random.below(10 * SECOND);
            self.queue.after(delay, What::StartDcd(at));
        }
        if starter && !self.nodes[at].is_paused {
            self.lose_starter(at);
        }
        if node && self.nodes[at].has_power {
            self.power_off(at);
        }
        if pause && self.nodes[at].has_power && !self.nodes[at].is_paused {
            self.report.cut.1 += 1;
            self.nodes[at].is_paused = true;
            let name = self.nodes[at].name.clone();
            self.checker.on_pause(&name, &[], true);
            let delay = self.random.below(3 * LEASE);
            self.queue.after(delay, What::Resume(at));
        }
        if cut {
            self.cut(at);
        }
        if full && self.has_space && self.scheduler.is_some() {
            self.has_space = false;
            self.step(Event::Space { there_is: false });
            let (delay, epoch) = (self.random.below(20 * SECOND), self.epochs);
            self.queue.after(delay, What::Space(epoch));
        }
        if drain && let Some(node) = self.number_of(at) {
            let drain = self.random.chance(500) && now < FAULTS_END / 2;
            self.step(Event::Drain { node, drain, reason: "a test".to_owned() });
        }
    }

    /// From now on nothing goes wrong, and what an operator has drained is used again.
    fn end_faults(&mut self) {
        let Some(scheduler) = &self.scheduler else { return self.queue.after(SECOND, What::Chance) };
        let drained = scheduler.cluster.nodes().filter(|node| node.drained().is_some());
        for node in drained.map(|node| node.id).collect::<Vec<_>>() {
            self.step(Event::Drain { node, drain: false, reason: String::new() });
        }
    }

    fn kill_scheduler(&mut self) {
        let Some(scheduler) = self.scheduler.take() else { return };
        self.report.killed.0 += 1;
        if self.plant == Plant::Nothing
            && let Err(violation) = self.disk.check_replay(&scheduler.cluster, self.config)
        {
            self.checker.fail(violation);
        }
        self.disk.crash(&mut self.random, self.plant, &mut self.checker);
        for at in 0..self.nodes.len() {
            self.links[at] = None;
            if self.nodes[at].link.take().is_some() {
                let delay = self.random.between(100 * MS, 5 * SECOND);
                self.queue.after(delay, What::Dial(at));
            }
        }
        let delay = self.random.below(8 * SECOND);
        self.queue.after(delay, What::StartScheduler);
    }

    fn kill_dcd(&mut self, at: usize) {
        self.hang_up(at);
        let node = &mut self.nodes[at];
        node.has_dcd = false;
        node.sent.clear();
    }

    fn lose_starter(&mut self, at: usize) {
        let jobs: Vec<JobUuid> = self.nodes[at].starters.keys().copied().collect();
        if jobs.is_empty() {
            return;
        }
        let job = jobs[self.random.below(jobs.len() as u64) as usize];
        self.report.killed.2 += 1;
        self.kill_starter(at, job);
        // Where no daemon sees it, the next one tells of what it finds: nothing.
        if self.nodes[at].has_dcd {
            self.send_up(at, Up::Closed(job, false));
        }
    }

    fn power_off(&mut self, at: usize) {
        self.report.killed.3 += 1;
        let jobs: Vec<JobUuid> = self.nodes[at].starters.keys().copied().collect();
        jobs.into_iter().for_each(|job| self.kill_starter(at, job));
        let node = &mut self.nodes[at];
        (node.has_power, node.has_dcd, node.start) = (false, false, 0);
        node.missed.clear();
        node.sent.clear();
        // Nobody says farewell: the scheduler finds out by itself, or not.
        if let Some(link) = node.link.take()
            && self.random.chance(500)
        {
            let (delay, epoch) = (self.random.below(2 * LEASE), self.epochs);
            self.queue.after(delay, What::SchedulerLoses(at, link.number, epoch));
        }
        let delay = self.random.below(4 * LEASE);
        self.queue.after(delay, What::PowerOn(at));
    }

    fn cut(&mut self, at: usize) {
        let now = self.queue.now;
        let node = &mut self.nodes[at];
        self.report.cut.0 += 1;
        let until = now + self.random.below(3 * LEASE);
        let ways = self.random.between(1, 3);
        let (up, down) = (ways & 1 != 0, ways & 2 != 0);
        if up {
            node.cut_until.0 = node.cut_until.0.max(until);
        }
        if down {
            node.cut_until.1 = node.cut_until.1.max(until);
        }
        if let Some(link) = &mut node.link {
            link.stalled.0 |= up;
            link.stalled.1 |= down;
            if self.random.chance(300) {
                let (number, delay, epoch) = (link.number, self.random.below(2 * LEASE), self.epochs);
                self.queue.after(delay, What::SchedulerLoses(at, number, epoch));
            }
        }
    }

    // ── the end ──

    fn check_end(&mut self) {
        self.report.jobs.1 = self.jobs.len() as u32;
        for job in &self.jobs {
            let Some(status) = job.status else { continue };
            if status != 0 {
                self.checker.fail(Violation::Failed(job.uuid, status));
                continue;
            }
            self.report.jobs.0 += 1;
            let needs = spec_of(&job.record).map_or_else(Vec::new, |spec| spec.needs);
            for (id, need) in (0..).zip(needs) {
                if need.cells > 0 && !self.checker.is_committed((job.uuid, SubtaskId(id))) {
                    self.checker.fail(Violation::SubtaskLost(job.uuid, SubtaskId(id)));
                }
            }
        }
        let _ = StopReason::Error;
    }
}
