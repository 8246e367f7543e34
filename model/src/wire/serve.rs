//! What is said beside launches where a starter outlives those who talk to it: who comes for what, what the starter
//! has, which of its reports were kept, and until when its ranks may run.

use super::{VERSION, frame, get_cpus, get_option, get_restart, put_cpus, put_option, put_restart};
use crate::codec::{DecodeError, Reader, Writer};
use crate::{Attempt, CpuSet, JobUuid, Rank, Restart, SubtaskId};

/// An attempt is no shorter on the wire, in bytes.
const KNOWN_BYTES_MIN: usize = 18;

/// What a connection to a serving starter is for: its first message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opening {
    /// Commands and reports. It takes the place of the control connection before it.
    Control,
    /// Output frames. It takes the place of the output connection before it.
    Output {
        /// Up to where the reader has everything; none, or another starter's: it gets all that is kept.
        have: Option<OutputAt>,
    },
}

/// A place in the output of a starter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutputAt {
    /// Which starter's.
    pub starter_inc: u64,
    /// Bytes of frames before it, from the starter's beginning.
    pub offset: u64,
}

/// How far an attempt has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum KnownPhase {
    /// Its exec is still to come.
    Waiting = 0,
    /// Its exec has succeeded, and its end is not told yet.
    Running = 1,
    /// It has ended, and the report of that is not acknowledged.
    Ended = 2,
}

/// An attempt that a starter has, or whose end is not acknowledged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// Which subtask.
    pub subtask: SubtaskId,
    /// Its attempt.
    pub attempt: Attempt,
    /// Its lane.
    pub rank: Rank,
    /// CPUs it is bound to; empty: not bound.
    pub cpus: CpuSet,
    /// How far it has come.
    pub phase: KnownPhase,
    /// The checkpoint it was told to go on from.
    pub from: Option<Restart>,
}

/// What a starter has, told first of all on every control connection. What is not acknowledged is then told again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StarterState {
    /// Which starter this is: random, another one each time a starter is started.
    pub starter_inc: u64,
    /// The starter's process.
    pub pid: u32,
    /// The job, once it was told of it.
    pub job: Option<JobUuid>,
    /// Whether its lease is over, and everything was killed; a new lease makes it take launches again.
    pub lease_over: bool,
    /// The attempts that it runs, and those whose ends are not acknowledged, by subtask.
    pub attempts: Vec<Known>,
    /// Its reports up to this number are acknowledged.
    pub acked_seq: u64,
    /// The number of its next report that is new.
    pub next_seq: u64,
}

impl OutputAt {
    pub(super) fn put(w: &mut Writer, at: Self) {
        w.u64(at.starter_inc);
        w.u64(at.offset);
    }

    pub(super) fn get(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { starter_inc: r.u64()?, offset: r.u64()? })
    }
}

impl Opening {
    /// The kind of its frame.
    pub(super) const KIND: u8 = 0x20;

    pub(super) fn encode(self, out: &mut Vec<u8>) {
        frame(out, Self::KIND, |w| {
            w.u16(VERSION);
            match self {
                Self::Control => w.u8(1),
                Self::Output { have } => {
                    w.u8(2);
                    put_option(w, have, OutputAt::put);
                }
            }
        });
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if r.u16()? != VERSION {
            return Err(DecodeError::Unknown("version"));
        }
        match r.u8()? {
            1 => Ok(Self::Control),
            2 => Ok(Self::Output { have: get_option(r, OutputAt::get)? }),
            _ => Err(DecodeError::Unknown("kind of connection")),
        }
    }
}

impl Known {
    fn encode(&self, w: &mut Writer) {
        w.u32(self.subtask.0);
        w.u32(self.attempt.0);
        w.u32(self.rank.0);
        put_cpus(w, &self.cpus);
        w.u8(self.phase as u8);
        put_option(w, self.from, put_restart);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            subtask: SubtaskId(r.u32()?),
            attempt: Attempt(r.u32()?),
            rank: Rank(r.u32()?),
            cpus: get_cpus(r)?,
            phase: match r.u8()? {
                0 => KnownPhase::Waiting,
                1 => KnownPhase::Running,
                2 => KnownPhase::Ended,
                _ => return Err(DecodeError::Unknown("phase of an attempt")),
            },
            from: get_option(r, get_restart)?,
        })
    }
}

impl StarterState {
    /// The kind of its frame.
    pub(super) const KIND: u8 = 0x60;

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        frame(out, Self::KIND, |w| {
            w.u16(VERSION);
            w.u64(self.starter_inc);
            w.u32(self.pid);
            put_option(w, self.job, |w, job| w.raw(&job.0));
            w.u8(u8::from(self.lease_over));
            w.u64(self.acked_seq);
            w.u64(self.next_seq);
            w.u32(self.attempts.len() as u32);
            self.attempts.iter().for_each(|known| known.encode(w));
        });
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if r.u16()? != VERSION {
            return Err(DecodeError::Unknown("version"));
        }
        let (starter_inc, pid) = (r.u64()?, r.u32()?);
        let job = get_option(r, |r| Ok(JobUuid(r.array()?)))?;
        let (lease_over, acked_seq, next_seq) = (r.bool()?, r.u64()?, r.u64()?);
        if acked_seq >= next_seq {
            return Err(DecodeError::Impossible("number of a report"));
        }
        let attempts = (0..r.count(KNOWN_BYTES_MIN)?).map(|_| Known::decode(r)).collect::<Result<_, _>>()?;
        Ok(Self { starter_inc, pid, job, lease_over, attempts, acked_seq, next_seq })
    }
}
