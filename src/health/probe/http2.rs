//! The probe that asks for a page over HTTP/2: by ALPN over TLS, else with prior knowledge.
//!
//! ```text
//!  kept session? ─ dead ─▶ connect [▶ TLS, ALPN h2] ▶ HEADERS [DATA] ─▶ :status, headers, body
//! ```

use bstr::ByteSlice;
use bytes::Bytes;
use http::{Method, Request, Uri};

use super::kept::{Age, Line, Memory};
use super::session::{Reply, Session, within};
use super::{Aim, Limits, trace};
use crate::health::matching::BODY_MAX_BYTES;
use crate::health::outcome::{Kind, Outcome};
use crate::health::passive::kind_of;
use crate::health::spec::{HttpProbe, Keepalive, Pass};

pub(super) async fn probe(
    spec: &HttpProbe,
    keepalive: Option<&Keepalive>,
    aim: &Aim<'_>,
    limits: Limits,
    memory: &mut Memory,
) -> Result<Outcome, Outcome> {
    let host = aim.host(spec.host.as_ref());
    let head = request(spec, &host)?;
    let body = Bytes::from(spec.body.to_vec());
    let want_bytes = match &spec.pass {
        Pass::Match(tests) if tests.needs_body() => BODY_MAX_BYTES,
        _ => READ_BYTES,
    };
    if let Some((mut session, age)) = memory.take_session(keepalive) {
        let asked = session.ask(head.clone(), body.clone(), want_bytes);
        match within(limits, asked, Kind::BadLine).await {
            Ok(reply) => {
                memory.keep(Line::Http2(session), age, keepalive);
                return judge(spec, &reply);
            }
            Err(failed) if failed.kind == Kind::ReceiveTimeout => return Err(failed),
            Err(_) => trace::step(|| "the kept connection is dead".into()),
        }
    }
    let mut session = Session::open(aim, spec.tls.as_ref(), &host, limits).await?;
    let reply = within(limits, session.ask(head, body, want_bytes), Kind::BadLine).await?;
    trace::step(|| format!("received status {} over HTTP/2", reply.status));
    memory.keep(Line::Http2(session), Age::new(), keepalive);
    judge(spec, &reply)
}

fn request(spec: &HttpProbe, host: &[u8]) -> Result<Request<()>, Outcome> {
    let bad = |e: http::Error| Outcome::new(Kind::NoSocket).detail(e.to_string());
    let scheme = if spec.tls.is_some() { "https" } else { "http" };
    let path = &spec.path[..];
    let uri = Uri::builder().scheme(scheme).authority(host).path_and_query(path).build();
    let method = Method::from_bytes(&spec.method).map_err(|e| bad(e.into()))?;
    let mut request = Request::builder().method(method).uri(uri.map_err(bad)?);
    for line in &spec.headers {
        let (name, value) = line.split_once_str(b":").unwrap_or((line, b""));
        request = request.header(name.to_ascii_lowercase(), value.trim());
    }
    if !spec.body.is_empty() {
        request = request.header("content-length", spec.body.len());
    }
    request.body(()).map_err(bad)
}

fn judge(spec: &HttpProbe, reply: &Reply) -> Result<Outcome, Outcome> {
    let status = reply.status;
    let passed = |kind| Ok(Outcome::new(kind).status(status.into()));
    let Pass::Match(tests) = &spec.pass else { return passed(kind_of(&spec.pass, status)) };
    let values = |name: &[u8]| {
        let name = name.to_str().unwrap_or_default();
        reply.head.get_all(name.to_ascii_lowercase()).iter().map(|v| v.as_bytes()).collect()
    };
    tests.judge_head(status, values)?;
    if tests.needs_body() {
        tests.judge_body(status, &reply.body)?;
    }
    passed(Kind::Passed)
}

/// Of a body that nobody asks for, before the stream is given up.
const READ_BYTES: usize = 64 * 1024;
