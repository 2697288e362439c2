//! Sends a request byte for byte and judges the first line of what comes back.
//!
//! ```text
//!  "HTTP/1.1 404 Not Found\r\n" ──▶ status 404 ── among the valid ones? ──▶ Passed | BadStatus
//! ```
//!
//! Headers and body are never read. Without a list of valid statuses any line is a pass, be it an
//! SSH banner: that is what the Lua library does.

use bstr::{BString, ByteSlice};
use tokio::io::AsyncReadExt;

use super::{Limits, tcp, tls, trace};
use crate::health::outcome::{Kind, Outcome};
use crate::health::spec::RawProbe;
use crate::net::addr::Addr;
use crate::net::stream::Stream;
use crate::net::tls::ClientTls;

pub(super) async fn probe(
    spec: &RawProbe,
    addr: &Addr,
    client: Option<&ClientTls>,
    limits: Limits,
) -> Outcome {
    match exchange(spec, addr, client, limits).await {
        Ok(line) => judge(spec, &line),
        Err(outcome) => outcome,
    }
}

async fn exchange(
    spec: &RawProbe,
    addr: &Addr,
    client: Option<&ClientTls>,
    limits: Limits,
) -> Result<BString, Outcome> {
    let mut stream = tcp::connect(addr, limits).await?;
    if let Some(wanted) = &spec.tls {
        let name = wanted.sni.as_ref().map(|n| n.as_slice());
        stream = tls::handshake(stream, wanted.verify, name, client, limits).await?;
    }
    tcp::send(&mut stream, &spec.request, limits).await?;
    read_line(&mut stream, limits).await
}

/// Reads up to the first line feed. Each read has the whole timeout, as in a cosocket; a peer that
/// sends no line feed at all is cut off at [`LINE_MAX_BYTES`].
pub(super) async fn read_line(stream: &mut Stream, limits: Limits) -> Result<BString, Outcome> {
    let mut line = BString::default();
    let mut buf = [0; 512];
    loop {
        let reading = stream.read(&mut buf);
        let n = limits.run(reading, Kind::ReceiveFailed, Kind::ReceiveTimeout).await?;
        if n == 0 {
            return Err(Outcome::new(Kind::ReceiveFailed).detail("closed"));
        }
        let got = &buf[..n];
        trace::bytes("received", got);
        if let Some(at) = got.find_byte(b'\n') {
            line.extend_from_slice(&got[..at]);
            // A cosocket's "*l" drops every carriage return of the line.
            line.retain(|b| *b != b'\r');
            return Ok(line);
        }
        line.extend_from_slice(got);
        if line.len() > LINE_MAX_BYTES {
            return Err(Outcome::new(Kind::BadLine).detail(&line));
        }
    }
}

fn judge(spec: &RawProbe, line: &BString) -> Outcome {
    let status = status_of(line);
    let Some(valid) = &spec.valid_statuses else {
        let passed = Outcome::new(Kind::Passed);
        return match status {
            Some(status) => passed.status(status),
            None => passed,
        };
    };
    match status {
        None => Outcome::new(Kind::BadLine).detail(line),
        Some(s) if valid.binary_search(&s).is_ok() => Outcome::new(Kind::Passed).status(s),
        Some(s) => Outcome::new(Kind::BadStatus).status(s),
    }
}

/// The number after `HTTP/digits.digits` and white space; nothing is asked of what follows it.
pub(super) fn status_of(line: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(b"HTTP/")?;
    let rest = skip(rest, u8::is_ascii_digit)?.strip_prefix(b".")?;
    let rest = skip(skip(rest, u8::is_ascii_digit)?, u8::is_ascii_whitespace)?;
    let end = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
    let digits = rest[..end].to_str().ok().filter(|d| !d.is_empty())?;
    Some(digits.parse().unwrap_or(u64::MAX))
}

/// Skips one or more bytes of a kind.
fn skip(text: &[u8], kind: fn(&u8) -> bool) -> Option<&[u8]> {
    let n = text.iter().take_while(|b| kind(b)).count();
    (n > 0).then(|| &text[n..])
}

const LINE_MAX_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines() {
        for (line, expected) in [
            ("HTTP/1.1 200 OK", Some(200)),
            ("HTTP/1.0  404", Some(404)),
            ("HTTP/11.12\t5x", Some(5)),
            ("HTTP/1.1 99999999999999999999", Some(u64::MAX)),
            ("HTTP/1.1 ", None),
            ("HTTP/1 200", None),
            ("http/1.1 200", None),
            ("SSH-2.0-x", None),
            ("", None),
        ] {
            assert_eq!(status_of(line.as_bytes()), expected, "{line}");
        }
    }
}
