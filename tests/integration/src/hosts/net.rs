//! A net: a switch in a network namespace of its own, with a wire to each host. What is cut is dropped in the switch,
//! silently, as by a broken cable; nobody is told.

use super::groups;
use super::host::{Host, Options};
use super::kit::Kit;
use super::what_is_missing;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The net's addresses: 10.77.0.1 and on; the switch has the last.
const SWITCH: &str = "10.77.0.254";
const HOSTS_MAX: usize = 250;

/// A net and its hosts.
pub struct Net {
    hosts: Vec<Host>,
    switch: Host,
    /// Rules of the switch in force, each with its number.
    cuts: BTreeMap<u32, Vec<String>>,
    next_rule: u32,
    // Dropped last: the hosts hold it.
    base: TempDir,
}

impl Net {
    /// Makes one without hosts. Where that is not possible it says in one line that `what` is not tested, and why.
    ///
    /// # Panics
    /// When it should be possible and is not.
    #[must_use]
    pub fn make(what: &str) -> Option<Self> {
        if let Some(why) = what_is_missing() {
            eprintln!("skipped: {what}: {why}");
            return None;
        }
        groups::sweep();
        let base = tempfile::Builder::new().prefix("dc-net-").tempdir().unwrap();
        let path = base.path().canonicalize().unwrap();
        fs::write(path.join("names"), "127.0.0.1\tlocalhost\n").unwrap();
        let kit = Kit { name: "switch".into(), base: path, is_switch: true, ..Kit::default() };
        let switch = Host::new(kit, SWITCH, None).unwrap_or_else(|why| panic!("{why}"));
        let net = Self { hosts: Vec::new(), switch, cuts: BTreeMap::new(), next_rule: 1, base };
        // A host that is off answers nothing, and neither does the switch for it.
        net.switched(&["link set lo up", "route add blackhole 10.77.0.0/24"]);
        net.set("net/ipv4/ip_forward", "1");
        for name in ["all", "default"] {
            net.set(&format!("net/ipv4/conf/{name}/rp_filter"), "0");
            net.set(&format!("net/ipv4/conf/{name}/send_redirects"), "0");
        }
        Some(net)
    }

    /// As [`Net::make`], with hosts n1, n2 … of these options.
    #[must_use]
    pub fn of(what: &str, options: &[Options]) -> Option<Self> {
        let mut net = Self::make(what)?;
        for options in options {
            net.add(options);
        }
        Some(net)
    }

    /// As [`Net::make`], with `count` hosts that are all alike.
    #[must_use]
    pub fn of_hosts(what: &str, count: usize) -> Option<Self> {
        Self::of(what, &vec![Options::default(); count])
    }

    /// Adds a host: the next of n1, n2 …, on, with an address and a wire. Returns its index.
    pub fn add(&mut self, options: &Options) -> usize {
        let number = self.hosts.len() + 1;
        assert!(number <= HOSTS_MAX, "a net has room for {HOSTS_MAX} hosts");
        let kit = Kit {
            name: format!("n{number}"),
            base: self.path().canonicalize().unwrap(),
            disk_bytes: options.disk_bytes,
            cpus: options.cpus.clone(),
            ..Kit::default()
        };
        let address = format!("10.77.0.{number}");
        // In place: the file is mounted in the hosts that are there.
        let names = self.path().join("names");
        let all = format!("{}{address}\tn{number}\n", fs::read_to_string(&names).unwrap());
        fs::write(&names, all).unwrap();
        let host = Host::new(kit, &address, Some(self.switch.init())).unwrap_or_else(|why| panic!("{why}"));
        self.hosts.push(host);
        self.wire(number - 1);
        number - 1
    }

    /// Its hosts.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The host with this index, from 0: n1 is 0.
    #[must_use]
    pub fn host(&self, index: usize) -> &Host {
        &self.hosts[index]
    }

    /// The net's directory; `shared` in it is seen by all hosts.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.base.path()
    }

    /// The directory that all hosts and the test share.
    #[must_use]
    pub fn shared(&self) -> PathBuf {
        self.switch.shared()
    }

    /// Switches a host on again that was off: nothing runs in it, its disk is as it was.
    ///
    /// # Panics
    /// When it is on.
    pub fn power_on(&mut self, index: usize) {
        self.hosts[index].power_on().unwrap_or_else(|why| panic!("{why}"));
        self.wire(index);
    }

    /// From now on nothing reaches the host and nothing comes from it.
    pub fn cut(&mut self, index: usize) {
        self.cut_from(index);
        self.cut_to(index);
    }

    /// From now on nothing comes from the host; what is sent to it arrives.
    pub fn cut_from(&mut self, index: usize) {
        let address = self.hosts[index].address().to_owned();
        self.rule(vec!["from".into(), address]);
    }

    /// From now on nothing reaches the host; what it sends arrives.
    pub fn cut_to(&mut self, index: usize) {
        let address = self.hosts[index].address().to_owned();
        self.rule(vec!["to".into(), address]);
    }

    /// From now on nothing of the first host reaches the second; the other way, and all others, are as before.
    pub fn cut_between(&mut self, from: usize, to: usize) {
        let (from, to) = (self.hosts[from].address().to_owned(), self.hosts[to].address().to_owned());
        self.rule(vec!["from".into(), from, "to".into(), to]);
    }

    /// Undoes all cuts that name the host.
    pub fn heal(&mut self, index: usize) {
        let address = self.hosts[index].address().to_owned();
        let ours: Vec<u32> = self
            .cuts
            .iter()
            .filter(|(_, words)| words.contains(&address))
            .map(|(number, _)| *number)
            .collect();
        for number in ours {
            self.cuts.remove(&number);
            self.switched(&[&format!("rule del pref {number}")]);
        }
    }

    /// Delays all that reaches the host, and loses some of it. The kernel must have netem; in words why not.
    ///
    /// # Errors
    /// What tc(8) says.
    pub fn try_delay(&self, index: usize, delay_ms: u32, loss_percent: u32) -> Result<(), String> {
        let rule = format!(
            "qdisc replace dev {} root netem delay {delay_ms}ms loss {loss_percent}%",
            self.hosts[index].name()
        );
        let mut tc = in_network(self.switch.init(), "tc");
        let output =
            tc.args(rule.split(' ')).output().map_err(|e| format!("tc (Debian package iproute2): {e}"))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ")),
        }
    }

    /// Undoes [`Net::try_delay`].
    pub fn undelay(&self, index: usize) {
        let mut tc = in_network(self.switch.init(), "tc");
        tc.args(["qdisc", "del", "dev", self.hosts[index].name(), "root"]).output().ok();
    }

    fn rule(&mut self, words: Vec<String>) {
        let number = self.next_rule;
        self.next_rule += 1;
        self.switched(&[&format!("rule add pref {number} {} blackhole", words.join(" "))]);
        self.cuts.insert(number, words);
    }

    /// Lays the wire of a host. It goes away by itself when the host does.
    fn wire(&self, index: usize) {
        let host = &self.hosts[index];
        let (name, address, init) = (host.name(), host.address(), host.init());
        self.switched(&[
            &format!("link add {name} type veth peer name eth0 netns {init}"),
            &format!("addr add {SWITCH}/32 dev {name}"),
            &format!("link set {name} up"),
        ]);
        ip(
            init,
            &[
                "link set lo up",
                &format!("addr add {address}/32 dev eth0"),
                "link set eth0 up",
                &format!("route add {SWITCH}/32 dev eth0"),
                &format!("route add default via {SWITCH} src {address}"),
            ],
        );
        self.switched(&[&format!("route add {address}/32 dev {name}")]);
    }

    fn switched(&self, lines: &[&str]) {
        ip(self.switch.init(), lines);
    }

    /// Writes a setting of the switch's network.
    fn set(&self, name: &str, value: &str) {
        let mut sh = in_network(self.switch.init(), "sh");
        let output = sh.args(["-c", &format!("echo {value} > /proc/sys/{name}")]).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// ip(8) with these lines in the network of a process.
pub(super) fn ip(pid: i32, lines: &[&str]) {
    use std::io::Write;
    let mut ip = in_network(pid, "ip");
    ip.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = ip.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{}\n", lines.join("\n")).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{lines:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn in_network(pid: i32, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{pid}/ns/net")).arg(program);
    command
}
