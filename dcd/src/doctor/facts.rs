//! What is looked at on a host, in plain values: [`super::probe`] finds them, [`super::all`] says what they mean.

use crate::abilities::GroupFacts;
use dc_model::CpuSet;
use std::path::PathBuf;

/// A host as dcd finds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// This process's user.
    pub uid: u32,
    /// The kernel's release.
    pub kernel: String,
    /// Control groups.
    pub groups: GroupFacts,
    /// What dc.toml wants of killing.
    pub kill: dc_config::Kill,
    /// Namespaces that this user may make.
    pub namespaces: Namespaces,
    /// `pidfd_open` works.
    pub has_pidfd: bool,
    /// `clone3` works.
    pub has_clone3: bool,
    /// A timer of CLOCK_BOOTTIME can be made, by which a lease ends.
    pub has_boottime: bool,
    /// Descriptors that a process may have; `u64::MAX` is no limit.
    pub files_max: u64,
    /// Processes that the user may have; none where no limit holds.
    pub processes_max: Option<u64>,
    /// Threads that the user has now.
    pub processes: u64,
    /// /dev/shm.
    pub shm: Result<Space, String>,
    /// vm.overcommit_memory.
    pub overcommit: Option<u32>,
    /// The spool.
    pub spool: Disk,
    /// The state directory; none when it is not there yet.
    pub state: Option<Owned>,
    /// Where that is.
    pub state_path: PathBuf,
    /// The key: its fingerprint, nothing when there is none yet, or why it cannot be used.
    pub key: Result<Option<String>, String>,
    /// The peer port.
    pub port: Port,
    /// Launchers of MPIs, by where they are.
    pub launchers: Vec<PathBuf>,
    /// The cores.
    pub cores: Result<Cores, String>,
}

/// Room in a file system, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// Of all.
    pub total_bytes: u64,
    /// For this user.
    pub free_bytes: u64,
}

/// Whether user namespaces can be made, and with them those of processes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Namespaces {
    /// They can.
    Allowed,
    /// They cannot: which setting says so.
    Forbidden(&'static str),
}

/// A directory that is written to by the file rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Disk {
    /// The directory that dc.toml names.
    pub path: PathBuf,
    /// What of it is there: it, or the nearest above it.
    pub found: PathBuf,
    /// The file system's name, such as `ext4`, or its number.
    pub kind: String,
    /// Other hosts see it too.
    pub is_network: bool,
    /// It is in memory, and gone with the boot.
    pub is_memory: bool,
    /// Its room.
    pub space: Option<Space>,
    /// A file was written, synced, renamed without replacing, and removed; or which step failed.
    pub rules: Result<(), String>,
}

/// A directory's owner and mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owned {
    /// It is a directory.
    pub is_dir: bool,
    /// Its owner.
    pub uid: u32,
    /// Its permission bits.
    pub mode: u32,
}

/// Whether a port can be listened at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Port {
    /// It can.
    Free(String),
    /// Somebody listens there: perhaps dcd itself.
    InUse(String),
    /// It cannot, and why.
    Not(String, String),
}

/// What hwloc shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cores {
    /// Cores that may be used.
    pub cores: u32,
    /// Their hardware threads.
    pub threads: u32,
    /// CPUs that are offline or not allowed.
    pub left_out: CpuSet,
    /// Cores of two kinds: fast and economical.
    pub is_hybrid: bool,
    /// Domains whose memory is not known.
    pub domains_without_memory: u32,
    /// A described machine: nothing is bound.
    pub is_described: bool,
}
