//! The key pair of a process: made, kept in a file of its own, and used. Ed25519 (RFC 8032).
//!
//! ```text
//! dc-secret-key 1 SEED
//! ```

use crate::base32;
use crate::fingerprint::Fingerprint;
use crate::guarded::{GuardError, Guarded, Secrecy};
use crate::names::{NoRandom, random};
use dc_spool::files::shown;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::fmt;
use std::path::{Path, PathBuf};
use thiserror::Error;
use zeroize::Zeroizing;

const HEAD: &str = "dc-secret-key 1 ";
const FILE_BYTES_MAX: u64 = 256;

/// What stands before the 32 bytes of a public Ed25519 key in its DER form (RFC 8410).
const SPKI_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// What stands before the 32 bytes of a secret one (RFC 8410, PKCS #8 version 1).
const PKCS8_HEAD: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The length of a public key's DER form, in bytes.
pub(crate) const SPKI_BYTES: usize = 44;

/// Why there is no key.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum KeyError {
    /// Its file is not to be believed, or cannot be read or written.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// There is none.
    #[error("there is no key file {}: make one (dcd keygen does)", shown(.0))]
    Missing(PathBuf),
    /// The file is something else.
    #[error("{} is not a secret key of dc: make a new one (dcd keygen does)", shown(.0))]
    Format(PathBuf),
    /// It cannot be made.
    #[error(transparent)]
    Random(#[from] NoRandom),
}

/// A key pair. The secret half is wiped from memory when it is dropped, and never shown.
pub struct KeyPair {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
}

impl KeyPair {
    /// A new one, from the kernel's random numbers.
    ///
    /// # Errors
    /// When there are none.
    pub fn generate() -> Result<Self, NoRandom> {
        Self::from_seed(Zeroizing::new(random()?)).ok_or(NoRandom)
    }

    /// From its 32 secret bytes; `None` for none that can be.
    pub(crate) fn from_seed(seed: Zeroizing<[u8; 32]>) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).ok()?;
        Some(Self { seed, pair })
    }

    /// Reads a key file: a regular file, of mode 0600 or less, with one name, of this user or root, in a directory that
    /// only its owner may change.
    ///
    /// # Errors
    /// When it is missing, not so, or no key.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let file = Guarded::at(path)?;
        let bytes =
            file.read(Secrecy::Secret, FILE_BYTES_MAX)?.ok_or_else(|| KeyError::Missing(path.to_owned()))?;
        let bytes = Zeroizing::new(bytes);
        let seed = bytes.strip_prefix(HEAD.as_bytes()).and_then(|rest| rest.strip_suffix(b"\n"));
        let seed = seed.and_then(base32::get).map(Zeroizing::new);
        seed.and_then(Self::from_seed).ok_or_else(|| KeyError::Format(path.to_owned()))
    }

    /// Writes it as a new file of mode 0600, durably; never over an old one.
    ///
    /// # Errors
    /// When there is a file of that name, or a step fails.
    pub fn write_new(&self, path: &Path) -> Result<(), KeyError> {
        // Room for all of it, so that no copy is left behind by growing.
        let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX as usize));
        text.push_str(HEAD);
        base32::put(&*self.seed, &mut text);
        text.push('\n');
        Ok(Guarded::at(path)?.create(0o600, text.as_bytes())?)
    }

    /// Reads the key file, or makes one where there is none. Of two who do it at once both get the same key.
    ///
    /// # Errors
    /// As [`KeyPair::read`] and [`KeyPair::write_new`].
    pub fn read_or_make(path: &Path) -> Result<Self, KeyError> {
        match Self::read(path) {
            Err(KeyError::Missing(_)) => {}
            other => return other,
        }
        match Self::generate()?.write_new(path) {
            Err(KeyError::Guard(GuardError::File(error))) if error.is_exists() => {}
            other => other?,
        }
        Self::read(path)
    }

    /// What the others know it by.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_spki(&self.spki())
    }

    /// The public half, 32 bytes.
    pub(crate) fn public(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(&self.pair.public_key().as_ref()[..32]);
        out
    }

    /// The public half in DER.
    pub(crate) fn spki(&self) -> [u8; SPKI_BYTES] {
        spki(&self.public())
    }

    /// The secret half in DER, for the TLS library, which wipes its copy.
    pub(crate) fn pkcs8(&self) -> Vec<u8> {
        let mut der = Vec::with_capacity(PKCS8_HEAD.len() + self.seed.len());
        der.extend_from_slice(&PKCS8_HEAD);
        der.extend_from_slice(&*self.seed);
        der
    }

    pub(crate) fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// Signs `message`.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut out = [0; 64];
        out.copy_from_slice(&self.pair.sign(message).as_ref()[..64]);
        out
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({})", self.fingerprint())
    }
}

fn spki(public: &[u8; 32]) -> [u8; SPKI_BYTES] {
    let mut der = [0; SPKI_BYTES];
    der[..12].copy_from_slice(&SPKI_HEAD);
    der[12..].copy_from_slice(public);
    der
}

/// Whether this is an Ed25519 key in its one DER form.
pub(crate) fn is_ed25519_spki(der: &[u8]) -> bool {
    der.len() == SPKI_BYTES && der.starts_with(&SPKI_HEAD)
}

/// Whether `signature` over `message` was made by the owner of `public`.
pub(crate) fn verifies(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, public)
        .verify(message, signature)
        .is_ok()
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
