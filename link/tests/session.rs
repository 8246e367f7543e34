//! A session between two that are who they say: greeting, frames, queues, deadlines, farewells; and what those may not
//! do to each other that are known.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use dc_link::*;
use proptest::prelude::*;
use std::os::unix::net::UnixStream;

fn frame_of(session: &mut Session) -> Option<(u8, Vec<u8>)> {
    match session.next_event().unwrap()? {
        Event::Frame { kind, body } => Some((kind, body.to_vec())),
        other => panic!("{other:?}"),
    }
}

fn local_pair() -> (Session, Session) {
    let me = Credentials { uid: 1, gid: 1, pid: 1 };
    (Session::local(me, settings(), 0), Session::local(me, settings(), 0))
}

#[test]
fn both_sides_know_who_the_other_is_and_frames_arrive_in_order() {
    let cluster = Cluster::new();
    let (mut node, mut scheduler) = (cluster.dialled_by(&cluster.node), cluster.server());
    assert_eq!(node.send(PING, b"early"), Err(SendError::NotUp));
    assert!(node.next_event().unwrap().is_none() && node.identity().is_none() && node.is_unproved());
    pump(&mut node, &mut scheduler, 0).unwrap();
    let found = cluster.peers.peers();
    let expected = Identity::Peer(found.get(cluster.scheduler.fingerprint()).unwrap().clone());
    assert_eq!(node.next_event(), Ok(Some(Event::Up(&expected))));
    let expected = Identity::Peer(found.get(cluster.node.fingerprint()).unwrap().clone());
    assert_eq!(scheduler.next_event(), Ok(Some(Event::Up(&expected))));
    assert!(node.is_up() && scheduler.is_up() && !node.is_unproved());

    for i in 0..100_u32 {
        node.send(PING, &i.to_le_bytes()).unwrap();
        node.send_with(DATA, |out| out.resize(out.len() + 10_000, i as u8)).unwrap();
        scheduler.send(LAUNCH, &[i as u8; 1024]).unwrap();
    }
    let mut encoded = Vec::new();
    assert!(put_frame(&mut encoded, PING, b"encoded"));
    node.send_encoded(&encoded).unwrap();
    encoded.push(0);
    assert!(matches!(node.send_encoded(&encoded), Err(SendError::BadFrame(_))));
    assert!(matches!(node.send(0xf0, b""), Err(SendError::BadFrame(_))));
    pump(&mut node, &mut scheduler, 0).unwrap();
    for i in 0..100_u32 {
        assert_eq!(frame_of(&mut scheduler), Some((PING, i.to_le_bytes().to_vec())));
        assert_eq!(frame_of(&mut scheduler), Some((DATA, vec![i as u8; 10_000])));
        assert_eq!(frame_of(&mut node), Some((LAUNCH, vec![i as u8; 1024])));
    }
    assert_eq!(frame_of(&mut scheduler), Some((PING, b"encoded".to_vec())));
    assert_eq!((frame_of(&mut scheduler), frame_of(&mut node)), (None, None));
}

#[test]
fn another_version_names_both() {
    let cluster = Cluster::new();
    let mut newer = settings();
    newer.version = 9;
    let mut node = Session::dial(&cluster.node, cluster.wants_scheduler(), newer, 0, TODAY).unwrap();
    let mut scheduler = cluster.server();
    let _ = pump(&mut node, &mut scheduler, 0);
    let error = scheduler.next_event().unwrap_err();
    assert_eq!(error, LinkError::Version { ours: VERSION, theirs: 9 });
    assert!(error.to_string().contains("version 7 of the protocol, and the other side version 9"));
    assert_eq!(node.next_event().unwrap_err(), LinkError::Version { ours: 9, theirs: VERSION });
}

#[test]
fn a_greeting_is_exactly_one() {
    let hello = |body: &[u8]| {
        let mut out = Vec::new();
        assert!(put_frame(&mut out, 0xf0, body));
        out
    };
    let good = hello(b"dc\0\x01\x07\0");
    let (mut a, _) = local_pair();
    a.on_bytes(&good, 0).unwrap();
    assert!(a.is_up());
    // A second one.
    a.on_bytes(&good, 0).unwrap();
    assert!(matches!(a.next_event(), Ok(Some(Event::Up(_)))));
    assert_eq!(a.next_event(), Err(LinkError::Hello));
    for (bytes, expected) in [
        (hello(b"dc\0\x01\x07\0\0"), LinkError::Hello),
        (hello(b"dc\0\x01\x07"), LinkError::Hello),
        (hello(b"dc\0\x02\x07\0"), LinkError::Hello),
        (hello(b""), LinkError::Hello),
        (hello(b"dc\0\x01\x08\0 and more"), LinkError::Version { ours: 7, theirs: 8 }),
        (hello(&[0; 65]), FrameError::TooLong { kind: 0xf0, bytes: 65, bytes_max: 64 }.into()),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), FrameError::Length(u32::from_le_bytes(*b"GET ")).into()),
        (vec![0; 5], FrameError::Length(0).into()),
    ] {
        let (mut a, _) = local_pair();
        assert_eq!(a.on_bytes(&bytes, 0), Err(expected.clone()));
        assert_eq!(a.next_event(), Err(expected.clone()), "and it stays so");
        assert_eq!(a.on_bytes(&good, 0), Err(expected));
    }
    // A frame before the greeting.
    let (mut a, _) = local_pair();
    let mut early = Vec::new();
    assert!(put_frame(&mut early, PING, b""));
    assert_eq!(a.on_bytes(&early, 0), Err(LinkError::Hello));
}

#[test]
fn a_frame_that_may_not_come_ends_the_session_before_its_body() {
    let cluster = Cluster::new();
    let cases: [(u8, usize, FrameError); 5] = [
        (LAUNCH, 1, FrameError::Party { kind: LAUNCH, party: Party::Node }),
        (PING, 65, FrameError::TooLong { kind: PING, bytes: 65, bytes_max: 64 }),
        (
            DATA,
            DATA_MAX + 1,
            FrameError::TooLong { kind: DATA, bytes: DATA_MAX as u32 + 1, bytes_max: DATA_MAX as u32 },
        ),
        (9, 0, FrameError::Kind(9)),
        (0, 10, FrameError::Kind(0)),
    ];
    for (kind, bytes, expected) in cases {
        let (mut node, mut scheduler) = cluster.pair();
        // Not one byte of the body is needed for it.
        node.send(kind, &vec![0; bytes]).unwrap();
        let mut wire = Trickle::new(Vec::new(), 60_000);
        node.on_writable(&mut wire, 0).unwrap();
        let result = scheduler.on_bytes(&wire.output, 0);
        assert_eq!(result, Err(expected.into()));
        assert!(!scheduler.want_read() && scheduler.identity().is_some());
        assert_eq!(scheduler.send(PING, b""), Err(SendError::NotUp));
    }
    // A client may not send what a node may.
    let (mut client, mut scheduler) = (cluster.dialled_by(&cluster.client), cluster.server());
    pump(&mut client, &mut scheduler, 0).unwrap();
    client.send(DATA, b"x").unwrap();
    let error = pump(&mut client, &mut scheduler, 0)
        .and(scheduler.next_event().map(|_| ()))
        .and(scheduler.next_event().map(|_| ()));
    assert_eq!(error, Err(FrameError::Party { kind: DATA, party: Party::Client }.into()));
}

#[test]
fn the_links_own_kinds_cannot_be_sent_by_a_peer_out_of_turn() {
    for kind in 0xf0..=0xff_u8 {
        let (mut a, mut b) = local_pair();
        pump(&mut a, &mut b, 0).unwrap();
        assert!(matches!(a.next_event(), Ok(Some(Event::Up(_)))));
        let mut bytes = Vec::new();
        assert!(put_frame(&mut bytes, kind, b"x"));
        let result = a
            .on_bytes(&bytes, 0)
            .and_then(|()| a.next_event().map(|event| assert_eq!(kind, 0xf4, "{event:?}")));
        assert_eq!(result.is_ok(), kind == 0xf4, "{kind:#x}: only a farewell");
    }
}

#[test]
fn the_queue_is_bounded_and_says_so_before_it_is_full() {
    let (mut a, mut b) = local_pair();
    pump(&mut a, &mut b, 0).unwrap();
    let max = settings().outbox_bytes_max;
    assert!(matches!(a.send(DATA, &vec![0; max]), Err(SendError::TooLong { .. })));
    let body = vec![1; 100_000];
    let mut sent = 0;
    let error = loop {
        match a.send(DATA, &body) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert_eq!(a.is_congested(), a.queued_bytes() > max / 2);
    };
    assert!(
        matches!(error, SendError::Full { queued_bytes } if queued_bytes <= max && queued_bytes + 100_005 > max)
    );
    assert_eq!(sent, max / 100_005);
    // It is congested until a quarter is left.
    let mut wire = Trickle::new(Vec::new(), 0);
    while a.is_congested() {
        assert!(a.queued_bytes() > max / 4);
        wire.room += 10_000;
        a.on_writable(&mut wire, 0).unwrap();
    }
    wire.room = usize::MAX;
    a.on_writable(&mut wire, 0).unwrap();
    assert!(!a.want_write());
    // The other side reads no more than it is asked for.
    let mut from = Trickle::new(wire.output, 0);
    let (mut got, mut rounds) = (0, 0);
    while got < sent {
        rounds += 1;
        assert!(rounds < 1000);
        let before = from.input.position();
        b.on_readable(&mut from, 0).unwrap();
        b.on_readable(&mut from, 0).unwrap();
        assert!(from.input.position() - before < 700_000, "bounded reading while nobody takes");
        while let Some(event) = b.next_event().unwrap() {
            if let Event::Frame { kind, body: found } = event {
                assert!(kind == DATA && found == body);
                got += 1;
            }
        }
    }
}

#[test]
fn a_farewell_is_an_end_and_anything_else_is_a_loss() {
    let cluster = Cluster::new();
    let (mut node, mut scheduler) = cluster.pair();
    scheduler.send(PING, b"last").unwrap();
    scheduler.close("going down \x1b[31m");
    assert_eq!(scheduler.send(PING, b"later"), Err(SendError::NotUp));
    let bytes = written(&mut scheduler, 0);
    assert!(scheduler.is_finished());
    node.on_bytes(&bytes, 0).unwrap();
    node.on_end(0).unwrap();
    assert_eq!(frame_of(&mut node), Some((PING, b"last".to_vec())), "what came before can be taken");
    assert_eq!(node.next_event(), Ok(Some(Event::Ended { text: "going down \\u{1b}[31m".to_owned() })));
    assert_eq!(node.next_event(), Ok(None));

    // TLS's own farewell is not enough: cut by whoever can cut a line.
    for (cut, partial) in [(0, false), (30, true)] {
        let (mut node, mut scheduler) = cluster.pair();
        scheduler.send(PING, b"whole").unwrap();
        let mut bytes = written(&mut scheduler, 0);
        scheduler.send(PING, &[0; 64]).unwrap();
        bytes.extend_from_slice(&written(&mut scheduler, 0)[..cut]);
        node.on_bytes(&bytes, 0).unwrap();
        node.on_end(0).unwrap();
        assert_eq!(frame_of(&mut node), Some((PING, b"whole".to_vec())));
        // A record of TLS that is cut shows nothing of its frame.
        assert_eq!(node.next_event(), Err(LinkError::Lost { partial: false }), "{partial}");
    }
    let (mut a, mut b) = local_pair();
    pump(&mut a, &mut b, 0).unwrap();
    a.send(PING, b"12345").unwrap();
    let bytes = written(&mut a, 0);
    b.on_bytes(&bytes[..7], 0).unwrap();
    b.on_end(0).unwrap();
    assert!(matches!(b.next_event(), Ok(Some(Event::Up(_)))));
    assert_eq!(b.next_event(), Err(LinkError::Lost { partial: true }));
    // Before it is up.
    let mut early = cluster.server();
    assert_eq!(early.on_end(0), Err(LinkError::Lost { partial: false }));
}

#[test]
fn deadlines_go_by_the_callers_clock() {
    let cluster = Cluster::new();
    let mut scheduler = cluster.server();
    assert_eq!(scheduler.deadline_ns(), Some(5 * S));
    scheduler.on_tick(5 * S - 1).unwrap();
    assert_eq!(scheduler.on_tick(5 * S), Err(LinkError::HandshakeTimeout));
    assert_eq!(scheduler.deadline_ns(), None);

    let (mut node, mut scheduler) = cluster.pair();
    assert_eq!(scheduler.deadline_ns(), Some(60 * S));
    node.send(PING, b"").unwrap();
    pump(&mut node, &mut scheduler, 50 * S).unwrap();
    // A frame that waits for this side is not the other's silence.
    scheduler.on_tick(100 * S).unwrap();
    assert!(frame_of(&mut scheduler).is_some());
    scheduler.on_tick(159 * S).unwrap();
    assert_eq!(scheduler.on_tick(160 * S), Err(LinkError::Idle(60 * S)));

    // Bytes that make no frame keep nobody alive, unless there are many.
    let (mut node, mut scheduler) = cluster.pair();
    node.send(DATA, &vec![0; 300_000]).unwrap();
    let bytes = written(&mut node, 0);
    scheduler.on_bytes(&bytes[..20_000], 59 * S).unwrap();
    assert_eq!(scheduler.deadline_ns(), Some(60 * S));
    scheduler.on_bytes(&bytes[20_000..120_000], 59 * S).unwrap();
    assert_eq!(scheduler.deadline_ns(), Some(119 * S));

    // Who takes nothing is given up; the time runs from when there was something to take.
    let (mut a, mut b) = local_pair();
    pump(&mut a, &mut b, 0).unwrap();
    let mut full = Trickle::new(Vec::new(), 0);
    b.send(PING, b"").unwrap();
    let bytes = written(&mut b, 0);
    a.on_bytes(&bytes, 50 * S).unwrap();
    a.send(PING, b"").unwrap();
    a.on_writable(&mut full, 55 * S).unwrap();
    a.on_tick(114 * S).unwrap();
    assert_eq!(a.on_tick(115 * S), Err(LinkError::Stalled(60 * S)));
}

#[test]
fn a_peer_that_is_no_longer_trusted_is_dropped() {
    let mut cluster = Cluster::new();
    let (_node, mut scheduler) = cluster.pair();
    scheduler.recheck(&cluster.peers.peers(), TODAY).unwrap();
    let peer = cluster.peers.try_remove(cluster.node.fingerprint()).unwrap();
    let error = scheduler.recheck(&cluster.peers.peers(), TODAY).unwrap_err();
    assert_eq!(error, Refused::Unknown(cluster.node.fingerprint()).into());
    assert_eq!(scheduler.next_event(), Err(error));
    let end = UnixSeconds(TODAY.0 + 10);
    cluster.peers.try_add(Peer { not_after: Some(end), ..peer }).unwrap();
    let (_node, mut scheduler) = cluster.pair();
    scheduler.recheck(&cluster.peers.peers(), TODAY).unwrap();
    assert!(matches!(
        scheduler.recheck(&cluster.peers.peers(), end),
        Err(LinkError::Refused(Refused::Expired { .. }))
    ));
}

/// Over real sockets, with a real listener.
#[test]
fn a_local_session_over_its_socket() {
    let tmp = tempfile::tempdir().unwrap();
    let listener = LocalListener::bind(&tmp.path().join("s"), LocalPolicy::Own).unwrap();
    let (stream, found): (UnixStream, _) = dial_local(listener.path(), &LocalPolicy::Own).unwrap();
    let mut a = Conn::new(Socket::Unix(stream), Session::local(found, settings(), 0));
    let (stream, found) = listener.accept().unwrap().unwrap();
    let mut b = Conn::new(Socket::Unix(stream), Session::local(found, settings(), 0));
    a.on_writable(0).unwrap();
    b.on_readable(0).unwrap();
    assert_eq!(b.next_event(), Ok(Some(Event::Up(&Identity::Local(found)))));
    b.send(PING, b"hello").unwrap();
    b.session().close("bye");
    b.on_writable(0).unwrap();
    assert!(b.is_finished());
    drop(b);
    a.on_readable(0).unwrap();
    assert!(matches!(a.next_event(), Ok(Some(Event::Up(_)))));
    assert_eq!(frame_of(a.session()), Some((PING, b"hello".to_vec())));
    assert_eq!(a.next_event(), Ok(Some(Event::Ended { text: "bye".to_owned() })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A flipped bit anywhere in what a node sends, in the handshake or after, is never another frame.
    #[test]
    fn nothing_changed_on_the_way_is_accepted(at in any::<prop::sample::Index>(), bit in 0..8_u8, late in any::<bool>()) {
        thread_local!(static CLUSTER: Cluster = Cluster::new());
        CLUSTER.with(|cluster| {
            let (mut node, mut scheduler) = (cluster.dialled_by(&cluster.node), cluster.server());
            if late {
                pump(&mut node, &mut scheduler, 0).unwrap();
                node.send(PING, b"the only frame").unwrap();
            }
            let mut broken = None;
            for _ in 0..4 {
                let mut bytes = written(&mut node, 0);
                if broken.is_none() && !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] ^= 1 << bit;
                    broken = Some(at);
                }
                let _ = scheduler.on_bytes(&bytes, 0);
                let _ = node.on_bytes(&written(&mut scheduler, 0), 0);
            }
            while let Ok(Some(event)) = scheduler.next_event() {
                // The outer version of a TLS record stands for nothing and is not looked at.
                let same = Event::Frame { kind: PING, body: b"the only frame" };
                assert!(matches!(event, Event::Up(_)) || event == same, "{event:?}");
            }
            let outer_version = matches!(broken, Some(1 | 2));
            assert!(late || outer_version || !scheduler.is_up(), "a changed handshake is none");
        });
    }

    /// Any bytes at all, to both kinds of session.
    #[test]
    fn garbage_is_an_error_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..3000), cut in 1..500_usize) {
        thread_local!(static CLUSTER: Cluster = Cluster::new());
        CLUSTER.with(|cluster| {
            let (mut local, mut greeted) = local_pair();
            let hello = written(&mut local, 0);
            greeted.on_bytes(&hello, 0).unwrap();
            for mut session in [cluster.server(), cluster.dialled_by(&cluster.node), local, greeted] {
                for piece in bytes.chunks(cut) {
                    let _ = session.on_bytes(piece, 0);
                    while let Ok(Some(_)) = session.next_event() {}
                }
            }
        });
    }
}
