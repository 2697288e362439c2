//! A request in the words of routes, and the one made of it for the service.
//!
//! ```text
//!  Host: a.org:8000, /api/x?y ─▶ Facts { host a.org, port 8000, path /api/x }
//!  route /api (stripped), service path /v1 ─▶ /v1/x?y, X-Forwarded-*
//! ```

use std::rc::Rc;

use bytes::Bytes;

use super::super::entity::Service;
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
        let taken = if found.route.strip_path { found.taken } else { 0 };
        let whole = r.uri.borrow();
        let rest = whole.get(taken..).unwrap_or_default();
        let mut text = Vec::with_capacity(whole.len() + 32);
        text.extend_from_slice(service.path.as_deref().unwrap_or("/").as_bytes());
        match (text.last() == Some(&b'/'), rest.first()) {
            (_, None) => {}
            (true, Some(b'/')) => escape::append_uri(&mut text, &rest[1..], &escape::URI),
            (false, Some(byte)) if *byte != b'/' => {
                text.push(b'/');
                escape::append_uri(&mut text, rest, &escape::URI);
            }
            _ => escape::append_uri(&mut text, rest, &escape::URI),
        }
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

fn line(name: &'static str, value: impl Into<Bytes>) -> (Bytes, Bytes) {
    (Bytes::from_static(name.as_bytes()), value.into())
}

/// A decoded path may hold what would end a header line.
fn escape_text(text: &str) -> Bytes {
    let mut escaped = Vec::with_capacity(text.len());
    escape::append_uri(&mut escaped, text.as_bytes(), &escape::URI);
    escaped.into()
}
