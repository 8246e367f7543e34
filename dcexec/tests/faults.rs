//! Every step made to fail from outside, by strace(1): no launch, and the step is told. The program has no code for it.

#![allow(clippy::unwrap_used)]

mod common;

use common::{ANN, Came, DC, Host, host, start};
use dc_exec::{Request, Stage, Told};
use std::fs;

/// strace as root, which lets a setuid program of the user's have its rights.
fn strace(host: &Host, words: &[&str], request: &Request) -> Came {
    let fixed = ["/usr/bin/strace", "-qq", "-u", "dc", "-f"];
    let through: Vec<String> = fixed.iter().chain(words).map(|word| (*word).to_owned()).collect();
    host.ask_by(&through, request, &[], None)
}

fn is_there() -> bool {
    let there = fs::exists("/usr/bin/strace").unwrap();
    if !there {
        eprintln!("not tested: strace(1) is not there");
    }
    there
}

/// Which calls, what they give, at which of them; and the step that must be told.
const FAULTS: &[(&str, &str, Stage)] = &[
    // Real failures.
    ("setresuid", "error=EPERM:when=1", Stage::Root),
    ("setresgid", "error=EPERM:when=1", Stage::Root),
    ("chdir", "error=EACCES:when=1", Stage::Root),
    ("openat2", "error=EACCES:when=1", Stage::Directory),
    ("mkdirat", "error=ENOSPC:when=1", Stage::Directory),
    ("fchmod", "error=EPERM:when=1", Stage::Directory),
    ("fchown", "error=EPERM:when=1", Stage::Directory),
    ("fsync", "error=EIO:when=1", Stage::Directory),
    ("setsid", "error=EPERM:when=1", Stage::Surroundings),
    ("keyctl", "error=EDQUOT:when=1", Stage::Surroundings),
    ("prlimit64", "error=EPERM:when=1+", Stage::Limits),
    ("setgroups", "error=EPERM:when=1", Stage::Groups),
    ("setresgid", "error=EPERM:when=2", Stage::Gid),
    ("setresuid", "error=EAGAIN:when=2", Stage::Uid),
    ("getresuid", "error=EFAULT:when=1", Stage::Verify),
    ("getresgid", "error=EFAULT:when=1", Stage::Verify),
    ("getgroups", "error=EFAULT:when=1", Stage::Verify),
    ("capset", "error=EPERM:when=1", Stage::Capabilities),
    ("capget", "error=EFAULT:when=1", Stage::Capabilities),
    ("prctl", "error=EINVAL:when=1", Stage::Capabilities),
    ("prctl", "error=EINVAL:when=2", Stage::NoNewPrivs),
    ("prctl", "error=EINVAL:when=3", Stage::NoNewPrivs),
    ("prctl", "error=EINVAL:when=4", Stage::Descriptors),
    ("dup2,dup3", "error=EBADF:when=1", Stage::Descriptors),
    ("close_range", "error=ENOSYS:when=1", Stage::Descriptors),
    ("close_range", "error=ENOSYS:when=2", Stage::Descriptors),
    ("execveat", "error=ENOMEM:when=1", Stage::Exec),
    // Calls that say that all is well and do nothing: only looking afterwards tells.
    ("setgroups", "retval=0:when=1", Stage::Verify),
    ("setresgid", "retval=0:when=2", Stage::Verify),
    ("setresuid", "retval=0:when=2", Stage::Verify),
    ("setuid", "retval=0:when=1", Stage::Verify),
    ("prctl", "retval=0:when=2", Stage::NoNewPrivs),
    ("fchown", "retval=0:when=1", Stage::Directory),
];

#[test]
fn each_step_that_fails_is_told_and_nothing_starts() {
    if !is_there() {
        return;
    }
    let mut seen = Vec::new();
    for (calls, fault, stage) in FAULTS {
        let Some(host) = host() else { return };
        host.configure("limit.core = 0\n");
        let inject = format!("inject={calls}:{fault}");
        let came = strace(&host, &["-o", "/dev/null", "-e", &inject], &start(ANN));
        let Told::Refused { stage: told, .. } = &came.told else { panic!("{inject}: {came:?}") };
        assert_eq!(told, stage, "{inject}: {came:?}");
        host.assert_nothing_started(&start(ANN));
        seen.push(*stage);
    }
    println!("trust: dc-exec, steps made to fail: {} of a start", FAULTS.len());
    let of_start = Stage::ALL.iter().take_while(|stage| **stage != Stage::Kill);
    // Those of who may ask and what for are in another file.
    let elsewhere =
        [Stage::Config, Stage::Caller, Stage::Request, Stage::Account, Stage::Starter, Stage::Cgroup];
    for stage in of_start.filter(|stage| !elsewhere.contains(stage)) {
        assert!(seen.contains(stage), "{stage:?} was never made to fail");
    }
}

#[test]
fn killed_at_any_call_it_leaves_nothing_that_hinders_the_next_start() {
    if !is_there() {
        return;
    }
    let Some(host) = host() else { return };
    let calls = "mkdirat openat2 fchmod fchown fsync setsid keyctl setgroups setresgid setresuid capset prctl dup2 dup3 \
         close_range write execveat";
    let mut job = 0u8;
    for call in calls.split(' ').filter(|call| !call.is_empty()) {
        for at in 1.. {
            job += 1;
            let request = Request { job: [job; 16], first_lease_ms: 1, ..start(ANN) };
            let inject = format!("inject={call}:signal=KILL:when={at}");
            let came = strace(&host, &["-o", "/dev/null", "-e", &inject], &request);
            if matches!(came.told, Told::Started) {
                // It was not called so often; or it was the exec, which the signal follows.
                break;
            }
            assert!(matches!(came.told, Told::Nothing), "{inject}: {came:?}");
            host.assert_nothing_started(&request);
            let again = host.ask(&request);
            assert!(matches!(again.told, Told::Started), "{inject}, then {again:?}");
        }
    }
    println!("trust: dc-exec, killed at a call of a start: {job} times");
    assert!(job > 30, "only {job} calls");
}

#[test]
fn the_steps_come_in_their_order() {
    if !is_there() {
        return;
    }
    let Some(host) = host() else { return };
    host.configure("limit.core = 0\n");
    let calls = "trace=setsid,prlimit64,setgroups,setresgid,setresuid,getresuid,getresgid,getgroups,setuid,capset,prctl,\
         close_range,execveat";
    let request = Request { first_lease_ms: 1, ..start(ANN) };
    let came = strace(&host, &["-o", "/opt/trace", "-e", calls], &request);
    assert!(matches!(came.told, Told::Started), "{came:?}");
    host.seen(&request);
    let text = common::until("the trace", || {
        fs::read_to_string(host.path("/opt/trace")).ok().filter(|text| text.contains("execveat("))
    });
    let lines: Vec<_> =
        text.lines().filter_map(|line| line.split_once(' ')).map(|(_, call)| call.trim()).collect();
    let user = format!("{ANN}, {ANN}, {ANN}");
    let wanted = [
        "setresuid(0, 0, 0)",
        "setresgid(0, 0, 0)",
        "setsid()",
        "prlimit64(0, RLIMIT_CORE",
        "setgroups(3, [4201, ",
        &format!("setresgid({user})"),
        &format!("setresuid({user})"),
        "getresuid(",
        "getresgid(",
        "getgroups(",
        "setuid(0)",
        "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL",
        "capset(",
        "prctl(PR_SET_NO_NEW_PRIVS, 1",
        "prctl(PR_GET_NO_NEW_PRIVS",
        "prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE)",
        "close_range(3, 4294967295, CLOSE_RANGE_CLOEXEC)",
        "execveat(",
    ];
    let mut rest = &lines[..];
    for call in wanted {
        let at = rest.iter().position(|line| line.starts_with(call));
        let at = at.unwrap_or_else(|| panic!("no {call} after what comes before it:\n{text}"));
        rest = &rest[at + 1..];
    }
    let root: Vec<_> = lines.iter().filter(|line| line.starts_with("setuid(0)")).collect();
    assert!(root.len() == 1 && root[0].contains("= -1 EPERM"), "{root:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("setgroups(")).count(), 1, "{DC}: {text}");
}
