//! Responses of subrequests that are kept for their caller instead of being sent.

use std::cell::{Cell, RefCell};

use bytes::BytesMut;

use super::headers::HeadersOut;

/// What `ngx.location.capture` gets back.
#[derive(Default)]
pub struct Capture {
    pub status: Cell<u16>,
    pub head: RefCell<Option<HeadersOut>>,
    pub body: RefCell<BytesMut>,
    /// The end of the body has come.
    pub ended: Cell<bool>,
    /// The response was cut short (upstream died, timeout).
    pub truncated: Cell<bool>,
}
