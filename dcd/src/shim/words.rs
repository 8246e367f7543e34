//! What a rank's shim and the starter say to each other, a datagram each over a socket that keeps their bounds. What
//! may be long (arguments, environment) goes in a memory file beside it.

use crate::launch::{Launched, Refused};
use crate::process::calls::End;
use dc_model::codec::{DecodeError, Reader, Writer};
use dc_model::{CpuSet, LaunchStage};
use nix::unistd::Pid;

/// The longest datagram, in bytes.
pub const WORD_BYTES_MAX: usize = 16 << 10;
/// The variable that tells a shim where its starter is: the socket's name and the token, in hexadecimal.
pub const GANG_VARIABLE: &str = "DC_GANG";
/// The starter's first argument that makes it a shim.
pub const SHIM_WORD: &str = "rank";
/// Bytes of a token.
pub const TOKEN_BYTES: usize = 16;

/// A shim to its starter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FromShim {
    /// First of all.
    Hello {
        /// What proves that this starter's launcher started it.
        token: [u8; TOKEN_BYTES],
        /// Its rank, as its MPI has it.
        rank: u32,
        /// How many ranks its MPI has.
        size: u32,
    },
    /// The kernel's exec has succeeded.
    Started(Launched),
    /// It has not.
    Refused(Refused),
    /// The kernel has ended, and is not reaped.
    Ended(End),
}

/// What the kernel is to be; the descriptors come with it: this, standard output, standard error, and input.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Orders {
    /// The kernel's file.
    pub program: Vec<u8>,
    /// Its arguments, argv\[0\] first.
    pub argv: Vec<Vec<u8>>,
    /// Variables on top of what the launcher has set.
    pub env: Vec<Vec<u8>>,
    /// The directory to enter.
    pub cwd: Option<Vec<u8>>,
    /// CPUs to bind it to; empty: not bound.
    pub cpus: CpuSet,
    /// The NUMA node to prefer memory from.
    pub numa: Option<u32>,
    /// The limits of open files it begins with.
    pub files_max: Option<(u64, u64)>,
}

/// The starter's datagram with the orders' descriptors.
pub const GO: u8 = 1;
/// The starter's datagram after the kernel's end: it may be reaped.
pub const REAP: u8 = 2;

fn put_cpus(w: &mut Writer, cpus: &CpuSet) {
    w.u32(cpus.words().len() as u32);
    cpus.words().iter().for_each(|word| w.u64(*word));
}

fn get_cpus(r: &mut Reader<'_>) -> Result<CpuSet, DecodeError> {
    Ok(CpuSet::from_words((0..r.count(8)?).map(|_| r.u64()).collect::<Result<_, _>>()?))
}

impl FromShim {
    /// As a datagram.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Hello { token, rank, size } => {
                w.u8(1);
                w.raw(token);
                w.u32(*rank);
                w.u32(*size);
            }
            Self::Started(launched) => {
                w.u8(2);
                w.i32(launched.pid.as_raw());
                w.i32(launched.memory_refused.unwrap_or(0));
                w.u8(u8::from(launched.bound.is_some()));
                put_cpus(&mut w, &launched.bound.clone().unwrap_or_default());
            }
            Self::Refused(refused) => {
                w.u8(3);
                w.u8(refused.stage as u8);
                w.i32(refused.errno);
            }
            Self::Ended(End::Exited(status)) => [4, *status].into_iter().for_each(|v| w.u8(v)),
            Self::Ended(End::Signalled(signal)) => [5, *signal].into_iter().for_each(|v| w.u8(v)),
        }
        w.bytes
    }

    /// From a datagram.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(bytes);
        let word = match r.u8()? {
            1 => Self::Hello { token: r.array()?, rank: r.u32()?, size: r.u32()? },
            2 => {
                let pid = r.i32()?;
                if pid <= 1 {
                    return Err(DecodeError::Impossible("process"));
                }
                let memory = r.i32()?;
                let is_bound = r.bool()?;
                let cpus = get_cpus(r)?;
                Self::Started(Launched {
                    pid: Pid::from_raw(pid),
                    memory_refused: (memory != 0).then_some(memory),
                    bound: is_bound.then_some(cpus),
                })
            }
            3 => Self::Refused(Refused {
                stage: LaunchStage::from_number(r.u8()?).ok_or(DecodeError::Unknown("launch stage"))?,
                errno: r.i32()?,
            }),
            4 => Self::Ended(End::Exited(r.u8()?)),
            5 => Self::Ended(End::Signalled(r.u8()?)),
            _ => return Err(DecodeError::Unknown("message")),
        };
        r.end()?;
        Ok(word)
    }
}

impl Orders {
    /// As the memory file holds them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(&self.program);
        for list in [&self.argv, &self.env] {
            w.u32(list.len() as u32);
            list.iter().for_each(|item| w.bytes(item));
        }
        w.u8(u8::from(self.cwd.is_some()));
        w.bytes(self.cwd.as_deref().unwrap_or_default());
        put_cpus(&mut w, &self.cpus);
        w.u8(u8::from(self.numa.is_some()));
        w.u32(self.numa.unwrap_or(0));
        let (soft, hard) = self.files_max.unwrap_or((0, 0));
        w.u8(u8::from(self.files_max.is_some()));
        w.u64(soft);
        w.u64(hard);
        w.bytes
    }

    /// From what a memory file holds.
    ///
    /// # Errors
    /// When these are no orders.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(bytes);
        let program = r.bytes()?.to_vec();
        let mut list = || -> Result<Vec<Vec<u8>>, DecodeError> {
            (0..r.count(4)?).map(|_| r.bytes().map(<[u8]>::to_vec)).collect()
        };
        let (argv, env) = (list()?, list()?);
        let (has_cwd, cwd) = (r.bool()?, r.bytes()?.to_vec());
        let cpus = get_cpus(r)?;
        let (has_numa, numa) = (r.bool()?, r.u32()?);
        let (has_files, soft, hard) = (r.bool()?, r.u64()?, r.u64()?);
        r.end()?;
        Ok(Self {
            program,
            argv,
            env,
            cwd: has_cwd.then_some(cwd),
            cpus,
            numa: has_numa.then_some(numa),
            files_max: has_files.then_some((soft, hard)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_and_damaged_ones_do_no_harm() {
        let launched = Launched {
            pid: Pid::from_raw(77),
            memory_refused: Some(1),
            bound: Some(CpuSet::from_iter([1, 70])),
        };
        for word in [
            FromShim::Hello { token: [7; TOKEN_BYTES], rank: 1, size: 2 },
            FromShim::Started(launched),
            FromShim::Refused(Refused { stage: LaunchStage::Exec, errno: 2 }),
            FromShim::Ended(End::Exited(3)),
            FromShim::Ended(End::Signalled(9)),
        ] {
            let bytes = word.encode();
            assert_eq!(FromShim::decode(&bytes), Ok(word));
            for at in 0..bytes.len() * 8 {
                let mut damaged = bytes.clone();
                damaged[at / 8] ^= 1 << (at % 8);
                let _ = FromShim::decode(&damaged);
                let _ = FromShim::decode(&bytes[..at / 8]);
            }
        }
        let orders = Orders {
            program: b"/k".to_vec(),
            argv: vec![b"k".to_vec(), Vec::new()],
            env: vec![b"A=1".to_vec()],
            cwd: Some(b"/".to_vec()),
            cpus: CpuSet::from_iter([3]),
            numa: Some(1),
            files_max: Some((1, 2)),
        };
        assert_eq!(Orders::decode(&orders.encode()), Ok(orders));
        assert_eq!(Orders::decode(&Orders::default().encode()), Ok(Orders::default()));
    }
}
