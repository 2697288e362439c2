//! The request as it is sent to the upstream, built once for all tries.
//!
//! ```text
//!  method URI HTTP/1.x          proxy_method, Target::uri, proxy_http_version
//!  lines of proxy_set_header    then nginx's own: Host, Connection, Content-Length
//!  the client's lines           but those named above
//! ```

use std::{io, rc::Rc};

use bytes::Bytes;

use crate::{base::log::Level, http::body::Expected, http::request::Request};

use super::{
    cgi::{fastcgi, scgi, uwsgi},
    family::Family,
    forward::Choices,
    h2,
    sending::Wrapping,
    settings::{Proxy, Version},
    source::Body,
    target::Target,
};

/// The bytes of one request, good for any number of tries.
pub struct Outgoing {
    pub head: Bytes,
    pub body: Body,
    pub wrapping: Wrapping,
    /// The request is a HEAD: its answer has no body.
    pub is_head: bool,
    /// nginx never repeats these once they were sent, unless told so.
    pub repeatable: bool,
}

impl Outgoing {
    /// Builds the request; the client's body has been read, unless it is passed on as it comes.
    pub fn build(
        r: &Rc<Request>,
        conf: &Proxy,
        target: &Target,
        choices: &Choices,
    ) -> Result<Self, u16> {
        let set_body = conf.body.as_ref().map(|body| body.eval(r));
        let method = match &conf.method {
            Some(method) => method.eval(r),
            None if choices.conditional.as_ref().is_some_and(|own| own.get) => {
                Bytes::from_static(b"GET")
            }
            None => r.method.borrow().name.clone(),
        };
        let family = choices.family;
        let mut out = Self {
            head: Bytes::new(),
            wrapping: Wrapping::Plain,
            is_head: method.eq_ignore_ascii_case(b"HEAD"),
            repeatable: !matches!(&*r.method.borrow().name, b"POST" | b"LOCK" | b"PATCH"),
            body: body(r, conf, family, set_body.clone()),
        };
        let http_11 = match version(conf, choices) {
            Version::Http2 => {
                let length = h2::request::announced(r, conf, set_body.as_ref());
                out.head = h2::request::block(r, conf, target, choices, &method, length);
                return Ok(out);
            }
            version => version == Version::Http11,
        };
        let mut head = match family {
            Family::Http | Family::Grpc => {
                let length = match &set_body {
                    Some(body) => Some(body.len() as u64),
                    None => body_length(r),
                };
                if out.body.is_streamed() && r.body.expected() == Expected::Chunked {
                    out.wrapping = Wrapping::Chunked;
                }
                let length = length.filter(|_| out.wrapping == Wrapping::Plain);
                http(r, conf, target, choices, &method, (http_11, length))
            }
            Family::Fastcgi => {
                out.wrapping = Wrapping::Records;
                fastcgi::head(r, conf, choices)
            }
            Family::Scgi => scgi::head(r, conf, choices),
            Family::Uwsgi => uwsgi::head(r, conf, choices)?,
            // Commands are made and sent by `memc`.
            Family::Memcached | Family::Memc => return Ok(out),
        };
        // One packet for what fits into one.
        if let Body::Memory(data) = &out.body
            && data.len() <= JOINED_BYTES_MAX
        {
            head.extend_from_slice(&out.wrapping.piece(data.clone()));
            head.extend_from_slice(&out.wrapping.end());
            out.wrapping = Wrapping::Plain;
            out.body = Body::Memory(Bytes::new());
        }
        out.head = head.into();
        Ok(out)
    }
}

/// Whether the client's body is passed on while it arrives (`proxy_request_buffering off`).
pub fn streams(r: &Rc<Request>, conf: &Proxy, family: Family) -> bool {
    let chunked = r.body.expected() == Expected::Chunked;
    let fits = match family {
        Family::Grpc => true,
        Family::Memcached | Family::Memc => return false,
        Family::Http => !chunked || conf.version() != Version::Http10,
        Family::Fastcgi => true,
        // The length stands before the body.
        Family::Scgi | Family::Uwsgi => !chunked,
    };
    let wanted = family == Family::Grpc || !conf.request_buffering() && conf.body.is_none();
    wanted && fits && conf.pass_request_body() && !r.is_subrequest() && !r.body.is_read()
}

fn body(r: &Rc<Request>, conf: &Proxy, family: Family, set_body: Option<Bytes>) -> Body {
    match set_body {
        Some(body) => Body::Memory(body),
        None if !conf.pass_request_body() => Body::Memory(Bytes::new()),
        None if streams(r, conf, family) => Body::Client(Rc::default()),
        None => match r.body.file() {
            Some(file) => Body::File(file),
            None => Body::Memory(r.body.data()),
        },
    }
}

/// The head of an HTTP/1 request.
fn http(
    r: &Rc<Request>,
    conf: &Proxy,
    target: &Target,
    choices: &Choices,
    method: &[u8],
    (http_11, length): (bool, Option<u64>),
) -> Vec<u8> {
    let mut text = Vec::with_capacity(512);
    text.extend_from_slice(method);
    text.push(b' ');
    text.extend_from_slice(&target.uri);
    text.extend_from_slice(if http_11 { b" HTTP/1.1\r\n" } else { b" HTTP/1.0\r\n" });
    lines(r, conf, target, choices, length, &mut text);
    text.extend_from_slice(b"\r\n");
    text
}

/// What the request is spoken in.
pub fn version(conf: &Proxy, choices: &Choices) -> Version {
    match (choices.family, choices.http_11) {
        (Family::Grpc, _) => Version::Http2,
        (_, Some(true)) => Version::Http11,
        (_, Some(false)) => Version::Http10,
        (_, None) => conf.version(),
    }
}

/// `$proxy_internal_body_length` of nginx: what the client announced, or what was read of chunks.
pub fn body_length(r: &Rc<Request>) -> Option<u64> {
    match r.body.expected() {
        Expected::None => None,
        // A body thrown away for an error page has no length any more.
        _ if r.body.is_discarded() => Some(0),
        Expected::Length(length) if !r.body.is_read() => Some(length),
        _ => Some(r.body.length()),
    }
}

fn lines(
    r: &Rc<Request>,
    conf: &Proxy,
    target: &Target,
    choices: &Choices,
    length: Option<u64>,
    text: &mut Vec<u8>,
) {
    let chosen = |wanted: &[u8]| {
        choices.lines.iter().any(|(n, _)| n.eq_ignore_ascii_case(wanted))
            || choices.host.is_some() && wanted.eq_ignore_ascii_case(b"Host")
    };
    if let Some(host) = &choices.host {
        line(text, b"Host", &host.borrow());
    }
    choices.lines.iter().filter(|(_, v)| !v.is_empty()).for_each(|(n, v)| line(text, n, v));
    let set = conf.set_headers.as_ref().map_or(&[][..], |set| set);
    for (name, value) in set {
        let value = value.eval(r);
        if !value.is_empty() && !chosen(name) {
            line(text, name, &value);
        }
    }
    let is_set = |wanted: &[u8]| {
        set.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted)) || chosen(wanted)
    };
    if !is_set(b"Host") {
        line(text, b"Host", &target.origin.host);
    }
    if !is_set(b"Connection") {
        line(text, b"Connection", b"close");
    }
    match length {
        Some(length) if !is_set(b"Content-Length") => {
            line(text, b"Content-Length", length.to_string().as_bytes());
        }
        // Passed on as it comes.
        None if r.body.expected() == Expected::Chunked && !is_set(b"Transfer-Encoding") => {
            line(text, b"Transfer-Encoding", b"chunked");
        }
        _ => {}
    }
    if let Some(own) = &choices.conditional {
        let lines = [
            (&b"If-Modified-Since"[..], &own.modified_since),
            (&b"If-None-Match"[..], &own.none_match),
        ];
        for (name, value) in lines {
            if let Some(value) = value.as_ref().filter(|_| !is_set(name)) {
                line(text, name, value);
            }
        }
    }
    let cached = choices.conditional.is_some();
    if conf.pass_request_headers() {
        r.headers_in.each(|name, value| {
            let dropped = cached && is_conditional(name);
            if !dropped && !is_own(name) && !is_set(name) {
                line(text, name, value);
            }
        });
    }
}

/// Lines by which the client asks for less than the whole answer.
pub fn is_conditional(name: &[u8]) -> bool {
    [
        &b"If-Modified-Since"[..],
        b"If-Unmodified-Since",
        b"If-None-Match",
        b"If-Match",
        b"Range",
        b"If-Range",
    ]
    .iter()
    .any(|own| name.eq_ignore_ascii_case(own))
}

/// Lines about this connection or this body, which the proxy writes itself or not at all.
pub fn is_own(name: &[u8]) -> bool {
    match name.len() {
        2 => name.eq_ignore_ascii_case(b"TE"),
        4 => name.eq_ignore_ascii_case(b"Host"),
        6 => name.eq_ignore_ascii_case(b"Expect"),
        7 => name.eq_ignore_ascii_case(b"Upgrade"),
        10 => name.eq_ignore_ascii_case(b"Connection") || name.eq_ignore_ascii_case(b"Keep-Alive"),
        14 => name.eq_ignore_ascii_case(b"Content-Length"),
        17 => name.eq_ignore_ascii_case(b"Transfer-Encoding"),
        _ => false,
    }
}

fn line(text: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    text.extend_from_slice(name);
    text.extend_from_slice(b": ");
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
}

/// Complains about a body file that cannot be read any more.
pub fn file_lost(r: &Rc<Request>, error: &io::Error) -> u16 {
    r.log(Level::Crit, format_args!("request body file: {error}"));
    500
}

const JOINED_BYTES_MAX: usize = 16 * 1024;
