//! A node's daemon and its scheduler: registration, and what is refused.
#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::*;
use dc_model::cluster::node::FromNode;
use dc_model::wire::ToStarter;
use nix::sys::signal::Signal;
use std::time::Duration;

#[test]
fn a_node_registers_and_beats() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let mut node = Node::start(&sched, tmp.path());
    let (mut talk, register, told) = sched.settle(3);
    assert_eq!(told, Vec::<FromNode>::new());
    assert_eq!((register.name.as_str(), register.incarnation.start, register.epoch_seen), ("a", 1, 0));
    assert!(!register.topology.cores.is_empty() && register.threads_all >= 1 && register.packages >= 1);
    assert_ne!(register.incarnation.boot, [0; 16]);
    while talk.heartbeats < 3 {
        talk.idle(Duration::from_millis(50));
    }
    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait().code(), Some(0));
    node.again();
    let (_, register) = sched.accept();
    assert_eq!((register.incarnation.start, register.epoch_seen), (2, 3));
}

#[test]
fn an_older_scheduler_is_refused() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let node = Node::start(&sched, tmp.path());
    drop(sched.settle(5));
    let (mut talk, register) = sched.accept();
    assert_eq!(register.epoch_seen, 5);
    talk.epoch = 4;
    talk.welcome();
    assert!(talk.is_refused().contains("epoch is 4"));
    node.says("an old copy of dcsched's state runs");
    // Not even what comes with the welcome is done.
    let (mut talk, _) = sched.accept();
    talk.epoch = 4;
    talk.welcome();
    let job = TestJob::new(tmp.path());
    talk.open(&job);
    talk.is_refused();
    assert!(!node.job(job.uuid).exists());
    let _ = sched.settle(5);
}

#[test]
fn what_is_no_order_changes_nothing() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let node = Node::start(&sched, tmp.path());
    let job = TestJob::new(tmp.path());
    let open = job.open();
    let refused = |sched: &mut Sched, kind: u8, body: &[u8], why: &str| {
        let (mut talk, ..) = sched.settle(1);
        talk.send_raw(kind, body);
        talk.is_refused();
        node.says(why);
        assert!(!node.job(job.uuid).exists());
    };
    // A kind that is none, one that only a node sends, one that is too long, one with more behind it.
    refused(&mut sched, 0x2f, &[], "unknown kind 0x2f");
    refused(&mut sched, 0x13, &[0; 32], "unknown kind 0x13");
    refused(&mut sched, 0x21, &[0; 65], "of at most 64");
    refused(&mut sched, 0x22, &[open.body(), vec![0]].concat(), "bytes after its end");
    // What only the node may say to its starter.
    let (mut talk, ..) = sched.settle(1);
    talk.order(job.uuid, &[shell(0, 1, "exit 0"), ToStarter::Lease { until_boottime_ns: u64::MAX }]);
    talk.is_refused();
    node.says("only its own node may give");
    // Before the welcome.
    let (mut talk, _) = sched.accept();
    talk.open(&job);
    talk.is_refused();
    node.says("without a welcome");
    assert!(!node.job(job.uuid).exists());
}

#[test]
fn one_dcd_a_state_directory() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let node = Node::start(&sched, tmp.path());
    let _talk = sched.settle(1);
    let mut other = Node::start(&sched, tmp.path());
    assert_eq!(other.wait().code(), Some(125));
    other.says(&format!("in use by another dcd (process {})", node.pid()));
    // Its dropping ends nothing of the other's.
}

#[test]
fn what_may_change_is_taken_over_at_a_signal() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let node = Node::start_with(&sched, tmp.path(), "a", "memory = \"1G\"");
    let (_talk, register, _) = sched.settle(1);
    assert_eq!(register.memory_max_bytes, 1 << 30);
    let config = tmp.path().join("a.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("1G", "oops")).unwrap();
    node.signal(Signal::SIGHUP);
    node.says("the configuration stays as it was");
    std::fs::write(&config, text.replace("1G", "2G") + "cpus = \"0\"\n").unwrap();
    node.signal(Signal::SIGHUP);
    node.says("to take effect when dcd is started again: node.cpus");
    let (_talk, register, _) = sched.settle(1);
    assert_eq!(register.memory_max_bytes, 2 << 30);
}
