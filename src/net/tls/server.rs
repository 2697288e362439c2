//! The server side: `listen … ssl`, one certificate set for each server block, chosen by name.
//!
//! ```text
//!  socket ─▶ first flight ─▶ Hello {name, alpn} ─ choose ─▶ ServerTls ─▶ rest of the handshake
//!                                       (may wait: ssl_certificate_by_lua)
//! ```

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

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
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::ciphers::{Protocols, Suites};
use super::client::{holds_key, is_for_tls13};
use super::hello::Hello;
use super::pem::{LoadError, Roots, load_certs, load_crls, load_key, load_roots, passwords};
use super::sessions::Sessions;
use super::verify::{Peer, Trust, VerifyError};
use super::x509::Cert;
use super::{TlsError, provider};
use crate::net::stream::{Socket, Stream};

/// What the directives of a server say.
#[derive(Clone, Debug, Default)]
pub struct ServerSpec {
    /// `ssl_certificate` and `ssl_certificate_key`, pair by pair.
    pub certificates: Vec<(PathBuf, PathBuf)>,
    /// `ssl_password_file`
    pub password_file: Option<PathBuf>,
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

    pub(super) fn signer(&self) -> Arc<CertifiedKey> {
        self.0.clone()
    }

    /// The same with an answer of OCSP to staple.
    pub fn with_ocsp(&self, response: Vec<u8>) -> Self {
        let mut copy = CertifiedKey::clone(&self.0);
        copy.ocsp = Some(response);
        Self(Arc::new(copy))
    }

    fn load(cert: &Path, key: &Path, passwords: &[Vec<u8>]) -> Result<Self, LoadError> {
        let mismatch = || LoadError::Mismatch(key.display().to_string());
        let own = Self::new(load_certs(cert)?, load_key(key, passwords)?)
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
    /// What the settings were made from, for those who want them a little different.
    spec: Arc<ServerSpec>,
    names: Arc<[DistinguishedName]>,
}

impl ServerTls {
    /// Reads the files a specification names.
    pub fn build(spec: &ServerSpec) -> Result<Self, LoadError> {
        let passwords = passwords(spec.password_file.as_deref())?;
        let load = |(cert, key): &(PathBuf, PathBuf)| Certificate::load(cert, key, &passwords);
        let loaded: Result<Vec<_>, _> = spec.certificates.iter().map(load).collect();
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
        let config = config(spec, &names, certificates.clone())?;
        let (spec, names) = (Arc::new(spec.clone()), names.into());
        Ok(Self { config, certificates, client_auth: spec.client_auth, trust, spec, names })
    }

    /// The same with other certificates, for one handshake.
    pub fn with_certificates(&self, certificates: Vec<Certificate>) -> Self {
        let certificates: Arc<[Certificate]> = certificates.into();
        let resolver = Arc::new(Own(certificates.clone()));
        let changed = self.changed(|config| config.cert_resolver = resolver);
        Self { certificates, ..changed }
    }

    /// The same with these versions only.
    pub fn with_protocols(&self, protocols: Protocols) -> Result<Self, LoadError> {
        let spec = ServerSpec { protocols, ..ServerSpec::clone(&self.spec) };
        self.rebuilt(spec, self.names.clone())
    }

    /// The same, asking the client for a certificate; `authorities` are named to it, and it is
    /// judged by them and by `trusted`.
    pub fn with_client_auth(
        &self,
        authorities: &[CertificateDer<'static>],
        trusted: &[CertificateDer<'static>],
        depth: Option<u32>,
    ) -> Result<Self, LoadError> {
        let spec =
            ServerSpec { client_auth: ClientAuth::Optional, ..ServerSpec::clone(&self.spec) };
        let named = Roots::of(authorities.to_vec());
        let changed = self.rebuilt(spec, named.store.subjects().into())?;
        let mut trust = self.trust.clone();
        if !authorities.is_empty() || !trusted.is_empty() {
            trust.roots = Arc::new(Roots::of([authorities, trusted].concat()));
        }
        trust.depth = depth.unwrap_or(trust.depth);
        Ok(Self { client_auth: ClientAuth::Optional, trust, ..changed })
    }

    /// The same with the sessions of one handshake in the hands of a script.
    pub fn with_sessions(&self, sessions: &Arc<Sessions>) -> Self {
        self.changed(|config| {
            sessions.stand_before(&config.session_storage);
            config.session_storage = sessions.clone();
            config.send_tls13_tickets = config.send_tls13_tickets.max(TICKETS);
        })
    }

    fn changed(&self, change: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut copy = self.clone();
        if let Some(config) = &mut copy.config {
            change(Arc::make_mut(config));
        }
        copy
    }

    /// Other settings that still know the sessions of these.
    fn rebuilt(
        &self,
        spec: ServerSpec,
        names: Arc<[DistinguishedName]>,
    ) -> Result<Self, LoadError> {
        let mut fresh = config(&spec, &names, self.certificates.clone())?;
        if let (Some(fresh), Some(old)) = (&mut fresh, &self.config) {
            let fresh = Arc::make_mut(fresh);
            fresh.session_storage = old.session_storage.clone();
            fresh.ticketer = old.ticketer.clone();
            fresh.cert_resolver = old.cert_resolver.clone();
        }
        Ok(Self { config: fresh, spec: Arc::new(spec), names, ..self.clone() })
    }

    /// Whether sessions are kept in tickets by clients that can.
    pub fn gives_tickets(&self) -> bool {
        !self.spec.no_tickets
    }

    /// The numbers of the suites both a client that says this hello and these settings know.
    pub fn shared_suites(&self, hello: &Hello) -> Vec<u16> {
        let Some(config) = &self.config else { return Vec::new() };
        let suites = &config.crypto_provider().cipher_suites;
        let known = |number: &u16| suites.iter().any(|own| u16::from(own.suite()) == *number);
        hello.ciphers().into_iter().filter(known).collect()
    }

    /// The version a client that says this hello will speak.
    pub fn version_for(&self, hello: &Hello) -> u16 {
        let offered = hello.supported_versions().unwrap_or_default();
        if self.spec.protocols.tls13 && offered.contains(&TLS13) { TLS13 } else { TLS12 }
    }

    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
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
        self.trust.judge(Peer::Client, chain, None)
    }
}

/// Why the server's side ends a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is nobody of that name here.
    Name,
    /// The code that was to choose a certificate would not.
    Certificate,
    /// The code that was to look at the hello would not go on.
    Hello,
}

/// Shakes hands as a server; `choose` picks the settings when the client has said its name.
pub async fn accept<F, Fut>(socket: Socket, choose: F) -> Result<Stream, TlsError>
where
    F: FnOnce(Hello) -> Fut,
    Fut: Future<Output = Result<ServerTls, Refusal>>,
{
    let started = LazyConfigAcceptor::new(Acceptor::default(), Recorder::new(socket)).await;
    let started = started.map_err(TlsError::from_io)?;
    let Recorder { socket, seen } = started.io;
    let hello = hello(&started.accepted.client_hello(), &seen);
    let chosen = match choose(hello).await {
        Ok(chosen) => chosen,
        Err(refusal) => return Err(refuse(&socket, refusal)),
    };
    let Some(config) = chosen.config else {
        let why = "error:0A0000BF:SSL routines::no protocols available";
        return Err(TlsError::Handshake(why.into()));
    };
    let started = StartHandshake::from_parts(started.accepted, socket);
    let stream = started.into_stream(config).await.map_err(TlsError::from_io)?;
    Ok(Stream::TlsServer(Box::new(stream)))
}

/// Tells the client why, with an alert. It fits the empty send buffer of a young connection; a
/// client that is gone does not miss it.
fn refuse(socket: &Socket, refusal: Refusal) -> TlsError {
    let (alert, error) = match refusal {
        Refusal::Name => (UNRECOGNIZED_NAME, TlsError::Refused),
        Refusal::Certificate => {
            let words = "error:0A000179:SSL routines::cert cb error";
            (INTERNAL_ERROR, TlsError::Handshake(words.into()))
        }
        Refusal::Hello => {
            let words = "error:0A0000EA:SSL routines::callback failed";
            (INTERNAL_ERROR, TlsError::Handshake(words.into()))
        }
    };
    let _ = socket.try_write(&[0x15, 3, 3, 0, 2, 2, alert]);
    error
}

fn hello(said: &ClientHello<'_>, records: &[u8]) -> Hello {
    Hello {
        server_name: said.server_name().map(str::to_string),
        alpn: said.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect(),
        message: Hello::message_of(records),
    }
}

/// A socket that keeps a copy of what was read from it.
struct Recorder {
    socket: Socket,
    seen: Vec<u8>,
}

impl Recorder {
    fn new(socket: Socket) -> Self {
        Self { socket, seen: Vec::new() }
    }
}

impl AsyncRead for Recorder {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let done = Pin::new(&mut self.socket).poll_read(cx, buf);
        self.seen.extend_from_slice(&buf.filled()[before..]);
        done
    }
}

impl AsyncWrite for Recorder {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

fn config(
    spec: &ServerSpec,
    client_roots: &[DistinguishedName],
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
        _ => builder.with_client_cert_verifier(Arc::new(AnyClient {
            algorithms,
            roots: client_roots.to_vec(),
        })),
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

const TLS12: u16 = 0x0303;
const TLS13: u16 = 0x0304;

/// What OpenSSL sends to a client of TLS 1.3.
const TICKETS: usize = 2;

/// Alerts.
const INTERNAL_ERROR: u8 = 80;
const UNRECOGNIZED_NAME: u8 = 112;

/// About what nginx keeps in ten megabytes.
const SESSIONS_MAX: usize = 40_000;
