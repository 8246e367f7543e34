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
