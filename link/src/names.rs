//! Names, roles and the cluster's number: the words that stand beside a fingerprint.

use std::fmt;
use thiserror::Error;

/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// The name of a node, a scheduler or an owner: 1 to 64 of `A-Z a-z 0-9 . _ -`, the first neither `.` nor `-`. So it
/// is safe in a path, a command's arguments and a terminal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// Text that is no name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("not a name: it is 1 to 64 letters, digits, `.`, `_` or `-`, and begins with neither `.` nor `-`")]
pub struct BadName;

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// [`BadName`].
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let first = text.bytes().next().ok_or(BadName)?;
        if matches!(first, b'.' | b'-') || text.len() > NAME_BYTES_MAX || !text.bytes().all(plain) {
            return Err(BadName);
        }
        Ok(Self(text.to_owned()))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a key is for. A key has one role; a process with two has two keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Role {
    /// dcsched.
    Scheduler = 1,
    /// dcd on a node.
    Node = 2,
    /// One user's commands, from wherever they run.
    Client = 3,
    /// A host that may vouch for its users.
    Submit = 4,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Scheduler, Self::Node, Self::Client, Self::Submit];

    /// As it is written in files and messages.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Scheduler => "scheduler",
            Self::Node => "node",
            Self::Client => "client",
            Self::Submit => "submit",
        }
    }

    /// Reads [`Role::text`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.text() == text)
    }

    /// Its number on the wire, as `self as u8`.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|role| *role as u8 == number)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Which cluster: 128 random bits, made once by the scheduler's set-up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub [u8; 16]);

impl ClusterId {
    /// A new one.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub fn random() -> Result<Self, NoRandom> {
        random().map(Self)
    }

    /// Reads what [`fmt::Display`] writes: 32 hexadecimal digits in lower case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|number| Self(number.to_be_bytes()))
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The kernel's random number generator failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the system gives no random numbers (getrandom failed): no key or token can be made here")]
pub struct NoRandom;

/// Random bytes from the kernel.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut out = [0; N];
    getrandom::fill(&mut out).map_err(|_| NoRandom)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_roles_and_clusters_have_one_spelling() {
        for good in ["a", "n-1.x_Y", "0", &"x".repeat(64)] {
            assert_eq!(Name::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", ".a", "-a", "a b", "a/b", "a\n", "é", "a\u{202e}", &"x".repeat(65)] {
            assert_eq!(Name::parse(bad), Err(BadName), "{bad:?}");
        }
        for role in Role::ALL {
            assert_eq!(Role::parse(role.text()), Some(role));
            assert_eq!(Role::from_number(role as u8), Some(role));
        }
        assert_eq!((Role::parse("Node"), Role::from_number(0), Role::from_number(5)), (None, None, None));
        let cluster = ClusterId([7; 16]);
        assert_eq!(ClusterId::parse(&cluster.to_string()), Some(cluster));
        for bad in ["", "+7070707070707070707070707070707", &"A".repeat(32), &"0".repeat(33)] {
            assert_eq!(ClusterId::parse(bad), None, "{bad:?}");
        }
    }
}
