//! One process at a time: a lock that the kernel lets go when its owner ends, and a record of who that is.

use crate::StoreError;
use dc_spool::files::{Dir, shown};
use dc_spool::layout::LOCK;
use dc_spool::lock::{Lock, LockError};

/// Takes the lock, or says who has it; never waits.
pub(crate) fn take(dir: &Dir) -> Result<Lock, StoreError> {
    let boot = boot_id();
    match Lock::take_as(dir, &format!("{} {boot}", std::process::id())) {
        Ok(lock) => Ok(lock),
        Err(LockError::File(error)) => Err(error.into()),
        Err(LockError::Held { dir: path, .. }) => {
            Err(StoreError::Held { owner: owner(dir, &boot), dir: path })
        }
    }
}

/// Who has it, if somebody has.
pub(crate) fn holder(dir: &Dir) -> Option<String> {
    Lock::is_held(dir).then(|| owner(dir, &boot_id()))
}

fn owner(dir: &Dir, boot: &str) -> String {
    let text = dir.read(LOCK, 256).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut words = text.split_ascii_whitespace();
    match (words.next().and_then(|pid| pid.parse::<u32>().ok()), words.next()) {
        (Some(pid), Some(other)) if other != boot => {
            format!("process {pid} of another boot or host (boot id {})", shown(other))
        }
        (Some(pid), _) => format!("process {pid}"),
        (None, _) => "another process".to_owned(),
    }
}

/// The kernel's name for this boot.
fn boot_id() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let text = text.trim();
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}
