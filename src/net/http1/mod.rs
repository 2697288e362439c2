//! The HTTP/1 codec: bytes in, facts out; no sockets, no clock, no configuration.
//!
//! ```text
//!   client ─▶ request::Parser ─▶ RequestHead ─▶ uri::normalize ─▶ path and args
//!                   │ header lines (header), Host (host), buffers of nginx's sizes (buffers)
//!                   └▶ BadRequest: the status and the log line nginx would give
//!   upstream ─▶ response::Parser ─▶ ResponseHead
//!   both ─▶ chunked::Decoder      ─▶ chunked::encode
//! ```
//!
//! Rules are those of nginx 1.29: what is refused, with which status and words, is its contract.

pub mod buffers;
pub mod chunked;
mod cursor;
mod error;
pub mod header;
pub mod host;
pub mod line;
pub mod method;
pub mod request;
pub mod response;
pub mod uri;

pub use self::error::{BadRequest, Stage};
pub use self::header::{HeaderLine, Known};
pub use self::host::Host;
pub use self::line::RequestLine;
pub use self::method::Method;
pub use self::request::{RequestHead, Rules, Step};
pub use self::response::{ResponseHead, UpstreamError};

use std::ops::Range;

/// A place in the bytes of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The bytes at this place of `head`; nothing when it is another head's place.
    pub fn of(self, head: &[u8]) -> &[u8] {
        head.get(self.range()).unwrap_or_default()
    }

    pub fn len(self) -> usize {
        self.range().len()
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// HTTP versions as nginx counts them.
pub const HTTP_09: u16 = 9;
pub const HTTP_10: u16 = 1000;
pub const HTTP_11: u16 = 1001;
