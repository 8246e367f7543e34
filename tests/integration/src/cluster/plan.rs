//! What a test's cluster is like, and its dc.toml.

use crate::hosts::{Net, Options};
use std::path::PathBuf;

/// A cluster to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its hosts.
    pub hosts: Vec<Options>,
    /// Each node's cores, as hwloc describes a machine; empty for the real ones.
    pub topology: String,
    /// How long a node goes on without having heard from dcsched, in ms.
    pub lease_ms: u64,
    /// Where checkpoints are: local, shared or partner.
    pub keep: &'static str,
    /// Lines of dc.toml below `[scheduler]`.
    pub scheduler: String,
    /// Lines of dc.toml below `[node]`.
    pub node: String,
    /// Tables of dc.toml.
    pub tables: String,
    /// dcsched's port.
    pub port: u16,
    /// The words after `dcsched` that make it serve.
    pub dcsched_words: &'static str,
    /// The words after `dcd` that make it serve.
    pub dcd_words: &'static str,
}

impl Plan {
    /// So many hosts of so many cores, a short lease, and checkpoints in a shared directory.
    #[must_use]
    pub fn new(hosts: usize, cores: usize) -> Self {
        Self {
            hosts: vec![Options::default(); hosts],
            topology: format!("package:1 core:{cores} pu:1"),
            lease_ms: 3000,
            keep: "shared",
            scheduler: String::new(),
            node: String::new(),
            tables: String::new(),
            port: 7100,
            dcsched_words: "",
            dcd_words: "",
        }
    }

    /// Another lease.
    #[must_use]
    pub fn lease_ms(mut self, lease_ms: u64) -> Self {
        self.lease_ms = lease_ms;
        self
    }

    /// Where checkpoints are.
    #[must_use]
    pub fn keep(mut self, keep: &'static str) -> Self {
        self.keep = keep;
        self
    }

    /// One host has a disk of its own of so many bytes.
    #[must_use]
    pub fn disk(mut self, index: usize, bytes: u64) -> Self {
        self.hosts[index].disk_bytes = Some(bytes);
        self
    }

    /// The real cores: each host on one of these CPUs.
    #[must_use]
    pub fn on_cpus(mut self, cpus: &[u32]) -> Self {
        self.topology = String::new();
        self.hosts = cpus.iter().map(|cpu| Options { cpus: vec![*cpu], ..Options::default() }).collect();
        self
    }

    /// dcsched's state directory, on its host.
    #[must_use]
    pub fn state(&self, net: &Net) -> PathBuf {
        net.host(0).own().join("scheduler")
    }

    /// A node's state directory, on each host.
    #[must_use]
    pub fn node_state(net: &Net) -> PathBuf {
        net.host(0).own().join("node")
    }

    /// The whole dc.toml.
    #[must_use]
    pub fn config(&self, net: &Net) -> String {
        let Self { port, lease_ms, scheduler, node, tables, keep, .. } = self;
        let topology = match self.topology.as_str() {
            "" => String::new(),
            topology => format!("topology = \"synthetic:{topology}\"\n"),
        };
        let shared = match *keep {
            "shared" => format!("shared_dir = {:?}\n", net.shared().join("checkpoints")),
            _ => String::new(),
        };
        format!(
            "[cluster]\nname = \"test\"\n\n\
             [scheduler]\nlisten = \"*:{port}\"\naddress = \"n1:{port}\"\nsocket = \"/run/dc/socket\"\n\
             state = {:?}\nlease = \"{lease_ms}ms\"\n{scheduler}\n\
             [node]\nlisten = \"*:7200\"\naddress = \"%h:7200\"\nstate = {:?}\nretry_max = \"500ms\"\n\
             {topology}{node}\n\
             [checkpoints]\nkeep = \"{keep}\"\n{shared}\n{tables}",
            self.state(net),
            Self::node_state(net),
        )
    }
}
