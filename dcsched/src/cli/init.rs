//! `dcsched init`: a new state directory, with the scheduler's key and the peers file.

use super::place::{Place, load};
use super::{Failed, say};
use dc_link::{ClusterId, Name, OneUser};
use dc_model::{exit, hostlist};
use dc_spool::files::{Dir, shown};
use dcsched_store::{ClusterUuid, StoreError};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The most nodes whose keys are made at once.
const NODES_MAX: usize = 4096;

/// Raw arguments.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Make a cluster of one user: keys of these nodes (such as n[1-4]) and of a client too, all below DIR
    #[arg(long, value_name = "LIST")]
    nodes: Option<String>,
    /// The scheduler's name in the peers file
    #[arg(long, value_name = "NAME", default_value = "scheduler")]
    name: String,
    /// The directory to make; one that is there must be empty [default: as dc.toml says]
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Makes it, and says whose it is and what comes next.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<u8, Failed> {
    let name = Name::parse(&args.name).map_err(|error| Failed::Own(format!("--name: {error}")))?;
    let nodes = args.nodes.as_deref().map(names).transpose()?;
    let place = match &args.dir {
        Some(dir) => Place::below(dir),
        None => Place::of(&load(None)?),
    };
    if let Some(above) = place.state.parent() {
        dc_link::make_dirs(above)?;
    }
    let cluster = store(&place)?;
    let (fingerprint, _) = dc_link::found(ClusterId(cluster.0), &name, &place.key, &place.peers)?;
    writeln!(out, "{}: cluster {cluster}", shown(&place.state))?;
    writeln!(out, "the scheduler's key: {fingerprint}")?;
    match nodes {
        None => next(&place, args.dir.is_some(), out)?,
        Some(nodes) => {
            let client = Name::parse(&user())
                .or_else(|_| Name::parse("client"))
                .map_err(|e| Failed::Own(e.to_string()))?;
            let keys = OneUser::make(&place.state, ClusterId(cluster.0), &name, &nodes, &client)?;
            one_user(&keys, &place, out)?;
        }
    }
    Ok(exit::OK)
}

/// The store's part. One that an interrupted init has left without a key or a peers file is gone on with.
fn store(place: &Place) -> Result<ClusterUuid, Failed> {
    match dcsched_store::init(&place.state) {
        Err(StoreError::Made { .. }) if !place.key.exists() || !place.peers.exists() => {
            say(&format!("{} is there already: its key and peers file are made", shown(&place.state)));
            Ok(dcsched_store::identity(&Dir::open(&place.state)?)?)
        }
        other => Ok(other?),
    }
}

fn names(list: &str) -> Result<Vec<Name>, Failed> {
    let wrong = |why: String| Failed::Own(format!("--nodes {}: {why}", shown(list)));
    let names = hostlist::parse(list, NODES_MAX).map_err(|error| wrong(error.to_string()))?;
    let names = names
        .iter()
        .map(|name| Name::parse(name).map_err(|error| wrong(format!("{} is {error}", shown(name)))));
    names.collect()
}

fn user() -> String {
    nix::unistd::User::from_uid(nix::unistd::geteuid())
        .ok()
        .flatten()
        .map_or_else(String::new, |user| user.name)
}

/// Nodes come by tokens.
fn next(place: &Place, is_named: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let state = if is_named { format!(" --state {}", quoted(&place.state)) } else { String::new() };
    writeln!(out, "next, here:       dcsched token{state}")?;
    writeln!(out, "next, on a node:  dcd join TOKEN --scheduler HOST:PORT")?;
    writeln!(out, "or, by hand:      dcd keygen, then here: dcsched trust{state} node NAME FINGERPRINT")
}

/// All keys are there; what dc.toml must say to find them.
fn one_user(keys: &OneUser, place: &Place, out: &mut dyn Write) -> std::io::Result<()> {
    let written = |path: &Path| format!("{:?}", path.to_string_lossy());
    let state = std::path::absolute(&place.state).unwrap_or_else(|_| place.state.clone());
    let peers = std::path::absolute(&keys.peers).unwrap_or_else(|_| keys.peers.clone());
    writeln!(out, "keys of {} nodes and a client are made; in dc.toml:", keys.nodes.len())?;
    writeln!(out, "\n[scheduler]\nstate = {}", written(&state))?;
    for (table, key) in [("node", state.join("nodes/%n/key")), ("client", state.join("client/key"))] {
        writeln!(out, "\n[{table}]\nkey = {}\npeers = {}", written(&key), written(&peers))?;
    }
    Ok(())
}

/// For a shell.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    if text.chars().all(plain) { text.into_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
