//! Frames: nine bytes of head, then the payload.
//!
//! ```text
//!  length:24 type:8 flags:8 R:1 stream:31  payload …
//! ```

use bytes::{BufMut, BytesMut};

use super::Code;

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub length: usize,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

pub const HEAD_BYTES: usize = 9;

pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

pub mod flag {
    pub const ACK: u8 = 0x1;
    pub const END_STREAM: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
}

pub mod setting {
    pub const TABLE_SIZE: u16 = 1;
    pub const ENABLE_PUSH: u16 = 2;
    pub const MAX_STREAMS: u16 = 3;
    pub const INITIAL_WINDOW: u16 = 4;
    pub const MAX_FRAME: u16 = 5;
}

impl Head {
    /// Reads a head; `None` when it is not all there.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, rest @ ..] = *bytes.first_chunk::<HEAD_BYTES>()?;
        Some(Self {
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes(rest) & 0x7fff_ffff,
        })
    }

    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The payload of a HEADERS frame without padding and priority; with the stream it depends on.
pub fn header_block<'a>(head: &Head, payload: &'a [u8]) -> Option<(&'a [u8], Option<u32>)> {
    let mut rest = payload;
    let mut padding = 0;
    if head.has(flag::PADDED) {
        let (first, tail) = rest.split_first()?;
        (padding, rest) = (usize::from(*first), tail);
    }
    let mut depends_on = None;
    if head.has(flag::PRIORITY) {
        let (priority, tail) = rest.split_first_chunk::<5>()?;
        let [a, b, c, d, _weight] = *priority;
        depends_on = Some(u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff);
        rest = tail;
    }
    let length = rest.len().checked_sub(padding)?;
    Some((&rest[..length], depends_on))
}

/// The settings of a SETTINGS frame.
pub fn settings(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> + '_ {
    let pairs = payload.chunks_exact(6);
    pairs.map(|p| (u16::from_be_bytes([p[0], p[1]]), u32::from_be_bytes([p[2], p[3], p[4], p[5]])))
}

pub fn put_head(out: &mut BytesMut, head: Head) {
    out.put_uint(head.length as u64, 3);
    out.put_u8(head.kind);
    out.put_u8(head.flags);
    out.put_u32(head.stream);
}

pub fn put_settings(out: &mut BytesMut, pairs: &[(u16, u32)]) {
    put_head(out, Head { length: pairs.len() * 6, kind: kind::SETTINGS, flags: 0, stream: 0 });
    for (name, value) in pairs {
        out.put_u16(*name);
        out.put_u32(*value);
    }
}

pub fn put_settings_ack(out: &mut BytesMut) {
    put_head(out, Head { length: 0, kind: kind::SETTINGS, flags: flag::ACK, stream: 0 });
}

pub fn put_ping_ack(out: &mut BytesMut, payload: &[u8]) {
    let flags = flag::ACK;
    put_head(out, Head { length: payload.len(), kind: kind::PING, flags, stream: 0 });
    out.put_slice(payload);
}

pub fn put_window_update(out: &mut BytesMut, stream: u32, more: u32) {
    put_head(out, Head { length: 4, kind: kind::WINDOW_UPDATE, flags: 0, stream });
    out.put_u32(more);
}

pub fn put_rst_stream(out: &mut BytesMut, stream: u32, code: Code) {
    put_head(out, Head { length: 4, kind: kind::RST_STREAM, flags: 0, stream });
    out.put_u32(code as u32);
}

pub fn put_goaway(out: &mut BytesMut, last_stream: u32, code: Code) {
    put_head(out, Head { length: 8, kind: kind::GOAWAY, flags: 0, stream: 0 });
    out.put_u32(last_stream);
    out.put_u32(code as u32);
}

/// The head of a DATA frame; the caller writes the payload behind it.
pub fn put_data_head(out: &mut BytesMut, stream: u32, length: usize, end: bool) {
    let flags = if end { flag::END_STREAM } else { 0 };
    put_head(out, Head { length, kind: kind::DATA, flags, stream });
}

/// A header block as HEADERS and as many CONTINUATION frames as it takes.
pub fn put_headers(out: &mut BytesMut, stream: u32, block: &[u8], end: bool, most: usize) {
    let mut rest = block;
    let mut kind = kind::HEADERS;
    let mut flags = if end { flag::END_STREAM } else { 0 };
    loop {
        let (now, later) = rest.split_at(rest.len().min(most));
        if later.is_empty() {
            flags |= flag::END_HEADERS;
        }
        put_head(out, Head { length: now.len(), kind, flags, stream });
        out.put_slice(now);
        if later.is_empty() {
            return;
        }
        (rest, kind, flags) = (later, kind::CONTINUATION, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let mut out = BytesMut::new();
        put_rst_stream(&mut out, 0x7fff_fff1, Code::RefusedStream);
        assert_eq!(&out[..], b"\0\0\x04\x03\0\x7f\xff\xff\xf1\0\0\0\x07");
        let head = Head::parse(&out).unwrap();
        assert_eq!((head.length, head.kind, head.stream), (4, 3, 0x7fff_fff1));
        assert_eq!(Head::parse(&out[..8]), None);
    }

    #[test]
    fn long_blocks_are_continued() {
        let mut out = BytesMut::new();
        put_headers(&mut out, 5, &[7; 10], true, 4);
        let kinds: Vec<_> =
            [0, 13, 26].iter().map(|at| Head::parse(&out[*at..]).unwrap()).collect();
        assert_eq!(kinds.iter().map(|h| h.length).collect::<Vec<_>>(), [4, 4, 2]);
        assert_eq!(kinds.iter().map(|h| h.kind).collect::<Vec<_>>(), [1, 9, 9]);
        assert_eq!(kinds.iter().map(|h| h.flags).collect::<Vec<_>>(), [1, 0, 4]);
    }

    #[test]
    fn padding_and_priority_are_cut_off() {
        let flags = flag::PADDED | flag::PRIORITY;
        let head = Head { length: 9, kind: kind::HEADERS, flags, stream: 1 };
        let found = header_block(&head, b"\x02\x80\0\0\x03\x10ab\0\0");
        assert_eq!(found, Some((&b"ab"[..], Some(3))));
        assert_eq!(header_block(&head, b"\x09\x80\0\0\x03\x10ab\0\0"), None, "more than there is");
    }
}
