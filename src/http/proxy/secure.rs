//! TLS to upstreams: the `proxy_ssl_*` settings and the handshake.

use bstr::BString;

use crate::{conf::inherit, net::stream::Stream};

use super::{fault::Fault, passage::Passage};

/// `proxy_ssl_*`
#[derive(Default)]
pub struct SecureConf {
    pub verify: Option<bool>,
}

impl SecureConf {
    pub fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: verify);
    }
}

/// Performs the handshake over a fresh connection.
pub async fn handshake(
    _p: &Passage<'_>,
    _stream: Stream,
    _host: Option<BString>,
) -> Result<Stream, Fault> {
    Err(Fault::Tls("https is not ready".into()))
}
