//! What dcrun and the starter say to each other over their socket, and the frames it is cut into.
//!
//! A frame is a length (u32, of what follows), a kind (u8) and a body, little-endian. The first message each way
//! carries [`VERSION`]; another version is refused. A second socket carries [`Output`] frames only, so that a
//! reader who does not read never delays a decision.
//!
//! A starter that serves (`dc-starter serve`) outlives those who talk to it: each connection begins with an [`Opening`],
//! what matters of its reports is numbered ([`FromStarter::Numbered`]) and kept until it is acknowledged, and output has
//! offsets: the bytes of all its [`Output`] frames so far, from the starter's beginning.

mod serve;
mod streams;

pub use serve::{Known, KnownPhase, Opening, OutputAt, StarterState};
pub use streams::{InputThen, Sink, Source, StreamPlan};

use crate::codec::{DecodeError, Reader, Writer};
use crate::{
    Attempt, Block, CpuSet, JobUuid, LaunchStage, Limits, MpiFamily, Outcome, Rank, Restart, ResultMeta,
    SubtaskId,
};

/// The version both must speak.
pub const VERSION: u16 = 3;

/// The longest frame accepted, in bytes: room for the largest argument list and environment that Linux takes.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

/// A launch on the wire is no shorter, in bytes.
const LAUNCH_BYTES_MIN: usize = 24;

/// The longest piece of output in one frame, in bytes; longer lines are split.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// The most of a rank's standard input that is asked for at once, in bytes.
pub const INPUT_BYTES_MAX: u32 = 128 << 10;

/// The kind of a numbered report, and the kinds of what it may hold.
const NUMBERED: u8 = 0x61;
const NUMBERED_KINDS: [u8; 5] = [66, 67, 68, 69, 72];

/// What the starter needs to know once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// The job.
    pub job: JobUuid,
    /// Its spool directory, absolute.
    pub spool: Vec<u8>,
    /// The ranks' working directory, absolute.
    pub cwd: Vec<u8>,
    /// The kernel's file, absolute.
    pub program: Vec<u8>,
    /// The kernel's argv, from argv[0] on.
    pub argv: Vec<Vec<u8>>,
    /// The environment all ranks share, `NAME=value` each; the DC_ variables of a subtask come on top.
    pub env: Vec<Vec<u8>>,
    /// How many lanes the job has.
    pub ranks: u32,
    /// Time between the signal and SIGKILL, in ms.
    pub grace_ms: u64,
    /// How OMP_NUM_THREADS, OMP_PLACES and OMP_PROC_BIND are set to match the CPUs.
    pub openmp: OpenMp,
    /// Where the ranks' streams go and come from.
    pub streams: StreamPlan,
    /// The limits and the umask that ranks begin with; `None`: the starter's own.
    pub limits: Option<Limits>,
}

/// What a rank's OpenMP runtime is told of its CPUs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum OpenMp {
    /// Nothing: the user's own settings stand.
    Untold = 0,
    /// A place for each of its cores (or hardware threads).
    Places = 1,
    /// One place of all its CPUs, which other ranks have too: each runtime would begin with the same ones.
    OnePlace = 2,
}

/// One attempt to be launched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Launch {
    /// Which subtask.
    pub subtask: SubtaskId,
    /// Its attempt.
    pub attempt: Attempt,
    /// Its lane.
    pub rank: Rank,
    /// CPUs to bind it to; empty: not bound.
    pub cpus: CpuSet,
    /// Cores it was given, for OMP_NUM_THREADS.
    pub cores: u32,
    /// The OS's NUMA node to prefer memory from.
    pub numa: Option<u32>,
    /// Its cost.
    pub cells: u64,
    /// Its block.
    pub block: Option<Block>,
    /// Arguments after the kernel's own.
    pub args: Vec<Vec<u8>>,
    /// Only checkpoints older than this one may be gone on from (two restarts from it failed).
    pub before: Option<Restart>,
    /// It takes the lane and the cores of this attempt, once that has ended; one that is not there has.
    pub after: Option<(SubtaskId, Attempt)>,
}

/// A gang to be launched: all of its ranks, or none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gang {
    /// Whose launcher it is.
    pub family: MpiFamily,
    /// Its file, absolute.
    pub launcher: Vec<u8>,
    /// How long all ranks may take to be there, in ms.
    pub timeout_ms: u64,
    /// Whether what the launcher itself says is passed on in any case.
    pub verbose: bool,
    /// Each rank's subtasks, by rank; all of them have the same attempt and the same `before`.
    pub ranks: Vec<Vec<Launch>>,
}

/// dcrun to the starter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToStarter {
    /// First of all.
    Hello(Box<Hello>),
    /// Launch this.
    Launch(Box<Launch>),
    /// Launch this gang.
    Gang(Box<Gang>),
    /// Send this signal to one attempt's group (and SIGCONT), SIGKILL after the grace.
    Stop {
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt; another one running there is left alone.
        attempt: Attempt,
        /// The signal's number.
        signal: u8,
    },
    /// A piece of an attempt's standard input, as it was asked for.
    Input {
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
        /// Where it was asked for: a piece for another place is dropped, so that none is given twice.
        at: u64,
        /// At most [`INPUT_BYTES_MAX`] bytes.
        bytes: Vec<u8>,
        /// What follows.
        then: InputThen,
    },
    /// Send this signal to every attempt that runs; they go on as if nobody had stopped them. SIGSTOP holds what is
    /// launched later too, until SIGCONT.
    Signal {
        /// The signal's number.
        signal: u8,
        /// To their first processes alone, and not to their groups.
        leaders_only: bool,
        /// Whether a checkpoint is due with it.
        wants_checkpoint: bool,
    },
    /// Kill everything at once.
    KillAll,
    /// Nothing will be launched any more: end when all has ended and all output is sent (and, of one that serves,
    /// acknowledged).
    Bye,
    /// First of all on a connection to one that serves.
    Open(Opening),
    /// To one that serves: the reports up to this number need not be kept any more.
    Ack {
        /// The number.
        seq: u64,
    },
    /// To one that serves: ranks may run until then. An earlier instant than one that was said before changes nothing.
    Lease {
        /// By CLOCK_BOOTTIME, in ns.
        until_boottime_ns: u64,
    },
    /// To one that serves, on its output connection: all frames up to this offset are taken.
    AckOutput {
        /// The offset, at the end of a frame.
        offset: u64,
    },
    /// To one that serves: kill what runs and end at once; what is not acknowledged is lost.
    Close,
}

/// The starter to dcrun.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FromStarter {
    /// Answer to Hello.
    Ready {
        /// The starter's process.
        pid: u32,
    },
    /// The attempt's exec has succeeded.
    Started {
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
        /// Its process.
        pid: u32,
        /// The checkpoint it was told to go on from.
        from: Option<Restart>,
    },
    /// The attempt ended; its group is dead. For one that could not be launched this comes without Started.
    Ended {
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
        /// How.
        outcome: Outcome,
        /// From exec to end, in ns.
        ran_ns: u64,
        /// Whether dc had signalled it before it ended.
        stopped: bool,
        /// Its newest valid checkpoint, where it left one; not looked for after a success.
        checkpoint: Option<Restart>,
        /// Cells it reported as done.
        progress_cells: u64,
        /// The result it committed, if any.
        result: Option<ResultMeta>,
        /// Whether the kernel killed something on this node for want of memory meanwhile, perhaps this.
        memory_short: bool,
    },
    /// The rank's CPUs are not the ones it was given.
    Rebound {
        /// Which subtask.
        subtask: SubtaskId,
        /// Its lane.
        rank: Rank,
        /// What it was given.
        wanted: CpuSet,
        /// What it has now.
        found: CpuSet,
    },
    /// An attempt has taken its standard input up to here, and takes more.
    WantInput {
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
        /// Bytes it was sent so far.
        at: u64,
        /// How many it takes now, at most [`INPUT_BYTES_MAX`].
        room: u32,
    },
    /// All that it starts is in this control group, which is to be removed when it has ended.
    Grouped {
        /// Its directory.
        dir: Vec<u8>,
    },
    /// One line for the user: a checkpoint passed over, a policy that could not be set.
    Notice {
        /// The line.
        text: String,
    },
    /// Of one that serves, first of all on a control connection.
    State(Box<StarterState>),
    /// Of one that serves: a report that it tells again until it is acknowledged.
    Numbered {
        /// Its number, from 1.
        seq: u64,
        /// Started, Ended, Rebound, Grouped or Notice.
        report: Box<FromStarter>,
    },
    /// Of one that serves, first of all on an output connection: where the frames that follow begin.
    OutputFrom(OutputAt),
    /// Of one that serves, and last on a connection: why it is closed.
    Refused {
        /// The line.
        text: String,
    },
}

/// A piece of a rank's output: whole lines, except where [`Output::last`] is set or a line is too long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    /// Which subtask.
    pub subtask: SubtaskId,
    /// Its attempt.
    pub attempt: Attempt,
    /// Its lane.
    pub rank: Rank,
    /// Whether it came from standard error.
    pub stderr: bool,
    /// Whether this stream has ended with it.
    pub last: bool,
    /// At most [`LINE_BYTES_MAX`] bytes.
    pub bytes: Vec<u8>,
}

/// Takes whole frames off the front of a byte stream.
#[derive(Default, Debug)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    start: usize,
}

impl FrameBuffer {
    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        // What is moved is never more than what was taken out, so that a flood is copied once and in little memory.
        if self.start > 0 && self.start >= self.bytes.len() - self.start {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame: its kind and body.
    ///
    /// # Errors
    /// When its length is 0 or above [`FRAME_BYTES_MAX`]: the stream is not ours, nothing after it can be read.
    pub fn next_frame(&mut self) -> Result<Option<(u8, &[u8])>, DecodeError> {
        let rest = &self.bytes[self.start..];
        let Some((head, body)) = rest.split_at_checked(4) else { return Ok(None) };
        let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if len == 0 || len > FRAME_BYTES_MAX {
            return Err(DecodeError::Impossible("frame length"));
        }
        if body.len() < len {
            return Ok(None);
        }
        let at = self.start + 4;
        self.start = at + len;
        Ok(Some((self.bytes[at], &self.bytes[at + 1..at + len])))
    }

    /// Whether a frame has begun and not ended.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.start < self.bytes.len()
    }
}

/// Appends one frame: `body` writes what follows the kind.
///
/// # Panics
/// When the body is above [`FRAME_BYTES_MAX`]; callers check what comes from users first.
pub fn frame(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Writer)) {
    let start = out.len();
    let mut w = Writer { bytes: std::mem::take(out) };
    w.u32(0);
    w.u8(kind);
    body(&mut w);
    *out = w.bytes;
    let len = out.len() - start - 4;
    assert!(len <= FRAME_BYTES_MAX, "a frame of {len} bytes");
    out[start..start + 4].copy_from_slice(&(len as u32).to_le_bytes());
}

fn put_list(w: &mut Writer, list: &[Vec<u8>]) {
    w.u32(list.len() as u32);
    list.iter().for_each(|item| w.bytes(item));
}

fn get_list(r: &mut Reader<'_>) -> Result<Vec<Vec<u8>>, DecodeError> {
    (0..r.count(4)?).map(|_| r.bytes().map(<[u8]>::to_vec)).collect()
}

fn put_cpus(w: &mut Writer, cpus: &CpuSet) {
    w.u32(cpus.words().len() as u32);
    cpus.words().iter().for_each(|word| w.u64(*word));
}

fn get_cpus(r: &mut Reader<'_>) -> Result<CpuSet, DecodeError> {
    let words = (0..r.count(8)?).map(|_| r.u64()).collect::<Result<_, _>>()?;
    Ok(CpuSet::from_words(words))
}

fn put_option<T>(w: &mut Writer, value: Option<T>, put: impl FnOnce(&mut Writer, T)) {
    w.u8(u8::from(value.is_some()));
    if let Some(value) = value {
        put(w, value);
    }
}

fn get_option<'a, T>(
    r: &mut Reader<'a>,
    get: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    Ok(if r.bool()? { Some(get(r)?) } else { None })
}

fn put_restart(w: &mut Writer, from: Restart) {
    w.u32(from.attempt.0);
    w.u64(from.step);
}

fn get_restart(r: &mut Reader<'_>) -> Result<Restart, DecodeError> {
    Ok(Restart { attempt: Attempt(r.u32()?), step: r.u64()? })
}

fn put_outcome(w: &mut Writer, outcome: Outcome) {
    match outcome {
        Outcome::Exited(status) => {
            w.u8(1);
            w.u8(status);
        }
        Outcome::Signalled(signal) => {
            w.u8(2);
            w.u8(signal);
        }
        Outcome::NotLaunched { stage, errno } => {
            w.u8(3);
            w.u8(stage as u8);
            w.i32(errno);
        }
        Outcome::OutOfMemory => w.u8(4),
    }
}

fn get_outcome(r: &mut Reader<'_>) -> Result<Outcome, DecodeError> {
    Ok(match r.u8()? {
        1 => Outcome::Exited(r.u8()?),
        2 => Outcome::Signalled(r.u8()?),
        3 => Outcome::NotLaunched {
            stage: LaunchStage::from_number(r.u8()?).ok_or(DecodeError::Unknown("launch stage"))?,
            errno: r.i32()?,
        },
        4 => Outcome::OutOfMemory,
        _ => return Err(DecodeError::Unknown("outcome")),
    })
}

fn put_launch(w: &mut Writer, launch: &Launch) {
    w.u32(launch.subtask.0);
    w.u32(launch.attempt.0);
    w.u32(launch.rank.0);
    put_cpus(w, &launch.cpus);
    w.u32(launch.cores);
    put_option(w, launch.numa, |w, node| w.u32(node));
    w.u64(launch.cells);
    put_option(w, launch.block, |w, b| [b.x0, b.y0, b.x1, b.y1].into_iter().for_each(|v| w.u32(v)));
    put_list(w, &launch.args);
    put_option(w, launch.before, put_restart);
    put_option(w, launch.after, |w, (subtask, attempt)| {
        w.u32(subtask.0);
        w.u32(attempt.0);
    });
}

fn get_launch(r: &mut Reader<'_>) -> Result<Launch, DecodeError> {
    Ok(Launch {
        subtask: SubtaskId(r.u32()?),
        attempt: Attempt(r.u32()?),
        rank: Rank(r.u32()?),
        cpus: get_cpus(r)?,
        cores: r.u32()?,
        numa: get_option(r, Reader::u32)?,
        cells: r.u64()?,
        block: get_option(r, |r| Ok(Block { x0: r.u32()?, y0: r.u32()?, x1: r.u32()?, y1: r.u32()? }))?,
        args: get_list(r)?,
        before: get_option(r, get_restart)?,
        after: get_option(r, |r| Ok((SubtaskId(r.u32()?), Attempt(r.u32()?))))?,
    })
}

impl ToStarter {
    /// Appends its frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello(hello) => frame(out, 1, |w| {
                w.u16(VERSION);
                w.raw(&hello.job.0);
                w.bytes(&hello.spool);
                w.bytes(&hello.cwd);
                w.bytes(&hello.program);
                put_list(w, &hello.argv);
                put_list(w, &hello.env);
                w.u32(hello.ranks);
                w.u64(hello.grace_ms);
                w.u8(hello.openmp as u8);
                hello.streams.encode(w);
                put_option(w, hello.limits.as_ref(), |w, limits| limits.encode(w));
            }),
            Self::Launch(launch) => frame(out, 2, |w| put_launch(w, launch)),
            Self::Stop { subtask, attempt, signal } => frame(out, 3, |w| {
                w.u32(subtask.0);
                w.u32(attempt.0);
                w.u8(*signal);
            }),
            Self::Input { subtask, attempt, at, bytes, then } => frame(out, 0x10, |w| {
                w.u32(subtask.0);
                w.u32(attempt.0);
                w.u64(*at);
                w.bytes(bytes);
                w.u8(*then as u8);
            }),
            Self::Gang(gang) => frame(out, 6, |w| {
                w.u8(gang.family as u8);
                w.bytes(&gang.launcher);
                w.u64(gang.timeout_ms);
                w.u8(u8::from(gang.verbose));
                w.u32(gang.ranks.len() as u32);
                for rank in &gang.ranks {
                    w.u32(rank.len() as u32);
                    rank.iter().for_each(|launch| put_launch(w, launch));
                }
            }),
            Self::KillAll => frame(out, 4, |_| {}),
            Self::Bye => frame(out, 5, |_| {}),
            Self::Open(opening) => opening.encode(out),
            Self::Ack { seq } => frame(out, 0x21, |w| w.u64(*seq)),
            Self::Lease { until_boottime_ns } => frame(out, 0x22, |w| w.u64(*until_boottime_ns)),
            Self::AckOutput { offset } => frame(out, 0x23, |w| w.u64(*offset)),
            Self::Close => frame(out, 0x24, |_| {}),
            Self::Signal { signal, leaders_only, wants_checkpoint } => frame(out, 8, |w| {
                w.u8(*signal);
                w.u8(u8::from(*leaders_only));
                w.u8(u8::from(*wants_checkpoint));
            }),
        }
    }

    /// Reads one frame.
    ///
    /// # Errors
    /// When it is not one of these messages, or of another version.
    pub fn decode(kind: u8, body: &[u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(body);
        let message = match kind {
            1 => {
                if r.u16()? != VERSION {
                    return Err(DecodeError::Unknown("version"));
                }
                Self::Hello(Box::new(Hello {
                    job: JobUuid(r.array()?),
                    spool: r.bytes()?.to_vec(),
                    cwd: r.bytes()?.to_vec(),
                    program: r.bytes()?.to_vec(),
                    argv: get_list(r)?,
                    env: get_list(r)?,
                    ranks: r.u32()?,
                    grace_ms: r.u64()?,
                    openmp: match r.u8()? {
                        0 => OpenMp::Untold,
                        1 => OpenMp::Places,
                        2 => OpenMp::OnePlace,
                        _ => return Err(DecodeError::Unknown("OpenMP setting")),
                    },
                    streams: StreamPlan::decode(r)?,
                    limits: get_option(r, Limits::decode)?,
                }))
            }
            2 => Self::Launch(Box::new(get_launch(r)?)),
            3 => Self::Stop { subtask: SubtaskId(r.u32()?), attempt: Attempt(r.u32()?), signal: r.u8()? },
            4 => Self::KillAll,
            5 => Self::Bye,
            Opening::KIND => Self::Open(Opening::decode(r)?),
            0x21 => Self::Ack { seq: r.u64()? },
            0x22 => Self::Lease { until_boottime_ns: r.u64()? },
            0x23 => Self::AckOutput { offset: r.u64()? },
            0x24 => Self::Close,
            0x10 => Self::Input {
                subtask: SubtaskId(r.u32()?),
                attempt: Attempt(r.u32()?),
                at: r.u64()?,
                bytes: r.bytes()?.to_vec(),
                then: InputThen::from_number(r.u8()?)?,
            },
            8 => Self::Signal { signal: r.u8()?, leaders_only: r.bool()?, wants_checkpoint: r.bool()? },
            6 => Self::Gang(Box::new(Gang {
                family: MpiFamily::from_number(r.u8()?).ok_or(DecodeError::Unknown("MPI"))?,
                launcher: r.bytes()?.to_vec(),
                timeout_ms: r.u64()?,
                verbose: r.bool()?,
                ranks: (0..r.count(4)?)
                    .map(|_| (0..r.count(LAUNCH_BYTES_MIN)?).map(|_| get_launch(r)).collect())
                    .collect::<Result<_, _>>()?,
            })),
            _ => return Err(DecodeError::Unknown("message")),
        };
        r.end()?;
        Ok(message)
    }
}

impl FromStarter {
    /// Appends its frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ready { pid } => frame(out, 65, |w| {
                w.u16(VERSION);
                w.u32(*pid);
            }),
            Self::Started { subtask, attempt, pid, from } => frame(out, 66, |w| {
                w.u32(subtask.0);
                w.u32(attempt.0);
                w.u32(*pid);
                put_option(w, *from, put_restart);
            }),
            Self::Ended {
                subtask,
                attempt,
                outcome,
                ran_ns,
                stopped,
                checkpoint,
                progress_cells,
                result,
                memory_short,
            } => {
                frame(out, 67, |w| {
                    w.u32(subtask.0);
                    w.u32(attempt.0);
                    put_outcome(w, *outcome);
                    w.u64(*ran_ns);
                    w.u8(u8::from(*stopped));
                    put_option(w, *checkpoint, put_restart);
                    w.u64(*progress_cells);
                    put_option(w, *result, |w, meta| {
                        w.u64(meta.len);
                        w.u32(meta.crc);
                    });
                    w.u8(u8::from(*memory_short));
                });
            }
            Self::Rebound { subtask, rank, wanted, found } => frame(out, 68, |w| {
                w.u32(subtask.0);
                w.u32(rank.0);
                put_cpus(w, wanted);
                put_cpus(w, found);
            }),
            Self::WantInput { subtask, attempt, at, room } => frame(out, 0x50, |w| {
                w.u32(subtask.0);
                w.u32(attempt.0);
                w.u64(*at);
                w.u32(*room);
            }),
            Self::Grouped { dir } => frame(out, 72, |w| w.bytes(dir)),
            Self::Notice { text } => frame(out, 69, |w| w.bytes(text.as_bytes())),
            Self::State(state) => state.encode(out),
            Self::Numbered { seq, report } => {
                let mut inner = Vec::new();
                report.encode(&mut inner);
                frame(out, NUMBERED, |w| {
                    w.u64(*seq);
                    // The report's own kind and body.
                    w.raw(&inner[4..]);
                });
            }
            Self::OutputFrom(at) => frame(out, 0x62, |w| OutputAt::put(w, *at)),
            Self::Refused { text } => frame(out, 0x63, |w| w.bytes(text.as_bytes())),
        }
    }

    /// Reads one frame.
    ///
    /// # Errors
    /// When it is not one of these messages, or of another version.
    pub fn decode(kind: u8, body: &[u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(body);
        let message = match kind {
            65 => {
                if r.u16()? != VERSION {
                    return Err(DecodeError::Unknown("version"));
                }
                Self::Ready { pid: r.u32()? }
            }
            66 => Self::Started {
                subtask: SubtaskId(r.u32()?),
                attempt: Attempt(r.u32()?),
                pid: r.u32()?,
                from: get_option(r, get_restart)?,
            },
            67 => Self::Ended {
                subtask: SubtaskId(r.u32()?),
                attempt: Attempt(r.u32()?),
                outcome: get_outcome(r)?,
                ran_ns: r.u64()?,
                stopped: r.bool()?,
                checkpoint: get_option(r, get_restart)?,
                progress_cells: r.u64()?,
                result: get_option(r, |r| Ok(ResultMeta { len: r.u64()?, crc: r.u32()? }))?,
                memory_short: r.bool()?,
            },
            68 => Self::Rebound {
                subtask: SubtaskId(r.u32()?),
                rank: Rank(r.u32()?),
                wanted: get_cpus(r)?,
                found: get_cpus(r)?,
            },
            0x50 => Self::WantInput {
                subtask: SubtaskId(r.u32()?),
                attempt: Attempt(r.u32()?),
                at: r.u64()?,
                room: r.u32()?,
            },
            72 => Self::Grouped { dir: r.bytes()?.to_vec() },
            69 => Self::Notice { text: String::from_utf8_lossy(r.bytes()?).into_owned() },
            StarterState::KIND => Self::State(Box::new(StarterState::decode(r)?)),
            NUMBERED => {
                let (seq, kind) = (r.u64()?, r.u8()?);
                if !NUMBERED_KINDS.contains(&kind) {
                    return Err(DecodeError::Unknown("report"));
                }
                let report = Self::decode(kind, r.raw(r.rest().len())?)?;
                Self::Numbered { seq, report: Box::new(report) }
            }
            0x62 => Self::OutputFrom(OutputAt::get(r)?),
            0x63 => Self::Refused { text: String::from_utf8_lossy(r.bytes()?).into_owned() },
            _ => return Err(DecodeError::Unknown("message")),
        };
        r.end()?;
        Ok(message)
    }
}

impl Output {
    /// The kind of its frame.
    pub const KIND: u8 = 129;

    /// Appends its frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(out, Self::KIND, |w| {
            w.u32(self.subtask.0);
            w.u32(self.attempt.0);
            w.u32(self.rank.0);
            w.u8(u8::from(self.stderr));
            w.u8(u8::from(self.last));
            w.bytes(&self.bytes);
        });
    }

    /// Reads one frame.
    ///
    /// # Errors
    /// When it is not a piece of output.
    pub fn decode(kind: u8, body: &[u8]) -> Result<Self, DecodeError> {
        if kind != Self::KIND {
            return Err(DecodeError::Unknown("message"));
        }
        let r = &mut Reader::new(body);
        let output = Self {
            subtask: SubtaskId(r.u32()?),
            attempt: Attempt(r.u32()?),
            rank: Rank(r.u32()?),
            stderr: r.bool()?,
            last: r.bool()?,
            bytes: r.bytes()?.to_vec(),
        };
        r.end()?;
        Ok(output)
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
