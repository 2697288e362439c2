//! FastCGI's records: what is put around a request, and what an answer is taken out of.
//!
//! ```text
//!  version type id:2 length:2 padding reserved │ content │ padding        8 bytes, then the rest
//! ```

use bytes::{Buf, BytesMut};
use thiserror::Error;

pub const BEGIN_REQUEST: u8 = 1;
const END_REQUEST: u8 = 3;
pub const PARAMS: u8 = 4;
pub const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;

/// Puts content into records of one stream.
pub fn put(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    for piece in content.chunks(CONTENT_BYTES_MAX) {
        let padding = (8 - piece.len() % 8) % 8;
        head(out, kind, piece.len(), padding);
        out.extend_from_slice(piece);
        out.resize(out.len() + padding, 0);
    }
}

/// The end of a stream: a record without content.
pub fn put_end(out: &mut Vec<u8>, kind: u8) {
    head(out, kind, 0, 0);
}

fn head(out: &mut Vec<u8>, kind: u8, length: usize, padding: usize) {
    let [high, low] = (length as u16).to_be_bytes();
    out.extend_from_slice(&[1, kind, 0, 1, high, low, padding as u8, 0]);
}

/// Takes an answer apart.
#[derive(Debug, Default)]
pub struct Records {
    kind: u8,
    content_left: usize,
    padding_left: usize,
    /// What the application wrote to its standard output and nobody took yet.
    pub text: BytesMut,
    /// Lines of its standard error.
    pub complaints: BytesMut,
    /// Standard output was closed.
    pub closed: bool,
    /// The application is done with the request.
    pub ended: bool,
}

/// Not a record, or not one of this request: in nginx's words.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RecordError {
    #[error("upstream sent unsupported FastCGI protocol version: {0}")]
    Version(u8),
    #[error("upstream sent invalid FastCGI record type: {0}")]
    Type(u8),
    #[error("upstream sent unexpected FastCGI request id {0} byte: {1}")]
    Id(&'static str, u8),
}

impl Records {
    /// Takes what has come, up to the end of the request.
    pub fn take(&mut self, raw: &mut BytesMut) -> Result<(), RecordError> {
        while !self.ended {
            if self.content_left > 0 {
                if raw.is_empty() {
                    return Ok(());
                }
                let content = raw.split_to(raw.len().min(self.content_left));
                self.content_left -= content.len();
                match self.kind {
                    STDOUT => join(&mut self.text, content),
                    STDERR => self.complaints.extend_from_slice(&content),
                    _ => {}
                }
            } else if self.padding_left > 0 {
                if raw.is_empty() {
                    return Ok(());
                }
                let count = raw.len().min(self.padding_left);
                raw.advance(count);
                self.padding_left -= count;
            } else if self.kind == END_REQUEST {
                self.ended = true;
            } else if !self.begin(raw)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads the head of a record; false when it is not all there.
    fn begin(&mut self, raw: &mut BytesMut) -> Result<bool, RecordError> {
        // A wrong record is told from its first bytes.
        for (at, byte) in raw.iter().take(4).copied().enumerate() {
            match (at, byte) {
                (0, 1) | (1, STDOUT | STDERR | END_REQUEST) | (2, 0) | (3, 1) => {}
                (0, _) => return Err(RecordError::Version(byte)),
                (1, _) => return Err(RecordError::Type(byte)),
                (2, _) => return Err(RecordError::Id("high", byte)),
                _ => return Err(RecordError::Id("low", byte)),
            }
        }
        if raw.len() < HEAD_BYTES {
            return Ok(false);
        }
        self.kind = raw[1];
        self.content_left = usize::from(u16::from_be_bytes([raw[4], raw[5]]));
        self.padding_left = usize::from(raw[6]);
        raw.advance(HEAD_BYTES);
        self.closed |= self.kind == STDOUT && self.content_left == 0;
        Ok(true)
    }
}

/// Without a copy when nothing is there yet.
fn join(text: &mut BytesMut, content: BytesMut) {
    if text.is_empty() {
        *text = content;
    } else {
        text.extend_from_slice(&content);
    }
}

const HEAD_BYTES: usize = 8;
const CONTENT_BYTES_MAX: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_does_not_depend_on_how_it_arrives() {
        let mut sent = Vec::new();
        put(&mut sent, STDOUT, b"Status: 200\r\n\r\nhello");
        put(&mut sent, STDERR, b"oops");
        put_end(&mut sent, STDOUT);
        put(&mut sent, END_REQUEST, &[0; 8]);
        let (mut records, mut raw) = (Records::default(), BytesMut::new());
        for byte in &sent {
            raw.extend_from_slice(&[*byte]);
            records.take(&mut raw).unwrap();
        }
        assert_eq!(&records.text[..], b"Status: 200\r\n\r\nhello");
        assert_eq!(&records.complaints[..], b"oops");
        assert!(records.closed && records.ended && raw.is_empty());
    }

    #[test]
    fn wrong_records_are_named() {
        let error = |bytes: &[u8]| Records::default().take(&mut bytes.into()).unwrap_err();
        assert_eq!(error(b"HTTP"), RecordError::Version(b'H'));
        assert_eq!(error(&[1, 9]), RecordError::Type(9));
        assert_eq!(error(&[1, STDOUT, 0, 2]), RecordError::Id("low", 2));
    }

    #[test]
    fn long_content_takes_several_records() {
        let mut out = Vec::new();
        put(&mut out, STDIN, &vec![b'x'; CONTENT_BYTES_MAX + 1]);
        assert_eq!(out.len(), CONTENT_BYTES_MAX + 1 + 2 * HEAD_BYTES + 7);
    }
}
