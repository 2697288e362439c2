//! `grpc.health.v1.Health/Check` over HTTP/2, with prior knowledge or by ALPN.
//!
//! ```text
//!  HEADERS :path=/grpc.health.v1.Health/Check, DATA [0|len|service] ─▶
//!      ◀─ HEADERS 200, DATA [0|len|status], TRAILERS grpc-status: 0        status 1 is SERVING
//! ```

use bstr::ByteSlice;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request, Uri, header};

use super::kept::{Age, Line, Memory};
use super::session::{self, Session, within};
use super::{Aim, Limits, grpc_watch, trace};
use crate::health::outcome::{Kind, Outcome};
use crate::health::spec::{GrpcProbe, Keepalive};

pub(super) async fn probe(
    spec: &GrpcProbe,
    keepalive: Option<&Keepalive>,
    aim: &Aim<'_>,
    limits: Limits,
    memory: &mut Memory,
) -> Result<Outcome, Outcome> {
    if spec.watch && !memory.no_watch {
        if let Some(outcome) = grpc_watch::probe(spec, aim, limits, memory).await? {
            return Ok(outcome);
        }
        trace::step(|| "no Watch there: asking by Check".into());
        memory.no_watch = true;
    }
    let request = request(spec, aim, CHECK)?;
    let message = frame(&spec.service);
    if let Some((mut session, age)) = memory.take_session(keepalive) {
        let asked = session.ask(request.clone(), message.clone(), MESSAGE_MAX_BYTES);
        match within(limits, asked, Kind::BadGrpc).await {
            Ok(reply) => {
                memory.keep(Line::Http2(session), age, keepalive);
                return Ok(judge(spec, &reply.into()));
            }
            Err(failed) if failed.kind == Kind::ReceiveTimeout => return Err(failed),
            Err(_) => trace::step(|| "the kept connection is dead".into()),
        }
    }
    let host = aim.host(spec.authority.as_ref());
    let mut session = Session::open(aim, spec.tls.as_ref(), &host, limits).await?;
    let asked = session.ask(request, message, MESSAGE_MAX_BYTES);
    let reply = within(limits, asked, Kind::BadGrpc).await?;
    memory.keep(Line::Http2(session), Age::new(), keepalive);
    Ok(judge(spec, &reply.into()))
}

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) http_status: u16,
    pub(super) grpc_status: Option<u32>,
    pub(super) grpc_message: String,
    pub(super) body: BytesMut,
}

impl Reply {
    /// Takes the call's status from the headers or the trailers, whichever has it.
    pub(super) fn read(&mut self, headers: &HeaderMap) {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        if let Some(status) = text("grpc-status").and_then(|t| t.parse().ok()) {
            self.grpc_status = Some(status);
            self.grpc_message = text("grpc-message").unwrap_or_default().to_string();
        }
    }
}

impl From<session::Reply> for Reply {
    fn from(raw: session::Reply) -> Self {
        let mut reply = Self { http_status: raw.status, body: raw.body, ..Self::default() };
        reply.read(&raw.head);
        reply.read(&raw.trailers);
        reply
    }
}

pub(super) fn request(
    spec: &GrpcProbe,
    aim: &Aim<'_>,
    method: &str,
) -> Result<Request<()>, Outcome> {
    // Without a name of its own the authority is the address, with its port.
    let authority = spec.authority.as_ref().map(|a| a.as_slice());
    let authority = authority.unwrap_or(aim.target.name.as_bytes());
    let authority = if authority.starts_with(b"unix:") { b"localhost" } else { authority };
    let scheme = if spec.tls.is_some() { "https" } else { "http" };
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(method).build();
    let request = uri.and_then(|uri| {
        Request::post(uri)
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .header(header::USER_AGENT, USER_AGENT)
            .body(())
    });
    request.map_err(|e| Outcome::new(Kind::NoSocket).detail(e.to_string()))
}

/// One uncompressed message: `HealthCheckRequest { service }`.
pub(super) fn frame(service: &[u8]) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        let mut left = service.len();
        while left > 0x7f {
            message.put_u8((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        message.put_u8(left as u8);
        message.put_slice(service);
    }
    let mut out = BytesMut::with_capacity(5 + message.len());
    out.put_u8(0);
    out.put_u32(message.len() as u32);
    out.put(message);
    out.freeze()
}

pub(super) fn judge(spec: &GrpcProbe, reply: &Reply) -> Outcome {
    if reply.http_status != 200 {
        return Outcome::new(Kind::BadStatus).status(reply.http_status.into());
    }
    let bad = |text: String| Outcome::new(Kind::BadGrpc).detail(text);
    match reply.grpc_status {
        Some(code) if code != 0 && spec.accept.contains(&code) => Outcome::new(Kind::Passed),
        None => bad("no grpc-status".into()),
        Some(0) => match serving_status(&reply.body) {
            Some(status) => judge_status(status),
            None => bad("no HealthCheckResponse".into()),
        },
        Some(code) => bad(format!("grpc-status {code} {}", reply.grpc_message)),
    }
}

/// Only SERVING passes.
pub(super) fn judge_status(status: u64) -> Outcome {
    let words = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
    match words.get(status as usize) {
        Some(&"SERVING") => Outcome::new(Kind::Passed),
        word => Outcome::new(Kind::BadGrpc).detail(word.unwrap_or(&"a status of its own")),
    }
}

/// The status of a `HealthCheckResponse`; an empty message is the default, UNKNOWN.
pub(super) fn serving_status(body: &[u8]) -> Option<u64> {
    let (head, message) = body.split_at_checked(5)?;
    let length = u32::from_be_bytes(head[1..5].try_into().ok()?) as usize;
    let mut message = message.get(..length).filter(|_| head[0] == 0)?;
    let mut status = 0;
    while !message.is_empty() {
        let key = varint(&mut message)?;
        match key & 7 {
            0 => {
                let value = varint(&mut message)?;
                if key >> 3 == 1 {
                    status = value;
                }
            }
            2 => {
                let skip = varint(&mut message)? as usize;
                message = message.get(skip..)?;
            }
            _ => return None,
        }
    }
    Some(status)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let end = message.find_not_byteset(HIGH_BYTES)?;
    let (bytes, rest) = message.split_at(end + 1);
    *message = rest;
    let part = |value: u64, (i, b): (usize, &u8)| value | u64::from(b & 0x7f) << (7 * i.min(9));
    Some(bytes.iter().enumerate().fold(0, part))
}

const CHECK: &str = "/grpc.health.v1.Health/Check";
const USER_AGENT: &str = concat!("moonbeat-health/", env!("CARGO_PKG_VERSION"));
pub(super) const MESSAGE_MAX_BYTES: usize = 4096;
/// Bytes of a number that another one follows.
const HIGH_BYTES: [u8; 128] = {
    let mut bytes = [0; 128];
    let mut i = 0;
    while i < 128 {
        bytes[i] = i as u8 | 0x80;
        i += 1;
    }
    bytes
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        assert_eq!(&frame(b"")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&frame(b"ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(serving_status(&[0, 0, 0, 0, 2, 8, 1]), Some(1));
        assert_eq!(serving_status(&[0, 0, 0, 0, 0]), Some(0));
        assert_eq!(serving_status(&[0, 0, 0, 0, 5, 0x12, 1, b'x', 8, 2]), Some(2));
        for bad in [&[][..], &[0, 0, 0, 0, 2, 8], &[1, 0, 0, 0, 0], &[0, 0, 0, 0, 2, 8, 0x80]] {
            assert_eq!(serving_status(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn verdicts() {
        let reply = |http_status, grpc_status, status: u8| Reply {
            http_status,
            grpc_status,
            grpc_message: "no such".into(),
            body: BytesMut::from(&[0, 0, 0, 0, 2, 8, status][..]),
        };
        let spec = GrpcProbe { accept: vec![12], ..GrpcProbe::default() };
        for (reply, line) in [
            (reply(200, Some(0), 1), "L7OK passed"),
            (reply(200, Some(0), 2), "L7STS not serving: NOT_SERVING"),
            (reply(200, Some(12), 0), "L7OK passed"),
            (reply(200, Some(5), 0), "L7STS not serving: grpc-status 5 no such"),
            (reply(200, None, 1), "L7STS not serving: no grpc-status"),
            (reply(404, None, 1), "L7STS 404 bad status"),
        ] {
            assert_eq!(judge(&spec, &reply).line(), line);
        }
    }
}
