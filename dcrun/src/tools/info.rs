//! `dcinfo`: the nodes.

use super::columns::{Column, choose};
use super::times::{decimal, memory, span};
use super::{Failed, ListArgs, NOT_ALL, Said, SchedArgs, filter, table, watch};
use clap::Parser;
use dc_model::cluster::{NodeRow, NodeState};
use dc_spool::files::shown;
use serde::Serialize;
use std::collections::BTreeSet;

const STATES: [NodeState; 5] =
    [NodeState::Up, NodeState::Draining, NodeState::Drained, NodeState::Suspect, NodeState::Lost];

/// Raw arguments.
#[derive(Parser, Debug)]
#[command(
    name = "dcinfo",
    version,
    about = "Lists the nodes of a cluster",
    disable_help_flag = true,
    after_help = "See dcinfo(1)."
)]
pub struct Cli {
    /// These nodes alone, such as n[1-4],n9
    #[arg(short, long, value_name = "NODES")]
    nodes: Option<String>,
    /// Nodes in these states alone: up, draining, drained, suspect, lost
    #[arg(short = 't', long, value_name = "STATES")]
    states: Option<String>,
    /// A line for each node; as it always is
    #[arg(short = 'N', long = "Node")]
    each: bool,
    /// More columns
    #[arg(short, long)]
    long: bool,
    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    sched: SchedArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

const COLUMNS: &[Column<NodeRow>] = &[
    Column::word("name", |n| n.name.clone()),
    Column::word("state", |n| n.state.word().to_owned()),
    Column::word("address", |n| n.address.clone()),
    Column::number("cores", |n| format!("{}/{}", n.cores_used, n.cores)),
    Column::number("ranks", |n| n.ranks.to_string()),
    Column::number("done", |n| n.done.to_string()),
    Column::number("heartbeats", |n| n.heartbeats.to_string()),
    Column::number("load", |n| format!("{:.2}", decimal(n.load_centi, 100))),
    Column::number("memory", |n| memory(n.memory_bytes)),
    Column::number("speed", |n| format!("{:.2}", decimal(n.speed_permille, 1000))),
    Column::number("silent", |n| span(Some(n.silent_ms))),
    Column::number("number", |n| n.number.to_string()),
    Column::word("reason", |n| n.reason.clone()),
    Column::word("fingerprint", |n| n.fingerprint.clone()),
];
const USUAL: &str = "name,state,address,cores,ranks,done,heartbeats,load";
const LONG: &str = "name,state,address,cores,ranks,done,heartbeats,load,memory,speed,silent,reason";

/// Of dcinfo(1).
#[derive(Serialize)]
struct Document<'a> {
    v: u32,
    nodes: Vec<Node<'a>>,
}

#[derive(Serialize)]
struct Node<'a> {
    name: &'a str,
    number: u32,
    state: &'static str,
    reason: &'a str,
    address: &'a str,
    fingerprint: &'a str,
    cores: u32,
    cores_used: u32,
    memory_bytes: u64,
    ranks: u32,
    subtasks_done: u64,
    heartbeats: u64,
    silent_ms: u64,
    load: f64,
    speed: f64,
}

impl<'a> Node<'a> {
    fn of(row: &'a NodeRow) -> Self {
        Self {
            name: &row.name,
            number: row.number,
            state: row.state.word(),
            reason: &row.reason,
            address: &row.address,
            fingerprint: &row.fingerprint,
            cores: row.cores,
            cores_used: row.cores_used,
            memory_bytes: row.memory_bytes,
            ranks: row.ranks,
            subtasks_done: row.done,
            heartbeats: row.heartbeats,
            silent_ms: row.silent_ms,
            load: decimal(row.load_centi, 100),
            speed: decimal(row.speed_permille, 1000),
        }
    }
}

/// Does it; the exit status.
///
/// # Errors
/// When there is nothing to show.
pub fn run(cli: Cli, said: &mut Said<'_>) -> Result<u8, Failed> {
    let names = cli.list.output.as_deref().unwrap_or(if cli.long { LONG } else { USUAL });
    let columns = choose(COLUMNS, names)?;
    let wanted = filter::hosts(&cli.nodes)?;
    let known = STATES.map(NodeState::word);
    let states = cli.states.as_deref().map(|given| filter::words(given, "node", &known)).transpose()?;
    watch::show(&cli.list, said, |said| {
        let mut nodes = cli.sched.dial()?.nodes()?;
        let absent = absent(&wanted, &nodes);
        absent.iter().try_for_each(|name| said.complain(&format!("no node is called {}", shown(name))))?;
        let is_wanted = |node: &NodeRow| {
            (cli.nodes.is_none() || wanted.contains(&node.name))
                && states.as_ref().is_none_or(|states| states.contains(node.state.word()))
        };
        nodes.retain(is_wanted);
        nodes.sort_by_cached_key(|node| filter::natural(&node.name));
        let status = if absent.is_empty() { 0 } else { NOT_ALL };
        if cli.list.json {
            return Ok((json(&nodes)?, status));
        }
        let mut text = table::draw(&columns, &nodes, !cli.list.noheader);
        if !cli.list.noheader {
            text += &sum(&nodes);
        }
        Ok((text, status))
    })
}

fn absent<'a>(wanted: &'a [String], nodes: &[NodeRow]) -> Vec<&'a String> {
    let known: BTreeSet<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    wanted.iter().filter(|name| !known.contains(name.as_str())).collect()
}

fn json(nodes: &[NodeRow]) -> Result<String, Failed> {
    super::document(&Document { v: 1, nodes: nodes.iter().map(Node::of).collect() })
}

/// All of them in a line.
fn sum(nodes: &[NodeRow]) -> String {
    let count = |state: NodeState| nodes.iter().filter(|node| node.state == state).count();
    let states = STATES.map(|state| (count(state), state.word()));
    let (cores, used): (u64, u64) = nodes.iter().fold((0, 0), |(cores, used), node| {
        (cores + u64::from(node.cores), used + u64::from(node.cores_used))
    });
    let ranks: u64 = nodes.iter().map(|node| u64::from(node.ranks)).sum();
    format!("{}; {used} of {cores} cores used, {ranks} ranks run\n", super::sum("node", nodes.len(), &states))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Vec<NodeRow> {
        let node = |name: &str, state, cores_used| NodeRow {
            name: name.to_owned(),
            state,
            cores: 8,
            cores_used,
            ranks: cores_used,
            load_centi: 125,
            memory_bytes: 64 << 30,
            speed_permille: 1050,
            ..NodeRow::default()
        };
        vec![node("n1", NodeState::Up, 8), node("n2", NodeState::Up, 1), node("n3", NodeState::Lost, 0)]
    }

    #[test]
    fn the_usual_columns_and_their_sum() {
        let columns = choose(COLUMNS, USUAL).ok().unwrap();
        assert_eq!(
            table::draw(&columns, &nodes()[..1], true) + &sum(&nodes()),
            "NAME  STATE  ADDRESS  CORES  RANKS  DONE  HEARTBEATS  LOAD\n\
             n1    up     -          8/8      8     0           0  1.25\n\
             3 nodes: 2 up, 1 lost; 9 of 24 cores used, 9 ranks run\n"
        );
        assert_eq!(sum(&[]), "0 nodes; 0 of 0 cores used, 0 ranks run\n");
    }

    #[test]
    fn every_name_of_a_list_of_columns_is_one() {
        assert!(choose(COLUMNS, USUAL).is_ok() && choose(COLUMNS, LONG).is_ok());
        let refused = choose(COLUMNS, "name,\u{1b}[1m").err().unwrap();
        assert!(
            matches!(refused, Failed::Usage(text) if text.contains("\\u{1b}") && text.contains("heartbeats"))
        );
    }

    #[test]
    fn one_document() {
        let text = json(&nodes()).ok().unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["v"], value["nodes"].as_array().unwrap().len()), (&1.into(), 3));
        assert_eq!(value["nodes"][0]["load"], 1.25);
        assert_eq!(value["nodes"][2]["state"], "lost");
    }
}
