//! The request as it is sent to the upstream, built once for all tries.
//!
//! ```text
//!  method URI HTTP/1.x          proxy_method, Target::uri, proxy_http_version
//!  lines of proxy_set_header    then nginx's own: Host, Connection, Content-Length
//!  the client's lines           but those named above
//! ```

use std::{
    cell::RefCell,
    fs::File,
    io::{self, Read},
    rc::Rc,
};

use bytes::{Buf, Bytes};

use crate::{base::log::Level, http::body::Expected, http::request::Request};

use super::{
    forward::Choices,
    h2::{
        self,
        source::{Kept, Source},
    },
    settings::{Family, Proxy, Version},
    target::Target,
};

/// The bytes of one request; `copy` gives them anew for each try.
pub struct Outgoing {
    head: Bytes,
    body: Body,
    /// The request is a HEAD: its answer has no body.
    pub is_head: bool,
    /// nginx never repeats these once they were sent, unless told so.
    pub repeatable: bool,
}

#[derive(Clone)]
enum Body {
    Memory(Bytes),
    File(Rc<crate::http::body_file::TempFile>),
    /// As the client sends it.
    Client(Rc<RefCell<Kept>>),
}

/// What of a request is still to be sent.
pub struct Unsent {
    parts: [Bytes; 2],
    file: Option<File>,
}

impl Outgoing {
    /// Builds the request; the client's body has been read.
    pub fn build(r: &Rc<Request>, conf: &Proxy, target: &Target, choices: &Choices) -> Self {
        let set_body = conf.body.as_ref().map(|body| body.eval(r));
        let length = match &set_body {
            Some(body) => Some(body.len() as u64),
            None => body_length(r),
        };
        let method = match &conf.method {
            Some(method) => method.eval(r),
            None if choices.conditional.as_ref().is_some_and(|own| own.get) => {
                Bytes::from_static(b"GET")
            }
            None => r.method.borrow().name.clone(),
        };
        let repeatable = !matches!(&*r.method.borrow().name, b"POST" | b"LOCK" | b"PATCH");
        let is_head = method.eq_ignore_ascii_case(b"HEAD");
        let version = version(conf, choices);
        if version == Version::Http2 {
            let length = h2::request::announced(r, conf, set_body.as_ref());
            let head = h2::request::block(r, conf, target, choices, &method, length);
            let body = Body::of(r, conf, choices.family, set_body);
            return Self { head, body, is_head, repeatable };
        }
        let mut text = Vec::with_capacity(512);
        text.extend_from_slice(&method);
        text.push(b' ');
        text.extend_from_slice(&target.uri);
        let http_11 = version == Version::Http11;
        text.extend_from_slice(if http_11 { b" HTTP/1.1\r\n" } else { b" HTTP/1.0\r\n" });
        lines(r, conf, target, choices, length, &mut text);
        text.extend_from_slice(b"\r\n");
        let body = match Body::of(r, conf, choices.family, set_body) {
            // One packet for what fits into one.
            Body::Memory(data) if data.len() <= JOINED_BYTES_MAX => {
                text.extend_from_slice(&data);
                Body::Memory(Bytes::new())
            }
            other => other,
        };
        Self { head: text.into(), body, is_head, repeatable }
    }

    /// The request from its start, for one try.
    pub fn copy(&self) -> io::Result<Unsent> {
        let (data, file) = match &self.body {
            Body::Memory(data) => (data.clone(), None),
            Body::File(file) => (Bytes::new(), Some(File::open(file.path())?)),
            Body::Client(_) => (Bytes::new(), None),
        };
        Ok(Unsent { parts: [self.head.clone(), data], file })
    }
}

impl Outgoing {
    /// The header block of an HTTP/2 request, and its body from the start.
    pub fn streamed(&self, r: &Rc<Request>) -> io::Result<(Bytes, Source)> {
        let source = match &self.body {
            Body::Client(kept) => Source::client(r, kept),
            _ => {
                let mut unsent = self.copy()?;
                unsent.parts[0].clear();
                Source::whole(unsent)?
            }
        };
        Ok((self.head.clone(), source))
    }

    /// Whether all of the request is still there for another try.
    pub fn is_whole(&self) -> bool {
        !matches!(&self.body, Body::Client(kept) if kept.borrow().lost)
    }
}

impl Body {
    fn of(r: &Rc<Request>, conf: &Proxy, family: Family, set_body: Option<Bytes>) -> Self {
        match set_body {
            Some(body) => Self::Memory(body),
            None if !conf.pass_request_body() => Self::Memory(Bytes::new()),
            None if family == Family::Grpc && !r.body.is_read() && !r.is_subrequest() => {
                Self::Client(Rc::default())
            }
            None => match r.body.file() {
                Some(file) => Self::File(file),
                None => Self::Memory(r.body.data()),
            },
        }
    }
}

/// What the request is spoken in.
pub fn version(conf: &Proxy, choices: &Choices) -> Version {
    match (choices.family, choices.http_11) {
        (Family::Grpc, _) => Version::Http2,
        (Family::Memc | Family::Memcached, _) => Version::Http10,
        (Family::Http, Some(true)) => Version::Http11,
        (Family::Http, Some(false)) => Version::Http10,
        (Family::Http, None) => conf.version(),
    }
}

impl Unsent {
    /// The bytes to send next; none when all are sent.
    pub fn front(&mut self) -> io::Result<Option<&[u8]>> {
        if self.parts.iter().all(Bytes::is_empty)
            && let Some(file) = &mut self.file
        {
            let mut piece = vec![0; FILE_PIECE_BYTES];
            let count = file.read(&mut piece)?;
            piece.truncate(count);
            self.parts[1] = piece.into();
            if count == 0 {
                self.file = None;
            }
        }
        Ok(self.parts.iter().find(|part| !part.is_empty()).map(|part| &part[..]))
    }

    pub fn advance(&mut self, count: usize) {
        if let Some(part) = self.parts.iter_mut().find(|part| !part.is_empty()) {
            part.advance(count);
        }
    }
}

/// `$proxy_internal_body_length` of nginx: what the client announced, or what was read of chunks.
pub fn body_length(r: &Rc<Request>) -> Option<u64> {
    match r.body.expected() {
        Expected::None => None,
        // A body thrown away for an error page has no length any more.
        _ if r.body.is_discarded() => Some(0),
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
    if let Some(length) = length
        && !is_set(b"Content-Length")
    {
        line(text, b"Content-Length", length.to_string().as_bytes());
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
        for header in &*r.headers_in.borrow() {
            let dropped = cached && is_conditional(&header.name);
            if !dropped && !is_own(&header.name) && !is_set(&header.name) {
                line(text, &header.name, &header.value);
            }
        }
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
const FILE_PIECE_BYTES: usize = 64 * 1024;
