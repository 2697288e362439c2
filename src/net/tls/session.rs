//! What is known about a TLS connection once it stands: protocol, cipher, name, the peer's chain.

use rustls::pki_types::CertificateDer;
use rustls::{CommonState, HandshakeKind, NamedGroup, ProtocolVersion};

use super::ciphers;
use crate::net::stream::Stream;

/// The facts of a connection.
#[derive(Clone, Debug)]
pub struct Session {
    /// `TLSv1.3`
    pub protocol: &'static str,
    /// OpenSSL's name of the suite.
    pub cipher: &'static str,
    /// OpenSSL's name of the group keys were exchanged in.
    pub curve: &'static str,
    /// The name the client asked for; only the server's end knows it.
    pub server_name: Option<String>,
    pub alpn: Option<Vec<u8>>,
    pub reused: bool,
    /// The peer's certificates, its own first.
    pub peer_chain: Vec<CertificateDer<'static>>,
}

impl Session {
    /// The facts of this connection; none without TLS.
    pub fn of(stream: &Stream) -> Option<Self> {
        match stream {
            Stream::Plain(_) => None,
            Stream::TlsServer(s) => {
                let connection = s.get_ref().1;
                Some(Self::read(connection, connection.server_name().map(str::to_string)))
            }
            Stream::TlsClient(s) => Some(Self::read(s.get_ref().1, None)),
        }
    }

    /// The number of the protocol version.
    pub fn version(&self) -> u16 {
        match self.protocol {
            "TLSv1.2" => 0x0303,
            "TLSv1.3" => 0x0304,
            _ => 0,
        }
    }

    fn read(state: &CommonState, server_name: Option<String>) -> Self {
        let protocol = match state.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "unknown",
        };
        let suite = state.negotiated_cipher_suite().map(|s| s.suite());
        let chain = state.peer_certificates().unwrap_or_default();
        Self {
            protocol,
            cipher: suite.map_or("", ciphers::name),
            curve: state.negotiated_key_exchange_group().map_or("", |g| curve(g.name())),
            server_name,
            alpn: state.alpn_protocol().map(<[u8]>::to_vec),
            reused: state.handshake_kind() == Some(HandshakeKind::Resumed),
            peer_chain: chain.iter().map(|c| c.clone().into_owned()).collect(),
        }
    }
}

fn curve(group: NamedGroup) -> &'static str {
    match group {
        NamedGroup::X25519 => "X25519",
        NamedGroup::secp256r1 => "prime256v1",
        NamedGroup::secp384r1 => "secp384r1",
        NamedGroup::secp521r1 => "secp521r1",
        NamedGroup::X25519MLKEM768 => "X25519MLKEM768",
        _ => "",
    }
}
