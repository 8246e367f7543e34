//! A command and a relay: to which node the relay is to connect it. After `opened` the connection carries no frames any
//! more, but the bytes between the command and that node's peer port, which are TLS of their own.
//!
//! Kind 0xc0 comes from who dials, 0xd0 and 0xd1 from the relay.

use super::Kind;
use super::lists::{get_text, put_text};
use crate::codec::{DecodeError, Reader, Writer};

/// The longest address, in bytes: a host's name (RFC 1035), and a port.
pub const ADDRESS_BYTES_MAX: usize = 264;

/// The longest reason, in bytes.
const TEXT_BYTES_MAX: usize = 4096;

/// What who dials may send.
pub const FROM_RELAYED: &[Kind] = &[(0xc0, "connect", ADDRESS_BYTES_MAX + 4)];

/// What the relay sends.
pub const TO_RELAYED: &[Kind] = &[(0xd0, "opened", 0), (0xd1, "refused", TEXT_BYTES_MAX + 4)];

/// Who dials to a relay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FromRelayed {
    /// First of all and once: connect me with this node. Nothing else is sent before the answer.
    Connect {
        /// Where the node's peer port is, as the scheduler tells it, to the letter: nothing else is connected to.
        address: String,
    },
}

/// A relay to who has dialled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToRelayed {
    /// It is done: what follows is the node's.
    Opened,
    /// It is not, and why. The connection ends.
    Refused {
        /// One line.
        text: String,
    },
}

impl FromRelayed {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::Connect { .. } => 0xc0,
        }
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let w = &mut Writer::new();
        match self {
            Self::Connect { address } => put_text(w, address),
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
            0xc0 => Self::Connect { address: get_text(r, ADDRESS_BYTES_MAX)? },
            _ => return Err(DecodeError::Unknown("message")),
        };
        r.end()?;
        Ok(message)
    }
}

impl ToRelayed {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::Opened => 0xd0,
            Self::Refused { .. } => 0xd1,
        }
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let w = &mut Writer::new();
        match self {
            Self::Opened => {}
            Self::Refused { text } => put_text(w, text),
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
            0xd0 => Self::Opened,
            0xd1 => Self::Refused { text: get_text(r, TEXT_BYTES_MAX)? },
            _ => return Err(DecodeError::Unknown("message")),
        };
        r.end()?;
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let connect = FromRelayed::Connect { address: "n1:72".to_owned() };
        assert_eq!((connect.kind(), connect.body()), (0xc0, b"\x05\0\0\0n1:72".to_vec()));
        assert_eq!((ToRelayed::Opened.kind(), ToRelayed::Opened.body()), (0xd0, Vec::new()));
        let refused = ToRelayed::Refused { text: "no".to_owned() };
        assert_eq!((refused.kind(), refused.body()), (0xd1, b"\x02\0\0\0no".to_vec()));
        assert_eq!(FromRelayed::decode(0xc0, &connect.body()), Ok(connect));
        assert_eq!(ToRelayed::decode(0xd0, &[]), Ok(ToRelayed::Opened));
        assert_eq!(ToRelayed::decode(0xd1, &refused.body()), Ok(refused));
    }

    #[test]
    fn nothing_else_is_one() {
        let long = FromRelayed::Connect { address: "n".repeat(ADDRESS_BYTES_MAX + 1) };
        for (kind, body) in [(0xc0, long.body()), (0xc0, b"\x01\0\0\0ab".to_vec()), (0xc0, b"\xff".to_vec())]
        {
            assert!(FromRelayed::decode(kind, &body).is_err(), "{kind:x} {body:?}");
        }
        assert!(FromRelayed::decode(0xc1, &[]).is_err() && ToRelayed::decode(0xd2, &[]).is_err());
        assert!(ToRelayed::decode(0xd0, b"x").is_err());
    }
}
