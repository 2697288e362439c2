//! The server side: `listen … ssl`, one certificate set for each server block, chosen by name.
//!
//! ```text
//!  socket ─▶ first flight ─▶ Hello {name, alpn} ─ choose ─▶ ServerTls ─▶ rest of the handshake
//!                                       (may wait: ssl_certificate_by_lua)
//! ```

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{
    Acceptor, ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache,
};
use rustls::sign::CertifiedKey;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureAlgorithm,
    SignatureScheme,
};
use tokio_rustls::LazyConfigAcceptor;

use super::ciphers::{Protocols, Suites};
use super::client::{holds_key, is_for_tls13};
use super::pem::{LoadError, Roots, load_certs, load_crls, load_key, load_roots};
use super::verify::{Trust, VerifyError};
use super::x509::Cert;
use super::{TlsError, provider};
use crate::net::stream::{Socket, Stream};

/// What the directives of a server say.
#[derive(Clone, Debug, Default)]
pub struct ServerSpec {
    /// `ssl_certificate` and `ssl_certificate_key`, pair by pair.
    pub certificates: Vec<(PathBuf, PathBuf)>,
    pub protocols: Protocols,
    pub suites: Suites,
    pub prefer_server_ciphers: bool,
    pub client_auth: ClientAuth,
    /// `ssl_client_certificate`
    pub client_roots: Option<PathBuf>,
    pub trusted: Option<PathBuf>,
    pub crl: Option<PathBuf>,
    pub depth: Option<u32>,
    pub no_tickets: bool,
    /// `ssl_session_cache` is on: sessions are kept here when clients do not keep them in tickets.
    pub session_cache: bool,
    pub alpn: Vec<Vec<u8>>,
}

/// `ssl_verify_client`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    #[default]
    Off,
    On,
    Optional,
    OptionalNoCa,
}

/// A certificate chain and its key, ready to sign.
#[derive(Clone, Debug)]
pub struct Certificate(Arc<CertifiedKey>);

impl Certificate {
    /// Puts together what `ngx.ssl.set_cert` and `set_priv_key` hand over.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, LoadError> {
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)
            .map_err(|e| LoadError::Refused(e.to_string()))?;
        Ok(Self(Arc::new(CertifiedKey::new(chain, key))))
    }

    fn load(cert: &Path, key: &Path) -> Result<Self, LoadError> {
        let mismatch = || LoadError::Mismatch(key.display().to_string());
        let own = Self::new(load_certs(cert)?, load_key(key)?)
            .map_err(|_| LoadError::NoKey(key.display().to_string()))?;
        let of_key = own.0.key.public_key();
        let of_cert = own.0.cert.first().and_then(|der| Cert::parse(der)).and_then(|c| c.key());
        let bits = of_cert.map(|(_, bits)| bits).ok_or_else(mismatch)?;
        // The key of the certificate ends the SubjectPublicKeyInfo of a matching private key.
        match of_key {
            Some(spki) if !spki.as_ref().ends_with(bits) => Err(mismatch()),
            _ => Ok(own),
        }
    }
}

/// A server's settings, ready for handshakes; cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// None: no protocol version is left to offer.
    config: Option<Arc<ServerConfig>>,
    certificates: Arc<[Certificate]>,
    pub client_auth: ClientAuth,
    trust: Trust,
}

impl ServerTls {
    /// Reads the files a specification names.
    pub fn build(spec: &ServerSpec) -> Result<Self, LoadError> {
        let loaded: Result<Vec<_>, _> =
            spec.certificates.iter().map(|(cert, key)| Certificate::load(cert, key)).collect();
        let certificates: Arc<[Certificate]> = loaded?.into();
        let mut roots = Roots { certs: Vec::new(), store: rustls::RootCertStore::empty() };
        let mut names = Vec::new();
        if let Some(path) = &spec.client_roots {
            roots = load_roots(path)?;
            names = roots.store.subjects();
            let mut seen = std::collections::HashSet::new();
            names.retain(|name| seen.insert(name.as_ref().to_vec()));
        }
        if let Some(path) = &spec.trusted {
            let more = load_roots(path)?;
            roots.certs.extend(more.certs);
            roots.store.extend(more.store.roots);
        }
        let crls = spec.crl.as_deref().map_or(Ok(Vec::new()), load_crls)?;
        let depth = spec.depth.unwrap_or(1);
        let trust = Trust { roots: Arc::new(roots), crls: Arc::new(crls), depth };
        let config = config(spec, names, certificates.clone())?;
        Ok(Self { config, certificates, client_auth: spec.client_auth, trust })
    }

    /// The same with other certificates, for one handshake.
    pub fn with_certificates(&self, certificates: Vec<Certificate>) -> Self {
        let certificates: Arc<[Certificate]> = certificates.into();
        let config = self.config.as_ref().map(|config| {
            let mut config = ServerConfig::clone(config);
            config.cert_resolver = Arc::new(Own(certificates.clone()));
            Arc::new(config)
        });
        Self { config, certificates, ..self.clone() }
    }

    /// The same, offering HTTP/2 before everything else, for one handshake.
    pub fn speaking_h2(&self) -> Self {
        let config = self.config.as_ref().map(|config| {
            let mut config = ServerConfig::clone(config);
            config.alpn_protocols.insert(0, b"h2".to_vec());
            Arc::new(config)
        });
        Self { config, ..self.clone() }
    }

    /// Whether there is anything to show.
    pub fn has_certificates(&self) -> bool {
        !self.certificates.is_empty()
    }

    /// Judges a client's certificates, for `$ssl_client_verify`.
    pub fn verify_client(&self, chain: &[CertificateDer<'_>]) -> Result<(), VerifyError> {
        self.trust.judge(chain, None)
    }
}

/// What a client says first.
#[derive(Clone, Debug, Default)]
pub struct Hello {
    pub server_name: Option<String>,
    pub alpn: Vec<Vec<u8>>,
}

/// Shakes hands as a server; `choose` picks the settings when the client has said its name.
pub async fn accept<F, Fut>(socket: Socket, choose: F) -> Result<Stream, TlsError>
where
    F: FnOnce(Hello) -> Fut,
    Fut: Future<Output = Option<ServerTls>>,
{
    let started = LazyConfigAcceptor::new(Acceptor::default(), socket).await;
    let started = started.map_err(TlsError::from_io)?;
    let hello = hello(&started.client_hello());
    let Some(chosen) = choose(hello).await else {
        refuse_name(&started.io);
        return Err(TlsError::Refused);
    };
    let Some(config) = chosen.config else {
        let why = "error:0A0000BF:SSL routines::no protocols available";
        return Err(TlsError::Handshake(why.into()));
    };
    let stream = started.into_stream(config).await.map_err(TlsError::from_io)?;
    Ok(Stream::TlsServer(Box::new(stream)))
}

/// Tells the client why: the alert `unrecognized_name`. It fits the empty send buffer of a young
/// connection; a client that is gone does not miss it.
fn refuse_name(socket: &Socket) {
    let _ = socket.try_write(&[0x15, 3, 3, 0, 2, 2, 112]);
}

fn hello(said: &ClientHello<'_>) -> Hello {
    Hello {
        server_name: said.server_name().map(str::to_string),
        alpn: said.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect(),
    }
}

fn config(
    spec: &ServerSpec,
    client_roots: Vec<DistinguishedName>,
    certificates: Arc<[Certificate]>,
) -> Result<Option<Arc<ServerConfig>>, LoadError> {
    let versions = spec.protocols.versions(&spec.suites);
    if versions.is_empty() {
        return Ok(None);
    }
    let refused = |e: Error| LoadError::Refused(e.to_string());
    let provider = Arc::new(provider(&spec.suites));
    let algorithms = provider.signature_verification_algorithms;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(refused)?;
    let builder = match spec.client_auth {
        ClientAuth::Off => builder.with_no_client_auth(),
        _ => builder
            .with_client_cert_verifier(Arc::new(AnyClient { algorithms, roots: client_roots })),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Own(certificates)));
    config.alpn_protocols.clone_from(&spec.alpn);
    config.ignore_client_order = spec.prefer_server_ciphers;
    if spec.no_tickets && spec.session_cache {
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
    } else if spec.no_tickets {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    } else if let Ok(tickets) = rustls::crypto::aws_lc_rs::Ticketer::new() {
        config.ticketer = tickets;
    }
    Ok(Some(Arc::new(config)))
}

/// The certificates of a server; the first whose key the client can check is shown.
#[derive(Debug)]
struct Own(Arc<[Certificate]>);

impl ResolvesServerCert for Own {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let fits = |c: &&Certificate| c.0.key.choose_scheme(schemes).is_some();
        // RSA and ECDSA side by side: OpenSSL prefers the elliptic one when both will do.
        let elliptic = |c: &&Certificate| c.0.key.algorithm() != SignatureAlgorithm::RSA;
        let mut able = self.0.iter().filter(fits);
        let preferred = able.clone().find(elliptic).or_else(|| able.next());
        preferred.or(self.0.first()).map(|c| c.0.clone())
    }
}

/// Asks for a certificate and takes any: nginx judges it later and answers 400 itself.
#[derive(Debug)]
struct AnyClient {
    algorithms: WebPkiSupportedAlgorithms,
    roots: Vec<DistinguishedName>,
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.roots
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        holds_key(&self.algorithms, message, cert, signed)
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
        holds_key(&self.algorithms, message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// About what nginx keeps in ten megabytes.
const SESSIONS_MAX: usize = 40_000;
