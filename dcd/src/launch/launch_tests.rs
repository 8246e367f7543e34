//! Launches by the launcher alone, without the starter around it.

use super::*;
use crate::process::calls::{End, Whose, peek, reap};
use nix::errno::Errno;
use std::fs::File;
use std::os::fd::AsFd;

struct Words {
    argv: Vec<CString>,
    cpus: CpuSet,
    mask: SigSet,
    null: File,
}

impl Words {
    fn new(argv: &[&CStr]) -> Self {
        let argv = argv.iter().map(|arg| (*arg).to_owned()).collect();
        Self { argv, cpus: CpuSet::new(), mask: SigSet::empty(), null: File::create("/dev/null").unwrap() }
    }

    fn plan<'a>(&'a self, program: &'a CStr) -> Plan<'a> {
        Plan {
            program,
            argv: [&self.argv, &[]],
            env: [&[], &[]],
            cwd: None,
            cpus: &self.cpus,
            numa: None,
            stdin: None,
            stdout: self.null.as_fd(),
            stderr: self.null.as_fd(),
            mask: &self.mask,
            files_max: None,
        }
    }
}

fn end_of(pid: Pid) -> End {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while peek(Whose::Pid(pid)).unwrap().is_none() {
        assert!(std::time::Instant::now() < deadline, "the rank does not end");
        std::thread::yield_now();
    }
    reap(Whose::Pid(pid)).unwrap().unwrap().1
}

#[test]
fn a_script_without_an_interpreter_line_is_a_shells() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("kernel");
    std::fs::write(&script, "test \"$1\" = one && test \"$#\" = 2 && exit 23\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = CString::new(script.to_str().unwrap()).unwrap();
    let words = Words::new(&[c"kernel", c"one", c"two words"]);
    let launched = Launcher::new().unwrap().launch(&words.plan(&program)).unwrap();
    assert_eq!(end_of(launched.pid), End::Exited(23));
}

#[test]
fn every_stage_that_can_be_made_to_fail_is_named() {
    let mut launcher = Launcher::new().unwrap();
    let mut words = Words::new(&[c"true"]);
    let refused = |stage, errno: Errno| Err(Refused { stage, errno: errno as i32 });
    let plan = |words: &Words, launcher: &mut Launcher| launcher.launch(&words.plan(c"/bin/true"));
    assert_eq!(launcher.launch(&words.plan(c"/nowhere/true")), refused(LaunchStage::Exec, Errno::ENOENT));
    assert_eq!(
        launcher.launch(&Plan { cwd: Some(c"/nowhere"), ..words.plan(c"/bin/true") }),
        refused(LaunchStage::Directory, Errno::ENOENT)
    );
    assert_eq!(
        launcher.launch(&Plan { numa: Some(1 << 20), ..words.plan(c"/bin/true") }),
        refused(LaunchStage::Memory, Errno::EINVAL)
    );
    words.cpus = CpuSet::from_iter([60_000]);
    assert_eq!(plan(&words, &mut launcher), refused(LaunchStage::Affinity, Errno::EINVAL));
    words.cpus = CpuSet::new();
    let launched = plan(&words, &mut launcher).unwrap();
    assert_eq!(launched.bound, None);
    assert_eq!(end_of(launched.pid), End::Exited(0), "the launcher serves on after refusals");
}

#[test]
fn what_it_was_bound_to_is_read_back() {
    let allowed = crate::process::calls::affinity(Pid::from_raw(0)).unwrap();
    let mut words = Words::new(&[c"true"]);
    words.cpus = CpuSet::from_iter(allowed.first());
    let mut launcher = Launcher::new().unwrap();
    let launched = launcher.launch(&words.plan(c"/bin/true")).unwrap();
    assert_eq!(launched.bound, Some(words.cpus.clone()));
    assert_eq!(end_of(launched.pid), End::Exited(0));
    // A CPU that is not there is cut away without an error: that is why one looks.
    words.cpus.insert(60_000);
    let launched = launcher.launch(&words.plan(c"/bin/true")).unwrap();
    assert_eq!(launched.bound, Some(CpuSet::from_iter(allowed.first())));
    assert_eq!(end_of(launched.pid), End::Exited(0));
}

/// A child that ends when it is told to, and what tells it.
#[allow(clippy::zombie_processes)] // Reaped by its number.
fn forerunner() -> (Pid, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    let child = std::process::Command::new("cat").stdin(reader).spawn().unwrap();
    (Pid::from_raw(child.id() as i32), writer)
}

/// Waits until a held launch has left the launcher's memory.
fn fate_of(launcher: &Launcher, pid: Pid) -> Fate {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        match launcher.fate(pid).unwrap() {
            Fate::Inside => assert!(std::time::Instant::now() < deadline, "it stays"),
            fate => return fate,
        }
        std::thread::yield_now();
    }
}

#[test]
fn who_is_held_goes_on_when_the_other_has_ended() {
    let allowed = crate::process::calls::affinity(Pid::from_raw(0)).unwrap();
    let mut launcher = Launcher::new().unwrap();
    let (ahead, writer) = forerunner();
    let mut words = Words::new(&[c"sh", c"-c", c"exit $STATUS"]);
    words.cpus = CpuSet::from_iter(allowed.first());
    let strings = vec![c"STATUS=23".to_owned()];
    let plan = Plan { env: [&[], &strings], ..words.plan(c"/bin/sh") };
    let pid = launcher.hold(&plan, ahead).unwrap();
    launcher.keep(pid, strings);
    assert_eq!(launcher.fate(pid), Some(Fate::Inside));
    assert_eq!(peek(Whose::Pid(pid)).unwrap(), None, "it waits");
    drop(writer);
    let Fate::Executed(launched, since) = fate_of(&launcher, pid) else { panic!("it has not gone on") };
    assert_eq!((launched.pid, launched.bound), (pid, Some(words.cpus.clone())));
    assert!(since.elapsed() < std::time::Duration::from_secs(20) && since <= std::time::Instant::now());
    assert_eq!(end_of(pid), End::Exited(23));
    assert!(!launcher.try_revoke(pid));
    launcher.forget(pid);
    assert_eq!(launcher.fate(pid), None);
    assert_eq!(end_of(ahead), End::Exited(0));
}

#[test]
fn who_is_revoked_never_executes() {
    let dir = tempfile::tempdir().unwrap();
    let ran = CString::new(dir.path().join("ran").to_str().unwrap()).unwrap();
    let mut launcher = Launcher::new().unwrap();
    let (ahead, writer) = forerunner();
    let words = Words::new(&[c"touch", &ran]);
    let pid = launcher.hold(&words.plan(c"/bin/touch"), ahead).unwrap();
    assert!(launcher.try_revoke(pid));
    assert_eq!(launcher.fate(pid), Some(Fate::Inside), "until somebody kills it, or the other has ended");
    drop(writer);
    assert_eq!(end_of(pid), End::Exited(127));
    assert_eq!(launcher.fate(pid), Some(Fate::Never));
    assert!(!dir.path().join("ran").exists());
    assert_eq!(end_of(ahead), End::Exited(0));
}

#[test]
fn a_held_launch_that_fails_says_where() {
    let mut launcher = Launcher::new().unwrap();
    let (ahead, writer) = forerunner();
    let mut words = Words::new(&[c"true"]);
    let late = launcher.hold(&words.plan(c"/nowhere/true"), ahead).unwrap();
    words.cpus = CpuSet::from_iter([60_000]);
    let early = launcher.hold(&words.plan(c"/bin/true"), ahead).unwrap();
    let refused = |stage, errno: Errno| Fate::Refused(Refused { stage, errno: errno as i32 });
    assert_eq!(end_of(early), End::Exited(127));
    assert_eq!(fate_of(&launcher, early), refused(LaunchStage::Affinity, Errno::EINVAL));
    drop(writer);
    assert_eq!(end_of(late), End::Exited(127));
    assert_eq!(fate_of(&launcher, late), refused(LaunchStage::Exec, Errno::ENOENT));
    assert_eq!(end_of(ahead), End::Exited(0));
    // The number of one that was reaped names nobody's end.
    assert!(launcher.hold(&words.plan(c"/bin/true"), ahead).is_err());
}

#[test]
fn nobody_is_left_in_memory_that_goes_away() {
    let mut launcher = Launcher::new().unwrap();
    let (ahead, writer) = forerunner();
    let words = Words::new(&[c"true"]);
    let pid = launcher.hold(&words.plan(c"/bin/true"), ahead).unwrap();
    drop(launcher);
    assert_eq!(peek(Whose::Pid(pid)), Err(Errno::ECHILD), "it is gone");
    drop(writer);
    assert_eq!(end_of(ahead), End::Exited(0));
}
