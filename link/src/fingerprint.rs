//! A key's fingerprint: what stands for a process of the cluster in every list of who is who.

use crate::base32;
use std::fmt;
use thiserror::Error;

/// SHA-256 of a public key, as the DER form of its SubjectPublicKeyInfo (RFC 8410: 44 bytes for Ed25519).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// Text that is no fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("not a fingerprint: it is `dc:` and 13 groups of 4 letters a-z or digits 2-7, joined by `-`")]
pub struct BadFingerprint;

const PREFIX: &str = "dc:";
const GROUP: usize = 4;

impl Fingerprint {
    /// The fingerprint of a public key's DER form.
    #[must_use]
    pub fn of_spki(spki: &[u8]) -> Self {
        Self(sha256(&[spki]))
    }

    /// Reads what [`fmt::Display`] writes, and nothing else: no other case, no missing group, no space.
    ///
    /// # Errors
    /// [`BadFingerprint`].
    pub fn parse(text: &str) -> Result<Self, BadFingerprint> {
        let rest = text.strip_prefix(PREFIX).ok_or(BadFingerprint)?.as_bytes();
        let letters = base32::letters(32);
        if rest.len() != letters + letters / GROUP - 1 {
            return Err(BadFingerprint);
        }
        let mut plain = Vec::with_capacity(letters);
        for (i, group) in rest.chunks(GROUP + 1).enumerate() {
            let (word, dash) = group.split_at_checked(GROUP).ok_or(BadFingerprint)?;
            let last = i + 1 == letters / GROUP;
            if dash != (if last { &b""[..] } else { b"-" }) {
                return Err(BadFingerprint);
            }
            plain.extend_from_slice(word);
        }
        base32::get(&plain).map(Self).ok_or(BadFingerprint)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        base32::put(&self.0, &mut text);
        f.write_str(PREFIX)?;
        for (i, letter) in text.chars().enumerate() {
            if i > 0 && i % GROUP == 0 {
                f.write_str("-")?;
            }
            write!(f, "{letter}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// SHA-256 of parts one after another.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut out = [0; 32];
    // SHA-256 has 32 bytes.
    out.copy_from_slice(&context.finish().as_ref()[..32]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_each() {
        let print = Fingerprint::of_spki(b"");
        let text = print.to_string();
        assert_eq!(text, "dc:4oym-iquy-7qob-jgx3-6tej-s35z-eqt2-4qpe-msnz-gtfe-swmr-w6cs-xbkq");
        assert_eq!(Fingerprint::parse(&text), Ok(print));
        for bad in [
            text.to_uppercase(),
            text.replace('-', ""),
            text[3..].to_owned(),
            format!("{text}-"),
            format!(" {text}"),
            format!("{text}\n"),
            text[..text.len() - 1].to_owned(),
            text.replacen('-', "a", 1),
            String::new(),
            "dc:".to_owned(),
            format!("{}é", &text[..text.len() - 2]),
        ] {
            assert_eq!(Fingerprint::parse(&bad), Err(BadFingerprint), "{bad:?}");
        }
    }
}
