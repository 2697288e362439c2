//! Asks for a page and judges the answer: its status, and as far as wanted its headers and body.
//!
//! ```text
//!  GET /health HTTP/1.1 ─▶ 505? once more with 1.0 ─▶ status ─▶ lists | match ─▶ Outcome
//! ```

use bstr::{BString, ByteVec};

use super::{Aim, Limits, answer, raw, tcp, tls};
use crate::health::outcome::{Kind, Outcome};
use crate::health::passive::kind_of;
use crate::health::spec::{HeadOrder, HttpProbe, Pass, Version};

pub(super) async fn probe(
    spec: &HttpProbe,
    aim: &Aim<'_>,
    limits: Limits,
    other_version: &mut bool,
) -> Result<Outcome, Outcome> {
    if spec.version != Version::Adaptive {
        return exchange(spec, aim, limits, spec.version == Version::V10).await;
    }
    let first = exchange(spec, aim, limits, *other_version).await?;
    let refused = match (first.kind, first.status) {
        (Kind::Passed, _) => false,
        (_, Some(505)) => true,
        (_, Some(426)) => *other_version,
        _ => false,
    };
    if !refused {
        return Ok(first);
    }
    let told = retry_words(first.status.unwrap_or_default(), *other_version);
    match exchange(spec, aim, limits, !*other_version).await {
        Ok(second) if second.kind == Kind::Passed => {
            *other_version = !*other_version;
            Ok(second.detail(told))
        }
        _ => Ok(first.detail(told)),
    }
}

/// What people read about a probe that was sent twice.
fn retry_words(status: u64, old: bool) -> String {
    let (version, other) = if old { ("1.0", "1.1") } else { ("1.1", "1.0") };
    format!("returned {status} on HTTP/{version}, retrying with HTTP/{other}")
}

async fn exchange(
    spec: &HttpProbe,
    aim: &Aim<'_>,
    limits: Limits,
    old: bool,
) -> Result<Outcome, Outcome> {
    let host = aim.host(spec.host.as_ref());
    let mut stream = tcp::open(aim, limits).await?;
    if let Some(wanted) = &spec.tls {
        let name = aim.sni(wanted, Some(&host));
        stream = tls::handshake(stream, wanted.verify, name, aim.tls, limits).await?;
    }
    tcp::send(&mut stream, &request(spec, &host, old), limits).await?;
    match &spec.pass {
        Pass::Match(tests) => {
            answer::judge(&mut stream, tests, spec.method == "HEAD", limits).await
        }
        Pass::Statuses(_) => {
            let status = answer::status(&mut stream, limits).await?;
            Ok(Outcome::new(kind_of(&spec.pass, status)).status(status.into()))
        }
        // The Lua libraries look at the first line, whatever it says.
        Pass::AnyLine | Pass::TwoLists { .. } => {
            let line = raw::read_line(&mut stream, limits).await?;
            Ok(match raw::status_of(&line).and_then(|s| s.try_into().ok()) {
                Some(status) => Outcome::new(kind_of(&spec.pass, status)).status(status.into()),
                None if spec.pass == Pass::AnyLine => Outcome::new(Kind::Passed),
                None => Outcome::new(Kind::BadLine).detail(&line),
            })
        }
    }
}

/// The request, in the order of the dialect.
pub(super) fn request(spec: &HttpProbe, host: &[u8], old: bool) -> BString {
    let mut out = BString::default();
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|p| out.push_str(p));
    let version: &[u8] = if old { b" HTTP/1.0\r\n" } else { b" HTTP/1.1\r\n" };
    put(&[&spec.method, b" ", &spec.path, version]);
    let connection: &[u8] = match spec.keepalive_requests {
        0 | 1 => b"Connection: close\r\n",
        _ => b"Connection: keep-alive\r\n",
    };
    let put_host = |put: &mut dyn FnMut(&[&[u8]])| put(&[b"Host: ", host, b"\r\n"]);
    if !old {
        if spec.order == HeadOrder::HostFirst {
            put_host(&mut put);
        }
        put(&[connection]);
    }
    for line in &spec.headers {
        put(&[line, b"\r\n"]);
    }
    if !spec.body.is_empty() {
        put(&[format!("Content-Length: {}\r\n", spec.body.len()).as_bytes()]);
    }
    if old || spec.order == HeadOrder::ConnectionFirst {
        put_host(&mut put);
    }
    put(&[b"\r\n", &spec.body]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_kong_and_apisix() {
        let headers = vec!["User-Agent: curl/7.29.0".into()];
        let seed = HttpProbe {
            path: "/status".into(),
            headers,
            order: HeadOrder::ConnectionFirst,
            ..HttpProbe::default()
        };
        assert_eq!(
            request(&seed, b"foo.com", false),
            "GET /status HTTP/1.1\r\nConnection: close\r\nUser-Agent: curl/7.29.0\r\n\
             Host: foo.com\r\n\r\n"
        );
        let kong = HttpProbe { order: HeadOrder::HostFirst, ..seed };
        assert_eq!(
            request(&kong, b"foo.com", false),
            "GET /status HTTP/1.1\r\nHost: foo.com\r\nConnection: close\r\n\
             User-Agent: curl/7.29.0\r\n\r\n"
        );
        assert_eq!(
            request(&kong, b"foo.com", true),
            "GET /status HTTP/1.0\r\nUser-Agent: curl/7.29.0\r\nHost: foo.com\r\n\r\n"
        );
    }

    #[test]
    fn a_body_has_its_length() {
        let post = HttpProbe { method: "POST".into(), body: "ping".into(), ..HttpProbe::default() };
        assert_eq!(
            request(&post, b"a", false),
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nping"
        );
    }
}
