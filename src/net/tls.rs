//! TLS over a `Socket`, and the only room that names the TLS library.
//!
//! ```text
//!  ssl_certificate …  ─▶ ServerSpec ─build─▶ ServerTls ─┐ accept(socket, choose by name)
//!  proxy_ssl_verify … ─▶ ClientSpec ─build─▶ ClientTls ─┴ connect(socket, name) ─▶ Stream, verdict
//! ```
//!
//! A handshake never fails because of a certificate: nginx and OpenResty judge it afterwards, with
//! OpenSSL's words, and so does [`verify`].

mod choosing;
mod ciphers;
mod client;
mod hello;
pub mod ocsp;
mod pem;
mod sealed;
mod server;
mod session;
mod sessions;
mod verify;
mod x509;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::{client as tokio_client, server as tokio_server};

use super::stream::Socket;

pub use self::choosing::{Choice, connect_choosing};
pub use self::ciphers::{Protocols, Suites};
pub use self::client::{ClientSpec, ClientTls, Connected, connect};
pub use self::hello::{First, Hello};
pub use self::pem::{
    LoadError, certs_of, certs_of_der, key_of, key_of_der, load_certs, load_key, passwords,
    system_authorities,
};
pub use self::server::{Certificate, ClientAuth, Refusal, ServerSpec, ServerTls, accept};
pub use self::session::Session;
pub use self::sessions::{ClientSession, Sessions};
pub use self::verify::VerifyError;
pub use self::x509::Cert;

/// Certificates, a peer's own first.
pub type Chain = Vec<rustls::pki_types::CertificateDer<'static>>;

/// A private key.
pub type Key = rustls::pki_types::PrivateKeyDer<'static>;

/// The server's end of a TLS connection.
pub type ServerStream = tokio_server::TlsStream<Socket>;

/// The client's end of a TLS connection.
pub type ClientStream = tokio_client::TlsStream<Socket>;

/// A handshake that did not come to an end.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The peer spoke something wrong, or nothing both sides know.
    #[error("SSL_do_handshake() failed (SSL: {0})")]
    Handshake(String),
    /// The connection ended meanwhile.
    #[error("peer closed connection in SSL handshake")]
    Closed,
    #[error("SSL_do_handshake() failed {}", crate::base::errno::Errno(.0))]
    Io(std::io::Error),
    /// Nobody had a certificate for this name.
    #[error("no certificate for this connection")]
    Refused,
}

impl TlsError {
    fn from_io(error: std::io::Error) -> Self {
        let inner = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
        match inner {
            Some(wrong) => Self::Handshake(words(wrong)),
            None if error.kind() == std::io::ErrorKind::UnexpectedEof => Self::Closed,
            None => Self::Io(error),
        }
    }
}

/// What OpenSSL would call it, for those who grep logs.
fn words(error: &rustls::Error) -> String {
    use rustls::{AlertDescription, Error, PeerIncompatible};
    let known = match error {
        Error::InvalidMessage(_) => "error:0A00010B:SSL routines::wrong version number",
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
            "error:0A0000C1:SSL routines::no shared cipher"
        }
        Error::PeerIncompatible(_) => "error:0A000102:SSL routines::unsupported protocol",
        Error::AlertReceived(AlertDescription::HandshakeFailure) => {
            "error:0A000410:SSL routines::ssl/tls alert handshake failure"
        }
        Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            "error:0A00042E:SSL routines::tlsv1 alert protocol version"
        }
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            "error:0A000458:SSL routines::tlsv1 unrecognized name"
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "error:0A00045C:SSL routines::tlsv13 alert certificate required"
        }
        _ => return error.to_string(),
    };
    format!("{known}: {error}")
}

/// The cryptography behind every configuration, narrowed to the chosen suites.
fn provider(suites: &Suites) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| suites.allows(suite.suite()));
    provider
}

fn default_provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

#[cfg(test)]
mod tests;
