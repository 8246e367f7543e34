//! A control group with little memory, made by a test and removed by it; as root only.

use std::fs;
use std::path::{Path, PathBuf};

const TOPS: [(&str, &str, &str); 3] = [
    ("/sys/fs/cgroup", "memory.max", "memory.swap.max"),
    ("/sys/fs/cgroup/unified", "memory.max", "memory.swap.max"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
];

/// One group.
pub struct MemoryGroup {
    path: PathBuf,
}

impl MemoryGroup {
    /// Makes one with so much memory; none, and why, where that cannot be.
    ///
    /// # Errors
    /// In words.
    pub fn new(name: &str, bytes: u64) -> Result<Self, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("needs root, to make a control group".to_owned());
        }
        for (top, limit, swap) in TOPS {
            let path = Path::new(top).join(format!("dc-test-{}-{name}", std::process::id()));
            if fs::create_dir(&path).is_err() {
                continue;
            }
            let group = Self { path };
            // On a system with both versions the top is a plain directory.
            if !group.path.join(limit).exists() {
                continue;
            }
            // Swap is not counted everywhere.
            let limited = fs::write(group.path.join(limit), bytes.to_string()).is_ok();
            let _ = fs::write(
                group.path.join(swap),
                if limit == "memory.max" { "0".to_owned() } else { bytes.to_string() },
            );
            if limited {
                return Ok(group);
            }
        }
        Err("no control group for memory can be made here".to_owned())
    }

    /// The file that a process writes its number into to be in it.
    #[must_use]
    pub fn processes(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        crate::wait::within(crate::wait::DEADLINE, || fs::remove_dir(&self.path).ok());
    }
}
