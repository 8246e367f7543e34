//! What a process is given by its parent besides environment and directory: resource limits and the umask.

use crate::codec::{DecodeError, Reader, Writer};

/// One resource's limits; `u64::MAX` is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// Its number on this system (RLIMIT_…).
    pub resource: u8,
    /// What holds.
    pub soft: u64,
    /// How far that may be raised.
    pub hard: u64,
}

/// All of it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Limits {
    /// Permissions that new files do not get.
    pub umask: u32,
    /// By rising numbers of resources.
    pub list: Vec<Limit>,
}

impl Limits {
    /// Its bytes in messages and in the job record.
    pub fn encode(&self, w: &mut Writer) {
        w.u32(self.umask);
        w.u32(self.list.len() as u32);
        for limit in &self.list {
            w.u8(limit.resource);
            w.u64(limit.soft);
            w.u64(limit.hard);
        }
    }

    /// Reads them.
    ///
    /// # Errors
    /// When they are not [`Limits::encode`]'s.
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let umask = r.u32()?;
        if umask > 0o777 {
            return Err(DecodeError::Impossible("umask"));
        }
        let mut list: Vec<Limit> = Vec::new();
        for _ in 0..r.count(17)? {
            let limit = Limit { resource: r.u8()?, soft: r.u64()?, hard: r.u64()? };
            if list.last().is_some_and(|last| last.resource >= limit.resource) || limit.soft > limit.hard {
                return Err(DecodeError::Impossible("limit"));
            }
            list.push(limit);
        }
        Ok(Self { umask, list })
    }
}
