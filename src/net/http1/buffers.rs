//! The sizes of request heads: how nginx's header buffers fill, without having such buffers.
//!
//! ```text
//!   client_header_buffer_size: the first buffer;  large_client_header_buffers N SIZE: the others
//!   a line that does not fit is moved to a new large buffer; lines are never split
//! ```

/// `client_header_buffer_size` and `large_client_header_buffers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub first_bytes: usize,
    pub large_count: usize,
    pub large_bytes: usize,
}

/// Follows the head through the buffers it would lie in.
#[derive(Debug)]
pub(super) struct Buffers {
    /// Where the present buffer begins in the head.
    base: usize,
    size_bytes: usize,
    large_used: usize,
}

/// The head is too large for the buffers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overflow {
    /// Where the last buffer ends.
    pub(super) end: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { first_bytes: 1024, large_count: 4, large_bytes: 8192 }
    }
}

impl Buffers {
    pub(super) fn new(sizes: Sizes) -> Self {
        Self { base: 0, size_bytes: sizes.first_bytes.max(1), large_used: 0 }
    }

    /// How many bytes of the head nginx would have read by now.
    pub(super) fn end(&self) -> usize {
        self.base + self.size_bytes
    }

    /// Empty lines before a request are thrown away when they fill the buffer.
    pub(super) fn skip_to(&mut self, at: usize) {
        while at >= self.end() {
            self.base = self.end();
        }
    }

    /// The buffer is full and the line that begins at `start` is not at its end: a large buffer
    /// takes its place.
    pub(super) fn grow(&mut self, sizes: Sizes, start: usize) -> Result<(), Overflow> {
        let begun = self.end().saturating_sub(start);
        let too_long = begun > 0 && begun >= sizes.large_bytes;
        if too_long || self.large_used >= sizes.large_count {
            return Err(Overflow { end: self.end() });
        }
        self.large_used += 1;
        self.base = start;
        self.size_bytes = sizes.large_bytes.max(1);
        Ok(())
    }
}
