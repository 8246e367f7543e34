//! Who comes to the daemon: by TLS, with a token, of another version, with nonsense, all at once, or never reading.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod daemon_support;

use daemon_support::*;
use dc_link::{
    Admission, Conn, Endpoint, Event, Fingerprint, KeyPair, Name, Peer, PeersFile, Role, Session, Socket,
    Token, TokensFile, UnixSeconds, connect_tcp,
};
use dc_model::cluster::client::WhichJob;
use dc_model::cluster::{FromClient, ToClient, VERSION};
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

/// A free port; somebody else may take it before it is used, which no test here survives.
fn port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

struct Tls {
    daemon: Daemon,
    at: SocketAddr,
    peers: PeersFile,
}

impl Tls {
    fn started(more: &str) -> Self {
        let at = port();
        let daemon = Daemon::started(&format!("listen = \"{at}\"\n{more}"));
        let peers = PeersFile::open(&daemon.dir.join("state/peers")).unwrap();
        Self { daemon, at, peers }
    }

    fn scheduler(&self) -> Fingerprint {
        KeyPair::read(&self.daemon.dir.join("state/key")).unwrap().fingerprint()
    }

    fn trust(&mut self, role: Role, name: &str) -> Endpoint {
        let endpoint = Endpoint::new(&KeyPair::generate().unwrap()).unwrap();
        let fingerprint = endpoint.fingerprint();
        let name = Name::parse(name).unwrap();
        self.peers.try_add(Peer { fingerprint, role, name, not_after: None, owner: None }).unwrap();
        endpoint
    }

    /// What a peer of the scheduler trusts.
    fn admission(&self) -> Admission {
        Admission::of(self.peers.peers(), &[Role::Scheduler])
    }

    fn dial(&self, endpoint: &Endpoint) -> Result<Talk, String> {
        let settings = Talk::settings(VERSION);
        let session = Session::dial(endpoint, self.admission(), settings, 0, UnixSeconds::now()).unwrap();
        Talk::up(Conn::new(Socket::Tcp(connect_tcp(self.at).unwrap()), session))
    }
}

#[test]
fn nodes_and_commands_of_other_hosts_come_with_keys() {
    let mut tls = Tls::started("");
    let (node_key, client_key) = (tls.trust(Role::Node, "n1"), tls.trust(Role::Client, "ann"));
    let stranger = Endpoint::new(&KeyPair::generate().unwrap()).unwrap();
    tls.daemon.signal(nix::sys::signal::Signal::SIGHUP);
    tls.daemon.wait_log("the peers file has 3 keys");
    let mut client = Client::over(tls.dial(&client_key).unwrap());
    let id = client.submitted(&record(1, 2));
    let other = Node::try_over(tls.dial(&node_key).unwrap(), registration("n2", 1, 2), &[]);
    let error = other.err().unwrap();
    assert!(error.contains("n2") && error.contains("n1"), "{error}");
    let mut node = Node::try_over(tls.dial(&node_key).unwrap(), registration("n1", 1, 2), &[]).unwrap();
    node.work(2).unwrap();
    let request = client.number();
    client.send(&FromClient::ListNodes { request }).unwrap();
    let ToClient::Nodes { nodes, .. } = client.answer().unwrap() else { panic!() };
    assert_eq!(nodes[0].fingerprint, node_key.fingerprint().to_string());
    let request = client.number();
    client.send(&FromClient::ListJobs { request, ids: vec![id], ended: true }).unwrap();
    let ToClient::Jobs { jobs, .. } = client.answer().unwrap() else { panic!() };
    assert_eq!(jobs[0].uid, nix::unistd::geteuid().as_raw());
    // A command's key is no node's, and the other way about; an unknown one is nobody's.
    let as_node = Node::try_over(tls.dial(&client_key).unwrap(), registration("n1", 1, 2), &[]);
    assert!(as_node.is_err());
    let mut as_client = Client::over(tls.dial(&node_key).unwrap());
    assert!(as_client.submit([3; 16], &record(3, 1)).is_err());
    assert!(tls.dial(&stranger).and_then(|mut talk| talk.receive(Instant::now() + DEADLINE)).is_err());
    // One that is trusted no more is gone at once.
    tls.peers.try_remove(client_key.fingerprint()).unwrap();
    tls.daemon.signal(nix::sys::signal::Signal::SIGHUP);
    assert!(client.receive().is_err());
    assert!(client_key.fingerprint() != node_key.fingerprint());
    node.beat().unwrap();
}

#[test]
fn a_token_makes_a_key_a_nodes_once() {
    let tls = Tls::started("");
    let tokens = TokensFile::open(&tls.daemon.dir.join("state/tokens"), &tls.peers).unwrap();
    let token = tokens
        .try_make(tls.scheduler(), Role::Node, None, UnixSeconds::now().plus_s(60), None, UnixSeconds::now())
        .unwrap();
    let join = |key: &Endpoint, token: Token, name: &str| -> Result<String, String> {
        let settings = Talk::settings(VERSION);
        let name = Name::parse(name).unwrap();
        let session = Session::join(key, token, name, settings, 0, UnixSeconds::now()).unwrap();
        let mut talk = Talk::up(Conn::new(Socket::Tcp(connect_tcp(tls.at).unwrap()), session))?;
        loop {
            match talk.conn.next_event().map_err(|error| error.to_string())? {
                Some(Event::Joined(joined)) => return Ok(joined.name.to_string()),
                Some(_) => {}
                None => talk.go_on(Instant::now() + DEADLINE)?,
            }
        }
    };
    let text = token.reveal().to_string();
    let key = Endpoint::new(&KeyPair::generate().unwrap()).unwrap();
    assert_eq!(join(&key, Token::parse(&text).unwrap(), "n7").unwrap(), "n7");
    let mut node = Node::try_over(tls.dial(&key).unwrap(), registration("n7", 1, 1), &[]).unwrap();
    node.beat().unwrap();
    let other = Endpoint::new(&KeyPair::generate().unwrap()).unwrap();
    assert!(join(&other, Token::parse(&text).unwrap(), "n8").is_err());
}

#[test]
fn what_cannot_be_read_ends_one_connection_and_no_other() {
    let daemon = Daemon::started("");
    let mut good = daemon.client();
    let id = good.submitted(&record(1, 1));
    let ended = |mut talk: Talk, kind: u8, body: &[u8]| {
        talk.send(kind, body).unwrap();
        talk.receive(Instant::now() + DEADLINE).unwrap_err()
    };
    let talk = || Talk::connect(&daemon.socket()).unwrap();
    // Kinds nobody has, bodies that are torn, too long, or have something behind them.
    assert!(ended(talk(), 0x3f, b"").len() > 3);
    assert!(ended(talk(), 0x45, b"1").contains("cannot be read"));
    assert!(ended(talk(), 0x45, &[0; 9]).contains("cannot be read"));
    ended(talk(), 0x13, &[0; 65]);
    assert!(ended(talk(), 0x40, &[7; 3000]).contains("cannot be read"));
    assert!(ended(talk(), 0x12, b"").contains("what it is first"));
    // A node does not become a command.
    let node = daemon.node("a", 1);
    let list = FromClient::ListNodes { request: 1 };
    assert!(ended(node.talk, list.kind(), &list.body()).contains("commands"));
    // A starter's report that is none.
    let mut node = daemon.node("a", 1);
    let frame = vec![1, 0, 0, 0, 99];
    let report = dc_model::cluster::FromNode::Report { job: uuid(1), starter: 1, seq: 1, frame };
    node.send(&report).unwrap();
    while let Ok(told) = node.told() {
        drop(told);
    }
    let mut other = daemon.client();
    assert_eq!(other.submitted(&record(1, 1)), id);
    assert_eq!(good.submitted(&record(1, 1)), id);
}

#[test]
fn another_version_is_told_so_and_others_go_on() {
    let daemon = Daemon::started("");
    let error = Talk::connect_as(&daemon.socket(), VERSION + 7)
        .and_then(|mut talk| talk.receive(Instant::now() + DEADLINE))
        .unwrap_err();
    assert!(error.contains("version"), "{error}");
    daemon.wait_log("version");
    daemon.client().submitted(&record(1, 1));
}

#[test]
fn registrations_that_must_not_be_taken() {
    let daemon = Daemon::started("");
    let register = |name: &str, start: u64, epoch_seen: u32| {
        let mut it = registration(name, start, 2);
        it.epoch_seen = epoch_seen;
        Node::try_connect(&daemon.socket(), it, &[])
    };
    assert!(register("a/b", 1, 0).err().unwrap().contains("no name"));
    assert!(register("a", 1, 9).err().unwrap().contains("older copy"));
    let mut first = register("a", 5, 1).unwrap();
    assert!(register("a", 4, 1).err().unwrap().contains("another dcd"));
    first.beat().unwrap();
    // A newer start of the same node: the older connection is closed.
    let mut second = register("a", 6, 1).unwrap();
    assert_eq!(second.number, first.number);
    while let Ok(told) = first.told() {
        drop(told);
    }
    second.beat().unwrap();
    while !second.told().unwrap().iter().any(|told| matches!(told, Told::Lease(1))) {}
    daemon.wait_log("registered anew");
}

#[test]
fn a_flood_of_connections_keeps_nobody_out_that_is_known() {
    let mut tls = Tls::started("connections_from_one_max = 100\n");
    let key = tls.trust(Role::Node, "n1");
    let flood: Vec<_> = (0..400).filter_map(|_| connect_tcp(tls.at).ok()).collect();
    // The socket of the host is not the port.
    let mut client = tls.daemon.client();
    let began = Instant::now();
    client.submitted(&record(1, 1));
    assert!(began.elapsed() < Duration::from_secs(5));
    tls.daemon.wait_log("turned away");
    // Local ones have their share too: the others are closed without a word.
    let local: Vec<_> =
        (0..150).filter_map(|_| std::os::unix::net::UnixStream::connect(tls.daemon.socket()).ok()).collect();
    let closed = |mut stream: &std::os::unix::net::UnixStream| {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.read(&mut [0; 1]).is_ok_and(|n| n == 0)
    };
    let turned_away = local.iter().filter(|stream| closed(stream)).count();
    assert!((51..=60).contains(&turned_away), "{turned_away}");
    drop(local);
    client.submitted(&record(2, 1));
    drop(flood);
    // When they are gone there is room again.
    let until = Instant::now() + DEADLINE;
    let mut node = loop {
        match tls.dial(&key).and_then(|talk| Node::try_over(talk, registration("n1", 1, 1), &[])) {
            Ok(node) => break node,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
    };
    node.work(2).unwrap();
}

fn rss_bytes(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_follower_that_does_not_read_costs_little_and_catches_up() {
    const SUBTASKS: u32 = 40_000;
    let daemon = Daemon::started("");
    let mut job = record(1, SUBTASKS);
    job.options.ranks = 64;
    let mut slow = daemon.client();
    let id = slow.submitted(&job);
    let request = slow.number();
    slow.send(&FromClient::Attach { request, job: WhichJob::Id(id), after: 0 }).unwrap();
    let mut node = daemon.node("a", 64);
    let before = rss_bytes(&daemon);
    node.work(SUBTASKS as usize).unwrap();
    let grown = rss_bytes(&daemon).saturating_sub(before);
    assert!(grown < 80 << 20, "{grown} bytes");
    // It was told nothing wrong: in order, or the state and what follows it.
    let (mut seq, mut states, mut records_seen) = (0, 0, 0);
    loop {
        match slow.receive().unwrap() {
            ToClient::Attached { seq: at, state, .. } => {
                assert!(at >= seq);
                states += u32::from(!state.is_empty());
                seq = at;
            }
            ToClient::Records { job, first_seq, records, durable_seq } => {
                assert_eq!(first_seq, seq + 1);
                seq += records.len() as u64;
                records_seen += records.len();
                assert_eq!(durable_seq, seq, "what is told is on disk");
                slow.send(&FromClient::Window { job, seq }).unwrap();
            }
            ToClient::Ended { status, .. } => {
                assert_eq!(status, 0);
                break;
            }
            _ => {}
        }
    }
    assert!(states > 0 && records_seen > 0, "{states} {records_seen}");
}

#[test]
fn a_command_that_asks_and_does_not_read_is_not_heard_until_it_does() {
    const ASKED: u64 = 3_000;
    let daemon = Daemon::started("");
    let mut client = daemon.client();
    for n in 1..=200 {
        client.submitted(&record(n, 1));
    }
    let before = rss_bytes(&daemon);
    let socket = daemon.socket();
    // 200 rows each: some 100 MB of answers.
    let mut greedy = Client::connect(&socket).unwrap();
    let mut asked = 0;
    while asked < ASKED {
        asked += 1;
        let message = FromClient::ListJobs { request: asked, ids: vec![], ended: true };
        greedy.talk.conn.send(message.kind(), &message.body()).unwrap();
        let _ = greedy.talk.conn.on_writable(0);
    }
    // Others are served, and nothing grows.
    for n in 201..=220 {
        client.submitted(&record(n, 1));
    }
    let grown = rss_bytes(&daemon).saturating_sub(before);
    assert!(grown < 30 << 20, "{grown} bytes");
    // It gets all of them when it reads.
    for request in 1..=ASKED {
        match greedy.answer().unwrap() {
            ToClient::Jobs { request: of, last: true, .. } => assert_eq!(of, request),
            other => panic!("{other:?}"),
        }
    }
}

/// What the next test runs as another user; nothing by itself.
#[test]
fn as_another_user() {
    let Some(socket) = std::env::var_os("DC_TEST_SOCKET") else { return };
    let mut client = Client::over({
        let (stream, credentials) =
            dc_link::dial_local(socket.as_ref(), &dc_link::LocalPolicy::Everyone).unwrap();
        Talk::up(Conn::new(Socket::Unix(stream), Session::local(credentials, Talk::settings(VERSION), 0)))
            .unwrap()
    });
    let root = WhichJob::Uuid(uuid(1));
    let ask: Vec<Box<dyn Fn(u64) -> FromClient>> = vec![
        Box::new(move |request| FromClient::Attach { request, job: root, after: 0 }),
        Box::new(move |request| FromClient::Stop { request, job: root, reason: 6, signal: 0 }),
        Box::new(move |request| FromClient::Signal {
            request,
            job: root,
            signal: 9,
            subtask: None,
            leaders_only: false,
            wants_checkpoint: false,
        }),
        Box::new(|request| FromClient::Drain { request, nodes: vec![], drain: true, reason: String::new() }),
        Box::new(|request| FromClient::Reload { request }),
    ];
    for make in ask {
        let request = client.number();
        client.send(&make(request)).unwrap();
        match client.answer().unwrap() {
            ToClient::Refused { text, .. } => assert!(text.contains("may not"), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    let own = client.submitted(&record(2, 1));
    let request = client.number();
    client.send(&FromClient::Stop { request, job: WhichJob::Id(own), reason: 6, signal: 0 }).unwrap();
    assert!(matches!(client.answer().unwrap(), ToClient::Text { .. }));
    let talk = client.talk;
    let register = Node::try_over(talk, registration("mine", 1, 1), &[]);
    assert!(register.is_err());
    println!("all was refused");
}

#[test]
fn another_user_may_do_what_is_its_own_and_nothing_else() {
    use std::os::unix::fs::PermissionsExt;
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not tested: only root can be another user");
        return;
    }
    let daemon = Daemon::configured("users = \"everyone\"\n");
    let mut daemon = daemon;
    std::fs::set_permissions(&daemon.dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    // Several users' state is made by hand.
    let init = std::process::Command::new(env!("CARGO_BIN_EXE_dcsched"))
        .arg("init")
        .arg(daemon.dir.join("state"))
        .output()
        .unwrap();
    assert!(init.status.success());
    daemon.start();
    daemon.client().submitted(&record(1, 1));
    let exe = daemon.dir.join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &exe).unwrap();
    let out = std::process::Command::new(&exe)
        .args(["--exact", "as_another_user", "--nocapture"])
        .env("DC_TEST_SOCKET", daemon.socket())
        .current_dir("/")
        .uid(12_345)
        .gid(12_345)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        out.status.success() && said.contains("all was refused"),
        "{said}{}",
        String::from_utf8_lossy(&out.stderr)
    );
}
