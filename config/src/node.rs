//! One node's settings: what its own table of `[[nodes]]` says, else what `[node]` says, else the defaults.

use crate::choices::{Kill, Partner, Topology};
use crate::config::Entry;
use crate::key::AnyKey;
use crate::keys;
use crate::kinds::{Kind, Told};
use crate::pattern::filled;
use crate::place::{HostPort, Place};
use crate::reader::Section;
use crate::{Config, ConfigError, Key};
use dc_link::Name;
use dc_model::CpuSet;
use std::path::PathBuf;
use std::time::Duration;

/// The most nodes that a file names.
pub const NODES_MAX: usize = 65_536;

/// The port of a node where none is said: any that is free; the scheduler tells the others which it is.
const ANY_PORT: u16 = 0;

/// What one table says, and nothing more.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Part {
    scheduler: Option<Option<Place>>,
    listen: Option<Option<HostPort>>,
    address: Option<String>,
    state: Option<Option<PathBuf>>,
    spool: Option<Option<PathBuf>>,
    key: Option<Option<PathBuf>>,
    peers: Option<Option<PathBuf>>,
    topology: Option<Topology>,
    cpus: Option<Option<CpuSet>>,
    memory: Option<Option<u64>>,
    speed: Option<u32>,
    kill: Option<crate::Kill>,
    exec: Option<Option<PathBuf>>,
    pub(crate) partner: Option<Partner>,
    retry_max: Option<u64>,
}

impl Part {
    /// Takes all keys of a node out of a table.
    pub(crate) fn read(section: &mut Section<'_, '_>) -> Self {
        Self {
            scheduler: section.take(&keys::NODE_SCHEDULER),
            listen: section.take(&keys::NODE_LISTEN),
            address: section.take(&keys::NODE_ADDRESS),
            state: section.take(&keys::NODE_STATE),
            spool: section.take(&keys::NODE_SPOOL),
            key: section.take(&keys::NODE_KEY),
            peers: section.take(&keys::NODE_PEERS),
            topology: section.take(&keys::NODE_TOPOLOGY),
            cpus: section.take(&keys::NODE_CPUS),
            memory: section.take(&keys::NODE_MEMORY),
            speed: section.take(&keys::NODE_SPEED),
            kill: section.take(&keys::NODE_KILL),
            exec: section.take(&keys::NODE_EXEC),
            retry_max: section.take(&keys::NODE_RETRY_MAX),
            // Last: its place is asked for.
            partner: section.take(&keys::NODE_PARTNER),
        }
    }

    /// As it would be written: what is said, key by key.
    pub(crate) fn written(&self) -> Vec<(&'static dyn AnyKey, String)> {
        fn one<K: Kind>(
            out: &mut Vec<(&'static dyn AnyKey, String)>,
            key: &'static Key<K>,
            value: Option<&K::Value>,
        ) where
            Key<K>: AnyKey,
        {
            out.extend(value.map(|value| (key as &'static dyn AnyKey, key.kind.show(value))));
        }
        let mut out = Vec::new();
        one(&mut out, &keys::NODE_SCHEDULER, self.scheduler.as_ref());
        one(&mut out, &keys::NODE_LISTEN, self.listen.as_ref());
        one(&mut out, &keys::NODE_ADDRESS, self.address.as_ref());
        one(&mut out, &keys::NODE_STATE, self.state.as_ref());
        one(&mut out, &keys::NODE_SPOOL, self.spool.as_ref());
        one(&mut out, &keys::NODE_KEY, self.key.as_ref());
        one(&mut out, &keys::NODE_PEERS, self.peers.as_ref());
        one(&mut out, &keys::NODE_TOPOLOGY, self.topology.as_ref());
        one(&mut out, &keys::NODE_CPUS, self.cpus.as_ref());
        one(&mut out, &keys::NODE_MEMORY, self.memory.as_ref());
        one(&mut out, &keys::NODE_SPEED, self.speed.as_ref());
        one(&mut out, &keys::NODE_KILL, self.kill.as_ref());
        one(&mut out, &keys::NODE_EXEC, self.exec.as_ref());
        one(&mut out, &keys::NODE_PARTNER, self.partner.as_ref());
        one(&mut out, &keys::NODE_RETRY_MAX, self.retry_max.as_ref());
        out
    }
}

/// One node, everything decided.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// Its name in the cluster.
    pub name: Name,
    /// Where its scheduler is.
    pub scheduler: Place,
    /// Where its peer port listens; port 0 is any that is free.
    pub listen: HostPort,
    /// The host that others dial.
    pub told_host: String,
    /// The port that others dial, where it is another than the one that it listens at.
    pub told_port: Option<u16>,
    /// Its state directory.
    pub state: PathBuf,
    /// Where the directories of its jobs are.
    pub spool: PathBuf,
    /// Its key file.
    pub key: PathBuf,
    /// Its peers file.
    pub peers: PathBuf,
    /// Where its cores come from.
    pub topology: Topology,
    /// The CPUs that jobs may have; none: all that the process may use.
    pub cpus: Option<CpuSet>,
    /// The memory that jobs may have, in bytes; none: all there is.
    pub memory_bytes: Option<u64>,
    /// How fast it is, in thousandths of a usual node; 0: to be measured.
    pub speed_permille: u32,
    /// How ranks are killed.
    pub kill: Kill,
    /// The dc-exec by which a dcd of a user of its own runs jobs as their users; none: all is one user's.
    pub exec: Option<PathBuf>,
    /// Who keeps copies of its checkpoints.
    pub partner: Partner,
    /// The longest pause between two attempts to reach the scheduler.
    pub retry_max: Duration,
    /// Each key of a node as it would be written, for a daemon's [`crate::diff`].
    pub entries: Vec<Entry>,
}

impl Config {
    /// What a node of this name on a host of this name is to do. A node need not stand in `[[nodes]]`.
    ///
    /// # Errors
    /// When no file says where the scheduler is.
    pub fn node(&self, name: &Name, host: &str) -> Result<Node, ConfigError> {
        let (own, all) = (self.nodes.get(name).map(AsRef::as_ref), &self.node);
        let empty = Part::default();
        let own = own.unwrap_or(&empty);
        macro_rules! said {
            ($field:ident) => {
                own.$field.clone().or_else(|| all.$field.clone())
            };
        }
        let fill = |path: PathBuf| PathBuf::from(filled(&path.to_string_lossy(), name.as_str(), host));
        let path = |said: Option<PathBuf>, or: PathBuf| said.map_or(or, fill);
        let state = path(said!(state).flatten(), {
            if self.is_system { self.base.join("node") } else { self.base.join(format!("node-{name}")) }
        });
        let any = HostPort { host: "*".to_owned(), port: ANY_PORT };
        let listen = said!(listen).flatten().unwrap_or(any);
        let bound = if listen.is_any() { host } else { &listen.host };
        let told = said!(address).map(|text| filled(&text, name.as_str(), host));
        let told = match told {
            Some(text) => Told::split(&text).ok_or_else(|| {
                ConfigError::Missing(format!(
                    "node.address becomes {text} for node {name}, which is no address"
                ))
            })?,
            None => (bound.to_owned(), None),
        };
        let node = Node {
            scheduler: said!(scheduler).flatten().unwrap_or_else(|| self.scheduler.address.clone()),
            told_host: told.0,
            told_port: told.1,
            spool: path(said!(spool).flatten(), state.join("jobs")),
            key: path(said!(key).flatten(), state.join("key")),
            peers: path(said!(peers).flatten(), state.join("peers")),
            topology: said!(topology).unwrap_or_else(|| keys::NODE_TOPOLOGY.initial.clone()),
            cpus: said!(cpus).flatten(),
            memory_bytes: said!(memory).flatten(),
            speed_permille: said!(speed).unwrap_or(keys::NODE_SPEED.initial),
            kill: said!(kill).unwrap_or(keys::NODE_KILL.initial),
            exec: said!(exec).flatten().map(fill),
            partner: said!(partner).unwrap_or_else(|| keys::NODE_PARTNER.initial.clone()),
            retry_max: Duration::from_millis(said!(retry_max).unwrap_or(keys::NODE_RETRY_MAX.initial)),
            name: name.clone(),
            listen,
            state,
            entries: Vec::new(),
        };
        Ok(Node { entries: entries(&node), ..node })
    }

    /// The names in `[[nodes]]`, in order.
    pub fn node_names(&self) -> impl Iterator<Item = &Name> {
        self.nodes.keys()
    }
}

/// All of a node's keys with what is in force.
fn entries(node: &Node) -> Vec<Entry> {
    let told = match node.told_port {
        Some(port) => HostPort { host: node.told_host.clone(), port }.to_string(),
        None => node.told_host.clone(),
    };
    let part = Part {
        scheduler: Some(Some(node.scheduler.clone())),
        listen: Some(Some(node.listen.clone())),
        address: Some(told),
        state: Some(Some(node.state.clone())),
        spool: Some(Some(node.spool.clone())),
        key: Some(Some(node.key.clone())),
        peers: Some(Some(node.peers.clone())),
        topology: Some(node.topology.clone()),
        cpus: Some(node.cpus.clone()),
        memory: Some(node.memory_bytes),
        speed: Some(node.speed_permille),
        kill: Some(node.kill),
        exec: Some(node.exec.clone()),
        partner: Some(node.partner.clone()),
        retry_max: Some(u64::try_from(node.retry_max.as_millis()).unwrap_or(u64::MAX)),
    };
    part.written().into_iter().map(|(key, value)| Entry { key, value, line: None }).collect()
}
