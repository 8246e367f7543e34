//! A cluster on hosts of one machine: dcsched on the first, a dcd on each, everything as dc.toml and the commands have it.
//! What fails is made to fail by the hosts and their net.

mod keys;
mod plan;
mod query;
mod runs;

pub use plan::Plan;
pub use query::{field, rows};
pub use runs::Job;

use crate::commands::directory;
use crate::hosts::{Host, Inside, Net, Order};
use crate::ledger::Ledger;
use crate::wait::{until, within};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// dc's programs that a cluster is made of.
const PROGRAMS: [&str; 6] = ["dcsched", "dcd", "dcrun", "dcinfo", "dcqueue", "dccancel"];

/// A cluster: dcsched on host 0, a dcd on each host.
pub struct Cluster {
    /// Its hosts and their net.
    pub net: Net,
    /// What the kernel `ledger` writes of itself.
    pub ledger: Ledger,
    plan: Plan,
    dcsched: Option<Inside>,
    dcds: Vec<Option<Inside>>,
}

impl Cluster {
    /// Starts one, and waits until all nodes are up. Where that is not possible it says in one line that `what` is not
    /// tested, and why.
    ///
    /// # Panics
    /// When it should be possible and is not.
    #[must_use]
    pub fn start(what: &str, plan: Plan) -> Option<Self> {
        let missing: Vec<_> = PROGRAMS.into_iter().filter(|name| !directory().join(name).exists()).collect();
        if !missing.is_empty() {
            eprintln!("skipped: {what}: there is no {} yet", missing.join(", "));
            return None;
        }
        let cluster = Self::start_daemons(what, plan)?;
        cluster.until_up(&(0..cluster.len()).collect::<Vec<_>>());
        Some(cluster)
    }

    /// As [`Cluster::start`], without any command of users: the nodes are up when the journal says so.
    #[must_use]
    pub fn start_daemons(what: &str, plan: Plan) -> Option<Self> {
        let mut cluster = Self::make(what, plan)?;
        cluster.start_dcsched();
        for index in 0..cluster.len() {
            cluster.start_dcd(index);
        }
        for index in 0..cluster.len() {
            cluster.until_journaled(index, "node-up");
        }
        Some(cluster)
    }

    /// The journal's records from the newest snapshot on, as `dcsched dump` tells them.
    #[must_use]
    pub fn journal(&self) -> Vec<Value> {
        let ended = self.ask(0, "dcsched").words("dump --json").arg(self.plan.state(&self.net)).run();
        rows(&ended.out, "").into_iter().filter(|row| row["name"].is_string()).collect()
    }

    /// What the journal says of a node, in order: names of records.
    #[must_use]
    pub fn journaled(&self, index: usize) -> Vec<String> {
        let journal = self.journal();
        let name = self.host(index).name();
        let seen = journal.iter().find(|row| row["name"] == "node-seen" && row["fields"]["name"] == name);
        let Some(number) = seen.map(|row| &row["fields"]["node"]) else { return Vec::new() };
        let ours = journal.iter().filter(|row| row["fields"]["node"] == *number);
        let of_nodes = ours.filter(|row| field(row, "name").starts_with("node-"));
        of_nodes.map(|row| field(row, "name")).collect()
    }

    /// Waits until the last word of the journal on a node is this one.
    #[track_caller]
    pub fn until_journaled(&self, index: usize, name: &str) {
        let is_last = || (self.journaled(index).last().map(String::as_str) == Some(name)).then_some(());
        if within(crate::DEADLINE, is_last).is_none() {
            let host = self.host(index).name();
            panic!("no {name} of {host}: {:?}\n{}", self.journaled(index), self.said());
        }
    }

    /// A host's dcd.
    ///
    /// # Panics
    /// When it was killed.
    #[must_use]
    pub fn dcd(&self, index: usize) -> &Inside {
        self.dcds[index].as_ref().expect("a dcd")
    }

    /// As [`Cluster::start`], with nothing started yet: hosts, keys, dc.toml and the scheduler's state directory.
    #[must_use]
    pub fn make(what: &str, plan: Plan) -> Option<Self> {
        let net = Net::of(what, &plan.hosts)?;
        let ledger = Ledger::new(net.shared().join("ledger"));
        let dcds = plan.hosts.iter().map(|_| None).collect();
        let cluster = Self { net, ledger, plan, dcsched: None, dcds };
        fs::write(cluster.config(), cluster.plan.config(&cluster.net)).unwrap();
        let state = cluster.plan.state(&cluster.net);
        let made = cluster.ask(0, "dcsched").arg("init").arg(&state).run().ends_with(0);
        keys::hand_out(&cluster, &made.out);
        Some(cluster)
    }

    /// How many nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.dcds.len()
    }

    /// Never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dcds.is_empty()
    }

    /// The dc.toml, which all hosts share.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.net.shared().join("dc.toml")
    }

    /// A host.
    #[must_use]
    pub fn host(&self, index: usize) -> &Host {
        self.net.host(index)
    }

    /// One of dc's commands on a host, with the cluster's dc.toml, in the directory that all hosts share.
    pub fn ask(&self, index: usize, program: impl AsRef<Path>) -> Order<'_> {
        let order = self.host(index).ask(program).dir(self.net.shared());
        order.env("DC_CONFIG", self.config()).env("LEDGER", self.ledger.dir())
    }

    /// Starts dcsched on host 0, and waits until it takes connections.
    pub fn start_dcsched(&mut self) {
        let dcsched = self.ask(0, "dcsched").words(self.plan.dcsched_words).start();
        let port = self.plan.port;
        let listens = within(crate::DEADLINE, || {
            assert_eq!(dcsched.status(), None, "dcsched has ended\n{}", dcsched.said());
            self.host(0).is_listening(port).then_some(())
        });
        assert!(listens.is_some(), "dcsched does not listen\n{}", dcsched.said());
        self.dcsched = Some(dcsched);
    }

    /// Starts a host's dcd.
    pub fn start_dcd(&mut self, index: usize) {
        self.dcds[index] = Some(self.ask(index, "dcd").words(self.plan.dcd_words).start());
    }

    /// kill -9 of dcsched alone.
    pub fn kill_dcsched(&mut self) {
        self.dcsched.take().expect("a dcsched").kill();
    }

    /// kill -9 of a host's dcd alone.
    pub fn kill_dcd(&mut self, index: usize) {
        self.dcds[index].take().expect("a dcd").kill();
    }

    /// kill -9 of a host's starters; how many there were.
    pub fn kill_starters(&self, index: usize) -> usize {
        self.host(index).kill_called("dc-starter")
    }

    /// Switches a host on again, and starts its dcd.
    pub fn power_on(&mut self, index: usize) {
        self.net.power_on(index);
        self.dcds[index] = None;
        self.start_dcd(index);
    }

    /// dcsched's process, as the machine numbers it.
    #[must_use]
    pub fn dcsched_pid(&self) -> i32 {
        self.dcsched.as_ref().and_then(Inside::pid).expect("a dcsched that runs")
    }

    /// All nodes, as dcinfo tells them; none where dcsched does not answer.
    #[must_use]
    pub fn nodes(&self) -> Option<Vec<Value>> {
        self.rows("dcinfo", "--json", "nodes")
    }

    /// All jobs, as dcqueue tells them, those that have ended too.
    #[must_use]
    pub fn jobs(&self) -> Option<Vec<Value>> {
        self.rows("dcqueue", "--all --json", "jobs")
    }

    fn rows(&self, program: &str, words: &str, what: &str) -> Option<Vec<Value>> {
        let ended = self.ask(0, program).words(words).run();
        (ended.code == 0).then(|| rows(&ended.out, what))
    }

    /// Waits until these nodes are up.
    #[track_caller]
    pub fn until_up(&self, indices: &[usize]) {
        self.until_state(indices, "up");
    }

    /// Waits until these nodes are in this state.
    #[track_caller]
    pub fn until_state(&self, indices: &[usize], state: &str) {
        let wanted: Vec<String> = indices.iter().map(|index| self.host(*index).name().to_owned()).collect();
        let are_so = || {
            let nodes = self.nodes()?;
            let is_so =
                |name: &String| nodes.iter().any(|n| field(n, "name") == *name && field(n, "state") == state);
            wanted.iter().all(is_so).then_some(())
        };
        if within(crate::DEADLINE, are_so).is_none() {
            panic!("not all of {wanted:?} get {state}: {:?}\n{}", self.nodes(), self.said());
        }
    }

    /// What the daemons have said, for messages.
    #[must_use]
    pub fn said(&self) -> String {
        let daemons = self.dcsched.iter().chain(self.dcds.iter().flatten());
        daemons.map(|daemon| format!("{}\n", daemon.said())).collect()
    }

    /// Asks all daemons to end, and looks at what is left: nothing may run on any host.
    #[track_caller]
    pub fn ends_clean(mut self) {
        self.nothing_runs();
        for daemon in self.dcds.iter().flatten().chain(&self.dcsched) {
            daemon.signal(Signal::SIGTERM);
            let code = daemon.ends_within(crate::DEADLINE);
            assert!(code == Some(0), "a daemon ended with {code:?}\n{}", daemon.said());
        }
        self.dcds.clear();
        self.dcsched = None;
    }

    /// Nothing of a job runs on any host that is on: waits for that.
    #[track_caller]
    pub fn nothing_runs(&self) {
        for host in self.net.hosts() {
            host.nothing_runs(&["dcsched", "dcd"]);
        }
    }

    /// Waits until a rank of the kernel `ledger` has begun on each of these hosts, and has not ended.
    pub fn until_computing_on(&self, indices: &[usize]) {
        for index in indices {
            let name = self.host(*index).name();
            until(&format!("a rank on {name}"), || {
                self.ledger.entries().iter().any(|e| e.host == name && !e.has_ended).then_some(())
            });
        }
    }

    /// Waits until no rank of the kernel is seen alive any more on a host, looked at from outside; how long that took.
    pub fn until_no_rank_on(&self, index: usize) -> Duration {
        let start = std::time::Instant::now();
        let host = self.host(index);
        until(&format!("the end of the ranks on {}", host.name()), || {
            host.called("ledger").is_empty().then_some(())
        });
        start.elapsed()
    }
}
