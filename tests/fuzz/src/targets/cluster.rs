//! What the processes of a cluster say to each other, and a scheduler's snapshot. What is decoded is encoded and decoded as
//! the same; a state that is accepted can be gone on with.

use dc_model::cluster::data::{FromData, ToData};
use dc_model::cluster::peer::{FromPeer, ToPeer};
use dc_model::cluster::{FromClient, FromNode, ToClient, ToNode, Wants};
use dcsched_core::cluster::{Cluster, Config, Event};
use dcsched_core::job::{JobSpec, Need};

/// One of each message, as their own tests keep them: a kind and a body a line.
const GOLDEN: &str = concat!(
    include_str!("../../../../model/src/cluster/golden.hex"),
    include_str!("../../../../model/src/cluster/data_golden.hex")
);

fn round<M: PartialEq + std::fmt::Debug, E: std::fmt::Debug + PartialEq>(
    data: (u8, &[u8]),
    decode: impl Fn(u8, &[u8]) -> Result<M, E>,
    parts: impl Fn(&M) -> (u8, Vec<u8>),
) {
    let Ok(message) = decode(data.0, data.1) else { return };
    let (kind, body) = parts(&message);
    assert_eq!(decode(kind, &body), Ok(message), "encoded and decoded again");
}

/// Any message of any of them: their kinds do not overlap where one side may send both.
pub fn messages(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    let data = (*kind, body);
    round(data, FromNode::decode, |m| (m.kind(), m.body()));
    round(data, ToNode::decode, |m| (m.kind(), m.body()));
    round(data, FromClient::decode, |m| (m.kind(), m.body()));
    round(data, ToClient::decode, |m| (m.kind(), m.body()));
    round(data, FromPeer::decode, |m| (m.kind(), m.body()));
    round(data, ToPeer::decode, |m| (m.kind(), m.body()));
    round(data, FromData::decode, |m| (m.kind(), m.body()));
    round(data, ToData::decode, |m| (m.kind(), m.body()));
    if let Ok(wants) = Wants::from_bytes(body) {
        assert_eq!(Wants::from_bytes(&wants.to_bytes()), Ok(wants));
    }
}

pub fn golden() -> Vec<Vec<u8>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap_or("0"), 16).unwrap_or(0);
    let bytes = |text: &str| -> Vec<u8> { text.as_bytes().chunks_exact(2).map(byte).collect() };
    let lines = GOLDEN.lines().filter(|line| !line.starts_with("version"));
    lines
        .filter_map(|line| line.split_once(' '))
        .map(|(kind, body)| [bytes(kind), bytes(body)].concat())
        .collect()
}

/// What stands for a job record here: a byte a subtask, its cores.
fn spec(record: &[u8]) -> Option<JobSpec> {
    let need = |cores: &u8| Need { cells: 1, cores: u32::from(*cores), mem_bytes: 0 };
    let mut spec = JobSpec::plain(record.iter().map(need).collect(), (record.len() as u32).max(1));
    spec.topology.cores.clear();
    spec.topology.numa.clear();
    spec.releases = true;
    Some(spec)
}

/// A snapshot's state.
pub fn state(data: &[u8]) {
    let read =
        |bytes: &[u8]| Cluster::state_from_bytes(Config::default(), bytes, &mut |_, record| spec(record));
    let Ok(mut cluster) = read(data) else { return };
    let bytes = cluster.state_to_bytes();
    let again = read(&bytes).expect("what was written can be read");
    assert_eq!(again.projection(), cluster.projection());
    cluster.step(0, Event::Begin, &mut Vec::new());
}

pub fn states() -> Vec<Vec<u8>> {
    let mut cluster = Cluster::new(Config::default());
    let mut out = Vec::new();
    cluster.step(0, Event::Begin, &mut out);
    let empty = cluster.state_to_bytes();
    for key in 1..4u8 {
        let record: Vec<u8> = (0..key).map(|_| 1).collect();
        let job = dcsched_core::cluster::Submission {
            uuid: dc_model::JobUuid([key; 16]),
            key: [key; 16],
            uid: 1000,
            wants: Box::default(),
            spec: Box::new(spec(&record).expect("any is one")),
            record: record.into(),
        };
        cluster.step(0, Event::Submit { request: 1, job: Box::new(job) }, &mut out);
    }
    vec![empty, cluster.state_to_bytes()]
}
