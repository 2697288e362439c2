//! One header line, for requests and for upstream responses.
//!
//! ```text
//!   Name: value␍␊ ─▶ Parsed::Line(HeaderLine)      ␍␊ ─▶ Parsed::End
//!   refused: whitespace or control in or before the name (so: folded lines), NUL, a CR without LF
//! ```
//!
//! A bare LF ends a line, spaces around the value are cut, a line without a colon is a name with an
//! empty value: so nginx has it.

use bstr::BString;

use super::Span;
use super::cursor::{Cursor, Stop};

/// A header line; its places are those of the buffer that was parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderLine {
    pub name: Span,
    pub value: Span,
    pub known: Known,
    /// The name has characters nginx calls invalid; such a line is ignored by default.
    pub invalid: bool,
}

/// A name nginx itself acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Known {
    Other,
    Host,
    Connection,
    IfModifiedSince,
    IfUnmodifiedSince,
    IfMatch,
    IfNoneMatch,
    UserAgent,
    Referer,
    ContentLength,
    ContentRange,
    ContentType,
    Range,
    IfRange,
    TransferEncoding,
    Te,
    Expect,
    Upgrade,
    AcceptEncoding,
    Via,
    Authorization,
    KeepAlive,
    XForwardedFor,
    Cookie,
    // Of responses.
    Date,
    Server,
    Location,
    LastModified,
    Trailer,
    /// `X-Accel-…`: asks something of the proxy.
    Accel,
}

/// What stands at a place where a header line may begin.
#[derive(Debug)]
pub(super) enum Parsed {
    Line(HeaderLine),
    /// The empty line.
    End,
}

/// A line that no server may interpret: what nginx quotes of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    start: usize,
    end: usize,
}

impl Known {
    /// Finds a name by its letters, whatever their case.
    pub fn of(name: &[u8]) -> Self {
        let rows: &[(&str, Self)] = match name.len() {
            2 => &[("TE", Self::Te)],
            3 => &[("Via", Self::Via)],
            4 => &[("Host", Self::Host), ("Date", Self::Date)],
            5 => &[("Range", Self::Range)],
            6 => &[("Cookie", Self::Cookie), ("Expect", Self::Expect), ("Server", Self::Server)],
            7 => &[
                ("Referer", Self::Referer),
                ("Upgrade", Self::Upgrade),
                ("Trailer", Self::Trailer),
            ],
            8 => &[
                ("If-Match", Self::IfMatch),
                ("If-Range", Self::IfRange),
                ("Location", Self::Location),
            ],
            10 => &[
                ("User-Agent", Self::UserAgent),
                ("Connection", Self::Connection),
                ("Keep-Alive", Self::KeepAlive),
            ],
            12 => &[("Content-Type", Self::ContentType)],
            13 => &[
                ("If-None-Match", Self::IfNoneMatch),
                ("Content-Range", Self::ContentRange),
                ("Authorization", Self::Authorization),
                ("Last-Modified", Self::LastModified),
            ],
            14 => &[("Content-Length", Self::ContentLength)],
            15 => &[
                ("Accept-Encoding", Self::AcceptEncoding),
                ("X-Forwarded-For", Self::XForwardedFor),
            ],
            17 => &[
                ("If-Modified-Since", Self::IfModifiedSince),
                ("Transfer-Encoding", Self::TransferEncoding),
            ],
            19 => &[("If-Unmodified-Since", Self::IfUnmodifiedSince)],
            _ => &[],
        };
        let first = name.first().map_or(0, |byte| byte | 0x20);
        for (row, known) in rows {
            // The first letter tells most names apart.
            let row = row.as_bytes();
            if row[0] | 0x20 == first && (row == name || row.eq_ignore_ascii_case(name)) {
                return *known;
            }
        }
        let accel = first == b'x' && name.len() > ACCEL.len();
        if accel && name[..ACCEL.len()].eq_ignore_ascii_case(ACCEL) {
            return Self::Accel;
        }
        Self::Other
    }

    /// Whether a request with two of these is refused.
    pub fn once_in_request(self) -> bool {
        use Known::*;
        matches!(
            self,
            IfModifiedSince
                | IfUnmodifiedSince
                | IfMatch
                | IfNoneMatch
                | ContentLength
                | ContentRange
                | IfRange
                | TransferEncoding
                | Expect
                | Authorization
        )
    }
}

impl Malformed {
    /// The end of nginx's message: the line as far as it was read, then the byte it broke at.
    pub(super) fn quote(&self, buf: &[u8]) -> BString {
        let read = buf.get(self.start..self.end).unwrap_or_default();
        let broke_at = buf.get(self.end).copied().unwrap_or_default();
        [b"\"", read, format!("\\x{broke_at:02x}...\"").as_bytes()].concat().into()
    }
}

/// Parses the line at the cursor and steps behind it. Bytes past ASCII are allowed in values only.
pub(super) fn parse(cursor: &mut Cursor<'_>, underscores: bool) -> Result<Parsed, Stop<Malformed>> {
    let start = cursor.at();
    match cursor.peek()? {
        b'\n' => {
            cursor.next()?;
            return Ok(Parsed::End);
        }
        b'\r' => {
            cursor.next()?;
            return match cursor.next()? {
                b'\n' => Ok(Parsed::End),
                _ => malformed(start, start),
            };
        }
        b':' => return malformed(start, start),
        _ => {}
    }
    let invalid = name(cursor, start, underscores)?;
    let name = Span::new(start, cursor.at());
    if cursor.peek()? == b':' {
        cursor.next()?;
        cursor.skip(|c| c == b' ')?;
    }
    let value = value(cursor, start)?;
    Ok(Parsed::Line(HeaderLine { name, value, known: Known::Other, invalid }))
}

/// Steps over the name; tells whether it has invalid characters.
fn name(cursor: &mut Cursor<'_>, start: usize, underscores: bool) -> Result<bool, Stop<Malformed>> {
    let mut invalid = false;
    loop {
        cursor.skip(|c| NAME_BYTES[usize::from(c)])?;
        match cursor.peek()? {
            b':' | b'\n' => return Ok(invalid),
            b'\r' if cursor.at() > start => return Ok(invalid),
            b'_' => invalid |= !underscores,
            0..=b' ' | 0x7f => return malformed(start, cursor.at()),
            _ => invalid = true,
        }
        cursor.next()?;
    }
}

/// Steps over the value and the line's end.
fn value(cursor: &mut Cursor<'_>, line_start: usize) -> Result<Span, Stop<Malformed>> {
    let start = cursor.at();
    let Some(len) = memchr::memchr3(b'\n', b'\r', 0, cursor.rest()) else {
        return Err(Stop::More);
    };
    let spaces = cursor.rest()[..len].iter().rev().take_while(|&&c| c == b' ').count();
    let end = start + len - spaces;
    cursor.jump(start + len);
    match cursor.next()? {
        b'\n' => return Ok(Span::new(start, end)),
        b'\r' => {}
        _ => return malformed(line_start, start + len),
    }
    // nginx forgives several CRs before the LF, but nothing else.
    cursor.skip(|c| c == b'\r')?;
    match cursor.next()? {
        b'\n' => Ok(Span::new(start, end)),
        _ => malformed(line_start, end),
    }
}

fn malformed<T>(start: usize, end: usize) -> Result<T, Stop<Malformed>> {
    Err(Stop::Bad(Malformed { start, end }))
}

const ACCEL: &[u8] = b"X-Accel-";

/// Letters, digits and dashes: what header names are made of.
const NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'-';
        byte += 1;
    }
    table
};
