//! From bytes on a connection to a `Request`: the head, its limits, its virtual server.

use std::{future::poll_fn, rc::Rc, sync::Arc, task::Poll};

use bstr::BStr;
use bytes::{Bytes, BytesMut};

use crate::server::names::ServerName;
use crate::server::vars;
use crate::{
    base::{clock, log::Level},
    net::http1::{
        BadRequest, Known, RequestHead,
        buffers::Sizes,
        request::{Connection, Framing, Parser, Rules, Step},
        uri,
    },
};

use super::{
    body::Expected,
    build::Listening,
    conn::Conn,
    headers::Headers,
    headers_in::HeadersIn,
    location::Server,
    method::Method,
    phase::Flow,
    request::{Request, RequestLine},
};

/// What reading a head gave.
pub enum Head {
    Request(Rc<Request>),
    /// The request is refused before its first phase.
    Refused(Rc<Request>, Flow),
    /// The client left, or sent nothing in time.
    Gone,
}

/// Reads the next head off the connection.
pub async fn read(conn: &Rc<Conn>, listening: &Listening, first: bool) -> Head {
    let server = conn.tls_server.get().unwrap_or(&listening.servers.default);
    let parser = Parser::new(rules(server));
    let mut reading = Reading { conn, server, groups: Vec::new(), parser };
    conn.deadline.set(reading.server.client_header_timeout_ms);
    loop {
        match conn.with_read(|buf| reading.parser.step(buf)) {
            Ok(Step::Done) => return reading.done(),
            Ok(Step::Line | Step::Host) => reading.choose_server(listening),
            Ok(Step::More) => {
                let filled = poll_fn(|cx| match conn.poll_fill(cx, READ_BYTES) {
                    Poll::Ready(filled) => Poll::Ready(Some(filled)),
                    Poll::Pending => conn.deadline.poll(cx).map(|()| None),
                });
                match filled.await {
                    Some(Ok(count)) if count > 0 => clock::update(),
                    Some(_) => return reading.closed(first),
                    None => return reading.timed_out(),
                }
            }
            Err(bad) => return reading.refused(&bad),
        }
    }
}

struct Reading<'a> {
    conn: &'a Rc<Conn>,
    server: &'a Arc<Server>,
    /// Groups of a regex server name.
    groups: Vec<Option<Bytes>>,
    parser: Parser,
}

impl<'a> Reading<'a> {
    fn choose_server(&mut self, listening: &'a Listening) {
        let Some(host) = self.parser.host() else { return };
        let (server, groups) = listening.servers.find(&host.name);
        self.parser.set_rules(rules(server));
        (self.server, self.groups) = (server, groups);
    }

    fn done(self) -> Head {
        let Reading { conn, server, groups, mut parser } = self;
        let ignored = parser.take_ignored();
        let length = parser.head_len();
        let raw = conn.with_read(|buf| take(buf, length));
        let mut head = parser.finish(raw);
        let expects = head.header(Known::Expect);
        let expects = expects.is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
        let method = Method::known(head.line.method)
            .unwrap_or_else(|| Method::parse(head.raw.slice(head.line.method_name.range())));
        let line_in_head = line(&head);
        let places = std::mem::take(&mut head.headers);
        let headers = HeadersIn::unread(std::mem::take(&mut head.raw), places);
        let r = Rc::new(Request::new(conn.clone(), server.clone(), line_in_head, method, headers));
        *r.host.borrow_mut() = head.host.take().map(|host| Vec::from(host.name).into());
        for text in ignored {
            r.log(Level::Info, format_args!("{text}"));
        }
        keep_groups(&r, groups);
        let answer = target(&r, &head);
        framing(&r, &head);
        r.body.expect_continue.set(expects);
        match answer {
            Ok(()) => Head::Request(r),
            Err(status) => Head::Refused(r, Flow::Status(status)),
        }
    }

    fn refused(self, bad: &BadRequest) -> Head {
        let r = self.bare_request();
        r.log(Level::Info, format_args!("{}", bad.log_text()));
        Head::Refused(r, Flow::Status(bad.status))
    }

    fn timed_out(self) -> Head {
        let begun = self.conn.with_read(|buf| self.parser.has_begun(buf));
        self.log(Level::Info, format_args!("client timed out (110: Connection timed out)"));
        if !begun {
            return Head::Gone;
        }
        // nginx ends such a connection without an answer, and logs 408.
        Head::Refused(self.bare_request(), Flow::Status(408))
    }

    fn closed(self, first: bool) -> Head {
        if !self.conn.with_read(|buf| self.parser.has_begun(buf)) {
            return Head::Gone;
        }
        if first || self.conn.with_read(|buf| !buf.is_empty()) {
            self.log(Level::Info, format_args!("client prematurely closed connection"));
        }
        Head::Refused(self.bare_request(), Flow::Status(400))
    }

    /// A request of which only the request line, or not even that, is known.
    fn bare_request(&self) -> Rc<Request> {
        let known = self.parser.line();
        let raw = self.conn.with_read(|buf| buf.split().freeze());
        let text = match known.next {
            0 => 0..first_line(&raw),
            _ => known.whole.range(),
        };
        let line = RequestLine {
            apart: None,
            text,
            target: known.target.range(),
            version: if known.version == 0 { 1000 } else { known.version },
            raw_head: raw.clone(),
            line_bytes: known.next,
        };
        let method = Method::parse(raw.slice(known.method_name.range()));
        let r = Rc::new(Request::new(
            self.conn.clone(),
            self.server.clone(),
            line,
            method,
            Headers::default(),
        ));
        *r.host.borrow_mut() = self.parser.host().map(|host| Bytes::copy_from_slice(&host.name));
        r
    }

    fn log(&self, level: Level, text: std::fmt::Arguments<'_>) {
        let chain = self.server.root.log();
        if chain.enabled(level) {
            let client = BStr::new(&*self.conn.remote_text.borrow()).to_string();
            let server = self.server.name_text();
            let server = BStr::new(&server);
            let tail = format!(", client: {client}, server: {server}");
            chain.write(level, Some(self.conn.number), format_args!("{text}{tail}"));
        }
    }
}

/// Takes a head off the front. Mostly it is all there is: then the buffer itself is given away, as
/// sharing it would be dearer than a new one.
fn take(buf: &mut BytesMut, length: usize) -> Bytes {
    match length == buf.len() {
        true => std::mem::take(buf).freeze(),
        false => buf.split_to(length).freeze(),
    }
}

/// nginx keeps what came up to the line end, or all of it.
fn first_line(raw: &Bytes) -> usize {
    memchr::memchr2(b'\r', b'\n', raw).unwrap_or(raw.len())
}

fn rules(server: &Server) -> Rules {
    Rules {
        sizes: Sizes {
            first_bytes: server.client_header_buffer_size,
            large_count: server.large_client_header_buffers.0,
            large_bytes: server.large_client_header_buffers.1,
        },
        underscores_in_headers: server.underscores_in_headers,
        ignore_invalid_headers: server.ignore_invalid_headers,
        max_headers: server.max_headers,
        allow_connect: false,
    }
}

fn line(head: &RequestHead) -> RequestLine {
    let whole = head.line.whole.range();
    let target = head.line.target.range();
    // Empty lines before the request line do not belong to it.
    let start = whole.start;
    RequestLine {
        raw_head: head.raw.slice(start..),
        apart: None,
        line_bytes: head.line.next - start,
        text: 0..whole.end - start,
        target: target.start - start..target.end - start,
        version: head.line.version,
    }
}

/// Normalises the target into path and arguments.
fn target(r: &Rc<Request>, head: &RequestHead) -> Result<(), u16> {
    let (raw, from) = (&r.line.raw_head, r.line.target.start);
    let text = &raw[r.line.target.clone()];
    if !head.line.complex && !head.line.empty_path {
        let (path, args) = uri::split(text);
        *r.uri.borrow_mut() = raw.slice(from + path.start..from + path.end);
        if !args.is_empty() {
            *r.args.borrow_mut() = raw.slice(from + args.start..from + args.end);
        }
        return Ok(());
    }
    let merges = r.with_server(|server| server.merge_slashes);
    match uri::normalize(text, head.line.empty_path, merges) {
        Ok(parsed) => {
            *r.args.borrow_mut() = raw.slice(from + parsed.args.start..from + parsed.args.end);
            *r.uri.borrow_mut() = parsed.path.into();
            r.quoted_uri.set(parsed.quoted);
            r.valid_unparsed_uri.set(!head.line.empty_path);
            Ok(())
        }
        Err(uri::InvalidUri) => {
            r.log(
                Level::Info,
                format_args!("client sent invalid request while reading client request line"),
            );
            Err(400)
        }
    }
}

fn framing(r: &Rc<Request>, head: &RequestHead) {
    match head.framing {
        Framing::None => {}
        Framing::Length(length) => r.body.expect(Expected::Length(length)),
        Framing::Chunked => r.body.expect(Expected::Chunked),
    }
    let keepalive = match head.connection {
        Connection::Close => false,
        Connection::KeepAlive => true,
        Connection::Unsaid => head.line.version >= 1001,
    };
    r.keepalive.set(keepalive);
}

/// Groups of a regex server name become captures, named ones variables.
pub fn keep_groups(r: &Rc<Request>, groups: Vec<Option<Bytes>>) {
    if groups.is_empty() {
        return;
    }
    *r.captures.borrow_mut() = groups.into_iter().collect();
    let server = r.server();
    for name in &server.names {
        if let ServerName::Regex(regex, _) = name {
            let groups: Vec<_> = r.captures.borrow().iter().cloned().collect();
            vars::keep_named_groups(r, regex, &groups);
        }
    }
}

/// The buffer of the first read; heads usually fit.
pub const FIRST_READ_BYTES: usize = 4096;
const READ_BYTES: usize = 8192;
