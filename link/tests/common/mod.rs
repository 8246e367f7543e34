//! Two sessions that talk to each other through memory, and a small cluster to be part of.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use dc_link::*;
use std::io::{Cursor, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

pub const VERSION: u16 = 7;
/// A small frame, from anybody but a joiner.
pub const PING: u8 = 1;
/// A long one, from nodes, schedulers and local processes.
pub const DATA: u8 = 2;
/// From the scheduler alone.
pub const LAUNCH: u8 = 3;
pub const DATA_MAX: usize = 1 << 20;
pub const TODAY: UnixSeconds = UnixSeconds(1_800_000_000);
pub const S: u64 = 1_000_000_000;

pub fn settings() -> Settings {
    let all = Parties::of(&[Party::Scheduler, Party::Node, Party::Client, Party::Submit, Party::Local]);
    let data = Parties::of(&[Party::Scheduler, Party::Node, Party::Local]);
    let rules = Rules::new(&[
        Rule { kind: PING, from: all, body_bytes_max: 64 },
        Rule { kind: DATA, from: data, body_bytes_max: DATA_MAX },
        Rule { kind: LAUNCH, from: Parties::of(&[Party::Scheduler]), body_bytes_max: 1024 },
    ]);
    Settings::new(VERSION, Arc::new(rules.unwrap()))
}

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// A scheduler with its files, and keys that it knows.
pub struct Cluster {
    pub tmp: tempfile::TempDir,
    pub scheduler: Endpoint,
    pub node: Endpoint,
    pub client: Endpoint,
    pub expired: Endpoint,
    pub stranger: Endpoint,
    pub peers: PeersFile,
}

pub fn endpoint() -> Endpoint {
    Endpoint::new(&KeyPair::generate().unwrap()).unwrap()
}

pub fn peer(role: Role, text: &str, endpoint: &Endpoint) -> Peer {
    Peer { fingerprint: endpoint.fingerprint(), role, name: name(text), not_after: None, owner: None }
}

impl Cluster {
    pub fn new() -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let [scheduler, node, client, expired, stranger] = std::array::from_fn(|_| endpoint());
        let mut peers = PeersFile::create(&tmp.path().join("peers"), ClusterId::random().unwrap()).unwrap();
        peers.try_add(peer(Role::Scheduler, "sched", &scheduler)).unwrap();
        peers.try_add(peer(Role::Node, "n1", &node)).unwrap();
        peers.try_add(peer(Role::Client, "ann", &client)).unwrap();
        peers.try_add(Peer { not_after: Some(TODAY), ..peer(Role::Node, "old", &expired) }).unwrap();
        Self { tmp, scheduler, node, client, expired, stranger, peers }
    }

    pub fn tokens_path(&self) -> PathBuf {
        self.tmp.path().join("tokens")
    }

    pub fn tokens(&self) -> TokensFile {
        TokensFile::open(&self.tokens_path(), &self.peers).unwrap()
    }

    pub fn admits(&self) -> Admission {
        Admission::of(self.peers.peers(), &[Role::Node, Role::Client])
    }

    pub fn wants_scheduler(&self) -> Admission {
        Admission::of(self.peers.peers(), &[Role::Scheduler])
    }

    pub fn server(&self) -> Session {
        Session::accept(&self.scheduler, self.admits(), settings(), 0, TODAY).unwrap()
    }

    pub fn server_for_joiners(&self) -> Session {
        Session::accept(&self.scheduler, self.admits().or_joiners(true), settings(), 0, TODAY).unwrap()
    }

    pub fn dialled_by(&self, endpoint: &Endpoint) -> Session {
        Session::dial(endpoint, self.wants_scheduler(), settings(), 0, TODAY).unwrap()
    }

    /// A node and the scheduler, both up.
    pub fn pair(&self) -> (Session, Session) {
        let (mut a, mut b) = (self.dialled_by(&self.node), self.server());
        pump(&mut a, &mut b, 0).unwrap();
        assert!(matches!(a.next_event(), Ok(Some(Event::Up(_)))));
        assert!(matches!(b.next_event(), Ok(Some(Event::Up(_)))));
        (a, b)
    }
}

/// All that a session would write.
pub fn written(session: &mut Session, now_ns: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let _ = session.on_writable(&mut out, now_ns);
    out
}

/// Carries bytes both ways until nobody has any; the first error, with whose it was in words.
pub fn pump(a: &mut Session, b: &mut Session, now_ns: u64) -> Result<(), LinkError> {
    let mut first = Ok(());
    loop {
        let (from_a, from_b) = (written(a, now_ns), written(b, now_ns));
        if from_a.is_empty() && from_b.is_empty() {
            return first;
        }
        let got = b.on_bytes(&from_a, now_ns);
        first = first.and(got);
        let got = a.on_bytes(&from_b, now_ns);
        first = first.and(got);
    }
}

/// A socket that gives some bytes, then would block; and takes some, then would block.
pub struct Trickle {
    pub input: Cursor<Vec<u8>>,
    pub output: Vec<u8>,
    pub room: usize,
    pub ended: bool,
}

impl Trickle {
    pub fn new(input: Vec<u8>, room: usize) -> Self {
        Self { input: Cursor::new(input), output: Vec::new(), room, ended: false }
    }
}

impl Read for Trickle {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match self.input.read(buf)? {
            0 if !self.ended => Err(std::io::ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }
}

impl Write for Trickle {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let n = buf.len().min(self.room - self.output.len());
        if n == 0 {
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        self.output.extend_from_slice(&buf[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
