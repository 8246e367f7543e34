//! How ranks are treated that the job record does not say: what a run of the job was asked for anew, and where its
//! standard input is. A scheduler gets it with the record, in the bytes made here.
//!
//! Bytes, little-endian: version u16 = 1; grace_ms u64; unbuffered u8; label u8; openmp u8; stdin as on the wire of the
//! starter; user (length u32, bytes); a launcher or none (u8): family u8, path (length u32, bytes), timeout_ms u64,
//! verbose u8.

use dc_model::MpiFamily;
use dc_model::codec::{DecodeError, Reader, Writer};
use dc_model::wire::Source;

/// The version of the bytes.
const VERSION: u16 = 1;

/// How the ranks of a run are treated.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Manner {
    /// From the signal to SIGKILL, in ms.
    pub grace_ms: u64,
    /// Output is passed on as it is read, not line by line.
    pub unbuffered: bool,
    /// Lines in files begin with their rank.
    pub label: bool,
    /// OpenMP is told of a rank's CPUs.
    pub openmp: bool,
    /// Where standard input comes from.
    pub stdin: Source,
    /// The user's name, where a file's pattern asks for it ([`crate::wants_user`]); else empty.
    pub user: Vec<u8>,
    /// What launches the ranks of an MPI job.
    pub launcher: Option<GangLauncher>,
}

/// What launches the ranks of an MPI job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GangLauncher {
    /// Whose it is.
    pub family: MpiFamily,
    /// Its file, absolute.
    pub path: Vec<u8>,
    /// How long all ranks may take to be there, in ms.
    pub timeout_ms: u64,
    /// Whether what it says itself is passed on in any case.
    pub verbose: bool,
}

impl Manner {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let w = &mut Writer::new();
        w.u16(VERSION);
        w.u64(self.grace_ms);
        w.u8(u8::from(self.unbuffered));
        w.u8(u8::from(self.label));
        w.u8(u8::from(self.openmp));
        self.stdin.encode(w);
        w.bytes(&self.user);
        w.u8(u8::from(self.launcher.is_some()));
        if let Some(launcher) = &self.launcher {
            w.u8(launcher.family as u8);
            w.bytes(&launcher.path);
            w.u64(launcher.timeout_ms);
            w.u8(u8::from(launcher.verbose));
        }
        std::mem::take(&mut w.bytes)
    }

    /// From its bytes, all of them.
    ///
    /// # Errors
    /// When they are of another version, or not what [`Manner::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(bytes);
        if r.u16()? != VERSION {
            return Err(DecodeError::Unknown("version"));
        }
        let manner = Self {
            grace_ms: r.u64()?,
            unbuffered: r.bool()?,
            label: r.bool()?,
            openmp: r.bool()?,
            stdin: Source::decode(r)?,
            user: r.bytes()?.to_vec(),
            launcher: if r.bool()? { Some(launcher(r)?) } else { None },
        };
        r.end()?;
        Ok(manner)
    }
}

fn launcher(r: &mut Reader<'_>) -> Result<GangLauncher, DecodeError> {
    Ok(GangLauncher {
        family: MpiFamily::from_number(r.u8()?).ok_or(DecodeError::Unknown("MPI"))?,
        path: r.bytes()?.to_vec(),
        timeout_ms: r.u64()?,
        verbose: r.bool()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dc_model::SubtaskId;

    fn full() -> Manner {
        Manner {
            grace_ms: 30_000,
            unbuffered: true,
            label: false,
            openmp: true,
            stdin: Source::Relay { only: Some(SubtaskId(0)) },
            user: b"me".to_vec(),
            launcher: Some(GangLauncher {
                family: MpiFamily::OpenMpi,
                path: b"/m".to_vec(),
                timeout_ms: 5,
                verbose: true,
            }),
        }
    }

    #[test]
    fn bytes_stay_as_they_are() {
        let golden = [
            1, 0, // version
            0x30, 0x75, 0, 0, 0, 0, 0, 0, // grace
            1, 0, 1, // unbuffered, label, openmp
            3, 1, 0, 0, 0, 0, // stdin: relayed to subtask 0
            2, 0, 0, 0, b'm', b'e', // user
            1, 1, 2, 0, 0, 0, b'/', b'm', 5, 0, 0, 0, 0, 0, 0, 0, 1, // launcher
        ];
        assert_eq!(full().encode(), golden);
        assert_eq!(Manner::decode(&golden), Ok(full()));
        assert_eq!(Manner::decode(&Manner::default().encode()), Ok(Manner::default()));
    }

    #[test]
    fn what_is_torn_or_changed_is_refused_or_read_and_never_a_panic() {
        let bytes = full().encode();
        for end in 0..bytes.len() {
            assert!(Manner::decode(&bytes[..end]).is_err(), "{end}");
        }
        for at in 0..bytes.len() {
            for value in 0..=255 {
                let mut other = bytes.clone();
                other[at] = value;
                if let Ok(manner) = Manner::decode(&other) {
                    assert_eq!(manner.encode(), other, "byte {at} is {value}");
                }
            }
        }
        assert_eq!(Manner::decode(&[bytes, vec![0]].concat()), Err(DecodeError::Trailing));
        assert_eq!(Manner::decode(&[2, 0]), Err(DecodeError::Unknown("version")));
    }
}
