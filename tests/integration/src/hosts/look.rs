//! Looking into hosts from outside: which processes they have, and where those may run.

use crate::process::{self, Process};
use crate::shown::cpu_list;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Init and all that descends from it, as the machine numbers them. What is in a namespace of its own inside is among
/// them; nothing leaves init, which is the parent of orphans.
pub(super) fn tree(init: i32) -> Vec<Process> {
    let all = process::all();
    let mut found: Vec<Process> = all.iter().filter(|process| process.pid == init).cloned().collect();
    let mut looked_at = 0;
    while looked_at < found.len() {
        let parent = found[looked_at].pid;
        found.extend(all.iter().filter(|process| process.parent == parent).cloned());
        looked_at += 1;
    }
    found
}

/// The machine's number of a process that has this one inside.
pub(super) fn outside(init: i32, pid_inside: i32) -> Option<i32> {
    let namespace = |pid: i32| -> Option<PathBuf> { fs::read_link(format!("/proc/{pid}/ns/pid")).ok() };
    let own = namespace(init)?;
    tree(init).into_iter().map(|process| process.pid).find(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        let last = numbers.and_then(|numbers| numbers.split_whitespace().last()?.parse().ok());
        last == Some(pid_inside) && namespace(*pid).as_ref() == Some(&own)
    })
}

/// Stops all of a tree, init too: again and again, until nobody was found running twice in a row.
pub(super) fn stop_all(init: i32) {
    let mut quiet = 0;
    crate::wait::until("all of a host to stop", || {
        let running: Vec<_> = tree(init).into_iter().filter(|process| !is_held(process)).collect();
        running.iter().for_each(|process| {
            process::signal(process.pid, Signal::SIGSTOP);
        });
        quiet = if running.is_empty() { quiet + 1 } else { 0 };
        (quiet == 2).then_some(())
    });
}

/// Stopped, or in the kernel until a stopped child of its has executed something (vfork), with SIGSTOP waiting for it.
fn is_held(process: &Process) -> bool {
    let stop_is_pending = || {
        let status = fs::read_to_string(format!("/proc/{}/status", process.pid)).unwrap_or_default();
        let mask = |name: &str| {
            let text = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
            u64::from_str_radix(text.trim(), 16).unwrap_or(0)
        };
        (mask("SigPnd:") | mask("ShdPnd:")) & 1 << (Signal::SIGSTOP as i32 - 1) != 0
    };
    matches!(process.state, 'T' | 't' | 'Z') || process.state == 'D' && stop_is_pending()
}

/// Lets all of a tree go on.
pub(super) fn continue_all(init: i32) {
    tree(init).iter().for_each(|process| {
        process::signal(process.pid, Signal::SIGCONT);
    });
}

/// The CPUs a process may run on, by the kernel's word; none when it is gone.
#[must_use]
pub fn cpus_of(pid: i32) -> Option<BTreeSet<u32>> {
    process::cpus(pid).map(|list| cpu_list(&list).into_iter().collect())
}

/// The first two of these processes that may run on the same CPU, in words; none when no two may.
#[must_use]
pub fn overlap(pids: &[i32]) -> Option<String> {
    let sets: Vec<_> = pids.iter().filter_map(|pid| Some((pid, cpus_of(*pid)?))).collect();
    sets.iter().enumerate().find_map(|(at, (pid, cpus))| {
        sets[at + 1..].iter().find_map(|(other, others)| {
            let shared: Vec<_> = cpus.intersection(others).collect();
            (!shared.is_empty()).then(|| format!("{pid} on {cpus:?} and {other} on {others:?}"))
        })
    })
}

/// A path of a host as the machine reaches it, while the host is on.
pub(super) fn through(init: i32, path: &Path) -> PathBuf {
    PathBuf::from(format!("/proc/{init}/root")).join(path.strip_prefix("/").unwrap_or(path))
}
