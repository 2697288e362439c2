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

use crate::base::clock;
use crate::health::spec::Keepalive;
use crate::net::stream::Stream;

/// The memory of one peer's probes; of the engine's thread, dropped with the peer.
#[derive(Default)]
pub struct Memory {
    /// Begin with the HTTP version that is not the first choice.
    pub(super) other_version: bool,
    kept: Option<Kept>,
}

impl Memory {
    /// True when there is nothing to remember.
    pub fn is_blank(&self) -> bool {
        !self.other_version && self.kept.is_none()
    }

    /// The HTTP/1 connection, if there is one that may be used once more.
    pub(super) fn take_stream(&mut self, rule: Option<&Keepalive>) -> Option<(Stream, Age)> {
        match self.take(rule)? {
            (Line::Http1(stream), age) if is_silent(&stream) => Some((stream, age)),
            _ => None,
        }
    }

    /// Keeps a connection for the next probe, unless it has served its turns.
    pub(super) fn keep(&mut self, line: Line, age: Age, rule: Option<&Keepalive>) {
        let age = Age { requests: age.requests + 1, ..age };
        if rule.is_some_and(|rule| age.is_within(rule)) {
            self.kept = Some(Kept { line, age });
        }
    }

    fn take(&mut self, rule: Option<&Keepalive>) -> Option<(Line, Age)> {
        let Kept { line, age } = self.kept.take()?;
        rule.is_some_and(|rule| age.is_within(rule)).then_some((line, age))
    }
}

/// What is kept.
pub(super) enum Line {
    Http1(Stream),
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
