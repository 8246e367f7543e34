//! Resource limits and the umask: read where a job begins, and taken over where it is gone on with from another shell.

use dc_model::{Limit, Limits};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};

/// All that Linux has, by rising numbers, with the words of a shell's `ulimit`.
const RESOURCES: [(Resource, &str); 16] = [
    (Resource::RLIMIT_CPU, "cpu time"),
    (Resource::RLIMIT_FSIZE, "file size"),
    (Resource::RLIMIT_DATA, "data size"),
    (Resource::RLIMIT_STACK, "stack size"),
    (Resource::RLIMIT_CORE, "core file size"),
    (Resource::RLIMIT_RSS, "resident memory"),
    (Resource::RLIMIT_NPROC, "processes"),
    (Resource::RLIMIT_NOFILE, "open files"),
    (Resource::RLIMIT_MEMLOCK, "locked memory"),
    (Resource::RLIMIT_AS, "virtual memory"),
    (Resource::RLIMIT_LOCKS, "file locks"),
    (Resource::RLIMIT_SIGPENDING, "pending signals"),
    (Resource::RLIMIT_MSGQUEUE, "message queues"),
    (Resource::RLIMIT_NICE, "nice"),
    (Resource::RLIMIT_RTPRIO, "real-time priority"),
    (Resource::RLIMIT_RTTIME, "real-time cpu time"),
];

/// Those of this process. To be called before it has threads: reading the umask is writing it twice.
#[must_use]
pub fn own() -> Limits {
    let list = RESOURCES.iter().filter_map(|(resource, _)| {
        let (soft, hard) = getrlimit(*resource).ok()?;
        Some(Limit { resource: *resource as u8, soft, hard })
    });
    let mask = umask(Mode::from_bits_truncate(0o077));
    umask(mask);
    Limits { umask: mask.bits(), list: list.collect() }
}

/// Makes them this process's own, so that all it starts begins with them. What the system does not allow comes as near
/// as it can, and is told, a line each.
#[must_use]
pub fn take_over(limits: &Limits) -> Vec<String> {
    umask(Mode::from_bits_truncate(limits.umask));
    limits.list.iter().filter_map(|limit| try_take_over(*limit).err()).collect()
}

fn try_take_over(wanted: Limit) -> Result<(), String> {
    let known = RESOURCES.iter().find(|(resource, _)| *resource as u8 == wanted.resource);
    let Some((resource, name)) = known else { return Ok(()) };
    let Ok((soft, hard)) = getrlimit(*resource) else { return Ok(()) };
    if (soft, hard) == (wanted.soft, wanted.hard) || setrlimit(*resource, wanted.soft, wanted.hard).is_ok() {
        return Ok(());
    }
    let reachable = wanted.soft.min(hard);
    let set = setrlimit(*resource, reachable, hard.min(wanted.hard));
    if set.is_ok() && reachable == wanted.soft {
        // Only the room above it is smaller than it was.
        return Ok(());
    }
    let now = if set.is_ok() { reachable } else { soft };
    Err(format!(
        "the job began with a limit of {} on {name}; here only {} can be had",
        shown(wanted.soft),
        shown(now)
    ))
}

fn shown(limit: u64) -> String {
    if limit == u64::MAX { "none".to_owned() } else { limit.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_limits_are_all_there_and_taken_over_without_a_word() {
        let own = own();
        assert_eq!(own.list.len(), RESOURCES.len());
        assert!(own.list.is_sorted_by_key(|limit| limit.resource));
        assert_eq!(take_over(&own), Vec::<String>::new());
        assert_eq!(super::own(), own);
    }
}
