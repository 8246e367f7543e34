//! What single events do, told by short worlds without a network: docs/cluster-states.md is held to the code here.

use super::{Action, Cluster, Config, Event, JobId, NodeId, Registration, Submission};
use crate::job::{JobSpec, Need};
use dc_model::cluster::node::{Held, Incarnation};
use dc_model::cluster::{ClusterRecord, NodeWants, Wants};
use dc_model::wire::FromStarter;
use dc_model::{Attempt, CpuSet, JobUuid, Outcome, Rank, Record, StopReason, SubtaskId, Topology};
use std::collections::BTreeMap;

const SECOND: u64 = 1_000_000_000;

/// A cluster whose disk is as fast as it is asked, and what it has asked for.
struct World {
    cluster: Cluster,
    now: u64,
    records: Vec<ClusterRecord>,
    launched: BTreeMap<(JobId, SubtaskId), (NodeId, Attempt, CpuSet, Rank)>,
    seen: Vec<Action>,
}

fn spec(record: &[u8]) -> JobSpec {
    let needs = record.iter().map(|cores| Need { cells: 1000, cores: u32::from(*cores), mem_bytes: 0 });
    let mut spec = JobSpec::plain(needs.collect(), record.len() as u32);
    spec.topology.cores.clear();
    spec.topology.numa.clear();
    spec.releases = true;
    spec
}

impl World {
    fn new() -> Self {
        Self::after(Vec::new(), 0)
    }

    /// A scheduler that starts with this journal.
    fn after(records: Vec<ClusterRecord>, now: u64) -> Self {
        let mut cluster = Cluster::new(Config::default());
        for record in &records {
            cluster.replay(record, |_, bytes| Some(spec(bytes))).unwrap();
        }
        cluster.set_last_seq(records.len() as u64);
        let mut world = Self { cluster, now, records, launched: BTreeMap::new(), seen: Vec::new() };
        world.step(Event::Begin);
        world
    }

    fn step(&mut self, event: Event) {
        let mut out = Vec::new();
        self.cluster.step(self.now, event, &mut out);
        for action in &out {
            match action {
                Action::Append { seq, record, .. } => {
                    self.records.push(record.clone());
                    assert_eq!(*seq, self.records.len() as u64);
                }
                Action::Launch { node, job, subtask, attempt, rank, placement, .. } => {
                    let what = (*node, *attempt, placement.cpus.clone(), *rank);
                    self.launched.insert((*job, *subtask), what);
                }
                _ => {}
            }
        }
        self.seen.extend(out);
    }

    /// All that was decided is on disk, and what follows from that, until nothing does.
    fn sync(&mut self) {
        loop {
            let seq = self.records.len() as u64;
            self.step(Event::Durable { seq });
            if self.records.len() as u64 == seq {
                return;
            }
        }
    }

    fn wait(&mut self, ns: u64) {
        self.now += ns;
        self.step(Event::Due);
        self.sync();
    }

    fn register(&mut self, name: &str, cores: u32, start: u64) -> NodeId {
        self.step(Event::Registered(Box::new(Registration {
            name: name.to_owned(),
            incarnation: Incarnation { boot: [1; 16], start },
            topology: Topology::uniform(cores, cores, cores),
            speed_permille: 0,
            memory_max_bytes: 0,
        })));
        self.cluster.node_by_name(name).unwrap()
    }

    fn node(&mut self, name: &str, cores: u32) -> NodeId {
        let node = self.register(name, cores, 1);
        self.step(Event::Settled { node });
        self.sync();
        node
    }

    fn submit_as(&mut self, key: u8, cores: &[u8], nodes: NodeWants) -> JobId {
        let job = Submission {
            uuid: JobUuid([key; 16]),
            key: [key; 16],
            uid: 1000,
            wants: Box::new(Wants { nodes, ..Wants::default() }),
            record: cores.into(),
            spec: Box::new(spec(cores)),
        };
        self.step(Event::Submit { request: u64::from(key), job: Box::new(job) });
        self.sync();
        self.cluster.job_by_uuid(JobUuid([key; 16])).unwrap_or(0)
    }

    fn submit(&mut self, key: u8, cores: &[u8]) -> JobId {
        self.submit_as(key, cores, NodeWants::default())
    }

    /// A subtask's attempt ends well, or as it is said.
    fn ends(&mut self, job: JobId, subtask: u32, outcome: Outcome) {
        let subtask = SubtaskId(subtask);
        let (node, attempt, ..) = self.launched.remove(&(job, subtask)).unwrap();
        let report = FromStarter::Ended {
            subtask,
            attempt,
            outcome,
            ran_ns: SECOND,
            stopped: false,
            checkpoint: None,
            progress_cells: 0,
            result: None,
            memory_short: false,
        };
        let uuid = self.cluster.job(job).unwrap().uuid();
        self.step(Event::Report { node, job: uuid, starter: 1, seq: 1, report: Box::new(report) });
        self.sync();
    }

    fn nodes_of(&self, job: JobId) -> Vec<NodeId> {
        let of = self.launched.iter().filter(|((id, _), _)| *id == job);
        let mut nodes: Vec<_> = of.map(|(_, (node, ..))| *node).collect();
        nodes.sort_unstable();
        nodes
    }

    fn state(&self, node: NodeId) -> &'static str {
        self.cluster.node(node).unwrap().state.word()
    }

    fn take(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.seen)
    }
}

#[test]
fn a_job_is_launched_on_all_nodes_and_ends() {
    let mut world = World::new();
    world.node("a", 2);
    world.node("b", 1);
    let job = world.submit(1, &[1, 1, 1]);
    assert_eq!(world.nodes_of(job), [1, 1, 2]);
    world.take();
    (0..3).for_each(|subtask| world.ends(job, subtask, Outcome::Exited(0)));
    let ended = world.take();
    assert!(ended.contains(&Action::Ended { job, status: 0 }), "{ended:?}");
    let uuid = JobUuid([1; 16]);
    for node in [1, 2] {
        assert!(ended.contains(&Action::Close { node, job: uuid, remove: true }));
        assert!(
            ended.iter().any(|action| matches!(action, Action::Acknowledge { node: of, .. } if *of == node))
        );
    }
}

#[test]
fn the_tail_of_one_job_is_filled_by_the_next() {
    let mut world = World::new();
    world.node("a", 2);
    let first = world.submit(1, &[1, 1, 1]);
    let second = world.submit(2, &[1, 1]);
    assert_eq!((world.nodes_of(first).len(), world.nodes_of(second).len()), (2, 0));
    assert_eq!(world.cluster.reason(second), "waits for 1 free cores on a node");
    world.ends(first, 0, Outcome::Exited(0));
    assert_eq!((world.nodes_of(first).len(), world.nodes_of(second).len()), (2, 0), "the first one's third");
    world.ends(first, 1, Outcome::Exited(0));
    assert_eq!((world.nodes_of(first).len(), world.nodes_of(second).len()), (1, 1));
}

#[test]
fn what_a_job_wants_of_nodes() {
    let mut world = World::new();
    let (a, b) = (world.node("a", 2), world.node("b", 4));
    let only = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let job = world.submit_as(1, &[1; 3], NodeWants { only: only(&["a"]), ..NodeWants::default() });
    assert_eq!(world.nodes_of(job), [a, a]);
    let job = world.submit_as(2, &[1], NodeWants { except: only(&["b", "c"]), ..NodeWants::default() });
    assert_eq!(world.nodes_of(job), [], "a is full");
    let one_each = world.submit_as(3, &[1; 2], NodeWants { ranks_per_node: 1, ..NodeWants::default() });
    assert_eq!(world.nodes_of(one_each), [b]);
    world.ends(one_each, 0, Outcome::Exited(0));
    assert_eq!(world.nodes_of(one_each), [b], "one after the other");
    let job = world.submit_as(4, &[1; 2], NodeWants { exclusive: true, ..NodeWants::default() });
    assert_eq!(world.nodes_of(job), [], "no node is without others");
    let c = world.node("c", 3);
    assert!(world.nodes_of(job).iter().all(|node| *node == c) && !world.nodes_of(job).is_empty());
    let job = world.submit(5, &[1]);
    assert_eq!(world.nodes_of(job), [b], "not beside the exclusive one");
    let missing = world.submit_as(6, &[1], NodeWants { only: only(&["nobody"]), ..NodeWants::default() });
    assert_eq!(missing, 0);
    assert!(world.take().iter().any(|action| matches!(action, Action::Refused { request: 6, .. })));
}

#[test]
fn several_nodes_at_once_or_none() {
    let mut world = World::new();
    let a = world.node("a", 2);
    let job = world.submit_as(1, &[1; 4], NodeWants { nodes_min: 1, nodes_max: 1, ..NodeWants::default() });
    assert_eq!(world.nodes_of(job), [a, a]);
    let b = world.node("b", 2);
    assert_eq!(world.nodes_of(job), [a, a], "one node at most");
    let two = NodeWants { nodes_min: 2, nodes_max: 2, ..NodeWants::default() };
    let both = world.submit_as(2, &[1; 2], two);
    let behind = world.submit(3, &[1]);
    assert_eq!((world.nodes_of(both), world.nodes_of(behind)), (vec![], vec![]), "nobody overtakes it");
    (0..4).for_each(|subtask| world.ends(job, subtask, Outcome::Exited(0)));
    assert_eq!(world.nodes_of(both), [a, b]);
    assert_eq!(world.nodes_of(behind).len(), 1);
}

#[test]
fn a_key_makes_one_job() {
    let mut world = World::new();
    let job = world.submit(1, &[1]);
    world.take();
    assert_eq!(world.submit(1, &[1]), job);
    let accepted = Action::Accepted { request: 1, job, uuid: JobUuid([1; 16]) };
    assert!(world.take().contains(&accepted));
    let submitted = world.records.iter().filter(|record| matches!(record, ClusterRecord::Submitted { .. }));
    assert_eq!(submitted.count(), 1);
}

#[test]
fn nobody_is_told_before_it_is_on_disk() {
    let mut world = World::new();
    let job = Submission {
        uuid: JobUuid([1; 16]),
        key: [1; 16],
        uid: 1000,
        wants: Box::default(),
        record: [1u8][..].into(),
        spec: Box::new(spec(&[1])),
    };
    world.step(Event::Submit { request: 7, job: Box::new(job) });
    let told = |action: &Action| matches!(action, Action::Accepted { .. });
    assert!(!world.take().iter().any(told));
    world.sync();
    assert!(world.take().iter().any(told));
}

#[test]
fn on_a_full_disk_what_runs_goes_on_and_nothing_begins() {
    let mut world = World::new();
    world.node("a", 1);
    let job = world.submit(1, &[1]);
    world.step(Event::Space { there_is: false });
    assert_eq!(world.submit(2, &[1]), 0);
    assert!(world.take().iter().any(|action| matches!(action, Action::Refused { request: 2, .. })));
    world.ends(job, 0, Outcome::Exited(0));
    assert!(world.take().contains(&Action::Ended { job, status: 0 }));
    world.step(Event::Space { there_is: true });
    assert!(world.submit(2, &[1]) > job);
}

#[test]
fn a_silent_nodes_work_goes_to_others_when_its_lease_has_surely_ended() {
    let mut world = World::new();
    let a = world.node("a", 1);
    let job = world.submit(1, &[1]);
    let b = world.node("b", 1);
    assert_eq!(world.nodes_of(job), [a]);
    world.step(Event::Followers { job, count: 1 });
    world.step(Event::Gone { node: a });
    world.wait(61 * SECOND);
    assert_eq!((world.state(a), world.nodes_of(job)), ("suspect", vec![a]));
    world.step(Event::Heard { node: b, number: 1 });
    world.wait(2 * SECOND);
    assert_eq!((world.state(a), world.nodes_of(job)), ("lost", vec![b]));
    assert_eq!(world.launched[&(job, SubtaskId(0))].1, Attempt(2));
    // It is back, and still runs what was given up.
    world.take();
    world.register("a", 1, 1);
    world.step(Event::Held { node: a, job: JobUuid([1; 16]), starter: 1, held: vec![held(0, 1, &[0], 0)] });
    world.step(Event::Settled { node: a });
    let killed = Action::Stop {
        node: a,
        job: JobUuid([1; 16]),
        subtask: SubtaskId(0),
        attempt: Attempt(1),
        signal: 9,
    };
    assert!(world.take().contains(&killed));
    assert_eq!(world.nodes_of(job), [b]);
}

fn held(subtask: u32, attempt: u32, cpus: &[u32], rank: u32) -> Held {
    Held {
        subtask: SubtaskId(subtask),
        attempt: Attempt(attempt),
        rank: Rank(rank),
        cpus: cpus.iter().copied().collect(),
        ended: false,
        from: None,
    }
}

#[test]
fn what_runs_goes_on_through_a_restart_of_the_scheduler() {
    let mut before = World::new();
    before.node("a", 2);
    let job = before.submit(1, &[1, 1, 1]);
    let mut world = World::after(before.records, 5 * SECOND);
    assert_eq!(world.state(1), "suspect");
    world.register("a", 2, 1);
    let both = vec![held(0, 1, &[0], 0), held(1, 1, &[1], 1)];
    world.step(Event::Held { node: 1, job: JobUuid([1; 16]), starter: 1, held: both });
    world.step(Event::Settled { node: 1 });
    world.sync();
    assert!(world.launched.is_empty(), "both cores are taken");
    world.launched.insert((job, SubtaskId(0)), (1, Attempt(1), CpuSet::new(), Rank(0)));
    world.ends(job, 0, Outcome::Exited(0));
    assert_eq!(world.launched[&(job, SubtaskId(2))].2, CpuSet::from_iter([0]));
}

#[test]
fn what_no_node_knows_of_is_done_again() {
    let mut before = World::new();
    before.node("a", 2);
    let job = before.submit(1, &[1, 1]);
    let mut world = World::after(before.records, 5 * SECOND);
    world.register("a", 2, 1);
    world.step(Event::Held { node: 1, job: JobUuid([1; 16]), starter: 1, held: vec![held(0, 1, &[0], 0)] });
    world.step(Event::Settled { node: 1 });
    world.sync();
    assert_eq!(world.launched[&(job, SubtaskId(1))].1, Attempt(2));
    assert!(!world.launched.contains_key(&(job, SubtaskId(0))));
}

#[test]
fn a_scheduler_that_starts_again_waits_for_the_longest_lease_it_told() {
    let mut before = World::new();
    before.node("a", 1);
    before.submit(1, &[1]);
    let mut cluster = Cluster::new(Config { lease_ns: SECOND, ..Config::default() });
    for record in &before.records {
        cluster.replay(record, |_, bytes| Some(spec(bytes))).unwrap();
    }
    cluster.set_last_seq(before.records.len() as u64);
    cluster.step(0, Event::Begin, &mut Vec::new());
    assert!(cluster.lease_due(1).unwrap() > 60 * SECOND);
}

#[test]
fn a_job_whose_command_is_gone_waits_for_it_for_a_while() {
    let mut world = World::new();
    world.node("a", 1);
    let job = world.submit(1, &[1]);
    world.step(Event::Followers { job, count: 1 });
    world.step(Event::Followers { job, count: 0 });
    world.wait(59 * SECOND);
    world.step(Event::Heard { node: 1, number: 1 });
    assert!(!world.take().iter().any(|action| matches!(action, Action::Stop { .. })));
    world.wait(2 * SECOND);
    assert!(world.take().iter().any(|action| matches!(action, Action::Stop { signal: 1, .. })));
    assert!(
        world.records.contains(&ClusterRecord::Job {
            job,
            record: Record::Stopping { reason: StopReason::Signal(1) }
        })
    );
}

#[test]
fn a_snapshot_is_the_state() {
    let mut world = World::new();
    world.node("a", 2);
    let job = world.submit(1, &[1, 1, 1]);
    world.submit(2, &[2]);
    world.ends(job, 0, Outcome::Exited(0));
    world.step(Event::Drain { node: 1, drain: true, reason: "disk".to_owned() });
    let bytes = world.cluster.state_to_bytes();
    let mut of = |_: &Wants, bytes: &[u8]| Some(spec(bytes));
    let again = Cluster::state_from_bytes(Config::default(), &bytes, &mut of).unwrap();
    assert_eq!(again.projection(), world.cluster.projection());
    assert_eq!(again.state_to_bytes(), bytes);
    for cut in 0..bytes.len() {
        assert!(cut == 0 || Cluster::state_from_bytes(Config::default(), &bytes[..cut], &mut of).is_err());
    }
}

/// The table of docs/cluster-states.md, by its first column.
fn table() -> BTreeMap<String, BTreeMap<String, String>> {
    let page = include_str!("../../../../docs/cluster-states.md");
    let lines = page.lines().skip_while(|line| !line.starts_with("| | registers"));
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let mut rows = lines.take_while(|line| line.starts_with('|')).map(cells);
    let heads = rows.next().unwrap();
    let row = |row: Vec<String>| {
        let of = heads.iter().cloned().zip(row.iter().cloned()).skip(1).collect();
        (row[0].clone(), of)
    };
    rows.skip(1).map(row).collect()
}

#[test]
fn nodes_move_as_the_document_says() {
    let table = table();
    assert_eq!(table.len(), 4);
    for (from, row) in &table {
        assert_eq!(row.len(), 5);
        for (what, to) in row {
            let mut world = World::new();
            let node = world.node("a", 1);
            match from.as_str() {
                "up" => {}
                "drained" => {
                    world.step(Event::Drain { node, drain: true, reason: "disk".to_owned() });
                }
                "suspect" => world.step(Event::Gone { node }),
                "lost" => {
                    world.step(Event::Gone { node });
                    world.wait(70 * SECOND);
                }
                other => panic!("a state {other}"),
            }
            assert_eq!(world.state(node), from);
            match what.as_str() {
                "registers" => {
                    world.node("a", 1);
                }
                "is cut off" => world.step(Event::Gone { node }),
                "its lease ends" => world.wait(70 * SECOND),
                "drain" => world.step(Event::Drain { node, drain: true, reason: "disk".to_owned() }),
                "resume" => {
                    world.step(Event::Drain { node, drain: false, reason: String::new() });
                }
                other => panic!("an event {other}"),
            }
            assert_eq!(world.state(node), to, "{from}, {what}");
        }
    }
}
