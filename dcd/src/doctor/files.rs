//! Where the node writes: the spool, the state directory, the key.

use super::{Facts, Finding};
use crate::draw::amount::memory;
use dc_spool::files::shown;

/// Less room than this is little for results and checkpoints, in bytes.
const SPOOL_FREE_BYTES: u64 = 1 << 30;

pub(super) fn spool(facts: &Facts) -> Finding {
    const CHECK: &str = "spool";
    let disk = &facts.spool;
    let there = match disk.path == disk.found {
        true => String::new(),
        false => format!(" (not there yet; looked at {})", shown(&disk.found)),
    };
    let place = format!("{}{there}: {}", shown(&disk.path), shown(&disk.kind));
    if let Err(why) = &disk.rules {
        let remedy = "name a directory of a local disk that this user may write: spool of [node] in dc.toml";
        return Finding::bad(CHECK, format!("{place}: {why}"), remedy);
    }
    let Some(space) = disk.space else {
        return Finding::weak(CHECK, format!("{place}: its room cannot be read"), "look at it with df");
    };
    let says = format!(
        "{place}, {} free of {}; sync and rename work",
        memory(space.free_bytes),
        memory(space.total_bytes)
    );
    if space.free_bytes < SPOOL_FREE_BYTES {
        return Finding::weak(
            CHECK,
            says,
            "make room, or name another directory: spool of [node] in dc.toml",
        );
    }
    if disk.is_network {
        let says = format!("{says}; other hosts see it too, and a hang of it holds up ranks");
        return Finding::weak(CHECK, says, "name a directory of a local disk: spool of [node] in dc.toml");
    }
    if disk.is_memory {
        let says = format!("{says}; it is in memory, and gone with the boot");
        return Finding::weak(CHECK, says, "name a directory of a disk: spool of [node] in dc.toml");
    }
    Finding::good(CHECK, says)
}

pub(super) fn state(facts: &Facts) -> Finding {
    const CHECK: &str = "state";
    let path = shown(&facts.state_path);
    let Some(owned) = facts.state else {
        return Finding::good(CHECK, format!("{path} is not there yet, and will be made with mode 0700"));
    };
    if !owned.is_dir {
        return Finding::bad(
            CHECK,
            format!("{path} is no directory"),
            "move it away, or name another: state of [node]",
        );
    }
    if owned.uid != facts.uid {
        let says = format!("{path} belongs to user {}, and dcd runs as user {}", owned.uid, facts.uid);
        return Finding::bad(
            CHECK,
            says,
            format!("chown it to user {}, or name another: state of [node]", facts.uid),
        );
    }
    if owned.mode & 0o022 != 0 {
        let says = format!("{path} has mode {:04o}: others may put files into it", owned.mode);
        return Finding::bad(CHECK, says, format!("chmod 700 {path}"));
    }
    Finding::good(CHECK, format!("{path}, mode {:04o}", owned.mode))
}

pub(super) fn key(facts: &Facts) -> Finding {
    const CHECK: &str = "key";
    match &facts.key {
        Ok(Some(fingerprint)) => Finding::good(CHECK, fingerprint.clone()),
        Ok(None) => Finding::weak(
            CHECK,
            "there is none yet: without one only a scheduler of this host can be reached, at its socket",
            "dcd keygen makes it; dcd join makes it and joins a cluster",
        ),
        Err(why) => {
            Finding::bad(CHECK, why.clone(), "put it right as it says, or move it away and run dcd keygen")
        }
    }
}
