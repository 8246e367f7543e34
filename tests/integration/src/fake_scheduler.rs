//! A scheduler that says what a test wants it to say: a thread at a Unix socket that speaks the messages of a cluster, and
//! decides nothing.

use dc_link::{
    Conn, Event, LocalListener, LocalPolicy, Parties, Party, Rule, Rules, Session, Settings, Socket,
};
use dc_model::cluster::client::{FROM_CLIENT, FromClient, RecordBytes, ToClient, WhichJob};
use dc_model::cluster::{NodeRow, NodeState, VERSION};
use dc_model::{JobUuid, Record};
use dc_spool::job::JobRecord;
use nix::poll::{PollFd, PollFlags, poll};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

/// What the script may do to the command it talks to.
#[derive(Default)]
pub struct Answer {
    say: Vec<ToClient>,
    hang_up: bool,
}

impl Answer {
    /// Says this.
    pub fn say(&mut self, message: ToClient) {
        self.say.push(message);
    }

    /// Closes the connection, after what is to be said.
    pub fn hang_up(&mut self) {
        self.hang_up = true;
    }
}

/// The thread. It ends with this.
pub struct FakeScheduler {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A job that was submitted.
pub struct Submitted {
    /// Its key.
    pub key: [u8; 16],
    /// Its record.
    pub record: JobRecord,
    /// What it asked for.
    pub wants: dc_model::cluster::Wants,
}

impl FakeScheduler {
    /// Listens at `socket` in this directory. `script` is called with each message, and with the number of the
    /// connection it came on, from 0. Questions for nodes are answered with two of four cores, n1 and n2.
    ///
    /// # Panics
    /// When it cannot listen.
    pub fn start(dir: &Path, script: impl FnMut(usize, &FromClient, &mut Answer) + Send + 'static) -> Self {
        Self::start_with(dir, vec![node(1), node(2)], script)
    }

    /// As [`FakeScheduler::start`], with these nodes.
    ///
    /// # Panics
    /// When it cannot listen.
    pub fn start_with(
        dir: &Path,
        nodes: Vec<NodeRow>,
        mut script: impl FnMut(usize, &FromClient, &mut Answer) + Send + 'static,
    ) -> Self {
        let path = dir.join("sched");
        let listener = LocalListener::bind(&path, LocalPolicy::Own).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut connection = 0;
            while !theirs.load(Ordering::Relaxed) {
                let _ = poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], 50u16);
                if let Some((stream, credentials)) = listener.accept().unwrap() {
                    let session = Session::local(credentials, settings(), 0);
                    serve(Conn::new(Socket::Unix(stream), session), &nodes, &theirs, |message, answer| {
                        script(connection, message, answer);
                    });
                    connection += 1;
                }
            }
        });
        Self { path, stop, thread: Some(thread) }
    }

    /// Its address, for DC_SCHED.
    #[must_use]
    pub fn address(&self) -> &Path {
        &self.path
    }
}

impl Drop for FakeScheduler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        // A script that failed fails the test.
        if matches!(ended, Some(Err(_))) && !std::thread::panicking() {
            panic!("the script of the fake scheduler failed");
        }
    }
}

fn settings() -> Settings {
    let from = Parties::of(&[Party::Local]);
    let rules: Vec<Rule> =
        FROM_CLIENT.iter().map(|(kind, _, max)| Rule { kind: *kind, from, body_bytes_max: *max }).collect();
    Settings { outbox_bytes_max: 16 << 20, ..Settings::new(VERSION, Arc::new(Rules::new(&rules).unwrap())) }
}

fn serve(
    mut conn: Conn,
    nodes: &[NodeRow],
    stop: &AtomicBool,
    mut script: impl FnMut(&FromClient, &mut Answer),
) {
    let began = Instant::now();
    loop {
        let now_ns = began.elapsed().as_nanos() as u64;
        let mut messages = Vec::new();
        let read = conn.on_readable(now_ns);
        loop {
            match conn.next_event() {
                Ok(Some(Event::Frame { kind, body })) => {
                    messages.push(FromClient::decode(kind, body).unwrap());
                }
                Ok(Some(Event::Ended { .. })) | Err(_) => return,
                Ok(Some(_)) => {}
                Ok(None) => break,
            }
        }
        for message in messages {
            let mut answer = Answer::default();
            if let FromClient::ListNodes { request } = message {
                answer.say(ToClient::Nodes { request, nodes: nodes.to_vec() });
            } else {
                script(&message, &mut answer);
            }
            for message in answer.say {
                conn.send(message.kind(), &message.body()).unwrap();
            }
            if answer.hang_up {
                let _ = conn.on_writable(now_ns);
                return;
            }
        }
        if read.is_err() || conn.on_writable(now_ns).is_err() || stop.load(Ordering::Relaxed) {
            return;
        }
        let out = if conn.want_write() { PollFlags::POLLOUT } else { PollFlags::empty() };
        let _ = poll(&mut [PollFd::new(conn.as_fd(), PollFlags::POLLIN | out)], 50u16);
    }
}

/// A node of four cores.
#[must_use]
pub fn node(number: u32) -> NodeRow {
    NodeRow {
        number,
        name: format!("n{number}"),
        state: NodeState::Up,
        cores: 4,
        memory_bytes: 1 << 30,
        ..NodeRow::default()
    }
}

/// What a submission holds.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn submitted(message: &FromClient) -> Submitted {
    let FromClient::Submit { key, wants, record, .. } = message else { panic!("no submission: {message:?}") };
    let record = dc_spool::job::decode(record).unwrap();
    Submitted { key: *key, record, wants: (**wants).clone() }
}

/// The answer to a submission: job 7.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn accepted(message: &FromClient) -> ToClient {
    let FromClient::Submit { request, .. } = message else { panic!("no submission: {message:?}") };
    ToClient::Accepted { request: *request, id: 7, uuid: submitted(message).record.uuid }
}

/// The answer to a wish to follow job 7, and the job's name.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn attached(message: &FromClient) -> (ToClient, JobUuid, u64) {
    let FromClient::Attach { request, job: WhichJob::Uuid(uuid), after } = message else {
        panic!("no attachment: {message:?}")
    };
    let answer = ToClient::Attached {
        request: *request,
        id: 7,
        wants: Box::default(),
        record: Vec::new(),
        seq: 0,
        state: Vec::new(),
    };
    (answer, *uuid, *after)
}

/// Decisions as the scheduler tells them.
#[must_use]
pub fn records(job: JobUuid, first_seq: u64, records: &[Record], durable_seq: u64) -> ToClient {
    let records = records.iter().map(|record| {
        let (kind, payload) = dc_spool::journal::to_payload(record);
        RecordBytes { kind, payload }
    });
    ToClient::Records { job, first_seq, records: records.collect(), durable_seq }
}
