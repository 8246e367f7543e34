//! A user's command and dcsched. A command asks with a number of its own, and the answer carries that number; what is
//! told of a job to who is attached to it carries none.
//!
//! A follower of a job keeps a replica of its durable state: [`ToClient::Records`] brings the job's decisions in their order,
//! with their numbers in the job; what was shown before a lost connection is asked for no second time (`after`).

use super::lists::{get_list, get_option, get_text, get_texts, put_list, put_option, put_text, put_texts};
use super::{JobRow, Kind, NODE_NAME_BYTES_MAX, NodeRow, SUBMIT_BYTES_MAX, SubtaskRow, Wants};
use crate::codec::{DecodeError, Reader, Writer};
use crate::{JobUuid, SubtaskId};

/// What a command may send.
pub const FROM_CLIENT: &[Kind] = &[
    (0x40, "submit", SUBMIT_BYTES_MAX + (512 << 10)),
    (0x41, "attach", 64),
    (0x42, "stop", 64),
    (0x43, "signal", 64),
    (0x44, "merged", 64),
    (0x45, "list nodes", 16),
    (0x46, "list jobs", 64 << 10),
    (0x47, "list subtasks", 64),
    (0x48, "drain", 256 << 10),
    (0x49, "explain", 8 << 10),
    (0x4a, "reload", 16),
    (0x4b, "window", 64),
    (0x4c, "results lost", 8 << 20),
];

/// What dcsched may send to a command.
pub const TO_CLIENT: &[Kind] = &[
    (0x60, "accepted", 64),
    (0x61, "refused", 8 << 10),
    (0x62, "records", 8 << 20),
    (0x63, "report", 8 << 20),
    (0x64, "merge", 64),
    (0x65, "ended", 64),
    (0x66, "nodes", 8 << 20),
    (0x67, "jobs", 8 << 20),
    (0x68, "subtasks", 8 << 20),
    (0x69, "text", 1 << 20),
    (0x6a, "attached", 15 << 20),
];

/// Which job: by its number, or by its name in every file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhichJob {
    /// As people say it.
    Id(u64),
    /// As files say it.
    Uuid(JobUuid),
}

/// A job's decision: spool's number for its kind, and its payload (docs/spool-format.md).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordBytes {
    /// The kind.
    pub kind: u16,
    /// The payload.
    pub payload: Vec<u8>,
}

/// A command to dcsched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FromClient {
    /// A new job. The same key again is the same job: whoever did not see the answer asks again.
    Submit {
        /// The request's number.
        request: u64,
        /// 128 random bits, made once for this job.
        key: [u8; 16],
        /// What it asks of the cluster.
        wants: Box<Wants>,
        /// Its job record, as spool has it; it names the job.
        record: Vec<u8>,
    },
    /// Follow a job: its decisions after the one with this number.
    Attach {
        /// The request's number.
        request: u64,
        /// Which.
        job: WhichJob,
        /// The last decision that the follower has; 0: none.
        after: u64,
    },
    /// Stop a job.
    Stop {
        /// The request's number.
        request: u64,
        /// Which.
        job: WhichJob,
        /// 1 time limit, 2 interrupted, 3 signal, 4 broken pipe, 5 error, 6 cancelled.
        reason: u8,
        /// The signal, where that is the reason.
        signal: u8,
    },
    /// Send a signal to all ranks of a job, or to one subtask's; they go on as if nobody had stopped them.
    Signal {
        /// The request's number.
        request: u64,
        /// Which.
        job: WhichJob,
        /// The signal.
        signal: u8,
        /// One subtask alone.
        subtask: Option<SubtaskId>,
        /// To their first processes alone.
        leaders_only: bool,
        /// A checkpoint is due with it.
        wants_checkpoint: bool,
    },
    /// The merge that was asked of this follower has ended.
    Merged {
        /// The job.
        job: JobUuid,
        /// 0: all merged files are in place.
        status: u8,
    },
    /// Results that the merge needs are on nodes that are lost: these subtasks are to be computed again.
    ResultsLost {
        /// The job.
        job: JobUuid,
        /// Them.
        subtasks: Vec<SubtaskId>,
    },
    /// All nodes.
    ListNodes {
        /// The request's number.
        request: u64,
    },
    /// Jobs; by their numbers, or all.
    ListJobs {
        /// The request's number.
        request: u64,
        /// These; empty: all.
        ids: Vec<u64>,
        /// Those that have ended too.
        ended: bool,
    },
    /// Subtasks of a job, in the order of their numbers.
    ListSubtasks {
        /// The request's number.
        request: u64,
        /// Which.
        job: WhichJob,
        /// From this one on.
        from: u32,
        /// At most so many.
        count_max: u32,
    },
    /// Nothing new on these nodes, or again.
    Drain {
        /// The request's number.
        request: u64,
        /// Their names.
        nodes: Vec<String>,
        /// False: resume.
        drain: bool,
        /// Why, for people.
        reason: String,
    },
    /// Why a job waits, or a node is as it is.
    Explain {
        /// The request's number.
        request: u64,
        /// A job's number or uuid, or a node's name.
        what: String,
    },
    /// Read dc.toml again.
    Reload {
        /// The request's number.
        request: u64,
    },
    /// The follower has taken decisions up to this one: more may be sent.
    Window {
        /// The job.
        job: JobUuid,
        /// The number.
        seq: u64,
    },
}

/// dcsched to a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToClient {
    /// The job is on disk.
    Accepted {
        /// The request.
        request: u64,
        /// Its number for people.
        id: u64,
        /// Its name in every file.
        uuid: JobUuid,
    },
    /// Not done, and why.
    Refused {
        /// The request.
        request: u64,
        /// What a command that is only this request ends with.
        status: u8,
        /// One line: what, where, what to do.
        text: String,
    },
    /// The answer to [`FromClient::Attach`]: what the job is, and its state. The decisions after it follow.
    Attached {
        /// The request.
        request: u64,
        /// Its number for people.
        id: u64,
        /// What it asks of the cluster.
        wants: Box<Wants>,
        /// Its job record; empty where the follower has decisions already.
        record: Vec<u8>,
        /// The last decision that `state` holds; where `state` is empty, the follower's own.
        seq: u64,
        /// The job's durable state, as dcsched-core writes it; empty where the decisions that the follower lacks are
        /// sent one by one.
        state: Vec<u8>,
    },
    /// Decisions of a job, as they were made.
    Records {
        /// The job.
        job: JobUuid,
        /// The number of the first one in the job.
        first_seq: u64,
        /// Them; may be none.
        records: Vec<RecordBytes>,
        /// Up to this number they are on disk.
        durable_seq: u64,
    },
    /// What a starter told, that is no decision: a frame of [`crate::wire::FromStarter`], from the length on.
    Report {
        /// The job.
        job: JobUuid,
        /// On which node.
        node: u32,
        /// Its frame.
        frame: Vec<u8>,
    },
    /// All is computed and on disk: merge, and tell.
    Merge {
        /// The job.
        job: JobUuid,
    },
    /// The job has ended, and that is on disk.
    Ended {
        /// The job.
        job: JobUuid,
        /// Its status.
        status: u8,
    },
    /// Nodes: as an answer, or (request 0) those that a followed job's decisions will name.
    Nodes {
        /// The request; 0: told unasked.
        request: u64,
        /// Them.
        nodes: Vec<NodeRow>,
    },
    /// Jobs.
    Jobs {
        /// The request.
        request: u64,
        /// Them; of a long list there are several answers.
        jobs: Vec<JobRow>,
        /// Nothing follows.
        last: bool,
    },
    /// Subtasks.
    Subtasks {
        /// The request.
        request: u64,
        /// Them.
        subtasks: Vec<SubtaskRow>,
        /// No subtask comes after these.
        last: bool,
    },
    /// Done, and what there is to say about it.
    Text {
        /// The request.
        request: u64,
        /// Lines for people.
        text: String,
    },
}

fn put_which(w: &mut Writer, which: WhichJob) {
    match which {
        WhichJob::Id(id) => {
            w.u8(1);
            w.u64(id);
        }
        WhichJob::Uuid(uuid) => {
            w.u8(2);
            w.raw(&uuid.0);
        }
    }
}

fn get_which(r: &mut Reader<'_>) -> Result<WhichJob, DecodeError> {
    Ok(match r.u8()? {
        1 => WhichJob::Id(r.u64()?),
        2 => WhichJob::Uuid(JobUuid(r.array()?)),
        _ => return Err(DecodeError::Unknown("way to name a job")),
    })
}

impl FromClient {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::Submit { .. } => 0x40,
            Self::Attach { .. } => 0x41,
            Self::Stop { .. } => 0x42,
            Self::Signal { .. } => 0x43,
            Self::Merged { .. } => 0x44,
            Self::ListNodes { .. } => 0x45,
            Self::ListJobs { .. } => 0x46,
            Self::ListSubtasks { .. } => 0x47,
            Self::Drain { .. } => 0x48,
            Self::Explain { .. } => 0x49,
            Self::Reload { .. } => 0x4a,
            Self::Window { .. } => 0x4b,
            Self::ResultsLost { .. } => 0x4c,
        }
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let w = &mut Writer::new();
        match self {
            Self::Submit { request, key, wants, record } => {
                w.u64(*request);
                w.raw(key);
                wants.encode(w);
                w.bytes(record);
            }
            Self::Attach { request, job, after } => {
                w.u64(*request);
                put_which(w, *job);
                w.u64(*after);
            }
            Self::Stop { request, job, reason, signal } => {
                w.u64(*request);
                put_which(w, *job);
                w.u8(*reason);
                w.u8(*signal);
            }
            Self::Signal { request, job, signal, subtask, leaders_only, wants_checkpoint } => {
                w.u64(*request);
                put_which(w, *job);
                w.u8(*signal);
                put_option(w, *subtask, |w, subtask| w.u32(subtask.0));
                w.u8(u8::from(*leaders_only));
                w.u8(u8::from(*wants_checkpoint));
            }
            Self::Merged { job, status } => {
                w.raw(&job.0);
                w.u8(*status);
            }
            Self::ListNodes { request } | Self::Reload { request } => w.u64(*request),
            Self::ListJobs { request, ids, ended } => {
                w.u64(*request);
                put_list(w, ids, |w, id| w.u64(*id));
                w.u8(u8::from(*ended));
            }
            Self::ListSubtasks { request, job, from, count_max } => {
                w.u64(*request);
                put_which(w, *job);
                w.u32(*from);
                w.u32(*count_max);
            }
            Self::Drain { request, nodes, drain, reason } => {
                w.u64(*request);
                put_texts(w, nodes);
                w.u8(u8::from(*drain));
                put_text(w, reason);
            }
            Self::Explain { request, what } => {
                w.u64(*request);
                put_text(w, what);
            }
            Self::ResultsLost { job, subtasks } => {
                w.raw(&job.0);
                put_list(w, subtasks, |w, subtask| w.u32(subtask.0));
            }
            Self::Window { job, seq } => {
                w.raw(&job.0);
                w.u64(*seq);
            }
        }
        std::mem::take(&mut w.bytes)
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is not one of these messages.
    pub fn decode(kind: u8, body: &[u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(body);
        let message = match kind {
            0x40 => Self::Submit {
                request: r.u64()?,
                key: r.array()?,
                wants: Box::new(Wants::decode(r)?),
                record: r.bytes()?.to_vec(),
            },
            0x41 => Self::Attach { request: r.u64()?, job: get_which(r)?, after: r.u64()? },
            0x42 => Self::Stop { request: r.u64()?, job: get_which(r)?, reason: r.u8()?, signal: r.u8()? },
            0x43 => Self::Signal {
                request: r.u64()?,
                job: get_which(r)?,
                signal: r.u8()?,
                subtask: get_option(r, |r| Ok(SubtaskId(r.u32()?)))?,
                leaders_only: r.bool()?,
                wants_checkpoint: r.bool()?,
            },
            0x44 => Self::Merged { job: JobUuid(r.array()?), status: r.u8()? },
            0x45 => Self::ListNodes { request: r.u64()? },
            0x46 => Self::ListJobs { request: r.u64()?, ids: get_list(r, 8, Reader::u64)?, ended: r.bool()? },
            0x47 => Self::ListSubtasks {
                request: r.u64()?,
                job: get_which(r)?,
                from: r.u32()?,
                count_max: r.u32()?,
            },
            0x48 => Self::Drain {
                request: r.u64()?,
                nodes: get_texts(r, NODE_NAME_BYTES_MAX)?,
                drain: r.bool()?,
                reason: get_text(r, 1024)?,
            },
            0x49 => Self::Explain { request: r.u64()?, what: get_text(r, 1024)? },
            0x4a => Self::Reload { request: r.u64()? },
            0x4b => Self::Window { job: JobUuid(r.array()?), seq: r.u64()? },
            0x4c => Self::ResultsLost {
                job: JobUuid(r.array()?),
                subtasks: get_list(r, 4, |r| Ok(SubtaskId(r.u32()?)))?,
            },
            _ => return Err(DecodeError::Unknown("message")),
        };
        r.end()?;
        Ok(message)
    }
}

impl ToClient {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::Accepted { .. } => 0x60,
            Self::Refused { .. } => 0x61,
            Self::Records { .. } => 0x62,
            Self::Report { .. } => 0x63,
            Self::Merge { .. } => 0x64,
            Self::Ended { .. } => 0x65,
            Self::Nodes { .. } => 0x66,
            Self::Jobs { .. } => 0x67,
            Self::Subtasks { .. } => 0x68,
            Self::Text { .. } => 0x69,
            Self::Attached { .. } => 0x6a,
        }
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let w = &mut Writer::new();
        match self {
            Self::Accepted { request, id, uuid } => {
                w.u64(*request);
                w.u64(*id);
                w.raw(&uuid.0);
            }
            Self::Refused { request, status, text } => {
                w.u64(*request);
                w.u8(*status);
                put_text(w, text);
            }
            Self::Attached { request, id, wants, record, seq, state } => {
                w.u64(*request);
                w.u64(*id);
                wants.encode(w);
                w.bytes(record);
                w.u64(*seq);
                w.bytes(state);
            }
            Self::Records { job, first_seq, records, durable_seq } => {
                w.raw(&job.0);
                w.u64(*first_seq);
                put_list(w, records, |w, record| {
                    w.u16(record.kind);
                    w.bytes(&record.payload);
                });
                w.u64(*durable_seq);
            }
            Self::Report { job, node, frame } => {
                w.raw(&job.0);
                w.u32(*node);
                w.bytes(frame);
            }
            Self::Merge { job } => w.raw(&job.0),
            Self::Ended { job, status } => {
                w.raw(&job.0);
                w.u8(*status);
            }
            Self::Nodes { request, nodes } => {
                w.u64(*request);
                put_list(w, nodes, |w, node| node.encode(w));
            }
            Self::Jobs { request, jobs, last } => {
                w.u64(*request);
                put_list(w, jobs, |w, job| job.encode(w));
                w.u8(u8::from(*last));
            }
            Self::Subtasks { request, subtasks, last } => {
                w.u64(*request);
                put_list(w, subtasks, |w, subtask| subtask.encode(w));
                w.u8(u8::from(*last));
            }
            Self::Text { request, text } => {
                w.u64(*request);
                put_text(w, text);
            }
        }
        std::mem::take(&mut w.bytes)
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is not one of these messages.
    pub fn decode(kind: u8, body: &[u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(body);
        let message = match kind {
            0x60 => Self::Accepted { request: r.u64()?, id: r.u64()?, uuid: JobUuid(r.array()?) },
            0x61 => Self::Refused { request: r.u64()?, status: r.u8()?, text: get_text(r, 4096)? },
            0x62 => Self::Records {
                job: JobUuid(r.array()?),
                first_seq: r.u64()?,
                records: get_list(r, 6, |r| {
                    Ok(RecordBytes { kind: r.u16()?, payload: r.bytes()?.to_vec() })
                })?,
                durable_seq: r.u64()?,
            },
            0x63 => Self::Report { job: JobUuid(r.array()?), node: r.u32()?, frame: r.bytes()?.to_vec() },
            0x64 => Self::Merge { job: JobUuid(r.array()?) },
            0x65 => Self::Ended { job: JobUuid(r.array()?), status: r.u8()? },
            0x66 => Self::Nodes { request: r.u64()?, nodes: get_list(r, 60, NodeRow::decode)? },
            0x67 => Self::Jobs { request: r.u64()?, jobs: get_list(r, 60, JobRow::decode)?, last: r.bool()? },
            0x68 => Self::Subtasks {
                request: r.u64()?,
                subtasks: get_list(r, 30, SubtaskRow::decode)?,
                last: r.bool()?,
            },
            0x69 => Self::Text { request: r.u64()?, text: get_text(r, 1 << 20)? },
            0x6a => Self::Attached {
                request: r.u64()?,
                id: r.u64()?,
                wants: Box::new(Wants::decode(r)?),
                record: r.bytes()?.to_vec(),
                seq: r.u64()?,
                state: r.bytes()?.to_vec(),
            },
            _ => return Err(DecodeError::Unknown("message")),
        };
        r.end()?;
        Ok(message)
    }
}
