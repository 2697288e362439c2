//! What probes of one peer remember from one to the next: a connection, and what the peer speaks.
//!
//! ```text
//!   probe ─ nothing kept ─▶ connect ─▶ request ─▶ answer, read to its end ─▶ kept
//!         └ kept ─────────────────────▶ request ─▶ answer ─▶ kept, until too old or too used
//!                                         └─ closed before the first byte: connect anew
//! ```
//!
//! A kept connection that turns out to be dead says nothing about the peer: the probe goes on with
//! a new one and is one probe still.

use super::grpc_watch::Watching;
use super::session::Session;
use crate::base::clock;
use crate::health::outcome::Outcome;
use crate::health::spec::Keepalive;
use crate::net::stream::Stream;

/// The memory of one peer's probes; of the engine's thread, dropped with the peer.
#[derive(Default)]
pub struct Memory {
    /// Begin with the HTTP version that is not the first choice.
    pub(super) other_version: bool,
    /// What a peer said that has been asked once and is to be asked in the other version now.
    pub(super) refused: Option<Outcome>,
    /// The peer knows no Watch: ask by Check.
    pub(super) no_watch: bool,
    kept: Option<Kept>,
}

impl Memory {
    /// True when there is nothing to remember.
    pub fn is_blank(&self) -> bool {
        !self.other_version && !self.no_watch && self.kept.is_none()
    }

    /// Goes on where the first half of a probe ended.
    pub fn of_refused(first: Outcome) -> Self {
        Self { refused: Some(first), ..Self::default() }
    }

    /// The peer said something since it was probed.
    pub fn has_news(&self) -> bool {
        let line = self.kept.as_ref().map(|kept| &kept.line);
        matches!(line, Some(Line::Watch(watching)) if watching.has_news())
    }

    /// The HTTP/1 connection, if there is one that may be used once more.
    pub(super) fn take_stream(&mut self, rule: Option<&Keepalive>) -> Option<(Stream, Age)> {
        match self.take(rule)? {
            (Line::Http1(stream), age) if is_silent(&stream) => Some((stream, age)),
            _ => None,
        }
    }

    /// The HTTP/2 connection, likewise.
    pub(super) fn take_session(&mut self, rule: Option<&Keepalive>) -> Option<(Session, Age)> {
        match self.take(rule)? {
            (Line::Http2(session), age) if !session.is_over() => Some((session, age)),
            _ => None,
        }
    }

    /// The open stream.
    pub(super) fn take_watching(&mut self) -> Option<Watching> {
        match self.kept.take()?.line {
            Line::Watch(watching) => Some(*watching),
            Line::Http1(_) | Line::Http2(_) => None,
        }
    }

    /// Keeps a connection for the next probe, unless it has served its turns.
    pub(super) fn keep(&mut self, line: Line, age: Age, rule: Option<&Keepalive>) {
        let age = Age { requests: age.requests + 1, ..age };
        if rule.is_some_and(|rule| age.is_within(rule)) {
            self.kept = Some(Kept { line, age });
        }
    }

    /// Keeps an open stream, which knows no turns.
    pub(super) fn keep_watching(&mut self, watching: Watching) {
        self.kept = Some(Kept { line: Line::Watch(Box::new(watching)), age: Age::new() });
    }

    fn take(&mut self, rule: Option<&Keepalive>) -> Option<(Line, Age)> {
        let Kept { line, age } = self.kept.take()?;
        rule.is_some_and(|rule| age.is_within(rule)).then_some((line, age))
    }
}

/// What is kept.
pub(super) enum Line {
    Http1(Stream),
    Http2(Session),
    Watch(Box<Watching>),
}

/// How old a connection is.
#[derive(Clone, Copy)]
pub(super) struct Age {
    since_ms: u64,
    requests: u64,
}

impl Age {
    /// A connection that is made now.
    pub(super) fn new() -> Self {
        Self { since_ms: clock::mono_ms(), requests: 0 }
    }

    /// May serve one more request.
    fn is_within(self, rule: &Keepalive) -> bool {
        let age_ms = clock::mono_ms().saturating_sub(self.since_ms);
        self.requests < rule.requests && age_ms < rule.time_ms
    }
}

struct Kept {
    line: Line,
    age: Age,
}

/// Nothing came while nobody asked: a byte is the rest of an old answer, the end is the end. Costs
/// no system call while the runtime has seen no event.
fn is_silent(stream: &Stream) -> bool {
    let would_block = |e: std::io::Error| e.kind() == std::io::ErrorKind::WouldBlock;
    stream.try_read(&mut [0]).is_err_and(would_block)
}

#[cfg(test)]
mod tests;
