//! The targets by name, one file a kind of decoder.

mod cluster;
mod config;
mod data;
mod domain;
mod exec;
mod journal;
mod list;
mod neighbours;
mod programs;
mod records;
mod spool_files;
mod wire;
mod words;

/// A decoder and what must hold of it.
pub struct Target {
    /// Its name: that of the corpus's directory, of libFuzzer's program and of the test.
    pub name: &'static str,
    /// Panics when a promise is broken.
    pub run: fn(&[u8]),
    /// Inputs made by dc's own encoders, to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// It may allocate so many times the input's length …
    pub times_input: usize,
    /// … and so many bytes more: tables, pieces that are read at once.
    pub free_bytes: usize,
}

/// What most may allocate whatever the input is.
const FREE_BYTES: usize = 2 << 20;

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "domain",
        run: domain::run,
        seeds: domain::seeds,
        times_input: 64,
        free_bytes: FREE_BYTES,
    },
    Target { name: "list", run: list::run, seeds: list::seeds, times_input: 256, free_bytes: FREE_BYTES },
    Target {
        name: "to_starter",
        run: wire::to_starter,
        seeds: wire::golden,
        times_input: 64,
        free_bytes: FREE_BYTES,
    },
    Target {
        name: "from_starter",
        run: wire::from_starter,
        seeds: wire::golden,
        times_input: 64,
        free_bytes: FREE_BYTES,
    },
    Target {
        name: "output",
        run: wire::output,
        seeds: wire::golden,
        times_input: 64,
        free_bytes: FREE_BYTES,
    },
    Target {
        name: "frames",
        run: wire::frames,
        seeds: wire::streams,
        times_input: 64,
        free_bytes: FREE_BYTES,
    },
    Target {
        name: "job",
        run: records::job,
        seeds: records::nothing,
        times_input: 64,
        free_bytes: FREE_BYTES,
    },
    Target {
        name: "header",
        run: records::header,
        seeds: records::headers,
        times_input: 64,
        free_bytes: FREE_BYTES,
    },
    Target {
        name: "journal",
        run: journal::run,
        seeds: journal::seeds,
        times_input: 64,
        free_bytes: FREE_BYTES,
    },
    Target {
        name: "journal_damage",
        run: journal::damage,
        seeds: journal::damages,
        times_input: 64,
        free_bytes: FREE_BYTES,
    },
    Target {
        name: "checkpoint",
        run: spool_files::checkpoint,
        seeds: spool_files::checkpoints,
        times_input: 64,
        free_bytes: FREE_BYTES,
    },
    Target {
        name: "result",
        run: spool_files::result,
        seeds: spool_files::results,
        times_input: 64,
        free_bytes: FREE_BYTES,
    },
    Target {
        name: "cost",
        run: records::cost,
        seeds: records::costs,
        times_input: 64,
        free_bytes: FREE_BYTES,
    },
    Target { name: "words", run: words::run, seeds: words::seeds, times_input: 64, free_bytes: 24 << 20 },
    Target {
        name: "pattern",
        run: words::pattern,
        seeds: words::patterns,
        times_input: 64,
        free_bytes: FREE_BYTES,
    },
    Target {
        name: "claim",
        run: neighbours::claim,
        seeds: neighbours::claims,
        times_input: 64,
        free_bytes: FREE_BYTES,
    },
    Target {
        name: "elf",
        run: programs::elf,
        seeds: programs::elves,
        times_input: 64,
        free_bytes: FREE_BYTES,
    },
    Target { name: "data", run: data::run, seeds: data::seeds, times_input: 64, free_bytes: FREE_BYTES },
    Target {
        name: "exec_request",
        run: exec::request,
        seeds: exec::requests,
        times_input: 64,
        free_bytes: FREE_BYTES,
    },
    Target {
        name: "exec_config",
        run: exec::config,
        seeds: exec::configs,
        times_input: 64,
        free_bytes: FREE_BYTES,
    },
    Target {
        name: "npy_header",
        run: domain::npy_header,
        seeds: domain::npy_headers,
        times_input: 64,
        free_bytes: FREE_BYTES,
    },
    Target {
        name: "config",
        run: config::run,
        seeds: config::seeds,
        // A mistake a byte, each with its message.
        times_input: 512,
        // A list of a few letters may name 65,536 nodes.
        free_bytes: 48 << 20,
    },
    Target {
        name: "cluster_messages",
        run: cluster::messages,
        seeds: cluster::golden,
        times_input: 64,
        free_bytes: FREE_BYTES,
    },
    Target {
        name: "cluster_state",
        run: cluster::state,
        seeds: cluster::states,
        // A job that is made has more than its bytes.
        times_input: 4096,
        free_bytes: FREE_BYTES,
    },
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
