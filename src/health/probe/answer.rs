//! Reads an HTTP/1 answer as far as its judge wants to look.
//!
//! ```text
//!  [1xx heads] head ─▶ status, headers ─▶ body: length | chunks | until close, 256 KiB at most
//! ```

use bstr::ByteSlice;
use bytes::{Buf, BytesMut};
use tokio::io::AsyncReadExt;

use super::{Limits, trace};
use crate::health::matching::{BODY_MAX_BYTES, Match};
use crate::health::outcome::{Kind, Outcome};
use crate::net::http1::chunked::Decoder;
use crate::net::http1::response::{Body, Parser, ResponseHead};
use crate::net::stream::Stream;

/// The status of the final answer.
pub(super) async fn status(stream: &mut Stream, limits: Limits) -> Result<u16, Outcome> {
    let (head, _) = head(stream, limits).await?;
    Ok(head.status)
}

/// Judges an answer by the tests of a `match` block.
pub(super) async fn judge(
    stream: &mut Stream,
    tests: &Match,
    is_head: bool,
    limits: Limits,
) -> Result<Outcome, Outcome> {
    let (head, rest) = head(stream, limits).await?;
    let status = head.status;
    tests.judge_head(status, |name| values(&head, name))?;
    if tests.needs_body() {
        let text = body(stream, &head, rest, is_head, limits).await?;
        tests.judge_body(status, &text)?;
    }
    Ok(Outcome::new(Kind::Passed).status(status.into()))
}

/// The values of a header; names compare without case.
fn values<'a>(head: &'a ResponseHead, name: &[u8]) -> Vec<&'a [u8]> {
    let named = head.lines().filter(|(n, _)| n.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value).collect()
}

/// Reads the first head that is not an interim one. A peer that sends only interim ones is cut off
/// by the size of what it may send before a verdict.
async fn head(stream: &mut Stream, limits: Limits) -> Result<(ResponseHead, BytesMut), Outcome> {
    let mut buf = BytesMut::with_capacity(1024);
    let mut parser = Parser::new(HEAD_MAX_BYTES);
    let mut read_bytes = 0;
    loop {
        match parser.step(&buf) {
            Ok(true) => {
                let raw = buf.split_to(parser.head_len()).freeze();
                let found = parser.finish(raw);
                if found.status >= 200 {
                    return Ok((found, buf));
                }
                parser = Parser::new(HEAD_MAX_BYTES);
                continue;
            }
            Ok(false) => {}
            Err(e) => {
                let line = buf.lines().next().unwrap_or_default();
                let is_http = line.starts_with(b"HTTP/");
                let text = if is_http { e.to_string().into_bytes() } else { line.to_vec() };
                return Err(Outcome::new(Kind::BadLine).detail(text));
            }
        }
        let reading = stream.read_buf(&mut buf);
        let n = limits.run(reading, Kind::ReceiveFailed, Kind::ReceiveTimeout).await?;
        if n == 0 {
            return Err(Outcome::new(Kind::ReceiveFailed).detail("closed"));
        }
        trace::bytes("received", &buf[buf.len() - n..]);
        read_bytes += n;
        if read_bytes > HEADS_MAX_BYTES {
            return Err(Outcome::new(Kind::BadLine).detail("too many interim responses"));
        }
    }
}

/// Reads the beginning of the body.
async fn body(
    stream: &mut Stream,
    head: &ResponseHead,
    mut rest: BytesMut,
    is_head: bool,
    limits: Limits,
) -> Result<Vec<u8>, Outcome> {
    let mut text = Vec::new();
    let mut decoder = Decoder::new();
    let kind = head.body(is_head);
    let want = match kind {
        Body::None => 0,
        Body::Length(n) => n.min(BODY_MAX_BYTES as u64) as usize,
        Body::Chunked | Body::UntilClose => BODY_MAX_BYTES,
    };
    loop {
        let done = match kind {
            Body::Chunked => decode(&mut decoder, &mut rest, &mut text)?,
            _ => {
                text.extend_from_slice(&rest);
                rest.clear();
                false
            }
        };
        if done || text.len() >= want {
            text.truncate(want);
            return Ok(text);
        }
        let reading = stream.read_buf(&mut rest);
        let n = limits.run(reading, Kind::ReceiveFailed, Kind::ReceiveTimeout).await?;
        match (n, kind) {
            (0, Body::UntilClose) => return Ok(text),
            (0, _) => return Err(Outcome::new(Kind::ReceiveFailed).detail("closed")),
            _ => {}
        }
    }
}

/// Takes the data out of what was read; true when the body has ended.
fn decode(decoder: &mut Decoder, rest: &mut BytesMut, text: &mut Vec<u8>) -> Result<bool, Outcome> {
    loop {
        let bad = |_| Outcome::new(Kind::BadBody).detail("invalid chunked response");
        let step = decoder.step(rest).map_err(bad)?;
        rest.advance(step.skip);
        text.extend_from_slice(&rest[..step.data]);
        rest.advance(step.data);
        if step.done {
            return Ok(true);
        }
        if step.skip + step.data == 0 {
            return Ok(false);
        }
    }
}

const HEAD_MAX_BYTES: usize = 32 * 1024;
/// All heads of one answer, interim ones included.
const HEADS_MAX_BYTES: usize = 64 * 1024;
