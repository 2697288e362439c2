//! The client side: cosockets, `proxy_ssl_*`, probes.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::choosing::Chooser;
use super::ciphers::{Protocols, Suites};
use super::pem::{
    LoadError, Roots, load_certs, load_crls, load_key, load_roots, parse_certs, parse_key,
    passwords,
};
use super::sessions::ClientSession;
use super::verify::{Peer, Trust, VerifyError};
use super::x509::Cert;
use super::{TlsError, provider};
use crate::net::stream::{Socket, Stream};

/// What the directives of a client say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientSpec {
    pub protocols: Protocols,
    pub suites: Suites,
    /// Trust anchors; without them nobody is trusted.
    pub trusted: Option<PathBuf>,
    pub crl: Option<PathBuf>,
    /// nginx's default is 1.
    pub depth: Option<u32>,
    /// A certificate of our own and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// What opens its key.
    pub password_file: Option<PathBuf>,
    pub alpn: Vec<Vec<u8>>,
    /// `proxy_ssl_session_reuse`
    pub no_session_reuse: bool,
}

/// A client's settings, ready for handshakes; cheap to clone.
#[derive(Clone)]
pub struct ClientTls {
    /// None: no protocol version is left to offer.
    config: Option<Arc<ClientConfig>>,
    trust: Trust,
}

impl ClientTls {
    /// Reads the files a specification names.
    pub fn build(spec: &ClientSpec) -> Result<Self, LoadError> {
        let own = match &spec.certificate {
            Some((cert, key)) => {
                let passwords = passwords(spec.password_file.as_deref())?;
                Some((load_certs(cert)?, load_key(key, &passwords)?))
            }
            None => None,
        };
        let roots = match &spec.trusted {
            Some(path) => load_roots(path)?,
            None => Roots { certs: Vec::new(), store: rustls::RootCertStore::empty() },
        };
        let crls = spec.crl.as_deref().map_or(Ok(Vec::new()), load_crls)?;
        let depth = spec.depth.unwrap_or(1);
        let trust = Trust { roots: Arc::new(roots), crls: Arc::new(crls), depth };
        Ok(Self { config: config(spec, own)?, trust })
    }

    /// The same with a certificate of our own given as PEM texts.
    pub fn with_pem(&self, chain: &[u8], key: &[u8]) -> Result<Self, LoadError> {
        let text = || "(text)".to_owned();
        let certs = parse_certs(chain).ok_or_else(|| LoadError::NoCertificate(text()))?;
        let key = parse_key(key).ok_or_else(|| LoadError::NoKey(text()))?;
        self.with_certificate(certs, &key)
    }

    /// The same with another certificate of our own (`tcpsock:setclientcert`).
    pub fn with_certificate(
        &self,
        certs: Vec<CertificateDer<'static>>,
        key: &PrivateKeyDer<'static>,
    ) -> Result<Self, LoadError> {
        let Some(config) = &self.config else { return Ok(self.clone()) };
        let mut config = ClientConfig::clone(config);
        let key = config.crypto_provider().key_provider.load_private_key(key.clone_key());
        let key = key.map_err(|e| LoadError::Refused(e.to_string()))?;
        config.client_auth_cert_resolver = Arc::new(Own(Arc::new(CertifiedKey::new(certs, key))));
        Ok(Self { config: Some(Arc::new(config)), trust: self.trust.clone() })
    }
}

impl ClientTls {
    /// The same, going on with that session and keeping the next one there.
    pub fn with_session(&self, session: &Arc<ClientSession>) -> Self {
        let mut copy = self.clone();
        if let Some(config) = &mut copy.config {
            Arc::make_mut(config).resumption = Resumption::store(session.clone());
        }
        copy
    }

    /// The same with somebody to ask when the server wants a certificate.
    pub(super) fn with_chooser(&self, chooser: Chooser) -> Self {
        let mut copy = self.clone();
        if let Some(config) = &mut copy.config {
            let config = Arc::make_mut(config);
            let chooser = Arc::new(chooser.before(config.client_auth_cert_resolver.clone()));
            config.key_log = chooser.clone();
            config.client_auth_cert_resolver = chooser;
        }
        copy
    }

    /// The same, offering these protocols.
    pub fn with_alpn(&self, names: Vec<Vec<u8>>) -> Self {
        let mut copy = self.clone();
        if let Some(config) = &mut copy.config {
            Arc::make_mut(config).alpn_protocols = names;
        }
        copy
    }

    /// The same with other authorities to judge the server by.
    pub fn with_trusted(&self, authorities: Vec<CertificateDer<'static>>) -> Self {
        let mut copy = self.clone();
        copy.trust.roots = Arc::new(Roots::of(authorities));
        copy
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("depth", &self.trust.depth).finish_non_exhaustive()
    }
}

/// A finished handshake.
#[derive(Debug)]
pub struct Connected {
    pub stream: Stream,
    chain: Vec<CertificateDer<'static>>,
    trust: Trust,
}

impl Connected {
    /// What the server has shown, its own certificate first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// Whether the server's certificate is for this name.
    pub fn is_for(&self, name: &str) -> bool {
        self.chain.first().and_then(|der| Cert::parse(der)).is_some_and(|cert| cert.is_for(name))
    }

    /// Judges the server's certificate, and its name if one is given.
    pub fn verify(&self, name: Option<&str>) -> Result<(), VerifyError> {
        self.trust.judge(Peer::Server, &self.chain, name)
    }
}

/// Shakes hands as a client; `name` goes into SNI when there is one.
///
/// The certificate is not judged here: ask [`Connected::verify`] before sending anything secret.
pub async fn connect(
    socket: Socket,
    tls: &ClientTls,
    name: Option<&str>,
) -> Result<Connected, TlsError> {
    let Some(config) = &tls.config else {
        let why = "error:0A0000BF:SSL routines::no protocols available";
        return Err(TlsError::Handshake(why.into()));
    };
    let sni = name.and_then(|name| ServerName::try_from(name.to_string()).ok());
    let is_name = matches!(sni, Some(ServerName::DnsName(_)));
    let mut config = config.clone();
    if !is_name {
        Arc::make_mut(&mut config).enable_sni = false;
    }
    let unnamed = || ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
    let connector = TlsConnector::from(config);
    let stream = connector.connect(sni.unwrap_or_else(unnamed), socket).await;
    let stream = stream.map_err(TlsError::from_io)?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let chain = chain.iter().map(|c| c.clone().into_owned()).collect();
    Ok(Connected { stream: Stream::TlsClient(Box::new(stream)), chain, trust: tls.trust.clone() })
}

type OwnCertificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn config(
    spec: &ClientSpec,
    own: Option<OwnCertificate>,
) -> Result<Option<Arc<ClientConfig>>, LoadError> {
    let versions = spec.protocols.versions(&spec.suites);
    if versions.is_empty() {
        return Ok(None);
    }
    let refused = |e: Error| LoadError::Refused(e.to_string());
    let provider = Arc::new(provider(&spec.suites));
    let verifier = Arc::new(AnyServer(provider.signature_verification_algorithms));
    let key_provider = provider.key_provider;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(refused)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match own {
        Some((certs, key)) => {
            let key = key_provider.load_private_key(key).map_err(refused)?;
            builder
                .with_client_cert_resolver(Arc::new(Own(Arc::new(CertifiedKey::new(certs, key)))))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols.clone_from(&spec.alpn);
    if spec.no_session_reuse {
        config.resumption = Resumption::disabled();
    }
    Ok(Some(Arc::new(config)))
}

/// Takes every certificate, but insists that the peer holds its key.
#[derive(Debug)]
struct AnyServer(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        holds_key(&self.0, message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if !is_for_tls13(signed.scheme) {
            return Err(rustls::PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        holds_key(&self.0, message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Checks the signature over a handshake with the key of the certificate. The library's own check
/// refuses version 1 certificates; OpenSSL does not.
pub(super) fn holds_key(
    algorithms: &WebPkiSupportedAlgorithms,
    message: &[u8],
    cert: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let bad = || Error::InvalidCertificate(rustls::CertificateError::BadSignature);
    let encoding = || Error::InvalidCertificate(rustls::CertificateError::BadEncoding);
    let (key_id, key) = Cert::parse(cert).and_then(|c| c.key()).ok_or_else(encoding)?;
    let row = algorithms.mapping.iter().find(|row| row.0 == signed.scheme).ok_or_else(bad)?;
    let good = row.1.iter().any(|algorithm| {
        algorithm.public_key_alg_id().as_ref() == key_id
            && algorithm.verify_signature(key, message, signed.signature()).is_ok()
    });
    good.then(HandshakeSignatureValid::assertion).ok_or_else(bad)
}

/// TLS 1.3 forbids PKCS#1 signatures and SHA-1 in handshakes.
pub(super) fn is_for_tls13(scheme: SignatureScheme) -> bool {
    use SignatureScheme as S;
    matches!(
        scheme,
        S::RSA_PSS_SHA256
            | S::RSA_PSS_SHA384
            | S::RSA_PSS_SHA512
            | S::ECDSA_NISTP256_SHA256
            | S::ECDSA_NISTP384_SHA384
            | S::ECDSA_NISTP521_SHA512
            | S::ED25519
            | S::ED448
    )
}

/// One certificate of our own, shown to whoever asks.
#[derive(Debug)]
struct Own(Arc<CertifiedKey>);

impl rustls::client::ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
