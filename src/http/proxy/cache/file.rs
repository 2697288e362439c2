//! A file of the cache, laid out as nginx lays it out.
//!
//! ```text
//!  facts (336 bytes) | "\nKEY: " key "\n" | head of the upstream's response | body
//! ```

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    rc::Rc,
};

use bytes::Bytes;
use md5::{Digest, Md5};

use crate::{
    base::date,
    http::request::Request,
    net::http1::{ResponseHead, response::Parser},
};

use super::{
    fresh::Fresh,
    zone::{Key, Zone},
};

/// The facts at the start of a file.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    pub valid_s: i64,
    /// Seconds it may be given while it is renewed, and while the upstream fails.
    pub updating_s: i64,
    pub error_s: i64,
    pub last_modified: Option<i64>,
    pub date: i64,
    pub crc32: u32,
    pub header_start: u16,
    pub body_start: u16,
    pub etag: Bytes,
    pub vary: Bytes,
    pub variant: Key,
}

/// An answer in the cache, opened.
pub struct Stored {
    pub meta: Meta,
    pub head: ResponseHead,
    /// Stands at the start of the body.
    pub file: File,
    pub length: u64,
}

impl Meta {
    pub fn of(head: &ResponseHead, fresh: &Fresh, now: i64) -> Self {
        let line = |name: &str| {
            let found = head
                .headers
                .iter()
                .find(|line| line.name.of(&head.raw).eq_ignore_ascii_case(name.as_bytes()));
            found.map(|line| head.raw.slice(line.value.range()))
        };
        // Of other statuses there is nothing to ask about later.
        let usual = matches!(head.status, 200 | 206);
        let etag = line("ETag").filter(|etag| usual && etag.len() <= ETAG_BYTES);
        Self {
            valid_s: fresh.valid_s,
            updating_s: fresh.updating_s,
            error_s: fresh.error_s,
            last_modified: line("Last-Modified")
                .filter(|_| usual)
                .and_then(|text| date::parse_http_time(&text)),
            date: now,
            etag: etag.unwrap_or_default(),
            ..Self::default()
        }
    }

    /// For `If-Modified-Since`.
    pub fn modified_text(&self) -> Option<Bytes> {
        self.last_modified.map(|at| date::http_time(at).into())
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(META_BYTES);
        out.extend_from_slice(&VERSION.to_le_bytes());
        let modified = self.last_modified.unwrap_or(-1);
        for number in [self.valid_s, self.updating_s, self.error_s, modified, self.date] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.crc32.to_le_bytes());
        out.extend_from_slice(&0_u16.to_le_bytes());
        out.extend_from_slice(&self.header_start.to_le_bytes());
        out.extend_from_slice(&self.body_start.to_le_bytes());
        for text in [&self.etag, &self.vary] {
            out.push(text.len() as u8);
            out.extend_from_slice(text);
            out.resize(out.len() + TEXT_BYTES - text.len(), 0);
        }
        out.extend_from_slice(&self.variant);
        out.resize(META_BYTES, 0);
        out
    }

    fn decode(text: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(i64::from_le_bytes(text.get(at..at + 8)?.try_into().ok()?));
        let short = |at: usize| Some(u16::from_le_bytes(text.get(at..at + 2)?.try_into().ok()?));
        let words = |at: usize| {
            let length = usize::from(*text.get(at)?);
            let inside = length <= TEXT_BYTES;
            text.get(at + 1..at + 1 + length).filter(|_| inside).map(Bytes::copy_from_slice)
        };
        if number(0)? != VERSION {
            return None;
        }
        Some(Self {
            valid_s: number(8)?,
            updating_s: number(16)?,
            error_s: number(24)?,
            last_modified: Some(number(32)?).filter(|at| *at != -1),
            date: number(40)?,
            crc32: u32::from_le_bytes(text.get(48..52)?.try_into().ok()?),
            header_start: short(54)?,
            body_start: short(56)?,
            etag: words(58)?,
            vary: words(58 + 1 + TEXT_BYTES)?,
            variant: text.get(VARIANT_AT..VARIANT_AT + 16)?.try_into().ok()?,
        })
    }
}

/// The facts and the key, as they stand before the head.
pub fn start(meta: &mut Meta, key_text: &[u8], head_bytes: usize) -> Option<Vec<u8>> {
    meta.crc32 = crc32fast::hash(key_text);
    let header_start = META_BYTES + KEY.len() + key_text.len() + 1;
    meta.header_start = u16::try_from(header_start).ok()?;
    meta.body_start = u16::try_from(header_start + head_bytes).ok()?;
    let mut out = meta.encode();
    out.extend_from_slice(KEY);
    out.extend_from_slice(key_text);
    out.push(b'\n');
    Some(out)
}

/// Opens the file of a key; nothing when there is none, or one of something else.
pub fn open(zone: &Zone, key: &Key, key_text: &[u8]) -> Option<Stored> {
    let mut file = File::open(zone.file(key)).ok()?;
    let whole = file.metadata().ok()?.len();
    let mut facts = vec![0; META_BYTES];
    file.read_exact(&mut facts).ok()?;
    let meta = Meta::decode(&facts)?;
    let rest = usize::from(meta.body_start).checked_sub(META_BYTES)?;
    let mut text = vec![0; rest];
    file.read_exact(&mut text).ok()?;
    let named = text.strip_prefix(KEY)?.strip_prefix(key_text)?.strip_prefix(b"\n")?;
    if meta.crc32 != crc32fast::hash(key_text) {
        return None;
    }
    let raw = Bytes::copy_from_slice(named);
    let room = raw.len() + 1;
    // Heads are kept as they came: those of CGI's kin may lack a status line.
    let dialect = if raw.starts_with(b"HTTP/") { Parser::new } else { Parser::fastcgi };
    let mut parser = dialect(room);
    if !parser.step(&raw).ok()? {
        return None;
    }
    let head = parser.finish(raw);
    Some(Stored { head, length: whole - u64::from(meta.body_start), meta, file })
}

/// Writes changed facts into a file.
pub fn update(zone: &Zone, key: &Key, meta: &Meta) -> io::Result<()> {
    let mut file = File::options().write(true).open(zone.file(key))?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&meta.encode())
}

/// The key of what a client gets that sends these lines: those `Vary` names.
pub fn variant(r: &Rc<Request>, key_text: &[u8], vary: &[u8]) -> Key {
    let mut md5 = Md5::new();
    md5.update(key_text);
    let headers = r.headers_in.borrow();
    for name in vary.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        if name.is_empty() {
            continue;
        }
        md5.update(name.to_ascii_lowercase());
        md5.update(b":");
        // Spaces and commas mean nothing in such lines.
        let values = headers.all(name).flat_map(|value| value.split(|b| *b == b',' || *b == b' '));
        for (at, value) in values.filter(|value| !value.is_empty()).enumerate() {
            md5.update(if at == 0 { &b""[..] } else { b"," });
            md5.update(value);
        }
        md5.update(b"\r\n");
    }
    md5.finalize().into()
}

const VERSION: i64 = 5;
const META_BYTES: usize = 336;
const TEXT_BYTES: usize = 128;
const ETAG_BYTES: usize = 128;
const VARIANT_AT: usize = 58 + 2 * (1 + TEXT_BYTES);
const KEY: &[u8] = b"\nKEY: ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_as_they_were_written() {
        let mut meta = Meta {
            valid_s: 7,
            last_modified: Some(5),
            etag: Bytes::from_static(b"\"x\""),
            vary: Bytes::from_static(b"accept"),
            variant: [3; 16],
            ..Meta::default()
        };
        let text = start(&mut meta, b"key", 10).unwrap();
        let read = Meta::decode(&text).unwrap();
        assert_eq!((read.valid_s, read.last_modified, read.error_s), (7, Some(5), 0));
        assert_eq!((&read.etag[..], &read.vary[..]), (&b"\"x\""[..], &b"accept"[..]));
        assert_eq!(read.variant, [3; 16]);
        assert_eq!(usize::from(read.body_start), text.len() + 10);
        assert!(Meta::decode(&text[1..]).is_none());
    }
}
