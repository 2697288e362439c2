//! Sizes (`10m`), offsets (`2g`), times (`1h 30m`) and numbers as nginx writes them.
//!
//! ```text
//!  "64k"    → size_bytes   65536        k m
//!  "2g"     → offset       2147483648   k m g
//!  "1h 30m" → msec         5400000      w d h m s ms, largest unit first
//!  "1y"     → sec          31536000     y M w d h m s
//! ```

/// Reads a plain decimal number that fits nginx's signed integer.
pub fn parse_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, &byte| {
        let digit = digit(byte)?;
        value.checked_mul(10)?.checked_add(digit).filter(|v| *v <= MAX)
    })
}

/// Reads a size in bytes with an optional `k` or `m`.
pub fn parse_size(text: &[u8]) -> Option<usize> {
    let (number, scale) = split_scale(text, false);
    let size = parse_number(number)?.checked_mul(scale).filter(|v| *v <= MAX)?;
    usize::try_from(size).ok()
}

/// Reads a file offset in bytes with an optional `k`, `m` or `g`.
pub fn parse_offset(text: &[u8]) -> Option<u64> {
    let (number, scale) = split_scale(text, true);
    parse_number(number)?.checked_mul(scale).filter(|v| *v <= MAX)
}

/// Reads a time in milliseconds; a number without a unit counts seconds.
pub fn parse_msec(text: &[u8]) -> Option<u64> {
    parse_time(text, Step::Month, 1000)
}

/// Reads a time in whole seconds; `ms` is not understood, years and months are.
pub fn parse_sec(text: &[u8]) -> Option<u64> {
    parse_time(text, Step::Start, 1)
}

/// The units of a time value, in the order in which they may follow each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Start,
    Year,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
    /// After a space that ended a number without a unit.
    Last,
}

fn parse_time(text: &[u8], first: Step, ticks_per_second: u64) -> Option<u64> {
    let fine = ticks_per_second > 1;
    let (mut step, mut total, mut value, mut seen_digit) = (first, 0u64, 0u64, false);
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if let Some(digit) = digit(byte) {
            value = value.checked_mul(10)?.checked_add(digit).filter(|v| *v <= MAX)?;
            seen_digit = true;
            continue;
        }
        let millisecond = byte == b'm' && rest.first() == Some(&b's');
        let (next, scale) = match byte {
            b'y' => (Step::Year, 365 * DAY),
            b'M' => (Step::Month, 30 * DAY),
            b'w' => (Step::Week, 7 * DAY),
            b'd' => (Step::Day, DAY),
            b'h' => (Step::Hour, 3600),
            b'm' if millisecond => (Step::Millisecond, 1),
            b'm' => (Step::Minute, 60),
            b's' => (Step::Second, 1),
            b' ' => (Step::Last, 1),
            _ => return None,
        };
        // nginx lets a space end a bare number only while seconds are still to come.
        let limit = if next == Step::Last { Step::Second } else { next };
        if step >= limit || (millisecond && !fine) {
            return None;
        }
        if millisecond {
            rest = &rest[1..];
        }
        step = next;
        let ticks = if millisecond { scale } else { scale * ticks_per_second };
        total = value.checked_mul(ticks)?.checked_add(total).filter(|v| *v <= MAX)?;
        value = 0;
        while let Some(tail) = rest.strip_prefix(b" ") {
            rest = tail;
        }
    }
    if !seen_digit {
        return None;
    }
    value.checked_mul(ticks_per_second)?.checked_add(total).filter(|v| *v <= MAX)
}

fn split_scale(text: &[u8], giga: bool) -> (&[u8], u64) {
    match text.split_last() {
        Some((b'k' | b'K', number)) => (number, 1 << 10),
        Some((b'm' | b'M', number)) => (number, 1 << 20),
        Some((b'g' | b'G', number)) if giga => (number, 1 << 30),
        _ => (text, 1),
    }
}

fn digit(byte: u8) -> Option<u64> {
    byte.is_ascii_digit().then(|| u64::from(byte - b'0'))
}

/// The largest value of nginx's signed 64-bit integers.
const MAX: u64 = i64::MAX as u64;
const DAY: u64 = 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, want) in [
            ("0", Some(0)),
            ("10", Some(10)),
            ("8k", Some(8192)),
            ("8K", Some(8192)),
            ("1m", Some(1 << 20)),
            ("1g", None),
            ("", None),
            ("k", None),
            ("-1", None),
            ("1 k", None),
            ("9223372036854775807", Some(i64::MAX as usize)),
            ("9223372036854775808", None),
            ("9007199254740992k", None),
        ] {
            assert_eq!(parse_size(text.as_bytes()), want, "{text}");
        }
        assert_eq!(parse_offset(b"2g"), Some(2 << 30));
        assert_eq!(parse_offset(b"2t"), None);
    }

    #[test]
    fn times() {
        for (text, want_ms, want_sec) in [
            ("5", Some(5000), Some(5)),
            ("5s", Some(5000), Some(5)),
            ("1h30m", Some(5_400_000), Some(5400)),
            ("1h 30m", Some(5_400_000), Some(5400)),
            ("1m 5", Some(65_000), Some(65)),
            ("500ms", Some(500), None),
            ("1s500ms", Some(1500), None),
            ("1s 500ms", Some(1500), None),
            ("1y", None, Some(31_536_000)),
            ("1M", None, Some(2_592_000)),
            ("2w1d", Some(1_296_000_000), Some(1_296_000)),
            ("30m1h", None, None),
            ("1s1s", None, None),
            ("", None, None),
            ("s", None, None),
            ("1x", None, None),
            ("9223372036854775807", None, Some(i64::MAX as u64)),
        ] {
            assert_eq!(parse_msec(text.as_bytes()), want_ms, "{text} in ms");
            assert_eq!(parse_sec(text.as_bytes()), want_sec, "{text} in s");
        }
    }
}
