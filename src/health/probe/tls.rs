//! The handshake of a probe, and the probe that wants no more than one.

use bstr::ByteSlice;
use tokio::time::timeout;

use super::{Aim, Limits, tcp, trace};
use crate::health::outcome::{Kind, Outcome};
use crate::health::spec::TlsSpec;
use crate::net::stream::Stream;
use crate::net::tls::{self, ClientTls};

pub(super) async fn probe(
    spec: &TlsSpec,
    aim: &Aim<'_>,
    limits: Limits,
) -> Result<Outcome, Outcome> {
    let stream = tcp::open(aim, limits).await?;
    let name = aim.sni(spec, None);
    handshake(stream, spec, name, aim.tls, limits).await?;
    Ok(Outcome::new(Kind::Shaken))
}

/// Shakes hands; the errors are those of a cosocket's `sslhandshake`, with the reason behind.
pub(super) async fn handshake(
    stream: Stream,
    spec: &TlsSpec,
    name: Option<&[u8]>,
    client: Option<&ClientTls>,
    limits: Limits,
) -> Result<Stream, Outcome> {
    let failed = |text: String| Outcome::new(Kind::TlsFailed).detail(text);
    let (Stream::Plain(socket), Some(client)) = (stream, client) else {
        return Err(failed("no TLS settings".into()));
    };
    let name = name.and_then(|n| n.to_str().ok());
    let shaking = tls::connect(socket, client, name.filter(|_| !spec.silent));
    let Ok(shaken) = timeout(limits.left(), shaking).await else {
        return Err(Outcome::new(Kind::TlsTimeout).detail("timeout"));
    };
    let connected = shaken.map_err(|e| failed(format!("handshake failed: {e}")))?;
    if spec.verify {
        connected.verify(name).map_err(|e| match e.is_name() {
            true => failed("certificate host mismatch".into()),
            false => failed(e.to_string()),
        })?;
    }
    trace::step(|| format!("shook hands, server name {}", name.unwrap_or("-")));
    Ok(connected.stream)
}

/// The handshake ended with HTTP/2 as the protocol.
pub(super) fn speaks_h2(stream: &Stream) -> bool {
    let Stream::TlsClient(tls) = stream else { return false };
    tls.get_ref().1.alpn_protocol() == Some(b"h2")
}
