//! Files handed out to nodes: through a tree with dead nodes in it, verified, kept by content, and in a job's directory.
#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::*;
use dc_model::Outcome;
use dc_model::cluster::data::NodeAddress;
use dc_model::cluster::files::{DIR_VARIABLE, JobFile, VARIABLE, hex, write};
use dc_model::cluster::node::{FromNode, ToNode};
use dc_model::wire::ToStarter;
use dcd::peer::broadcast::push::{BroadcastError, Content, broadcast, content};
use dcd::peer::client::NodeAt;
use std::path::{Path, PathBuf};

struct Many {
    tmp: tempfile::TempDir,
    _sched: Sched,
    nodes: Vec<Node>,
    talks: Vec<Talk>,
    addresses: Vec<NodeAddress>,
}

impl Many {
    fn new(count: usize) -> Self {
        let mut sched = Sched::local();
        let tmp = tempfile::tempdir().unwrap();
        let (mut nodes, mut talks, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
        for i in 0..count {
            nodes.push(Node::start_with(&sched, tmp.path(), &format!("n{i}"), ""));
            let (talk, register, _) = sched.settle(1);
            talks.push(talk);
            let fingerprint = String::new();
            addresses.push(NodeAddress { name: register.name, address: register.address, fingerprint });
        }
        let mut many = Self { tmp, _sched: sched, nodes, talks, addresses };
        let nodes = many.addresses.clone();
        many.talks.iter_mut().for_each(|talk| talk.send(&ToNode::Peers { nodes: nodes.clone() }));
        many
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.tmp.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn blob(&self, node: usize, content: &Content) -> PathBuf {
        self.nodes[node].state.join("blobs").join(hex(&content.hash))
    }
}

fn at(node: &NodeAddress) -> Option<NodeAt> {
    Some(NodeAt::Local(PathBuf::from(&node.address), Vec::new()))
}

fn dead(name: &str) -> NodeAddress {
    NodeAddress { name: name.into(), address: "/nonexistent/peer.sock".into(), fingerprint: String::new() }
}

#[test]
fn a_file_is_on_all_nodes_but_the_dead_ones() {
    let many = Many::new(6);
    let bytes: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let path = many.file("data", &bytes);
    let what = content(&path).unwrap();
    // Dead ones at the root, at a branch's head and at a leaf.
    let mut nodes = vec![dead("d0"), many.addresses[0].clone(), dead("d1")];
    nodes.extend(many.addresses[1..].iter().cloned());
    nodes.push(dead("d2"));
    for _ in 0..2 {
        let mut failed: Vec<String> =
            broadcast(&path, what, &nodes, at).unwrap().into_iter().map(|(name, _)| name).collect();
        failed.sort();
        assert_eq!(failed, ["d0", "d1", "d2"]);
        for node in 0..6 {
            assert_eq!(std::fs::read(many.blob(node, &what)).unwrap(), bytes);
        }
    }
    let left = std::fs::read_dir(many.nodes[0].state.join("blobs")).unwrap().count();
    assert_eq!(left, 1, "nothing unfinished is left");
    let nobody = broadcast(&path, what, &[dead("d0")], at);
    assert!(matches!(nobody, Err(BroadcastError::Nobody(why)) if why.contains("d0")));
}

#[test]
fn what_is_not_what_it_says_is_kept_nowhere() {
    let many = Many::new(3);
    let path = many.file("data", b"the right bytes");
    let what = content(&path).unwrap();
    std::fs::write(&path, b"the wrong bytes").unwrap();
    let refused = broadcast(&path, what, &many.addresses, at);
    assert!(matches!(refused, Err(BroadcastError::Nobody(why)) if why.contains("not what was announced")));
    for node in 0..3 {
        assert!(!many.blob(node, &what).exists());
    }
    // More than a node keeps.
    let huge = Content { bytes: u64::MAX, ..what };
    let refused = broadcast(&path, huge, &many.addresses[..1], at);
    assert!(matches!(refused, Err(BroadcastError::Nobody(why)) if why.contains("more than this node keeps")));
}

fn job_with(many: &Many, files: &[JobFile], kernel: &Path) -> (TestJob, ToNode) {
    let job = TestJob::new(many.tmp.path());
    let mut hello = job.hello();
    hello.env.push(format!("{VARIABLE}={}", write(files)).into_bytes());
    hello.program = kernel.as_os_str().as_encoded_bytes().to_vec();
    let mut frame = Vec::new();
    ToStarter::Hello(Box::new(hello)).encode(&mut frame);
    let record = dc_spool::job::encode(&job.record());
    let open = ToNode::Open { job: job.uuid, id: 7, uid: job.uid, record, hello: frame };
    (job, open)
}

#[test]
fn a_job_finds_its_files_even_on_a_node_that_came_later() {
    let mut many = Many::new(2);
    let data = many.file("data", b"42");
    // The kernel is handed out too: a shell under another name.
    let kernel = many.file("kernel", &std::fs::read("/bin/sh").unwrap());
    let (data, program) = (content(&data).unwrap(), content(&kernel).unwrap());
    // On one node alone; the other asks for them.
    broadcast(&many.tmp.path().join("data"), data, &many.addresses[..1], at).unwrap();
    broadcast(&kernel, program, &many.addresses[..1], at).unwrap();
    let files = [
        JobFile { hash: data.hash, is_kernel: false, name: "data".into() },
        JobFile { hash: program.hash, is_kernel: true, name: "kernel".into() },
    ];
    for node in 0..2 {
        // What stands in the job record is not there: the copy is what runs.
        let (job, open) = job_with(&many, &files, Path::new("/nonexistent/kernel"));
        let script = format!("read x < \"${DIR_VARIABLE}/data\" || :; [ \"$x\" = 42 ]");
        many.talks[node].send(&open);
        many.talks[node].order(job.uuid, &[shell(0, 1, &script)]);
        assert_eq!(many.talks[node].ended(job.uuid, 0, 1).2, Outcome::Exited(0));
        let dir = many.nodes[node].job(job.uuid);
        assert!(dir.join("bcast/data").exists());
        many.talks[node].close(job.uuid, true);
        until("the job's directory to go", || !dir.exists());
        assert!(many.blob(node, &data).exists(), "kept for the next job");
    }
}

#[test]
fn a_file_that_nobody_has_is_no_job() {
    let mut many = Many::new(2);
    let files = [JobFile { hash: [7; 32], is_kernel: false, name: "data".into() }];
    let (job, open) = job_with(&many, &files, Path::new("/bin/sh"));
    many.talks[0].send(&open);
    match many.talks[0].next() {
        FromNode::CannotOpen { job: of, why } => {
            assert_eq!(of, job.uuid);
            assert!(why.contains("--bcast"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    assert!(!many.nodes[0].job(job.uuid).exists());
}
