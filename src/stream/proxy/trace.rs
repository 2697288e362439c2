//! What became of the tries of a session at its upstream, for variables and log lines.

use std::cell::{Cell, RefCell};
use std::fmt;

use bstr::BStr;
use bytes::Bytes;

use crate::base::clock;

/// The tries of one session.
#[derive(Default)]
pub struct Trace {
    tries: RefCell<Vec<Try>>,
    /// The session is being passed on: log lines tell bytes.
    passing: Cell<bool>,
}

/// One try.
#[derive(Clone, Debug, Default)]
pub struct Try {
    /// The peer, or the group when it had none.
    pub peer: Bytes,
    /// The peer is an address.
    named: bool,
    started_ms: u64,
    pub connect_ms: Option<u64>,
    pub first_byte_ms: Option<u64>,
    pub session_ms: Option<u64>,
    pub sent: u64,
    pub received: u64,
}

impl Trace {
    pub fn begin(&self) {
        self.passing.set(true);
    }

    /// A try begins at `peer`; `named` when it is one, not just the group.
    pub fn push(&self, peer: Bytes, named: bool) {
        self.end();
        let started_ms = clock::mono_ms();
        self.tries.borrow_mut().push(Try { peer, named, started_ms, ..Try::default() });
    }

    /// Notes something about the present try; the closure gets the time it took so far.
    pub fn note(&self, note: impl FnOnce(&mut Try, u64)) {
        if let Some(last) = self.tries.borrow_mut().last_mut() {
            let took_ms = clock::mono_ms().saturating_sub(last.started_ms);
            note(last, took_ms);
        }
    }

    /// The present try is over.
    pub fn end(&self) {
        self.note(|last, took_ms| _ = last.session_ms.get_or_insert(took_ms));
    }

    /// One value of each try.
    pub fn each(&self, show: impl Fn(&Try) -> String) -> Option<Bytes> {
        let tries = self.tries.borrow();
        if tries.is_empty() {
            return None;
        }
        let all: Vec<String> = tries.iter().map(show).collect();
        Some(all.join(", ").into())
    }

    pub fn totals(&self) -> (u64, u64) {
        self.tries.borrow().last().map_or((0, 0), |last| (last.received, last.sent))
    }

    /// The end of a log line.
    pub fn write_tail(&self, f: &mut fmt::Formatter<'_>, from: u64, to: u64) -> fmt::Result {
        if !self.passing.get() {
            return Ok(());
        }
        let tries = self.tries.borrow();
        if let Some(last) = tries.last().filter(|last| last.named) {
            write!(f, ", upstream: \"{}\"", BStr::new(&last.peer))?;
        }
        let (received, sent) = tries.last().map_or((0, 0), |last| (last.received, last.sent));
        write!(f, ", bytes from/to client:{from}/{to}, bytes from/to upstream:{received}/{sent}")
    }
}
