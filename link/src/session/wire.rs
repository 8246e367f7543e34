//! Below the frames: TLS, or nothing on a host's own socket. Bytes in, bytes out; the sockets are the caller's.

use super::LinkError;
use super::outbox::Outbox;
use crate::fingerprint::Fingerprint;
use crate::frames::FrameReader;
use crate::tls::{ALPN, Proved, Verdict};
use rustls::{Connection, Error, ProtocolVersion};
use std::io::{self, Read, Write};

/// What is read from a socket at once, in bytes.
pub(super) const READ_BYTES: usize = 32 << 10;
/// What is given to TLS at once, in bytes; it keeps no more than twice this.
const SEAL_BYTES: usize = 64 << 10;

pub(super) enum Wire {
    Plain,
    Tls { connection: Box<Connection>, verdict: Verdict, own: Fingerprint },
}

impl Wire {
    /// Whether it is still to be proved who the other side is.
    pub(super) fn is_handshaking(&self) -> bool {
        matches!(self, Self::Tls { connection, .. } if connection.is_handshaking())
    }

    /// Whether bytes wait that are not frames: of the handshake, an alert, or sealed already.
    pub(super) fn want_write(&self) -> bool {
        matches!(self, Self::Tls { connection, .. } if connection.wants_write())
    }

    /// Takes bytes from the socket; what they hold goes to `inbox`.
    pub(super) fn feed(&mut self, mut bytes: &[u8], inbox: &mut FrameReader) -> Result<(), LinkError> {
        let Self::Tls { connection, verdict, own } = self else {
            inbox.push(bytes);
            return Ok(());
        };
        while !bytes.is_empty() {
            let taken = connection.read_tls(&mut bytes).map_err(|error| LinkError::Tls(error.to_string()))?;
            let state = connection.process_new_packets().map_err(|error| from_tls(error, verdict, *own))?;
            let mut left = state.plaintext_bytes_to_read();
            while left > 0 {
                let room = inbox.spare(left);
                let n = connection.reader().read(room).unwrap_or(0);
                inbox.filled(left, n);
                left = if n == 0 { 0 } else { left - n };
            }
            if taken == 0 {
                // The other side has said that nothing more comes; what comes nevertheless is nobody's.
                return Ok(());
            }
        }
        Ok(())
    }

    /// Who the other side is, once the handshake has ended; every condition once more, at the one door.
    pub(super) fn proved(&self) -> Result<Option<Proved>, LinkError> {
        let Self::Tls { connection, verdict, .. } = self else { return Ok(None) };
        if connection.is_handshaking() {
            return Ok(None);
        }
        let wrong = |what: &str| LinkError::Tls(what.to_owned());
        if connection.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return Err(wrong("not TLS 1.3"));
        }
        if connection.alpn_protocol() != Some(ALPN) {
            return Err(wrong("it names another protocol, or none"));
        }
        let key = connection.peer_certificates().and_then(<[_]>::first).ok_or(LinkError::NoKey)?;
        let proved = verdict.get().ok_or(LinkError::NoKey)?.clone()?;
        let checked = match &proved {
            Proved::Peer(peer) => peer.fingerprint,
            Proved::Joiner(key) => *key,
        };
        if Fingerprint::of_spki(key) != checked {
            return Err(wrong("its key changed"));
        }
        Ok(Some(proved))
    }

    /// A value that only the two ends of this connection can know.
    pub(super) fn exporter(&self) -> Option<[u8; 32]> {
        let Self::Tls { connection, .. } = self else { return None };
        connection.export_keying_material([0; 32], crate::join::EXPORTER_LABEL, None).ok()
    }

    /// Writes what waits, as far as the socket takes it; tells how many bytes it took. `frames`: whether frames may go.
    pub(super) fn flush(
        &mut self,
        io: &mut dyn Write,
        outbox: &mut Outbox,
        frames: bool,
    ) -> Result<usize, io::Error> {
        let mut sent = 0;
        loop {
            let n = match self {
                Self::Plain if !frames || outbox.is_empty() => return Ok(sent),
                Self::Plain => retry(|| io.write(outbox.front()))?.inspect(|n| outbox.sent(*n)),
                Self::Tls { connection, .. } => {
                    if !connection.wants_write() {
                        if !frames || outbox.is_empty() || connection.is_handshaking() {
                            return Ok(sent);
                        }
                        let front = outbox.front();
                        let piece = &front[..front.len().min(SEAL_BYTES)];
                        let sealed = connection.writer().write(piece)?;
                        outbox.sent(sealed);
                        if sealed == 0 {
                            return Ok(sent);
                        }
                    }
                    retry(|| connection.write_tls(io))?
                }
            };
            match n {
                None => return Ok(sent),
                Some(0) => return Err(io::ErrorKind::WriteZero.into()),
                Some(n) => sent += n,
            }
        }
    }

    /// Says that nothing more comes.
    pub(super) fn close(&mut self) {
        if let Self::Tls { connection, .. } = self {
            connection.send_close_notify();
        }
    }
}

/// Once more when interrupted; `None` when the socket is not ready.
pub(super) fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            other => return other.map(Some),
        }
    }
}

fn from_tls(error: Error, verdict: &Verdict, own: Fingerprint) -> LinkError {
    if let (Error::InvalidCertificate(_), Some(Err(refused))) = (&error, verdict.get()) {
        return refused.clone().into();
    }
    match error {
        Error::NoCertificatesPresented => LinkError::NoKey,
        Error::AlertReceived(alert) => LinkError::Alert { alert: format!("{alert:?}"), own },
        other => LinkError::Tls(other.to_string()),
    }
}
