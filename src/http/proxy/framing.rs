//! Where the body of an answer ends, and how far it has come.
//!
//! ```text
//!  raw bytes ─ length │ chunks │ until close │ FastCGI's records │ memcached's END ─▶ body
//! ```

use bytes::{Buf, BytesMut};

use crate::net::http1::{chunked::Decoder, response::Body};

use super::{
    cgi::{fastcgi, records::Records},
    exchange::Reply,
    memc::reply::Tail,
    passage::Passage,
    reading,
};

/// The framing of one body.
pub enum Framing {
    Length(u64),
    Chunked(Decoder),
    UntilClose,
    Fastcgi(Box<InRecords>),
    /// So many bytes, and then these.
    Marked(u64, &'static [u8]),
}

/// A body in FastCGI's records.
pub struct InRecords {
    records: Box<Records>,
    /// What `Content-Length` promised, as far as it did not come.
    left: Option<u64>,
    /// More came than was promised.
    extra: bool,
    /// The connection outlives the request.
    keeps: bool,
}

impl Framing {
    pub fn new(p: &Passage<'_>, reply: &mut Reply, body: Body) -> Self {
        if let Some(records) = reply.records.take() {
            let left = match body {
                Body::None => Some(0),
                _ => reply.head.content_length(),
            };
            let keeps = fastcgi::keeps(p.r);
            return Self::Fastcgi(Box::new(InRecords { records, left, extra: false, keeps }));
        }
        let mark = reply.tail.as_ref().map_or(&b""[..], |tail: &Tail| tail.mark);
        match body {
            Body::Length(left) if !mark.is_empty() => Self::Marked(left, mark),
            Body::None => Self::Length(0),
            Body::Length(length) => Self::Length(length),
            Body::Chunked => Self::Chunked(Decoder::new()),
            Body::UntilClose => Self::UntilClose,
        }
    }

    /// Whether the end of the connection is an end of the body like any other.
    pub fn ends_with_close(&self) -> bool {
        match self {
            Self::UntilClose => true,
            Self::Fastcgi(body) => !matches!(body.left, Some(1..)) && body.records.closed,
            _ => false,
        }
    }

    /// Whether nothing of the answer can still come.
    pub fn is_clean(&self) -> bool {
        match self {
            Self::UntilClose => false,
            Self::Fastcgi(body) => body.records.ended && !body.extra,
            _ => true,
        }
    }

    /// Whether more came than was promised.
    pub fn has_extra(&self, raw: &[u8]) -> bool {
        match self {
            Self::Length(_) => !raw.is_empty(),
            Self::Fastcgi(body) => body.extra,
            _ => false,
        }
    }

    /// Moves body bytes from `raw` to `body`; true at the end of the body.
    pub fn take(&mut self, raw: &mut BytesMut, body: &mut BytesMut) -> Result<bool, String> {
        match self {
            Self::UntilClose => {
                move_bytes(raw, body, raw.len());
                Ok(false)
            }
            Self::Length(left) => {
                move_limited(raw, body, left);
                Ok(*left == 0)
            }
            Self::Chunked(decoder) => loop {
                let advance = decoder.step(raw).map_err(|_| INVALID_CHUNK)?;
                raw.advance(advance.skip);
                move_bytes(raw, body, advance.data);
                if advance.done {
                    return Ok(true);
                }
                if advance.skip + advance.data == 0 {
                    return Ok(false);
                }
            },
            Self::Fastcgi(records) => records.take(raw, body),
            Self::Marked(left, mark) => {
                move_limited(raw, body, left);
                if *left > 0 || raw.is_empty() {
                    return Ok(false);
                }
                let count = raw.len().min(mark.len());
                if raw[..count] != mark[..count] {
                    return Err(INVALID_TRAILER.into());
                }
                raw.advance(count);
                *mark = &mark[count..];
                Ok(mark.is_empty())
            }
        }
    }

    /// Logs what a FastCGI application complained about meanwhile.
    pub fn tell_complaints(&mut self, p: &Passage<'_>) {
        if let Self::Fastcgi(body) = self {
            // It is too late to call the answer a bad one.
            reading::complained(p.r, &mut body.records);
        }
    }
}

impl InRecords {
    fn take(&mut self, raw: &mut BytesMut, body: &mut BytesMut) -> Result<bool, String> {
        self.records.take(raw).map_err(|error| error.to_string())?;
        let text = &mut self.records.text;
        match &mut self.left {
            None => move_bytes(text, body, text.len()),
            Some(left) => {
                move_limited(text, body, left);
                self.extra |= !text.is_empty();
                text.clear();
            }
        }
        // Some applications write on behind the end of their output; who closed the connection
        // then would have them die of it.
        if !self.records.ended {
            return Ok(self.extra && !self.keeps);
        }
        match self.left {
            Some(1..) => Err("upstream prematurely closed FastCGI request".into()),
            _ => Ok(true),
        }
    }
}

fn move_limited(raw: &mut BytesMut, body: &mut BytesMut, left: &mut u64) {
    let count = raw.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
    move_bytes(raw, body, count);
    *left -= count as u64;
}

/// Without a copy when `body` is empty.
fn move_bytes(raw: &mut BytesMut, body: &mut BytesMut, count: usize) {
    if count == 0 {
        return;
    }
    let piece = raw.split_to(count);
    if body.is_empty() {
        *body = piece;
    } else {
        body.unsplit(piece);
    }
}

const INVALID_TRAILER: &str = "memcached sent invalid trailer";
const INVALID_CHUNK: &str = "upstream sent invalid chunked response";
