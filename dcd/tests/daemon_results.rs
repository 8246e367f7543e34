//! Results fetched from a node: whole, many, damaged, missing, from nodes that are away or mean no good.
#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::*;
use dc_link::{Conn, Endpoint, Event, KeyPair, LocalListener, LocalPolicy, Parties, Party, PeersFile};
use dc_link::{Rule, Rules, Session, Settings, Socket};
use dc_model::cluster::data::{FROM_DATA, FromData, PIECE_BYTES_MAX, ToData, WantedResult};
use dc_model::cluster::peer::FROM_PEER;
use dc_model::{Attempt, JobUuid, ResultMeta, SubtaskId};
use dc_spool::files::Dir;
use dc_spool::result::{Dtype, Layout, Results};
use dcd::peer::client::NodeAt;
use dcd::peer::fetch::{Outcome, Patience, Wanted, fetch_results};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeMap;
use std::net::ToSocketAddrs;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PATIENCE: Patience = Patience(Duration::from_secs(20));
const SHORT: Patience = Patience(Duration::from_millis(300));

fn tls(sched: &Sched, address: &str) -> NodeAt {
    let endpoint = Endpoint::new(&KeyPair::read(&sched.dir.path().join("client.key")).unwrap()).unwrap();
    let peers = PeersFile::open(&sched.dir.path().join("peers")).unwrap().peers();
    NodeAt::Tls { to: address.to_socket_addrs().unwrap().next().unwrap(), endpoint, peers, key: None }
}

/// A directory with results of a job.
fn results_in(dir: &Path, job: JobUuid) -> Results {
    std::fs::create_dir_all(dir.join("result")).unwrap();
    Results::open(&Dir::open(dir).unwrap(), job).unwrap()
}

fn write(results: &Results, subtask: u32, bytes: &[u8]) -> Wanted {
    let (subtask, attempt) = (SubtaskId(subtask), Attempt(1));
    let mut writer = results.writer(subtask, attempt, Dtype::U1, Layout::Bytes, 1).unwrap();
    writer.append(bytes).unwrap();
    let meta = writer.meta();
    writer.finish_hint().unwrap();
    Wanted { node: 1, subtask, attempt, meta }
}

fn fetch(
    job: JobUuid,
    wanted: &[Wanted],
    node: NodeAt,
    into: &Results,
    patience: Patience,
) -> BTreeMap<u32, Outcome> {
    let mut outcomes = BTreeMap::new();
    fetch_results(job, wanted, &BTreeMap::from([(1, node)]), into, patience, |one, outcome| {
        assert_eq!(outcomes.insert(one.subtask.0, outcome), None, "one outcome each");
    })
    .unwrap();
    outcomes
}

fn why(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Fetched => "fetched",
        Outcome::Lost(why) => why,
    }
}

#[test]
fn many_small_ones_and_a_large_one() {
    let mut sched = Sched::tls();
    let tmp = tempfile::tempdir().unwrap();
    let node = Node::start(&sched, tmp.path());
    let (_talk, register, _) = sched.settle(1);
    let job = new_job();
    let there = results_in(&node.job(job), job);
    let large: Vec<u8> = (0..5 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut wanted: Vec<Wanted> = (0..5000).map(|i| write(&there, i, &i.to_le_bytes().repeat(25))).collect();
    wanted.push(write(&there, 5000, &large));
    wanted.push(write(&there, 5001, &[]));
    // One that is not there, and one that is another than the journal's.
    let one = wanted[0];
    wanted.push(Wanted { subtask: SubtaskId(9000), ..one });
    let other = ResultMeta { crc: one.meta.crc ^ 1, ..one.meta };
    wanted.push(Wanted { subtask: SubtaskId(5002), meta: other, ..write(&there, 5002, &[1; 100]) });
    let here = tempfile::tempdir().unwrap();
    let into = results_in(here.path(), job);
    let began = Instant::now();
    let outcomes = fetch(job, &wanted, tls(&sched, &register.address), &into, PATIENCE);
    eprintln!("fetched {} results in {:?}", outcomes.len(), began.elapsed());
    assert_eq!(outcomes.len(), wanted.len());
    for one in wanted.iter().filter(|one| one.subtask.0 <= 5001) {
        assert_eq!(outcomes[&one.subtask.0], Outcome::Fetched);
        assert_eq!(into.open_verified(one.subtask, one.attempt).unwrap().meta(), one.meta);
    }
    assert!(matches!(outcomes[&9000], Outcome::Lost(_)));
    assert!(why(&outcomes[&5002]).contains("not what the journal says"), "{:?}", outcomes[&5002]);
    // What is here is not asked for again: nobody is.
    let nobody = NodeAt::Local("/nonexistent/socket".into(), Vec::new());
    let again = fetch(job, &wanted[..5000], nobody, &into, SHORT);
    assert!(again.values().all(|outcome| *outcome == Outcome::Fetched));
}

#[test]
fn links_are_not_followed_and_other_jobs_not_given() {
    let mut sched = Sched::tls();
    let tmp = tempfile::tempdir().unwrap();
    let node = Node::start(&sched, tmp.path());
    let (_talk, register, _) = sched.settle(1);
    let (job, other) = (new_job(), new_job());
    let there = results_in(&node.job(job), job);
    let secret = results_in(&tmp.path().join("elsewhere"), job);
    let one = write(&secret, 1, b"secret");
    let name = dc_spool::layout::result(one.subtask, one.attempt);
    let target = tmp.path().join("elsewhere/result").join(&name);
    std::os::unix::fs::symlink(&target, node.job(job).join("result").join(&name)).unwrap();
    // A whole directory that is a link.
    std::fs::create_dir(node.job(other)).unwrap();
    std::os::unix::fs::symlink(tmp.path().join("elsewhere/result"), node.job(other).join("result")).unwrap();
    // A result of another job under this one's name.
    let stray = results_in(&tmp.path().join("stray"), other);
    let two = write(&stray, 2, b"stray");
    let name = dc_spool::layout::result(two.subtask, two.attempt);
    std::fs::copy(tmp.path().join("stray/result").join(&name), node.job(job).join("result").join(&name))
        .unwrap();
    // One that was cut.
    let three = write(&there, 3, b"cut off");
    let name = dc_spool::layout::result(three.subtask, three.attempt);
    let file = std::fs::File::options().write(true).open(node.job(job).join("result").join(&name)).unwrap();
    file.set_len(file.metadata().unwrap().len() - 1).unwrap();
    let here = tempfile::tempdir().unwrap();
    let into = results_in(here.path(), job);
    let at = || tls(&sched, &register.address);
    let outcomes = fetch(job, &[one, two, three], at(), &into, PATIENCE);
    assert!(outcomes.len() == 3 && outcomes.values().all(|outcome| matches!(outcome, Outcome::Lost(_))));
    let outcomes = fetch(other, &[one], at(), &into, PATIENCE);
    assert!(matches!(outcomes[&1], Outcome::Lost(_)));
    let outcomes = fetch(new_job(), &[one], at(), &into, PATIENCE);
    assert_eq!(why(&outcomes[&1]), "the job is not on this node");
    assert!(into.list().unwrap().is_empty());
}

#[test]
fn a_node_that_is_away_loses_its_own_alone() {
    let mut sched = Sched::tls();
    let tmp = tempfile::tempdir().unwrap();
    let node = Node::start(&sched, tmp.path());
    let (_talk, register, _) = sched.settle(1);
    let job = new_job();
    let there = results_in(&node.job(job), job);
    let one = write(&there, 1, b"one");
    let here = tempfile::tempdir().unwrap();
    let into = results_in(here.path(), job);
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nodes = BTreeMap::from([(1, tls(&sched, &register.address)), (2, tls(&sched, &gone.to_string()))]);
    let lost = Wanted { node: 2, subtask: SubtaskId(2), ..one };
    let nobody = Wanted { node: 3, subtask: SubtaskId(3), ..one };
    let mut outcomes = BTreeMap::new();
    fetch_results(job, &[lost, one, nobody], &nodes, &into, SHORT, |one, outcome| {
        outcomes.insert(one.subtask.0, outcome);
    })
    .unwrap();
    assert_eq!(outcomes[&1], Outcome::Fetched);
    assert!(matches!(outcomes[&2], Outcome::Lost(_)) && matches!(outcomes[&3], Outcome::Lost(_)));
}

/// A node that answers as a test says; each connection is one call of `answer`.
struct Fake {
    dir: tempfile::TempDir,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Fake {
    fn new(
        connections: u32,
        mut answer: impl FnMut(u32, &[WantedResult]) -> Vec<ToData> + Send + 'static,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = LocalListener::bind(&dir.path().join("node.sock"), LocalPolicy::Own).unwrap();
        let thread = std::thread::spawn(move || {
            for number in 0..connections {
                let (stream, who) = loop {
                    let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
                    assert_eq!(poll(&mut fds, PollTimeout::from(20_000u16)), Ok(1), "a connection in time");
                    if let Some(taken) = listener.accept().unwrap() {
                        break taken;
                    }
                };
                let from = Parties::of(&[Party::Local]);
                let rules: Vec<Rule> = FROM_DATA
                    .iter()
                    .chain(FROM_PEER)
                    .map(|(kind, _, bytes)| Rule { kind: *kind, from, body_bytes_max: *bytes })
                    .collect();
                let rules = Arc::new(Rules::new(&rules).unwrap());
                let mut settings = Settings::new(dc_model::cluster::VERSION, rules);
                settings.outbox_bytes_max = 16 << 20;
                let mut conn = Conn::new(Socket::Unix(stream), Session::local(who, settings, 1));
                serve(&mut conn, |wanted| answer(number, wanted));
            }
        });
        Self { dir, thread: Some(thread) }
    }

    fn at(&self) -> NodeAt {
        NodeAt::Local(self.dir.path().join("node.sock"), Vec::new())
    }

    fn end(mut self) {
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Until the other side has ended it, or an answer was empty.
fn serve(conn: &mut Conn, mut answer: impl FnMut(&[WantedResult]) -> Vec<ToData>) {
    loop {
        let mut flags = PollFlags::POLLIN;
        flags.set(PollFlags::POLLOUT, conn.want_write());
        poll(&mut [PollFd::new(conn.as_fd(), flags)], PollTimeout::from(20_000u16)).unwrap();
        if conn.on_writable(1).is_err() || conn.on_readable(1).is_err() {
            return;
        }
        loop {
            let wanted = match conn.next_event() {
                Ok(Some(Event::Frame { kind, body })) => match FromData::decode(kind, body) {
                    Ok(FromData::FetchResults { wanted, .. }) => wanted,
                    other => panic!("{other:?}"),
                },
                Ok(Some(Event::Up(_))) => continue,
                Ok(None) => break,
                Ok(Some(_)) | Err(_) => return,
            };
            let answers = answer(&wanted);
            for message in &answers {
                conn.send(message.kind(), &message.body()).unwrap();
            }
            let is_last = !matches!(answers.last(), Some(ToData::Done));
            while conn.want_write() {
                poll(&mut [PollFd::new(conn.as_fd(), PollFlags::POLLOUT)], PollTimeout::from(20_000u16))
                    .unwrap();
                if conn.on_writable(1).is_err() {
                    return;
                }
            }
            if is_last {
                return;
            }
        }
    }
}

fn result(bytes: u64, piece: &[u8]) -> ToData {
    let (dtype, layout) = (Dtype::U1 as u8, Layout::Bytes as u8);
    ToData::Result { index: 0, dtype, layout, values_per_cell: 1, bytes, piece: piece.to_vec() }
}

/// What is asked for of a fake, and where it is to go.
fn asked(content: &[u8]) -> (tempfile::TempDir, JobUuid, Results, Wanted) {
    let here = tempfile::tempdir().unwrap();
    let job = new_job();
    let wanted = write(&results_in(&here.path().join("model"), job), 0, content);
    let into = results_in(&here.path().join("into"), job);
    (here, job, into, wanted)
}

#[test]
fn what_a_lost_connection_has_brought_is_not_sent_again() {
    let content: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
    let (_here, job, into, wanted) = asked(&content);
    let fake = Fake::new(2, move |number, wanted| match number {
        0 => vec![result(200_000, &content[..1000]), ToData::Piece(content[1000..70_000].to_vec())],
        _ => {
            assert_eq!(wanted[0].at, 70_000);
            vec![
                result(130_000, &content[70_000..150_000]),
                ToData::Piece(content[150_000..].to_vec()),
                ToData::Done,
            ]
        }
    });
    let outcomes = fetch(job, &[wanted], fake.at(), &into, PATIENCE);
    assert_eq!(outcomes[&0], Outcome::Fetched);
    into.open_verified(wanted.subtask, wanted.attempt).unwrap();
    fake.end();
}

#[test]
fn damage_is_seen_asked_for_once_more_and_then_lost() {
    let (_here, job, into, wanted) = asked(b"the right bytes");
    let fake = Fake::new(2, |_, _| vec![result(15, b"the wrong bytes"), ToData::Done]);
    let outcomes = fetch(job, &[wanted], fake.at(), &into, PATIENCE);
    assert!(why(&outcomes[&0]).contains("damaged"), "{outcomes:?}");
    assert!(into.list().unwrap().is_empty());
    fake.end();
    // The second time it is right.
    let fake = Fake::new(2, |number, _| {
        vec![result(15, if number == 0 { b"the wrong bytes" } else { b"the right bytes" }), ToData::Done]
    });
    assert_eq!(fetch(job, &[wanted], fake.at(), &into, PATIENCE)[&0], Outcome::Fetched);
    fake.end();
}

#[test]
fn answers_that_are_none_do_no_harm() {
    let answers: [fn() -> Vec<ToData>; 8] = [
        || vec![result(16, b"one byte too many")],
        || vec![result(15, b"more than was said")],
        || vec![result(15, b""), ToData::Piece(Vec::new())],
        || vec![result(15, b"the"), ToData::Piece(vec![7; PIECE_BYTES_MAX])],
        || vec![result(15, b"the"), ToData::Done],
        || vec![ToData::Piece(b"of nothing".to_vec())],
        || vec![ToData::Length(Some(3))],
        || match result(15, b"the right bytes") {
            ToData::Result { bytes, piece, .. } => {
                vec![ToData::Result { index: 0, dtype: 99, layout: 99, values_per_cell: 0, bytes, piece }]
            }
            other => vec![other],
        },
    ];
    for answer in answers {
        let (_here, job, into, wanted) = asked(b"the right bytes");
        let fake = Fake::new(1, move |_, _| answer());
        let outcomes = fetch(job, &[wanted], fake.at(), &into, SHORT);
        assert!(matches!(outcomes[&0], Outcome::Lost(_)), "{outcomes:?}");
        assert!(into.list().unwrap().is_empty());
    }
}
