//! The one list of what may stand in dc.toml. dc.toml(5) is held to it by a test, both ways.

use crate::choices::{Keep, Kill, Partner, Relay, Topology, Users};
use crate::key::{AnyKey, Key};
use crate::kinds::{
    AllOrSize, Count, Cpus, Factor, File, Kind, Listen, NameOf, NodeFile, OneOf, PartnerOf, RelayOf,
    SchedulerPlace, Size, Time, Told, TopologyOf,
};
use std::marker::PhantomData;

const S: u64 = 1000;
const M: u64 = 60 * S;
const H: u64 = 60 * M;
const D: u64 = 24 * H;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
/// What a frame holds.
const SUBMIT_BYTES_MAX_MAX: u64 = dc_model::cluster::SUBMIT_BYTES_MAX as u64;

/// A key with a default, which a reload changes.
const fn live<K: Kind>(table: &'static str, name: &'static str, kind: K, initial: K::Value) -> Key<K> {
    Key { table, name, kind, initial, follows: None, is_live: true }
}

/// A key with a default, which waits for a restart.
const fn fixed<K: Kind>(table: &'static str, name: &'static str, kind: K, initial: K::Value) -> Key<K> {
    Key { table, name, kind, initial, follows: None, is_live: false }
}

/// A path whose default follows from something else; it waits for a restart.
const fn path(table: &'static str, name: &'static str, follows: &'static str) -> Key<File> {
    Key { table, name, kind: File, initial: None, follows: Some(follows), is_live: false }
}

/// As [`path`]; a reload changes it.
const fn live_path(table: &'static str, name: &'static str, follows: &'static str) -> Key<File> {
    Key { table, name, kind: File, initial: None, follows: Some(follows), is_live: true }
}

/// As [`path`], of a node.
const fn node_path(name: &'static str, follows: &'static str) -> Key<NodeFile> {
    Key { table: "node", name, kind: NodeFile, initial: None, follows: Some(follows), is_live: false }
}

const fn words<T: crate::choices::Choice>() -> OneOf<T> {
    OneOf(PhantomData)
}

/// `cluster.name`
pub static CLUSTER_NAME: Key<NameOf> = Key {
    table: "cluster",
    name: "name",
    kind: NameOf,
    initial: String::new(),
    follows: Some("\"dc\""),
    is_live: false,
};

/// `scheduler.listen`
pub static LISTEN: Key<Listen> = Key {
    table: "scheduler",
    name: "listen",
    kind: Listen { is_any_port: false },
    initial: None,
    follows: Some("none, and only processes of the same host can connect"),
    is_live: false,
};
/// `scheduler.address`
pub static ADDRESS: Key<SchedulerPlace> = Key {
    table: "scheduler",
    name: "address",
    kind: SchedulerPlace,
    initial: None,
    follows: Some("what listen says, where its HOST is not *; without listen the socket"),
    is_live: true,
};
/// `scheduler.socket`
pub static SOCKET: Key<File> = path("scheduler", "socket", "STATE/socket; the system's is /run/dc/socket");
/// `scheduler.users`
pub static USERS: Key<OneOf<Users>> = fixed("scheduler", "users", words(), Users::Own);
/// `scheduler.state`
pub static STATE: Key<File> = path("scheduler", "state", "BASE/scheduler");
/// `scheduler.key`
pub static KEY: Key<File> = path("scheduler", "key", "STATE/key");
/// `scheduler.peers`
pub static PEERS: Key<File> = path("scheduler", "peers", "STATE/peers");
/// `scheduler.tokens`
pub static TOKENS: Key<File> = path("scheduler", "tokens", "STATE/tokens");
/// `scheduler.lease`
pub static LEASE: Key<Time> = live("scheduler", "lease", Time { min_ms: S, max_ms: H }, M);
/// `scheduler.client_lost`
pub static CLIENT_LOST: Key<Time> = live("scheduler", "client_lost", Time { min_ms: 0, max_ms: D }, M);
/// `scheduler.jobs_max`
pub static JOBS_MAX: Key<Count> = live("scheduler", "jobs_max", Count { min: 1, max: 10_000_000 }, 200_000);
/// `scheduler.subtasks_max`
pub static SUBTASKS_MAX: Key<Count> =
    live("scheduler", "subtasks_max", Count { min: 1, max: 1_000_000_000 }, 10_000_000);
/// `scheduler.submit_bytes_max`
pub static SUBMIT_BYTES_MAX: Key<Size> = live(
    "scheduler",
    "submit_bytes_max",
    Size { min_bytes: 64 * KIB, max_bytes: SUBMIT_BYTES_MAX_MAX },
    SUBMIT_BYTES_MAX_MAX,
);
/// `scheduler.connections_max`
pub static CONNECTIONS_MAX: Key<Count> =
    live("scheduler", "connections_max", Count { min: 16, max: 1_000_000 }, 16_384);
/// `scheduler.connections_from_one_max`
pub static CONNECTIONS_FROM_ONE_MAX: Key<Count> =
    live("scheduler", "connections_from_one_max", Count { min: 1, max: 1_000_000 }, 1024);
/// `scheduler.ended_jobs_max`
pub static ENDED_JOBS_MAX: Key<Count> =
    live("scheduler", "ended_jobs_max", Count { min: 0, max: 10_000_000 }, 10_000);
/// `scheduler.ended_jobs_keep`
pub static ENDED_JOBS_KEEP: Key<Time> =
    live("scheduler", "ended_jobs_keep", Time { min_ms: 0, max_ms: 3650 * D }, 7 * D);

/// `node.scheduler`
pub static NODE_SCHEDULER: Key<SchedulerPlace> = Key {
    table: "node",
    name: "scheduler",
    kind: SchedulerPlace,
    initial: None,
    follows: Some("address of [scheduler]"),
    is_live: false,
};
/// `node.listen`
pub static NODE_LISTEN: Key<Listen> = Key {
    table: "node",
    name: "listen",
    kind: Listen { is_any_port: true },
    initial: None,
    follows: Some("\"*:0\""),
    is_live: false,
};
/// `node.address`
pub static NODE_ADDRESS: Key<Told> = Key {
    table: "node",
    name: "address",
    kind: Told,
    initial: String::new(),
    follows: Some("the HOST of listen, or \"%h\" where that is *"),
    is_live: false,
};
/// `node.state`
pub static NODE_STATE: Key<NodeFile> = node_path("state", "BASE/node-%n; the system's is BASE/node");
/// `node.spool`
pub static NODE_SPOOL: Key<NodeFile> = node_path("spool", "STATE/jobs");
/// `node.key`
pub static NODE_KEY: Key<NodeFile> = node_path("key", "STATE/key");
/// `node.peers`
pub static NODE_PEERS: Key<NodeFile> = node_path("peers", "STATE/peers");
/// `node.topology`
pub static NODE_TOPOLOGY: Key<TopologyOf> = fixed("node", "topology", TopologyOf, Topology::Auto);
/// `node.cpus`
pub static NODE_CPUS: Key<Cpus> = fixed("node", "cpus", Cpus, None);
/// `node.memory`
pub static NODE_MEMORY: Key<AllOrSize> =
    live("node", "memory", AllOrSize(Size { min_bytes: 16 * MIB, max_bytes: 1024 * TIB }), None);
/// `node.speed`
pub static NODE_SPEED: Key<Factor> = live("node", "speed", Factor, 0);
/// `node.kill`
pub static NODE_KILL: Key<OneOf<Kill>> = fixed("node", "kill", words(), Kill::Auto);
/// `node.exec`
pub static NODE_EXEC: Key<NodeFile> = node_path("exec", "none, and all jobs are of the user who runs dcd");
/// `node.partner`
pub static NODE_PARTNER: Key<PartnerOf> = live("node", "partner", PartnerOf, Partner::Auto);
/// `node.retry_max`
pub static NODE_RETRY_MAX: Key<Time> =
    live("node", "retry_max", Time { min_ms: 100, max_ms: 10 * M }, 10 * S);

/// `checkpoints.keep`
pub static CHECKPOINTS_KEEP: Key<OneOf<Keep>> = live("checkpoints", "keep", words(), Keep::Local);
/// `checkpoints.shared_dir`
pub static SHARED_DIR: Key<File> = live_path("checkpoints", "shared_dir", "none");

/// `streams.buffer`
pub static STREAM_BUFFER: Key<Size> =
    live("streams", "buffer", Size { min_bytes: 64 * KIB, max_bytes: GIB }, 4 * MIB);
/// `streams.relay`
pub static STREAM_RELAY: Key<RelayOf> = live("streams", "relay", RelayOf, Relay::None);

/// `client.scheduler`
pub static CLIENT_SCHEDULER: Key<SchedulerPlace> = Key {
    table: "client",
    name: "scheduler",
    kind: SchedulerPlace,
    initial: None,
    follows: Some("socket of [scheduler], and where nobody listens there, address of [scheduler]"),
    is_live: true,
};
/// `client.key`
pub static CLIENT_KEY: Key<File> = live_path("client", "key", "$XDG_STATE_HOME/dc/client/key");
/// `client.peers`
pub static CLIENT_PEERS: Key<File> = live_path("client", "peers", "$XDG_STATE_HOME/dc/client/peers");
/// `client.connect_timeout`
pub static CLIENT_CONNECT_TIMEOUT: Key<Time> =
    live("client", "connect_timeout", Time { min_ms: 100, max_ms: H }, 10 * S);

/// The name in `[[nodes]]`: a name, or several as a host list. Not in [`ALL`], for it has no default.
pub const NODES_NAME: &str = "name";

/// All of them, by table, in the order of the page.
pub static ALL: &[&dyn AnyKey] = &[
    &CLUSTER_NAME,
    &LISTEN,
    &ADDRESS,
    &SOCKET,
    &USERS,
    &STATE,
    &KEY,
    &PEERS,
    &TOKENS,
    &LEASE,
    &CLIENT_LOST,
    &JOBS_MAX,
    &SUBTASKS_MAX,
    &SUBMIT_BYTES_MAX,
    &CONNECTIONS_MAX,
    &CONNECTIONS_FROM_ONE_MAX,
    &ENDED_JOBS_MAX,
    &ENDED_JOBS_KEEP,
    &NODE_SCHEDULER,
    &NODE_LISTEN,
    &NODE_ADDRESS,
    &NODE_STATE,
    &NODE_SPOOL,
    &NODE_KEY,
    &NODE_PEERS,
    &NODE_TOPOLOGY,
    &NODE_CPUS,
    &NODE_MEMORY,
    &NODE_SPEED,
    &NODE_KILL,
    &NODE_EXEC,
    &NODE_PARTNER,
    &NODE_RETRY_MAX,
    &CHECKPOINTS_KEEP,
    &SHARED_DIR,
    &STREAM_BUFFER,
    &STREAM_RELAY,
    &CLIENT_SCHEDULER,
    &CLIENT_KEY,
    &CLIENT_PEERS,
    &CLIENT_CONNECT_TIMEOUT,
];

/// The tables; `nodes` is a list of tables with the keys of `node`.
pub const TABLES: [&str; 7] = ["cluster", "scheduler", "node", "nodes", "checkpoints", "streams", "client"];

/// The keys of a table.
pub(crate) fn of_table(table: &str) -> impl Iterator<Item = &'static str> + Clone + use<'_> {
    let of = if table == "nodes" { "node" } else { table };
    let name = (table == "nodes").then_some(NODES_NAME);
    name.into_iter().chain(ALL.iter().filter(move |key| key.table() == of).map(|key| key.name()))
}
