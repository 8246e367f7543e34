//! What is answered, on standard output: one record of 256 bytes, or two.
//!
//! ```text
//! at  0  4 bytes    magic "DCXA"
//!     4  u16        version, 1
//!     6  u8         what: 0 done, 1 refused, 2 about to execute the starter
//!     7  u8         the step that failed, or 0
//!     8  i32        errno, or 0
//!    12  u32        length of the text
//!    16  240 bytes  text for people, then zeroes
//! ```
//!
//! A start answers "about to execute", and what comes then is its success: the end of the file, which the exec makes.
//! A "refused" behind it is the exec's failure. The end of the file alone means that dc-exec itself died.

use crate::stage::{Refused, Stage};
use nix::errno::Errno;

/// Bytes of a reply.
pub const REPLY_BYTES: usize = 256;
pub(crate) const TEXT_AT: usize = 16;
pub(crate) const MAGIC: &[u8; 4] = b"DCXA";
pub(crate) const VERSION: u16 = 1;

/// What a reply says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// All is done.
    Done,
    /// Nothing is, or not all; which step failed.
    Refused(Stage),
    /// The next thing is the exec.
    Going,
}

/// A reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// What it says.
    pub said: Said,
    /// The system's error; 0 is none.
    pub errno: i32,
    /// For people: printable ASCII.
    pub text: String,
}

impl From<&Refused> for Reply {
    fn from(refused: &Refused) -> Self {
        let mut text = refused.line();
        text.truncate(REPLY_BYTES - TEXT_AT);
        Self {
            said: Said::Refused(refused.stage),
            errno: refused.errno.map_or(0, |errno: Errno| errno as i32),
            text,
        }
    }
}

impl Reply {
    /// One without error or text.
    #[must_use]
    pub fn of(said: Said) -> Self {
        Self { said, errno: 0, text: String::new() }
    }

    /// Its bytes; a text that is too long is cut.
    #[must_use]
    pub fn encode(&self) -> [u8; REPLY_BYTES] {
        let mut bytes = [0; REPLY_BYTES];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        (bytes[6], bytes[7]) = match self.said {
            Said::Done => (0, 0),
            Said::Refused(stage) => (1, stage as u8),
            Said::Going => (2, 0),
        };
        bytes[8..12].copy_from_slice(&self.errno.to_le_bytes());
        let text = &self.text.as_bytes()[..self.text.len().min(REPLY_BYTES - TEXT_AT)];
        bytes[12..16].copy_from_slice(&(text.len() as u32).to_le_bytes());
        bytes[TEXT_AT..TEXT_AT + text.len()].copy_from_slice(text);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ReplyError;

    #[test]
    fn golden_bytes_and_back() {
        let refused = Refused { stage: Stage::Gid, errno: Some(Errno::EPERM), why: "x\n".into() };
        let reply = Reply::from(&refused);
        let bytes = reply.encode();
        assert_eq!(bytes[..16], *b"DCXA\x01\x00\x01\x0c\x01\x00\x00\x00\x26\x00\x00\x00");
        assert_eq!(bytes[16..54], *b"setresgid: x?: Operation not permitted");
        assert!(bytes[54..].iter().all(|byte| *byte == 0));
        assert_eq!(Reply::decode(&bytes), Ok(reply));
        for said in [Said::Done, Said::Going] {
            assert_eq!(Reply::decode(&Reply::of(said).encode()), Ok(Reply::of(said)));
        }
    }

    #[test]
    fn a_long_text_is_cut_and_other_bytes_are_no_reply() {
        let refused = Refused::rule(Stage::Config, "ö".repeat(500));
        assert_eq!(Reply::from(&refused).text.len(), 240);
        let good = Reply::of(Said::Done).encode();
        for (at, value) in [(0, b'X'), (4, 2), (6, 3), (7, 1), (12, 241), (255, 1), (15, 1)] {
            let mut bytes = good;
            bytes[at] = value;
            assert_eq!(Reply::decode(&bytes), Err(ReplyError), "byte {at}");
        }
        assert_eq!(Reply::decode(&good[..255]), Err(ReplyError));
    }
}
