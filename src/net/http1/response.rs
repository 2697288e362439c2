//! Reads the head of an upstream's response, as forgiving and as strict as nginx's proxy.
//!
//! ```text
//!   step(buffer) ─▶ false: read on      true: finish(bytes) ─▶ ResponseHead ─▶ body(of a HEAD?)
//! ```

use bstr::{BString, ByteSlice};
use bytes::Bytes;
use thiserror::Error;

use super::cursor::{Cursor, Stop};
use super::header::{self, HeaderLine, Known, Parsed};
use super::request::parse_length;
use super::{HTTP_11, Span};

/// Reads one response head.
#[derive(Debug)]
pub struct Parser {
    dialect: Dialect,
    /// The size of the buffer the head must fit into: `proxy_buffer_size`.
    max_bytes: usize,
    at: usize,
    status: Option<StatusLine>,
    headers: Vec<HeaderLine>,
    /// Of several singular headers nginx takes the first; log messages about the others.
    ignored: Vec<BString>,
    length: Option<u64>,
    chunked: bool,
    close: bool,
}

/// A whole response head. Places in it are places in `raw`.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    pub raw: Bytes,
    pub version: u16,
    pub status: u16,
    /// The number and the reason: `200 OK`.
    pub status_line: Span,
    pub headers: Vec<HeaderLine>,
    /// The upstream closes, or speaks a version that does.
    pub close: bool,
    length: Option<u64>,
    chunked: bool,
}

/// Where a response's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// What is wrong with a response, in nginx's words.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum UpstreamError {
    /// nginx logs this and passes everything on as the body of a 200 (HTTP/0.9).
    #[error("upstream sent no valid HTTP/1.0 header")]
    NoStatusLine,
    #[error("upstream sent too big header")]
    TooBig,
    #[error("upstream sent invalid header: {0}")]
    Header(BString),
    #[error("upstream sent duplicate header line: {0}")]
    Duplicate(BString),
    #[error("upstream sent invalid \"Content-Length\" header: \"{0}\"")]
    Length(BString),
    #[error("upstream sent unknown \"Transfer-Encoding\": \"{0}\"")]
    Encoding(BString),
    #[error("upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time")]
    Both,
    #[error("upstream sent invalid status \"{0}\"")]
    Status(BString),
    #[error("upstream sent HTTP/1.0 response with early hints")]
    EarlyHints,
}

/// How a head begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Http,
    /// With lines, as CGI scripts write them; a status line is taken too.
    Cgi,
    /// With lines only; the connection's fate is told elsewhere.
    Fastcgi,
}

#[derive(Clone, Copy, Debug)]
struct StatusLine {
    version: u16,
    status: u16,
    text: Span,
}

impl Parser {
    pub fn new(max_bytes: usize) -> Self {
        Self::of(Dialect::Http, max_bytes)
    }

    /// For SCGI and uwsgi.
    pub fn cgi(max_bytes: usize) -> Self {
        Self::of(Dialect::Cgi, max_bytes)
    }

    /// For what FastCGI's records hold.
    pub fn fastcgi(max_bytes: usize) -> Self {
        Self::of(Dialect::Fastcgi, max_bytes)
    }

    /// The status, once its line was read.
    pub fn status(&self) -> Option<u16> {
        self.status.map(|line| line.status)
    }

    /// A parser of the same kind that has read nothing.
    pub fn fresh(&self) -> Self {
        Self::of(self.dialect, self.max_bytes)
    }

    fn of(dialect: Dialect, max_bytes: usize) -> Self {
        Self {
            dialect,
            max_bytes,
            at: 0,
            status: None,
            headers: Vec::with_capacity(16),
            ignored: Vec::new(),
            length: None,
            chunked: false,
            close: false,
        }
    }

    /// Reads on in `buf`, which holds all bytes since the head began; tells whether it is whole.
    pub fn step(&mut self, buf: &[u8]) -> Result<bool, UpstreamError> {
        let fits = buf.len() < self.max_bytes;
        match self.read(&buf[..buf.len().min(self.max_bytes)]) {
            Ok(()) => Ok(true),
            Err(Stop::More) if fits => Ok(false),
            Err(Stop::More) => Err(UpstreamError::TooBig),
            Err(Stop::Bad(e)) => Err(e),
        }
    }

    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// The length of the head, once a step said it is whole.
    pub fn head_len(&self) -> usize {
        self.at
    }

    /// Log messages (level warn) about header lines that were not taken.
    pub fn take_ignored(&mut self) -> Vec<BString> {
        std::mem::take(&mut self.ignored)
    }

    /// Makes the head of the `head_len` bytes that were parsed.
    pub fn finish(self, raw: Bytes) -> ResponseHead {
        let status =
            self.status.unwrap_or(StatusLine { version: 0, status: 0, text: Span::default() });
        ResponseHead {
            raw,
            version: status.version,
            status: status.status,
            status_line: status.text,
            headers: self.headers,
            close: self.close || status.version < HTTP_11,
            length: self.length,
            chunked: self.chunked,
        }
    }

    fn read(&mut self, buf: &[u8]) -> Result<(), Stop<UpstreamError>> {
        let mut cursor = Cursor::new(buf, self.at);
        if self.status.is_none() {
            let status = self.first_line(&mut cursor)?;
            if status.status == 103 && status.version < HTTP_11 {
                return Err(Stop::Bad(UpstreamError::EarlyHints));
            }
            self.status = Some(status);
            self.at = cursor.at();
        }
        loop {
            if self.dialect == Dialect::Http && cursor.rest().starts_with(b"HTTP/") {
                // IIS repeats its status line among the headers; nginx passes over it.
                cursor.skip(|c| c != b'\n')?;
                cursor.next()?;
                self.at = cursor.at();
                continue;
            }
            let parsed = header::parse(&mut cursor, true).map_err(|stop| match stop {
                Stop::More => Stop::More,
                Stop::Bad(malformed) => Stop::Bad(UpstreamError::Header(malformed.quote(buf))),
            })?;
            self.at = cursor.at();
            match parsed {
                Parsed::End => return self.settle_status(buf).map_err(Stop::Bad),
                Parsed::Line(header) => self.accept(header, buf).map_err(Stop::Bad)?,
            }
        }
    }

    fn first_line(&self, cursor: &mut Cursor<'_>) -> Result<StatusLine, Stop<UpstreamError>> {
        let untold = StatusLine { version: HTTP_11, status: 0, text: Span::default() };
        match self.dialect {
            Dialect::Http => status_line(cursor),
            Dialect::Fastcgi => Ok(untold),
            Dialect::Cgi => {
                let start = cursor.at();
                match status_line(cursor) {
                    Err(Stop::Bad(_)) => {
                        cursor.jump(start);
                        Ok(untold)
                    }
                    read => read,
                }
            }
        }
    }

    /// A script tells its status by a line, or by sending the client elsewhere.
    fn settle_status(&mut self, buf: &[u8]) -> Result<(), UpstreamError> {
        self.close |= self.dialect == Dialect::Cgi;
        let Some(known) = self.status.filter(|status| status.status == 0) else { return Ok(()) };
        let line = self.headers.iter().find(|line| {
            line.known == Known::Other && line.name.of(buf).eq_ignore_ascii_case(b"Status")
        });
        let (status, text) = match line {
            Some(line) => {
                let value = line.value.of(buf);
                let digits = value.get(..3).filter(|text| text.iter().all(u8::is_ascii_digit));
                let digits = digits.ok_or_else(|| UpstreamError::Status(value.into()))?;
                (digits.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0')), line.value)
            }
            None if self.headers.iter().any(|line| line.known == Known::Location) => {
                (302, Span::default())
            }
            None => (200, Span::default()),
        };
        self.status = Some(StatusLine { status, text, ..known });
        Ok(())
    }

    fn accept(&mut self, mut header: HeaderLine, buf: &[u8]) -> Result<(), UpstreamError> {
        header.known = Known::of(header.name.of(buf));
        let value = header.value.of(buf);
        let name = header.name.of(buf);
        let unnamed = matches!(header.known, Known::Other | Known::Accel);
        let once = unnamed && is_singular(name);
        let before = self.headers.iter().find(|h| match once {
            true => h.name.of(buf).eq_ignore_ascii_case(name),
            false => h.known == header.known,
        });
        match (header.known, before) {
            (Known::ContentLength | Known::TransferEncoding, Some(before)) => {
                return Err(UpstreamError::Duplicate(twice(&header, before, buf)));
            }
            (Known::ContentLength, None) if self.chunked => return Err(UpstreamError::Both),
            (Known::ContentLength, None) => {
                let wrong = || UpstreamError::Length(show(&header, buf));
                self.length = Some(parse_length(value).ok_or_else(wrong)?);
            }
            (Known::TransferEncoding, None) if self.length.is_some() => {
                return Err(UpstreamError::Both);
            }
            (Known::TransferEncoding, None) if value.eq_ignore_ascii_case(b"chunked") => {
                self.chunked = true;
            }
            (Known::TransferEncoding, None) => return Err(UpstreamError::Encoding(value.into())),
            (Known::Connection, _) => {
                self.close |= value.windows(5).any(|w| w.eq_ignore_ascii_case(b"close"));
            }
            (known, Some(before)) if once || SINGULAR.contains(&known) => {
                let lines = twice(&header, before, buf);
                let text =
                    [b"upstream sent duplicate header line: ", lines.as_bytes(), b", ignored"];
                self.ignored.push(text.concat().into());
                return Ok(());
            }
            _ => {}
        }
        self.headers.push(header);
        Ok(())
    }
}

impl ResponseHead {
    /// Where the body ends; `head` tells that the request was a HEAD.
    pub fn body(&self, head: bool) -> Body {
        match self.status {
            _ if head => Body::None,
            100..=199 | 204 | 304 => Body::None,
            _ if self.chunked => Body::Chunked,
            _ => self.length.map_or(Body::UntilClose, Body::Length),
        }
    }

    /// The length the upstream announced, also where there is no body.
    pub fn content_length(&self) -> Option<u64> {
        self.length
    }

    pub fn header(&self, known: Known) -> Option<&[u8]> {
        self.headers.iter().find(|h| h.known == known).map(|h| h.value.of(&self.raw))
    }

    /// Names and values as sent, in their order.
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers.iter().map(|h| (h.name.of(&self.raw), h.value.of(&self.raw)))
    }
}

fn status_line(cursor: &mut Cursor<'_>) -> Result<StatusLine, Stop<UpstreamError>> {
    for wanted in *b"HTTP/" {
        if cursor.next()? != wanted {
            return no_status();
        }
    }
    if cursor.peek()? == b'0' {
        return no_status();
    }
    let major = number(cursor, b'.')?;
    let minor = number(cursor, b' ')?;
    let (mut status, mut start) = (0, 0);
    for _ in 0..3 {
        cursor.skip(|c| c == b' ')?;
        let digit = cursor.next()?;
        if !digit.is_ascii_digit() {
            return no_status();
        }
        start = if status == 0 { cursor.at() - 1 } else { start };
        status = status * 10 + u16::from(digit - b'0');
    }
    // A dot: IIS may send 403.1.
    if !matches!(cursor.peek()?, b' ' | b'.' | b'\r' | b'\n') {
        return no_status();
    }
    cursor.skip(|c| c != b'\r' && c != b'\n')?;
    let text = Span::new(start, cursor.at());
    let end = cursor.next()?;
    if end == b'\r' && cursor.next()? != b'\n' {
        return no_status();
    }
    Ok(StatusLine { version: major * 1000 + minor, status, text })
}

/// A number up to 999 and the byte behind it.
fn number(cursor: &mut Cursor<'_>, behind: u8) -> Result<u16, Stop<UpstreamError>> {
    let start = cursor.at();
    let mut number = 0;
    loop {
        match cursor.next()? {
            digit @ b'0'..=b'9' if number <= 99 => number = number * 10 + u16::from(digit - b'0'),
            byte if byte == behind && cursor.at() > start + 1 => return Ok(number),
            _ => return no_status(),
        }
    }
}

fn no_status<T>() -> Result<T, Stop<UpstreamError>> {
    Err(Stop::Bad(UpstreamError::NoStatusLine))
}

fn show(header: &HeaderLine, buf: &[u8]) -> BString {
    [header.name.of(buf), b": ", header.value.of(buf)].concat().into()
}

fn twice(now: &HeaderLine, before: &HeaderLine, buf: &[u8]) -> BString {
    let (now, before) = (show(now, buf), show(before, buf));
    [b"\"", now.as_bytes(), b"\", previous value: \"", before.as_bytes(), b"\""].concat().into()
}

/// The same among names that are not told apart otherwise.
fn is_singular(name: &[u8]) -> bool {
    let names: &[&str] = match name.len() {
        4 => &["ETag"],
        6 => &["Status"],
        7 => &["Expires", "Refresh"],
        15 => &["X-Accel-Expires"],
        16 => &["X-Accel-Redirect"],
        _ => &[],
    };
    names.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
}

/// Headers of which the first counts.
const SINGULAR: [Known; 5] =
    [Known::Date, Known::Server, Known::ContentType, Known::Location, Known::LastModified];

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ResponseHead, UpstreamError> {
        let mut parser = Parser::new(4096);
        // Byte by byte: the answer must not depend on how the bytes arrive.
        for end in 0..=text.len() {
            if parser.step(&text.as_bytes()[..end])? {
                let head = Bytes::copy_from_slice(&text.as_bytes()[..parser.head_len()]);
                return Ok(parser.finish(head));
            }
        }
        panic!("incomplete: {text}")
    }

    #[test]
    fn heads() {
        let head = parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX_y: 1\r\n\r\n").unwrap();
        assert_eq!((head.status, head.version, head.close), (200, HTTP_11, false));
        assert_eq!(head.status_line.of(&head.raw), b"200 OK");
        assert_eq!(head.body(false), Body::Length(5));
        assert_eq!(head.body(true), Body::None);
        assert_eq!(head.lines().nth(1), Some((&b"X_y"[..], &b"1"[..])));
        let old = parse("HTTP/1.0 404\nServer: a\nServer: b\n\n").unwrap();
        assert_eq!((old.status, old.close, old.body(false)), (404, true, Body::UntilClose));
        assert_eq!(old.header(Known::Server), Some(&b"a"[..]));
        assert_eq!(old.headers.len(), 1);
        let chunked = parse("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n").unwrap();
        assert_eq!(chunked.body(false), Body::Chunked);
    }

    #[test]
    fn wrong_heads_are_named_in_nginx_words() {
        let error = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(error("hello\r\n\r\n"), "upstream sent no valid HTTP/1.0 header");
        assert_eq!(error("HTTP/1.1 2x0 OK\r\n\r\n"), "upstream sent no valid HTTP/1.0 header");
        assert_eq!(
            error("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"),
            "upstream sent duplicate header line: \"Content-Length: 1\", \
             previous value: \"Content-Length: 1\""
        );
        assert_eq!(
            error("HTTP/1.1 200 OK\r\nA b: 1\r\n\r\n"),
            "upstream sent invalid header: \"A\\x20...\""
        );
        assert_eq!(
            error("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
            UpstreamError::Both.to_string()
        );
        let mut small = Parser::new(16);
        assert_eq!(small.step(b"HTTP/1.1 200 OKOKOK"), Err(UpstreamError::TooBig));
    }
}
