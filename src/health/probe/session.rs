//! A connection that speaks HTTP/2: requests one after the other, and a task that drives it.
//!
//! ```text
//!   stream ─ preface, SETTINGS ─▶ Session ── ask(head, body) ─▶ Reply { status, body, trailers }
//!                                    └─ its drop ends the task and closes the connection
//! ```

use std::future::poll_fn;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{PingPong, RecvStream};
use http::{HeaderMap, Request};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Aim, Limits, error_text, tcp, tls};
use crate::health::outcome::{Kind, Outcome};
use crate::health::spec::TlsSpec;
use crate::net::stream::Stream;

/// The connection.
pub(super) struct Session {
    sender: SendRequest<Bytes>,
    pings: Option<PingPong>,
    driver: JoinHandle<()>,
}

impl Session {
    /// Connects to the target, over TLS if that is asked for.
    pub(super) async fn open(
        aim: &Aim<'_>,
        wanted: Option<&TlsSpec>,
        host: &[u8],
        limits: Limits,
    ) -> Result<Self, Outcome> {
        let mut stream = tcp::open(aim, limits).await?;
        if let Some(wanted) = wanted {
            let name = aim.sni(wanted, Some(host));
            stream = tls::handshake(stream, wanted, name, aim.tls, limits).await?;
            if !tls::speaks_h2(&stream) {
                return Err(Outcome::new(Kind::TlsFailed).detail("no HTTP/2 by ALPN"));
            }
        }
        within(limits, Self::start(stream), Kind::BadLine).await
    }

    async fn start(stream: Stream) -> Result<Self, h2::Error> {
        let (sender, mut connection) =
            h2::client::Builder::new().enable_push(false).handshake::<_, Bytes>(stream).await?;
        let pings = connection.ping_pong();
        let driver = tokio::spawn(async move { _ = connection.await });
        Ok(Self { sender, pings, driver })
    }

    /// Nothing can be asked on it any more.
    pub(super) fn is_over(&self) -> bool {
        self.driver.is_finished()
    }

    /// Asks, and reads the answer as far as `max_bytes` of its body.
    pub(super) async fn ask(
        &mut self,
        head: Request<()>,
        body: Bytes,
        max_bytes: usize,
    ) -> Result<Reply, h2::Error> {
        let response = self.send(head, body).await?.await?;
        let mut reply = Reply { head: response.headers().clone(), ..Reply::default() };
        reply.status = response.status().as_u16();
        let mut received = response.into_body();
        while let Some(data) = next(&mut received).await? {
            reply.body.put(data);
            if reply.body.len() >= max_bytes {
                reply.body.truncate(max_bytes);
                return Ok(reply);
            }
        }
        if let Some(trailers) = received.trailers().await? {
            reply.trailers = trailers;
        }
        Ok(reply)
    }

    /// Asks; the answer is the caller's to read.
    pub(super) async fn send(
        &mut self,
        head: Request<()>,
        body: Bytes,
    ) -> Result<ResponseFuture, h2::Error> {
        poll_fn(|cx| self.sender.poll_ready(cx)).await?;
        let bodyless = body.is_empty();
        let (response, mut stream) = self.sender.send_request(head, bodyless)?;
        if !bodyless {
            stream.send_data(body, true)?;
        }
        Ok(response)
    }

    /// Asks whether anybody is there.
    pub(super) async fn ping(&mut self) -> Result<(), h2::Error> {
        match &mut self.pings {
            Some(pings) => pings.ping(h2::Ping::opaque()).await.map(drop),
            None => Ok(()),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: HeaderMap,
    pub(super) body: BytesMut,
    pub(super) trailers: HeaderMap,
}

/// The next piece of a body, its window opened again.
pub(super) async fn next(received: &mut RecvStream) -> Result<Option<Bytes>, h2::Error> {
    let Some(data) = received.data().await else { return Ok(None) };
    let data = data?;
    received.flow_control().release_capacity(data.len())?;
    Ok(Some(data))
}

/// Runs one step within the limits; what breaks the protocol's rules is `on_error`.
pub(super) async fn within<T>(
    limits: Limits,
    step: impl Future<Output = Result<T, h2::Error>>,
    on_error: Kind,
) -> Result<T, Outcome> {
    let late = |_| Outcome::new(Kind::ReceiveTimeout).detail("timeout");
    timeout(limits.left(), step).await.map_err(late)?.map_err(|error| match error.get_io() {
        Some(io) => Outcome::new(Kind::ReceiveFailed).detail(error_text(io)),
        None if error.is_io() => Outcome::new(Kind::ReceiveFailed).detail(error.to_string()),
        None => Outcome::new(on_error).detail(error.to_string()),
    })
}

#[cfg(test)]
mod tests;
