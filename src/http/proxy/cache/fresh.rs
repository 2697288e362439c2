//! How long an answer is good, by what it says of itself. No clock and no files in here.

use bytes::Bytes;

use crate::{
    base::{date, units},
    net::http1::ResponseHead,
};

use super::super::settings::ignore;

/// What the head of an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fresh {
    pub cacheable: bool,
    /// Until when it is good; 0 when it does not say.
    pub valid_s: i64,
    pub updating_s: i64,
    pub error_s: i64,
    pub vary: Bytes,
}

/// Reads `X-Accel-Expires`, `Cache-Control`, `Expires`, `Set-Cookie` and `Vary`, but those that
/// `ignored` names.
pub fn judge(head: &ResponseHead, ignored: u32, now: i64) -> Fresh {
    let mut fresh =
        Fresh { cacheable: true, valid_s: 0, updating_s: 0, error_s: 0, vary: Bytes::new() };
    let says = |bit: u32| ignored & bit == 0;
    if says(ignore::SET_COOKIE) && value(head, "Set-Cookie").is_some() {
        fresh.cacheable = false;
    }
    if says(ignore::VARY)
        && let Some(vary) = joined(head, "Vary")
    {
        if vary.len() > VARY_BYTES || vary.trim_ascii() == b"*" {
            fresh.cacheable = false;
        } else {
            fresh.vary = vary;
        }
    }
    let accel = value(head, "X-Accel-Expires").filter(|_| says(ignore::EXPIRES_ACCEL));
    let mut refused = false;
    if says(ignore::CACHE_CONTROL)
        && let Some(control) = joined(head, "Cache-Control")
    {
        refused |= !fresh.control(&control, now);
    }
    if fresh.valid_s == 0
        && says(ignore::EXPIRES)
        && let Some(expires) = value(head, "Expires")
    {
        match date::parse_http_time(&expires) {
            Some(at) if at > now => fresh.valid_s = at,
            _ => refused = true,
        }
    }
    match accel.as_deref().and_then(|text| accel_expires(text, now)) {
        // It outranks the others.
        Some(0) => fresh.cacheable = false,
        Some(at) => fresh.valid_s = at,
        None => fresh.cacheable &= !refused,
    }
    fresh
}

impl Fresh {
    /// Tells whether the answer may be kept.
    fn control(&mut self, control: &[u8], now: i64) -> bool {
        let words = control.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let mut max_age = None;
        let mut shared_age = None;
        for word in words {
            let lower = word.to_ascii_lowercase();
            let number = |key: &[u8]| {
                let digits = lower.strip_prefix(key)?;
                let digits: Vec<u8> =
                    digits.iter().copied().take_while(u8::is_ascii_digit).collect();
                if digits.is_empty() {
                    return None;
                }
                let seconds = units::parse_number(&digits).map(i64::try_from);
                Some(seconds.and_then(Result::ok).unwrap_or(i64::MAX))
            };
            match &lower[..] {
                b"no-cache" | b"no-store" | b"private" => return false,
                _ if lower.starts_with(b"no-cache=") || lower.starts_with(b"private=") => {
                    return false;
                }
                _ if lower.starts_with(b"s-maxage=") => {
                    shared_age = number(b"s-maxage=").or(Some(0));
                }
                _ if lower.starts_with(b"max-age=") => max_age = number(b"max-age=").or(Some(0)),
                _ => {
                    if let Some(seconds) = number(b"stale-while-revalidate=") {
                        self.updating_s = seconds;
                    }
                    if let Some(seconds) = number(b"stale-if-error=") {
                        self.error_s = seconds;
                    }
                }
            }
        }
        match shared_age.or(max_age) {
            Some(0) => false,
            Some(seconds) => {
                self.valid_s = now.saturating_add(seconds);
                true
            }
            None => true,
        }
    }
}

/// Seconds from now, or behind `@` since the epoch; 0 says not to keep it.
fn accel_expires(text: &[u8], now: i64) -> Option<i64> {
    if let Some(at) = text.strip_prefix(b"@") {
        return units::parse_number(at).map(|at| at as i64);
    }
    match units::parse_number(text)? {
        0 => Some(0),
        seconds => Some(now.saturating_add(seconds as i64)),
    }
}

fn value(head: &ResponseHead, name: &str) -> Option<Bytes> {
    let mut lines = head.headers.iter();
    let named = |line: &&_| is(head, line, name);
    lines.find(named).map(|line| head.raw.slice(line.value.range()))
}

fn joined(head: &ResponseHead, name: &str) -> Option<Bytes> {
    let lines = head.headers.iter().filter(|line| is(head, line, name));
    let values: Vec<&[u8]> = lines.map(|line| line.value.of(&head.raw)).collect();
    (!values.is_empty()).then(|| values.join(&b", "[..]).into())
}

fn is(head: &ResponseHead, line: &crate::net::http1::HeaderLine, name: &str) -> bool {
    line.name.of(&head.raw).eq_ignore_ascii_case(name.as_bytes())
}

/// A longer list of names is not kept, as in nginx.
const VARY_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use crate::net::http1::response::Parser;

    use super::*;

    fn judged(lines: &str) -> (bool, i64) {
        let text = Bytes::from(format!("HTTP/1.1 200 OK\r\n{lines}\r\n"));
        let mut parser = Parser::new(4096);
        assert!(parser.step(&text).unwrap());
        let fresh = judge(&parser.finish(text), 0, 1000);
        (fresh.cacheable, fresh.valid_s)
    }

    #[test]
    fn lines_say_how_long() {
        for (lines, wanted) in [
            ("", (true, 0)),
            ("Cache-Control: max-age=10\r\n", (true, 1010)),
            ("Cache-Control: max-age=10, s-maxage=5\r\n", (true, 1005)),
            ("Cache-Control: max-age=0\r\n", (false, 0)),
            ("Cache-Control: no-store\r\nX-Accel-Expires: 3\r\n", (true, 1003)),
            ("X-Accel-Expires: @1500\r\nCache-Control: max-age=10\r\n", (true, 1500)),
            ("X-Accel-Expires: 0\r\n", (false, 0)),
            ("Expires: Thu, 01 Jan 1970 00:30:00 GMT\r\n", (true, 1800)),
            ("Expires: Thu, 01 Jan 1970 00:00:01 GMT\r\n", (false, 0)),
            ("Set-Cookie: a=b\r\nCache-Control: max-age=10\r\n", (false, 1010)),
            ("Vary: *\r\n", (false, 0)),
        ] {
            assert_eq!(judged(lines), wanted, "{lines}");
        }
    }
}
