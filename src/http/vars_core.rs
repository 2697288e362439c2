//! The variables of nginx core.

use std::rc::Rc;

use bstr::ByteSlice;
use bytes::Bytes;

use crate::base::{clock, date};
use crate::net::http1::host::Host;

use super::{
    request::Request,
    vars::{VarRow, var, var_live},
};

/// Variables about the request, the connection and the response head.
pub const VARS: &[VarRow] = &[
    var_live("args", args).changeable(set_args),
    var_live("query_string", args),
    var_live("is_args", |r, _| Some(if r.args.borrow().is_empty() { EMPTY } else { text("?") })),
    var_live("arg_*", argument),
    var_live("uri", |r, _| Some(r.uri.borrow().clone()).filter(|uri| !uri.is_empty())),
    var_live("document_uri", |r, _| Some(r.uri.borrow().clone())),
    var_live("request_uri", |r, _| Some(r.line.target())),
    var_live("request", |r, _| Some(r.line.text())),
    var_live("request_method", |r, _| Some(r.main().method.borrow().name.clone())),
    var("scheme", |r, _| Some(text(if r.conn.tls { "https" } else { "http" }))),
    var("https", |r, _| Some(text(if r.conn.tls { "on" } else { "" }))),
    var("http2", |r, _| {
        Some(text(match (r.conn.http2(), r.conn.tls) {
            (None, _) => "",
            (Some(_), true) => "h2",
            (Some(_), false) => "h2c",
        }))
    }),
    var("server_protocol", |r, _| Some(protocol(r))),
    var_live("host", host),
    var_live("request_port", |r, _| Some(port(r).map_or(EMPTY, |port| port.to_string().into()))),
    var_live("is_request_port", |r, _| Some(port(r).map_or(EMPTY, |_| text(":")))),
    var_live("server_name", |r, _| Some(r.server().name_text())),
    var("server_addr", |r, _| Some(r.conn.local.ip_text().into())),
    var("server_port", |r, _| Some(r.conn.local.port().to_string().into())),
    var_live("remote_addr", |r, _| Some(r.conn.remote_text.borrow().clone())),
    var_live("remote_port", |r, _| Some(r.conn.peer().port().to_string().into())),
    var_live("remote_user", remote_user),
    var("connection", |r, _| Some(r.conn.number.to_string().into())),
    var("connection_requests", |r, _| Some(r.conn.requests.get().to_string().into())),
    var_live("connection_time", |r, _| {
        Some(seconds((clock::wall().as_ms() - r.conn.opened.as_ms()).max(0) as u64))
    }),
    var_live("request_time", |r, _| {
        Some(seconds((clock::wall().as_ms() - r.started.as_ms()).max(0) as u64))
    }),
    var_live("request_length", request_length),
    var_live("request_completion", |r, _| Some(if finished(r) { text("OK") } else { EMPTY })),
    var("request_id", |_, _| Some(random_hex(16))),
    var_live("request_body", request_body),
    var_live("request_body_file", |r, _| {
        let file = r.body.file()?;
        Some(std::os::unix::ffi::OsStrExt::as_bytes(file.path().as_os_str()).to_vec().into())
    }),
    var_live("content_length", content_length),
    var_live("content_type", |r, _| r.headers_in.borrow().joined(b"Content-Type", b", ")),
    var_live("http_*", |r, name| {
        let separator: &[u8] = if name == b"http_cookie" { b"; " } else { b", " };
        r.headers_in.borrow().by_variable_name(&name[5..], separator)
    }),
    var_live("cookie_*", cookie),
    var_live("pipe", |r, _| {
        Some(Bytes::from_static(if r.conn.pipelined.get() { b"p" } else { b"." }))
    }),
    var_live("sent_http_*", sent_header),
    var_live("sent_trailer_*", |r, name| {
        r.headers_out.borrow().trailers.by_variable_name(&name["sent_trailer_".len()..], b", ")
    }),
    var_live("status", |r, _| Some(format!("{:03}", r.status()).into())),
    var_live("bytes_sent", |r, _| Some(r.conn.sent.get().to_string().into())),
    var_live("body_bytes_sent", |r, _| Some(r.main().body_bytes_sent.get().to_string().into())),
    var_live("document_root", |r, _| {
        let location = r.location();
        match &location.core().root {
            Some(root) => Some(root.path.eval(r)),
            None => Some(path_bytes(&r.http().prefix.join("html"))),
        }
    }),
    var_live("realpath_root", |r, _| {
        let root = r.var_by_name(b"document_root")?;
        let real = std::fs::canonicalize(path_of(&root)).ok()?;
        Some(path_bytes(&real))
    }),
    var_live("request_filename", |r, _| super::files::map_path(r)),
    var_live("tcpinfo_rtt", |_, _| None),
];

impl VarRow {
    /// Lets `set` and `ngx.var` write it.
    pub const fn changeable(mut self, write: super::vars::Write) -> Self {
        self.changeable = true;
        self.write = Some(write);
        self
    }

    /// Lets `set` and `ngx.var` give it a value that is then read back.
    pub const fn kept_when_set(mut self) -> Self {
        self.changeable = true;
        self
    }
}

const EMPTY: Bytes = Bytes::new();

/// Without arguments there is no value, not an empty one.
fn args(r: &Rc<Request>, _name: &[u8]) -> Option<Bytes> {
    Some(r.args.borrow().clone()).filter(|args| !args.is_empty())
}

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn set_args(r: &Rc<Request>, value: Bytes) {
    r.valid_unparsed_uri.set(false);
    *r.args.borrow_mut() = value;
}

/// `$arg_name`: the first argument of that name, in any letter case, not decoded.
fn argument(r: &Rc<Request>, name: &[u8]) -> Option<Bytes> {
    find_argument(&r.args.borrow(), &name[4..])
}

/// The raw value of an argument.
pub fn find_argument(args: &Bytes, name: &[u8]) -> Option<Bytes> {
    let mut start = 0;
    while start <= args.len() && !args.is_empty() {
        let end = memchr::memchr(b'&', &args[start..]).map_or(args.len(), |at| start + at);
        let pair = &args[start..end];
        if pair.len() > name.len()
            && pair[name.len()] == b'='
            && pair[..name.len()].eq_ignore_ascii_case(name)
        {
            return Some(args.slice(start + name.len() + 1..end));
        }
        start = end + 1;
    }
    None
}

fn protocol(r: &Rc<Request>) -> Bytes {
    text(match r.line.version {
        9 => "HTTP/0.9",
        1000 => "HTTP/1.0",
        2000 => "HTTP/2.0",
        _ => "HTTP/1.1",
    })
}

/// The port the client asked for, in the target or else in the Host header.
fn port(r: &Request) -> Option<u16> {
    let line = r.line.text();
    let target = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let scheme = target.find(b"://").filter(|at| target[..*at].iter().all(u8::is_ascii_alphabetic));
    let host = match scheme {
        Some(at) => {
            let rest = &target[at + 3..];
            Host::parse(&rest[..rest.find_byteset(b"/?#").unwrap_or(rest.len())])
        }
        None => r.headers_in.borrow().first("Host").and_then(|host| Host::parse(host)),
    };
    host.map(|host| host.port).filter(|port| *port > 0)
}

fn host(r: &Rc<Request>, _: &[u8]) -> Option<Bytes> {
    let known = r.main().host.borrow().clone().filter(|host| !host.is_empty());
    known.or_else(|| Some(r.server().name_text()))
}

/// The user of `Authorization: Basic`.
fn remote_user(r: &Rc<Request>, _: &[u8]) -> Option<Bytes> {
    use base64::Engine;
    let headers = r.headers_in.borrow();
    let value = headers.first("Authorization")?;
    let (kind, encoded) = value.split_at_checked(6)?;
    if !kind.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let encoded = encoded.trim_ascii();
    let plain = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    let colon = memchr::memchr(b':', &plain)?;
    Some(Bytes::copy_from_slice(&plain[..colon]))
}

fn seconds(ms: u64) -> Bytes {
    format!("{}.{:03}", ms / 1000, ms % 1000).into()
}

fn request_length(r: &Rc<Request>, _: &[u8]) -> Option<Bytes> {
    let main = r.main();
    Some((main.line.raw_head.len() as u64 + main.body.length()).to_string().into())
}

fn finished(r: &Rc<Request>) -> bool {
    r.last_sent.get() && !r.conn.failed()
}

/// Random bytes in hexadecimal.
pub fn random_hex(bytes: usize) -> Bytes {
    use std::hash::{BuildHasher, Hasher};
    let mut text = String::with_capacity(bytes * 2);
    while text.len() < bytes * 2 {
        let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
        hasher.write_u64(clock::fresh_mono_ms());
        text.push_str(&format!("{:016x}", hasher.finish()));
    }
    text.truncate(bytes * 2);
    text.into()
}

fn request_body(r: &Rc<Request>, _: &[u8]) -> Option<Bytes> {
    if !r.body.is_read() || r.body.file().is_some() || r.body.length() == 0 {
        return None;
    }
    Some(r.body.data())
}

fn content_length(r: &Rc<Request>, _: &[u8]) -> Option<Bytes> {
    let headers = r.headers_in.borrow();
    if let Some(length) = headers.first("Content-Length") {
        return Some(length.clone());
    }
    // A chunked body that was read has a length to tell.
    (r.body.is_read() && r.body.expected() != super::body::Expected::None)
        .then(|| r.body.length().to_string().into())
}

/// `$cookie_name`: the first cookie of that name.
fn cookie(r: &Rc<Request>, name: &[u8]) -> Option<Bytes> {
    let name = &name[7..];
    let headers = r.headers_in.borrow();
    for line in headers.all(b"Cookie") {
        let mut start = 0;
        while start < line.len() {
            let end = memchr::memchr(b';', &line[start..]).map_or(line.len(), |at| start + at);
            let from = start + line[start..end].iter().take_while(|byte| **byte == b' ').count();
            let pair = &line[from..end];
            if pair.len() > name.len()
                && pair[name.len()] == b'='
                && pair[..name.len()].eq_ignore_ascii_case(name)
            {
                return Some(line.slice(from + name.len() + 1..end));
            }
            start = end + 1;
        }
    }
    None
}

/// `$sent_http_*`: response lines, those nginx keeps apart from the list included.
fn sent_header(r: &Rc<Request>, name: &[u8]) -> Option<Bytes> {
    let out = r.headers_out.borrow();
    match &name["sent_http_".len()..] {
        b"content_type" => out.content_type_line(),
        b"content_length" => {
            let list = || out.list.first("Content-Length").cloned();
            out.content_length.map(|length| length.to_string().into()).or_else(list)
        }
        b"last_modified" => {
            let list = || out.list.first("Last-Modified").cloned();
            list().or_else(|| out.last_modified.map(|at| date::http_time(at).into()))
        }
        b"connection" => Some(text(if r.keepalive.get() { "keep-alive" } else { "close" })),
        b"keep_alive" => {
            let header_s = r.with_location(|location| location.core().keepalive_header_s());
            (r.keepalive.get() && header_s > 0).then(|| format!("timeout={header_s}").into())
        }
        b"transfer_encoding" => r.chunked.get().then(|| text("chunked")),
        other => out.list.by_variable_name(other, b", "),
    }
}

fn path_bytes(path: &std::path::Path) -> Bytes {
    std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).to_vec().into()
}

fn path_of(bytes: &[u8]) -> &std::path::Path {
    std::path::Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes))
}
