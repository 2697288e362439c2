//! Compressed header lists (RFC 7541).
//!
//! ```text
//!  block ─▶ Decoder (static + dynamic table) ─▶ Field {name, value} …
//!  name, value ─▶ encode::field ─▶ block      (literals only: as nginx, no table of our own)
//! ```

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::{huffman, table};

/// One header line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: Bytes,
    pub value: Bytes,
}

/// Why a block cannot be read. The connection ends: the tables are no longer the same on both
/// sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HpackError {
    #[error("invalid http2 table index")]
    Index,
    #[error("header block with incorrect length")]
    Truncated,
    #[error("header block with too long length value")]
    LongInteger,
    #[error("invalid encoded header field")]
    Huffman,
    #[error("invalid table size update")]
    TableSize,
    /// A name or value, or the list as a whole, is larger than allowed.
    #[error("too large header field")]
    TooLarge,
}

/// How large a list may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of one name or value, as coded.
    pub field_bytes: usize,
    /// Of all names and values together.
    pub list_bytes: usize,
}

/// The receiving side of a connection's compression.
#[derive(Debug)]
pub struct Decoder {
    table: VecDeque<Field>,
    size: usize,
    max_size: usize,
    /// What we allow the other side to use.
    limit: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { table: VecDeque::new(), size: 0, max_size: TABLE_BYTES, limit: TABLE_BYTES }
    }
}

impl Decoder {
    /// For a side that announced a table of no size.
    pub fn without_table() -> Self {
        Self { table: VecDeque::new(), size: 0, max_size: 0, limit: 0 }
    }

    /// Decodes one whole block.
    pub fn decode(
        &mut self,
        block: &[u8],
        limits: Limits,
        each: &mut dyn FnMut(Field),
    ) -> Result<(), HpackError> {
        let mut reader = Reader { rest: block, text: BytesMut::with_capacity(block.len() * 2) };
        let mut left = limits.list_bytes;
        let mut begun = false;
        while let Some(&first) = reader.rest.first() {
            let (field, keep) = match first {
                0x80.. => (self.entry(reader.integer(7)?)?, false),
                0x40..0x80 => (self.literal(&mut reader, 6, limits)?, true),
                0x20..0x40 => {
                    let size = reader.integer(5)?;
                    if begun || size > self.limit {
                        return Err(HpackError::TableSize);
                    }
                    self.resize(size);
                    continue;
                }
                _ => (self.literal(&mut reader, 4, limits)?, false),
            };
            begun = true;
            let bytes = field.name.len() + field.value.len();
            left = left.checked_sub(bytes).ok_or(HpackError::TooLarge)?;
            if keep {
                self.insert(&field);
            }
            each(field);
        }
        Ok(())
    }

    fn literal(
        &self,
        reader: &mut Reader<'_>,
        prefix: u32,
        limits: Limits,
    ) -> Result<Field, HpackError> {
        let name = match reader.integer(prefix)? {
            0 => reader.string(limits.field_bytes)?,
            index => self.entry(index)?.name,
        };
        Ok(Field { name, value: reader.string(limits.field_bytes)? })
    }

    fn entry(&self, index: usize) -> Result<Field, HpackError> {
        if let Some((name, value)) = table::entry(index) {
            let (name, value) = (name.as_bytes(), value.as_bytes());
            return Ok(Field { name: Bytes::from_static(name), value: Bytes::from_static(value) });
        }
        let dynamic = index.checked_sub(table::STATIC.len() + 1);
        dynamic.and_then(|at| self.table.get(at)).cloned().ok_or(HpackError::Index)
    }

    fn insert(&mut self, field: &Field) {
        let size = field.name.len() + field.value.len() + ENTRY_OVERHEAD_BYTES;
        self.shrink(self.max_size.saturating_sub(size));
        if size <= self.max_size {
            // Copied: the entry must not keep the whole block it came in.
            let name = Bytes::copy_from_slice(&field.name);
            let value = Bytes::copy_from_slice(&field.value);
            self.table.push_front(Field { name, value });
            self.size += size;
        }
    }

    fn resize(&mut self, size: usize) {
        self.max_size = size;
        self.shrink(size);
    }

    /// Drops the oldest entries until no more than `size` is used.
    fn shrink(&mut self, size: usize) {
        while self.size > size
            && let Some(oldest) = self.table.pop_back()
        {
            self.size -= oldest.name.len() + oldest.value.len() + ENTRY_OVERHEAD_BYTES;
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    /// Strings are cut from here: one allocation a block.
    text: BytesMut,
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, HpackError> {
        let (&first, rest) = self.rest.split_first().ok_or(HpackError::Truncated)?;
        self.rest = rest;
        Ok(first)
    }

    /// An integer whose first `prefix` bits are the low ones of the first byte.
    fn integer(&mut self, prefix: u32) -> Result<usize, HpackError> {
        let mask = (1usize << prefix) - 1;
        let start = usize::from(self.byte()?) & mask;
        if start < mask {
            return Ok(start);
        }
        let mut value = 0usize;
        for shift in [0, 7, 14] {
            let byte = self.byte()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(mask + value);
            }
        }
        Err(HpackError::LongInteger)
    }

    fn string(&mut self, most: usize) -> Result<Bytes, HpackError> {
        let coded = self.rest.first().is_some_and(|first| first & 0x80 != 0);
        let length = self.integer(7)?;
        if length > most {
            return Err(HpackError::TooLarge);
        }
        let (text, rest) = self.rest.split_at_checked(length).ok_or(HpackError::Truncated)?;
        self.rest = rest;
        if !coded {
            self.text.extend_from_slice(text);
        } else if !huffman::decode(text, &mut self.text) {
            return Err(HpackError::Huffman);
        }
        Ok(self.text.split().freeze())
    }
}

/// The sending side.
pub mod encode {
    use bytes::{BufMut, BytesMut};

    use super::super::{huffman, table};

    /// `:status`
    pub fn status(out: &mut BytesMut, status: u16) {
        let known = match status {
            200 => 8,
            204 => 9,
            206 => 10,
            304 => 11,
            400 => 12,
            404 => 13,
            500 => 14,
            _ => {
                integer(out, 0, 4, 8);
                string(out, format!("{status:03}").as_bytes());
                return;
            }
        };
        out.put_u8(0x80 | known);
    }

    /// A line as a literal that the other side does not keep; the name is lowered.
    pub fn field(out: &mut BytesMut, name: &[u8], value: &[u8]) {
        let lower = name.to_ascii_lowercase();
        match table::index_of_name(&lower) {
            0 => {
                out.put_u8(0);
                string(out, &lower);
            }
            index => integer(out, 0, 4, index),
        }
        string(out, value);
    }

    /// One of the lines that stand in the static table with their value.
    pub fn indexed(out: &mut BytesMut, index: u8) {
        out.put_u8(0x80 | index);
    }

    fn string(out: &mut BytesMut, text: &[u8]) {
        let coded = huffman::encoded_len(text);
        if coded < text.len() {
            integer(out, 0x80, 7, coded);
            huffman::encode(text, out);
        } else {
            integer(out, 0, 7, text.len());
            out.put_slice(text);
        }
    }

    fn integer(out: &mut BytesMut, mark: u8, prefix: u32, value: usize) {
        let mask = (1usize << prefix) - 1;
        if value < mask {
            return out.put_u8(mark | value as u8);
        }
        out.put_u8(mark | mask as u8);
        let mut left = value - mask;
        while left >= 0x80 {
            out.put_u8(left as u8 | 0x80);
            left >>= 7;
        }
        out.put_u8(left as u8);
    }
}

/// The size both sides begin with.
const TABLE_BYTES: usize = 4096;
const ENTRY_OVERHEAD_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { field_bytes: 8192, list_bytes: 32_768 };

    fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<String>, HpackError> {
        let mut lines = Vec::new();
        decoder.decode(block, LIMITS, &mut |field| {
            lines.push(format!("{}: {}", field.name.escape_ascii(), field.value.escape_ascii()));
        })?;
        Ok(lines)
    }

    #[test]
    fn requests_of_the_standard() {
        let mut d = Decoder::default();
        let first = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
        let lines = decode(&mut d, first).unwrap();
        assert_eq!(lines[3], ":authority: www.example.com");
        let second = b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf";
        let lines = decode(&mut d, second).unwrap();
        assert_eq!(lines[3], ":authority: www.example.com");
        assert_eq!(lines[4], "cache-control: no-cache");
        assert_eq!(d.size, 57 + 53);
    }

    #[test]
    fn what_is_encoded_can_be_read() {
        let mut block = BytesMut::new();
        encode::status(&mut block, 200);
        encode::status(&mut block, 418);
        encode::field(&mut block, b"Content-Type", b"text/plain");
        encode::field(&mut block, b"X-Long", &[b'~'; 500]);
        let lines = decode(&mut Decoder::default(), &block).unwrap();
        assert_eq!(lines[..3], [":status: 200", ":status: 418", "content-type: text/plain"]);
        assert_eq!(lines[3].len(), "x-long: ".len() + 500);
    }

    #[test]
    fn bad_blocks() {
        for (block, error) in [
            (&b"\x80"[..], HpackError::Index),
            (b"\xff\x00\x01", HpackError::Index),
            (b"\x82\x20", HpackError::TableSize),
            (b"\x3f\xe2\x1f", HpackError::TableSize),
            (b"\x7f", HpackError::Truncated),
            (b"\x00\x05ab", HpackError::Truncated),
            (b"\xff\xff\xff\xff\xff\xff\xff", HpackError::LongInteger),
            (b"\x00\x81\x00\x00", HpackError::Huffman),
            (b"\x00\x01a\x7f\xff\xff\x7f", HpackError::TooLarge),
        ] {
            assert_eq!(decode(&mut Decoder::default(), block), Err(error), "{block:02x?}");
        }
    }

    #[test]
    fn the_table_forgets_the_oldest() {
        let mut d = Decoder::default();
        decode(&mut d, b"\x40\x01a\x011\x40\x01b\x012").unwrap();
        assert_eq!(decode(&mut d, b"\xbf\xbe").unwrap(), ["a: 1", "b: 2"]);
        // Room for one entry of 34 bytes.
        assert_eq!(decode(&mut d, b"\x3f\x03\xbe").unwrap(), ["b: 2"]);
        assert_eq!(decode(&mut d, b"\xbf"), Err(HpackError::Index));
    }
}
