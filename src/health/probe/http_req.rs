//! Reads the `http_req` a user wrote, to say what no server could understand. Never alters a byte.
//!
//! ```text
//!  "GET /status HTTP/1.1\r\nHost: a\r\n\r\n"
//!   └─ request line ─────┘  └ headers ┘ └ blank line ┘        ──▶ Vec<Complaint>
//! ```
//!
//! The forgotten blank line is the classic: the server waits for the rest until the probe times
//! out, and every peer looks dead.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::{digit1, space1};
use nom::combinator::{opt, recognize};
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

/// Everything that is wrong with a request, in the order of its bytes.
pub fn complaints(request: &[u8]) -> Vec<Complaint> {
    let mut found = Vec::new();
    let Ok((rest, (line, ended))) = line(request) else {
        return vec![Complaint::Empty];
    };
    let version = match request_line(line) {
        Ok((b"", version)) => version,
        _ => {
            found.push(Complaint::RequestLine);
            None
        }
    };
    if version.is_none() && found.is_empty() {
        found.push(Complaint::NoVersion);
    }
    let headers = if ended { read_headers(rest) } else { Headers::default() };
    if headers.bad_line {
        found.push(Complaint::HeaderLine);
    }
    if version == Some(b"1.1") && !headers.host {
        found.push(Complaint::NoHost);
    }
    if !headers.blank_line {
        found.push(Complaint::NoBlankLine);
    }
    found
}

/// Why a server could not make sense of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Complaint {
    #[error("is empty")]
    Empty,
    #[error("has a first line that is not \"METHOD TARGET HTTP/VERSION\"")]
    RequestLine,
    #[error("names no HTTP version in its first line")]
    NoVersion,
    #[error("has a header line without a name and a colon")]
    HeaderLine,
    #[error("is HTTP/1.1 but has no Host header")]
    NoHost,
    #[error("has no blank line after the headers: the server will wait for more")]
    NoBlankLine,
}

#[derive(Default)]
struct Headers {
    host: bool,
    bad_line: bool,
    blank_line: bool,
}

fn read_headers(mut input: &[u8]) -> Headers {
    let mut headers = Headers::default();
    while let Ok((rest, (text, ended))) = line(input) {
        if text.is_empty() && ended {
            headers.blank_line = true;
            break;
        }
        match header_name(text) {
            Ok((_, name)) => headers.host |= name.eq_ignore_ascii_case(b"host"),
            Err(_) => headers.bad_line = true,
        }
        input = rest;
    }
    headers
}

/// A line and whether its end was there; servers take a bare line feed too.
fn line(input: &[u8]) -> IResult<&[u8], (&[u8], bool)> {
    if input.is_empty() {
        return Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Eof)));
    }
    let (rest, text) = take_while(|b| b != b'\n')(input)?;
    let (rest, end) = opt(tag("\n")).parse(rest)?;
    let text = match end {
        Some(_) => text.strip_suffix(b"\r").unwrap_or(text),
        None => text,
    };
    Ok((rest, (text, end.is_some())))
}

/// `METHOD TARGET [HTTP/VERSION]`; gives the version.
fn request_line(line: &[u8]) -> IResult<&[u8], Option<&[u8]>> {
    let version = recognize((digit1, tag("."), digit1));
    let target = take_while1(|b: u8| b > b' ' && b != 0x7f);
    let mut whole = preceded(
        (token, space1, target),
        opt(preceded((space1, alt((tag("HTTP/"), tag("http/")))), version)),
    );
    terminated(|i| whole.parse(i), take_while(|b| b == b' ')).parse(line)
}

/// `Name:`; gives the name.
fn header_name(line: &[u8]) -> IResult<&[u8], &[u8]> {
    terminated(token, tag(":")).parse(line)
}

fn token(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_while1(|b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))(input)
}

#[cfg(test)]
mod tests {
    use super::Complaint::*;
    use super::*;

    #[test]
    fn good_requests_have_no_complaints() {
        for request in [
            "GET /status HTTP/1.0\r\n\r\n",
            "GET /status HTTP/1.0\r\nHost: foo.com\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\nContent-Length: 2\r\n\r\nok",
            "GET / HTTP/1.0\n\n",
            "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n",
        ] {
            assert_eq!(complaints(request.as_bytes()), [], "{request:?}");
        }
    }

    #[test]
    fn each_mistake_is_named() {
        for (request, expected) in [
            ("", &[Empty][..]),
            ("GET /status HTTP/1.0\r\nHost: foo.com\r\n", &[NoBlankLine]),
            ("GET /status HTTP/1.0", &[NoBlankLine]),
            ("GET /status HTTP/1.1\r\nUser-Agent: x\r\n\r\n", &[NoHost]),
            ("GET /status\r\n\r\n", &[NoVersion]),
            ("/status\r\n\r\n", &[RequestLine]),
            ("GET /a b HTTP/1.0\r\n\r\n", &[RequestLine]),
            ("GET / HTTP/1.1\r\nHost foo\r\n\r\n", &[HeaderLine, NoHost]),
            ("GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n", &[RequestLine, NoBlankLine]),
        ] {
            assert_eq!(complaints(request.as_bytes()), expected, "{request:?}");
        }
    }
}
