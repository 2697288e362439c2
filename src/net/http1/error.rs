//! What nginx answers and logs when a client's request head is wrong.
//!
//! ```text
//!   BadRequest { status: 400, text: client sent invalid method, stage }
//!        └▶ "client sent invalid method while reading client request line"
//! ```

use std::fmt;

use bstr::{BString, ByteSlice};

/// A request that is refused before any handler sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRequest {
    /// 400, 405, 414, 494 (shown to the client as 400), 501 or 505.
    pub status: u16,
    /// nginx's log message without what it was doing; it may quote the client's bytes.
    pub text: BString,
    pub stage: Stage,
}

/// What was being read; nginx ends its message with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    RequestLine,
    Headers,
}

impl BadRequest {
    pub fn line(status: u16, text: impl Into<BString>) -> Self {
        Self { status, text: text.into(), stage: Stage::RequestLine }
    }

    pub fn headers(status: u16, text: impl Into<BString>) -> Self {
        Self { status, text: text.into(), stage: Stage::Headers }
    }

    /// The message up to where the request's own facts (`, client: …`) follow.
    pub fn log_text(&self) -> BString {
        [self.text.as_bytes(), b" while ", self.stage.action().as_bytes()].concat().into()
    }
}

impl Stage {
    pub fn action(self) -> &'static str {
        match self {
            Self::RequestLine => "reading client request line",
            Self::Headers => "reading client request headers",
        }
    }
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.log_text().fmt(f)
    }
}

impl std::error::Error for BadRequest {}
