//! How the core of a cluster bears a million subtasks on a thousand nodes of 128 cores, as one job and as ten thousand:
//! bytes, time of a step, time of a subtask.
//! Run by hand, built for release: `cargo test --release -p dcsched-core --test scale_cluster -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used)]
// It measures, and tells.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

use dc_model::cluster::Wants;
use dc_model::cluster::node::Incarnation;
use dc_model::wire::FromStarter;
use dc_model::{Attempt, JobUuid, Outcome, SubtaskId, Topology};
use dcsched_core::cluster::{Action, Cluster, Config, Event, JobId, NodeId, Registration, Submission};
use dcsched_core::job::{JobSpec, Need};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

const NODES: u32 = 1000;
const CORES: u32 = 128;

fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// What stands for a job record here: how many subtasks. Beside that as many bytes as a usual one has.
fn record(subtasks: u64) -> Arc<[u8]> {
    let mut bytes = subtasks.to_le_bytes().to_vec();
    bytes.resize(3000, 0);
    bytes.into()
}

fn spec_of(_: &Wants, record: &[u8]) -> Option<JobSpec> {
    let subtasks = u64::from_le_bytes(record.get(..8)?.try_into().ok()?);
    let need = |n: u64| Need { cells: 1000 + n.wrapping_mul(2_654_435_761) % 9000, cores: 1, mem_bytes: 0 };
    let ranks = subtasks.min(u64::from(NODES * CORES)) as u32;
    let none = Topology { host: String::new(), cores: Vec::new(), numa: Vec::new() };
    let plain = JobSpec::plain((0..subtasks).map(need).collect(), ranks);
    Some(JobSpec { topology: none, releases: true, ..plain })
}

struct World {
    core: Cluster,
    seq: u64,
    wants_sync: bool,
    running: Vec<(NodeId, JobId, SubtaskId, Attempt)>,
    uuids: BTreeMap<JobId, JobUuid>,
    accepted: u64,
    ended: u64,
    records: u64,
    out: Vec<Action>,
    times_ns: Vec<u64>,
}

impl World {
    fn step(&mut self, event: Event) {
        let start = Instant::now();
        self.core.step(1, event, &mut self.out);
        self.times_ns.push(start.elapsed().as_nanos() as u64);
        for action in self.out.drain(..) {
            match action {
                Action::Append { seq, .. } => (self.seq, self.records) = (seq, self.records + 1),
                Action::Sync => self.wants_sync = true,
                Action::Accepted { job, uuid, .. } => {
                    self.accepted += 1;
                    self.uuids.insert(job, uuid);
                }
                Action::Launch { node, job, subtask, attempt, .. } => {
                    self.running.push((node, job, subtask, attempt));
                }
                Action::Ended { status, .. } => {
                    assert_eq!(status, 0);
                    self.ended += 1;
                }
                _ => {}
            }
        }
    }

    /// As the daemon's journal: all that was decided, as often as somebody waits.
    fn sync(&mut self) {
        while std::mem::take(&mut self.wants_sync) {
            let seq = self.seq;
            self.step(Event::Durable { seq });
        }
    }

    fn told(&mut self, what: &str, count: u64) {
        self.times_ns.sort_unstable();
        let times = &self.times_ns;
        let at = |permille: usize| times[(times.len() - 1) * permille / 1000] as f64 / 1000.0;
        let all_ns: u64 = times.iter().sum();
        println!(
            "{what}: {} steps, {:.2} us each of {count}; a step: p50 {:.1} us, p99 {:.1} us, p99.9 {:.1} us, most {:.1} us",
            times.len(),
            all_ns as f64 / count as f64 / 1000.0,
            at(500),
            at(990),
            at(999),
            at(1000),
        );
        self.times_ns.clear();
    }
}

fn run(name: &str, jobs: u64, subtasks: u64) {
    let before = resident_bytes();
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let config = Config { client_lost_ns: u64::MAX, ..Config::default() };
    let mut world = World {
        core: Cluster::new(config).with_specs(spec_of),
        seq: 0,
        wants_sync: false,
        running: Vec::new(),
        uuids: BTreeMap::new(),
        accepted: 0,
        ended: 0,
        records: 0,
        out: Vec::new(),
        times_ns: Vec::new(),
    };
    world.step(Event::Begin);
    world.times_ns.clear();
    for number in 1..=jobs {
        let (wants, record) = (Wants { detached: true, ..Wants::default() }, record(subtasks));
        let mut uuid = [0; 16];
        uuid[..8].copy_from_slice(&number.to_be_bytes());
        let spec = Box::new(spec_of(&wants, &record).unwrap());
        let job = Submission { uuid: JobUuid(uuid), key: uuid, uid: 1, wants: Box::new(wants), record, spec };
        world.step(Event::Submit { request: number, job: Box::new(job) });
        if number % 100 == 0 {
            world.sync();
        }
    }
    world.sync();
    assert_eq!(world.accepted, jobs);
    world.told(&format!("{name}: submitted"), jobs);
    println!("{name}: {:.0} MiB queued", mib(resident_bytes() - before));

    for number in 1..=NODES {
        world.step(Event::Registered(Box::new(Registration {
            name: format!("n{number}"),
            incarnation: Incarnation { boot: [1; 16], start: 1 },
            topology: Topology::uniform(CORES, 16, 64),
            speed_permille: 0,
            memory_max_bytes: 0,
        })));
        world.step(Event::Settled { node: number });
        if number % 10 == 0 {
            world.sync();
        }
    }
    world.sync();
    world.told(&format!("{name}: {NODES} nodes come"), u64::from(NODES));
    println!("{name}: {:.0} MiB with all cores busy", mib(resident_bytes() - before));

    let mut reports: VecDeque<u64> = VecDeque::new();
    let mut done = 0u64;
    while !world.running.is_empty() {
        // One somewhere in the middle, so that nodes are freed in no order.
        let at = (done as usize).wrapping_mul(7919) % world.running.len();
        let (node, job, subtask, attempt) = world.running.swap_remove(at);
        let report = FromStarter::Ended {
            subtask,
            attempt,
            outcome: Outcome::Exited(0),
            ran_ns: 1_000_000_000,
            stopped: false,
            checkpoint: None,
            progress_cells: 0,
            result: None,
            memory_short: false,
        };
        let uuid = world.uuids[&job];
        done += 1;
        world.step(Event::Report { node, job: uuid, starter: 1, seq: done, report: Box::new(report) });
        reports.push_back(done);
        // Some reports come between two syncs.
        if done.is_multiple_of(16) || world.running.is_empty() {
            world.sync();
        }
    }
    assert_eq!((done, world.ended), (jobs * subtasks, jobs));
    world.told(&format!("{name}: run"), done);
    println!(
        "{name}: {:.2} records a subtask, {:.0} MiB at the end",
        world.records as f64 / done as f64,
        mib(resident_bytes() - before)
    );
}

#[test]
#[ignore = "takes a minute, and a machine of its own"]
fn a_million_subtasks_of_one_job() {
    run("one job", 1, 1_000_000);
}

#[test]
#[ignore = "takes a minute, and a machine of its own"]
fn a_million_subtasks_of_ten_thousand_jobs() {
    run("10,000 jobs", 10_000, 100);
}
