//! A request in the words of routes, and the one made of it for the service.
//!
//! ```text
//!  Host: a.org:8000, /api/x?y ─▶ Facts { host a.org, port 8000, path /api/x }
//!  route /api (stripped), service path /v1 ─▶ /v1/x?y, X-Forwarded-*
//! ```

use std::rc::Rc;

use bytes::Bytes;

use super::super::entity::{PathHandling, Service};
use super::super::router::{Facts, Found, Router};
use crate::base::escape;
use crate::http::Request;

/// What was asked for.
pub struct Asked {
    pub host: String,
    pub host_line: Bytes,
    pub path: String,
    port: u16,
    method: String,
    sni: Option<String>,
}

impl Asked {
    pub fn read(r: &Rc<Request>) -> Self {
        let host_line = r.headers_in.borrow().first("Host").cloned().unwrap_or_default();
        let host = r.host.borrow().clone().unwrap_or_default();
        let port =
            host_line.rsplit(|byte| *byte == b':').next().filter(|_| host_line.contains(&b':'));
        let port = port.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let sni = r.conn.session.get().and_then(Option::as_ref);
        Self {
            host: String::from_utf8_lossy(&host).to_ascii_lowercase(),
            path: String::from_utf8_lossy(&r.uri.borrow()).into_owned(),
            port: port.unwrap_or(if r.conn.tls { 443 } else { 80 }),
            method: String::from_utf8_lossy(&r.method.borrow().name).into_owned(),
            sni: sni.and_then(|session| session.server_name.clone()),
            host_line,
        }
    }

    pub fn route<'a>(&self, r: &Rc<Request>, router: &'a Router) -> Option<Found<'a>> {
        let header = |name: &str| {
            let headers = r.headers_in.borrow();
            let values = headers.all(name.as_bytes());
            values.map(|value| String::from_utf8_lossy(value).into_owned()).collect()
        };
        router.find(&Facts {
            tls: r.conn.tls,
            host: &self.host,
            port: self.port,
            method: &self.method,
            path: &self.path,
            sni: self.sni.as_deref(),
            header: &header,
        })
    }

    /// The URI for the service: its path, and what the route left of the request's.
    pub fn upstream_uri(&self, r: &Rc<Request>, found: &Found<'_>, service: &Service) -> Bytes {
        let whole = r.uri.borrow();
        let mut text = Vec::with_capacity(whole.len() + 32);
        let base = service.path.as_deref().unwrap_or("/").as_bytes();
        let taken = found.route.strip_path.then_some(found.taken);
        let (base, between, rest) = join(found.route.path_handling, base, &whole, taken);
        text.extend_from_slice(base);
        text.extend_from_slice(between);
        escape::append_uri(&mut text, rest, &escape::URI);
        let args = r.args.borrow();
        if !args.is_empty() {
            text.push(b'?');
            text.extend_from_slice(&args);
        }
        text.into()
    }

    /// The lines Kong sends in the place of the client's.
    pub fn lines(&self, r: &Rc<Request>, found: &Found<'_>, host: &Bytes) -> Vec<(Bytes, Bytes)> {
        let headers = r.headers_in.borrow();
        let client = r.conn.remote_text.borrow().clone();
        let forwarded = match headers.joined(b"X-Forwarded-For", b", ") {
            Some(before) => [&before[..], b", ", &client[..]].concat().into(),
            None => client.clone(),
        };
        let stripped = found.route.strip_path && found.taken > 0;
        let prefix = self.path.get(..found.taken).filter(|_| stripped).unwrap_or_default();
        let upgrade = headers.first("Upgrade").cloned();
        let connection = if upgrade.is_some() { "upgrade" } else { "keep-alive" };
        let mut lines = vec![
            line("Host", host.clone()),
            line("Connection", connection),
            line("X-Forwarded-For", forwarded),
            line("X-Forwarded-Proto", if r.conn.tls { "https" } else { "http" }),
            line("X-Forwarded-Host", self.host.clone()),
            line("X-Forwarded-Port", r.conn.local.port().to_string()),
            line("X-Forwarded-Path", r.line.target()),
            line("X-Forwarded-Prefix", escape_text(prefix)),
            line("X-Real-IP", client),
        ];
        lines.extend(upgrade.map(|value| line("Upgrade", value)));
        lines
    }
}

/// The service's path, what stands between, and what is left of the request's path. `taken` is how
/// much of that the route strips; none when it strips nothing.
fn join<'a>(
    how: PathHandling,
    base: &'a [u8],
    whole: &'a [u8],
    taken: Option<usize>,
) -> (&'a [u8], &'static [u8], &'a [u8]) {
    let (bare, slashed) = match base.split_last() {
        Some((b'/', bare)) => (bare, true),
        _ => (base, false),
    };
    let ends_so = whole.len() > 1 && whole.ends_with(b"/");
    let rest = taken.map(|taken| whole.get(taken..).unwrap_or_default());
    match (how, rest) {
        // Version 1 glues the two together, but for a slash too many.
        (PathHandling::V1, None) => (base, b"", whole.get(1..).unwrap_or_default()),
        (PathHandling::V1, Some([b'/', ..])) if slashed => (bare, b"", rest.unwrap_or_default()),
        (PathHandling::V1, Some(rest)) => (base, b"", rest),
        (PathHandling::V0, None) if slashed => (base, b"", whole.get(1..).unwrap_or_default()),
        (PathHandling::V0, None) if whole == b"/" => (base, b"", b""),
        (PathHandling::V0, None) => (base, b"", whole),
        // All of it was stripped: a slash at the end is the request's to say.
        (PathHandling::V0, Some([])) if bare.is_empty() => (b"/", b"", b""),
        (PathHandling::V0, Some([])) if ends_so => (bare, b"/", b""),
        (PathHandling::V0, Some([])) => (bare, b"", b""),
        (PathHandling::V0, Some(rest)) if rest[0] == b'/' => (bare, b"", rest),
        (PathHandling::V0, Some(rest)) => (bare, b"/", rest),
    }
}

fn line(name: &'static str, value: impl Into<Bytes>) -> (Bytes, Bytes) {
    (Bytes::from_static(name.as_bytes()), value.into())
}

/// A decoded path may hold what would end a header line.
fn escape_text(text: &str) -> Bytes {
    let mut escaped = Vec::with_capacity(text.len());
    escape::append_uri(&mut escaped, text.as_bytes(), &escape::URI);
    escaped.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Service path, route path, request, and the joined paths: stripped and not, of both versions.
    const ROWS: &[(&str, &str, &str, [&str; 4])] = &[
        ("/", "/", "/", ["/", "/", "/", "/"]),
        ("/", "/a", "/a", ["/", "/a", "/", "/a"]),
        ("/", "/a", "/a/", ["/", "/a/", "/", "/a/"]),
        ("/", "/a", "/ab", ["/b", "/ab", "/b", "/ab"]),
        ("/s", "/", "/", ["/s", "/s", "/s", "/s"]),
        ("/s", "/a", "/a/x", ["/s/x", "/s/a/x", "/s/x", "/sa/x"]),
        ("/s", "/a", "/ax", ["/s/x", "/s/ax", "/sx", "/sax"]),
        ("/s", "/a/", "/a/x", ["/s/x", "/s/a/x", "/sx", "/sa/x"]),
        ("/s", "/a/", "/a/", ["/s/", "/s/a/", "/s", "/sa/"]),
        ("/s/", "/a", "/a", ["/s", "/s/a", "/s/", "/s/a"]),
        ("/s/", "/a", "/a/", ["/s/", "/s/a/", "/s/", "/s/a/"]),
        ("/s/", "/a", "/a/x", ["/s/x", "/s/a/x", "/s/x", "/s/a/x"]),
        ("/s/", "/a/", "/a/", ["/s/", "/s/a/", "/s/", "/s/a/"]),
    ];

    #[test]
    fn paths_are_joined_as_both_versions_do() {
        for (base, route, path, wanted) in ROWS {
            let joined = |how, taken| {
                let (base, between, rest) = join(how, base.as_bytes(), path.as_bytes(), taken);
                String::from_utf8_lossy(&[base, between, rest].concat()).into_owned()
            };
            let taken = Some(route.len());
            let got = [
                joined(PathHandling::V0, taken),
                joined(PathHandling::V0, None),
                joined(PathHandling::V1, taken),
                joined(PathHandling::V1, None),
            ];
            assert_eq!(got, *wanted, "{base} {route} {path}");
        }
    }
}
