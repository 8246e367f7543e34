//! Which failures are tried again: what `--restart-on` names.

use std::fmt;

/// A kind of failure that may be tried again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Cause {
    /// A signal ended the rank, or it was killed for want of memory.
    Signal = 1,
    /// The node could not launch it, for want of something.
    Node = 2,
    /// The attempt got further than any before it, however it ended then.
    Progress = 4,
    /// It ended by itself, with a status other than 0.
    Exit = 8,
}

impl Cause {
    /// All of them, in the order in which they are written.
    pub const ALL: [Self; 4] = [Self::Signal, Self::Node, Self::Progress, Self::Exit];

    /// Its word on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Node => "node",
            Self::Progress => "progress",
            Self::Exit => "exit",
        }
    }
}

/// A set of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RestartOn(u8);

impl Default for RestartOn {
    fn default() -> Self {
        Self(Cause::Signal as u8 | Cause::Node as u8 | Cause::Progress as u8)
    }
}

impl RestartOn {
    /// Nothing is tried again.
    pub const NONE: Self = Self(0);

    /// Whether it has this one.
    #[must_use]
    pub fn has(self, cause: Cause) -> bool {
        self.0 & cause as u8 != 0
    }

    /// For files: a bit a cause.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// From [`RestartOn::bits`]; none when a bit means nothing.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        let all = Cause::ALL.into_iter().fold(0, |all, cause| all | cause as u8);
        (bits & !all == 0).then_some(Self(bits))
    }

    /// Reads `none`, or words apart by commas; the word that is none is the error.
    ///
    /// # Errors
    /// The first word that is not one of them; the empty one too.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::NONE);
        }
        let bit = |word: &str| {
            let found = Cause::ALL.into_iter().find(|cause| cause.word() == word);
            found.map(|cause| cause as u8).ok_or_else(|| word.to_owned())
        };
        text.split(',').try_fold(0, |all, word| Ok(all | bit(word)?)).map(Self)
    }
}

impl fmt::Display for RestartOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> =
            Cause::ALL.into_iter().filter(|cause| self.has(*cause)).map(Cause::word).collect();
        f.write_str(if words.is_empty() { "none" } else { "" })?;
        f.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_is_written_as_it_is_read() {
        for bits in 0..16 {
            let set = RestartOn::from_bits(bits).unwrap();
            assert_eq!(RestartOn::parse(&set.to_string()), Ok(set));
            assert_eq!(set.bits(), bits);
        }
        assert_eq!(RestartOn::from_bits(16), None);
        assert_eq!(RestartOn::default().to_string(), "signal,node,progress");
        for (text, word) in [("", ""), ("signal,", ""), ("signal,all", "all"), ("none,exit", "none")] {
            assert_eq!(RestartOn::parse(text), Err(word.to_owned()), "{text:?}");
        }
    }
}
