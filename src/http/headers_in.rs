//! Header lines of a request: places in the raw head until somebody asks for them.
//!
//! ```text
//!   head ─▶ HeadersIn { raw, places } ── borrow() ──▶ Headers
//!              └ may_have(Known): answered from a bit set, without making a list
//! ```
//!
//! Many requests are answered without a look at their header lines; most of the others ask for one
//! or two that nginx knows by name.

use std::cell::{Cell, Ref, RefCell, RefMut};

use bytes::Bytes;

use crate::net::http1::{HeaderLine, Known};

use super::headers::{Header, Headers};

/// The header lines of a request.
pub struct HeadersIn {
    lines: RefCell<Headers>,
    unread: Cell<Option<Unread>>,
    is_unread: Cell<bool>,
    /// A bit for each known name that may be there.
    seen: Cell<u64>,
}

struct Unread {
    raw: Bytes,
    places: Vec<HeaderLine>,
}

impl HeadersIn {
    /// Lines as places in a raw head.
    pub fn unread(raw: Bytes, places: Vec<HeaderLine>) -> Self {
        let seen = places.iter().fold(0, |set, line| set | bit(line.known));
        Self {
            lines: RefCell::default(),
            unread: Cell::new(Some(Unread { raw, places })),
            is_unread: Cell::new(true),
            seen: Cell::new(seen),
        }
    }

    pub fn borrow(&self) -> Ref<'_, Headers> {
        self.read();
        self.lines.borrow()
    }

    pub fn borrow_mut(&self) -> RefMut<'_, Headers> {
        self.read();
        // What is going to be added is not known.
        self.seen.set(u64::MAX);
        self.lines.borrow_mut()
    }

    /// False when there is surely no line of that name.
    pub fn may_have(&self, known: Known) -> bool {
        self.seen.get() & bit(known) != 0
    }

    fn read(&self) {
        if !self.is_unread.replace(false) {
            return;
        }
        if let Some(Unread { raw, places }) = self.unread.take() {
            let line = |line: &HeaderLine| Header {
                name: raw.slice(line.name.range()),
                value: raw.slice(line.value.range()),
            };
            *self.lines.borrow_mut() = places.iter().map(line).collect();
        }
    }
}

impl From<Headers> for HeadersIn {
    fn from(lines: Headers) -> Self {
        Self {
            lines: RefCell::new(lines),
            unread: Cell::new(None),
            is_unread: Cell::new(false),
            seen: Cell::new(u64::MAX),
        }
    }
}

fn bit(known: Known) -> u64 {
    1 << known as u8
}
