//! A dcsched in a directory of its own, and threads that speak to it as nodes and commands do.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used)]

use dc_link::{Conn, Event, LocalPolicy, Parties, Party, Rule, Rules, Session, Settings, Socket, dial_local};
use dc_model::cluster::client::TO_CLIENT;
use dc_model::cluster::node::{FromNode, Held, Incarnation, KillMode, LimitModes, Register, TO_NODE, ToNode};
use dc_model::cluster::{FromClient, ToClient, VERSION, Wants};
use dc_model::wire::{FrameBuffer, FromStarter, Launch, ToStarter};
use dc_model::{Distribution, JobUuid, Outcome, Topology};
use dc_spool::hash::FileIdentity;
use dc_spool::job::{FailurePolicy, JobOptions, JobRecord, StreamOptions, Subtasks};
use dcsched_brief::Manner;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub const DEADLINE: Duration = Duration::from_secs(60);

/// A state directory, a configuration, and the daemon on it.
pub struct Daemon {
    pub dir: PathBuf,
    pub child: Option<Child>,
    pub log: Arc<Mutex<Vec<String>>>,
    /// Before its name: strace and the like.
    pub under: Vec<String>,
    _tmp: Option<tempfile::TempDir>,
}

impl Daemon {
    pub fn configured(scheduler: &str) -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let mut daemon = Self::in_dir(tmp.path(), scheduler);
        daemon._tmp = Some(tmp);
        daemon
    }

    pub fn in_dir(dir: &Path, scheduler: &str) -> Self {
        let text = format!(
            "[scheduler]\nstate = \"{0}/state\"\nsocket = \"{0}/socket\"\nlease = \"2s\"\n{scheduler}\n",
            dir.display()
        );
        std::fs::write(dir.join("dc.toml"), text).unwrap();
        Self { dir: dir.to_owned(), child: None, log: Arc::default(), under: Vec::new(), _tmp: None }
    }

    pub fn started(scheduler: &str) -> Self {
        let mut daemon = Self::configured(scheduler);
        daemon.start();
        daemon
    }

    pub fn command(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_dcsched");
        let mut command = match self.under.split_first() {
            None => Command::new(program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command.arg("--config").arg(self.dir.join("dc.toml"));
        command.env_remove("DC_LOG").env_remove("DC_CONFIG");
        command
    }

    /// Starts it; it listens when this returns.
    pub fn start(&mut self) {
        assert!(self.try_start(), "dcsched has not begun: {:?}", self.log());
    }

    /// Starts it; false when it ends before it listens.
    pub fn try_start(&mut self) -> bool {
        let mut child = self.command().stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let (log, stderr) = (Arc::clone(&self.log), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let listens = line.contains("listens at") && line.contains("/socket");
                log.lock().unwrap().push(line);
                if listens {
                    let _ = tell.send(());
                }
            }
        });
        self.child = Some(child);
        told.recv_timeout(DEADLINE).is_ok()
    }

    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits until its log has a line with this.
    pub fn wait_log(&self, text: &str) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(line) = self.log().into_iter().find(|line| line.contains(text)) {
                return line;
            }
            assert!(Instant::now() < until, "no line with {text:?} in {:#?}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(self.child.as_ref().unwrap().id() as i32)
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(self.pid(), signal).unwrap();
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits for its end; its status.
    pub fn wait(&mut self) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "it does not end: {:?}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn end(&mut self) {
        self.signal(nix::sys::signal::Signal::SIGTERM);
        assert_eq!(self.wait(), Some(0), "{:?}", self.log());
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.socket()).unwrap()
    }

    pub fn node(&self, name: &str, cores: u32) -> Node {
        Node::connect(&self.socket(), name, 1, cores)
    }

    pub fn dump(&self) -> String {
        let out = Command::new(env!("CARGO_BIN_EXE_dcsched"))
            .arg("dump")
            .arg(self.dir.join("state"))
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("log of dcsched: {:#?}", self.log());
        }
    }
}

/// One side of a connection, with waiting.
pub struct Talk {
    pub conn: Conn,
    began: Instant,
}

impl Talk {
    pub fn connect(socket: &Path) -> Result<Self, String> {
        Self::connect_as(socket, VERSION)
    }

    pub fn connect_as(socket: &Path, version: u16) -> Result<Self, String> {
        let (stream, credentials) =
            dial_local(socket, &LocalPolicy::Own).map_err(|error| error.to_string())?;
        let session = Session::local(credentials, Self::settings(version), 0);
        Self::up(Conn::new(Socket::Unix(stream), session))
    }

    pub fn settings(version: u16) -> Settings {
        let rule = |kind: &(u8, &str, usize)| Rule {
            kind: kind.0,
            from: Parties::of(&[Party::Local, Party::Scheduler]),
            body_bytes_max: kind.2,
        };
        let rules: Vec<_> = TO_CLIENT.iter().chain(TO_NODE).map(rule).collect();
        Settings {
            outbox_bytes_max: 20 << 20,
            idle_ns: 600_000_000_000,
            ..Settings::new(version, Arc::new(Rules::new(&rules).unwrap()))
        }
    }

    /// Waits until both sides know each other.
    pub fn up(conn: Conn) -> Result<Self, String> {
        let mut talk = Self { conn, began: Instant::now() };
        let until = Instant::now() + DEADLINE;
        while !talk.conn.session().is_up() {
            talk.go_on(until)?;
        }
        Ok(talk)
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// Waits for the socket and does what can be done.
    pub fn go_on(&mut self, until: Instant) -> Result<(), String> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, self.conn.want_read());
        flags.set(PollFlags::POLLOUT, self.conn.want_write());
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("deadline".to_owned());
        }
        let timeout = PollTimeout::try_from(left.as_millis().max(1)).unwrap_or(PollTimeout::MAX);
        let ready = {
            let mut fds = [PollFd::new(self.conn.as_fd(), flags)];
            poll(&mut fds, timeout).unwrap();
            fds[0].revents().unwrap()
        };
        let now = self.now();
        if ready.contains(PollFlags::POLLOUT) {
            self.conn.on_writable(now).map_err(|error| error.to_string())?;
        }
        if ready.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            self.conn.on_readable(now).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    pub fn send(&mut self, kind: u8, body: &[u8]) -> Result<(), String> {
        self.conn.send(kind, body).map_err(|error| error.to_string())?;
        let until = Instant::now() + DEADLINE;
        while self.conn.want_write() {
            let now = self.now();
            self.conn.on_writable(now).map_err(|error| error.to_string())?;
            if self.conn.want_write() {
                self.go_on(until)?;
            }
        }
        Ok(())
    }

    /// What is there already.
    pub fn next(&mut self) -> Result<Option<(u8, Vec<u8>)>, String> {
        loop {
            match self.conn.next_event().map_err(|error| error.to_string())? {
                None => return Ok(None),
                Some(Event::Frame { kind, body }) => return Ok(Some((kind, body.to_vec()))),
                Some(Event::Ended { text }) => return Err(format!("ended: {text}")),
                Some(_) => {}
            }
        }
    }

    pub fn receive(&mut self, until: Instant) -> Result<(u8, Vec<u8>), String> {
        loop {
            if let Some(got) = self.next()? {
                return Ok(got);
            }
            self.go_on(until)?;
        }
    }
}

/// A command.
pub struct Client {
    pub talk: Talk,
    request: u64,
}

impl Client {
    pub fn connect(socket: &Path) -> Result<Self, String> {
        Talk::connect(socket).map(Self::over)
    }

    pub fn over(talk: Talk) -> Self {
        Self { talk, request: 0 }
    }

    pub fn number(&mut self) -> u64 {
        self.request += 1;
        self.request
    }

    pub fn send(&mut self, message: &FromClient) -> Result<(), String> {
        self.talk.send(message.kind(), &message.body())
    }

    pub fn receive(&mut self) -> Result<ToClient, String> {
        let (kind, body) = self.talk.receive(Instant::now() + DEADLINE)?;
        Ok(ToClient::decode(kind, &body).unwrap())
    }

    /// The next message that is an answer to a request.
    pub fn answer(&mut self) -> Result<ToClient, String> {
        loop {
            let message = self.receive()?;
            let told = matches!(
                message,
                ToClient::Records { .. }
                    | ToClient::Report { .. }
                    | ToClient::Ended { .. }
                    | ToClient::Merge { .. }
                    | ToClient::Nodes { request: 0, .. }
            );
            if !told {
                return Ok(message);
            }
        }
    }

    pub fn submit(&mut self, key: [u8; 16], record: &JobRecord) -> Result<ToClient, String> {
        self.submit_as(key, record, wants())
    }

    pub fn submit_as(&mut self, key: [u8; 16], record: &JobRecord, wants: Wants) -> Result<ToClient, String> {
        let request = self.number();
        let record = dc_spool::job::encode(record);
        self.send(&FromClient::Submit { request, key, wants: Box::new(wants), record })?;
        self.answer()
    }

    /// Submits, and gives the job's number.
    pub fn submitted(&mut self, record: &JobRecord) -> u64 {
        match self.submit(record.uuid.0, record).unwrap() {
            ToClient::Accepted { id, uuid, .. } => {
                assert_eq!(uuid, record.uuid);
                id
            }
            other => panic!("{other:?}"),
        }
    }
}

pub fn wants() -> Wants {
    let manner = Manner { grace_ms: 1000, ..Manner::default() };
    Wants { detached: true, brief: manner.encode(), ..Wants::default() }
}

pub fn uuid(n: u64) -> JobUuid {
    let mut bytes = [0x5a; 16];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    JobUuid(bytes)
}

/// A job of so many subtasks.
pub fn record(n: u64, subtasks: u32) -> JobRecord {
    JobRecord {
        uuid: uuid(n),
        name: format!("job-{n}"),
        kernel: FileIdentity::of_bytes(Path::new("/bin/true"), b"kernel"),
        argv: vec![b"true".to_vec()],
        cwd: PathBuf::from("/"),
        env: vec![b"A=b".to_vec()],
        limits: None,
        options: JobOptions {
            ranks: subtasks,
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
            grace_ms: 1000,
            mpi: None,
            merges: Vec::new(),
            streams: StreamOptions::default(),
            failure: FailurePolicy::default(),
        },
        domain: None,
        subtasks: Subtasks::plain(subtasks, 1, 1).unwrap(),
    }
}

/// A node of the cluster, with starters that do as they are told at once.
pub struct Node {
    pub talk: Talk,
    pub name: String,
    pub number: u32,
    pub lease_ms: u64,
    beats: u64,
    seq: u64,
}

/// What a node was told.
#[derive(Debug)]
pub enum Told {
    Opened(JobUuid),
    Launch(JobUuid, Box<Launch>),
    Order(JobUuid, ToStarter),
    Acknowledged(JobUuid, u64),
    Closed(JobUuid, bool),
    Lease(u64),
    Welcome,
}

pub fn registration(name: &str, start: u64, cores: u32) -> Register {
    Register {
        name: name.to_owned(),
        incarnation: Incarnation { boot: [1; 16], start },
        epoch_seen: 0,
        address: "127.0.0.1:7".to_owned(),
        topology: Topology::uniform(cores, cores, cores),
        threads_all: cores,
        cores_all: cores,
        packages: 1,
        synthetic: true,
        speed_permille: 1000,
        memory_max_bytes: 0,
        kill: KillMode::Cgroup2,
        limits: LimitModes::default(),
        load_centi: 0,
        version: "test".to_owned(),
    }
}

impl Node {
    pub fn connect(socket: &Path, name: &str, start: u64, cores: u32) -> Self {
        Self::try_connect(socket, registration(name, start, cores), &[]).unwrap()
    }

    /// Registers with what it runs.
    pub fn try_connect(
        socket: &Path,
        register: Register,
        running: &[(JobUuid, u64, Vec<Held>)],
    ) -> Result<Self, String> {
        Self::try_over(Talk::connect(socket)?, register, running)
    }

    pub fn try_over(
        talk: Talk,
        register: Register,
        running: &[(JobUuid, u64, Vec<Held>)],
    ) -> Result<Self, String> {
        let name = register.name.clone();
        let mut node = Self { talk, name, number: 0, lease_ms: 0, beats: 0, seq: 0 };
        node.send(&FromNode::Register(Box::new(register)))?;
        for (job, starter, held) in running {
            node.send(&FromNode::Running { job: *job, starter: *starter, held: held.clone() })?;
        }
        node.send(&FromNode::Settled)?;
        while node.number == 0 {
            node.told()?;
        }
        Ok(node)
    }

    pub fn send(&mut self, message: &FromNode) -> Result<(), String> {
        self.talk.send(message.kind(), &message.body())
    }

    pub fn beat(&mut self) -> Result<(), String> {
        self.beats += 1;
        let number = self.beats;
        self.send(&FromNode::Heartbeat { number, load_centi: 1, ranks: 0, done: 0, memory_free_bytes: 0 })
    }

    /// What comes next.
    pub fn told(&mut self) -> Result<Vec<Told>, String> {
        let (kind, body) = self.talk.receive(Instant::now() + DEADLINE)?;
        Ok(self.take(kind, &body))
    }

    pub fn take(&mut self, kind: u8, body: &[u8]) -> Vec<Told> {
        match ToNode::decode(kind, body).unwrap() {
            ToNode::Welcome { node, lease_ms, .. } => {
                (self.number, self.lease_ms) = (node, lease_ms);
                vec![Told::Welcome]
            }
            ToNode::Lease { number } => vec![Told::Lease(number)],
            ToNode::Open { job, record, hello, .. } => {
                let record = dc_spool::job::decode(&record).unwrap();
                assert_eq!(record.uuid, job);
                let frames = frames(&hello);
                assert!(matches!(&frames[..], [ToStarter::Hello(hello)] if hello.job == job));
                vec![Told::Opened(job)]
            }
            ToNode::Order { job, frames: bytes } => {
                let told = |frame| match frame {
                    ToStarter::Launch(launch) => Told::Launch(job, launch),
                    other => Told::Order(job, other),
                };
                frames(&bytes).into_iter().map(told).collect()
            }
            ToNode::Acknowledge { job, seq, .. } => vec![Told::Acknowledged(job, seq)],
            ToNode::Close { job, remove } => vec![Told::Closed(job, remove)],
            ToNode::Peers { .. } => Vec::new(),
        }
    }

    pub fn report(&mut self, job: JobUuid, report: &FromStarter) -> Result<u64, String> {
        let mut frame = Vec::new();
        report.encode(&mut frame);
        self.seq += 1;
        let seq = self.seq;
        self.send(&FromNode::Report { job, starter: 1, seq, frame })?;
        Ok(seq)
    }

    /// An attempt starts and ends well.
    pub fn run(&mut self, job: JobUuid, launch: &Launch) -> Result<u64, String> {
        let (subtask, attempt) = (launch.subtask, launch.attempt);
        self.report(job, &FromStarter::Started { subtask, attempt, pid: 1, from: None })?;
        self.report(job, &ended(launch, Outcome::Exited(0)))
    }

    /// Works until this many subtasks are done and acknowledged.
    pub fn work(&mut self, count: usize) -> Result<(), String> {
        let (mut done, mut last, mut acknowledged) = (0, 0, 0);
        let mut beaten = Instant::now();
        while done < count || acknowledged < last {
            let beat_at = beaten + Duration::from_millis(300);
            let (kind, body) = match self.talk.receive(beat_at) {
                Ok(message) => message,
                Err(_) if Instant::now() >= beat_at => {
                    self.beat()?;
                    beaten = Instant::now();
                    continue;
                }
                Err(error) => return Err(error),
            };
            for told in self.take(kind, &body) {
                match told {
                    Told::Launch(job, launch) => {
                        last = self.run(job, &launch)?;
                        done += 1;
                    }
                    Told::Acknowledged(_, seq) => acknowledged = seq,
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

pub fn ended(launch: &Launch, outcome: Outcome) -> FromStarter {
    FromStarter::Ended {
        subtask: launch.subtask,
        attempt: launch.attempt,
        outcome,
        ran_ns: 1_000_000,
        stopped: false,
        checkpoint: None,
        progress_cells: 0,
        result: None,
        memory_short: false,
    }
}

pub fn frames(bytes: &[u8]) -> Vec<ToStarter> {
    let mut buffer = FrameBuffer::default();
    buffer.push(bytes);
    let mut all = Vec::new();
    while let Some((kind, body)) = buffer.next_frame().unwrap() {
        all.push(ToStarter::decode(kind, body).unwrap());
    }
    assert!(!buffer.is_partial());
    all
}
