//! A command that submits jobs to a dcsched, many at once if wanted, and waits for each to be acknowledged.

use crate::error::BenchError;
use dc_link::{Conn, Event, LocalPolicy, Parties, Party, Rule, Rules, Session, Settings, Socket, dial_local};
use dc_model::cluster::client::TO_CLIENT;
use dc_model::cluster::{FromClient, ToClient, VERSION, Wants};
use dc_model::{Distribution, JobUuid};
use dc_spool::hash::FileIdentity;
use dc_spool::job::{FailurePolicy, JobOptions, JobRecord, StreamOptions, Subtasks};
use dcsched_brief::Manner;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// No answer takes so long.
const DEADLINE: Duration = Duration::from_secs(60);

/// A usual job: one subtask, and an environment of 3 KiB.
pub fn record(number: u64) -> JobRecord {
    let mut uuid = [0xb5; 16];
    uuid[..8].copy_from_slice(&number.to_be_bytes());
    JobRecord {
        uuid: JobUuid(uuid),
        name: "bench".to_owned(),
        kernel: FileIdentity::of_bytes(Path::new("/bin/true"), b"kernel"),
        argv: vec![b"true".to_vec()],
        cwd: PathBuf::from("/"),
        env: (0..40).map(|i| format!("VARIABLE_{i}={}", "v".repeat(64)).into_bytes()).collect(),
        limits: None,
        options: JobOptions {
            ranks: 1,
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
        subtasks: Subtasks::plain(1, 1, 1).unwrap_or_default(),
    }
}

/// A connection to a dcsched.
pub struct Submitter {
    conn: Conn,
    began: Instant,
}

fn lost(error: impl std::fmt::Display) -> BenchError {
    BenchError::Failed { program: "dcsched".into(), how: "is not there".into(), words: error.to_string() }
}

impl Submitter {
    /// By its Unix socket.
    pub fn connect(socket: &Path) -> Result<Self, BenchError> {
        let (stream, credentials) = dial_local(socket, &LocalPolicy::Own).map_err(lost)?;
        let from = Parties::of(&[Party::Local]);
        let rules: Vec<_> =
            TO_CLIENT.iter().map(|kind| Rule { kind: kind.0, from, body_bytes_max: kind.2 }).collect();
        let settings = Settings {
            outbox_bytes_max: 16 << 20,
            ..Settings::new(VERSION, Arc::new(Rules::new(&rules).map_err(lost)?))
        };
        let session = Session::local(credentials, settings, 0);
        let mut this = Self { conn: Conn::new(Socket::Unix(stream), session), began: Instant::now() };
        while !this.conn.session().is_up() {
            this.go_on()?;
        }
        Ok(this)
    }

    fn go_on(&mut self) -> Result<(), BenchError> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, self.conn.want_read());
        flags.set(PollFlags::POLLOUT, self.conn.want_write());
        let timeout = PollTimeout::try_from(DEADLINE).unwrap_or(PollTimeout::MAX);
        let ready = {
            let mut fds = [PollFd::new(self.conn.as_fd(), flags)];
            if poll(&mut fds, timeout).map_err(BenchError::os("poll"))? == 0 {
                return Err(lost("it does not answer"));
            }
            fds[0].revents().unwrap_or(PollFlags::empty())
        };
        let now = self.began.elapsed().as_nanos() as u64;
        if ready.contains(PollFlags::POLLOUT) {
            self.conn.on_writable(now).map_err(lost)?;
        }
        if ready.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            self.conn.on_readable(now).map_err(lost)?;
        }
        Ok(())
    }

    fn acknowledged(&mut self) -> Result<u64, BenchError> {
        let mut count = 0;
        while let Some(event) = self.conn.next_event().map_err(lost)? {
            let Event::Frame { kind, body } = event else { continue };
            match ToClient::decode(kind, body).map_err(lost)? {
                ToClient::Accepted { .. } => count += 1,
                other => return Err(lost(format!("{other:?}"))),
            }
        }
        Ok(count)
    }

    /// Submits the jobs of these numbers, with so many on their way at once; gives how long each waited where that is one.
    pub fn submit(
        &mut self,
        numbers: std::ops::Range<u64>,
        at_once: u64,
    ) -> Result<Vec<Duration>, BenchError> {
        let manner = Manner { grace_ms: 30_000, ..Manner::default() };
        let wants = Wants { detached: true, brief: manner.encode(), ..Wants::default() };
        let (mut sent, mut done, mut took) = (numbers.start, numbers.start, Vec::new());
        let mut sent_at = Instant::now();
        while done < numbers.end {
            while sent < numbers.end && sent - done < at_once {
                let record = record(sent);
                let message = FromClient::Submit {
                    request: sent,
                    key: record.uuid.0,
                    wants: Box::new(wants.clone()),
                    record: dc_spool::job::encode(&record),
                };
                let body = message.body();
                sent_at = Instant::now();
                self.conn.send(message.kind(), &body).map_err(lost)?;
                sent += 1;
            }
            self.go_on()?;
            let count = self.acknowledged()?;
            done += count;
            if count > 0 && at_once == 1 {
                took.push(sent_at.elapsed());
            }
        }
        Ok(took)
    }
}
