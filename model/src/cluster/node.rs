//! dcd and dcsched. dcd dials, tells what it is ([`FromNode::Register`]) and what it runs ([`FromNode::Running`], one a job,
//! then [`FromNode::Settled`]); from there on frames of the starters pass both ways, as they are.
//!
//! A lease: dcd numbers its heartbeats and knows when it sent each, by CLOCK_BOOTTIME; [`ToNode::Lease`] names the number it
//! answers, and the lease counts from that sending. The first one is given with [`ToNode::Welcome`] and counts from the sending of
//! [`FromNode::Register`]. Once it has ended nothing that came on the connection is done any more, not even what came
//! before: dcd hangs up and registers anew. A starter's first lease is dcd's own. Reports of a starter are numbered by the starter, and repeated
//! until they are acknowledged.

use super::data::{NodeAddress, get_peers, put_peers};
use super::lists::{get_cpus, get_list, get_option, get_text, get_topology};
use super::lists::{put_cpus, put_list, put_option, put_restart, put_text, put_topology};
use super::{Kind, NODE_NAME_BYTES_MAX};
use crate::codec::{DecodeError, Reader, Writer};
use crate::{Attempt, CpuSet, JobUuid, Rank, Restart, SubtaskId, Topology};

/// What dcd may send.
pub const FROM_NODE: &[Kind] = &[
    (0x10, "register", 4 << 20),
    (0x11, "running", 8 << 20),
    (0x12, "settled", 0),
    (0x13, "heartbeat", 64),
    (0x14, "report", 8 << 20),
    (0x15, "closed", 64),
    (0x16, "cannot open", 8 << 10),
];

/// What dcsched may send to dcd.
pub const TO_NODE: &[Kind] = &[
    (0x20, "welcome", 64),
    (0x21, "lease", 64),
    (0x22, "open", 15 << 20),
    (0x23, "order", 15 << 20),
    (0x24, "acknowledge", 64),
    (0x25, "close", 64),
    (0x26, "peers", 8 << 20),
];

/// One run of dcd on one boot of a host: what an earlier one was told does not hold for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Incarnation {
    /// /proc/sys/kernel/random/boot_id.
    pub boot: [u8; 16],
    /// Which start of dcd with this state directory it is, from 1.
    pub start: u64,
}

/// How everything of a job can be killed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[repr(u8)]
pub enum KillMode {
    /// By looking for descendants: who flees fast enough may get away.
    #[default]
    Subreaper = 1,
    /// By a control group of the first kind, process by process.
    Cgroup1 = 2,
    /// By cgroup.kill.
    Cgroup2 = 3,
}

/// What can be limited by control groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LimitModes {
    /// Memory.
    pub memory: bool,
    /// Number of processes.
    pub pids: bool,
    /// CPUs.
    pub cpuset: bool,
}

/// A node as it registers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Register {
    /// Its name in the cluster.
    pub name: String,
    /// This run of its dcd.
    pub incarnation: Incarnation,
    /// The newest scheduler's epoch it has seen; one with a lower one must not be obeyed.
    pub epoch_seen: u32,
    /// Where its peer port is reached: host:port; empty when it has none.
    pub address: String,
    /// Allowed cores, caches, domains with their memory; its host's name.
    pub topology: Topology,
    /// All hardware threads and cores of the machine, allowed or not.
    pub threads_all: u32,
    /// See [`Register::threads_all`].
    pub cores_all: u32,
    /// Packages.
    pub packages: u32,
    /// The topology is not the machine's: bindings are recorded and not applied.
    pub synthetic: bool,
    /// Speed as configured, in thousandths of a usual node's; 0: to be measured.
    pub speed_permille: u32,
    /// Memory that ranks may have together, in bytes; 0: all of its domains'.
    pub memory_max_bytes: u64,
    /// How it kills.
    pub kill: KillMode,
    /// What it limits.
    pub limits: LimitModes,
    /// Load average over a minute, in hundredths.
    pub load_centi: u32,
    /// dcd's version, for people.
    pub version: String,
}

/// An attempt that a node has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// Which subtask.
    pub subtask: SubtaskId,
    /// Its attempt.
    pub attempt: Attempt,
    /// Its lane.
    pub rank: Rank,
    /// Its CPUs; empty: not bound.
    pub cpus: CpuSet,
    /// It has ended: its report follows.
    pub ended: bool,
    /// What it went on from, once it was started.
    pub from: Option<Restart>,
}

/// dcd to dcsched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FromNode {
    /// First of all.
    Register(Box<Register>),
    /// What a job's starter has.
    Running {
        /// The job.
        job: JobUuid,
        /// This starter, among all that the job had on the node.
        starter: u64,
        /// What it holds.
        held: Vec<Held>,
    },
    /// That was all.
    Settled,
    /// It lives.
    Heartbeat {
        /// From 1, rising.
        number: u64,
        /// Load average over a minute, in hundredths.
        load_centi: u32,
        /// Ranks that run.
        ranks: u32,
        /// Subtasks done since dcd began.
        done: u64,
        /// Free memory, in bytes.
        memory_free_bytes: u64,
    },
    /// A frame of a starter's: kind and body of a [`crate::wire::FromStarter`].
    Report {
        /// The job.
        job: JobUuid,
        /// The starter.
        starter: u64,
        /// The starter's number for it; 0: not to be acknowledged.
        seq: u64,
        /// Its frame, from the length on.
        frame: Vec<u8>,
    },
    /// The job's starter is gone: by [`ToNode::Close`], or by itself with all it ran.
    Closed {
        /// The job.
        job: JobUuid,
        /// Whether it was told to.
        asked: bool,
    },
    /// The job could not be opened here.
    CannotOpen {
        /// The job.
        job: JobUuid,
        /// Why, for people.
        why: String,
    },
}

/// dcsched to dcd.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToNode {
    /// The answer to [`FromNode::Register`].
    Welcome {
        /// The scheduler's epoch.
        epoch: u32,
        /// The node's number.
        node: u32,
        /// How long a lease is, in ms.
        lease_ms: u64,
        /// Heartbeats are wanted this often, in ms.
        heartbeat_ms: u64,
    },
    /// The lease counts from the sending of this heartbeat.
    Lease {
        /// Which.
        number: u64,
    },
    /// Have a starter for this job. Again for one that has one: nothing.
    Open {
        /// The job.
        job: JobUuid,
        /// Its number.
        id: u64,
        /// Its owner's uid.
        uid: u32,
        /// Its job record, as spool has it.
        record: Vec<u8>,
        /// A frame of [`crate::wire::ToStarter::Hello`], from the length on, with an empty spool: dcd puts its own in.
        hello: Vec<u8>,
    },
    /// Frames of [`crate::wire::ToStarter`], from the first one's length on.
    Order {
        /// The job.
        job: JobUuid,
        /// Them.
        frames: Vec<u8>,
    },
    /// All reports of this starter up to this number are on disk.
    Acknowledge {
        /// The job.
        job: JobUuid,
        /// The starter.
        starter: u64,
        /// The number.
        seq: u64,
    },
    /// Nothing more will be launched here for this job: end its starter.
    Close {
        /// The job.
        job: JobUuid,
        /// Remove its directory on this node too.
        remove: bool,
    },
    /// All nodes of the cluster, this one too: after [`ToNode::Welcome`], and again when they change.
    Peers {
        /// Them, in the order of their names.
        nodes: Vec<NodeAddress>,
    },
}

fn put_held(w: &mut Writer, held: &Held) {
    [held.subtask.0, held.attempt.0, held.rank.0].into_iter().for_each(|v| w.u32(v));
    put_cpus(w, &held.cpus);
    w.u8(u8::from(held.ended));
    put_option(w, held.from, put_restart);
}

fn get_held(r: &mut Reader<'_>) -> Result<Held, DecodeError> {
    Ok(Held {
        subtask: SubtaskId(r.u32()?),
        attempt: Attempt(r.u32()?),
        rank: Rank(r.u32()?),
        cpus: get_cpus(r)?,
        ended: r.bool()?,
        from: get_option(r, super::lists::get_restart)?,
    })
}

impl Register {
    fn encode(&self, w: &mut Writer) {
        put_text(w, &self.name);
        w.raw(&self.incarnation.boot);
        w.u64(self.incarnation.start);
        w.u32(self.epoch_seen);
        put_text(w, &self.address);
        put_topology(w, &self.topology);
        [self.threads_all, self.cores_all, self.packages].into_iter().for_each(|v| w.u32(v));
        w.u8(u8::from(self.synthetic));
        w.u32(self.speed_permille);
        w.u64(self.memory_max_bytes);
        w.u8(self.kill as u8);
        let LimitModes { memory, pids, cpuset } = self.limits;
        w.u8(u8::from(memory) | u8::from(pids) << 1 | u8::from(cpuset) << 2);
        w.u32(self.load_centi);
        put_text(w, &self.version);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            name: get_text(r, NODE_NAME_BYTES_MAX)?,
            incarnation: Incarnation { boot: r.array()?, start: r.u64()? },
            epoch_seen: r.u32()?,
            address: get_text(r, 300)?,
            topology: get_topology(r)?,
            threads_all: r.u32()?,
            cores_all: r.u32()?,
            packages: r.u32()?,
            synthetic: r.bool()?,
            speed_permille: r.u32()?,
            memory_max_bytes: r.u64()?,
            kill: match r.u8()? {
                1 => KillMode::Subreaper,
                2 => KillMode::Cgroup1,
                3 => KillMode::Cgroup2,
                _ => return Err(DecodeError::Unknown("kill mode")),
            },
            limits: match r.u8()? {
                bits @ 0..=7 => {
                    LimitModes { memory: bits & 1 != 0, pids: bits & 2 != 0, cpuset: bits & 4 != 0 }
                }
                _ => return Err(DecodeError::Unknown("limit mode")),
            },
            load_centi: r.u32()?,
            version: get_text(r, 64)?,
        })
    }
}

impl FromNode {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::Register(_) => 0x10,
            Self::Running { .. } => 0x11,
            Self::Settled => 0x12,
            Self::Heartbeat { .. } => 0x13,
            Self::Report { .. } => 0x14,
            Self::Closed { .. } => 0x15,
            Self::CannotOpen { .. } => 0x16,
        }
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let w = &mut Writer::new();
        match self {
            Self::Register(register) => register.encode(w),
            Self::Running { job, starter, held } => {
                w.raw(&job.0);
                w.u64(*starter);
                put_list(w, held, put_held);
            }
            Self::Settled => {}
            Self::Heartbeat { number, load_centi, ranks, done, memory_free_bytes } => {
                w.u64(*number);
                w.u32(*load_centi);
                w.u32(*ranks);
                w.u64(*done);
                w.u64(*memory_free_bytes);
            }
            Self::Report { job, starter, seq, frame } => {
                w.raw(&job.0);
                w.u64(*starter);
                w.u64(*seq);
                w.bytes(frame);
            }
            Self::Closed { job, asked } => {
                w.raw(&job.0);
                w.u8(u8::from(*asked));
            }
            Self::CannotOpen { job, why } => {
                w.raw(&job.0);
                put_text(w, why);
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
            0x10 => Self::Register(Box::new(Register::decode(r)?)),
            0x11 => Self::Running {
                job: JobUuid(r.array()?),
                starter: r.u64()?,
                held: get_list(r, 18, get_held)?,
            },
            0x12 => Self::Settled,
            0x13 => Self::Heartbeat {
                number: r.u64()?,
                load_centi: r.u32()?,
                ranks: r.u32()?,
                done: r.u64()?,
                memory_free_bytes: r.u64()?,
            },
            0x14 => Self::Report {
                job: JobUuid(r.array()?),
                starter: r.u64()?,
                seq: r.u64()?,
                frame: r.bytes()?.to_vec(),
            },
            0x15 => Self::Closed { job: JobUuid(r.array()?), asked: r.bool()? },
            0x16 => Self::CannotOpen { job: JobUuid(r.array()?), why: get_text(r, 4096)? },
            _ => return Err(DecodeError::Unknown("message")),
        };
        r.end()?;
        Ok(message)
    }
}

impl ToNode {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::Welcome { .. } => 0x20,
            Self::Lease { .. } => 0x21,
            Self::Open { .. } => 0x22,
            Self::Order { .. } => 0x23,
            Self::Acknowledge { .. } => 0x24,
            Self::Close { .. } => 0x25,
            Self::Peers { .. } => 0x26,
        }
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let w = &mut Writer::new();
        match self {
            Self::Welcome { epoch, node, lease_ms, heartbeat_ms } => {
                w.u32(*epoch);
                w.u32(*node);
                w.u64(*lease_ms);
                w.u64(*heartbeat_ms);
            }
            Self::Lease { number } => w.u64(*number),
            Self::Open { job, id, uid, record, hello } => {
                w.raw(&job.0);
                w.u64(*id);
                w.u32(*uid);
                w.bytes(record);
                w.bytes(hello);
            }
            Self::Order { job, frames } => {
                w.raw(&job.0);
                w.bytes(frames);
            }
            Self::Acknowledge { job, starter, seq } => {
                w.raw(&job.0);
                w.u64(*starter);
                w.u64(*seq);
            }
            Self::Close { job, remove } => {
                w.raw(&job.0);
                w.u8(u8::from(*remove));
            }
            Self::Peers { nodes } => put_peers(w, nodes),
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
            0x20 => {
                Self::Welcome { epoch: r.u32()?, node: r.u32()?, lease_ms: r.u64()?, heartbeat_ms: r.u64()? }
            }
            0x21 => Self::Lease { number: r.u64()? },
            0x22 => Self::Open {
                job: JobUuid(r.array()?),
                id: r.u64()?,
                uid: r.u32()?,
                record: r.bytes()?.to_vec(),
                hello: r.bytes()?.to_vec(),
            },
            0x23 => Self::Order { job: JobUuid(r.array()?), frames: r.bytes()?.to_vec() },
            0x24 => Self::Acknowledge { job: JobUuid(r.array()?), starter: r.u64()?, seq: r.u64()? },
            0x25 => Self::Close { job: JobUuid(r.array()?), remove: r.bool()? },
            0x26 => Self::Peers { nodes: get_peers(r)? },
            _ => return Err(DecodeError::Unknown("message")),
        };
        r.end()?;
        Ok(message)
    }
}
