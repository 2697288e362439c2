//! The request line: method, target in its three forms, version.
//!
//! ```text
//!   GET /path?args HTTP/1.1      GET http://host:80/path HTTP/1.1      CONNECT host:443 HTTP/1.1
//!   GET /path                    (HTTP/0.9)
//! ```

use super::cursor::{Cursor, Stop};
use super::{BadRequest, HTTP_09, HTTP_11, Method, Span};

/// A request line; places are those of the buffer that was parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestLine {
    /// The line without its end, as `$request` shows it.
    pub whole: Span,
    /// Where the next line begins.
    pub next: usize,
    pub method: Method,
    pub method_name: Span,
    /// The path and arguments as sent: `$request_uri`.
    pub target: Span,
    pub scheme: Option<Span>,
    /// Host and port of a target in absolute form, not yet validated.
    pub authority: Option<Span>,
    /// `HTTP/1.1`; empty in HTTP/0.9.
    pub protocol: Span,
    /// 9, 1000, 1001, …
    pub version: u16,
    /// The target has a form that needs [`super::uri::normalize`]'s full treatment.
    pub complex: bool,
    /// `http://host?args`: the path is a slash that is not there.
    pub empty_path: bool,
}

/// Parses the line at `start`; line ends before it are skipped.
pub(super) fn parse(buf: &[u8], start: usize) -> Result<RequestLine, Stop<BadRequest>> {
    let mut cursor = Cursor::new(buf, start);
    cursor.skip(|c| c == b'\r' || c == b'\n')?;
    let begin = cursor.at();
    let mut line = RequestLine::default();
    method(&mut cursor, &mut line)?;
    target(&mut cursor, &mut line)?;
    let end = version(&mut cursor, &mut line)?;
    line.whole = Span::new(begin, end);
    line.next = cursor.at();
    if line.version == HTTP_09 && line.method != Method::Get {
        return bad(400, "client sent invalid method in HTTP/0.9 request");
    }
    Ok(line)
}

type Parsed<T> = Result<T, Stop<BadRequest>>;

fn method(cursor: &mut Cursor<'_>, line: &mut RequestLine) -> Parsed<()> {
    let start = cursor.at();
    cursor.skip(|c| c.is_ascii_uppercase() || c == b'_' || c == b'-')?;
    let end = cursor.at();
    if cursor.next()? != b' ' || end == start {
        return bad(400, "client sent invalid method");
    }
    line.method_name = Span::new(start, end);
    cursor.jump(start);
    line.method = Method::from_name(&cursor.rest()[..end - start]);
    cursor.jump(end + 1);
    Ok(())
}

fn target(cursor: &mut Cursor<'_>, line: &mut RequestLine) -> Parsed<()> {
    cursor.skip(|c| c == b' ')?;
    if line.method == Method::Connect {
        return authority(cursor, line);
    }
    match cursor.peek()? {
        b'/' => path(cursor, line),
        c if c.is_ascii_alphabetic() => {
            scheme(cursor, line)?;
            authority(cursor, line)
        }
        _ => invalid(),
    }
}

fn scheme(cursor: &mut Cursor<'_>, line: &mut RequestLine) -> Parsed<()> {
    let start = cursor.at();
    cursor.skip(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.'))?;
    line.scheme = Some(Span::new(start, cursor.at()));
    for wanted in *b"://" {
        if cursor.next()? != wanted {
            return invalid();
        }
    }
    Ok(())
}

/// `host:port` and what may follow it.
fn authority(cursor: &mut Cursor<'_>, line: &mut RequestLine) -> Parsed<()> {
    let start = cursor.at();
    if cursor.peek()? == b'[' {
        cursor.next()?;
        cursor.skip(|c| c.is_ascii_alphanumeric() || IP_LITERAL.contains(&c))?;
        if cursor.next()? != b']' {
            return invalid();
        }
    } else {
        cursor.skip(|c| c.is_ascii_alphanumeric() || c == b'.' || c == b'-')?;
    }
    let port = cursor.peek()? == b':';
    if port {
        cursor.next()?;
        cursor.skip(|c| c.is_ascii_digit())?;
    }
    line.authority = Some(Span::new(start, cursor.at()));
    let next = cursor.peek()?;
    match (line.method == Method::Connect, next) {
        // The target becomes the slash of "HTTP/", once that is found.
        (true, b' ') if port => Ok(()),
        (true, _) => invalid(),
        (false, b'/') => path(cursor, line),
        (false, b'?') => {
            line.empty_path = true;
            path(cursor, line)
        }
        (false, b' ') => {
            // The path is a slash: nginx takes one of the two behind the scheme.
            let slash = line.scheme.map_or(start, |s| s.range().end + 1);
            line.target = Span::new(slash, slash + 1);
            Ok(())
        }
        _ => invalid(),
    }
}

/// The path and the arguments, up to the space or the end of the line.
fn path(cursor: &mut Cursor<'_>, line: &mut RequestLine) -> Parsed<()> {
    let start = cursor.at();
    let end = start
        + match cursor.rest().iter().position(|&c| c <= b' ' || c == 0x7f) {
            Some(n) => n,
            None => return Err(Stop::More),
        };
    let text = &cursor.rest()[..end - start];
    cursor.jump(end);
    if !matches!(cursor.peek()?, b' ' | b'\r' | b'\n') {
        return invalid();
    }
    line.target = Span::new(start, end);
    line.complex = line.empty_path || is_complex(text);
    Ok(())
}

/// Whether `target` can be a path with arguments: what stands in the `:path` of HTTP/2.
pub fn is_path(target: &[u8]) -> bool {
    target.starts_with(b"/") && target.iter().all(|&c| c > b' ' && c != 0x7f)
}

/// Whether a path is written otherwise than it reads: escapes, fragments, dot segments, slashes
/// in a row.
pub fn is_complex(target: &[u8]) -> bool {
    let path = match memchr::memchr(b'?', target) {
        Some(at) => &target[..at],
        None => target,
    };
    let after_slash = |w: &[u8]| w[0] == b'/' && matches!(w[1], b'.' | b'/');
    memchr::memchr(b'#', target).is_some()
        || memchr::memchr(b'%', path).is_some()
        || path.windows(2).any(after_slash)
}

/// The protocol and the end of the line; gives back where the line's text ends.
fn version(cursor: &mut Cursor<'_>, line: &mut RequestLine) -> Parsed<usize> {
    let target_end = cursor.at();
    cursor.skip(|c| c == b' ')?;
    let start = cursor.at();
    if start > target_end && line.method != Method::Connect && cursor.rest().starts_with(USUAL) {
        let end = start + USUAL.len() - 2;
        cursor.jump(end + 2);
        line.version = HTTP_11;
        line.protocol = Span::new(start, end);
        return Ok(end);
    }
    if matches!(cursor.peek()?, b'\r' | b'\n') {
        line.version = HTTP_09;
        let end = line_end(cursor)?;
        return Ok(end);
    }
    if start == target_end {
        return invalid();
    }
    for wanted in *b"HTTP/" {
        if cursor.next()? != wanted {
            return invalid();
        }
    }
    if line.method == Method::Connect {
        line.target = Span::new(cursor.at() - 1, cursor.at());
    }
    let major = major(cursor)?;
    line.version = major * 1000 + minor(cursor)?;
    cursor.skip(|c| c == b' ')?;
    let end = line_end(cursor)?;
    line.protocol = Span::new(start, end);
    Ok(end)
}

fn major(cursor: &mut Cursor<'_>) -> Parsed<u16> {
    let mut major = match cursor.next()? {
        digit @ b'1'..=b'9' => u16::from(digit - b'0'),
        _ => return invalid(),
    };
    loop {
        if major > 1 {
            return bad(505, "client sent invalid version");
        }
        match cursor.next()? {
            b'.' => return Ok(major),
            digit @ b'0'..=b'9' => major = major * 10 + u16::from(digit - b'0'),
            _ => return invalid(),
        }
    }
}

fn minor(cursor: &mut Cursor<'_>) -> Parsed<u16> {
    let start = cursor.at();
    let mut minor = 0u16;
    loop {
        match cursor.peek()? {
            digit @ b'0'..=b'9' if minor <= 99 => minor = minor * 10 + u16::from(digit - b'0'),
            b' ' | b'\r' | b'\n' if cursor.at() > start => return Ok(minor),
            _ => return invalid(),
        }
        cursor.next()?;
    }
}

/// `CRLF` or a bare `LF`; gives back where it begins.
fn line_end(cursor: &mut Cursor<'_>) -> Parsed<usize> {
    let end = cursor.at();
    let mut last = cursor.next()?;
    if last == b'\r' {
        last = cursor.next()?;
    }
    if last == b'\n' { Ok(end) } else { invalid() }
}

fn invalid<T>() -> Parsed<T> {
    bad(400, "client sent invalid request")
}

fn bad<T>(status: u16, text: &str) -> Parsed<T> {
    Err(Stop::Bad(BadRequest::line(status, text)))
}

/// How nearly every request line ends.
const USUAL: &[u8] = b"HTTP/1.1\r\n";
/// What may stand between the brackets of an IPv6 address beside letters and digits.
const IP_LITERAL: &[u8] = b":-._~!$&'()*+,;=";
