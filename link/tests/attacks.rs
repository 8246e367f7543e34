//! What an attacker can do from outside: wrong keys, wrong protocols, slow and many connections, recorded bytes.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use dc_link::*;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// No test waits for longer.
const DEADLINE: Duration = Duration::from_secs(60);

/// What became of two sessions that met: each side's error, if it has one.
fn meet(mut a: Session, mut b: Session) -> (Option<LinkError>, Option<LinkError>, Session) {
    for _ in 0..20 {
        let _ = b.on_bytes(&written(&mut a, 0), 0);
        let _ = a.on_bytes(&written(&mut b, 0), 0);
    }
    let error = |session: &mut Session| loop {
        match session.next_event() {
            Ok(Some(_)) => {}
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    (error(&mut a), error(&mut b), b)
}

#[test]
fn who_is_not_trusted_is_told_so_and_nothing_of_it_is_decoded() {
    let cluster = Cluster::new();
    for endpoint in [&cluster.stranger, &cluster.expired] {
        let (theirs, ours, server) = meet(cluster.dialled_by(endpoint), cluster.server());
        match ours.unwrap() {
            LinkError::Refused(Refused::Unknown(key)) => assert_eq!(key, cluster.stranger.fingerprint()),
            LinkError::Refused(Refused::Expired { name, .. }) => assert_eq!(name.as_str(), "old"),
            other => panic!("{other}"),
        }
        let told = theirs.unwrap().to_string();
        let key = endpoint.fingerprint();
        assert!(told.contains(&format!("does not accept this side's key {key}")), "{told}");
        assert!(server.identity().is_none() && !server.is_up());
    }
    // Its own key: what was sent has come back.
    let (theirs, _, server) = meet(cluster.dialled_by(&cluster.scheduler), cluster.server());
    assert_eq!(theirs, Some(Refused::Own(cluster.scheduler.fingerprint()).into()));
    assert!(server.identity().is_none());
    let (theirs, ours, server) = meet(cluster.dialled_by(&cluster.node), cluster.server());
    assert_eq!((theirs, ours), (None, None));
    assert!(server.is_up());
}

#[test]
fn a_known_key_in_another_role_is_refused_both_ways() {
    let mut cluster = Cluster::new();
    let submit = endpoint();
    cluster.peers.try_add(peer(Role::Submit, "login", &submit)).unwrap();
    // The scheduler's port is for nodes and clients.
    let (_, ours, server) = meet(cluster.dialled_by(&submit), cluster.server());
    assert!(matches!(ours, Some(LinkError::Refused(Refused::Role { role: Role::Submit, .. }))), "{ours:?}");
    assert!(server.identity().is_none());
    // Nor is it a joiner, for its key is known; and an expired one is not either.
    for (endpoint, joiners) in [(&submit, true), (&cluster.expired, true)] {
        let admission = cluster.admits().or_joiners(joiners);
        let server = Session::accept(&cluster.scheduler, admission, settings(), 0, TODAY).unwrap();
        let (_, ours, _) = meet(cluster.dialled_by(endpoint), server);
        assert!(matches!(ours, Some(LinkError::Refused(_))), "{ours:?}");
    }
    // A node that plays the scheduler: its key is known, and not a scheduler's.
    let admission = Admission::of(cluster.peers.peers(), &Role::ALL);
    let false_scheduler = Session::accept(&cluster.node, admission, settings(), 0, TODAY).unwrap();
    let (theirs, ..) = meet(cluster.dialled_by(&cluster.client), false_scheduler);
    assert!(matches!(theirs, Some(LinkError::Refused(Refused::Role { role: Role::Node, .. }))), "{theirs:?}");
    // The right role, and not the one that was dialled.
    let admission = cluster.wants_scheduler().only(cluster.node.fingerprint());
    let dialler = Session::dial(&cluster.client, admission, settings(), 0, TODAY).unwrap();
    let (theirs, ..) = meet(dialler, cluster.server());
    assert!(matches!(theirs, Some(LinkError::Refused(Refused::Pinned { .. }))), "{theirs:?}");
}

/// A TLS client of the library's own making, with what a peer of dc would never ask for.
fn odd_client(versions: &[&'static rustls::SupportedProtocolVersion], alpn: &[u8]) -> Vec<u8> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty());
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let name = rustls::pki_types::ServerName::try_from("x.invalid").unwrap();
    let mut client = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let mut out = Vec::new();
    client.write_tls(&mut out).unwrap();
    out
}

#[test]
fn other_protocols_end_before_anything_is_known() {
    let cluster = Cluster::new();
    let tls13 = odd_client(&[&rustls::version::TLS13], b"dc-link/1");
    let cases: [(&str, Vec<u8>); 7] = [
        ("TLS 1.3 without raw keys", tls13.clone()),
        ("TLS 1.3 for something else", odd_client(&[&rustls::version::TLS13], b"h2")),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        ("a frame of ours in the clear", [&10_u32.to_le_bytes()[..], b"\xf0dc\0\x01\x07\0"].concat()),
        ("zeros", vec![0; 4096]),
        ("a record of 64 KiB", [&[22, 3, 1, 0xff, 0xff][..], &[1; 4096]].concat()),
    ];
    for (what, bytes) in cases {
        let mut server = cluster.server();
        let error = server.on_bytes(&bytes, 0).unwrap_err();
        assert!(matches!(error, LinkError::Tls(_)), "{what}: {error}");
        assert!(server.identity().is_none());
        // An alert, after the server's random numbers at most: never its key, which goes only to whom it can check.
        let answer = written(&mut server, 0);
        assert!(answer.len() < 200, "{what}: {} bytes", answer.len());
        assert!(answer.first().is_none_or(|record| (20..24).contains(record)), "{what}");
        assert!(server.is_finished());
    }
}

/// Takes every server for the right one, and has no key of its own.
#[derive(Debug)]
struct Keyless(rustls::crypto::WebPkiSupportedAlgorithms);

impl rustls::client::danger::ServerCertVerifier for Keyless {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Offers raw keys, and then has none to show.
#[derive(Debug)]
struct Empty;

impl rustls::client::ResolvesClientCert for Empty {
    fn resolve(
        &self,
        _: &[&[u8]],
        _: &[rustls::SignatureScheme],
    ) -> Option<std::sync::Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[test]
fn who_shows_no_key_is_refused() {
    let cluster = Cluster::new();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let keyless = Keyless(provider.signature_verification_algorithms);
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(std::sync::Arc::new(keyless))
        .with_client_cert_resolver(std::sync::Arc::new(Empty));
    config.alpn_protocols = vec![b"dc-link/1".to_vec()];
    let name = rustls::pki_types::ServerName::try_from("x.invalid").unwrap();
    for joiners in [false, true] {
        let mut client =
            rustls::ClientConnection::new(std::sync::Arc::new(config.clone()), name.clone()).unwrap();
        let admission = cluster.admits().or_joiners(joiners);
        let mut server = Session::accept(&cluster.scheduler, admission, settings(), 0, TODAY).unwrap();
        let mut result = Ok(());
        for _ in 0..4 {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            result = result.and(server.on_bytes(&bytes, 0));
            client.read_tls(&mut &written(&mut server, 0)[..]).unwrap();
            let _ = client.process_new_packets();
        }
        assert_eq!(result, Err(LinkError::NoKey));
        assert!(server.identity().is_none() && !server.is_up());
    }
}

/// TLS 1.2 has no place in this build of the library, so its first message is written by hand: no supported_versions.
#[test]
fn tls_12_is_refused() {
    let cluster = Cluster::new();
    let mut hello = vec![3, 3];
    hello.extend_from_slice(&[7; 32]);
    hello.extend_from_slice(&[0, 0, 4, 0xc0, 0x2f, 0xc0, 0x2b, 1, 0]);
    let extensions: &[u8] = &[
        0, 10, 0, 4, 0, 2, 0, 29, // groups: X25519
        0, 11, 0, 2, 1, 0, // point formats
        0, 13, 0, 6, 0, 4, 8, 7, 4, 3, // signatures: Ed25519, ECDSA
    ];
    hello.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    hello.extend_from_slice(extensions);
    let mut message = vec![1, 0, 0, hello.len() as u8];
    message.extend_from_slice(&hello);
    let mut record = vec![22, 3, 1, 0, message.len() as u8];
    record.extend_from_slice(&message);
    let mut server = cluster.server();
    let error = server.on_bytes(&record, 0).unwrap_err();
    assert!(
        matches!(&error, LinkError::Tls(text) if text.contains("Tls13Required") || text.contains("TLS 1.3") || text.contains("SupportedVersions")),
        "{error}"
    );
    // protocol_version, fatal.
    assert_eq!(written(&mut server, 0), [21, 3, 3, 0, 2, 2, 70]);
}

#[test]
fn what_was_recorded_is_worth_nothing_on_another_connection() {
    let cluster = Cluster::new();
    let (mut node, mut scheduler) = (cluster.dialled_by(&cluster.node), cluster.server());
    let mut flights = Vec::new();
    for round in 0..4_u8 {
        if node.is_up() {
            node.send(PING, &[round]).unwrap();
        }
        let bytes = written(&mut node, 0);
        scheduler.on_bytes(&bytes, 0).unwrap();
        flights.push(bytes);
        node.on_bytes(&written(&mut scheduler, 0), 0).unwrap();
    }
    assert!(scheduler.is_up());
    // All of it; the first flight, then the rest after the new server's answer; the rest alone.
    let all: Vec<u8> = flights.concat();
    let (first, rest) = all.split_at(flights[0].len());
    for pieces in [&[&all[..]][..], &[first, rest], &[rest]] {
        let mut other = cluster.server();
        for piece in pieces {
            let _ = other.on_bytes(piece, 0);
            let _ = written(&mut other, 0);
        }
        assert!(!other.is_up() && other.identity().is_none());
    }
    // The same connection: a record that comes twice, and one that comes from the other direction.
    for (echo, late) in [(false, flights[3].clone()), (true, Vec::new())] {
        let (mut node, mut scheduler) = cluster.pair();
        node.send(PING, b"once").unwrap();
        let bytes = if late.is_empty() { written(&mut node, 0) } else { late };
        if echo {
            assert!(node.on_bytes(&bytes, 0).is_err(), "reflected");
        } else {
            assert!(scheduler.on_bytes(&bytes, 0).is_err(), "of another connection");
        }
        let (mut node, mut scheduler) = cluster.pair();
        node.send(PING, b"once").unwrap();
        let bytes = written(&mut node, 0);
        scheduler.on_bytes(&bytes, 0).unwrap();
        assert!(scheduler.on_bytes(&bytes, 0).is_err(), "twice");
    }
}

/// A scheduler's loop on real sockets, as a daemon has it; ends when `until` says so.
struct Daemon {
    acceptor: Acceptor,
    gate: Gate,
    conns: Vec<Conn>,
    errors: Vec<String>,
    frames: usize,
    began: Instant,
    most: usize,
}

impl Daemon {
    fn new(caps: Caps) -> Self {
        let gate = Gate::new(caps);
        let acceptor = Acceptor::new(TcpListener::bind("127.0.0.1:0").unwrap(), gate.clone()).unwrap();
        let began = Instant::now();
        Self { acceptor, gate, conns: Vec::new(), errors: Vec::new(), frames: 0, began, most: 0 }
    }

    /// Until `done`, polling; the settings are short enough for a test.
    fn run(&mut self, cluster: &Cluster, settings: &Settings, mut done: impl FnMut(&mut Self) -> bool) {
        while !done(self) {
            assert!(self.began.elapsed() < DEADLINE, "{:?}", self.errors);
            let now_ns = self.began.elapsed().as_nanos() as u64;
            let wait = self
                .conns
                .iter()
                .filter_map(Conn::deadline_ns)
                .min()
                .map_or(20, |at| (at.saturating_sub(now_ns) / 1_000_000).min(20));
            let mut fds: Vec<PollFd<'_>> = self
                .conns
                .iter()
                .map(|conn| {
                    let mut flags = PollFlags::empty();
                    flags.set(PollFlags::POLLIN, conn.want_read());
                    flags.set(PollFlags::POLLOUT, conn.want_write());
                    PollFd::new(conn.as_fd(), flags)
                })
                .collect();
            if self.acceptor.want_accept(now_ns) {
                fds.push(PollFd::new(self.acceptor.as_fd(), PollFlags::POLLIN));
            }
            poll(&mut fds, PollTimeout::from(wait as u8)).unwrap();
            let ready: Vec<PollFlags> = fds.iter().map(|fd| fd.revents().unwrap()).collect();
            drop(fds);
            let now_ns = self.began.elapsed().as_nanos() as u64;
            for i in (0..self.conns.len()).rev() {
                let (conn, ready) = (&mut self.conns[i], ready[i]);
                let mut result = Ok(());
                if ready.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
                    result = conn.on_readable(now_ns);
                }
                let mut events = |conn: &mut Conn| -> Result<(), LinkError> {
                    while let Some(event) = conn.next_event()? {
                        self.frames += usize::from(matches!(event, Event::Frame { .. }));
                    }
                    Ok(())
                };
                let result = result
                    .and_then(|()| events(conn))
                    .and_then(|()| conn.on_writable(now_ns))
                    .and_then(|()| conn.on_tick(now_ns));
                if let Err(error) = result {
                    self.errors.push(error.to_string());
                    self.conns.swap_remove(i);
                }
            }
            loop {
                match self.acceptor.accept(&cluster.scheduler, &cluster.admits(), settings, now_ns, TODAY) {
                    Ok(Some((conn, _))) => self.conns.push(conn),
                    Ok(None) => break,
                    Err(error) => self.errors.push(error.to_string()),
                }
            }
            self.most = self.most.max(self.conns.len());
        }
    }

    fn address(&self) -> std::net::SocketAddr {
        self.acceptor.local_addr().unwrap()
    }
}

/// A node on a blocking loop of its own: dials, greets, sends a ping.
fn node_conn(cluster: &Cluster, to: std::net::SocketAddr) -> Conn {
    let session = Session::dial(&cluster.node, cluster.wants_scheduler(), settings(), 0, TODAY).unwrap();
    Conn::new(Socket::Tcp(connect_tcp(to).unwrap()), session)
}

fn step(conn: &mut Conn) -> Result<(), LinkError> {
    conn.on_readable(0)?;
    if conn.want_write() {
        conn.on_writable(0)?;
    }
    Ok(())
}

#[test]
fn a_thousand_half_open_connections_take_bounded_descriptors_and_a_node_still_works() {
    let cluster = Cluster::new();
    let caps =
        Caps { connections_max: 100, unproved_max: 40, per_address_max: 60, unproved_per_address_max: 30 };
    let mut daemon = Daemon::new(caps);
    let to = daemon.address();
    let mut short = settings();
    short.handshake_ns = 2 * S;
    // A node that was there before.
    let mut node = node_conn(&cluster, to);
    daemon.run(&cluster, &short, |_| {
        step(&mut node).unwrap();
        node.session().is_up()
    });
    assert_eq!(daemon.gate.counted(), (1, 0), "no longer counted among those to be proved");
    node.next_event().unwrap();

    let mut open: Vec<TcpStream> = Vec::new();
    let mut pings = 0;
    daemon.run(&cluster, &short, |daemon| {
        for _ in 0..20 {
            if open.len() < 1000 {
                let stream = TcpStream::connect(to).unwrap();
                stream.set_nonblocking(true).unwrap();
                open.push(stream);
            }
        }
        if pings < 100 {
            node.send(PING, b"alive").unwrap();
            pings += 1;
        }
        step(&mut node).unwrap();
        assert!(daemon.conns.len() <= 31, "{}", daemon.conns.len());
        open.len() == 1000 && daemon.frames == 100
    });
    assert!(daemon.most <= 31);
    assert!(daemon.errors.iter().any(|error| error.contains("still prove who they are")));
    // All that are left of them go by the deadline, and then a new node comes in.
    daemon.run(&cluster, &short, |daemon| daemon.gate.counted() == (1, 0));
    assert!(daemon.errors.iter().any(|error| error.contains("did not prove in time")));
    let mut second = node_conn(&cluster, to);
    daemon.run(&cluster, &short, |_| {
        step(&mut second).unwrap();
        second.session().is_up()
    });
    assert_eq!(daemon.gate.counted().0, 2);
}

#[test]
fn one_byte_at_a_time_is_over_at_the_deadline() {
    let cluster = Cluster::new();
    let mut daemon = Daemon::new(Caps::default());
    let mut short = settings();
    short.handshake_ns = S;
    let hello = written(&mut cluster.dialled_by(&cluster.node), 0);
    let mut slow = TcpStream::connect(daemon.address()).unwrap();
    slow.set_nonblocking(true).unwrap();
    let mut at = 0;
    daemon.run(&cluster, &short, |daemon| {
        // Each turn of the loop one byte more, never the last.
        if at + 1 < hello.len() && slow.write(&hello[at..=at]).is_ok() {
            at += 1;
        }
        !daemon.errors.is_empty()
    });
    assert!(at > 1);
    assert_eq!(daemon.errors, ["the other side did not prove in time who it is"]);
    assert!(daemon.began.elapsed() >= Duration::from_secs(1));
    assert!(daemon.conns.is_empty() && daemon.gate.counted() == (0, 0));
    slow.set_nonblocking(false).unwrap();
    slow.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut rest = Vec::new();
    assert!(matches!(slow.read_to_end(&mut rest), Ok(0) | Err(_)), "closed, and nothing was said");
}

#[test]
fn a_stranger_is_told_over_a_real_socket() {
    let cluster = Cluster::new();
    let mut daemon = Daemon::new(Caps::default());
    let session = Session::dial(&cluster.stranger, cluster.wants_scheduler(), settings(), 0, TODAY).unwrap();
    let mut stranger = Conn::new(Socket::Tcp(connect_tcp(daemon.address()).unwrap()), session);
    let mut told = None;
    daemon.run(&cluster, &settings(), |_| {
        told = step(&mut stranger).and_then(|()| stranger.next_event().map(|_| ())).err();
        told.is_some()
    });
    assert!(matches!(told, Some(LinkError::Alert { .. })), "{told:?}");
    assert!(daemon.errors[0].contains("is not trusted here"), "{:?}", daemon.errors);
    assert!(daemon.conns.is_empty());
}

#[test]
fn nobody_at_the_port_is_an_error_and_not_a_wait() {
    let cluster = Cluster::new();
    let to = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut conn = match connect_tcp(to) {
        Ok(stream) => {
            let session =
                Session::dial(&cluster.node, cluster.wants_scheduler(), settings(), 0, TODAY).unwrap();
            Conn::new(Socket::Tcp(stream), session)
        }
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
            return;
        }
    };
    let began = Instant::now();
    let error = loop {
        assert!(began.elapsed() < DEADLINE);
        let mut fds = [PollFd::new(conn.as_fd(), PollFlags::POLLIN | PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::from(100_u8)).unwrap();
        if let Err(error) = step(&mut conn) {
            break error;
        }
    };
    assert_eq!(error, LinkError::Io(std::io::ErrorKind::ConnectionRefused));
}
