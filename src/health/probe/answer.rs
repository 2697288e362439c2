//! Reads an HTTP/1 answer as far as its judge wants to look.
//!
//! ```text
//!  [1xx heads] head ─▶ status, headers ─▶ body: length | chunks | until close, 256 KiB at most
//!                └─ settle: what is left of it is read, so that the connection can be kept
//! ```

use bstr::{BString, ByteSlice};
use bytes::{Buf, BytesMut};
use tokio::io::AsyncReadExt;

use super::{Limits, trace};
use crate::health::matching::{BODY_MAX_BYTES, Match};
use crate::health::outcome::{Kind, Outcome};
use crate::net::http1::HTTP_11;
use crate::net::http1::chunked::Decoder;
use crate::net::http1::response::{Body, Parser, ResponseHead, UpstreamError};
use crate::net::stream::Stream;

/// An answer that is being read.
pub(super) struct Answer {
    stream: Stream,
    limits: Limits,
    /// Read and not yet looked at.
    buf: BytesMut,
    read_bytes: usize,
    /// Of an answer to HEAD, which has no body.
    is_head: bool,
    head: Option<ResponseHead>,
    rest: Rest,
}

impl Answer {
    pub(super) fn new(stream: Stream, limits: Limits, is_head: bool) -> Self {
        let buf = BytesMut::with_capacity(FIRST_READ_BYTES);
        Self { stream, limits, buf, read_bytes: 0, is_head, head: None, rest: Rest::default() }
    }

    /// Nothing of it has come.
    pub(super) fn is_untouched(&self) -> bool {
        self.read_bytes == 0
    }

    /// The status of the final answer.
    pub(super) async fn status(&mut self) -> Result<u16, Outcome> {
        Ok(self.head().await?.status)
    }

    /// The first line, whatever it says; it stays there to be read as a head. A peer that sends no
    /// line feed at all is cut off at [`LINE_MAX_BYTES`].
    pub(super) async fn line(&mut self) -> Result<BString, Outcome> {
        let mut looked_at = 0;
        loop {
            if let Some(line) = first_line(&self.buf, looked_at)? {
                return Ok(line);
            }
            looked_at = self.buf.len();
            if self.read().await? == 0 {
                return Err(closed());
            }
        }
    }

    /// Judges it by the tests of a `match` block.
    pub(super) async fn judge(&mut self, tests: &Match) -> Result<Outcome, Outcome> {
        let head = self.head().await?;
        let status = head.status;
        tests.judge_head(status, |name| values(head, name))?;
        if tests.needs_body() {
            let text = self.body(BODY_MAX_BYTES).await?;
            tests.judge_body(status, &text)?;
        }
        Ok(Outcome::new(Kind::Passed).status(status.into()))
    }

    /// Reads what is left; the connection, when another request may follow on it.
    pub(super) async fn settle(mut self) -> Option<Stream> {
        let keeps = keeps(self.head().await.ok()?);
        if !keeps || self.rest.ends_by_close() {
            return None;
        }
        self.body(DRAINED_MAX_BYTES).await.ok()?;
        (self.rest.done && self.buf.is_empty()).then_some(self.stream)
    }

    /// Reads the first head that is not an interim one. A peer that sends only interim ones is cut
    /// off by the size of what it may send before a verdict.
    async fn head(&mut self) -> Result<&ResponseHead, Outcome> {
        if self.head.is_none() {
            let head = self.read_head().await?;
            self.head = Some(head);
        }
        self.head.as_ref().ok_or_else(closed)
    }

    async fn read_head(&mut self) -> Result<ResponseHead, Outcome> {
        let mut parser = Parser::new(HEAD_MAX_BYTES);
        loop {
            match parser.step(&self.buf) {
                Ok(true) => {
                    let raw = self.buf.split_to(parser.head_len()).freeze();
                    let found = parser.finish(raw);
                    if found.status >= 200 {
                        self.rest.is_begun(&found, self.is_head);
                        return Ok(found);
                    }
                    parser = Parser::new(HEAD_MAX_BYTES);
                    continue;
                }
                Ok(false) => {}
                Err(e) => return Err(bad_head(&self.buf, &e)),
            }
            if self.read().await? == 0 {
                return Err(closed());
            }
            if self.read_bytes > HEADS_MAX_BYTES {
                return Err(too_many());
            }
        }
    }

    /// Reads the body, or its beginning when it is longer than that.
    async fn body(&mut self, max_bytes: usize) -> Result<Vec<u8>, Outcome> {
        let mut text = Vec::new();
        loop {
            self.rest.take(&mut self.buf, &mut text)?;
            if self.rest.done || text.len() >= max_bytes {
                text.truncate(max_bytes);
                return Ok(text);
            }
            if self.read().await? == 0 {
                return if self.rest.ends_by_close() { Ok(text) } else { Err(closed()) };
            }
        }
    }

    async fn read(&mut self) -> Result<usize, Outcome> {
        let reading = self.stream.read_buf(&mut self.buf);
        let n = self.limits.run(reading, Kind::ReceiveFailed, Kind::ReceiveTimeout).await?;
        trace::bytes("received", &self.buf[self.buf.len() - n..]);
        self.read_bytes += n;
        Ok(n)
    }
}

/// What is still to come of a body.
#[derive(Default)]
struct Rest {
    kind: Option<Body>,
    left_bytes: u64,
    chunks: Decoder,
    done: bool,
}

impl Rest {
    fn is_begun(&mut self, head: &ResponseHead, is_head: bool) {
        let kind = head.body(is_head);
        self.kind = Some(kind);
        self.left_bytes = if let Body::Length(n) = kind { n } else { 0 };
        self.done = matches!(kind, Body::None | Body::Length(0));
    }

    fn ends_by_close(&self) -> bool {
        self.kind == Some(Body::UntilClose)
    }

    /// Takes the body's data out of what was read.
    fn take(&mut self, buf: &mut BytesMut, text: &mut Vec<u8>) -> Result<(), Outcome> {
        match self.kind {
            _ if self.done => {}
            Some(Body::Chunked) => self.take_chunks(buf, text)?,
            Some(Body::UntilClose) => {
                text.extend_from_slice(buf);
                buf.clear();
            }
            Some(Body::Length(_)) => {
                let n = buf.len().min(self.left_bytes.try_into().unwrap_or(usize::MAX));
                text.extend_from_slice(&buf[..n]);
                buf.advance(n);
                self.left_bytes -= n as u64;
                self.done = self.left_bytes == 0;
            }
            None | Some(Body::None) => {}
        }
        Ok(())
    }

    fn take_chunks(&mut self, buf: &mut BytesMut, text: &mut Vec<u8>) -> Result<(), Outcome> {
        loop {
            let bad = |_| Outcome::new(Kind::BadBody).detail("invalid chunked response");
            let step = self.chunks.step(buf).map_err(bad)?;
            buf.advance(step.skip);
            text.extend_from_slice(&buf[..step.data]);
            buf.advance(step.data);
            self.done = step.done;
            if step.done || step.skip + step.data == 0 {
                return Ok(());
            }
        }
    }
}

/// The values of a header; names compare without case.
fn values<'a>(head: &'a ResponseHead, name: &[u8]) -> Vec<&'a [u8]> {
    let named = head.lines().filter(|(n, _)| n.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value).collect()
}

/// The server lets another request follow.
fn keeps(head: &ResponseHead) -> bool {
    let says = |value: &[u8]| value.to_ascii_lowercase().contains_str(b"keep-alive");
    let asked = || values(head, b"connection").into_iter().any(says);
    !head.close || head.version < HTTP_11 && asked()
}

/// The first line of what was read, when it is whole; the first bytes were looked at before.
pub(super) fn first_line(buf: &[u8], looked_at: usize) -> Result<Option<BString>, Outcome> {
    match buf[looked_at..].find_byte(b'\n') {
        Some(at) => {
            let mut line = BString::from(&buf[..looked_at + at]);
            // A cosocket's "*l" drops every carriage return of the line.
            line.retain(|b| *b != b'\r');
            Ok(Some(line))
        }
        None if buf.len() > LINE_MAX_BYTES => Err(Outcome::new(Kind::BadLine).detail(buf)),
        None => Ok(None),
    }
}

/// The status of the first head in `buf` that is not an interim one; `None` while it is not whole.
pub(super) fn final_status(mut buf: &[u8]) -> Result<Option<u16>, Outcome> {
    loop {
        let mut parser = Parser::new(HEAD_MAX_BYTES);
        if !parser.step(buf).map_err(|e| bad_head(buf, &e))? {
            return Ok(None);
        }
        if let Some(status) = parser.status().filter(|status| *status >= 200) {
            return Ok(Some(status));
        }
        buf = &buf[parser.head_len()..];
    }
}

fn bad_head(buf: &[u8], error: &UpstreamError) -> Outcome {
    let line = buf.lines().next().unwrap_or_default();
    let is_http = line.starts_with(b"HTTP/");
    let text = if is_http { error.to_string().into_bytes() } else { line.to_vec() };
    Outcome::new(Kind::BadLine).detail(text)
}

pub(super) fn too_many() -> Outcome {
    Outcome::new(Kind::BadLine).detail("too many interim responses")
}

pub(super) fn closed() -> Outcome {
    Outcome::new(Kind::ReceiveFailed).detail("closed")
}

const FIRST_READ_BYTES: usize = 1024;
const LINE_MAX_BYTES: usize = 64 * 1024;
const HEAD_MAX_BYTES: usize = 32 * 1024;
/// All heads of one answer, interim ones included.
pub(super) const HEADS_MAX_BYTES: usize = 64 * 1024;
/// A longer body costs more than a new connection.
const DRAINED_MAX_BYTES: usize = 64 * 1024;
