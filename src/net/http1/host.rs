//! The host a request is for, checked and normalised as nginx does before it picks a server.
//!
//! ```text
//!   "Example.COM.:8080" ─▶ Host { name: example.com, port: 8080 }
//! ```

use bstr::BString;

/// A validated host: lower-case, without the port and without a closing dot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    pub name: BString,
    /// 0 when none was given.
    pub port: u16,
}

impl Host {
    /// Checks and normalises; an invalid host gives nothing.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (name, rest) = match text.strip_prefix(b"[") {
            None => text.split_at(name_len(text, b'%')?),
            Some(inside) => {
                let len = name_len(inside, b':')?;
                if inside.get(len) != Some(&b']') {
                    return None;
                }
                text.split_at(len + 2)
            }
        };
        let port = match rest.split_first() {
            None => 0,
            Some((b':', digits)) => parse_port(digits)?,
            Some(_) => return None,
        };
        let name = name.strip_suffix(b".").unwrap_or(name);
        if name.is_empty() {
            return None;
        }
        Some(Self { name: name.to_ascii_lowercase().into(), port })
    }
}

/// How many bytes belong to a name, in which `extra` is allowed too; two dots in a row are wrong.
fn name_len(text: &[u8], extra: u8) -> Option<usize> {
    let mut before = 0;
    for (at, &byte) in text.iter().enumerate() {
        if !NAME_BYTES[usize::from(byte)] && byte != extra {
            return Some(at);
        }
        if byte == b'.' && before == b'.' {
            return None;
        }
        before = byte;
    }
    Some(text.len())
}

/// Digits up to 65535; none at all is port 0.
fn parse_port(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0u16, |port, c| {
        let digit = c.is_ascii_digit().then(|| u16::from(c - b'0'))?;
        port.checked_mul(10)?.checked_add(digit)
    })
}

/// Letters, digits, and the unreserved characters and sub-delimiters that are neither.
const NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let marks = b"-._~!$&'()*+,;=";
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let parse = |text: &str| Host::parse(text.as_bytes()).map(|h| (h.name.to_string(), h.port));
        let host = |name: &str, port| Some((name.to_owned(), port));
        assert_eq!(parse("Example.COM"), host("example.com", 0));
        assert_eq!(parse("example.com.:80"), host("example.com", 80));
        assert_eq!(parse("[::1]:8080"), host("[::1]", 8080));
        assert_eq!(parse("a_b:"), host("a_b", 0));
        for wrong in
            ["", ".", "a..b", "a/b", "a b", "a:99999", "a:x", "[::1", "[::1]x", "a\0b", ":80"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
