//! Changing where a request goes: internal redirects, named locations, and absolute `Location`
//! lines.

use std::rc::Rc;

use bstr::BStr;
use bytes::Bytes;

use crate::base::{escape, log::Level};

use super::{
    phase::{Flow, Phase},
    request::Request,
};

/// Sends the request to another URI of the same server, as `ngx.exec`, `try_files` and `index` do.
pub fn internal(r: &Rc<Request>, uri: Bytes, args: Bytes) -> Flow {
    if !r.count_uri_change() {
        r.log(
            Level::Error,
            format_args!(
                "rewrite or internal redirection cycle while internally redirecting to \"{}\"",
                BStr::new(&uri)
            ),
        );
        return Flow::Status(500);
    }
    *r.uri.borrow_mut() = uri;
    *r.args.borrow_mut() = args;
    r.clear_ext();
    r.set_server(r.server());
    r.set_location(r.server().root.clone());
    r.internal.set(true);
    r.valid_unparsed_uri.set(false);
    r.valid_location.set(true);
    r.adds_uri_to_alias.set(false);
    Flow::Restart(Phase::ServerRewrite)
}

/// Sends the request to a named location (`@name`).
pub fn named(r: &Rc<Request>, name: &[u8]) -> Flow {
    if !r.count_uri_change() {
        r.log(
            Level::Error,
            format_args!(
                "rewrite or internal redirection cycle while redirect to named location \"{}\"",
                BStr::new(name)
            ),
        );
        return Flow::Status(500);
    }
    if r.uri.borrow().is_empty() {
        let name = BStr::new(name);
        r.log(Level::Error, format_args!("empty URI in redirect to named location \"{name}\""));
        return Flow::Status(500);
    }
    let Some(location) = r.server().named.get(name).cloned() else {
        r.log(Level::Error, format_args!("could not find named location \"{}\"", BStr::new(name)));
        return Flow::Status(500);
    };
    r.internal.set(true);
    r.clear_ext();
    r.set_location(location);
    Flow::Restart(Phase::Rewrite)
}

/// Splits `uri?args`; no `?` gives no args.
pub fn split_args(target: &Bytes) -> (Bytes, Option<Bytes>) {
    match memchr::memchr(b'?', target) {
        Some(at) => (target.slice(..at), Some(target.slice(at + 1..))),
        None => (target.clone(), None),
    }
}

/// Splits a URI that a script or a header gave, refusing what could leave the document root.
/// An encoded path is decoded.
pub fn parse_given(target: &Bytes) -> Option<(Bytes, Option<Bytes>)> {
    let (path, args) = split_args(target);
    if path.is_empty() || is_unsafe(&path) {
        return None;
    }
    if !path.contains(&b'%') {
        return Some((path, args));
    }
    let decoded = escape::unescape_uri(&path, escape::Unescape::All);
    (!is_unsafe(&decoded)).then(|| (decoded.into(), args))
}

/// Zero bytes, and `..` as a part of the path.
fn is_unsafe(path: &[u8]) -> bool {
    path.contains(&0) || path.split(|byte| *byte == b'/').any(|part| part == b"..")
}

/// A `Location` value as it is sent: a path gets scheme, host and port before it.
pub fn absolute(r: &Rc<Request>, location: &Bytes) -> Bytes {
    let settings = r.location();
    let core = settings.core();
    let path = location.first() == Some(&b'/') && location.get(1) != Some(&b'/');
    if !path || !core.absolute_redirect() {
        return location.clone();
    }
    let host = match r.host.borrow().clone() {
        Some(host) if !core.server_name_in_redirect() => host,
        _ => r.server().name_text(),
    };
    let host = if host.is_empty() { r.conn.local.ip_text().into() } else { host };
    let scheme: &[u8] = if r.conn.tls { b"https://" } else { b"http://" };
    let usual = if r.conn.tls { 443 } else { 80 };
    let mut text = Vec::with_capacity(scheme.len() + host.len() + location.len() + 6);
    text.extend_from_slice(scheme);
    text.extend_from_slice(&host);
    let port = r.conn.local.port();
    if core.port_in_redirect() && port != usual && port != 0 {
        text.extend_from_slice(format!(":{port}").as_bytes());
    }
    text.extend_from_slice(location);
    text.into()
}
