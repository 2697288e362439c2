//! The chunked transfer coding, strict as nginx is since it refuses bare LFs.
//!
//! ```text
//!   5;ext␍␊hello␍␊0␍␊Trailer: x␍␊␍␊     Decoder::step ─▶ skip 7, data 5 ─▶ skip …, done
//! ```
//!
//! Extensions and trailers are passed over, without a limit and without a copy.

use std::io::Write;

/// Decodes one body. Copies nothing: it tells the caller which bytes are data.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
    /// Data still to come in the present chunk.
    size: u64,
}

/// What to do with the front of the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Advance {
    /// Framing, to be thrown away.
    pub skip: usize,
    /// Body bytes that follow.
    pub data: usize,
    /// The body has ended behind the skipped bytes.
    pub done: bool,
}

/// Not a chunked body: nginx logs `client sent invalid chunked body` or `upstream sent invalid
/// chunked response`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid chunked body")]
pub struct InvalidChunk;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    Size,
    Extension,
    SizeEnd,
    Data,
    DataEnd,
    DataLf,
    LastExtension,
    LastEnd,
    Trailer,
    TrailerLine,
    TrailerLf,
    EndLf,
    Done,
}

impl Decoder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at the front of the input. Call again with what is left behind `skip` and `data`
    /// bytes; when both are 0 and it is not done, more input is needed.
    pub fn step(&mut self, input: &[u8]) -> Result<Advance, InvalidChunk> {
        let mut skip = 0;
        while let Some(&byte) = input.get(skip) {
            if self.state == State::Data {
                let there = (input.len() - skip) as u64;
                let data = self.size.min(there);
                self.size -= data;
                if self.size == 0 {
                    self.state = State::DataEnd;
                }
                return Ok(Advance { skip, data: data as usize, done: false });
            }
            if self.state == State::Done {
                break;
            }
            self.state = self.next(byte)?;
            skip += 1;
        }
        Ok(Advance { skip, data: 0, done: self.state == State::Done })
    }

    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    fn next(&mut self, byte: u8) -> Result<State, InvalidChunk> {
        use State::*;
        Ok(match (self.state, byte) {
            (Start, _) => {
                self.size = u64::from(hex(byte).ok_or(InvalidChunk)?);
                Size
            }
            (Size, _) => return self.size(byte),
            (Extension, b'\r') => SizeEnd,
            (LastExtension, b'\r') => LastEnd,
            (Extension | LastExtension | TrailerLine, b'\n') => return Err(InvalidChunk),
            (Extension | LastExtension, _) => self.state,
            (SizeEnd, b'\n') => Data,
            (DataEnd, b'\r') => DataLf,
            (DataLf, b'\n') => Start,
            (LastEnd, b'\n') => Trailer,
            (Trailer, b'\r') => EndLf,
            (Trailer, b'\n') => return Err(InvalidChunk),
            (Trailer, _) => TrailerLine,
            (TrailerLine, b'\r') => TrailerLf,
            (TrailerLine, _) => TrailerLine,
            (TrailerLf, b'\n') => Trailer,
            (EndLf, b'\n') => Done,
            _ => return Err(InvalidChunk),
        })
    }

    /// Within or right behind the digits of a size.
    fn size(&mut self, byte: u8) -> Result<State, InvalidChunk> {
        if let Some(digit) = hex(byte) {
            if self.size > SIZE_MAX / 16 {
                return Err(InvalidChunk);
            }
            self.size = self.size * 16 + u64::from(digit);
            return Ok(State::Size);
        }
        // nginx keeps room for the framing when it adds up what is to come.
        if self.size > SIZE_MAX - 5 {
            return Err(InvalidChunk);
        }
        match (byte, self.size) {
            (b'\r', 0) => Ok(State::LastEnd),
            (b'\r', _) => Ok(State::SizeEnd),
            (b';' | b' ' | b'\t', 0) => Ok(State::LastExtension),
            (b';' | b' ' | b'\t', _) => Ok(State::Extension),
            _ => Err(InvalidChunk),
        }
    }
}

/// Whether a body that begins here comes to its end here.
pub fn ends_in(mut input: &[u8]) -> bool {
    let mut decoder = Decoder::new();
    while let Ok(advance) = decoder.step(input) {
        if advance.done {
            return true;
        }
        match input.get(advance.skip + advance.data..) {
            Some(rest) if rest.len() < input.len() => input = rest,
            _ => return false,
        }
    }
    // What is wrong shows when it is read.
    false
}

/// Appends a chunk; nothing for no data, which would end the body.
pub fn encode(out: &mut Vec<u8>, data: &[u8]) {
    if !data.is_empty() {
        encode_head(out, data.len());
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends only the size line of a chunk; data and `CRLF` follow.
pub fn encode_head(out: &mut Vec<u8>, len: usize) {
    // Writing to a Vec cannot fail.
    _ = write!(out, "{len:x}\r\n");
}

/// What ends a body.
pub const LAST: &[u8] = b"0\r\n\r\n";

fn hex(byte: u8) -> Option<u8> {
    crate::base::escape::hex_value(byte)
}

/// The largest file offset.
const SIZE_MAX: u64 = i64::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes in pieces of `piece` bytes; gives the body and what follows it.
    fn decode(text: &[u8], piece: usize) -> Result<(Vec<u8>, bool), InvalidChunk> {
        let (mut decoder, mut body) = (Decoder::new(), Vec::new());
        for mut input in text.chunks(piece) {
            loop {
                let advance = decoder.step(input)?;
                body.extend_from_slice(&input[advance.skip..][..advance.data]);
                input = &input[advance.skip + advance.data..];
                if advance.done || advance.skip + advance.data == 0 {
                    break;
                }
            }
        }
        Ok((body, decoder.is_done()))
    }

    #[test]
    fn bodies_come_out_whatever_the_pieces() {
        let text = b"5;a=\"b\"\r\nhello\r\n0b \r\n, big world\r\n0\r\nX: y\r\n\r\n";
        for piece in 1..text.len() {
            assert_eq!(decode(text, piece), Ok((b"hello, big world".to_vec(), true)), "{piece}");
        }
        assert_eq!(decode(b"5\r\nhel", 9), Ok((b"hel".to_vec(), false)));
    }

    #[test]
    fn smuggling_is_refused() {
        for wrong in [
            "5\nhello\r\n0\r\n\r\n",
            "5;a\nhello\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhellooo\r\n0\r\n\r\n",
            "0\n\r\n",
            "0\r\n\n",
            "0\r\nX: y\n\r\n",
            "-1\r\n",
            "\r\n",
            "0x5\r\nhello",
            "8000000000000000\r\n",
            "7fffffffffffffff\r\n",
        ] {
            assert_eq!(decode(wrong.as_bytes(), 99), Err(InvalidChunk), "{wrong:?}");
        }
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let mut out = Vec::new();
        encode(&mut out, b"hello");
        encode(&mut out, b"");
        encode(&mut out, &[b'x'; 300]);
        out.extend_from_slice(LAST);
        assert!(out.starts_with(b"5\r\nhello\r\n12c\r\n"));
        assert_eq!(decode(&out, 64).unwrap().0.len(), 305);
    }
}
