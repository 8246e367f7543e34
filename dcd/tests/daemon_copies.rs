//! Checkpoints survive their node: copied to a partner, brought to wherever the subtask goes on; or in a directory that all
//! nodes have. The kernel is this program itself.
#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::*;
use dc_model::cluster::data::NodeAddress;
use dc_model::cluster::node::ToNode;
use dc_model::wire::ToStarter;
use dc_model::{Attempt, JobUuid, Outcome, Restart, SubtaskId};
use dc_spool::checkpoint::{Region, RegionMut};
use dc_spool::files::Dir;
use dc_spool::kernel::Kernel;
use dc_spool::layout;
use dc_spool::result::{Dtype, Layout, Results};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};

const STEPS: u64 = 40;
const EVERY: u64 = 4;
/// Where it waits to be killed, if it is told to.
const HALT: u64 = 24;

/// Adds up a number, step by step. `HALT_AT` names a file to be made at a step at which it then stays; into `WENT_ON` goes
/// the step that it went on from.
#[test]
#[ignore = "it is the kernel of the other tests"]
fn the_kernel() {
    let mut kernel = Kernel::from_env().unwrap();
    let mut state = [1u8; 8];
    let from = kernel.restore(&mut [RegionMut { id: 1, data: &mut state }]).unwrap().unwrap_or(0);
    std::fs::write(std::env::var_os("WENT_ON").unwrap(), from.to_string()).unwrap();
    for step in from + 1..=STEPS {
        let value = u64::from_le_bytes(state).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step);
        state = value.to_le_bytes();
        if step % EVERY == 0 {
            kernel.checkpoint(step, &[Region { id: 1, data: &state }]).unwrap();
        }
        if step == HALT
            && let Some(at) = std::env::var_os("HALT_AT")
        {
            std::fs::write(at, "").unwrap();
            loop {
                nix::unistd::pause();
            }
        }
    }
    kernel.result(Dtype::U1, Layout::Bytes, 1, &state).unwrap();
}

fn launch(attempt: u32, went_on: &Path, halt: Option<&Path>) -> ToStarter {
    let exe = std::env::current_exe().unwrap();
    let halt = halt.map_or_else(String::new, |halt| format!("HALT_AT='{}'", halt.display()));
    let script = format!(
        "{halt} WENT_ON='{}' exec '{}' --exact the_kernel --ignored --nocapture >/dev/null",
        went_on.display(),
        exe.display()
    );
    shell(0, attempt, &script)
}

fn result(spool: &Path, job: JobUuid, attempt: u32) -> Vec<u8> {
    let results = Results::open(&Dir::open(spool).unwrap(), job).unwrap();
    let reader = results.open_verified(SubtaskId(0), Attempt(attempt)).unwrap();
    let mut bytes = vec![0; usize::try_from(reader.meta().len).unwrap()];
    reader.read_at(0, &mut bytes).unwrap();
    bytes
}

fn copy_of(node: &Node, job: JobUuid, step: u64) -> PathBuf {
    let at = Restart { attempt: Attempt(1), step };
    let dir = node.state.join("copies").join(job.to_string());
    dir.join(layout::CKPT).join(layout::subtask_dir(SubtaskId(0))).join(layout::checkpoint(at))
}

/// What dies with a host.
fn lose(node: &mut Node, job: JobUuid) {
    let starter = starter_of(&node.job(job));
    node.kill();
    kill(Pid::from_raw(starter), Signal::SIGKILL).unwrap();
    until("the starter's end", || !runs(starter));
}

struct Three {
    _tmp: tempfile::TempDir,
    _sched: Sched,
    nodes: Vec<Node>,
    talks: Vec<Talk>,
    addresses: Vec<NodeAddress>,
}

impl Three {
    fn new(more: &str) -> Self {
        let mut sched = Sched::local();
        let tmp = tempfile::tempdir().unwrap();
        let mut it = (Vec::new(), Vec::new(), Vec::new());
        for name in ["a", "b", "c"] {
            it.0.push(Node::start_with(&sched, tmp.path(), name, more));
            let (talk, register, _) = sched.settle(1);
            it.1.push(talk);
            let fingerprint = String::new();
            it.2.push(NodeAddress { name: register.name, address: register.address, fingerprint });
        }
        Self { _tmp: tmp, _sched: sched, nodes: it.0, talks: it.1, addresses: it.2 }
    }

    /// Tells these of each other.
    fn tell(&mut self, of: &[usize]) {
        let nodes: Vec<NodeAddress> = of.iter().map(|i| self.addresses[*i].clone()).collect();
        for i in of {
            self.talks[*i].send(&ToNode::Peers { nodes: nodes.clone() });
        }
    }

    fn run(&mut self, on: usize, job: &TestJob, order: ToStarter) {
        self.talks[on].open(job);
        self.talks[on].order(job.uuid, &[order]);
    }
}

/// The job's cwd is one directory for all; the digest of a run that nothing disturbs.
fn undisturbed(three: &mut Three, dir: &Path) -> Vec<u8> {
    let job = TestJob::new(dir);
    three.run(2, &job, launch(1, &dir.join("went-on"), None));
    assert_eq!(three.talks[2].ended(job.uuid, 0, 1).2, Outcome::Exited(0));
    let digest = result(&three.nodes[2].job(job.uuid), job.uuid, 1);
    assert_eq!(std::fs::read_to_string(dir.join("went-on")).unwrap(), "0");
    digest
}

const PARTNER: &str = "[checkpoints]\nkeep = \"partner\"";

/// On node `a` until a step, then `a` is lost; goes on on this one. `spoil`: what happens to the copies meanwhile.
fn goes_on(on: usize, spoil: impl FnOnce(&Three, JobUuid)) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut three = Three::new(PARTNER);
    three.tell(&[0, 1, 2]);
    let digest = undisturbed(&mut three, dir.path());
    let job = TestJob::new(dir.path());
    let (halted, went_on) = (dir.path().join("halted"), dir.path().join("went-on"));
    three.run(0, &job, launch(1, &went_on, Some(&halted)));
    three.talks[0].started(job.uuid, 0, 1);
    until("the step at which it stays", || halted.exists());
    until("the copy", || copy_of(&three.nodes[1], job.uuid, HALT).exists());
    lose(&mut three.nodes[0], job.uuid);
    spoil(&three, job.uuid);
    three.tell(&[1, 2]);
    three.run(on, &job, launch(2, &went_on, None));
    assert_eq!(three.talks[on].ended(job.uuid, 0, 2).2, Outcome::Exited(0));
    assert_eq!(result(&three.nodes[on].job(job.uuid), job.uuid, 2), digest);
    // Nothing is left when the job is.
    let copies: Vec<PathBuf> =
        three.nodes.iter().map(|node| node.state.join("copies").join(job.uuid.to_string())).collect();
    three.talks[on].close(job.uuid, true);
    if on == 1 {
        until("no copies there", || !copies[1].exists());
    }
    std::fs::read_to_string(&went_on).unwrap()
}

#[test]
fn a_lost_node_s_subtask_goes_on_on_its_partner() {
    assert_eq!(goes_on(1, |_, _| {}), HALT.to_string());
}

#[test]
fn it_goes_on_on_a_third_node_that_asks_for_it() {
    assert_eq!(goes_on(2, |_, _| {}), HALT.to_string());
}

#[test]
fn a_damaged_copy_gives_way_to_none_or_an_older_one() {
    let from = goes_on(2, |three, job| {
        let path = copy_of(&three.nodes[1], job, HALT);
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    });
    let from: u64 = from.parse().unwrap();
    assert!(from < HALT && from.is_multiple_of(EVERY), "went on from {from}");
}

#[test]
fn a_checkpoint_of_an_attempt_that_may_still_run_is_never_taken() {
    let dir = tempfile::tempdir().unwrap();
    let mut three = Three::new(PARTNER);
    three.tell(&[0, 1, 2]);
    let job = TestJob::new(dir.path());
    let (halted, went_on) = (dir.path().join("halted"), dir.path().join("went-on"));
    // Attempt 2 writes and its copy is there; it is attempt 2 that is launched elsewhere.
    three.run(0, &job, launch(2, &went_on, Some(&halted)));
    three.talks[0].started(job.uuid, 0, 2);
    until("the step at which it stays", || halted.exists());
    let copies = three.nodes[1].state.join("copies").join(job.uuid.to_string()).join("ckpt/00000000");
    until("a copy", || std::fs::read_dir(&copies).is_ok_and(|mut names| names.next().is_some()));
    three.run(1, &job, launch(2, &went_on, None));
    assert_eq!(three.talks[1].ended(job.uuid, 0, 2).2, Outcome::Exited(0));
    assert_eq!(std::fs::read_to_string(&went_on).unwrap(), "0");
}

#[test]
fn in_a_shared_directory_all_nodes_have_them() {
    let dir = tempfile::tempdir().unwrap();
    let shared = dir.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    let mut three = Three::new(&format!("[checkpoints]\nkeep = \"shared\"\nshared_dir = {shared:?}"));
    let job = TestJob::new(dir.path());
    let (halted, went_on) = (dir.path().join("halted"), dir.path().join("went-on"));
    three.run(0, &job, launch(1, &went_on, Some(&halted)));
    three.talks[0].started(job.uuid, 0, 1);
    until("the step at which it stays", || halted.exists());
    lose(&mut three.nodes[0], job.uuid);
    three.run(1, &job, launch(2, &went_on, None));
    assert_eq!(three.talks[1].ended(job.uuid, 0, 2).2, Outcome::Exited(0));
    assert_eq!(std::fs::read_to_string(&went_on).unwrap(), HALT.to_string());
    result(&shared.join(job.uuid.to_string()), job.uuid, 2);
    three.talks[1].close(job.uuid, true);
    until("nothing shared is left", || !shared.join(job.uuid.to_string()).exists());
}
