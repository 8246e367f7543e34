//! What the kernel lets dcd do: killing, limits, namespaces, calls, clocks.

use super::{Facts, Finding, Namespaces};
use crate::abilities::{Abilities, CPUSET, FREEZER, MEMORY, PIDS};
use dc_model::cluster::node::KillMode;

/// What makes a control group this user's own.
const DELEGATE: &str = "start dcd by systemd with Delegate=yes (contrib/systemd), or by `systemd-run --user --scope -p Delegate=yes`";

pub(super) fn kill(facts: &Facts) -> Finding {
    const CHECK: &str = "kill";
    let abilities = Abilities::of(&facts.groups);
    if let Err(why) = abilities.choose(facts.kill) {
        return Finding::bad(
            CHECK,
            why,
            "set kill = \"auto\" for this node in dc.toml, or see below what is missing",
        );
    }
    let v2 = facts.groups.v2.as_ref();
    match abilities.kill {
        KillMode::Cgroup2 => Finding::good(CHECK, "cgroup2: all that a job has started is killed in one go"),
        KillMode::Cgroup1 if v2.is_some_and(|v2| v2.can_make) => Finding::weak(
            CHECK,
            format!(
                "cgroup1: Linux {} has no cgroup.kill, so groups are held and killed one process after another",
                facts.kernel
            ),
            "use Linux 5.14 or newer",
        ),
        KillMode::Cgroup1 => Finding::weak(
            CHECK,
            "cgroup1: the freezer holds a group while its processes are killed one after another",
            "mount control groups of version 2 too (systemd.unified_cgroup_hierarchy=1 on the kernel's command line)",
        ),
        KillMode::Subreaper => {
            let (why, remedy) = match v2 {
                Some(_) => ("this user may make no group in its own", DELEGATE),
                None if facts.groups.v1.iter().any(|v1| v1.controller == FREEZER) => (
                    "this user may make no group in the freezer",
                    "have root give a group of each controller to this user",
                ),
                None => ("no control groups are mounted", "mount cgroup2 at /sys/fs/cgroup"),
            };
            Finding::weak(
                CHECK,
                format!(
                    "subreaper: ranks are found as descendants, and one that flees fast enough may get away ({why})"
                ),
                remedy,
            )
        }
    }
}

pub(super) fn memory(facts: &Facts) -> Finding {
    limit(
        facts,
        "memory",
        MEMORY,
        "a rank over its --mem is not stopped, and out of memory may hit any process of the host",
    )
}

pub(super) fn pids(facts: &Facts) -> Finding {
    limit(facts, "pids", PIDS, "a rank that forks without end is held by the user's limit alone")
}

pub(super) fn cpuset(facts: &Facts) -> Finding {
    limit(facts, "cpuset", CPUSET, "ranks are bound by their affinity, which they could change")
}

fn limit(facts: &Facts, check: &'static str, controller: &str, without: &str) -> Finding {
    let groups = &facts.groups;
    let v2 = groups.v2.as_ref();
    if v2.is_some_and(|v2| v2.limits(controller)) {
        return Finding::good(check, "limited by control groups of version 2");
    }
    if groups.can_make_v1(controller) {
        return Finding::good(check, "limited by control groups of version 1");
    }
    let v1 = groups.v1.iter().any(|v1| v1.controller == controller);
    let (why, remedy) = match v2 {
        _ if v1 => {
            let remedy = format!("have root give a group of {controller} to this user");
            (format!("version 1 has {controller}, and this user may make no group there"), remedy)
        }
        Some(v2) if !v2.controllers.contains(controller) => (
            format!("{controller} is not delegated to this process's group"),
            format!("{DELEGATE}; for a user also Delegate={controller} in user@.service"),
        ),
        Some(_) => (format!("{controller} is there, and this user may not use it"), DELEGATE.to_owned()),
        None => ("no control groups are mounted".to_owned(), "mount cgroup2 at /sys/fs/cgroup".to_owned()),
    };
    Finding::weak(check, format!("no limit ({why}): {without}"), remedy)
}

pub(super) fn namespaces(facts: &Facts) -> Finding {
    const CHECK: &str = "namespaces";
    match facts.namespaces {
        Namespaces::Allowed => Finding::good(CHECK, "user and process namespaces can be made"),
        Namespaces::Forbidden(setting) => Finding::weak(
            CHECK,
            format!("no user or process namespace can be made ({setting}): nothing needs one now"),
            format!("have root change {setting}"),
        ),
    }
}

pub(super) fn pidfd(facts: &Facts) -> Finding {
    const CHECK: &str = "pidfd";
    if facts.has_pidfd {
        return Finding::good(CHECK, "processes are held by descriptors, and never mistaken for another");
    }
    let says = format!("Linux {} has no pidfd_open, or a filter of system calls forbids it", facts.kernel);
    Finding::bad(
        CHECK,
        says,
        "use Linux 5.3 or newer; in a container allow pidfd_open in its seccomp profile",
    )
}

pub(super) fn clone3(facts: &Facts) -> Finding {
    const CHECK: &str = "clone3";
    if facts.has_clone3 {
        return Finding::good(CHECK, "a process can be made in its control group");
    }
    let says = "a process is moved into its control group after it was made (no clone3)";
    Finding::weak(CHECK, says, "use Linux 5.7 or newer; in a container allow clone3 in its seccomp profile")
}

pub(super) fn clock(facts: &Facts) -> Finding {
    const CHECK: &str = "clock";
    if facts.has_boottime {
        return Finding::good(CHECK, "leases end by CLOCK_BOOTTIME, which goes on while the host sleeps");
    }
    Finding::bad(
        CHECK,
        "no timer of CLOCK_BOOTTIME can be made",
        "use Linux 3.15 or newer, and allow timerfd_create",
    )
}
