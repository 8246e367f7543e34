//! How a new node becomes one of the cluster: by a token that is good once, for a time, on one connection.
//!
//! A token is the seed of a key pair of its own. The scheduler keeps a hash of its public half; the joiner signs with
//! the secret half what only this connection has. So neither the scheduler's file nor what is sent can be used again.

mod file;
mod token;

pub use file::{JoinError, TokenRecord, TokenState, TokensError, TokensFile};
pub use token::{BadToken, Token};

use crate::fingerprint::{Fingerprint, sha256};
use crate::keys::{KeyPair, verifies};
use crate::names::{ClusterId, NAME_BYTES_MAX, Name, Role};
use subtle::ConstantTimeEq as _;

/// Where in RFC 8446's exporter interface the channel's value comes from.
pub(crate) const EXPORTER_LABEL: &[u8] = b"EXPORTER-dc-join-1";
const SIGNED_HEAD: &[u8] = b"dc join 1\0";
const FIXED_BYTES: usize = 16 + 32 + 64 + 1;
/// The longest body of the request, in bytes.
pub(crate) const REQUEST_BYTES_MAX: usize = FIXED_BYTES + NAME_BYTES_MAX;
/// The longest body of the answer, in bytes.
pub(crate) const ANSWER_BYTES_MAX: usize = 2 + NAME_BYTES_MAX;

/// What ties a request to one connection: both keys, and a value that TLS derives from the handshake's secrets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Channel {
    pub(crate) exporter: [u8; 32],
    pub(crate) joiner: Fingerprint,
    pub(crate) server: Fingerprint,
}

/// A request to join, as it came over a session whose handshake has proved the joiner's key. It can be made in no
/// other way, so that whoever has one need not ask where it came from. Nothing else of it is verified yet:
/// [`TokensFile::try_join`] does that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinRequest {
    channel: Channel,
    cluster: ClusterId,
    public: [u8; 32],
    signature: [u8; 64],
    name: Name,
}

impl JoinRequest {
    /// The joiner's key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.channel.joiner
    }

    /// The name it would like to have.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The body that a joiner sends.
    pub(crate) fn body(token: &Token, name: &Name, channel: &Channel) -> Vec<u8> {
        let key = token.key();
        let mut out = Vec::with_capacity(REQUEST_BYTES_MAX);
        out.extend_from_slice(&token.cluster().0);
        out.extend_from_slice(&key.public());
        out.extend_from_slice(&key.sign(&signed(token.cluster(), channel, name)));
        put_name(name, &mut out);
        out
    }

    /// Reads a body; `None` when it is not exactly one.
    pub(crate) fn decode(body: &[u8], channel: Channel) -> Option<Self> {
        let (cluster, rest) = body.split_first_chunk::<16>()?;
        let (public, rest) = rest.split_first_chunk::<32>()?;
        let (signature, rest) = rest.split_first_chunk::<64>()?;
        let name = get_name(rest)?;
        Some(Self { channel, cluster: ClusterId(*cluster), public: *public, signature: *signature, name })
    }

    /// Whether the token's owner signed exactly this, for exactly this connection.
    fn is_proved(&self) -> bool {
        verifies(&self.public, &signed(self.cluster, &self.channel, &self.name), &self.signature)
    }

    fn token_id(&self) -> TokenId {
        TokenId::of(&self.public)
    }
}

fn signed(cluster: ClusterId, channel: &Channel, name: &Name) -> Vec<u8> {
    let mut out = SIGNED_HEAD.to_vec();
    for part in [&cluster.0[..], &channel.exporter, &channel.joiner.0, &channel.server.0] {
        out.extend_from_slice(part);
    }
    put_name(name, &mut out);
    out
}

fn put_name(name: &Name, out: &mut Vec<u8>) {
    // At most 64 bytes.
    out.push(name.as_str().len() as u8);
    out.extend_from_slice(name.as_str().as_bytes());
}

fn get_name(bytes: &[u8]) -> Option<Name> {
    let (len, text) = bytes.split_first()?;
    if text.len() != usize::from(*len) {
        return None;
    }
    Name::parse(std::str::from_utf8(text).ok()?).ok()
}

/// SHA-256 of a token's public key: what the scheduler keeps of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TokenId(pub [u8; 32]);

impl TokenId {
    fn of(public: &[u8; 32]) -> Self {
        Self(sha256(&[public]))
    }

    /// Compares in a time that tells nothing of where the two differ.
    fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// What the scheduler made of a joiner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joined {
    /// Its role from now on.
    pub role: Role,
    /// Its name from now on.
    pub name: Name,
}

impl Joined {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.role as u8];
        put_name(&self.name, &mut out);
        out
    }

    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        let (role, name) = body.split_first()?;
        Some(Self { role: Role::from_number(*role)?, name: get_name(name)? })
    }
}

/// What a joiner is told when it is refused. Whoever does not have the token's secret learns nothing of the token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[repr(u8)]
pub enum JoinRefused {
    /// No such token, or not a proof for this connection.
    #[error("the scheduler does not accept this join token: ask for a new one")]
    NotAccepted = 1,
    /// Too late.
    #[error("this join token has expired: ask for a new one")]
    Expired = 2,
    /// Another key has used it.
    #[error("this join token has been used: each is good once; if it was not you, tell who runs the cluster")]
    Used = 3,
    /// It is another cluster's.
    #[error("this join token is of another cluster than the scheduler's")]
    WrongCluster = 4,
    /// The name belongs to another key.
    #[error("a node of this name is in the cluster already: choose another name, or have that one removed")]
    NameTaken = 5,
    /// The key has a line already.
    #[error("this key is in the cluster already: connect without a token")]
    KeyTaken = 6,
    /// The scheduler could not write it down.
    #[error("the scheduler could not record this node: see its log; the token may be tried again")]
    NotRecorded = 7,
}

impl JoinRefused {
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        use JoinRefused::{Expired, KeyTaken, NameTaken, NotAccepted, NotRecorded, Used, WrongCluster};
        let all = [NotAccepted, Expired, Used, WrongCluster, NameTaken, KeyTaken, NotRecorded];
        all.into_iter().find(|code| *code as u8 == number)
    }
}

/// The public half of a token's seed.
fn token_key(seed: zeroize::Zeroizing<[u8; 32]>) -> Option<KeyPair> {
    KeyPair::from_seed(seed)
}

#[cfg(test)]
mod tests;
