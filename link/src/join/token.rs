//! A join token as it is handed over: whose cluster, which scheduler, and the secret.
//!
//! ```text
//! dcjoin1.CLUSTER.SCHEDULER.SEED
//! ```

use super::{TokenId, token_key};
use crate::base32;
use crate::fingerprint::Fingerprint;
use crate::keys::KeyPair;
use crate::names::{ClusterId, NoRandom};
use std::fmt;
use thiserror::Error;
use zeroize::Zeroizing;

const HEAD: &str = "dcjoin1";

/// Text that is no token; says nothing of it, for it may be nearly one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("not a join token: it is one line that begins with `dcjoin1.`, copied whole")]
pub struct BadToken;

/// A join token. It names the scheduler's key, so that the joiner knows whom it joins before it shows anything. Its
/// secret is never shown by `Debug`, only by [`Token::reveal`].
pub struct Token {
    cluster: ClusterId,
    scheduler: Fingerprint,
    key: KeyPair,
}

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub(crate) fn generate(cluster: ClusterId, scheduler: Fingerprint) -> Result<Self, NoRandom> {
        Ok(Self { cluster, scheduler, key: KeyPair::generate()? })
    }

    /// Reads what [`Token::reveal`] gives, with nothing before or after.
    ///
    /// # Errors
    /// [`BadToken`].
    pub fn parse(text: &str) -> Result<Self, BadToken> {
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or(BadToken);
        if next()? != HEAD {
            return Err(BadToken);
        }
        let cluster = base32::get(next()?.as_bytes()).map(ClusterId).ok_or(BadToken)?;
        let scheduler = base32::get(next()?.as_bytes()).map(Fingerprint).ok_or(BadToken)?;
        let seed = base32::get(next()?.as_bytes()).map(Zeroizing::new).ok_or(BadToken)?;
        if parts.next().is_some() {
            return Err(BadToken);
        }
        Ok(Self { cluster, scheduler, key: token_key(seed).ok_or(BadToken)? })
    }

    /// The text to hand over: a secret until it is used or expires.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::with_capacity(160));
        out.push_str(HEAD);
        for part in [&self.cluster.0[..], &self.scheduler.0, self.key.seed()] {
            out.push('.');
            base32::put(part, &mut out);
        }
        out
    }

    /// Which cluster it is for.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// The key that the scheduler must have.
    #[must_use]
    pub fn scheduler(&self) -> Fingerprint {
        self.scheduler
    }

    /// What the scheduler knows it by.
    #[must_use]
    pub fn id(&self) -> TokenId {
        TokenId::of(&self.key.public())
    }

    pub(crate) fn key(&self) -> &KeyPair {
        &self.key
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(of cluster {}, secret)", self.cluster)
    }
}
