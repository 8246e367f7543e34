//! A scheduler for tests, which says what it is told to say, and real dcds with real starters and processes. What is
//! started ends with its test, by its own process. Every wait has a deadline and says what it waited for.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use dc_link::{
    Acceptor, Admission, Caps, ClusterId, Conn, Endpoint, Event, Gate, KeyPair, LocalListener, LocalPolicy,
    Name, Parties, Party, Peer, PeersFile, Role, Rule, Rules, Session, Settings, Socket, UnixSeconds,
};
use dc_model::cluster::node::{FROM_NODE, FromNode, Held, Register, ToNode};
use dc_model::wire::{FrameBuffer, FromStarter, Hello, Launch, ToStarter};
use dc_model::{Attempt, CpuSet, Distribution, JobUuid, Outcome, Rank, SubtaskId};
use dc_spool::hash::FileIdentity;
use dc_spool::job::{FailurePolicy, JobOptions, JobRecord, StreamOptions, Subtasks};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than anything takes on a loaded machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

static JOBS: AtomicU32 = AtomicU32::new(1);

/// A job's name that no other test has.
pub fn new_job() -> JobUuid {
    let mut uuid = JobUuid([0xdc; 16]);
    uuid.0[..4].copy_from_slice(&std::process::id().to_le_bytes());
    uuid.0[4..8].copy_from_slice(&JOBS.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    uuid
}

/// The scheduler's end of one connection.
pub struct Talk {
    pub conn: Conn,
    pub epoch: u32,
    pub lease_ms: u64,
    pub heartbeat_ms: u64,
    /// Whether heartbeats are answered.
    pub grants: bool,
    pub heartbeats: u64,
    came: VecDeque<FromNode>,
    over: Option<String>,
}

enum Door {
    Local(LocalListener),
    Tls { acceptor: Acceptor, endpoint: Endpoint, peers: PeersFile },
}

/// Where nodes dial.
pub struct Sched {
    door: Door,
    pub dir: TempDir,
    began: Instant,
}

fn settings() -> Settings {
    let from = Parties::of(&[Party::Node, Party::Local]);
    let rules: Vec<Rule> =
        FROM_NODE.iter().map(|(kind, _, bytes)| Rule { kind: *kind, from, body_bytes_max: *bytes }).collect();
    let mut settings = Settings::new(dc_model::cluster::VERSION, Arc::new(Rules::new(&rules).unwrap()));
    settings.outbox_bytes_max = 32 << 20;
    settings
}

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn peer(role: Role, text: &str, pair: &KeyPair) -> Peer {
    Peer { fingerprint: pair.fingerprint(), role, name: name(text), not_after: None, owner: None }
}

impl Sched {
    /// On a Unix socket.
    pub fn local() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = LocalListener::bind(&dir.path().join("sched.sock"), LocalPolicy::Own).unwrap();
        Self { door: Door::Local(listener), dir, began: Instant::now() }
    }

    /// On loopback, with TLS: `node` and `client` have keys in the directory.
    pub fn tls() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [sched, node, client] = std::array::from_fn(|_| KeyPair::generate().unwrap());
        let mut peers = PeersFile::create(&dir.path().join("peers"), ClusterId::random().unwrap()).unwrap();
        peers.try_add(peer(Role::Scheduler, "sched", &sched)).unwrap();
        peers.try_add(peer(Role::Node, "a", &node)).unwrap();
        peers.try_add(peer(Role::Client, "ann", &client)).unwrap();
        node.write_new(&dir.path().join("node.key")).unwrap();
        client.write_new(&dir.path().join("client.key")).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let acceptor = Acceptor::new(listener, Gate::new(Caps::default())).unwrap();
        let door = Door::Tls { acceptor, endpoint: Endpoint::new(&sched).unwrap(), peers };
        Self { door, dir, began: Instant::now() }
    }

    /// What a node's dc.toml says of it.
    pub fn address(&self) -> String {
        match &self.door {
            Door::Local(listener) => listener.path().to_str().unwrap().to_owned(),
            Door::Tls { acceptor, .. } => acceptor.local_addr().unwrap().to_string(),
        }
    }

    fn now_ns(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// The next node that dials, its registration taken.
    pub fn accept(&mut self) -> (Talk, Register) {
        let end = Instant::now() + DEADLINE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited for a node to dial in vain");
            let fd = match &self.door {
                Door::Local(listener) => listener.as_fd(),
                Door::Tls { acceptor, .. } => acceptor.as_fd(),
            };
            let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::try_from(left).unwrap()).unwrap();
            let now = self.now_ns();
            let conn = match &mut self.door {
                Door::Local(listener) => listener.accept().unwrap().map(|(stream, who)| {
                    Conn::new(Socket::Unix(stream), Session::local(who, settings(), now))
                }),
                Door::Tls { acceptor, endpoint, peers } => {
                    let admission = Admission::of(peers.peers(), &[Role::Node]);
                    acceptor
                        .accept(endpoint, &admission, &settings(), now, UnixSeconds::now())
                        .unwrap()
                        .map(|c| c.0)
                }
            };
            let Some(conn) = conn else { continue };
            let mut talk = Talk {
                conn,
                epoch: 1,
                lease_ms: 20_000,
                heartbeat_ms: 200,
                grants: true,
                heartbeats: 0,
                came: VecDeque::new(),
                over: None,
            };
            match talk.next() {
                FromNode::Register(register) => return (talk, *register),
                other => panic!("a registration was to come first, not {other:?}"),
            }
        }
    }

    /// As [`Sched::accept`], and welcomes it; what it tells until it is settled. Reports are left for later.
    pub fn settle(&mut self, epoch: u32) -> (Talk, Register, Vec<FromNode>) {
        self.settle_with(epoch, 20_000)
    }

    pub fn settle_with(&mut self, epoch: u32, lease_ms: u64) -> (Talk, Register, Vec<FromNode>) {
        let (mut talk, register) = self.accept();
        talk.lease_ms = lease_ms;
        talk.epoch = epoch;
        talk.welcome();
        let (mut told, mut reports) = (Vec::new(), VecDeque::new());
        loop {
            match talk.next() {
                FromNode::Settled => {
                    reports.append(&mut talk.came);
                    talk.came = reports;
                    return (talk, register, told);
                }
                report @ FromNode::Report { .. } => reports.push_back(report),
                other => told.push(other),
            }
        }
    }
}

impl Talk {
    pub fn welcome(&mut self) {
        let (epoch, lease_ms, heartbeat_ms) = (self.epoch, self.lease_ms, self.heartbeat_ms);
        self.send(&ToNode::Welcome { epoch, node: 1, lease_ms, heartbeat_ms });
    }

    pub fn send(&mut self, message: &ToNode) {
        self.send_raw(message.kind(), &message.body());
    }

    pub fn send_raw(&mut self, kind: u8, body: &[u8]) {
        self.conn.send(kind, body).unwrap();
        while self.conn.want_write() {
            if self.conn.on_writable(1).is_err() {
                return;
            }
            let mut fds = [PollFd::new(self.conn.as_fd(), PollFlags::POLLOUT)];
            if self.conn.want_write() {
                poll(&mut fds, PollTimeout::try_from(DEADLINE).unwrap()).unwrap();
            }
        }
    }

    /// The next message that is no heartbeat; those are answered.
    pub fn next(&mut self) -> FromNode {
        match self.maybe_next(DEADLINE) {
            Some(message) => message,
            None => panic!("a message was to come: {:?}", self.over),
        }
    }

    /// As [`Talk::next`]; `None` when none comes within this time, or the connection is over.
    pub fn maybe_next(&mut self, within: Duration) -> Option<FromNode> {
        let end = Instant::now() + within;
        loop {
            while let Some(message) = self.came.pop_front() {
                match message {
                    FromNode::Heartbeat { number, .. } => {
                        self.heartbeats += 1;
                        if self.grants && self.over.is_none() {
                            self.send(&ToNode::Lease { number });
                        }
                    }
                    other => return Some(other),
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.over.is_some() {
                return None;
            }
            self.read(left);
        }
    }

    fn read(&mut self, within: Duration) {
        let mut flags = PollFlags::POLLIN;
        flags.set(PollFlags::POLLOUT, self.conn.want_write());
        let mut fds = [PollFd::new(self.conn.as_fd(), flags)];
        poll(&mut fds, PollTimeout::try_from(within).unwrap()).unwrap();
        if self.conn.want_write()
            && let Err(error) = self.conn.on_writable(1)
        {
            self.over = Some(error.to_string());
        }
        if let Err(error) = self.conn.on_readable(1) {
            self.over = Some(error.to_string());
        }
        loop {
            match self.conn.next_event() {
                Ok(Some(Event::Frame { kind, body })) => {
                    self.came.push_back(FromNode::decode(kind, body).unwrap())
                }
                Ok(Some(Event::Ended { text })) => self.over = Some(format!("ended: {text}")),
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) => return self.over = Some(error.to_string()),
            }
        }
    }

    /// The other side ends the connection, and says why.
    pub fn is_refused(&mut self) -> String {
        let end = Instant::now() + DEADLINE;
        while self.over.is_none() {
            assert!(Instant::now() < end, "the connection was to end");
            let _ = self.maybe_next(DEADLINE);
        }
        self.over.clone().unwrap()
    }

    /// Answers heartbeats for a while.
    pub fn idle(&mut self, time: Duration) -> Vec<FromNode> {
        let end = Instant::now() + time;
        let mut came = Vec::new();
        while let Some(message) = self.maybe_next(end.saturating_duration_since(Instant::now())) {
            came.push(message);
        }
        came
    }

    pub fn open(&mut self, job: &TestJob) {
        self.send(&job.open());
    }

    pub fn order(&mut self, job: JobUuid, orders: &[ToStarter]) {
        let mut frames = Vec::new();
        orders.iter().for_each(|order| order.encode(&mut frames));
        self.send(&ToNode::Order { job, frames });
    }

    /// The next report of this job: starter, number, report.
    pub fn report(&mut self, of: JobUuid) -> (u64, u64, FromStarter) {
        match self.next() {
            FromNode::Report { job, starter, seq, frame } if job == of => (starter, seq, read(&frame)),
            other => panic!("a report of {of} was to come, not {other:?}"),
        }
    }

    /// Reports up to the end of this attempt; its starter, number and outcome.
    pub fn ended(&mut self, of: JobUuid, subtask: u32, attempt: u32) -> (u64, u64, Outcome) {
        loop {
            let (starter, seq, report) = self.report(of);
            if let FromStarter::Ended { subtask: s, attempt: a, outcome, .. } = report
                && (s.0, a.0) == (subtask, attempt)
            {
                return (starter, seq, outcome);
            }
        }
    }

    /// Reports up to this attempt's start; its process.
    pub fn started(&mut self, of: JobUuid, subtask: u32, attempt: u32) -> i32 {
        loop {
            match self.report(of).2 {
                FromStarter::Started { subtask: s, attempt: a, pid, .. }
                    if (s.0, a.0) == (subtask, attempt) =>
                {
                    return pid as i32;
                }
                FromStarter::Ended { outcome, .. } => panic!("not started: {outcome:?}"),
                _ => {}
            }
        }
    }

    /// Closes a job, acknowledging what comes.
    pub fn close(&mut self, job: JobUuid, remove: bool) {
        self.send(&ToNode::Close { job, remove });
        self.closed(job);
    }

    /// Acknowledges what comes until the job is closed, as was asked for.
    pub fn closed(&mut self, job: JobUuid) {
        loop {
            match self.next() {
                FromNode::Closed { job: closed, asked } if closed == job => return assert!(asked),
                FromNode::Report { job, starter, seq, .. } => {
                    self.send(&ToNode::Acknowledge { job, starter, seq })
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// The one message of a frame.
pub fn read(frame: &[u8]) -> FromStarter {
    let mut buffer = FrameBuffer::default();
    buffer.push(frame);
    let (kind, body) = buffer.next_frame().unwrap().unwrap();
    FromStarter::decode(kind, body).unwrap()
}

/// A job with the shell as its kernel.
pub struct TestJob {
    pub uuid: JobUuid,
    pub cwd: PathBuf,
    pub uid: u32,
    pub streams: dc_model::wire::StreamPlan,
}

impl TestJob {
    pub fn new(cwd: &Path) -> Self {
        let uid = nix::unistd::geteuid().as_raw();
        Self { uuid: new_job(), cwd: cwd.to_owned(), uid, streams: dc_model::wire::StreamPlan::default() }
    }

    pub fn record(&self) -> JobRecord {
        JobRecord {
            uuid: self.uuid,
            name: "sample".to_owned(),
            kernel: FileIdentity::of_bytes(Path::new("/bin/sh"), b"kernel"),
            argv: vec![b"sh".to_vec()],
            cwd: self.cwd.clone(),
            env: vec![b"PATH=/usr/bin:/bin".to_vec()],
            limits: None,
            options: JobOptions {
                ranks: 16,
                cores: 1,
                restarts: 3,
                keep_going: false,
                bind: None,
                bind_verbose: false,
                distribution: Distribution::Cost,
                oversubscribe: false,
                label: false,
                keep: false,
                time_limit_ms: None,
                grace_ms: 30_000,
                mpi: None,
                merges: Vec::new(),
                streams: StreamOptions::default(),
                failure: FailurePolicy::default(),
            },
            domain: None,
            subtasks: Subtasks::plain(100, 1, 1).unwrap(),
        }
    }

    pub fn hello(&self) -> Hello {
        Hello {
            job: self.uuid,
            spool: Vec::new(),
            cwd: self.cwd.as_os_str().as_encoded_bytes().to_vec(),
            program: b"/bin/sh".to_vec(),
            argv: vec![b"sh".to_vec()],
            env: vec![b"PATH=/usr/bin:/bin".to_vec()],
            ranks: 16,
            grace_ms: 30_000,
            openmp: dc_model::wire::OpenMp::Untold,
            streams: self.streams.clone(),
            limits: None,
        }
    }

    pub fn open(&self) -> ToNode {
        let mut hello = Vec::new();
        ToStarter::Hello(Box::new(self.hello())).encode(&mut hello);
        let record = dc_spool::job::encode(&self.record());
        ToNode::Open { job: self.uuid, id: 7, uid: self.uid, record, hello }
    }
}

/// A shell script as an attempt of a subtask, in the lane of the same number, not bound.
pub fn shell(subtask: u32, attempt: u32, script: &str) -> ToStarter {
    ToStarter::Launch(Box::new(Launch {
        subtask: SubtaskId(subtask),
        attempt: Attempt(attempt),
        rank: Rank(subtask),
        cpus: CpuSet::default(),
        cores: 1,
        numa: None,
        cells: 1,
        block: None,
        args: vec![b"-c".to_vec(), script.as_bytes().to_vec()],
        before: None,
        after: None,
    }))
}

/// A dcd.
pub struct Node {
    pub child: Child,
    pub state: PathBuf,
    config: PathBuf,
    name: String,
    pub said: Arc<Mutex<Vec<String>>>,
}

impl Node {
    /// The node `a` of this scheduler, with its files below `dir`.
    pub fn start(sched: &Sched, dir: &Path) -> Self {
        Self::start_with(sched, dir, "a", "")
    }

    /// `more`: other lines of `[node]`.
    pub fn start_with(sched: &Sched, dir: &Path, name: &str, more: &str) -> Self {
        let state = dir.join(format!("node-{name}"));
        let config = dir.join(format!("{name}.toml"));
        let mut text = format!("[node]\nscheduler = {:?}\nstate = {state:?}\n{more}\n", sched.address());
        if matches!(sched.door, Door::Tls { .. }) {
            let at = |file: &str| sched.dir.path().join(file);
            text +=
                &format!("listen = \"127.0.0.1:0\"\nkey = {:?}\npeers = {:?}\n", at("node.key"), at("peers"));
        }
        std::fs::write(&config, text).unwrap();
        let (child, said) = Self::run(&config, name);
        Self { child, state, config, name: name.to_owned(), said }
    }

    fn run(config: &Path, name: &str) -> (Child, Arc<Mutex<Vec<String>>>) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dcd"))
            .args(["run", "--name", name, "--config"])
            .arg(config)
            .env("DC_STARTER", env!("CARGO_BIN_EXE_dc-starter"))
            .env("DC_LOG", "debug")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let (lines, keeps) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                eprintln!("dcd: {line}");
                keeps.lock().unwrap().push(line);
            }
        });
        (child, said)
    }

    /// Another one in the place of one that has ended.
    pub fn again(&mut self) {
        (self.child, self.said) = Self::run(&self.config, &self.name);
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "dcd was to end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// SIGKILL, and its end.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait();
    }

    pub fn job(&self, job: JobUuid) -> PathBuf {
        self.state.join("jobs").join(job.to_string())
    }

    /// Waits until it has said a line with this in it.
    pub fn says(&self, what: &str) {
        until(&format!("dcd to say {what:?}"), || {
            self.said.lock().unwrap().iter().any(|line| line.contains(what))
        });
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Starters outlive it, which is their duty.
        let jobs = std::fs::read_dir(self.state.join("jobs")).into_iter().flatten().flatten();
        for entry in jobs {
            if let Some(job) = entry.file_name().to_str().and_then(JobUuid::parse) {
                let _ = dcd::sweep::sweep_job_in(job, &entry.path());
                let _ = dcd::starters::bury(job, &entry.path());
            }
        }
    }
}

/// Asks until it is so.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !so() {
        assert!(Instant::now() < end, "waited for {what} in vain");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a process runs: it is there, and is no zombie.
pub fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rfind(')').and_then(|at| stat[at + 1..].trim_start().chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// The starter's process in a job's directory.
pub fn starter_of(dir: &Path) -> i32 {
    let mut found = None;
    let entry = format!("DC_SPOOL={}", std::fs::canonicalize(dir).unwrap().display());
    until("a starter", || {
        found = std::fs::read_dir("/proc").unwrap().flatten().find_map(|e| {
            let pid: i32 = e.file_name().to_str()?.parse().ok()?;
            let words = std::fs::read(e.path().join("cmdline")).ok()?;
            let environ = std::fs::read(e.path().join("environ")).ok()?;
            let is_starter = words.split(|b| *b == 0).nth(1) == Some(b"serve");
            (is_starter && environ.split(|b| *b == 0).any(|v| v == entry.as_bytes()) && runs(pid))
                .then_some(pid)
        });
        found.is_some()
    });
    found.unwrap()
}

pub fn held(told: &[FromNode], of: JobUuid) -> Option<(u64, Vec<Held>)> {
    told.iter().find_map(|message| match message {
        FromNode::Running { job, starter, held } if *job == of => Some((*starter, held.clone())),
        _ => None,
    })
}
