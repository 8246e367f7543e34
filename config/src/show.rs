//! What is in force, as a file that says so: for people who ask what a daemon would do.

use crate::{Config, Entry, Node};
use std::fmt::Write as _;

/// The most nodes that are named.
const NODES_SHOWN_MAX: usize = 20;

impl Config {
    /// All keys with what is in force and where that comes from, as a file of TOML; of `node`, if it is given, what that
    /// node does.
    #[must_use]
    pub fn written(&self, node: Option<&Node>) -> String {
        let mut out = String::new();
        let of_node = |entry: &&Entry| entry.key.table() == "node";
        let others = self.entries.iter().filter(|entry| !of_node(entry));
        let nodes = match node {
            Some(node) => node.entries.iter().collect::<Vec<_>>(),
            None => self.entries.iter().filter(of_node).collect(),
        };
        let mut table = "";
        for entry in others.chain(nodes) {
            if entry.key.table() != table {
                table = entry.key.table();
                let head = match node.filter(|_| table == "node") {
                    Some(node) => format!("[[nodes]]\nname = \"{}\"", node.name),
                    None => format!("[{table}]"),
                };
                let _ = writeln!(out, "{}{head}", if out.is_empty() { "" } else { "\n" });
            }
            let _ = match (entry.line, entry.value.is_empty()) {
                (_, true) => writeln!(out, "# {}: {}", entry.key.name(), entry.key.default()),
                (Some(line), _) => writeln!(out, "{} = {} # line {line}", entry.key.name(), entry.value),
                (None, _) if table == "node" => writeln!(out, "{} = {}", entry.key.name(), entry.value),
                (None, _) => writeln!(out, "{} = {} # default", entry.key.name(), entry.value),
            };
        }
        let count = self.nodes.len();
        if count > 0 && node.is_none() {
            let names: Vec<_> = self.node_names().take(NODES_SHOWN_MAX).map(|name| name.as_str()).collect();
            let more = if count > NODES_SHOWN_MAX { ", …" } else { "" };
            let _ = writeln!(out, "\n# [[nodes]]: {count} named: {}{more}", names.join(", "));
        }
        out
    }
}
