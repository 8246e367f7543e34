//! TLS 1.3 both ways, with raw public keys (RFC 7250) that are pinned: no certificate, no authority, no name, no date
//! of the other side's own making. What a key may do stands in the peers file alone.

use crate::fingerprint::Fingerprint;
use crate::instant::UnixSeconds;
use crate::keys::{KeyPair, is_ed25519_spki};
use crate::names::{Name, Role};
use crate::peers::{Peer, Peers, Refused};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring as ring_provider, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, DistinguishedName, Error,
    OtherError, ServerConfig, ServerConnection, SignatureScheme,
};
use std::sync::{Arc, OnceLock};

/// The protocol's name inside TLS, so that a connection meant for another service of the same key is none.
pub(crate) const ALPN: &[u8] = b"dc-link/1";

/// Never sent, never looked at: the library wants one.
const NO_NAME: &str = "dc.invalid";

/// Whose keys a side accepts.
#[derive(Clone, Debug)]
pub struct Admission {
    peers: Option<Arc<Peers>>,
    roles: Vec<Role>,
    pinned: Option<Fingerprint>,
    joiners: bool,
}

impl Admission {
    /// Keys of the peers file that have one of these roles.
    #[must_use]
    pub fn of(peers: Arc<Peers>, roles: &[Role]) -> Self {
        Self { peers: Some(peers), roles: roles.to_vec(), pinned: None, joiners: false }
    }

    /// Of these only this key: for one who dials a certain peer.
    #[must_use]
    pub fn only(mut self, fingerprint: Fingerprint) -> Self {
        self.pinned = Some(fingerprint);
        self
    }

    /// Unknown keys too, as [`crate::Party::Joiner`], who may send a join request and nothing else. Say it while there are
    /// tokens that can be used; a key that is listed but expired, or in another role, stays refused.
    #[must_use]
    pub fn or_joiners(mut self, joiners: bool) -> Self {
        self.joiners = joiners;
        self
    }

    /// The scheduler of a token, by its key alone: a joiner has no peers file yet.
    pub(crate) fn scheduler_of_token(fingerprint: Fingerprint) -> Self {
        Self { peers: None, roles: vec![Role::Scheduler], pinned: Some(fingerprint), joiners: false }
    }

    /// The one decision on a key; nothing that the other side says goes into it but the key that it proves.
    fn decide(&self, own: Fingerprint, found: Fingerprint, now: UnixSeconds) -> Result<Proved, Refused> {
        if found == own {
            return Err(Refused::Own(own));
        }
        if let Some(expected) = self.pinned.filter(|expected| *expected != found) {
            return Err(Refused::Pinned { found, expected });
        }
        let Some(peers) = &self.peers else {
            let (role, name) =
                (Role::Scheduler, Name::parse("scheduler").map_err(|_| Refused::Unknown(found))?);
            let pinned = self.pinned.ok_or(Refused::Unknown(found))?;
            return Ok(Proved::Peer(Peer { fingerprint: pinned, role, name, not_after: None, owner: None }));
        };
        match peers.check(found, &self.roles, now) {
            Ok(peer) => Ok(Proved::Peer(peer.clone())),
            Err(Refused::Unknown(_)) if self.joiners => Ok(Proved::Joiner(found)),
            Err(refused) => Err(refused),
        }
    }
}

/// Whose key it is; counts only when the handshake has ended, which proves that the other side has its secret half.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Proved {
    Peer(Peer),
    Joiner(Fingerprint),
}

/// What the verifier of one connection found.
pub(crate) type Verdict = Arc<OnceLock<Result<Proved, Refused>>>;

/// This side of TLS: its key, ready for any number of connections.
#[derive(Clone, Debug)]
pub struct Endpoint {
    key: Arc<CertifiedKey>,
    provider: Arc<CryptoProvider>,
    fingerprint: Fingerprint,
}

impl Endpoint {
    /// With this key pair.
    ///
    /// # Errors
    /// When the TLS library does not take it, which would be a mistake of dc's.
    pub fn new(pair: &KeyPair) -> Result<Self, Error> {
        let mut provider = ring_provider::default_provider();
        provider.cipher_suites.retain(|suite| suite.tls13().is_some());
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.pkcs8()));
        let signer = provider.key_provider.load_private_key(der)?;
        let key = CertifiedKey::new(vec![CertificateDer::from(pair.spki().to_vec())], signer);
        Ok(Self { key: Arc::new(key), provider: Arc::new(provider), fingerprint: pair.fingerprint() })
    }

    /// This side's own key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(crate) fn accept(
        &self,
        admission: Admission,
        now: UnixSeconds,
    ) -> Result<(ServerConnection, Verdict), Error> {
        let verifier = Arc::new(self.verifier(admission, now));
        let verdict = Arc::clone(&verifier.verdict);
        let resolver = AlwaysResolvesServerRawPublicKeys::new(Arc::clone(&self.key));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok((ServerConnection::new(Arc::new(config))?, verdict))
    }

    pub(crate) fn dial(
        &self,
        admission: Admission,
        now: UnixSeconds,
    ) -> Result<(ClientConnection, Verdict), Error> {
        let verifier = Arc::new(self.verifier(admission, now));
        let verdict = Arc::clone(&verifier.verdict);
        let resolver = AlwaysResolvesClientRawPublicKeys::new(Arc::clone(&self.key));
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        config.enable_sni = false;
        let name = ServerName::try_from(NO_NAME).map_err(|_| Error::General("server name".to_owned()))?;
        Ok((ClientConnection::new(Arc::new(config), name)?, verdict))
    }

    fn verifier(&self, admission: Admission, now: UnixSeconds) -> Verifier {
        Verifier {
            admission,
            now,
            own: self.fingerprint,
            algorithms: self.provider.signature_verification_algorithms,
            verdict: Verdict::default(),
        }
    }
}

/// The check of one connection's other side.
#[derive(Debug)]
struct Verifier {
    admission: Admission,
    now: UnixSeconds,
    own: Fingerprint,
    algorithms: WebPkiSupportedAlgorithms,
    verdict: Verdict,
}

impl Verifier {
    fn verify(&self, key: &CertificateDer<'_>, more: &[CertificateDer<'_>]) -> Result<(), Error> {
        let found = if more.is_empty() && is_ed25519_spki(key) {
            self.admission.decide(self.own, Fingerprint::of_spki(key), self.now)
        } else {
            Err(Refused::Kind)
        };
        let result = found.as_ref().map(|_| ()).map_err(|refused| {
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused.clone()))))
        });
        // A second key on one connection: the protocol has none, and the first verdict stands for the session.
        if self.verdict.set(found).is_err() {
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        result
    }

    fn signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let spki = SubjectPublicKeyInfoDer::from(key.as_ref());
        verify_tls13_signature_with_raw_key(message, &spki, signed, &self.algorithms)
    }
}

fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("TLS 1.2 is not spoken here".to_owned()))
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        key: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(key, more).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(key, more).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
