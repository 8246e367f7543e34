//! Frames and bytes a second over loopback, through TLS and beside it in the clear, with the same sessions: what the
//! link costs. `cargo run --release -p dc-link --example throughput`
#![allow(clippy::unwrap_used)]

use dc_link::*;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Instant;

const KIND: u8 = 1;
const BODY_BYTES_MAX: usize = 1 << 20;

fn settings() -> Settings {
    let from = Parties::of(&[Party::Node, Party::Scheduler, Party::Local]);
    let rules = Rules::new(&[Rule { kind: KIND, from, body_bytes_max: BODY_BYTES_MAX }]).unwrap();
    Settings::new(1, Arc::new(rules))
}

fn tls() -> (Session, Session) {
    let (a, b) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut peers = Peers::new(ClusterId::random().unwrap());
    for (pair, role) in [(&a, Role::Node), (&b, Role::Scheduler)] {
        let (fingerprint, name) = (pair.fingerprint(), Name::parse("x").unwrap());
        peers.add(Peer { fingerprint, role, name, not_after: None, owner: None }).unwrap();
    }
    let peers = Arc::new(peers);
    let (today, [a, b]) = (UnixSeconds::now(), [a, b].map(|pair| Endpoint::new(&pair).unwrap()));
    let to = Admission::of(Arc::clone(&peers), &[Role::Scheduler]);
    let from = Admission::of(peers, &[Role::Node]);
    (
        Session::dial(&a, to, settings(), 0, today).unwrap(),
        Session::accept(&b, from, settings(), 0, today).unwrap(),
    )
}

fn plain() -> (Session, Session) {
    let nobody = Credentials { uid: 0, gid: 0, pid: 0 };
    (Session::local(nobody, settings(), 0), Session::local(nobody, settings(), 0))
}

/// Sends `frames` of `bytes` each from one thread to another; seconds.
fn run(sessions: (Session, Session), bytes: usize, frames: usize) -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    // Blocking sockets and a thread a side: only what the sessions cost is of interest here.
    near.set_nodelay(true).unwrap();
    let (mut a, mut b) = sessions;
    let reader = std::thread::spawn(move || {
        let (mut got, mut far) = (0, far);
        loop {
            if b.want_write() {
                b.on_writable(&mut far, 0).unwrap();
            }
            b.on_readable(&mut far, 0).unwrap();
            while let Some(event) = b.next_event().unwrap() {
                got += usize::from(matches!(event, Event::Frame { .. }));
            }
            if got == frames {
                return;
            }
        }
    });
    let mut near = near;
    while !a.is_up() {
        a.on_writable(&mut near, 0).unwrap();
        a.on_readable(&mut near, 0).unwrap();
    }
    let body = vec![7; bytes];
    let began = Instant::now();
    for _ in 0..frames {
        a.send(KIND, &body).unwrap();
        if a.queued_bytes() > 256 << 10 {
            a.on_writable(&mut near, 0).unwrap();
        }
    }
    a.on_writable(&mut near, 0).unwrap();
    reader.join().unwrap();
    began.elapsed().as_secs_f64()
}

fn main() {
    println!(
        "{:>10} {:>8} {:>14} {:>10} {:>14} {:>10}",
        "bytes", "frames", "TLS frames/s", "MB/s", "plain frames/s", "MB/s"
    );
    for (bytes, frames) in [(64, 1_000_000), (4 << 10, 200_000), (64 << 10, 20_000), (1 << 20, 1_000)] {
        let seconds = [run(tls(), bytes, frames), run(plain(), bytes, frames)];
        let [t, p] = seconds.map(|s| (frames as f64 / s, (bytes * frames) as f64 / s / 1e6));
        println!("{bytes:>10} {frames:>8} {:>14.0} {:>10.0} {:>14.0} {:>10.0}", t.0, t.1, p.0, p.1);
    }
    let (began, rounds) = (Instant::now(), 500);
    for _ in 0..rounds {
        let (mut a, mut b) = tls();
        while !(a.is_up() && b.is_up()) {
            let mut bytes = Vec::new();
            a.on_writable(&mut bytes, 0).unwrap();
            b.on_bytes(&bytes, 0).unwrap();
            bytes.clear();
            b.on_writable(&mut bytes, 0).unwrap();
            a.on_bytes(&bytes, 0).unwrap();
        }
    }
    println!(
        "handshakes/s, both sides on one core: {:.0}",
        f64::from(rounds) / began.elapsed().as_secs_f64()
    );
}
