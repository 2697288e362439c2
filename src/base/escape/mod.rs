//! Escaping of bytes for URIs, headers, logs, pages and SQL, with nginx's tables.
//!
//! ```text
//!   uri(text, &Set) ─▶ "%20"      which bytes: the sets of nginx core and those of ngx.escape_uri
//!   unescape_uri / lua_unescape   nginx's state machine / the one of ngx.unescape_uri ('+' is ' ')
//!   args                          "a=1&b" ⇄ pairs
//!   text                          html, json, log lines, SQL strings
//! ```

mod args;
mod text;

use std::borrow::Cow;

pub use self::args::{Pair, Pairs, decode_args, decode_uri_args};
pub use self::text::{html, json, log, quote_sql};

/// The bytes that are escaped, and how the escape begins.
#[derive(Debug)]
pub struct Set {
    bits: [u64; 4],
    prefix: u8,
}

/// What nginx's own unescaping stops at or leaves alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unescape {
    /// Decodes everything.
    All,
    /// Stops after a question mark.
    Uri,
    /// The same, and decodes printable characters only.
    Redirect,
}

impl Set {
    /// Control characters.
    const fn controls() -> Self {
        Self { bits: [0xffff_ffff, 0, 0, 0], prefix: b'%' }
    }

    /// Control characters, DEL and all bytes past ASCII.
    const fn unprintable() -> Self {
        Self { bits: [0xffff_ffff, 1 << 63, u64::MAX, u64::MAX], prefix: b'%' }
    }

    const fn and(mut self, bytes: &[u8]) -> Self {
        let mut i = 0;
        while i < bytes.len() {
            self.bits[bytes[i] as usize >> 6] |= 1 << (bytes[i] & 63);
            i += 1;
        }
        self
    }

    const fn but(mut self, bytes: &[u8]) -> Self {
        let mut i = 0;
        while i < bytes.len() {
            self.bits[bytes[i] as usize >> 6] &= !(1 << (bytes[i] & 63));
            i += 1;
        }
        self
    }

    const fn prefixed(mut self, prefix: u8) -> Self {
        self.prefix = prefix;
        self
    }

    pub fn contains(&self, byte: u8) -> bool {
        self.bits[usize::from(byte >> 6)] & (1 << (byte & 63)) != 0
    }

    /// The set `ngx.escape_uri(str, type)` means.
    pub fn of_lua_type(number: i64) -> Option<&'static Self> {
        usize::try_from(number).ok().and_then(|n| LUA_SETS.get(n).copied())
    }
}

/// Escapes the bytes of a set as `%XX`.
pub fn uri<'a>(text: &'a [u8], set: &Set) -> Cow<'a, [u8]> {
    let Some(first) = text.iter().position(|&c| set.contains(c)) else {
        return Cow::Borrowed(text);
    };
    let mut out = Vec::with_capacity(text.len() + 16);
    out.extend_from_slice(&text[..first]);
    append_uri(&mut out, &text[first..], set);
    Cow::Owned(out)
}

/// Appends the escaped text.
pub fn append_uri(out: &mut Vec<u8>, text: &[u8], set: &Set) {
    for &byte in text {
        if set.contains(byte) {
            out.extend_from_slice(&[set.prefix, hex_high(byte), hex_low(byte)]);
        } else {
            out.push(byte);
        }
    }
}

/// Unescapes as nginx core does: of a broken escape the percent sign is lost and, when the first
/// character is no digit, that character kept.
pub fn unescape_uri(text: &[u8], mode: Unescape) -> Vec<u8> {
    unescape_start(text, mode).0
}

/// The same for a redirect target: what follows its question mark stays as it is.
pub fn unescape_redirect(text: &[u8]) -> Vec<u8> {
    let (mut out, used) = unescape_start(text, Unescape::Redirect);
    out.extend_from_slice(&text[used..]);
    out
}

/// The unescaped text, and how many bytes it was made of.
fn unescape_start(text: &[u8], mode: Unescape) -> (Vec<u8>, usize) {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        if byte != b'%' {
            out.push(byte);
            if byte == b'?' && mode != Unescape::All {
                break;
            }
            continue;
        }
        let Some(&first) = text.get(at) else { break };
        at += 1;
        let Some(high) = hex_value(first) else {
            out.push(first);
            continue;
        };
        let Some(&second) = text.get(at) else { break };
        at += 1;
        let Some(low) = hex_value(second) else { continue };
        let decoded = high << 4 | low;
        let plain = mode != Unescape::Redirect || (decoded > b'%' && decoded < 0x7f);
        match plain {
            true => out.push(decoded),
            false => out.extend_from_slice(&[b'%', first, second]),
        }
        // Only an escape with a letter in it ends the path: nginx does not look after "%3" + digit,
        // and no question mark is written that way.
        if decoded == b'?' && mode != Unescape::All && !second.is_ascii_digit() {
            break;
        }
    }
    (out, at)
}

/// Unescapes as `ngx.unescape_uri` does: a plus is a space, a broken escape stays as it is.
pub fn lua_unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'+' => out.push(b' '),
            b'%' => match hex_pair(&text[at..]) {
                Some(decoded) => {
                    out.push(decoded);
                    at += 2;
                }
                None => out.push(b'%'),
            },
            _ => out.push(byte),
        }
    }
    out
}

/// The value of a hexadecimal digit.
pub fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn hex_pair(text: &[u8]) -> Option<u8> {
    match text {
        [a, b, ..] => Some(hex_value(*a)? << 4 | hex_value(*b)?),
        _ => None,
    }
}

fn hex_high(byte: u8) -> u8 {
    HEX[usize::from(byte >> 4)]
}

fn hex_low(byte: u8) -> u8 {
    HEX[usize::from(byte & 15)]
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

const UNSAFE: &[u8] = b" \"<>\\^`{|}";
const ALNUM: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const fn not_unreserved() -> Set {
    let all = Set { bits: [u64::MAX; 4], prefix: b'%' };
    all.but(ALNUM).but(b"-._~")
}

// The sets of nginx core.
pub static URI: Set = Set::unprintable().and(UNSAFE).and(b"#%?");
pub static ARGS: Set = Set::unprintable().and(UNSAFE).and(b"#%&+;?");
pub static URI_COMPONENT: Set = not_unreserved();
pub static HTML: Set = Set::unprintable().and(UNSAFE).and(b"#%'");
/// A closing brace is not in the set, a tilde is: so it stands in nginx.
pub static REFRESH: Set = Set::unprintable().and(UNSAFE).and(b"'~").but(b"}");
pub static MEMCACHED: Set = Set::controls().and(b" %");
pub static MAIL_XTEXT: Set = Set::unprintable().and(b" +=").prefixed(b'+');

// The sets of ngx.escape_uri, and those that make header lines safe.
pub static LUA_URI: Set = Set::unprintable().and(b" #%?");
pub static LUA_ARGS: Set = Set::unprintable().and(b" #%+?");
pub static LUA_URI_COMPONENT: Set = not_unreserved().but(b"!'()*");
pub static LUA_HTML: Set = Set::unprintable().and(b" \"#%'");
pub static LUA_REFRESH: Set = Set::unprintable().and(b" \"'");
pub static HEADER_NAME: Set = Set::unprintable().and(b" \"(),/:;<=>?@[\\]{}");
pub static HEADER_VALUE: Set = Set::controls().and(b"\x7f").but(b"\t");

static LUA_SETS: [&Set; 9] = [
    &LUA_URI,
    &LUA_ARGS,
    &LUA_URI_COMPONENT,
    &LUA_HTML,
    &LUA_REFRESH,
    &MEMCACHED,
    &MEMCACHED,
    &HEADER_NAME,
    &HEADER_VALUE,
];

#[cfg(test)]
mod tests;
