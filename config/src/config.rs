//! What a file says, with its defaults filled in.

use crate::choices::{Keep, Partner, Relay, Users};
use crate::error::quoted;
use crate::key::AnyKey;
use crate::keys;
use crate::node::{NODES_MAX, Part};
use crate::place::{HostPort, Place};
use crate::reader::Reader;
use crate::{ConfigError, Mistake, Surroundings};
use dc_link::Name;
use dc_model::hostlist;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A key with what is in force.
#[derive(Clone)]
pub struct Entry {
    /// The key.
    pub key: &'static dyn AnyKey,
    /// Its value, as it would be written.
    pub value: String,
    /// The line that says so; none for a default.
    pub line: Option<usize>,
}

impl Entry {
    /// `table.key`
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.key.table(), self.key.name())
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.value == other.value
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.name(), self.value)
    }
}

/// `[cluster]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cluster {
    /// What people call it.
    pub name: String,
}

/// `[scheduler]`
#[derive(Clone, PartialEq, Debug)]
pub struct Scheduler {
    /// Where it listens by TLS, if it does.
    pub listen: Option<HostPort>,
    /// Where nodes find it, and clients of other hosts.
    pub address: Place,
    /// Its Unix socket.
    pub socket: PathBuf,
    /// Who may connect to that.
    pub users: Users,
    /// Its state directory.
    pub state: PathBuf,
    /// Its key file.
    pub key: PathBuf,
    /// Its peers file.
    pub peers: PathBuf,
    /// Its file of join tokens.
    pub tokens: PathBuf,
    /// How long a node may run ranks without having heard from it.
    pub lease: Duration,
    /// How long a client whose connection was lost is waited for.
    pub client_lost: Duration,
    /// Jobs that wait or run, at most.
    pub jobs_max: u64,
    /// Their subtasks that have not ended, at most.
    pub subtasks_max: u64,
    /// The longest submission, in bytes.
    pub submit_bytes_max: u64,
    /// Connections at its port, at most.
    pub connections_max: u64,
    /// Of these from one address, at most.
    pub connections_from_one_max: u64,
    /// Jobs that have ended and are still told of, at most.
    pub ended_jobs_max: u64,
    /// How long these are told of.
    pub ended_jobs_keep: Duration,
}

/// `[checkpoints]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoints {
    /// Where they are.
    pub keep: Keep,
    /// The directory that all nodes see; there, where `keep` is [`Keep::Shared`].
    pub shared_dir: Option<PathBuf>,
}

/// `[streams]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Streams {
    /// What may wait of one job's output on a node, in bytes.
    pub buffer_bytes: u64,
    /// What streams go through where a client cannot reach a node.
    pub relay: Relay,
}

/// `[client]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Client {
    /// Where the scheduler may be, to be tried in this order; never empty.
    pub schedulers: Vec<Place>,
    /// The key file, for TLS.
    pub key: PathBuf,
    /// The peers file, for TLS.
    pub peers: PathBuf,
    /// How long connecting may take.
    pub connect_timeout: Duration,
}

/// All of dc.toml.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// The file; none where there is none.
    pub file: Option<PathBuf>,
    /// Whether it names a scheduler, so that a client is to ask that.
    pub has_scheduler: bool,
    /// `[cluster]`
    pub cluster: Cluster,
    /// `[scheduler]`
    pub scheduler: Scheduler,
    /// `[checkpoints]`
    pub checkpoints: Checkpoints,
    /// `[streams]`
    pub streams: Streams,
    /// `[client]`
    pub client: Client,
    /// All keys but those of nodes, with what is in force.
    pub entries: Vec<Entry>,
    pub(crate) node: Part,
    pub(crate) nodes: BTreeMap<Name, Arc<Part>>,
    pub(crate) base: PathBuf,
    pub(crate) is_system: bool,
}

impl Config {
    /// What holds where there is no file.
    #[must_use]
    pub fn default_for(surroundings: &Surroundings) -> Self {
        let mut mistakes = Vec::new();
        Self::of(Reader::empty(), None, surroundings, &mut mistakes)
    }

    /// Reads a file's content. `path` is for messages and defaults; relative paths are below its directory.
    ///
    /// # Errors
    /// All mistakes that were found.
    pub fn parse(path: &Path, bytes: &[u8], surroundings: &Surroundings) -> Result<Self, ConfigError> {
        let failed = |mistakes| ConfigError::Mistakes { path: path.to_owned(), mistakes };
        if bytes.len() as u64 > crate::FILE_BYTES_MAX {
            return Err(ConfigError::TooLarge { path: path.to_owned(), bytes_max: crate::FILE_BYTES_MAX });
        }
        let text =
            std::str::from_utf8(bytes).map_err(|error| failed(vec![not_text(bytes, error.valid_up_to())]))?;
        let base = path.parent().unwrap_or(Path::new("/"));
        let reader = Reader::new(text, base).map_err(failed)?;
        let mut mistakes = Vec::new();
        let config = Self::of(reader, Some(path), surroundings, &mut mistakes);
        if mistakes.is_empty() { Ok(config) } else { Err(failed(mistakes)) }
    }

    fn of(
        mut reader: Reader<'_>,
        file: Option<&Path>,
        surroundings: &Surroundings,
        mistakes: &mut Vec<Mistake>,
    ) -> Self {
        let (base, is_system) = surroundings.state_base(file);
        let has_scheduler = reader.has("scheduler");
        let cluster = cluster(&mut reader);
        let scheduler = scheduler(&mut reader, &base, is_system);
        let node = node(&mut reader);
        let nodes = nodes(&mut reader);
        let checkpoints = checkpoints(&mut reader);
        let streams = streams(&mut reader);
        let home = surroundings.state_home.clone().map_or(base.clone(), |home| home.join("dc"));
        let (client, names_scheduler) = client(&mut reader, &scheduler, &home);
        let entries = std::mem::take(&mut reader.entries);
        *mistakes = reader.finish();
        Self {
            file: file.map(Path::to_owned),
            has_scheduler: has_scheduler || names_scheduler,
            cluster,
            scheduler,
            checkpoints,
            streams,
            client,
            entries,
            node,
            nodes,
            base,
            is_system,
        }
    }
}

fn not_text(bytes: &[u8], at: usize) -> Mistake {
    let before = String::from_utf8_lossy(bytes.get(..at).unwrap_or_default());
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let line = before.matches('\n').count() + 1;
    Mistake { line, column, what: "this is not UTF-8 text".to_owned() }
}

fn cluster(reader: &mut Reader<'_>) -> Cluster {
    let mut section = reader.section("cluster");
    let name = section.value_or(&keys::CLUSTER_NAME, "dc".to_owned());
    section.finish();
    Cluster { name }
}

fn scheduler(reader: &mut Reader<'_>, base: &Path, is_system: bool) -> Scheduler {
    let mut section = reader.section("scheduler");
    let state = section.path(&keys::STATE, base.join("scheduler"));
    let default = if is_system { PathBuf::from("/run/dc/socket") } else { state.join("socket") };
    let socket = section.path(&keys::SOCKET, default);
    let listen = section.value(&keys::LISTEN);
    let listen_at = section.last();
    let default = match &listen {
        None => Place::Unix(socket.clone()),
        Some(listen) => Place::Tcp(listen.clone()),
    };
    let is_said = section.has(&keys::ADDRESS);
    let address = section.value_or(&keys::ADDRESS, Some(default.clone())).unwrap_or(default);
    if let Some(listen) = listen.as_ref().filter(|listen| listen.is_any() && !is_said) {
        section.mistake(
            listen_at,
            format!("scheduler.listen is every address of its host: say `address = \"HOST:{}\"` too, where others find it", listen.port),
        );
    }
    let ms = Duration::from_millis;
    let found = Scheduler {
        users: section.value(&keys::USERS),
        key: section.path(&keys::KEY, state.join("key")),
        peers: section.path(&keys::PEERS, state.join("peers")),
        tokens: section.path(&keys::TOKENS, state.join("tokens")),
        lease: ms(section.value(&keys::LEASE)),
        client_lost: ms(section.value(&keys::CLIENT_LOST)),
        jobs_max: section.value(&keys::JOBS_MAX),
        subtasks_max: section.value(&keys::SUBTASKS_MAX),
        submit_bytes_max: section.value(&keys::SUBMIT_BYTES_MAX),
        connections_max: section.value(&keys::CONNECTIONS_MAX),
        connections_from_one_max: section.value(&keys::CONNECTIONS_FROM_ONE_MAX),
        ended_jobs_max: section.value(&keys::ENDED_JOBS_MAX),
        ended_jobs_keep: ms(section.value(&keys::ENDED_JOBS_KEEP)),
        listen,
        address,
        socket,
        state,
    };
    section.finish();
    found
}

fn node(reader: &mut Reader<'_>) -> Part {
    let mut section = reader.section("node");
    let part = Part::read(&mut section);
    if let Some(Partner::Named(name)) = &part.partner {
        let what = format!("node.partner: {name} cannot be every node's partner: say it in [[nodes]]");
        section.mistake(section.last(), what);
    }
    section.finish();
    for (key, value) in part.written() {
        reader.entries.push(Entry { key, value, line: None });
    }
    part
}

fn nodes(reader: &mut Reader<'_>) -> BTreeMap<Name, Arc<Part>> {
    let mut nodes = BTreeMap::new();
    let mut left = NODES_MAX;
    for (at, table) in reader.nodes() {
        let mut section = reader.node_section(at, table);
        let listed = section.text(keys::NODES_NAME);
        let name_at = section.last();
        let part = Arc::new(Part::read(&mut section));
        let partner_at = section.last();
        let Some(listed) = listed else {
            if name_at == section.at() {
                section.mistake(at, "this node has no name: say `name = \"…\"` below [[nodes]]".to_owned());
            }
            section.finish();
            continue;
        };
        let names = match hostlist::parse(&listed, left) {
            Ok(names) => {
                // Also of those that are refused: reading a file is bounded.
                left -= names.len();
                names
            }
            Err(hostlist::HostListError::TooMany(_)) => {
                section.mistake(name_at, format!("nodes.name: more than {NODES_MAX} nodes are named in all"));
                Vec::new()
            }
            Err(error) => {
                section.mistake(name_at, format!("nodes.name: {}: {error}", quoted(&listed)));
                Vec::new()
            }
        };
        for text in names {
            let Ok(name) = Name::parse(&text) else {
                section.mistake(name_at, format!("nodes.name: {} is {}", quoted(&text), dc_link::BadName));
                break;
            };
            if part.partner == Some(Partner::Named(name.clone())) {
                section.mistake(partner_at, format!("nodes.partner: {name} cannot be its own partner"));
            }
            if nodes.insert(name, Arc::clone(&part)).is_some() {
                section.mistake(name_at, format!("nodes.name: {text} has a table already: a node has one"));
                break;
            }
        }
        section.finish();
    }
    nodes
}

fn checkpoints(reader: &mut Reader<'_>) -> Checkpoints {
    let mut section = reader.section("checkpoints");
    let keep = section.value(&keys::CHECKPOINTS_KEEP);
    let keep_at = section.last();
    let shared_dir = section.value(&keys::SHARED_DIR);
    if keep == Keep::Shared && shared_dir.is_none() {
        let what =
            "checkpoints.keep is \"shared\": say `shared_dir = \"…\"` too, a directory that all nodes see";
        section.mistake(keep_at, what.to_owned());
    }
    section.finish();
    Checkpoints { keep, shared_dir }
}

fn streams(reader: &mut Reader<'_>) -> Streams {
    let mut section = reader.section("streams");
    let streams = Streams {
        buffer_bytes: section.value(&keys::STREAM_BUFFER),
        relay: section.value(&keys::STREAM_RELAY),
    };
    section.finish();
    streams
}

/// The client's table, and whether it names a scheduler.
fn client(reader: &mut Reader<'_>, scheduler: &Scheduler, home: &Path) -> (Client, bool) {
    let mut section = reader.section("client");
    let said = section.value(&keys::CLIENT_SCHEDULER);
    let mut schedulers = vec![Place::Unix(scheduler.socket.clone())];
    if !schedulers.contains(&scheduler.address) {
        schedulers.push(scheduler.address.clone());
    }
    let names_scheduler = said.is_some();
    let dir = home.join("client");
    let client = Client {
        schedulers: said.map_or(schedulers, |place| vec![place]),
        key: section.path(&keys::CLIENT_KEY, dir.join("key")),
        peers: section.path(&keys::CLIENT_PEERS, dir.join("peers")),
        connect_timeout: Duration::from_millis(section.value(&keys::CLIENT_CONNECT_TIMEOUT)),
    };
    section.finish();
    (client, names_scheduler)
}
