//! A request in the making: header fields in, `Request` out, judged as nginx judges them.
//!
//! ```text
//!  :method :scheme :path :authority │ regular fields ─▶ Draft ─▶ Request, or Request and 400
//! ```

use std::{rc::Rc, sync::Arc};

use bstr::BStr;
use bytes::Bytes;

use crate::{
    base::log::Level,
    http::{
        body::Expected,
        build::Listening,
        conn::Conn,
        headers::Headers,
        location::Server,
        method::Method,
        phase::Flow,
        read_head,
        request::{Request, RequestLine},
        tls,
    },
    net::{
        http1::{
            header::Known,
            host::Host,
            line,
            request::{TOO_MANY, parse_length},
            uri,
        },
        http2::hpack::Field,
    },
};

/// Header fields of a stream as far as they were read.
pub struct Draft<'a> {
    listening: &'a Listening,
    server: Arc<Server>,
    groups: Vec<Option<Bytes>>,
    method: Option<Bytes>,
    scheme: Option<Bytes>,
    path: Option<Bytes>,
    authority: Option<Bytes>,
    host: Option<Host>,
    headers: Headers,
    cookie: Option<Bytes>,
    length: Option<u64>,
    ignored: Vec<String>,
    /// A field that is not a pseudo one was seen.
    regular: bool,
    bad: Option<Bad>,
}

/// What is wrong: the status and nginx's words for the log.
struct Bad(u16, String);

impl<'a> Draft<'a> {
    /// `server` is the one the client named in its TLS hello, or the default one.
    pub fn new(listening: &'a Listening, server: Arc<Server>) -> Self {
        Self {
            listening,
            server,
            groups: Vec::new(),
            method: None,
            scheme: None,
            path: None,
            authority: None,
            host: None,
            headers: Headers::default(),
            cookie: None,
            length: None,
            ignored: Vec::new(),
            regular: false,
            bad: None,
        }
    }

    /// Takes a field in; after the first bad one the others do not matter.
    pub fn take(&mut self, field: Field) {
        if self.bad.is_none()
            && let Err(bad) = self.judge(field)
        {
            self.bad = Some(bad);
        }
    }

    fn judge(&mut self, field: Field) -> Result<(), Bad> {
        let invalid = self.check(&field)?;
        if field.name.starts_with(b":") {
            return self.pseudo(field);
        }
        self.regular = true;
        if invalid && self.server.ignore_invalid_headers {
            let (name, value) = (BStr::new(&field.name), BStr::new(&field.value));
            self.ignored.push(format!("client sent invalid header: \"{name}: {value}\""));
            return Ok(());
        }
        self.regular_field(field)
    }

    /// Tells whether the name has characters nginx ignores a header for.
    fn check(&self, field: &Field) -> Result<bool, Bad> {
        let name = field.name.strip_prefix(b":").unwrap_or(&field.name);
        if name.is_empty() {
            return bad("client sent zero header name length");
        }
        let mut invalid = false;
        for byte in name {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' => {}
                b'_' if self.server.underscores_in_headers => {}
                0..=b' ' | 0x7f | b':' | b'A'..=b'Z' => {
                    let name = BStr::new(&field.name);
                    return bad(format!("client sent invalid header name: \"{name}\""));
                }
                _ => invalid = true,
            }
        }
        if field.value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
            let (name, value) = (BStr::new(&field.name), BStr::new(&field.value));
            return bad(format!("client sent header \"{name}\" with invalid value: \"{value}\""));
        }
        Ok(invalid)
    }

    fn pseudo(&mut self, field: Field) -> Result<(), Bad> {
        if self.regular {
            return bad("client sent out of order pseudo-headers");
        }
        let Field { name, value } = field;
        let slot = match &name[1..] {
            b"method" => &mut self.method,
            b"scheme" => &mut self.scheme,
            b"path" => &mut self.path,
            b"authority" => &mut self.authority,
            _ => {
                let name = BStr::new(&name);
                return bad(format!("client sent unknown pseudo-header \"{name}\""));
            }
        };
        if slot.is_some() {
            return bad(format!("client sent duplicate {} header", BStr::new(&name)));
        }
        if value.is_empty() && name != b":authority"[..] {
            return bad(format!("client sent empty {} header", BStr::new(&name)));
        }
        *slot = Some(value.clone());
        match &name[1..] {
            b"method" if !value.iter().all(|b| matches!(b, b'A'..=b'Z' | b'_' | b'-')) => {
                bad(format!("client sent invalid method: \"{}\"", BStr::new(&value)))
            }
            b"scheme" if !is_scheme(&value) => {
                bad(format!("client sent invalid :scheme header: \"{}\"", BStr::new(&value)))
            }
            b"path" if !line::is_path(&value) => {
                bad(format!("client sent invalid :path header: \"{}\"", BStr::new(&value)))
            }
            b"authority" => {
                self.choose_server(&value)?;
                self.headers.add("host", value);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn choose_server(&mut self, host: &Bytes) -> Result<(), Bad> {
        let Some(host) = Host::parse(host) else {
            return bad("client sent invalid host header");
        };
        let (server, groups) = self.listening.servers.find(&host.name);
        (self.server, self.groups) = (server.clone(), groups);
        self.host = Some(host);
        Ok(())
    }

    fn regular_field(&mut self, field: Field) -> Result<(), Bad> {
        let pseudo = usize::from(self.authority.is_some());
        if self.headers.len() - pseudo >= self.server.max_headers {
            return Err(Bad(494, TOO_MANY.into()));
        }
        let Field { name, value } = field;
        let known = Known::of(&name);
        if known.once_in_request() && self.headers.contains(&name) {
            let (name, value) = (BStr::new(&name), BStr::new(&value));
            return bad(format!("client sent duplicate header line: \"{name}: {value}\""));
        }
        match known {
            Known::Host => {
                let same =
                    self.authority.as_ref().or(self.headers.first("host")).map(|h| *h == value);
                match same {
                    // Said twice, and the same: no reason to refuse.
                    Some(true) if self.authority.is_some() => return Ok(()),
                    Some(_) => {
                        let value = BStr::new(&value);
                        return bad(format!(
                            "client sent duplicate host header: \"host: {value}\""
                        ));
                    }
                    None => self.choose_server(&value)?,
                }
            }
            Known::Cookie => {
                // Clients may split the line, to compress it better.
                self.cookie = Some(match self.cookie.take() {
                    None => value,
                    Some(before) => [&before[..], b"; ", &value].concat().into(),
                });
                return Ok(());
            }
            Known::ContentLength => {
                self.length = parse_length(&value);
                if self.length.is_none() {
                    return bad("client sent invalid \"Content-Length\" header");
                }
            }
            _ => {}
        }
        self.headers.add(name, value);
        Ok(())
    }

    /// What can only be judged when all fields are there.
    fn check_whole(&self, in_closed: bool) -> Result<(), Bad> {
        for (name, value) in
            [(":path", &self.path), (":method", &self.method), (":scheme", &self.scheme)]
        {
            if value.is_none() {
                return bad(format!("client sent no {name} header"));
            }
        }
        if self.host.is_none() {
            return bad("client sent neither \":authority\" nor \"Host\" header");
        }
        match self.method.as_deref() {
            Some(b"CONNECT") => return Err(Bad(405, "client sent CONNECT method".into())),
            Some(b"TRACE") => return Err(Bad(405, "client sent TRACE method".into())),
            _ => {}
        }
        if in_closed && self.length.is_some_and(|length| length > 0) {
            return bad("client prematurely closed stream");
        }
        Ok(())
    }

    /// Makes the request; with a flow when it is refused before its first phase.
    pub fn finish(
        mut self,
        conn: &Rc<Conn>,
        block: Bytes,
        in_closed: bool,
    ) -> (Rc<Request>, Option<Flow>) {
        if self.bad.is_none() {
            self.bad = self.check_whole(in_closed).err();
        }
        if let Some(cookie) = self.cookie.take() {
            self.headers.add("cookie", cookie);
        }
        let method = self.method.clone().unwrap_or_default();
        let path = self.path.clone().unwrap_or_default();
        let line = request_line(&method, &path, block);
        let method = Method::parse(method);
        let r = Rc::new(Request::new(conn.clone(), self.server, line, method, self.headers));
        *r.host.borrow_mut() = self.host.map(|host| Bytes::copy_from_slice(&host.name));
        r.keepalive.set(true);
        self.ignored.iter().for_each(|text| r.log(Level::Info, format_args!("{text}")));
        if let Some(Bad(status, text)) = self.bad {
            r.log(Level::Info, format_args!("{text}"));
            return (r, Some(Flow::Status(status)));
        }
        read_head::keep_groups(&r, self.groups);
        r.body.expect(match (self.length, in_closed) {
            (Some(length), _) => Expected::Length(length),
            (None, false) => Expected::Chunked,
            (None, true) => Expected::None,
        });
        let refused = match target(&r) {
            Err(status) => Some(Flow::Status(status)),
            Ok(()) => tls::refuse(&r, self.listening),
        };
        (r, refused)
    }
}

fn request_line(method: &Bytes, path: &Bytes, block: Bytes) -> RequestLine {
    let mut line = RequestLine { version: 2000, raw_head: block, ..RequestLine::default() };
    let text = match path.is_empty() {
        true => Bytes::new(),
        false => [&method[..], b" ", path, b" HTTP/2.0"].concat().into(),
    };
    if !path.is_empty() {
        let start = method.len() + 1;
        line.target = start..start + path.len();
    }
    line.text = 0..text.len();
    line.apart = Some(text);
    line
}

/// Normalises the path.
fn target(r: &Rc<Request>) -> Result<(), u16> {
    let text = r.line.target();
    if !line::is_complex(&text) {
        let (path, args) = uri::split(&text);
        *r.uri.borrow_mut() = text.slice(path);
        *r.args.borrow_mut() = text.slice(args);
        return Ok(());
    }
    let parsed = uri::normalize(&text, false, r.server().merge_slashes).map_err(|_| {
        r.log(
            Level::Info,
            format_args!("client sent invalid :path header: \"{}\"", BStr::new(&text)),
        );
        400u16
    })?;
    *r.args.borrow_mut() = text.slice(parsed.args);
    *r.uri.borrow_mut() = parsed.path.into();
    r.quoted_uri.set(parsed.quoted);
    Ok(())
}

fn is_scheme(text: &[u8]) -> bool {
    let tail = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    text.first().is_some_and(u8::is_ascii_alphabetic) && text.iter().all(tail)
}

fn bad<T>(text: impl Into<String>) -> Result<T, Bad> {
    Err(Bad(400, text.into()))
}
