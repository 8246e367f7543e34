//! Every message is what it was after its bytes, any cut of it is refused, and the tables name every kind.

use super::client::{FROM_CLIENT, RecordBytes, TO_CLIENT, WhichJob};
use super::node::{FROM_NODE, Held, Incarnation, KillMode, LimitModes, Register, TO_NODE};
use super::peer::{FROM_PEER, TO_PEER};
use super::*;
use crate::wire::{FromStarter, InputThen, Output, OutputAt, ToStarter};
use crate::{Attempt, CpuSet, JobUuid, Rank, Restart, SubtaskId, Topology};

const JOB: JobUuid = JobUuid([7; 16]);

fn wants() -> Box<Wants> {
    Box::new(Wants {
        nodes: NodeWants {
            nodes_min: 1,
            nodes_max: 4,
            ranks_per_node: 2,
            only: vec!["n1".into()],
            except: vec!["n2".into(), "n3".into()],
            exclusive: true,
        },
        time_limit_ns: Some(5),
        detached: true,
        keep: true,
        brief: vec![1, 2],
    })
}

fn from_node() -> Vec<FromNode> {
    let register = Register {
        name: "n1".into(),
        incarnation: Incarnation { boot: [3; 16], start: 9 },
        epoch_seen: 4,
        address: "n1:7070".into(),
        topology: Topology::uniform(4, 2, 2),
        threads_all: 8,
        cores_all: 4,
        packages: 1,
        synthetic: true,
        speed_permille: 900,
        memory_max_bytes: 1 << 30,
        kill: KillMode::Cgroup2,
        limits: LimitModes { memory: true, pids: false, cpuset: true },
        load_centi: 12,
        version: "0.1.0".into(),
    };
    let held = Held {
        subtask: SubtaskId(5),
        attempt: Attempt(2),
        rank: Rank(1),
        cpus: CpuSet::from_iter([1, 70]),
        ended: true,
        from: Some(Restart { attempt: Attempt(1), step: 8 }),
    };
    vec![
        FromNode::Register(Box::new(register)),
        FromNode::Running { job: JOB, starter: 3, held: vec![held.clone(), Held { from: None, ..held }] },
        FromNode::Settled,
        FromNode::Heartbeat { number: 4, load_centi: 5, ranks: 6, done: 7, memory_free_bytes: 8 },
        FromNode::Report { job: JOB, starter: 1, seq: 2, frame: vec![3] },
        FromNode::Closed { job: JOB, asked: true },
        FromNode::CannotOpen { job: JOB, why: "no".into() },
    ]
}

fn to_node() -> Vec<ToNode> {
    vec![
        ToNode::Welcome { epoch: 1, node: 2, lease_ms: 3, heartbeat_ms: 4 },
        ToNode::Lease { number: 5 },
        ToNode::Open { job: JOB, id: 6, uid: 7, record: vec![8], hello: vec![9, 10] },
        ToNode::Order { job: JOB, frames: vec![1] },
        ToNode::Acknowledge { job: JOB, starter: 2, seq: 3 },
        ToNode::Close { job: JOB, remove: true },
        ToNode::Peers { nodes: vec![super::data::NodeAddress { name: "n1".into(), ..Default::default() }] },
    ]
}

fn from_client() -> Vec<FromClient> {
    vec![
        FromClient::Submit { request: 1, key: [2; 16], wants: wants(), record: vec![3] },
        FromClient::Attach { request: 1, job: WhichJob::Id(2), after: 3 },
        FromClient::Stop { request: 1, job: WhichJob::Uuid(JOB), reason: 3, signal: 15 },
        FromClient::Signal {
            request: 1,
            job: WhichJob::Id(2),
            signal: 10,
            subtask: Some(SubtaskId(4)),
            leaders_only: true,
            wants_checkpoint: false,
        },
        FromClient::Merged { job: JOB, status: 1 },
        FromClient::ListNodes { request: 1 },
        FromClient::ListJobs { request: 1, ids: vec![2, 3], ended: true },
        FromClient::ListSubtasks { request: 1, job: WhichJob::Id(2), from: 3, count_max: 4 },
        FromClient::Drain { request: 1, nodes: vec!["n1".into()], drain: true, reason: "disk".into() },
        FromClient::Explain { request: 1, what: "2".into() },
        FromClient::Reload { request: 1 },
        FromClient::Window { job: JOB, seq: 2 },
        FromClient::ResultsLost { job: JOB, subtasks: vec![SubtaskId(3)] },
    ]
}

fn to_client() -> Vec<ToClient> {
    let node = NodeRow { number: 1, name: "n1".into(), state: NodeState::Suspect, ..NodeRow::default() };
    let job = JobRow {
        id: 1,
        uuid: JOB,
        name: "ocean".into(),
        uid: 1000,
        state: "running".into(),
        reason: String::new(),
        status: Some(3),
        ranks: 4,
        cores: 5,
        nodes: 6,
        subtasks: 7,
        subtasks_done: 8,
        cells: 9,
        cells_done: 10,
        ran_ms: Some(11),
        left_ms: None,
    };
    let subtask = SubtaskRow {
        subtask: SubtaskId(1),
        state: "computing".into(),
        cells: 2,
        cells_done: 3,
        attempt: Attempt(4),
        rank: Some(Rank(5)),
        node: "n1".into(),
        ran_ms: None,
        left_ms: Some(6),
    };
    let record = RecordBytes { kind: 2, payload: vec![1, 2, 3] };
    vec![
        ToClient::Accepted { request: 1, id: 2, uuid: JOB },
        ToClient::Refused { request: 1, status: 125, text: "no".into() },
        ToClient::Records { job: JOB, first_seq: 4, records: vec![record.clone(), record], durable_seq: 3 },
        ToClient::Report { job: JOB, node: 1, frame: vec![2] },
        ToClient::Merge { job: JOB },
        ToClient::Ended { job: JOB, status: 2 },
        ToClient::Nodes { request: 1, nodes: vec![node] },
        ToClient::Jobs { request: 1, jobs: vec![job], last: true },
        ToClient::Subtasks { request: 1, subtasks: vec![subtask], last: false },
        ToClient::Text { request: 1, text: "yes".into() },
        ToClient::Attached { request: 1, id: 2, wants: wants(), record: vec![3], seq: 4, state: vec![5] },
    ]
}

fn from_peer() -> Vec<FromPeer> {
    let input = ToStarter::Input {
        subtask: SubtaskId(1),
        attempt: Attempt(2),
        at: 3,
        bytes: vec![4, 5],
        then: InputThen::End,
    };
    vec![
        FromPeer::Attach { job: JOB, have: Some(OutputAt { starter_inc: 1, offset: 2 }) },
        FromPeer::Taken { at: OutputAt { starter_inc: 1, offset: 2 } },
        FromPeer::Input(Box::new(input)),
        FromPeer::Alive,
    ]
}

fn to_peer() -> Vec<ToPeer> {
    let (subtask, attempt) = (SubtaskId(1), Attempt(2));
    let frame =
        Output { subtask, attempt, rank: Rank(3), stderr: true, last: false, bytes: b"line\n".to_vec() };
    vec![
        ToPeer::From(OutputAt { starter_inc: 1, offset: 2 }),
        ToPeer::Output { end: 4, frame },
        ToPeer::WantInput(FromStarter::WantInput { subtask, attempt, at: 5, room: 6 }),
        ToPeer::Ended { starter_inc: 1 },
        ToPeer::Refused { text: "no".into() },
        ToPeer::Alive,
    ]
}

#[test]
fn a_peer_sends_nothing_but_input_as_input() {
    let mut bytes = Vec::new();
    ToStarter::KillAll.encode(&mut bytes);
    assert!(FromPeer::decode(0x82, &bytes).is_err());
    bytes.clear();
    FromStarter::Notice { text: "x".into() }.encode(&mut bytes);
    assert!(ToPeer::decode(0x92, &bytes).is_err());
}

pub(super) fn check<M: PartialEq + std::fmt::Debug>(
    all: &[M],
    table: &[Kind],
    parts: impl Fn(&M) -> (u8, Vec<u8>),
    decode: impl Fn(u8, &[u8]) -> Result<M, crate::codec::DecodeError>,
) {
    let mut kinds: Vec<u8> = Vec::new();
    for message in all {
        let (kind, body) = parts(message);
        assert_eq!(decode(kind, &body).as_ref(), Ok(message));
        for cut in 0..body.len() {
            assert!(decode(kind, &body[..cut]).is_err(), "{message:?} cut at {cut}");
        }
        let longer = [&body[..], &[0]].concat();
        assert!(decode(kind, &longer).is_err(), "{message:?} with a byte more");
        let (_, name, bytes_max) = table.iter().find(|row| row.0 == kind).expect("in the table");
        assert!(body.len() <= *bytes_max, "{name} is capped below what it takes");
        kinds.push(kind);
    }
    kinds.sort_unstable();
    let listed: Vec<u8> = table.iter().map(|row| row.0).collect();
    assert_eq!(kinds, listed, "every kind of the table, once");
}

#[test]
fn every_message_is_what_it_was() {
    check(&from_node(), FROM_NODE, |m| (m.kind(), m.body()), FromNode::decode);
    check(&to_node(), TO_NODE, |m| (m.kind(), m.body()), ToNode::decode);
    check(&from_client(), FROM_CLIENT, |m| (m.kind(), m.body()), FromClient::decode);
    check(&to_client(), TO_CLIENT, |m| (m.kind(), m.body()), ToClient::decode);
    check(&from_peer(), FROM_PEER, |m| (m.kind(), m.body()), FromPeer::decode);
    check(&to_peer(), TO_PEER, |m| (m.kind(), m.body()), ToPeer::decode);
}

/// The bytes of version 1: a change here is a change of the version.
#[test]
fn the_bytes_are_these() {
    let hex = |kind: u8, body: Vec<u8>| {
        let digits: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{kind:02x} {digits}\n")
    };
    let mut text = format!("version {VERSION}\n");
    from_node().iter().for_each(|m| text += &hex(m.kind(), m.body()));
    to_node().iter().for_each(|m| text += &hex(m.kind(), m.body()));
    from_client().iter().for_each(|m| text += &hex(m.kind(), m.body()));
    to_client().iter().for_each(|m| text += &hex(m.kind(), m.body()));
    from_peer().iter().for_each(|m| text += &hex(m.kind(), m.body()));
    to_peer().iter().for_each(|m| text += &hex(m.kind(), m.body()));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cluster/golden.hex");
    if std::env::var_os("DC_REWRITE").is_some() {
        std::fs::write(path, &text).expect("the file can be written");
    }
    assert_eq!(text, include_str!("golden.hex"), "set DC_REWRITE=1 to write them anew, with a new version");
}
