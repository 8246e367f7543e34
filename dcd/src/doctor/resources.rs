//! Whether there is enough of what ranks use up: descriptors, processes, shared memory, promised memory.

use super::{Facts, Finding};
use crate::draw::amount::{count, counted, memory};

/// Descriptors that a starter has for itself, at most.
const FILES_OWN: u64 = 64;
/// Descriptors for each rank: its streams, its process, its progress.
const FILES_A_RANK: u64 = 8;
/// Threads of dcd and the starter together, at most.
const PROCESSES_OWN: u64 = 32;
/// Less shared memory for a rank than this is little to an MPI, in bytes.
const SHM_A_RANK_BYTES: u64 = 16 << 20;

/// Ranks that can run at once: one a hardware thread.
fn ranks(facts: &Facts) -> u64 {
    facts.cores.as_ref().map_or(1, |cores| u64::from(cores.threads.max(1)))
}

pub(super) fn files(facts: &Facts) -> Finding {
    const CHECK: &str = "open files";
    let (ranks, most) = (ranks(facts), facts.files_max.saturating_sub(FILES_OWN) / FILES_A_RANK);
    let enough_for =
        format!("{} descriptors are enough for {}", count(facts.files_max), counted(most, "rank", "ranks"));
    if facts.files_max == u64::MAX {
        return Finding::good(CHECK, "without a limit");
    }
    if most >= ranks {
        return Finding::good(CHECK, enough_for);
    }
    let wanted = FILES_OWN + ranks * FILES_A_RANK;
    let says = format!("{enough_for}, and {ranks} could run");
    Finding::bad(CHECK, says, format!("raise it: ulimit -n {wanted}, or LimitNOFILE={wanted} in the unit"))
}

pub(super) fn processes(facts: &Facts) -> Finding {
    const CHECK: &str = "processes";
    let Some(most) = facts.processes_max else {
        return Finding::good(CHECK, "without a limit for this user");
    };
    let (ranks, left) = (ranks(facts), most.saturating_sub(facts.processes + PROCESSES_OWN));
    let has = format!("this user may have {} and has {}", count(most), count(facts.processes));
    if left >= ranks {
        return Finding::good(CHECK, format!("{has}: enough for {}", counted(left, "rank", "ranks")));
    }
    let wanted = facts.processes + PROCESSES_OWN + ranks;
    let says = format!("{has}: enough for {}, and {ranks} could run", counted(left, "rank", "ranks"));
    Finding::bad(
        CHECK,
        says,
        format!("raise it: ulimit -u {wanted}, or TasksMax= and LimitNPROC={wanted} in the unit"),
    )
}

pub(super) fn shm(facts: &Facts) -> Finding {
    const CHECK: &str = "shared memory";
    let remedy = "mount a tmpfs there: mount -t tmpfs -o size=50% tmpfs /dev/shm (containers: --shm-size)";
    match &facts.shm {
        Err(why) => {
            Finding::weak(CHECK, format!("/dev/shm: {why}; MPIs fall back to slower ways, or fail"), remedy)
        }
        Ok(space) if space.free_bytes < ranks(facts) * SHM_A_RANK_BYTES => {
            let says = format!(
                "/dev/shm has {} free of {}: little for MPI programs of {}",
                memory(space.free_bytes),
                memory(space.total_bytes),
                counted(ranks(facts), "rank", "ranks")
            );
            Finding::weak(CHECK, says, remedy)
        }
        Ok(space) => {
            let (free, all) = (memory(space.free_bytes), memory(space.total_bytes));
            Finding::good(CHECK, format!("/dev/shm has {free} free of {all}"))
        }
    }
}

pub(super) fn overcommit(facts: &Facts) -> Finding {
    const CHECK: &str = "overcommit";
    match facts.overcommit {
        Some(2) => Finding::weak(
            CHECK,
            "vm.overcommit_memory is 2: programs that reserve much more than they use fail to start",
            "sysctl vm.overcommit_memory=0, unless this is wanted",
        ),
        Some(mode) => Finding::good(CHECK, format!("vm.overcommit_memory is {mode}")),
        None => Finding::weak(CHECK, "vm.overcommit_memory cannot be read", "mount /proc"),
    }
}
