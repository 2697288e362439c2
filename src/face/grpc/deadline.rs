//! How long a call may take: `grpc-timeout`, `Triple-Timeout-Ms`, `Connect-Timeout-Ms`.

use std::time::Duration;

use super::code::{Code, Failure};

/// `100m`: at most eight digits and a unit.
pub fn of_grpc(text: &[u8]) -> Result<Duration, Failure> {
    let wrong = || {
        let shown = String::from_utf8_lossy(text);
        Failure::invalid(format!("protocol error: invalid timeout {shown:?}"))
    };
    let (unit, digits) = text.split_last().ok_or_else(wrong)?;
    let count = number(digits, 8).ok_or_else(wrong)?;
    match unit {
        b'H' => Ok(Duration::from_secs(count * 3600)),
        b'M' => Ok(Duration::from_secs(count * 60)),
        b'S' => Ok(Duration::from_secs(count)),
        b'm' => Ok(Duration::from_millis(count)),
        b'u' => Ok(Duration::from_micros(count)),
        b'n' => Ok(Duration::from_nanos(count)),
        _ => Err(wrong()),
    }
}

/// At most ten digits.
pub fn of_unary(text: &[u8]) -> Result<Duration, Failure> {
    let wrong = || {
        let shown = String::from_utf8_lossy(text);
        Failure::invalid(format!("protocol error: invalid timeout {shown:?}: up to 10 digits"))
    };
    number(text, 10).map(Duration::from_millis).ok_or_else(wrong)
}

/// What is said when the time is over.
pub fn exceeded() -> Failure {
    Failure::new(Code::DEADLINE_EXCEEDED, "context deadline exceeded")
}

fn number(digits: &[u8], most: usize) -> Option<u64> {
    if digits.is_empty() || digits.len() > most || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_limits() {
        assert_eq!(of_grpc(b"1m"), Ok(Duration::from_millis(1)));
        assert_eq!(of_grpc(b"99999999H"), Ok(Duration::from_secs(99_999_999 * 3600)));
        for wrong in [&b""[..], b"m", b"1", b"1x", b"-1m", b"123456789m"] {
            assert!(of_grpc(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(of_unary(b"1500"), Ok(Duration::from_millis(1500)));
        assert!(of_unary(b"12345678901").is_err() && of_unary(b"1s").is_err());
    }
}
