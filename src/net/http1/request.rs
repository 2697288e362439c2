//! Reads a request head piece by piece, as it arrives.
//!
//! ```text
//!   step(buffer) ─▶ More          read on, call again with all bytes since the head began
//!                   Line          the request line stands: an absolute target may name the server
//!                   Host          the Host header stands: the server's rules hold from here on
//!                   Done          finish(buffer) ─▶ RequestHead, and what follows is the body
//! ```

use bstr::{BString, ByteSlice};
use bytes::Bytes;

use super::buffers::{Buffers, Overflow, Sizes};
use super::cursor::{Cursor, Stop};
use super::header::{self, HeaderLine, Known, Malformed, Parsed};
use super::line::{self, RequestLine};
use super::{BadRequest, HTTP_10, HTTP_11, Host, Method};

/// Reads one request head.
#[derive(Debug)]
pub struct Parser {
    rules: Rules,
    buffers: Buffers,
    state: State,
    /// Where the line to be read next begins.
    at: usize,
    line: RequestLine,
    headers: Vec<HeaderLine>,
    host: Option<Host>,
    host_header: Option<usize>,
    connection: Connection,
    framing: Framing,
    ignored: Vec<BString>,
    last_header_at: Option<usize>,
}

/// What the configuration of the server says about heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub sizes: Sizes,
    pub underscores_in_headers: bool,
    pub ignore_invalid_headers: bool,
    pub max_headers: usize,
    pub allow_connect: bool,
}

/// How far a call of [`Parser::step`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    More,
    Line,
    Host,
    Done,
}

/// A whole request head. Places in it are places in `raw`.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The head as sent, the empty line included.
    pub raw: Bytes,
    pub line: RequestLine,
    pub headers: Vec<HeaderLine>,
    /// Of the target, or else of the Host header.
    pub host: Option<Host>,
    pub connection: Connection,
    pub framing: Framing,
}

/// What the Connection header asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Connection {
    #[default]
    Unsaid,
    Close,
    KeepAlive,
}

/// Where the body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    #[default]
    None,
    Length(u64),
    Chunked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Line,
    Headers,
    Done,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            sizes: Sizes::default(),
            underscores_in_headers: false,
            ignore_invalid_headers: true,
            max_headers: 1000,
            allow_connect: false,
        }
    }
}

impl Parser {
    /// Begins with the rules of the listening socket's default server.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            buffers: Buffers::new(rules.sizes),
            state: State::Line,
            at: 0,
            line: RequestLine::default(),
            headers: Vec::with_capacity(16),
            host: None,
            host_header: None,
            connection: Connection::Unsaid,
            framing: Framing::None,
            ignored: Vec::new(),
            last_header_at: None,
        }
    }

    /// Another server was chosen; its rules hold from the next line on.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Reads on in `buf`, which holds all bytes since the head began.
    pub fn step(&mut self, buf: &[u8]) -> Result<Step, BadRequest> {
        match self.state {
            State::Line => self.step_line(buf),
            State::Headers => self.step_headers(buf),
            State::Done => Ok(Step::Done),
        }
    }

    /// The request line, once a step has given it; before that an empty one.
    pub fn line(&self) -> &RequestLine {
        &self.line
    }

    pub fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// Log messages (level info) about header lines that were ignored.
    pub fn take_ignored(&mut self) -> Vec<BString> {
        std::mem::take(&mut self.ignored)
    }

    /// The length of the head in the buffer, once [`Step::Done`] was given; empty lines before the
    /// request line count.
    pub fn head_len(&self) -> usize {
        self.at
    }

    /// Whether the client has sent anything of a request; decides whether a close is worth a line.
    pub fn has_begun(&self, buf: &[u8]) -> bool {
        self.state != State::Line || buf.iter().any(|&c| c != b'\r' && c != b'\n')
    }

    /// Makes the head of the `head_len` bytes that were parsed.
    pub fn finish(self, raw: Bytes) -> RequestHead {
        RequestHead {
            raw,
            line: self.line,
            headers: self.headers,
            host: self.host,
            connection: self.connection,
            framing: self.framing,
        }
    }

    fn step_line(&mut self, buf: &[u8]) -> Result<Step, BadRequest> {
        let blank = buf[self.at..].iter().take_while(|&&c| c == b'\r' || c == b'\n').count();
        let start = self.at + blank;
        self.buffers.skip_to(start);
        let line = loop {
            match line::parse(self.visible(buf), start) {
                Ok(line) => break line,
                Err(Stop::Bad(e)) => return Err(e),
                Err(Stop::More) if buf.len() < self.buffers.end() => return Ok(Step::More),
                Err(Stop::More) => {
                    let grown = self.buffers.grow(self.rules.sizes, start);
                    grown.map_err(|_| BadRequest::line(414, "client sent too long URI"))?;
                }
            }
        };
        if let Some(authority) = line.authority {
            let wrong = || BadRequest::line(400, "client sent invalid host in request line");
            self.host = Some(Host::parse(authority.of(buf)).ok_or_else(wrong)?);
        }
        self.at = line.next;
        self.state = if line.version < HTTP_10 { State::Done } else { State::Headers };
        self.line = line;
        Ok(Step::Line)
    }

    fn step_headers(&mut self, buf: &[u8]) -> Result<Step, BadRequest> {
        loop {
            let visible = self.visible(buf);
            let mut cursor = Cursor::new(visible, self.at);
            let parsed = header::parse(&mut cursor, self.rules.underscores_in_headers);
            if visible.len() > self.at {
                self.last_header_at = Some(self.at);
            }
            match parsed {
                Err(Stop::Bad(malformed)) => return Err(invalid_line(&malformed, buf)),
                Err(Stop::More) if buf.len() < self.buffers.end() => return Ok(Step::More),
                Err(Stop::More) => {
                    let grown = self.buffers.grow(self.rules.sizes, self.at);
                    grown.map_err(|overflow| too_large(self.last_header_at, &overflow, buf))?;
                }
                Ok(Parsed::Line(header)) => {
                    self.at = cursor.at();
                    if self.accept(header, buf)? {
                        return Ok(Step::Host);
                    }
                }
                Ok(Parsed::End) => {
                    self.at = cursor.at();
                    self.check_whole(buf)?;
                    self.state = State::Done;
                    return Ok(Step::Done);
                }
            }
        }
    }

    /// What nginx would have read: the verdict must not depend on how much more has arrived.
    fn visible<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        &buf[..buf.len().min(self.buffers.end())]
    }

    /// Takes a header line in; tells whether it was the Host header that decides the server.
    fn accept(&mut self, mut header: HeaderLine, buf: &[u8]) -> Result<bool, BadRequest> {
        if header.invalid && self.rules.ignore_invalid_headers {
            let quoted = &buf[header.name.range().start..header.value.range().end];
            let text = [b"client sent invalid header line: \"", quoted, b"\""].concat();
            self.ignored.push(BadRequest::headers(400, text).log_text());
            return Ok(false);
        }
        if self.headers.len() >= self.rules.max_headers {
            return Err(BadRequest::headers(494, TOO_MANY));
        }
        header.known = Known::of(header.name.of(buf));
        let value = header.value.of(buf);
        if header.known.once_in_request()
            && let Some(before) = self.headers.iter().find(|h| h.known == header.known)
        {
            return Err(duplicate("header line", &header, before, buf));
        }
        let mut server_known = false;
        match header.known {
            Known::Host => server_known = self.accept_host(&header, buf)?,
            Known::Connection if contains(value, b"close") => self.connection = Connection::Close,
            Known::Connection if contains(value, b"keep-alive") => {
                self.connection = Connection::KeepAlive;
            }
            _ => {}
        }
        self.headers.push(header);
        Ok(server_known)
    }

    fn accept_host(&mut self, header: &HeaderLine, buf: &[u8]) -> Result<bool, BadRequest> {
        if let Some(before) = self.host_header {
            return Err(duplicate("host header", header, &self.headers[before], buf));
        }
        self.host_header = Some(self.headers.len());
        let host = Host::parse(header.value.of(buf));
        let host =
            host.ok_or_else(|| BadRequest::headers(400, "client sent invalid host header"))?;
        // A host in the target wins over the header.
        let decides = self.host.is_none();
        if decides {
            self.host = Some(host);
        }
        Ok(decides)
    }

    /// What can only be judged when all headers are there, in nginx's order.
    fn check_whole(&mut self, buf: &[u8]) -> Result<(), BadRequest> {
        let fail = |status, text: &str| Err(BadRequest::headers(status, text));
        if self.host_header.is_none() && self.line.version > HTTP_10 {
            return fail(400, "client sent HTTP/1.1 request without \"Host\" header");
        }
        if let Some(value) = self.value(Known::ContentLength, buf) {
            let Some(length) = parse_length(value) else {
                return fail(400, "client sent invalid \"Content-Length\" header");
            };
            self.framing = Framing::Length(length);
        }
        if let Some(value) = self.value(Known::TransferEncoding, buf) {
            if self.line.version < HTTP_11 {
                return fail(400, "client sent HTTP/1.0 request with \"Transfer-Encoding\" header");
            }
            if !value.eq_ignore_ascii_case(b"chunked") {
                let text = [b"client sent unknown \"Transfer-Encoding\": \"", value, b"\""];
                return Err(BadRequest::headers(501, text.concat()));
            }
            if self.framing != Framing::None {
                return fail(
                    400,
                    "client sent \"Content-Length\" and \"Transfer-Encoding\" headers \
                     at the same time",
                );
            }
            self.framing = Framing::Chunked;
        }
        let tunnels = self.rules.allow_connect && self.line.version == HTTP_11;
        match self.line.method {
            Method::Connect if !tunnels => fail(405, "client sent CONNECT method"),
            Method::Trace => fail(405, "client sent TRACE method"),
            _ => Ok(()),
        }
    }

    fn value<'a>(&self, known: Known, buf: &'a [u8]) -> Option<&'a [u8]> {
        self.headers.iter().find(|h| h.known == known).map(|h| h.value.of(buf))
    }
}

impl RequestHead {
    /// The first header of a kind.
    pub fn header(&self, known: Known) -> Option<&[u8]> {
        self.headers.iter().find(|h| h.known == known).map(|h| h.value.of(&self.raw))
    }

    /// Names and values as sent, in their order.
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers.iter().map(|h| (h.name.of(&self.raw), h.value.of(&self.raw)))
    }

    /// The method's word, known or not.
    pub fn method_name(&self) -> &[u8] {
        self.line.method_name.of(&self.raw)
    }

    /// The head without empty lines before it: `ngx.req.raw_header()`, and the start of
    /// `$request_length`.
    pub fn raw_header(&self) -> &[u8] {
        self.raw.get(self.line.whole.range().start..).unwrap_or_default()
    }
}

/// Reads a length as nginx does: digits only, below 2^63.
pub fn parse_length(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let length = text.iter().try_fold(0i64, |n, c| {
        let digit = c.is_ascii_digit().then(|| i64::from(c - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    });
    length.map(|n| n as u64)
}

fn invalid_line(malformed: &Malformed, buf: &[u8]) -> BadRequest {
    let quote = malformed.quote(buf);
    let text = [b"client sent invalid header line: ", quote.as_bytes()];
    BadRequest::headers(400, text.concat())
}

/// nginx names the line it was at, and shows as much of it as a log line holds.
fn too_large(line_at: Option<usize>, overflow: &Overflow, buf: &[u8]) -> BadRequest {
    let Some(start) = line_at else {
        return BadRequest::headers(494, "client sent too large request");
    };
    let end = overflow.end.min(buf.len()).min(start + QUOTE_MAX_BYTES).max(start);
    let text = [b"client sent too long header line: \"", &buf[start..end], b"...\""];
    BadRequest::headers(494, text.concat())
}

fn duplicate(what: &str, now: &HeaderLine, before: &HeaderLine, buf: &[u8]) -> BadRequest {
    let show = |h: &HeaderLine| [b"\"", h.name.of(buf), b": ", h.value.of(buf), b"\""].concat();
    let start = format!("client sent duplicate {what}: ");
    let parts = [start.as_bytes(), &show(now), b", previous value: ", &show(before)];
    BadRequest::headers(400, parts.concat())
}

/// Finds a word whatever its case, anywhere in the value.
fn contains(value: &[u8], word: &[u8]) -> bool {
    value.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word))
}

/// nginx leaves 300 bytes of a log line to what follows.
const QUOTE_MAX_BYTES: usize = crate::base::log::LINE_MAX_BYTES - 300;

/// More lines than `max_headers`.
pub const TOO_MANY: &str = "client sent too many header lines";

#[cfg(test)]
mod tests;
