//! `dcd --print-topology`: this node's cores, or a described machine's, drawn or as JSON.

use super::Failed;
use super::node::NodeArgs;
use dc_config::Topology;
use dc_model::{CpuSet, exit};
use dcd::draw::canvas::Canvas;
use dcd::draw::machine;
use dcd::topology::{Found, Source, TopologyError, discover, prepare_described, prepare_environment};
use serde_json::{Value, json};
use std::io::Write;

const SYNTHETIC: &str = "synthetic:";

/// Prints it. To be called while there is one thread.
pub fn run(args: &NodeArgs, typed: Option<&str>, is_json: bool, out: &mut dyn Write) -> Result<u8, Failed> {
    let mut cpus = None;
    let source = match typed {
        Some(text) => match text.strip_prefix(SYNTHETIC).map(str::trim).filter(|text| !text.is_empty()) {
            Some(line) => prepare_described(line, "--topology synthetic"),
            None if text == "auto" => prepare_environment(),
            None => {
                return Err(Failed::Own(format!(
                    "--topology {}: wanted \"auto\", or \"synthetic:\" and hwloc's description of a machine",
                    dc_spool::files::shown(text)
                )));
            }
        },
        None => {
            let node = args.of(&args.load()?)?;
            cpus = node.cpus;
            source(&node.topology)
        }
    };
    let found = found(&source, cpus.as_ref())?;
    if is_json {
        writeln!(out, "{}", object(&found))?;
        return Ok(exit::OK);
    }
    let environment: Vec<_> = std::env::vars_os().collect();
    let var = |name: &str| environment.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_os_str());
    for line in machine::draw(&found, Canvas::of(var)) {
        writeln!(out, "{line}")?;
    }
    Ok(exit::OK)
}

/// Where a node's cores are described. To be called while there is one thread.
pub fn source(topology: &Topology) -> Source {
    match topology {
        Topology::Auto => prepare_environment(),
        Topology::Synthetic(line) => prepare_described(line, "topology of dc.toml"),
    }
}

/// The cores that jobs may have: of these CPUs, if dc.toml names some.
pub fn found(source: &Source, cpus: Option<&CpuSet>) -> Result<Found, TopologyError> {
    let found = discover(source)?;
    match cpus {
        Some(cpus) => found.restricted(cpus),
        None => Ok(found),
    }
}

/// As JSON; dcd(8) lists the fields.
fn object(found: &Found) -> Value {
    let topology = &found.topology;
    let cpus = |set: &CpuSet| set.iter().collect::<Vec<u32>>();
    let os_index = |index: u32| topology.numa.get(index as usize).map(|numa| numa.os_index);
    let domains: Vec<Value> = topology
        .numa
        .iter()
        .map(|numa| json!({ "numa": numa.os_index, "memory_bytes": numa.memory_bytes }))
        .collect();
    let cores: Vec<Value> = topology
        .cores
        .iter()
        .map(|core| {
            json!({
                "core": core.logical,
                "cpus": cpus(&core.cpus),
                "cache": core.l3,
                "numa": os_index(core.numa),
                "package": core.package,
            })
        })
        .collect();
    let memory_only: Vec<Value> = found
        .memory_only
        .iter()
        .map(|node| {
            let near: Vec<u32> = node.near.iter().filter_map(|index| os_index(*index)).collect();
            json!({ "numa": node.os_index, "memory_bytes": node.memory_bytes, "kind": node.kind, "near": near })
        })
        .collect();
    json!({
        "host": topology.host,
        "described_by": found.described_by,
        "cache_kind": found.cache,
        "allowed": cpus(&topology.cpus()),
        "left_out": cpus(&found.left_out),
        "domains": domains,
        "cores": cores,
        "memory_only": memory_only,
    })
}
