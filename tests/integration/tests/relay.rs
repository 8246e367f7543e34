//! The relay: bytes exact both ways, bounded memory, nothing but nodes of the cluster, and a cluster with a host that
//! cannot reach a node.

use dc_integration::fake_scheduler::{FakeScheduler, node};
use dc_integration::random::Random;
use dc_integration::wait::until;
use dc_integration::{Cluster, DEADLINE, Plan, Scratch, built, process};
use dc_link::{Endpoint, KeyPair, PeersFile};
use dc_model::cluster::NodeRow;
use dcd::peer::relay::Relay;
use nix::sys::signal::Signal;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A relay beside a scheduler that tells of one node, which is this test.
struct Bench {
    relay: Child,
    at: String,
    node: TcpListener,
    scratch: Scratch,
    _scheduler: FakeScheduler,
}

fn free_port(host: &str) -> u16 {
    TcpListener::bind((host, 0)).unwrap().local_addr().unwrap().port()
}

impl Bench {
    fn start(host: &str) -> Self {
        let scratch = Scratch::new();
        let dir = scratch.path("relay");
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        let mut peers = format!("cluster {}\n", "5a".repeat(16));
        for (role, name) in [("scheduler", "key"), ("client", "client")] {
            let key = KeyPair::generate().unwrap();
            key.write_new(&dir.join(name)).unwrap();
            peers += &format!("{role} {name} {}\n", key.fingerprint());
        }
        KeyPair::generate().unwrap().write_new(&dir.join("stranger")).unwrap();
        fs::write(dir.join("peers"), peers).unwrap();
        let node_port = TcpListener::bind((host, 0)).unwrap();
        let address = node_port.local_addr().unwrap().to_string();
        let nodes = vec![NodeRow { address, ..node(1) }];
        let scheduler = FakeScheduler::start_with(&dir, nodes, |_, _, _| {});
        let port = free_port(host);
        let at = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let config = dir.join("dc.toml");
        let text = format!(
            "[scheduler]\nstate = {dir:?}\nsocket = {:?}\n[streams]\nrelay = {at:?}\n",
            scheduler.address()
        );
        fs::write(&config, text).unwrap();
        let relay = Command::new(built("dcsched"))
            .args(["relay", "--config"])
            .arg(&config)
            .env("DC_LOG", "debug")
            .stderr(fs::File::create(dir.join("log")).unwrap())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut bench = Self { relay, at, node: node_port, scratch, _scheduler: scheduler };
        until("the relay", || {
            assert!(bench.relay.try_wait().unwrap().is_none(), "{}", bench.log());
            bench.log().contains("listens at").then_some(())
        });
        bench
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir().join("log")).unwrap()
    }

    fn dir(&self) -> std::path::PathBuf {
        self.scratch.path("relay")
    }

    fn node(&self) -> String {
        self.node.local_addr().unwrap().to_string()
    }

    /// A command's way, with this key.
    fn way(&self, key: &str) -> Relay {
        let pair = KeyPair::read(&self.dir().join(key)).unwrap();
        let peers = PeersFile::open(&self.dir().join("peers")).unwrap().peers();
        Relay::new(self.at.clone(), Endpoint::new(&pair).unwrap(), peers, |_| {})
    }

    /// A connection through the relay: the command's end, and the node's.
    fn through(&self) -> (TcpStream, TcpStream) {
        let ours = self.way("client").relayed(&self.node()).unwrap();
        ours.set_nonblocking(false).unwrap();
        let (theirs, _) = self.node.accept().unwrap();
        for socket in [&ours, &theirs] {
            socket.set_read_timeout(Some(DEADLINE)).unwrap();
            socket.set_write_timeout(Some(DEADLINE)).unwrap();
        }
        (ours, theirs)
    }

    fn peak_kib(&self) -> u64 {
        process::peak_kib(self.relay.id() as i32).unwrap()
    }

    /// SIGTERM ends it well.
    fn ends(mut self) {
        process::signal(self.relay.id() as i32, Signal::SIGTERM);
        let status = until("the relay's end", || self.relay.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.relay.kill();
        let _ = self.relay.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

fn bytes(random: &mut Random, count: usize) -> Arc<Vec<u8>> {
    Arc::new((0..count.div_ceil(8)).flat_map(|_| random.below(u64::MAX).to_le_bytes()).take(count).collect())
}

/// Writes all of it, and says that it ends.
fn write_all(mut to: TcpStream, what: Arc<Vec<u8>>) {
    to.write_all(&what).unwrap();
    to.shutdown(Shutdown::Write).unwrap();
}

fn exact_both_ways(host: &str) {
    let bench = Bench::start(host);
    let mut random = Random::of_this_run("relay_exact_both_ways");
    let count = 12 << 20;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (mut ours, mut theirs) = bench.through();
            for (from, to) in
                [(&ours, &mut theirs.try_clone().unwrap()), (&theirs, &mut ours.try_clone().unwrap())]
            {
                let what = bytes(&mut random, count);
                let (from, mut to, sent) =
                    (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(&what));
                scope.spawn(move || write_all(from, sent));
                let pieces = 1 + random.below(40_000) as usize;
                scope.spawn(move || {
                    let (mut got, mut piece) = (Vec::new(), vec![0; pieces]);
                    loop {
                        match to.read(&mut piece).unwrap() {
                            0 => break,
                            n => got.extend_from_slice(&piece[..n]),
                        }
                    }
                    assert!(got == *what, "{} bytes of {}", got.len(), what.len());
                });
            }
            (ours, theirs) = (ours.try_clone().unwrap(), theirs.try_clone().unwrap());
            drop((ours, theirs));
        }
    });
    until("the ends", || (bench.log().matches("it has ended").count() == 3).then_some(()));
    assert!(bench.log().contains("(client client)"), "{}", bench.log());
    assert!(bench.peak_kib() < 40 << 10, "{} KiB", bench.peak_kib());
    bench.ends();
}

#[test]
fn bytes_are_exact_both_ways() {
    exact_both_ways("127.0.0.1");
}

#[test]
fn bytes_are_exact_both_ways_on_ipv6() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: a relay on IPv6: this host has none");
        return;
    }
    exact_both_ways("::1");
}

/// Nobody reads for a while: the writers are held up, the relay has next to nothing, and then all arrives.
#[test]
fn who_does_not_read_holds_up_the_other_end_alone() {
    let bench = Bench::start("127.0.0.1");
    let before = bench.peak_kib();
    let count = 24 << 20;
    let what = bytes(&mut Random::of_this_run("relay_slow"), count);
    let written = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let mut slow = Vec::new();
        for _ in 0..8 {
            let (ours, mut theirs) = bench.through();
            let (what, written) = (Arc::clone(&what), &written);
            scope.spawn(move || {
                for piece in what.chunks(64 << 10) {
                    theirs.write_all(piece).unwrap();
                    written.fetch_add(piece.len(), Ordering::Relaxed);
                }
            });
            slow.push(ours);
        }
        // They stand still when two looks see the same.
        let mut last = usize::MAX;
        until("a standstill", || {
            let now = written.load(Ordering::Relaxed);
            let stands = now > 0 && now == std::mem::replace(&mut last, now);
            std::thread::sleep(Duration::from_millis(200));
            stands.then_some(())
        });
        assert!(last < 8 * count, "nobody was held up");
        // Another one is not.
        let (mut ours, mut theirs) = bench.through();
        theirs.write_all(b"quick").unwrap();
        let mut got = [0; 5];
        ours.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"quick");
        assert!(bench.peak_kib() < before + (8 << 10), "{before} KiB, then {}", bench.peak_kib());
        for mut ours in slow {
            let mut got = vec![0; count];
            ours.read_exact(&mut got).unwrap();
            assert!(got == *what);
        }
    });
    bench.ends();
}

/// One end says that it ends and goes on reading: what comes the other way after that arrives.
#[test]
fn a_half_open_connection_goes_on_the_other_way() {
    let bench = Bench::start("127.0.0.1");
    let (mut ours, mut theirs) = bench.through();
    ours.write_all(b"question").unwrap();
    ours.shutdown(Shutdown::Write).unwrap();
    let mut got = Vec::new();
    theirs.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"question");
    let what = bytes(&mut Random::of_this_run("relay_half_open"), 4 << 20);
    theirs.write_all(&what).unwrap();
    drop(theirs);
    got.clear();
    ours.read_to_end(&mut got).unwrap();
    assert!(got == *what, "{} bytes", got.len());
    bench.ends();
}

#[test]
fn only_nodes_of_the_cluster_and_only_for_its_keys() {
    let bench = Bench::start("127.0.0.1");
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = bench.node.local_addr().unwrap().port();
    let no_nodes = [
        other.local_addr().unwrap().to_string(),
        format!("localhost:{port}"),
        "n1".to_owned(),
        String::new(),
    ];
    for address in no_nodes {
        let error = bench.way("client").relayed(&address).unwrap_err().to_string();
        assert!(error.contains("no node of this cluster"), "{address}: {error}");
    }
    let error = bench.way("client").relayed(&"x".repeat(300)).unwrap_err();
    assert!(!error.to_string().is_empty());
    let error = bench.way("stranger").relayed(&bench.node()).unwrap_err().to_string();
    assert!(!error.contains("no node"), "{error}");
    for socket in [&other, &bench.node] {
        socket.set_nonblocking(true).unwrap();
        assert_eq!(socket.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
    bench.ends();
}

/// Many that say nothing, or nonsense: the relay lets them go, and then serves others.
#[test]
fn a_flood_of_strangers_is_turned_away() {
    let bench = Bench::start("127.0.0.1");
    let flood: Vec<TcpStream> = (0..300)
        .map(|i| {
            let mut socket = TcpStream::connect(&bench.at).unwrap();
            if i % 2 == 0 {
                let _ = socket.write_all(&[0x5a; 100]);
            }
            socket.set_read_timeout(Some(DEADLINE)).unwrap();
            socket
        })
        .collect();
    for mut socket in flood {
        // An alert, or nothing; then its end.
        let _ = std::io::copy(&mut socket, &mut std::io::sink());
    }
    let (mut ours, mut theirs) = bench.through();
    ours.write_all(b"here").unwrap();
    let mut got = [0; 4];
    theirs.read_exact(&mut got).unwrap();
    assert!(bench.peak_kib() < 60 << 10, "{} KiB", bench.peak_kib());
    bench.ends();
}

/// n3 has no route to n2: what a job there writes and reads goes by the relay on n1, exactly.
#[test]
fn a_command_that_cannot_reach_a_node_goes_by_the_relay() {
    let mut plan = Plan::new(3, 2);
    plan.tables += "[streams]\nrelay = \"n1:7300\"\n";
    let Some(mut cluster) = Cluster::start("a host without a route to a node, and a relay", plan) else {
        return;
    };
    cluster.net.cut_between(2, 1);
    cluster.net.cut_between(1, 2);
    let relay = cluster.ask(0, "dcsched").words("relay").start();
    relay.says("listens at");
    let input = cluster.net.shared().join("input");
    let text: String = (0..200_000).map(|n| format!("{n}\n")).collect();
    fs::write(&input, &text).unwrap();
    let dcrun = cluster.ask(2, "dcrun").words("-v -n 1 -w n2 cat").stdin(&input).start();
    let out = dcrun.out_path().to_owned();
    let ended = dcrun.finish_within(Duration::from_secs(90)).ends_with(0);
    assert!(read(&out) == text, "{} bytes of {}\n{}", read(&out).len(), text.len(), ended.err);
    assert_eq!(ended.err.matches("by the relay at n1:7300").count(), 1, "{}", ended.err);
    relay.signal(Signal::SIGTERM);
    let _ = relay.finish().ends_with(0);
    cluster.ends_clean();
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}
