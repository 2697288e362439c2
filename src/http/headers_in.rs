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
    /// As they came, if they came in a raw head.
    raw: Option<Unread>,
    /// Whether `raw` holds still, and not `lines`.
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
            raw: Some(Unread { raw, places }),
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

    pub fn len(&self) -> usize {
        match self.as_they_came() {
            Some(unread) => unread.places.len(),
            None => self.lines.borrow().len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no two lines have the same name.
    pub fn names_differ(&self) -> bool {
        let Some(Unread { raw, places }) = self.as_they_came() else {
            return self.lines.borrow().names_differ();
        };
        let twice = |(at, line): (usize, &HeaderLine)| {
            let name = line.name.of(raw);
            places[..at].iter().any(|before| {
                before.known == line.known && before.name.of(raw).eq_ignore_ascii_case(name)
            })
        };
        !places.iter().enumerate().any(twice)
    }

    /// Shows names and values in order, without making a list of them for it.
    pub fn each(&self, mut show: impl FnMut(&[u8], &[u8])) {
        match self.as_they_came() {
            Some(Unread { raw, places }) => {
                places.iter().for_each(|line| show(line.name.of(raw), line.value.of(raw)));
            }
            None => self.lines.borrow().iter().for_each(|line| show(&line.name, &line.value)),
        }
    }

    fn as_they_came(&self) -> Option<&Unread> {
        self.raw.as_ref().filter(|_| self.is_unread.get())
    }

    fn read(&self) {
        if !self.is_unread.replace(false) {
            return;
        }
        if let Some(Unread { raw, places }) = &self.raw {
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
            raw: None,
            is_unread: Cell::new(false),
            seen: Cell::new(u64::MAX),
        }
    }
}

fn bit(known: Known) -> u64 {
    1 << known as u8
}
