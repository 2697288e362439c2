//! Connecting, and the probe that is content with it or with a short conversation.
//!
//! ```text
//!  connect [▶ PROXY line] [▶ "PING\r\n"] [◀ "+PONG" within the first 256 KiB]
//! ```

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Aim, Limits, trace, unresolved};
use crate::health::matching::BODY_MAX_BYTES;
use crate::health::outcome::{Kind, Outcome};
use crate::health::spec::{Expect, TcpProbe};
use crate::net::addr::Addr;
use crate::net::dial::{self, Dial, DialError};
use crate::net::stream::Stream;

pub(super) async fn probe(
    spec: &TcpProbe,
    aim: &Aim<'_>,
    limits: Limits,
) -> Result<Outcome, Outcome> {
    let mut stream = open(aim, limits).await?;
    if !spec.send.is_empty() {
        send(&mut stream, &spec.send, limits).await?;
    }
    match &spec.expect {
        None => Ok(Outcome::new(Kind::Connected)),
        Some(expect) => listen(&mut stream, expect, limits).await,
    }
}

/// Connects to the target and says who is there, if a PROXY protocol header is wanted.
pub(super) async fn open(aim: &Aim<'_>, limits: Limits) -> Result<Stream, Outcome> {
    let addr = aim.target.addr.as_ref().ok_or_else(|| unresolved(aim.target))?;
    let mut stream = connect(addr, limits).await?;
    if aim.resets {
        // A connection that is gone already has nothing to reset.
        let _ = stream.socket().reset_on_close();
    }
    trace::step(|| format!("connected to {addr}"));
    if aim.proxy_protocol {
        let ends = match (stream.local_addr(), stream.peer_addr()) {
            (Ok(Addr::Inet(from)), Ok(Addr::Inet(to))) => Some((from, to)),
            _ => None,
        };
        let line = proxy_line(ends);
        send(&mut stream, line.as_bytes(), limits).await?;
    }
    Ok(stream)
}

pub(super) async fn send(stream: &mut Stream, bytes: &[u8], limits: Limits) -> Result<(), Outcome> {
    trace::bytes("sent", bytes);
    let sending = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    limits.run(sending, Kind::SendFailed, Kind::SendTimeout).await
}

/// Connects; the text of a failure is a cosocket's.
pub(super) async fn connect(addr: &Addr, limits: Limits) -> Result<Stream, Outcome> {
    let how = Dial { timeout: Some(limits.left()), ..Dial::default() };
    dial::connect(addr, &how).await.map_err(|error| match &error {
        _ if error.is_timeout() => Outcome::new(Kind::ConnectTimeout).detail("timeout"),
        DialError::Socket(e) => Outcome::new(Kind::NoSocket).detail(super::error_text(e)),
        _ => match error.io() {
            Some(error) => connect_failed(error),
            None => Outcome::new(Kind::ConnectFailed),
        },
    })
}

/// Why there is no connection.
pub(super) fn connect_failed(error: &std::io::Error) -> Outcome {
    let kind = match error.kind() {
        std::io::ErrorKind::TimedOut => {
            return Outcome::new(Kind::ConnectTimeout).detail("timeout");
        }
        _ if is_ours(error) => Kind::NoSocket,
        _ => Kind::ConnectFailed,
    };
    Outcome::new(kind).detail(super::error_text(error))
}

/// Ports or descriptors used up: that is no fault of the peer.
fn is_ours(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::AddrNotAvailable
        || matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// Linux's numbers; `std` has no stable kinds for them.
pub(super) const EINPROGRESS: i32 = 115;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// Reads until what is expected has come.
async fn listen(stream: &mut Stream, expect: &Expect, limits: Limits) -> Result<Outcome, Outcome> {
    let mut heard = Vec::new();
    let mut buf = [0; 4096];
    loop {
        let reading = stream.read(&mut buf);
        let n = limits.run(reading, Kind::ReceiveFailed, Kind::ReceiveTimeout).await;
        let n = n.map_err(|failed| match heard.is_empty() {
            true => failed,
            false => Outcome::new(Kind::BadBody).detail(&heard),
        })?;
        trace::bytes("received", &buf[..n]);
        heard.extend_from_slice(&buf[..n]);
        if is_heard(expect, &heard) {
            return Ok(Outcome::new(Kind::Passed));
        }
        if n == 0 && heard.is_empty() {
            return Err(Outcome::new(Kind::ReceiveFailed).detail("closed"));
        }
        if n == 0 || heard.len() > BODY_MAX_BYTES {
            return Err(Outcome::new(Kind::BadBody).detail(&heard));
        }
    }
}

fn is_heard(expect: &Expect, heard: &[u8]) -> bool {
    match expect {
        Expect::Text(text) => heard.windows(text.len().max(1)).any(|w| w == text.as_slice()),
        Expect::Match(tests) => tests.expect.as_ref().is_none_or(|test| test.holds(heard)),
    }
}

/// Version 1 of the PROXY protocol: our own address is the client's.
pub(super) fn proxy_line(ends: Option<(SocketAddr, SocketAddr)>) -> String {
    let Some((from, to)) = ends else { return "PROXY UNKNOWN\r\n".to_string() };
    let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from_ip, to_ip) = (from.ip(), to.ip());
    format!("PROXY {family} {from_ip} {to_ip} {} {}\r\n", from.port(), to.port())
}
