//! The asking side: what dcd links. Nothing of this is used by the privileged program.

use crate::reply::{self, REPLY_BYTES, Reply, Said, TEXT_AT};
use crate::request::{self, NAME_BYTES_MAX, PROOF_NONE, REQUEST_BYTES, Request, Verb};
use crate::stage::Stage;
use std::fmt;

impl Request {
    /// One without signal, digest, lease and name.
    #[must_use]
    pub fn new(verb: Verb, uid: u32, job: [u8; 16]) -> Self {
        Self { verb, uid, signal: 0, job, digest: [0; 32], first_lease_ms: 0, name: String::new() }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(REQUEST_BYTES + NAME_BYTES_MAX);
        bytes.extend(request::MAGIC);
        bytes.extend(request::VERSION.to_le_bytes());
        bytes.extend([self.verb as u8, PROOF_NONE]);
        bytes.extend(self.uid.to_le_bytes());
        bytes.extend(self.signal.to_le_bytes());
        bytes.extend(self.job);
        bytes.extend(self.digest);
        bytes.extend(u32::try_from(self.name.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend(self.first_lease_ms.to_le_bytes());
        bytes.extend(self.name.as_bytes());
        bytes
    }
}

/// Bytes that are no reply of this version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyError;

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a reply of dc-exec's, or of another version: install both alike")
    }
}

impl std::error::Error for ReplyError {}

impl Reply {
    /// Reads one.
    ///
    /// # Errors
    /// When it is not exactly one.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReplyError> {
        let bytes: &[u8; REPLY_BYTES] = bytes.try_into().map_err(|_| ReplyError)?;
        let word = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        let said = match (bytes[6], bytes[7]) {
            (0, 0) => Said::Done,
            (1, stage) => Said::Refused(Stage::from_number(stage).ok_or(ReplyError)?),
            (2, 0) => Said::Going,
            _ => return Err(ReplyError),
        };
        let length = u32::from_le_bytes(word(12)) as usize;
        let (text, rest) = bytes[TEXT_AT..].split_at_checked(length).ok_or(ReplyError)?;
        let is_text = text.iter().all(|byte| (b' '..=b'~').contains(byte));
        if bytes[..4] != reply::MAGIC[..] || bytes[4..6] != reply::VERSION.to_le_bytes() || !is_text {
            return Err(ReplyError);
        }
        if rest.iter().any(|byte| *byte != 0) {
            return Err(ReplyError);
        }
        let text = String::from_utf8_lossy(text).into_owned();
        Ok(Self { said, errno: i32::from_le_bytes(word(8)), text })
    }
}
