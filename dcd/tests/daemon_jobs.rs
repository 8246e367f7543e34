//! A node's daemon and its scheduler: jobs from their opening to their closing.
#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::*;
use dc_model::Outcome;
use dc_model::cluster::node::{FromNode, ToNode};
use dc_model::wire::{FromStarter, ToStarter};

#[test]
fn a_job_from_its_opening_to_its_closing() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let node = Node::start(&sched, tmp.path());
    let (mut talk, ..) = sched.settle(1);
    let job = TestJob::new(tmp.path());
    talk.open(&job);
    // Opened again at once, and ordered before anybody knows whether it is open.
    talk.open(&job);
    talk.order(job.uuid, &[shell(0, 1, "test -d \"$DC_SPOOL/ckpt\" && exit 3"), shell(1, 1, "exit 0")]);
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let (starter, seq, report) = talk.report(job.uuid);
        if let FromStarter::Ended { subtask, outcome, .. } = report {
            seen.push((subtask.0, outcome));
        }
        talk.send(&ToNode::Acknowledge { job: job.uuid, starter, seq });
    }
    seen.sort_unstable_by_key(|(subtask, _)| *subtask);
    assert_eq!(seen, [(0, Outcome::Exited(3)), (1, Outcome::Exited(0))]);
    let dir = node.job(job.uuid);
    for name in ["job", "ckpt", "result", "starter.sock"] {
        assert!(dir.join(name).exists(), "{name}");
    }
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let starter = starter_of(&dir);
    talk.close(job.uuid, true);
    assert!(!dir.exists());
    until("the starter's end", || !runs(starter));
    // Once more changes nothing.
    talk.close(job.uuid, true);
}

#[test]
fn a_job_that_is_kept_is_opened_again_with_what_it_has() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let node = Node::start(&sched, tmp.path());
    let (mut talk, ..) = sched.settle(1);
    let job = TestJob::new(tmp.path());
    talk.open(&job);
    talk.order(job.uuid, &[shell(0, 1, "mkdir $DC_SPOOL/ckpt/00000007")]);
    let (first, seq, outcome) = talk.ended(job.uuid, 0, 1);
    assert_eq!(outcome, Outcome::Exited(0));
    talk.send(&ToNode::Acknowledge { job: job.uuid, starter: first, seq });
    talk.close(job.uuid, false);
    assert!(node.job(job.uuid).join("job").exists());
    // Closed and opened in one breath.
    talk.send(&ToNode::Close { job: job.uuid, remove: false });
    talk.open(&job);
    talk.order(job.uuid, &[shell(0, 2, "test -d $DC_SPOOL/ckpt/00000007")]);
    assert_eq!(talk.next(), FromNode::Closed { job: job.uuid, asked: true });
    let (second, _, outcome) = talk.ended(job.uuid, 0, 2);
    assert_eq!(outcome, Outcome::Exited(0));
    assert!(second > first, "starters' numbers rise");
}

#[test]
fn what_cannot_be_opened_is_told_and_leaves_nothing() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let node = Node::start(&sched, tmp.path());
    let (mut talk, ..) = sched.settle(1);
    let cannot = |talk: &mut Talk| match talk.next() {
        FromNode::CannotOpen { why, .. } => why,
        other => panic!("{other:?}"),
    };
    // Another user's.
    let mut job = TestJob::new(tmp.path());
    job.uid += 1;
    talk.open(&job);
    assert!(cannot(&mut talk).contains("runs everything as user"));
    // A record that is none, and another job's.
    let job = TestJob::new(tmp.path());
    let ToNode::Open { job: uuid, id, uid, hello, .. } = job.open() else { panic!() };
    talk.send(&ToNode::Open { job: uuid, id, uid, record: vec![1, 2, 3], hello: hello.clone() });
    assert!(cannot(&mut talk).contains("job record cannot be used"));
    let record = dc_spool::job::encode(&TestJob::new(tmp.path()).record());
    talk.send(&ToNode::Open { job: uuid, id, uid, record, hello });
    assert!(cannot(&mut talk).contains("another job's"));
    assert_eq!(std::fs::read_dir(node.state.join("jobs")).unwrap().count(), 0);
    // It is as good as any after that.
    talk.open(&job);
    talk.order(job.uuid, &[shell(0, 1, "exit 0")]);
    assert_eq!(talk.ended(job.uuid, 0, 1).2, Outcome::Exited(0));
}

#[test]
fn launches_stay_within_the_nodes_cpus() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let _node = Node::start(&sched, tmp.path());
    let (mut talk, register, _) = sched.settle(1);
    let job = TestJob::new(tmp.path());
    talk.open(&job);
    let mut bad = shell(0, 1, "exit 0");
    let mut good = shell(1, 1, "exit 0");
    if let (ToStarter::Launch(bad), ToStarter::Launch(good)) = (&mut bad, &mut good) {
        bad.cpus = register.topology.cpus().iter().chain([9999]).collect();
        good.cpus = register.topology.cores[0].cpus.clone();
    }
    talk.order(job.uuid, &[bad, good]);
    let (_, seq, outcome) = talk.ended(job.uuid, 0, 1);
    assert!(matches!(outcome, Outcome::NotLaunched { .. }), "{outcome:?}");
    assert_eq!(seq, 0, "nobody keeps it");
    assert_eq!(talk.ended(job.uuid, 1, 1).2, Outcome::Exited(0));
}

#[test]
fn over_tls_with_pinned_keys() {
    let mut sched = Sched::tls();
    let tmp = tempfile::tempdir().unwrap();
    let _node = Node::start(&sched, tmp.path());
    let (mut talk, ..) = sched.settle(1);
    let job = TestJob::new(tmp.path());
    talk.open(&job);
    talk.order(job.uuid, &[shell(0, 1, "exit 7")]);
    assert_eq!(talk.ended(job.uuid, 0, 1).2, Outcome::Exited(7));
}

#[test]
fn bindings_of_a_described_machine_are_told_and_not_applied() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let _node = Node::start_with(&sched, tmp.path(), "a", "topology = \"synthetic:package:2 core:32 pu:1\"");
    let (mut talk, register, _) = sched.settle(1);
    assert!(register.synthetic);
    assert_eq!((register.topology.cores.len(), register.packages), (64, 2));
    let job = TestJob::new(tmp.path());
    talk.open(&job);
    let mut launch = shell(0, 1, "echo $DC_CPUS > told; grep Cpus_allowed_list /proc/self/status > bound");
    if let ToStarter::Launch(launch) = &mut launch {
        launch.cpus = [40, 41].into_iter().collect();
    }
    talk.order(job.uuid, &[launch]);
    loop {
        match talk.report(job.uuid).2 {
            FromStarter::Rebound { .. } | FromStarter::Notice { .. } => panic!("nothing was to be bound"),
            FromStarter::Ended { outcome, .. } => break assert_eq!(outcome, Outcome::Exited(0)),
            _ => {}
        }
    }
    let read = |file: &str| std::fs::read_to_string(tmp.path().join(file)).unwrap();
    assert_eq!(read("told").trim(), "40,41");
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    assert!(own.contains(read("bound").trim()), "{}", read("bound"));
}

/// A file system that goes with its test.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can mount a small file system for it");
        return;
    }
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let jobs = tmp.path().join("small");
    std::fs::create_dir(&jobs).unwrap();
    let flags = nix::mount::MsFlags::empty();
    let mounted = nix::mount::mount(Some("tmpfs"), &jobs, Some("tmpfs"), flags, Some("size=8m,mode=0700"));
    if let Err(errno) = mounted {
        println!("skipped: nothing can be mounted here: {errno}");
        return;
    }
    let _mounted = Mounted(jobs.clone());
    let _node = Node::start_with(&sched, tmp.path(), "a", &format!("spool = {jobs:?}"));
    let (mut talk, ..) = sched.settle(1);
    std::fs::write(jobs.join("filler"), vec![0; (8 << 20) - (40 << 10)]).unwrap();
    let job = TestJob::new(tmp.path());
    talk.open(&job);
    let why = match talk.next() {
        FromNode::CannotOpen { why, .. } => why,
        other => panic!("{other:?}"),
    };
    assert!(why.to_lowercase().contains("space"), "{why}");
    let left: Vec<_> = std::fs::read_dir(&jobs).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["filler"]);
    // With room it goes.
    std::fs::remove_file(jobs.join("filler")).unwrap();
    talk.open(&job);
    talk.order(job.uuid, &[shell(0, 1, "exit 0")]);
    assert_eq!(talk.ended(job.uuid, 0, 1).2, Outcome::Exited(0));
}
