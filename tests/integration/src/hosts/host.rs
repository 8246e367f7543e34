//! One host: made, asked to run something, paused, switched off, switched on again.

use super::inside::Order;
use super::kit::{GroupOf, Kit};
use super::reports::Reports;
use super::{groups, look};
use crate::commands::{beside_this_test, directory};
use crate::process::{self, Process};
use crate::random::Random;
use crate::wait::{DEADLINE, until, within};
use nix::sys::signal::Signal;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What may differ between hosts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Its own directory is a tmpfs of so many bytes, which can be full; else it is on the machine's disk.
    pub disk_bytes: Option<u64>,
    /// CPUs that all of it may use; empty for those of the test.
    pub cpus: Vec<u32>,
}

/// A host of a [`Net`](super::Net).
pub struct Host {
    kit: Kit,
    address: String,
    /// A process in the network that the other end of its wire is in.
    switch: Option<i32>,
    orders: AtomicU64,
    power: Mutex<Option<Power>>,
}

/// What there is while it is on.
struct Power {
    holder: Child,
    init: i32,
    reports: Reports,
    socket: Arc<Mutex<UnixStream>>,
    groups: Vec<GroupOf>,
    is_frozen: bool,
}

impl Host {
    /// Makes it, and switches it on; without a wire yet.
    pub(super) fn new(mut kit: Kit, address: &str, switch: Option<i32>) -> Result<Self, String> {
        for dir in [kit.disk(), kit.base.join("own"), kit.base.join("shared"), kit.base.join("said")] {
            fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        }
        new_boot_id(&mut kit);
        let power = Power::on(&kit)?;
        let address = address.to_owned();
        Ok(Self { kit, address, switch, orders: AtomicU64::new(1), power: Mutex::new(Some(power)) })
    }

    /// Its name, which is its host name and is known to all hosts of the net.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.kit.name
    }

    /// Its address on the net.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its own disk: the same path in each host, and another directory.
    #[must_use]
    pub fn own(&self) -> PathBuf {
        self.kit.base.join("own")
    }

    /// A directory that all hosts and the test share.
    #[must_use]
    pub fn shared(&self) -> PathBuf {
        self.kit.base.join("shared")
    }

    /// A path of this host as the test reaches it, while the host is on.
    #[must_use]
    pub fn outside(&self, path: impl AsRef<Path>) -> PathBuf {
        look::through(self.init(), path.as_ref())
    }

    /// Process 1, as the machine numbers it.
    ///
    /// # Panics
    /// When the host is off.
    #[must_use]
    pub fn init(&self) -> i32 {
        self.power.lock().unwrap().as_ref().expect("a host that is on").init
    }

    /// Whether it is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.power.lock().unwrap().is_some()
    }

    /// A command that runs in the host's own directory as root, and sees its home, state and the built commands.
    pub fn ask(&self, program: impl AsRef<Path>) -> Order<'_> {
        let own = self.own();
        let strange = ["DC_", "SLURM", "PMI", "OMPI_", "OMP_", "XDG_", "RUST_", "CARGO", "NEXTEST", "TMPDIR"];
        let mut env: Vec<(String, String)> = std::env::vars()
            .filter(|(name, _)| !strange.iter().any(|begin| name.starts_with(begin)))
            .collect();
        env.retain(|(name, _)| !["PATH", "HOME", "HOSTNAME"].contains(&name.as_str()));
        let path = std::env::var("PATH").unwrap_or_default();
        let mut set = |name: &str, value: String| env.push((name.to_owned(), value));
        set("PATH", format!("{}:{path}", directory().display()));
        for (name, dir) in [("HOME", "home"), ("XDG_STATE_HOME", "state"), ("TMPDIR", "tmp")] {
            set(name, own.join(dir).display().to_string());
        }
        set("NOTES", self.shared().join("notes").display().to_string());
        Order::new(self, program.as_ref().to_str().expect("text"), env, own)
    }

    /// `sh -c SCRIPT`.
    pub fn sh(&self, script: &str) -> Order<'_> {
        self.ask("sh").arg("-c").arg(script)
    }

    /// All its processes but init, as the machine has them.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        let power = self.power.lock().unwrap();
        let Some(power) = power.as_ref() else { return Vec::new() };
        let all = look::tree(power.init).into_iter();
        all.filter(|process| process.pid != power.init && process.state != 'Z').collect()
    }

    /// Its processes with this name.
    #[must_use]
    pub fn called(&self, name: &str) -> Vec<Process> {
        self.processes().into_iter().filter(|process| process.name == name).collect()
    }

    /// Waits for a process with this name.
    #[must_use]
    pub fn one_called(&self, name: &str) -> Process {
        until(&format!("{name} in {}", self.name()), || self.called(name).into_iter().next())
    }

    /// SIGKILL to all of its processes with this name; how many those were. They are gone when this returns.
    pub fn kill_called(&self, name: &str) -> usize {
        let found = self.called(name);
        found.iter().for_each(|process| {
            process::signal(process.pid, Signal::SIGKILL);
        });
        let all_gone = || (!found.iter().any(Process::lives)).then_some(());
        until(&format!("the end of {name} in {}", self.name()), all_gone);
        found.len()
    }

    /// Nothing runs in it but init: waits for that, with the deadline of all waiting.
    #[track_caller]
    pub fn nothing_runs(&self, but: &[&str]) {
        let left = || -> Vec<Process> {
            self.processes().into_iter().filter(|p| !but.contains(&p.name.as_str())).collect()
        };
        let none = within(DEADLINE, || left().is_empty().then_some(()));
        assert!(none.is_some(), "still running in {}: {:?}", self.name(), left());
    }

    /// Waits until something listens at this TCP port.
    pub fn listens(&self, port: u16) {
        until(&format!("port {port} of {}", self.name()), || self.is_listening(port).then_some(()));
    }

    /// Whether something listens at this TCP port.
    #[must_use]
    pub fn is_listening(&self, port: u16) -> bool {
        let is_listened = |line: &str| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let at = fields.get(1).and_then(|local| local.rsplit_once(':'));
            let at = at.and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
            at == Some(port) && fields.get(3) == Some(&"0A")
        };
        let init = self.init();
        let table = |kind: &str| fs::read_to_string(format!("/proc/{init}/net/{kind}")).unwrap_or_default();
        [table("tcp"), table("tcp6")].concat().lines().any(is_listened)
    }

    /// Holds all of it at once, init too; by the freezer where there is one, else by SIGSTOP to every process.
    pub fn pause(&self) {
        let mut power = self.power.lock().unwrap();
        let power = power.as_mut().expect("a host that is on");
        power.is_frozen = power.freeze("1");
        if !power.is_frozen {
            look::stop_all(power.init);
        }
    }

    /// Holds all of it by SIGSTOP to every process, as `kill -STOP` does.
    pub fn pause_by_signals(&self) {
        look::stop_all(self.init());
    }

    /// Lets all of it go on.
    pub fn resume(&self) {
        let mut power = self.power.lock().unwrap();
        let power = power.as_mut().expect("a host that is on");
        if std::mem::take(&mut power.is_frozen) {
            assert!(power.freeze("0"), "the freezer is gone");
        } else {
            look::continue_all(power.init);
        }
    }

    /// Pulls the plug: the wire is dead, so that nobody is told, and SIGKILL to all of it at once, whatever it is doing.
    /// Its disk stays, but for one that is a tmpfs.
    ///
    /// # Panics
    /// When something survives.
    pub fn power_off(&self) {
        let Some(mut power) = self.power.lock().unwrap().take() else { return };
        let tree = look::tree(power.init);
        // Else the kernel would close the connections of those that it kills, and tell the other side.
        if let Some(switch) = self.switch {
            super::net::ip(switch, &[&format!("link del {}", self.name())]);
        }
        power.off();
        let left: Vec<_> = tree.into_iter().filter(Process::lives).collect();
        assert!(left.is_empty(), "{} is off, but there are {left:?}", self.name());
    }

    /// Switches it on again, with nothing running, another boot id, and no wire.
    pub(super) fn power_on(&mut self) -> Result<(), String> {
        assert!(!self.is_on(), "{} is on", self.name());
        new_boot_id(&mut self.kit);
        self.power = Mutex::new(Some(Power::on(&self.kit)?));
        Ok(())
    }

    /// What an order needs: reports, socket, init.
    pub(super) fn link(&self) -> (Reports, Arc<Mutex<UnixStream>>, i32) {
        let power = self.power.lock().unwrap();
        let power = power.as_ref().expect("a host that is on");
        (power.reports.clone(), power.socket.clone(), power.init)
    }

    /// The next order's number, and the path of its files without an extension.
    pub(super) fn next(&self) -> (u64, PathBuf) {
        let number = self.orders.fetch_add(1, Ordering::Relaxed);
        (number, self.kit.base.join("said").join(format!("{}-{number}", self.name())))
    }
}

impl Power {
    fn on(kit: &Kit) -> Result<Self, String> {
        let (ours, theirs) = UnixStream::pair().map_err(|e| e.to_string())?;
        let program = beside_this_test().join("dc-host");
        let mut command = Command::new(&program);
        // Its own group: what is typed at the test's terminal is for the test.
        command.args(["hold", &kit.to_text()]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::from(OwnedFd::from(theirs)));
        let holder = command.spawn().map_err(|e| format!("{}: {e}", program.display()))?;
        // The command keeps a copy of the holder's end until it is dropped.
        drop(command);
        let socket = Arc::new(Mutex::new(ours.try_clone().map_err(|e| e.to_string())?));
        let reports = Reports::collect(ours);
        let mut power = Self { holder, init: 0, reports, socket, groups: Vec::new(), is_frozen: false };
        let ready = power.reports.until(|state| match &state.ready {
            Some(ready) => Some(ready.clone()),
            None => state.is_off.then(|| Err("its init has ended".to_owned())),
        });
        let ready = ready.unwrap_or_else(|| Err("it does not get ready".to_owned()));
        if let Err(why) = ready {
            power.off();
            return Err(format!("{}: {why}", kit.name));
        }
        power.reports.look(|state| {
            power.init = state.init.unwrap();
            let group = |(dir, controllers): &(String, String)| GroupOf {
                dir: dir.into(),
                controllers: controllers.clone(),
                ..GroupOf::default()
            };
            power.groups = state.groups.iter().map(group).collect();
        });
        Ok(power)
    }

    /// Whether there is a freezer and it did it.
    fn freeze(&self, value: &str) -> bool {
        let Some(group) = groups::freezer(&self.groups) else { return false };
        if fs::write(group.dir.join("cgroup.freeze"), value).is_err() {
            return false;
        }
        let wanted = format!("frozen {value}");
        until("all of a host to freeze", || {
            let events = fs::read_to_string(group.dir.join("cgroup.events")).ok()?;
            events.lines().any(|line| line == wanted).then_some(())
        });
        true
    }

    /// The end of its input makes the holder kill init, and with it all that is in its namespace; then it ends itself.
    fn off(&mut self) {
        drop(self.holder.stdin.take());
        let ended = within(DEADLINE, || self.holder.try_wait().ok().flatten());
        if ended.is_none() {
            self.holder.kill().ok();
            self.holder.wait().ok();
        }
        // So that what ran there has ended for everybody who asks.
        self.reports.until(|state| state.is_off.then_some(()));
    }
}

impl Drop for Power {
    fn drop(&mut self) {
        self.off();
    }
}

fn new_boot_id(kit: &mut Kit) {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    let mut random = Random::of(u64::from(std::process::id()) << 32 | made);
    let (a, b) = (random.next_u64(), random.next_u64());
    kit.boot_id = format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        b >> 52,
        b & 0xffff_ffff_ffff
    );
}
