//! Sends a request byte for byte and judges the first line of what comes back.
//!
//! ```text
//!  "HTTP/1.1 404 Not Found\r\n" ──▶ status 404 ── among the valid ones? ──▶ Passed | BadStatus
//! ```
//!
//! Headers and body are read only to keep the connection. Without a list of valid statuses any line
//! is a pass, be it an SSH banner: that is what the Lua library does.

use bstr::{BString, ByteSlice};

use super::kept::Memory;
use super::talk::{Call, Judge};
use super::{Aim, Limits};
use crate::health::outcome::{Kind, Outcome};
use crate::health::spec::{Keepalive, RawProbe};

pub(super) async fn probe(
    spec: &RawProbe,
    keepalive: Option<&Keepalive>,
    aim: &Aim<'_>,
    limits: Limits,
    memory: &mut Memory,
) -> Result<Outcome, Outcome> {
    // No server name but one that was asked for.
    let tls = spec.tls.as_ref().map(|tls| (tls, tls.sni.as_ref().map(|n| n.as_slice())));
    let is_head = spec.request.starts_with(b"HEAD ");
    let (request, judge) = (&spec.request[..], Judge::Raw(spec));
    Call { request, is_head, judge, tls, keepalive, limits }.make(aim, memory).await
}

pub(super) fn judge(spec: &RawProbe, line: &BString) -> Outcome {
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
