//! Asks for a page and judges the answer: its status, and as far as wanted its headers and body.
//!
//! ```text
//!  GET /health HTTP/1.1 ─▶ 505? once more with 1.0 ─▶ status ─▶ lists | match ─▶ Outcome
//! ```

use bstr::{BString, ByteVec};

use super::kept::Memory;
use super::talk::{Call, Judge};
use super::{Aim, Limits};
use crate::health::outcome::{Kind, Outcome};
use crate::health::spec::{HeadOrder, HttpProbe, Keepalive, Version};

pub(super) async fn probe(
    spec: &HttpProbe,
    keepalive: Option<&Keepalive>,
    aim: &Aim<'_>,
    limits: Limits,
    memory: &mut Memory,
) -> Result<Outcome, Outcome> {
    let exchange = Exchange { spec, keepalive, limits };
    match spec.version {
        // Version 2 is a probe of its own.
        Version::V10 | Version::V11 | Version::V2 => {
            return exchange.run(aim, spec.version == Version::V10, memory).await;
        }
        Version::Adaptive => {}
    }
    let old = memory.other_version;
    let first = match memory.refused.take() {
        Some(asked_before) => asked_before,
        None => exchange.run(aim, old, memory).await?,
    };
    if !is_refused(spec, &first, old) {
        return Ok(first);
    }
    let told = retry_words(first.status.unwrap_or_default(), old);
    match exchange.run(aim, !old, memory).await {
        Ok(second) if second.kind == Kind::Passed => {
            memory.other_version = !old;
            Ok(second.detail(told))
        }
        _ => Ok(first.detail(told)),
    }
}

/// Whether a peer is to be asked once more, in the other version: `old` is the one it was asked in.
pub(super) fn is_refused(spec: &HttpProbe, first: &Outcome, old: bool) -> bool {
    spec.version == Version::Adaptive
        && match (first.kind, first.status) {
            (Kind::Passed, _) => false,
            (_, Some(505)) => true,
            (_, Some(426)) => old,
            _ => false,
        }
}

/// What people read about a probe that was sent twice.
fn retry_words(status: u64, old: bool) -> String {
    let (version, other) = if old { ("1.0", "1.1") } else { ("1.1", "1.0") };
    format!("returned {status} on HTTP/{version}, retrying with HTTP/{other}")
}

/// What stays the same when a probe is sent twice.
struct Exchange<'a> {
    spec: &'a HttpProbe,
    keepalive: Option<&'a Keepalive>,
    limits: Limits,
}

impl Exchange<'_> {
    async fn run(&self, aim: &Aim<'_>, old: bool, memory: &mut Memory) -> Result<Outcome, Outcome> {
        let (spec, keepalive, limits) = (self.spec, self.keepalive, self.limits);
        let host = aim.host(spec.host.as_ref());
        let request = &request(spec, &host, old, keepalive.is_some());
        let tls = spec.tls.as_ref().map(|tls| (tls, aim.sni(tls, Some(&host))));
        let (is_head, judge) = (spec.method == "HEAD", Judge::Pass(&spec.pass));
        Call { request, is_head, judge, tls, keepalive, limits }.make(aim, memory).await
    }
}

/// The request, in the order of the dialect.
pub(super) fn request(spec: &HttpProbe, host: &[u8], old: bool, keeps: bool) -> BString {
    let mut out = BString::from(Vec::with_capacity(REQUEST_BYTES));
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|p| out.push_str(p));
    let version: &[u8] = if old { b" HTTP/1.0\r\n" } else { b" HTTP/1.1\r\n" };
    put(&[&spec.method, b" ", &spec.path, version]);
    let connection: &[u8] = match keeps {
        false => b"Connection: close\r\n",
        true => b"Connection: keep-alive\r\n",
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

/// What most requests fit into.
const REQUEST_BYTES: usize = 256;

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
            request(&seed, b"foo.com", false, false),
            "GET /status HTTP/1.1\r\nConnection: close\r\nUser-Agent: curl/7.29.0\r\n\
             Host: foo.com\r\n\r\n"
        );
        let kong = HttpProbe { order: HeadOrder::HostFirst, ..seed };
        assert_eq!(
            request(&kong, b"foo.com", false, false),
            "GET /status HTTP/1.1\r\nHost: foo.com\r\nConnection: close\r\n\
             User-Agent: curl/7.29.0\r\n\r\n"
        );
        assert_eq!(
            request(&kong, b"foo.com", true, false),
            "GET /status HTTP/1.0\r\nUser-Agent: curl/7.29.0\r\nHost: foo.com\r\n\r\n"
        );
    }

    #[test]
    fn a_body_has_its_length() {
        let post = HttpProbe { method: "POST".into(), body: "ping".into(), ..HttpProbe::default() };
        assert_eq!(
            request(&post, b"a", false, false),
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nping"
        );
    }
}
