//! From a configuration to a daemon: the state directory is opened and replayed, then the doors.

use super::doors::Doors;
use super::followers::Followers;
use super::journal::Journal;
use super::known::Known;
use super::links::Links;
use super::poller::Poller;
use super::records::Assembler;
use super::signals::Signals;
use super::submission::spec_of_bytes;
use super::{Daemon, Failed, Options, Settings, settings};
use dc_config::{Config, Surroundings};
use dcsched_core::cluster::Cluster;
use dcsched_store::{ClusterUuid, Options as StoreOptions, Recovered, Store, StoreError};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tracing::{info, warn};

/// What may wait for the disk in memory: the longest submission fits beside others.
const PENDING_BYTES: u64 = 24 << 20;

/// Reads the configuration.
///
/// # Errors
/// What is wrong with it.
pub fn configuration(options: &Options) -> Result<Config, Failed> {
    let surroundings = Surroundings::of_environment();
    let config = match &options.config {
        Some(path) => dc_config::read(path, &surroundings),
        None => dc_config::load(&surroundings),
    };
    config.map_err(|error| Failed::Begin(error.to_string()))
}

/// Whether the configuration can be used; gives its file, where there is one.
///
/// # Errors
/// What is wrong with it.
pub fn check_config(options: &Options) -> Result<Option<PathBuf>, Failed> {
    let config = configuration(options)?;
    Settings::of(&config).map_err(Failed::Begin)?;
    Ok(config.file)
}

/// Opens the state directory; one user's is made where there is none.
fn store(settings: &Settings) -> Result<(Store, Recovered), Failed> {
    let options = StoreOptions { pending_bytes: PENDING_BYTES, ..StoreOptions::default() };
    let open = || Store::open_on(Arc::new(dc_spool::files::Linux), &settings.state, options);
    let opened = match open() {
        Err(StoreError::NotMade { dir }) if settings.one_user => {
            if let Some(above) = dir.parent() {
                let _ = std::fs::create_dir_all(above);
            }
            let cluster = dcsched_store::init(&dir).map_err(|error| Failed::Begin(error.to_string()))?;
            info!(%cluster, "{} is made: a new cluster", dir.display());
            open()
        }
        other => other,
    };
    opened.map_err(|error| Failed::Begin(error.to_string()))
}

/// The core as the journal tells it.
///
/// # Errors
/// Where the journal contradicts itself.
pub fn replayed(settings: &Settings, recovered: &Recovered) -> Result<Cluster, Failed> {
    let broken = |what: String| Failed::Begin(format!("{}: {what}", settings.state.display()));
    let mut core = if recovered.state.is_empty() {
        Cluster::new(settings.core)
    } else {
        Cluster::state_from_bytes(settings.core, &recovered.state, &mut spec_of_bytes)
            .map_err(|error| broken(format!("the snapshot cannot be understood: {error}")))?
    }
    .with_specs(spec_of_bytes);
    let mut assembler = Assembler::default();
    for record in recovered.records.iter() {
        let decision = assembler
            .push(record)
            .map_err(|error| broken(format!("record {} cannot be understood: {error}", record.seq)))?;
        let Some(decision) = decision else { continue };
        core.replay(&decision, spec_of_bytes)
            .map_err(|error| broken(format!("record {}: {error}", record.seq)))?;
    }
    Ok(core)
}

/// As many descriptors as there may be: a connection takes one.
fn raise_descriptors(settings: &Settings) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < hard {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    // Besides: the journal, listeners, files that are read.
    let wanted = (settings.caps.connections_max as u64).saturating_add(100);
    if hard < wanted {
        warn!(
            "{hard} descriptors are all this process may have: fewer than {} connections can be open (ulimit -n)",
            settings.caps.connections_max
        );
    }
}

/// Opens everything.
///
/// # Errors
/// One line.
pub fn open(options: Options) -> Result<Daemon, Failed> {
    let system = |errno: nix::errno::Errno| Failed::System(errno.desc().to_owned());
    let signals = Signals::take().map_err(system)?;
    let config = configuration(&options)?;
    let settings = Settings::of(&config).map_err(Failed::Begin)?;
    raise_descriptors(&settings);
    let began = Instant::now();
    let (mut store, recovered) = store(&settings)?;
    recovered.notes.iter().for_each(|note| warn!("{note}"));
    let cluster: ClusterUuid = store.cluster();
    // The store's own first record of this run is not among those it gives back.
    let mut core = replayed(&settings, &recovered)?;
    // Its epoch is on disk, and nothing else yet.
    let last_record = store.progress().durable_seq;
    core.set_last_seq(last_record);
    let read_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let snapshot_bytes = recovered.state.len() as u64;
    let epoch = recovered.epoch;
    drop(recovered);
    let journal = Journal::new(store, last_record, snapshot_bytes);
    let doors = Doors::open(&settings, settings::cluster_id(cluster)).map_err(Failed::Begin)?;
    let poller = Poller::new().map_err(system)?;
    let mut daemon = Daemon {
        options,
        config,
        core,
        journal,
        poller,
        signals,
        doors,
        links: Links::default(),
        by_node: BTreeMap::new(),
        peers_due: None,
        registering: BTreeMap::new(),
        facts: BTreeMap::new(),
        passed_on: BTreeMap::new(),
        known: Known::default(),
        followers: Followers::default(),
        congested: BTreeSet::new(),
        mergers: BTreeSet::new(),
        requests: BTreeMap::new(),
        last_request: 0,
        answers: VecDeque::new(),
        durable: last_record,
        orders: BTreeMap::new(),
        opened: BTreeMap::new(),
        started: BTreeMap::new(),
        held: BTreeSet::new(),
        again: BTreeSet::new(),
        doomed: Vec::new(),
        parked: VecDeque::new(),
        actions: Vec::new(),
        lines: super::arrivals::Lines::default(),
        life_due: 0,
        recheck_due: 0,
        own_uid: nix::unistd::geteuid().as_raw(),
        settings,
    };
    daemon.step(dcsched_core::cluster::Event::Begin)?;
    // Whether the disk is full already.
    daemon.on_journal()?;
    daemon.known.count(&daemon.core);
    info!(
        %cluster,
        epoch,
        jobs = daemon.core.jobs_unended(),
        nodes = daemon.core.nodes().count(),
        read_ms,
        "dcsched {} runs: state {}",
        env!("CARGO_PKG_VERSION"),
        daemon.settings.state.display()
    );
    daemon.begin_waiting()?;
    daemon.tell_doors();
    Ok(daemon)
}
