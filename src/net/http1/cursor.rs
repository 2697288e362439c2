//! Walks over bytes that may end too early.
//!
//! ```text
//!   next() ─▶ a byte, or Stop::More: read again later from the start of the line
//! ```

/// Why a line was not parsed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop<E> {
    /// The line is not complete, and nothing is wrong so far.
    More,
    Bad(E),
}

/// A place in a buffer.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    buf: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(buf: &'a [u8], at: usize) -> Self {
        Self { buf, at }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn jump(&mut self, at: usize) {
        self.at = at;
    }

    /// What is left to read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.buf.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek<E>(&self) -> Result<u8, Stop<E>> {
        self.buf.get(self.at).copied().ok_or(Stop::More)
    }

    /// The byte here; steps over it.
    pub(super) fn next<E>(&mut self) -> Result<u8, Stop<E>> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    /// Steps over bytes as long as `wanted` holds.
    pub(super) fn skip<E>(&mut self, wanted: impl Fn(u8) -> bool) -> Result<(), Stop<E>> {
        let rest = self.rest();
        match rest.iter().position(|&byte| !wanted(byte)) {
            Some(n) => {
                self.at += n;
                Ok(())
            }
            None => Err(Stop::More),
        }
    }
}
