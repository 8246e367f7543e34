//! The names of things: subtasks, attempts, ranks, jobs, steps and instants, each a type of its own.

use std::fmt;

/// An instant on the job's own monotonic axis, in nanoseconds.
pub type Tick = u64;

/// A kernel's own count of its progress in time; grows within a subtask.
pub type Step = u64;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A subtask of a job, counted from 0. Everything durable is keyed by it, never by rank.
    SubtaskId, u32
}
number! {
    /// One execution of a subtask: 1, 2, 3 … 0 means none yet. The fence of all that is durable.
    Attempt, u32
}
number! {
    /// One of the job's N lanes, 0 … N-1.
    Rank, u32
}

impl SubtaskId {
    /// Its place in a dense vector.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl Attempt {
    /// The attempt after this one.
    ///
    /// # Panics
    /// After 2^32 - 1 attempts, which the limit on restarts rules out.
    #[must_use]
    pub fn next(self) -> Self {
        #[allow(clippy::expect_used)] // A programmer's error: restarts are bounded.
        Self(self.0.checked_add(1).expect("attempts are bounded by --restarts"))
    }
}

/// A checkpoint of a subtask, by the attempt that wrote it and its step. Ordered: the newest is the largest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Restart {
    /// The attempt that wrote it.
    pub attempt: Attempt,
    /// The kernel's step in it.
    pub step: Step,
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {} of attempt {}", self.step, self.attempt)
    }
}

/// A job's name in every file: 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobUuid(pub [u8; 16]);

impl JobUuid {
    /// The number for people: the first 32 bits. Not unique for ever, the uuid is.
    #[must_use]
    pub fn number(self) -> u64 {
        u64::from(u32::from_be_bytes([self.0[0], self.0[1], self.0[2], self.0[3]]))
    }

    /// Reads what [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hex: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
        if hex.len() != 32 || text.len() != 36 {
            return None;
        }
        let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
        let mut out = [0; 16];
        for (byte, pair) in out.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(out))
    }
}

impl fmt::Display for JobUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for JobUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_reads_what_it_writes() {
        let uuid = JobUuid([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        assert_eq!(uuid.to_string(), "00010203-0405-0607-0809-0a0b0c0d0eff");
        assert_eq!(JobUuid::parse(&uuid.to_string()), Some(uuid));
        assert_eq!(uuid.number(), 0x0001_0203);
        assert_eq!(JobUuid::parse("00010203"), None);
        assert_eq!(JobUuid::parse("g0010203-0405-0607-0809-0a0b0c0d0eff"), None);
    }

    #[test]
    fn the_newest_checkpoint_is_the_largest() {
        let at = |attempt, step| Restart { attempt: Attempt(attempt), step };
        assert!(at(2, 10) > at(1, 100));
        assert!(at(2, 11) > at(2, 10));
    }
}
